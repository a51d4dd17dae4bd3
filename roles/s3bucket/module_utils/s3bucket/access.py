# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an S3 object requests of the IAM users that have access to its bucket. Pure.

The first user is that of ``spec.iamUser``. It claims the bucket's name in IAM, and its tags hold the records of the
bucket that no tenant may write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from dataclasses import field as field_of

from .json_types import ApiObject
from .metadata import Metadata
from .rotation import Rotation
from .secrets import WantedSecret, former_secret_of, secret_of
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
    def secret_field(self) -> str:
        """The field of the Secret in the spec, for messages."""
        return "spec.secret" if self.is_first else f"spec.{self.field}.secret"

    @property
    def in_plan(self) -> str:
        """What the fields of the user's key and Secret begin with in a plan."""
        return "" if self.is_first else f"{self.field}."


def secret_name_of(name: str) -> str:
    """The name of the first user's Secret, as in the Go operator.

    :param name: the S3 object's name
    """
    return f"{name}-iam-secret"


def users_of(spec: ApiObject, name: str, common: Metadata | None) -> tuple[WantedUser, ...]:
    """Read the users of a spec: first that of ``spec.iamUser``; none where it has no name.

    :param name: the S3 object's name
    :param common: the labels and annotations of all Secrets; None for an object that is being deleted
    :raises ReconcileError: InvalidSpec for a value of a wrong type
    """
    user = mapping_of(spec.get(FIRST) or {}, "spec.iamUser")
    username = text_of(user.get("username", ""), "spec.iamUser.username")
    if not username:
        return ()
    return (WantedUser(username, FIRST, _secret_of(spec.get("secret"), "spec.secret", secret_name_of(name), common)),)


def _secret_of(spec: object, path: str, default_name: str, common: Metadata | None) -> WantedSecret:
    return former_secret_of(spec, default_name) if common is None else secret_of(spec, path, default_name, common)
