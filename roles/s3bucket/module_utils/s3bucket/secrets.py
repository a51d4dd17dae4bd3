# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an S3 object requests of the Secret of one of its users. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class WantedSecret:
    """The name of a Secret, and what it holds beside the key pair."""

    name: str
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    layout: str = "AWS"
    keys: dict[str, str] = field(default_factory=dict)
