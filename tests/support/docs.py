"""Reads README, docs and the other READMEs: headings, links, and code blocks with their sections."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tests.support.world import PROJECT

_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def find_pages() -> list[str]:
    """The paths of all pages for readers, relative to the project."""
    beside = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "roles/s3bucket/README.md", "chart/s3-operator/README.md"]
    docs = sorted(str(path.relative_to(PROJECT)) for path in (PROJECT / "docs").rglob("*.md"))
    return [*(page for page in beside if (PROJECT / page).exists()), *docs]


@dataclass(frozen=True)
class Block:
    """A code block, and the heading that it is under."""

    section: str
    kind: str
    text: str

    @property
    def commands(self) -> list[str]:
        """The commands of the block, without comments. A command that continues on the next line is one command."""
        lines = self.text.replace("\\\n", " ").splitlines()
        return [line.partition(" # ")[0].strip() for line in lines if line.strip() and not line.startswith("#")]


def find_blocks(page: str) -> list[Block]:
    """Find all code blocks of a page, in order."""
    text = (PROJECT / page).read_text()
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(_without_fences(text))]
    blocks = []
    for match in _FENCE.finditer(text):
        section = next((title for start, title in reversed(headings) if start < match.start()), "")
        indent = match[1]
        body = "".join(line.removeprefix(indent) for line in match[3].splitlines(keepends=True))
        blocks.append(Block(section, match[2], body))
    return blocks


def blocks(page: str, kind: str, section: str = "") -> list[str]:
    """The text of the blocks of a language, in one section or in all."""
    return [block.text for block in find_blocks(page) if block.kind == kind and section in ("", block.section)]


def commands(page: str, section: str = "") -> list[str]:
    """The commands of the ``sh`` blocks, in one section or in all, in order."""
    found = [block for block in find_blocks(page) if block.kind == "sh" and section in ("", block.section)]
    return [command for block in found for command in block.commands]


def find_anchors(page: str) -> set[str]:
    """Find the anchors of a page's headings, in the form that GitHub and similar sites generate."""
    titles = _HEADING.findall(_without_fences((PROJECT / page).read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def find_links(page: str) -> list[tuple[str, str]]:
    """Find the file and the anchor of each link to this repository."""
    return re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", _without_fences((PROJECT / page).read_text()))


def _without_fences(text: str) -> str:
    # Keep the length, so that positions stay the same.
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
