"""Fixtures that render and install the chart with the real Helm on the real API server."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.chart import EVERYTHING, render


@pytest.fixture(scope="session")
def everything() -> list[dict[str, Any]]:
    """All rendered objects, with every option on."""
    return render(*EVERYTHING)


@pytest.fixture(scope="session")
def defaults() -> list[dict[str, Any]]:
    """All rendered objects, with the default values."""
    return render()
