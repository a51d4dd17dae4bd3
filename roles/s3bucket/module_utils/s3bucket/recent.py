# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What runs have just replaced in a bucket's configuration, so that an old answer of AWS is not taken for drift. Pure.

"Bucket configurations have an eventual consistency model": for some minutes after a PUT, a GET may return the value
from before. https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel

The record is ``status.recentWrites`` of the S3 object: for each optional setting that a run wrote, a digest of the
value that it replaced, and the time. It survives a restart of the operator. A later run adds to it what it wrote.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from .json_types import ApiObject, Json
from .settings import BY_NAME

OLD_ANSWERS = timedelta(minutes=5)
"""For this time after a write, the value that it replaced is taken for an old answer."""
STATUS = "recentWrites"
_FIELDS = ("aspect", "replaced", "time")
_MAX_TEXT = 64


def digest(value: object) -> str:
    """Return a digest that is equal for equal values: plain data, with sets."""
    return hashlib.sha256(_text(value).encode()).hexdigest()[:16]


def record(replaced: Mapping[str, str], now: datetime) -> list[Json]:
    """Return the value of ``status.recentWrites``.

    :param replaced: the digest of the value before, by aspect
    """
    time = now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [{"aspect": aspect, "replaced": before, "time": time} for aspect, before in sorted(replaced.items())]


def merged(status: Mapping[str, object], written: object, now: datetime) -> list[Json]:
    """Return the value of ``status.recentWrites`` after a run: what it wrote, and what earlier runs wrote just before.

    :param status: the object's status before, which its namespace may be able to write
    :param written: what :func:`record` returned
    """
    young = [item for item in _entries(status.get(STATUS)) if _is_young(item, now) and _is_optional(item)]
    found = {str(item["aspect"]): item for item in [*young, *_entries(written)]}
    return [{name: str(item.get(name))[:_MAX_TEXT] for name in _FIELDS} for _, item in sorted(found.items())]


def old_answers(
    differs: Iterable[str], found: Mapping[str, str], status: Mapping[str, object], now: datetime
) -> set[str]:
    """Return the aspects whose difference is an old answer.

    :param found: the digest of the current value, by aspect
    :param status: the object's status, which its namespace may be able to write: an entry from the future is not used
    """
    entries = _entries(status.get(STATUS))
    young = {str(item.get("aspect")): item.get("replaced") for item in entries if _is_young(item, now)}
    return {aspect for aspect in differs if aspect in found and young.get(aspect) == found[aspect]}


def _entries(listed: object) -> list[ApiObject]:
    return [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []


def _is_optional(item: ApiObject) -> bool:
    setting = BY_NAME.get(str(item.get("aspect")))
    return setting is not None and setting.is_optional


def _is_young(item: ApiObject, now: datetime) -> bool:
    try:
        return timedelta(0) <= now - datetime.fromisoformat(str(item.get("time"))) < OLD_ANSWERS
    except (ValueError, TypeError):
        return False


def _text(value: object) -> str:
    """Like repr, but the same in each process: repr lists the members of a set in any order."""
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{key!r}:{_text(part)}' for key, part in value.items()))}}}"
    if isinstance(value, (set, frozenset)):
        return f"<{','.join(sorted(map(_text, value)))}>"
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_text, value))}]"
    return repr(value)
