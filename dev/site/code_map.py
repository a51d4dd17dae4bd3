"""The map of the code, from the docstrings: what each package and each file owns, in its own words."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

_PROJECT = Path(__file__).parents[2]
_ROOTS = ("runner", "roles/s3bucket/module_utils/s3bucket", "roles/s3bucket/library", "dev", "bench")


def tables() -> str:
    """A section for each package, with a row for each file."""
    folders = [folder for root in _ROOTS for folder in _find_folders(_PROJECT / root)]
    return "\n".join(line for folder in folders for line in _section(folder))


def _find_folders(root: Path) -> list[Path]:
    found = {path.parent for path in root.rglob("*.py") if "__pycache__" not in path.parts}
    return sorted(found)


def _section(folder: Path) -> Iterator[str]:
    files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("__"))
    yield from (f"### {folder.relative_to(_PROJECT)}", "")
    package = folder / "__init__.py"
    if package.exists():
        yield from (_plain(_docstring(package)), "")
    if files:
        yield from ("| file | what it is |", "|---|---|")
        yield from (f"| `{path.name}` | {_plain(_docstring(path).split(chr(10) * 2)[0])} |" for path in files)
        yield ""


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def _plain(text: str) -> str:
    """Text as Markdown in one line: roles of reStructuredText and angle brackets become code."""
    text = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
    return text.replace(":mod:", "").replace(":func:", "").replace(":class:", "")
