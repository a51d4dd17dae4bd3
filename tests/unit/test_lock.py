"""The image's dependency lists.

They are complete, within the ranges of pyproject.toml, and of the Ansible release that make setup unpacks.
"""

from __future__ import annotations

import re
import tomllib
from importlib.metadata import requires

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from dev.setup import ANSIBLE_FOR_PYTHON_3_11
from tests.support.world import PROJECT

_LOCK = PROJECT / "container" / "requirements.lock"


def locked() -> dict[str, str]:
    """Package -> version. Every package must have a hash."""
    entries = re.split(r"\n(?=\S)", _LOCK.read_text().strip())
    found = {}
    for entry in entries:
        name, _, version = entry.split()[0].partition("==")
        assert "--hash=sha256:" in entry, name
        found[canonicalize_name(name)] = version
    return found


def test_lock_is_within_the_ranges_of_pyproject() -> None:
    versions = locked()
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    for text in project["dependencies"]:
        requirement = Requirement(text)
        assert requirement.specifier.contains(versions[canonicalize_name(requirement.name)]), text


def test_lock_has_what_its_packages_require() -> None:
    versions = locked()
    for name in versions:
        for text in requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": "", "python_version": "3.11"}):
                assert canonicalize_name(requirement.name) in versions, f"{name} requires {text}"


def test_collections_of_the_image_are_those_of_make_setup() -> None:
    text = (PROJECT / "container" / "collections.lock").read_text()
    assert f"{ANSIBLE_FOR_PYTHON_3_11} \\" in text
    assert "--hash=sha256:" in text
