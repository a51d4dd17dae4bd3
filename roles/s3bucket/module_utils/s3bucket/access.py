# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an S3 object requests of the IAM users that have access to its bucket. Pure.

The first user is that of ``spec.iamUser``. It claims the bucket's name in IAM, and its tags hold the records of the
bucket that no tenant may write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as field_of

from . import grants, user_tags
from .json_types import ApiObject
from .rotation import Rotation
from .secrets import WantedSecret
from .values import mapping_of, text_of

# The field of the first user.
FIRST = "iamUser"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
USER_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class WantedUser:
    """What an S3 object requests of one IAM user. ``field``: the user's field in the spec, for messages and plans."""

    username: str
    field: str
    secret: WantedSecret
    mode: str = "Full"
    prefixes: tuple[str, ...] = ()
    tags: dict[str, str] = field_of(default_factory=dict)
    rotation: Rotation | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is the user of ``spec.iamUser``."""
        return self.field == FIRST

    @property
    def in_plan(self) -> str:
        """What the fields of the user's key and Secret begin with in a plan."""
        return "" if self.is_first else f"{self.field}."


def secret_name_of(name: str) -> str:
    """The name of the first user's Secret, as in the Go operator.

    :param name: the S3 object's name
    """
    return f"{name}-iam-secret"


def users_of(spec: ApiObject, name: str, *, is_deleting: bool = False) -> tuple[WantedUser, ...]:
    """Read the users of a spec: first that of ``spec.iamUser``; none where it has no name.

    :param name: the S3 object's name
    :param is_deleting: what a deletion does not need is not read, so that a bad spec can always be deleted
    :raises ReconcileError: InvalidSpec for a value that is not allowed
    """
    user = mapping_of(spec.get(FIRST) or {}, "spec.iamUser")
    username = text_of(user.get("username", ""), "spec.iamUser.username")
    rights = {} if is_deleting else _rights_of(user, "spec.iamUser")
    return (WantedUser(username, FIRST, WantedSecret(secret_name_of(name)), **rights),) if username else ()


def _rights_of(user: ApiObject, path: str) -> ApiObject:
    """The fields of a user that limit its rights, and its tags.

    :param path: the user's field in the spec
    """
    return {
        "mode": grants.mode_of(user.get("accessMode"), f"{path}.accessMode"),
        "prefixes": grants.prefixes_of(user.get("prefixes"), f"{path}.prefixes"),
        "tags": user_tags.tags_of(user.get("tags"), f"{path}.tags"),
    }
