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
from .metadata import Metadata
from .rotation import Rotation, rotation_of
from .secrets import WantedSecret, former_secret_of, secret_of
from .values import fields_of, invalid, mapping_of, text_of

# The field of the first user.
FIRST = "iamUser"
# The field of the others.
ADDITIONAL = "additionalUsers"
MAX_ADDITIONAL = 10
MAX_ALSO_USED = 8
_OBJECT_NAME = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_FIELDS = ("username", "accessMode", "prefixes", "tags", "secret", "keyRotation")
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
USER_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
NO_USER_NAME = "is not a name that IAM allows: 1 to 64 of A-Z, a-z, 0-9, _+=,.@-"
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
_SECRET_PART = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")


@dataclass(frozen=True)
class OtherBucket:
    """The bucket of another S3 object of the same namespace, which a user may also use, and what it may do there."""

    name: str
    mode: str


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
    also_uses: tuple[OtherBucket, ...] = ()

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


def secret_name_of(name: str, username: str = "") -> str:
    """The default name of a Secret: of the first user as in the Go operator, of others with the user's name in it.

    :param name: the S3 object's name
    """
    return f"{name}-{username}-iam-secret" if username else f"{name}-iam-secret"


def users_of(spec: ApiObject, name: str, common: Metadata | None) -> tuple[WantedUser, ...]:
    """Read the users of a spec: first that of ``spec.iamUser``; none where it has no name.

    :param name: the S3 object's name
    :param common: the labels and annotations of all Secrets. None for an object that is being deleted: what has a name
        is read, and nothing else is refused
    :raises ReconcileError: InvalidSpec
    """
    is_deleting = common is None
    first = mapping_of(spec.get(FIRST) or {}, "spec.iamUser")
    username = text_of(first.get("username", ""), "spec.iamUser.username")
    rights = {} if is_deleting else _rights_of(first, "spec.iamUser")
    also = () if is_deleting else _also_uses_of(first.get("alsoUses"), name)
    secret = _secret_of(spec.get("secret"), "spec.secret", secret_name_of(name), common)
    users = [WantedUser(username, FIRST, secret, **rights, also_uses=also)] if username else []
    given = spec.get(ADDITIONAL)
    if is_deleting:
        items = given if isinstance(given, list) else []
        named = [item for item in items if isinstance(item, dict) and _is_name(item.get("username"))]
        return (*users, *(additional_user(item["username"], name, item.get("secret")) for item in named if users))
    users += [_read_additional(item, at, name, common) for at, item in enumerate(_items_of(given))]
    _check_additional(users)
    return tuple(users)


def _also_uses_of(given: object, own_name: str) -> tuple[OtherBucket, ...]:
    path = f"spec.{FIRST}.alsoUses"
    items = [] if given is None else given
    if not isinstance(items, list) or len(items) > MAX_ALSO_USED:
        raise invalid(path, f"must be a list of at most {MAX_ALSO_USED} S3 objects")
    found: dict[str, OtherBucket] = {}
    for at, item in enumerate(items):
        fields = fields_of(item, f"{path}[{at}]", ("name", "accessMode"))
        name = text_of(fields.get("name"), f"{path}[{at}].name")
        if not _OBJECT_NAME.fullmatch(name):
            raise invalid(f"{path}[{at}].name", "is not the name of an S3 object: 1 to 63 of a-z, 0-9 and '-'")
        if name == own_name or name in found:
            raise invalid(f"{path}[{at}].name", "is that of this object, or is named twice: name others, each once")
        found[name] = OtherBucket(name, grants.mode_of(fields.get("accessMode"), f"{path}[{at}].accessMode"))
    return tuple(found.values())


def _items_of(given: object) -> list[object]:
    if given is None:
        return []
    if not isinstance(given, list) or len(given) > MAX_ADDITIONAL:
        raise invalid(f"spec.{ADDITIONAL}", f"must be a list of at most {MAX_ADDITIONAL} users")
    return given


def _is_name(value: object) -> bool:
    return isinstance(value, str) and bool(USER_NAME.fullmatch(value))


def _secret_of(spec: object, path: str, default_name: str, common: Metadata | None) -> WantedSecret:
    return former_secret_of(spec, default_name) if common is None else secret_of(spec, path, default_name, common)


def _read_additional(item: object, at: int, name: str, common: Metadata | None) -> WantedUser:
    path = f"spec.{ADDITIONAL}[{at}]"
    given = fields_of(item, path, _FIELDS)
    username = text_of(given.get("username"), f"{path}.username")
    if not USER_NAME.fullmatch(username):
        raise invalid(f"{path}.username", NO_USER_NAME)
    if not _SECRET_PART.fullmatch(username):
        raise invalid(
            f"spec.{ADDITIONAL}[{username}].username",
            "cannot be part of the name of its Secret, which may have only a-z, 0-9, '-' and '.'",
        )
    field = f"{ADDITIONAL}[{username}]"
    secret = _secret_of(given.get("secret"), f"spec.{field}.secret", secret_name_of(name, username), common)
    return WantedUser(username, field, secret, **_rights_of(given, f"spec.{field}"))


def additional_user(username: str, name: str, secret: object = None) -> WantedUser:
    """An additional user of an object that is being deleted, or one that the spec no longer has.

    :param name: the S3 object's name
    :param secret: the field ``secret``, of which no error matters
    """
    return WantedUser(username, f"{ADDITIONAL}[{username}]", former_secret_of(secret, secret_name_of(name, username)))


def _check_additional(users: list[WantedUser]) -> None:
    if users and not users[0].is_first:
        raise invalid(f"spec.{ADDITIONAL}", "needs spec.iamUser, which records in IAM who has the bucket: give it, too")
    names: dict[str, WantedUser] = {}
    for user in users:
        same = names.setdefault(user.username.lower(), user)
        if same is not user:
            message = f"is the name of {same.field}, too: IAM does not distinguish user names by case"
            raise invalid(f"spec.{user.field}.username", message)
    secrets: dict[str, WantedUser] = {}
    for user in users:
        same = secrets.setdefault(user.secret.name, user)
        if same is not user:
            raise invalid(
                f"{user.secret_field}.name", f"is the name of the Secret of {same.field}, too: choose another"
            )


def _rights_of(user: ApiObject, path: str) -> ApiObject:
    """The fields of a user that limit its rights, its tags, and when its key is rotated.

    :param path: the user's field in the spec
    """
    return {
        "mode": grants.mode_of(user.get("accessMode"), f"{path}.accessMode"),
        "prefixes": grants.prefixes_of(user.get("prefixes"), f"{path}.prefixes"),
        "tags": user_tags.tags_of(user.get("tags"), f"{path}.tags"),
        "rotation": rotation_of(user.get("keyRotation"), f"{path}.keyRotation"),
    }
