"""The role's modules and action plugins, loaded as Python modules."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from ansible import module_utils

from tests.support.world import ROLE


def load(path: Path) -> Any:
    """A Python file as a module of its own."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def load_module(name: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of the role, which finds the role's ``module_utils`` where Ansible would put them."""
    monkeypatch.setattr(module_utils, "__path__", [*module_utils.__path__, str(ROLE / "module_utils")])
    return load(ROLE / "library" / f"{name}.py")
