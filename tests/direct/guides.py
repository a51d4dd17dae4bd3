"""The commands and files of the guides, as their text has them."""

from __future__ import annotations

import re

from tests.support.world import PROJECT

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(guide: str, kind: str, section: str = "") -> list[str]:
    """The code blocks of a kind (``sh``: its commands are run by a test), of one section or of all."""
    text = (PROJECT / guide).read_text()
    if section:
        level = section.partition(" ")[0]
        text = text.partition(f"\n{section}\n")[2].partition(f"\n{level} ")[0]
    return [body for name, body in _BLOCK.findall(text) if name == kind]


def commands(guide: str, section: str = "") -> list[str]:
    """The commands of the ``sh`` blocks, without their comments, in order."""
    lines = [line for block in blocks(guide, "sh", section) for line in block.splitlines()]
    return [line.partition(" # ")[0].strip() for line in lines if line.strip()]
