"""The chart, rendered and installed with the real helm on the real API server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.chart import EVERYTHING, render


@pytest.fixture(scope="session")
def everything() -> list[dict[str, Any]]:
    """All objects, with everything on."""
    return render(*EVERYTHING)


@pytest.fixture(scope="session")
def defaults() -> list[dict[str, Any]]:
    """All objects, with the default values."""
    return render()
