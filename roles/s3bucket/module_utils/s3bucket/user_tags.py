# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The tags of an IAM user or role: those of the spec, the operator's, and those that others have set. Pure.

IAM does not distinguish the keys of a user's or role's tags by case, unlike S3
(https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#case-sensitivity). A key that differs from another one
only in case would replace it, also an owner tag. So every comparison of keys here ignores the case.
"""

from __future__ import annotations

import re

from . import owner
from .errors import ReconcileError
from .values import invalid, mapping_of

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MAX_TAGS = 50
MAX_GIVEN = 20
# The operator's own tags of a user, without the record of other users: four of the owner, and those of its records that
# come and go. A key that cannot be recorded would be created and deleted again in each run.
_OWN = (
    *(owner.CLUSTER, owner.NAMESPACE, owner.NAME, owner.UID, owner.BUCKET, owner.TAG_RECORD, owner.KEY),
    *(owner.UNMANAGED_KEYS, owner.OLD_KEY, owner.ROTATED, owner.ORIGIN, owner.POLICY, owner.SECRET),
)
# The characters that both S3 and IAM allow. https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules_creating
TAG_KEY = re.compile(r"[\w .:/=+@-]{1,128}")
TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
_RESERVED = ("aws:", owner.PREFIX, "__ansible")


def tags_of(value: object, field: str) -> dict[str, str]:
    """Read the tags that the spec gives a user or role.

    :raises ReconcileError: InvalidSpec
    """
    tags = {} if value is None else mapping_of(value, field)
    if len(tags) > MAX_GIVEN:
        raise invalid(field, f"has {len(tags)} tags: at most {MAX_GIVEN} fit beside the operator's own")
    seen: dict[str, str] = {}
    for key, text in tags.items():
        _check(key, text, field)
        same = seen.setdefault(key.lower(), key)
        if same != key:
            raise invalid(f"{field}[{key}]", f"IAM takes it for {same}: it does not distinguish keys by case")
    return dict(tags)


def _check(key: object, text: object, field: str) -> None:
    shown = f"{field}[{ascii(key)[1:-1]}]"
    if not isinstance(text, str):
        raise invalid(shown, "must be a string: put it in quotes")
    if not (isinstance(key, str) and TAG_KEY.fullmatch(key) and TAG_VALUE.fullmatch(text)):
        raise invalid(shown, "is not a tag that IAM allows: letters, digits, spaces and _.:/=+-@")
    if key.lower().startswith(_RESERVED):
        raise invalid(shown, f"the prefixes {', '.join(_RESERVED)} are reserved")


def check_room(given: dict[str, str], operator_tags: dict[str, str], more: int, field: str) -> None:
    """Refuse tags of the spec that leave no room for those of the operator.

    :param more: the number of tags that record other users
    :raises ReconcileError: InvalidSpec
    """
    count, room = len(in_force(given, operator_tags)), MAX_TAGS - len(operator_tags) - len(_OWN) - more
    if count > room:
        raise invalid(field, f"has {count} tags: at most {room} fit beside the operator's own")


def in_force(given: dict[str, str], operator_tags: dict[str, str]) -> dict[str, str]:
    """The tags of the spec without those that the operator's own tags override."""
    overriding = {key.lower() for key in operator_tags}
    return {key: value for key, value in given.items() if key.lower() not in overriding}


def with_record(given: dict[str, str]) -> dict[str, str]:
    """The tags of the spec, and the tag that records their keys. A key that leaves the spec is then removed."""
    return {**given, owner.TAG_RECORD: owner.encode_tag_record(list(given))} if given else {}


def stale(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """The keys of a user's or role's tags that earlier runs set, and that are no longer wanted.

    :param wanted: all tags that this object sets
    """
    names = {key.lower() for key in wanted}
    record = [owner.TAG_RECORD] if owner.TAG_RECORD in found and owner.TAG_RECORD not in wanted else []
    return [*(key for key in owner.stale_tags(found, wanted) if key.lower() not in names), *record]


def merged(found: dict[str, str], wanted: dict[str, str]) -> dict[str, str]:
    """All tags that a user or role should have: those that are found, without stale ones, and the wanted ones."""
    names, goes = {key.lower() for key in wanted}, stale(found, wanted)
    kept = {key: value for key, value in found.items() if key in wanted or key.lower() not in names}
    return {**{key: value for key, value in kept.items() if key not in goes}, **wanted}


def find_excess(name: str, tags: dict[str, str], field: str) -> ReconcileError | None:
    """Why IAM would refuse that many tags on a user or role."""
    if len(tags) <= MAX_TAGS:
        return None
    return invalid(
        field,
        f"{name} would have {len(tags)} tags, and AWS allows {MAX_TAGS}: remove tags from the field, or remove tags "
        "that others have set",
    )
