# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is there in AWS for one S3 object, as read. ``UNSUPPORTED`` marks what an endpoint does not have."""

from __future__ import annotations

from dataclasses import dataclass, field

from .json_types import ApiObject


class Unsupported:
    """The endpoint has no such feature (S3-compatible stores, some regions)."""

    def __repr__(self) -> str:
        return "unsupported"


UNSUPPORTED = Unsupported()


@dataclass
class BucketState:
    """A bucket of our account. Settings are read only once it is known to be ours."""

    region: str
    tags: dict[str, str]
    settings: ApiObject = field(default_factory=dict)


@dataclass
class UserState:
    """An IAM user of our account with all that can give it rights."""

    arn: str
    tags: dict[str, str]
    policies: dict[str, ApiObject] = field(default_factory=dict)
    # ARNs of managed policies.
    attached: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    boundary: str = ""
    # RFC 3339; of two users that claim one bucket name without rights on it, the older one keeps it.
    created: str = ""
