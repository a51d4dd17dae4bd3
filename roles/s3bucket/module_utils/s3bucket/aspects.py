# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The aspects of an S3 object, which are what can differ: for a bucket its settings and its tags. Pure."""

from __future__ import annotations

from . import owner, settings
from .errors import ReconcileError
from .json_types import ApiObject
from .setting import Comparison, Setting
from .spec import Wanted
from .state import UNSUPPORTED, BucketState, Unread, Unsupported

_WITHOUT_VALUE = (Unsupported, Unread)
SETTING_NAMES = tuple(setting.name for setting in settings.ALL)
# What the record of optional settings may hold.
OPTIONAL_PARTS = frozenset(part for one in settings.ALL if one.is_optional for part in (one.name, *one.more_parts))
OPERATIONS = frozenset(item.name for one in settings.ALL for item in (one.read.operation, *one.writes))
"""The operations of the S3 API that the settings use."""
ASPECTS = ("bucket", *SETTING_NAMES, "tags", "user", "user_policy", "access_key", "secret", "service", "role")


def unmanaged_now(wanted: Wanted, tags: dict[str, str]) -> frozenset[str]:
    """Return the fields that are neither compared nor written now, because the creation has to apply them once."""
    return wanted.unmanaged - set(tags.get(owner.INITIAL, "").split())


def recorded_now(wanted: Wanted, tags: dict[str, str]) -> frozenset[str]:
    """Return the optional settings that earlier runs for this object wrote. One that is not given any more is cleared.

    The record of a bucket that is being adopted is of another object, and what it names is not this object's to clear.
    Other names than those of optional settings someone else has written: in an adopted bucket they would reset the ACL.
    """
    return owner.recorded_settings(tags) & OPTIONAL_PARTS if wanted.identity.is_owner(tags) else frozenset()


def due_settings(wanted: Wanted, tags: dict[str, str]) -> tuple[Setting, ...]:
    """Return the settings to read: those that are managed, or that the tags record as written before.

    An unmanaged setting is not read, but for what the unfinished deletion of an earlier object may have left.
    """
    recorded, unmanaged = recorded_now(wanted, tags), unmanaged_now(wanted, tags)
    is_same = bool(wanted.identity.uid) and tags.get(owner.UID) == wanted.identity.uid
    return tuple(
        setting
        for setting in settings.ALL
        if _is_managed(setting, wanted, False, unmanaged, recorded) or (setting.may_be_left_over and not is_same)
    )


def differing(
    case: Comparison, unmanaged: frozenset[str] = frozenset(), recorded: frozenset[str] = frozenset()
) -> list[str]:
    """Return the settings of an existing bucket that differ, in their order.

    :param case: ``found`` as :func:`read.read_settings` returns it, with ``policy_record``
    :param unmanaged: as :func:`unmanaged_now` returns it
    :param recorded: the optional settings that earlier runs wrote; one that the spec no longer gives is cleared
    """
    found = []
    for setting in settings.ALL:
        if isinstance(case.found.get(setting.name, UNSUPPORTED), _WITHOUT_VALUE):
            continue
        is_managed = _is_managed(setting, case.wanted, case.is_adopted, unmanaged, recorded)
        if (is_managed or setting.is_leftover(case)) and setting.differs(case):
            found.append(setting.name)
    return found


def _is_managed(
    setting: Setting, wanted: Wanted, is_adopted: bool, unmanaged: frozenset[str], recorded: frozenset[str]
) -> bool:
    is_left_alone = setting.is_unmanaged(wanted, unmanaged)
    return not is_left_alone and (setting.is_managed(wanted, is_adopted) or setting.name in recorded)


def unsupported(case: Comparison, unmanaged: frozenset[str] = frozenset()) -> list[Setting]:
    """Return the settings that the spec requests and the endpoint does not have. Parameters as in :func:`differing`."""
    return [setting for setting in _asked(case, unmanaged) if case.found.get(setting.name) is UNSUPPORTED]


