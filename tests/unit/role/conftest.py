"""The role's read-and-compare package is imported as the operator's drift check imports it: by its folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROLE = Path(__file__).parents[3] / "roles" / "s3bucket"
sys.path.insert(0, str(ROLE / "module_utils"))


@pytest.fixture(scope="session")
def defaults() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["s3bucket_defaults"]
    return found
