"""The role's README describes what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from s3bucket.steps import STEPS

PROJECT = Path(__file__).parents[3]
ROLE = PROJECT / "roles" / "s3bucket"


def section(title: str) -> str:
    """The text below a heading, up to the next heading."""
    text = (ROLE / "README.md").read_text().partition(f"# {title}\n")[2]
    return re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]


def test_readme_explains_every_aspect_that_a_result_may_name() -> None:
    rows = [line.split("|")[1] for line in section("Aspects").splitlines() if line.startswith("| `")]
    settings = section("Aspects").partition("<!-- generated: settings -->")[2].partition("<!--")[0]
    named = [name for row in [*rows, settings] for name in re.findall(r"`([a-z_]+)`", row)]
    assert sorted(named) == sorted({aspect for aspects in STEPS.values() for aspect in aspects})


def test_internal_variables_are_explained_where_they_are_defined() -> None:
    lines = (ROLE / "vars" / "main.yml").read_text().splitlines()
    explained = set()
    for number, line in enumerate(lines):
        if line.startswith("#   _s3bucket_"):
            explained |= set(re.findall(r"_s3bucket_\w+", line.partition(":")[0]))
        elif line.startswith("_s3bucket_") and lines[number - 1].startswith("# "):
            explained.add(line.partition(":")[0])
    files = [*(ROLE / "tasks").glob("*.yml"), ROLE / "vars" / "main.yml", *PROJECT.glob("playbooks/**/*.yml")]
    used = {name for file in files for name in re.findall(r"\b_s3bucket_\w+", file.read_text())}
    assert used == explained
