"""The README of the role names what the code has."""

from __future__ import annotations

import re
from pathlib import Path

from s3bucket.steps import STEPS

_README = Path(__file__).parents[3] / "roles" / "s3bucket" / "README.md"


def section(title: str) -> str:
    """The text under a heading, up to the next heading."""
    return re.split(r"^#+ ", _README.read_text().partition(f"# {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


def test_readme_explains_every_aspect_that_a_result_may_name() -> None:
    rows = [line.split("|")[1] for line in section("Aspects").splitlines() if line.startswith("| `")]
    named = [name for row in rows for name in re.findall(r"`([a-z_]+)`", row)]
    assert sorted(named) == sorted(aspect for aspects in STEPS.values() for aspect in aspects)
