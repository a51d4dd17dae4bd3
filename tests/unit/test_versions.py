"""The two environments of the test suite: the oldest and the newest supported versions."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from dev.newest import find_newest
from tests.support.versions import COLLECTIONS, ansible_core_version, collection_version
from tests.support.world import PROJECT


def test_environment_has_the_newest_ansible_that_its_python_takes() -> None:
    expected = ("2.19.", "10.") if sys.version_info < (3, 12) else ("2.21.", "11.")
    assert ansible_core_version().startswith(expected[0])
    assert collection_version("amazon.aws").startswith(expected[1])


@pytest.mark.parametrize("name", COLLECTIONS)
def test_installed_collection_is_in_the_range_of_requirements_yml(name: str) -> None:
    listed = yaml.safe_load((PROJECT / "requirements.yml").read_text())["collections"]
    ranges = {item["name"]: SpecifierSet(item["version"]) for item in listed}
    assert collection_version(name) in ranges[name]


def write_python(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with no Python but those that a test writes. Its PATH is ``bin``, and its pyenv ``pyenv``."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.delenv("PYTHON_NEWEST", raising=False)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    return tmp_path


def test_newest_python_is_the_first_that_answers(machine: Path) -> None:
    assert find_newest() is None
    old = write_python(machine, "bin/python3.12", "exit 0")
    assert find_newest() == str(old)
    write_python(machine, "bin/python3.14", "exit 127")
    assert find_newest() == str(old)
    kept = write_python(machine, "pyenv/versions/3.13.0/bin/python3.13", "exit 0")
    assert find_newest() == str(kept)


def test_newest_python_that_is_named_is_taken_or_none(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_python(machine, "bin/python3.14", "exit 0")
    named = write_python(machine, "mine", "exit 0")
    monkeypatch.setenv("PYTHON_NEWEST", str(named))
    assert find_newest() == str(named)
    monkeypatch.setenv("PYTHON_NEWEST", str(machine / "not-there"))
    assert find_newest() is None
