# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The table of a bucket's settings: what is wanted, when it differs, and the arguments of s3bucket_settings.

How each is read stands in :data:`read.SETTINGS` under the same name. A new setting is a CRD field, a line
in argument_specs, a row here and there, and a row in the drift test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import owner
from .closing import is_closing
from .policy import is_applied, shown
from .spec import BLOCK_FIELDS, PUBLIC_ACLS, Wanted, invalid
from .state import UNSUPPORTED, BucketState

ASPECTS = (
    "bucket",
    "ownership",
    "public_access_block",
    "acl",
    "versioning",
    "object_lock",
    "acceleration",
    "policy",
    "tags",
    "user",
    "user_policy",
    "access_key",
    "secret",
    "service",
)

_Settings = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One setting.

    ``field`` is the CR field that asks for it; ``differs`` compares (wanted, settings as read);
    ``arguments`` are those of s3bucket_settings that repair it, none where only creation can; ``values`` tells for a
    person what is and what would be, by CR field: by default the setting as read, and those arguments.
    """

    field: str
    differs: Callable[[Wanted, _Settings], bool]
    arguments: Callable[[Wanted, _Settings], dict[str, Any]]
    is_asked: Callable[[Wanted], bool]
    values: Callable[[Wanted, _Settings], dict[str, tuple[Any, Any]]] | None = None


def _wanted_block(wanted: Wanted, settings: _Settings) -> dict[str, bool]:
    # Of an adopted bucket only what the CR gives is ours; the rest is repeated as found, because a
    # public_access suboption that is left out turns its guard off.
    found = settings["public_access_block"]
    is_adopted = settings.get("is_adopted", False)
    return {
        boto: wanted.block[name] if not is_adopted or f"publicAccessBlock.{name}" in wanted.given else found[boto]
        for name, boto in BLOCK_FIELDS.items()
    }


def _block_values(wanted: Wanted, settings: _Settings) -> dict[str, tuple[Any, Any]]:
    found, would_be = settings["public_access_block"], _wanted_block(wanted, settings)
    return {f"publicAccessBlock.{name}": (found[boto], would_be[boto]) for name, boto in BLOCK_FIELDS.items()}


def _wants_versions(wanted: Wanted, settings: _Settings) -> bool:
    # A bucket with object lock cannot suspend its versions.
    return wanted.versioning or settings["object_lock"] is True


def _policy_differs(wanted: Wanted, settings: _Settings) -> bool:
    # Of an object with a user the record is a tag in IAM, which no key that we issue can write.
    record = settings.get("policy_record", "")
    return not is_applied(settings["policy"], wanted.policy, record, is_record_safe=bool(wanted.username))


TABLE: dict[str, Row] = {
    # ACLs other than private need ownership that honors ACLs:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    "ownership": Row(
        "bucketACL",
        lambda wanted, settings: wanted.acl in PUBLIC_ACLS and settings["ownership"] == "BucketOwnerEnforced",
        lambda wanted, settings: {"object_ownership": "BucketOwnerPreferred"},
        lambda wanted: wanted.acl in PUBLIC_ACLS,
        lambda wanted, settings: {"objectOwnership": (settings["ownership"], "BucketOwnerPreferred")},
    ),
    "public_access_block": Row(
        "publicAccessBlock",
        lambda wanted, settings: settings["public_access_block"] != _wanted_block(wanted, settings),
        lambda wanted, settings: {"public_access": _wanted_block(wanted, settings)},
        lambda wanted: any(field.startswith("publicAccessBlock.") for field in wanted.given),
        _block_values,
    ),
    "acl": Row(
        "bucketACL",
        lambda wanted, settings: settings["acl"] != wanted.acl,
        lambda wanted, settings: {"acl": wanted.acl},
        lambda wanted: wanted.acl in PUBLIC_ACLS,
        lambda wanted, settings: {"bucketACL": (settings["acl"] or "grants of its own", wanted.acl)},
    ),
    "versioning": Row(
        "enableVersioning",
        lambda wanted, settings: (settings["versioning"] == "Enabled") != _wants_versions(wanted, settings),
        lambda wanted, settings: {"versioning": _wants_versions(wanted, settings)},
        lambda wanted: wanted.versioning,
        lambda wanted, settings: {
            "enableVersioning": (settings["versioning"] == "Enabled", _wants_versions(wanted, settings))
        },
    ),
    "object_lock": Row(
        "enableObjectLock",
        lambda wanted, settings: wanted.object_lock and not settings["object_lock"],
        lambda wanted, settings: {},
        lambda wanted: wanted.object_lock,
    ),
    "acceleration": Row(
        "enableTransferAcceleration",
        lambda wanted, settings: settings["acceleration"] != wanted.acceleration,
        lambda wanted, settings: {"accelerate_enabled": wanted.acceleration},
        lambda wanted: wanted.acceleration,
        lambda wanted, settings: {"enableTransferAcceleration": (settings["acceleration"], wanted.acceleration)},
    ),
    "policy": Row(
        "bucketPolicy",
        _policy_differs,
        lambda wanted, settings: {"policy": wanted.policy or {}},
        lambda wanted: wanted.policy is not None,
        lambda wanted, settings: {"bucketPolicy": (shown(settings["policy"]), wanted.policy)},
    ),
}


def unmanaged_now(wanted: Wanted, tags: dict[str, str]) -> frozenset[str]:
    """The fields that are neither compared nor written, of a bucket with these tags: creation is to apply them once."""
    return wanted.unmanaged - set(tags.get(owner.INITIAL, "").split())


def differing(
    wanted: Wanted, settings: _Settings, is_adopted: bool, unmanaged: frozenset[str] = frozenset()
) -> list[str]:
    """The settings of an existing bucket that differ, in the table's order.

    :param settings: as :func:`read.read_settings` answers, with the tag ``policy_record``
    :param unmanaged: as :func:`unmanaged_now` answers
    :raises Refused: InvalidSpec for what the CR asks and this bucket or endpoint cannot have
    """
    found = {**settings, "is_adopted": is_adopted}
    aspects = [
        aspect
        for aspect, row in TABLE.items()
        if (
            (row.field not in unmanaged and _is_managed(row, wanted, is_adopted))
            or _is_left_closed(aspect, wanted, found)
        )
        and _differs(aspect, wanted, found)
    ]
    if "object_lock" in aspects:
        raise invalid("spec.enableObjectLock", "the bucket exists without object lock, which is set at creation only")
    return aspects


def _is_left_closed(aspect: str, wanted: Wanted, settings: _Settings) -> bool:
    """Whether a deletion that never ended left its own policy, which nobody asked for and which denies all writes."""
    return aspect == "policy" and is_closing(settings[aspect], wanted.bucket_arn)


def arguments(wanted: Wanted, settings: _Settings, aspects: list[str], is_adopted: bool) -> dict[str, Any]:
    """The arguments of s3bucket_settings that repair these aspects."""
    found = {**settings, "is_adopted": is_adopted}
    merged: dict[str, Any] = {}
    for aspect in aspects:
        if aspect in TABLE:
            merged |= TABLE[aspect].arguments(wanted, found)
    return merged


def values(aspect: str, wanted: Wanted, settings: _Settings, is_adopted: bool) -> dict[str, tuple[Any, Any]]:
    """What is and what would be, by CR field, of a setting that differs."""
    row, found = TABLE[aspect], {**settings, "is_adopted": is_adopted}
    if row.values:
        return row.values(wanted, found)
    return {row.field: (settings[aspect], row.arguments(wanted, found))}


def wanted_tags(wanted: Wanted, bucket: BucketState, is_adopted: bool) -> dict[str, str]:
    """All tags the bucket should have: foreign ones as found, the CR's, and ours.

    :param is_adopted: whether the bucket was adopted, or is adopted now
    """
    kept = {
        key: value for key, value in bucket.tags.items() if key not in owner.forgotten_tags(bucket.tags, wanted.tags)
    }
    if "tags" in unmanaged_now(wanted, bucket.tags):
        tags = {**bucket.tags, **wanted.identity.tags}
    else:
        tags = {**kept, **wanted.bucket_tags}
        if owner.TAG_RECORD not in wanted.bucket_tags:
            tags.pop(owner.TAG_RECORD, None)
    tags.pop(owner.INITIAL, None)
    if is_adopted:
        tags.setdefault(owner.ADOPTED, "true")
        tags.pop(owner.RETAINED_FROM, None)
    else:
        tags.pop(owner.ADOPTED, None)
    if not wanted.identity.uid and bucket.tags.get(owner.UID):
        tags[owner.UID] = bucket.tags[owner.UID]
    return tags


def _is_managed(row: Row, wanted: Wanted, is_adopted: bool) -> bool:
    return not is_adopted or any(field.split(".")[0] == row.field for field in wanted.given)


def _differs(aspect: str, wanted: Wanted, settings: _Settings) -> bool:
    row = TABLE[aspect]
    if settings[aspect] is UNSUPPORTED:
        if row.is_asked(wanted):
            raise invalid(f"spec.{row.field}", f"this AWS endpoint or region does not support it ({aspect})")
        return False
    return row.differs(wanted, settings)