def failures(case: Comparison, unmanaged: frozenset[str] = frozenset()) -> list[ReconcileError]:
    """Return what AWS could not do about settings that the spec requests. Parameters as in :func:`differing`."""
    values = [(setting, case.found.get(setting.name, UNSUPPORTED)) for setting in _asked(case, unmanaged)]
    found = [setting.failure(value) for setting, value in values if not isinstance(value, _WITHOUT_VALUE)]
    return [problem for problem in found if problem is not None]


def unread(
    case: Comparison, unmanaged: frozenset[str] = frozenset(), recorded: frozenset[str] = frozenset()
) -> dict[str, ReconcileError]:
    """Return why managed settings could not be read, by name. Parameters as in :func:`differing`."""
    values = {setting: case.found.get(setting.name) for setting in settings.ALL}
    return {
        setting.name: value.problem
        for setting, value in values.items()
        if isinstance(value, Unread) and _is_managed(setting, case.wanted, case.is_adopted, unmanaged, recorded)
    }


def _asked(case: Comparison, unmanaged: frozenset[str]) -> list[Setting]:
    return [
        setting
        for setting in settings.ALL
        if not setting.is_unmanaged(case.wanted, unmanaged)
        and setting.is_managed(case.wanted, case.is_adopted)
        and setting.is_asked(case.wanted)
    ]


def new_bucket(wanted: Wanted) -> ApiObject:
    """Return the settings of the bucket that CreateBucket makes for this object, by name.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    """
    return {setting.name: setting.of_new_bucket(wanted) for setting in due_settings(wanted, wanted.creation_tags)}


def extended_record(wanted: Wanted, tags: dict[str, str], names: list[str]) -> str:
    """Return the record of optional settings with these names added; empty if the tags have all of them.

    Whoever has the bucket's key may have written anything else into the record. It must not make the tag too long.
    """
    recorded = recorded_now(wanted, tags)
    parts = {part for name in names for part in settings.BY_NAME[name].written_parts(wanted)}
    if recorded.issuperset(parts):
        return ""
    return " ".join(sorted(recorded | parts))


def arguments(case: Comparison, names: list[str]) -> ApiObject:
    """Return what s3bucket_settings has to write for these aspects, by the name of the setting."""
    by_name = settings.BY_NAME
    return {name: by_name[name].argument(case) for name in names if name in by_name}


def wanted_tags(wanted: Wanted, bucket: BucketState, is_adopted: bool) -> dict[str, str]:
    """All tags that the bucket should have: the operator's, those of the CR, and those that others have set.

    :param is_adopted: whether the bucket was adopted, or is adopted now
    """
    kept = {key: value for key, value in bucket.tags.items() if key not in owner.stale_tags(bucket.tags, wanted.tags)}
    if "tags" in unmanaged_now(wanted, bucket.tags):
        tags = {**bucket.tags, **wanted.identity.tags}
    else:
        tags = {**kept, **wanted.bucket_tags}
        if owner.TAG_RECORD not in wanted.bucket_tags:
            tags.pop(owner.TAG_RECORD, None)
    tags.pop(owner.INITIAL, None)
    tags.pop(owner.SETTINGS, None)
    tags |= wanted.settings_record(is_adopted)
    if is_adopted:
        tags.setdefault(owner.ADOPTED, "true")
        tags.pop(owner.RETAINED_FROM, None)
    else:
        tags.pop(owner.ADOPTED, None)
    if not wanted.identity.uid and bucket.tags.get(owner.UID):
        tags[owner.UID] = bucket.tags[owner.UID]
    return tags


def has_wanted_tags(wanted: Wanted, bucket: BucketState) -> bool:
    """Return whether an owned bucket has all tags that it should have, as one that was adopted or as another one."""
    is_owned = wanted.identity.is_owner(bucket.tags)
    return is_owned and any(wanted_tags(wanted, bucket, adopted) == bucket.tags for adopted in (False, True))
