# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Makes text of a CR or of AWS safe for a terminal. Pure."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text, with an escape in place of each control character."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
