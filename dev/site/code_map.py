"""The map of the code: what each package and each file owns, in the file's own words.

The words are a file's docstring, the ``short_description`` in the DOCUMENTATION of modules and lookups of Ansible,
and the first comment of a playbook or a file of tasks, or the name of its first task where there is no comment.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

_PROJECT = Path(__file__).parents[2]
_ROLE = "roles/s3bucket"
# Folders and all below them.
_ROOTS = (
    "runner",
    f"{_ROLE}/module_utils/s3bucket",
    f"{_ROLE}/library",
    f"{_ROLE}/action_plugins",
    f"{_ROLE}/lookup_plugins",
    f"{_ROLE}/filter_plugins",
    f"{_ROLE}/tasks",
    "playbooks",
    "dev",
    "bench",
)
# playbooks/roles links to roles/, which has its own sections.
_LEFT_OUT = ("__pycache__", "node_modules", "roles")


def tables() -> str:
    """A section for each package, with a row for each file."""
    folders = [folder for root in _ROOTS for folder in _find_folders(_PROJECT / root)]
    return "\n".join(line for folder in folders for line in _section(folder))


def _find_folders(root: Path) -> list[Path]:
    found = {root, *(path for path in root.rglob("*") if path.is_dir())}
    inner = [folder for folder in found if not {*folder.relative_to(root).parts} & {*_LEFT_OUT}]
    return sorted(folder for folder in inner if _find_files(folder) or (folder / "__init__.py").exists())


def _find_files(folder: Path) -> list[Path]:
    suffix = ".yml" if "tasks" in folder.parts or folder.name == "playbooks" else ".py"
    return sorted(path for path in folder.glob(f"*{suffix}") if not path.name.startswith("__"))


def _section(folder: Path) -> Iterator[str]:
    files = _find_files(folder)
    yield from (f"### {folder.relative_to(_PROJECT)}", "")
    package = folder / "__init__.py"
    if package.exists():
        yield from (_plain(_docstring(package)), "")
    if files:
        yield from ("| file | what it is |", "|---|---|")
        yield from (f"| `{path.name}` | {_plain(_describe(path))} |" for path in files)
        yield ""


def _describe(path: Path) -> str:
    if path.suffix == ".yml":
        return _describe_tasks(path.read_text())
    return _docstring(path).split("\n\n")[0] or _short_description(path)


def _describe_tasks(text: str) -> str:
    """The first sentences of a file of tasks: its comment, else the name of its first play or task."""
    comment = re.match(r"---\n((?:# .*\n)+)", text)
    if comment is None:
        return f"First task: {yaml.safe_load(text)[0]['name']}."
    # Inputs, outputs and commands follow the sentences.
    lines = [line.removeprefix("# ") for line in comment[1].splitlines()]
    ends = (number for number, line in enumerate(lines) if line.startswith("  "))
    prose = " ".join(lines[: next(ends, len(lines))])
    return re.split(r" (?=(?:Inputs?|Outputs?): )", prose)[0]


def _short_description(path: Path) -> str:
    """What DOCUMENTATION has in a file of Ansible's without a docstring; empty for none."""
    for item in ast.parse(path.read_text()).body:
        if isinstance(item, ast.Assign) and ast.unparse(item.targets[0]) == "DOCUMENTATION":
            return f"{yaml.safe_load(ast.literal_eval(item.value))['short_description']}."
    return ""


def _docstring(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def _plain(text: str) -> str:
    """Text as Markdown in one line: roles of reStructuredText and angle brackets become code."""
    text = " ".join(text.split()).replace("``", "`").replace("|", "\\|")
    return text.replace(":mod:", "").replace(":func:", "").replace(":class:", "")
