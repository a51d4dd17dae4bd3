# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When the access key of a user is rotated. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rotation:
    """How old a key becomes, and how long the one before it is kept, in seconds."""

    interval_s: float
    grace_s: float
    max_grace_s: float
