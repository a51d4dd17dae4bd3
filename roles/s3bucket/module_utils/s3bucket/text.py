# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Text of a CR or of AWS, for a person's terminal. Pure."""

from __future__ import annotations


def printable(text: str) -> str:
    """The text, with an escape in place of each character that a terminal would act on."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
