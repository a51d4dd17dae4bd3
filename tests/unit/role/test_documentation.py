"""What the role's modules document about options that several of them have: ansible-doc finds no fragment of a role."""

from __future__ import annotations

from typing import Any

import yaml

from tests.support.world import ROLE

_SHARED = {"kubernetes": 1, "bucket_owner": 1, "settings": 2, "working_directory": 2}
"""How many texts an option has: s3bucket_info, and what comes before it, get the values that it returns to others."""


def options_of(text: str) -> dict[str, dict[str, Any]]:
    documentation = yaml.safe_load(text.partition('DOCUMENTATION = r"""')[2].partition('"""')[0])
    return dict(documentation.get("options", {}))


def test_options_that_several_modules_have_are_documented_alike() -> None:
    modules = [options_of(path.read_text()) for path in sorted(ROLE.glob("library/*.py"))]
    found = {name: {yaml.safe_dump(module[name]) for module in modules if name in module} for name in _SHARED}
    assert {name: len(texts) for name, texts in found.items()} == _SHARED, found
