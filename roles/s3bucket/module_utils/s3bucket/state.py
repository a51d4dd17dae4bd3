# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The state of one S3 object in AWS, as read.

``UNSUPPORTED`` marks a setting that the endpoint does not have, ``Unread`` one that the operator may not read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from .errors import ReconcileError
from .json_types import ApiObject


class Unsupported:
    """The endpoint does not have the feature (S3-compatible stores, some regions)."""

    def __repr__(self) -> str:
        return "unsupported"


UNSUPPORTED = Unsupported()


@dataclass(frozen=True)
class Unread:
    """The value of a setting is unknown, because AWS denies the operator to read it. It is no difference."""

    problem: ReconcileError


@dataclass
class BucketState:
    """A bucket in the operator's account. Its settings are read only once ownership is established."""

    region: str
    tags: dict[str, str]
    settings: ApiObject = field(default_factory=dict)


@dataclass
class UserState:
    """An IAM user in the operator's account, with everything that can give it rights."""

    arn: str
    tags: dict[str, str]
    policies: dict[str, ApiObject] = field(default_factory=dict)
    # ARNs of managed policies.
    attached: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    # Key id to status (Active, Inactive), and to the time of creation.
    keys: dict[str, str] = field(default_factory=dict)
    keys_created: dict[str, datetime] = field(default_factory=dict)
    boundary: str = ""
    # RFC 3339. When two users claim one bucket name and neither has rights on it, the older user keeps it.
    created: str = ""
