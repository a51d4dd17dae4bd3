"""A stock run packs what a module may import, for each module and each time: what a small module does not need is left.

Building and importing it was a third of a module's CPU.
"""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROLE = Path(__file__).parents[3] / "roles" / "s3bucket"
CORE = ROLE / "module_utils"


def imports_of(path: Path) -> set[str]:
    """The modules of the core that a file names in an import, wherever that is: Ansible packs them all."""
    package = path.relative_to(CORE).parts[:-1] if path.is_relative_to(CORE) else ()
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
        module = f"{base}.{node.module or ''}".strip(".").removeprefix("ansible.module_utils.")
        found.update((module, *(f"{module}.{name.name}" for name in node.names)))
    return {name for name in found if name.startswith("s3bucket.") and path_of(name)}


@cache
def path_of(name: str) -> Path | None:
    path = CORE.joinpath(*name.split("."))
    return next((one for one in (path.with_suffix(".py"), path / "__init__.py") if one.is_file()), None)


def packed_with(module: str) -> set[str]:
    found: set[str] = set()
    names = imports_of(ROLE / "library" / f"{module}.py")
    while names:
        name = names.pop()
        path = path_of(name)
        if name not in found and path is not None:
            found.add(name)
            names |= imports_of(path)
    return {name.removeprefix("s3bucket.") for name in found}


def test_module_that_reads_everything_is_packed_with_everything() -> None:
    assert {"observe", "spec", "settings", "settings.cors", "module_sources"} <= packed_with("s3bucket_info")


@pytest.mark.parametrize("module", ["create", "user", "settings", "delete", "role", "association"])
def test_module_that_only_writes_is_packed_without_what_reads_and_compares(module: str) -> None:
    found = packed_with(f"s3bucket_{module}")
    assert "clients" in found
    assert [name for name in found if name.split(".")[0] in ("observe", "module_sources", "prediction")] == []


def test_module_that_tries_a_key_is_packed_without_the_spec_and_the_settings() -> None:
    found = packed_with("s3bucket_verify")
    assert "verification" in found
    assert [name for name in found if name.split(".")[0] in ("module", "spec", "setting", "settings", "read")] == []
