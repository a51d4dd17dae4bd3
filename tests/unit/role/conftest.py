"""Fixtures that unit tests of the core share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from s3bucket import allowed

ROLE = Path(__file__).parents[3] / "roles" / "s3bucket"


@pytest.fixture(scope="session")
def defaults() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["s3bucket_defaults"]
    return {**found, allowed.KEY: list(allowed.FIELDS)}
