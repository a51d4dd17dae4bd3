# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks the rules of ``lifecycleRules``, one by one. Pure.

The CRD refuses the same values. https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from itertools import pairwise
from typing import Any

from .filters import parse_filter
from .json_types import ApiObject
from .values import choice_of, fields_of, flag_of, invalid, text_of

# From warm to cold: objects move only in this direction.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html
CLASSES = ("STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
_INFREQUENT_ACCESS = ("STANDARD_IA", "ONEZONE_IA")
_MIN_INFREQUENT_ACCESS_DAYS = 30
_ACTIONS = (
    "expiration",
    "transitions",
    "noncurrentVersionExpiration",
    "noncurrentVersionTransitions",
    "abortIncompleteMultipartUploadDays",
)
_FIELDS = ("id", "enabled", "filter", *_ACTIONS)
_PREDICATES = ("prefix", "tags", "objectSizeGreaterThan", "objectSizeLessThan")
_MAX_ID = 255
_MAX_DAYS = 2**31 - 1
_MAX_NEWER_VERSIONS = 100
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-filters.html
_MAX_SIZE = 1000 * 2**40


def parse_rule(value: object, path: str) -> ApiObject:
    """Return a checked rule, without parts that have no effect.

    :param path: the rule's name for errors, for example ``spec.lifecycleRules[0]``
    :raises ReconcileError: InvalidSpec naming the field
    """
    given = fields_of(value, path, _FIELDS)
    rule: ApiObject = {
        "id": _parse_id(given.get("id"), f"{path}.id"),
        "enabled": flag_of(given.get("enabled", True), f"{path}.enabled"),
        "filter": _parse_filter(given.get("filter"), f"{path}.filter"),
    }
    actions = {name: _PARSERS[name](given[name], f"{path}.{name}") for name in _ACTIONS if name in given}
    rule |= {name: action for name, action in actions.items() if action not in ({}, [])}
    if not set(rule) & set(_ACTIONS):
        raise invalid(path, f"needs an action: one of {', '.join(_ACTIONS)}")
    _check_filter_of_actions(rule, path)
    _check_order(rule, path)
    return rule


def _parse_id(value: object, path: str) -> str:
    if not 1 <= len(text_of(value, path)) <= _MAX_ID:
        raise invalid(path, f"must have 1 to {_MAX_ID} characters")
    return str(value)


def _parse_filter(value: object, path: str) -> ApiObject:
    found = parse_filter(value, path, _PREDICATES)
    least, most = found.get("objectSizeGreaterThan", 0), found.get("objectSizeLessThan", _MAX_SIZE)
    if not 0 <= least < most <= _MAX_SIZE:
        raise invalid(f"{path}.objectSizeLessThan", f"must be more than objectSizeGreaterThan and at most {_MAX_SIZE}")
    return found


def _expiration(value: object, path: str) -> ApiObject:
    given = fields_of(value, path, ("days", "date", "expiredObjectDeleteMarker"))
    # AWS does nothing for false.
    if not flag_of(given.pop("expiredObjectDeleteMarker", False), f"{path}.expiredObjectDeleteMarker"):
        return _parse_time(given, path, least=1) if given else {}
    if given:
        raise invalid(path, "must have one of days, date and expiredObjectDeleteMarker")
    return {"expiredObjectDeleteMarker": True}


def _transitions(value: object, path: str) -> list[ApiObject]:
    found = []
    for at, item in enumerate(_list_of(value, path)):
        where = f"{path}[{at}]"
        given = fields_of(item, where, ("days", "date", "storageClass"))
        storage = choice_of(given.pop("storageClass", None), f"{where}.storageClass", CLASSES)
        time = _parse_time(given, where, least=_least_days(storage))
        found.append({**time, "storageClass": storage})
    return _unique(found, path)


def _old_expiration(value: object, path: str) -> ApiObject:
    return _parse_versions(fields_of(value, path, ("noncurrentDays", "newerNoncurrentVersions")), path, least=1)


def _old_transitions(value: object, path: str) -> list[ApiObject]:
    found = []
    for at, item in enumerate(_list_of(value, path)):
        where = f"{path}[{at}]"
        given = fields_of(item, where, ("noncurrentDays", "newerNoncurrentVersions", "storageClass"))
        storage = choice_of(given.pop("storageClass", None), f"{where}.storageClass", CLASSES)
        found.append({**_parse_versions(given, where, _least_days(storage)), "storageClass": storage})
    return _unique(found, path)


def _days(value: object, path: str, least: int = 1) -> int:
    return _number(value, path, least, _MAX_DAYS)


def _number(value: object, path: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(path, f"must be a number from {least} to {most}")
    return value


def _least_days(storage: str) -> int:
    return _MIN_INFREQUENT_ACCESS_DAYS if storage in _INFREQUENT_ACCESS else 0


def _parse_time(given: ApiObject, path: str, least: int) -> ApiObject:
    if len(given) != 1:
        raise invalid(path, "must have either days or date")
    if "days" in given:
        return {"days": _days(given["days"], f"{path}.days", least)}
    text = text_of(given["date"], f"{path}.date")
    try:
        if date.fromisoformat(text).isoformat() == text:
            return {"date": text}
    except ValueError:
        pass
    raise invalid(f"{path}.date", 'must be a date such as "2030-01-31": AWS acts at midnight UTC')


def _parse_versions(given: ApiObject, path: str, least: int) -> ApiObject:
    found = {"noncurrentDays": _days(given.get("noncurrentDays"), f"{path}.noncurrentDays", least)}
    if "newerNoncurrentVersions" in given:
        name = "newerNoncurrentVersions"
        found[name] = _number(given[name], f"{path}.{name}", 1, _MAX_NEWER_VERSIONS)
    return found


def _list_of(value: object, path: str) -> list[object]:
    if not isinstance(value, list):
        raise invalid(path, "must be a list")
    return value


def _unique(found: list[ApiObject], path: str) -> list[ApiObject]:
    if len({item["storageClass"] for item in found}) < len(found):
        raise invalid(path, "must not have a storageClass twice")
    return found


def _check_filter_of_actions(rule: ApiObject, path: str) -> None:
    # What has no tags and no size: a delete marker, an unfinished upload.
    if not set(rule["filter"]) - {"prefix"}:
        return
    only = "must not be given with a filter for tags or sizes"
    if "abortIncompleteMultipartUploadDays" in rule:
        raise invalid(f"{path}.abortIncompleteMultipartUploadDays", only)
    if "expiredObjectDeleteMarker" in rule.get("expiration", {}):
        raise invalid(f"{path}.expiration.expiredObjectDeleteMarker", only)


def _check_order(rule: ApiObject, path: str) -> None:
    """Refuse days beside dates, and what would happen to an object before it can."""
    timed = [*rule.get("transitions", []), *([rule["expiration"]] if "expiration" in rule else [])]
    if any("days" in item for item in timed) and any("date" in item for item in timed):
        raise invalid(path, "must have either days or dates in transitions and expiration, not both")
    for name, expiration in (
        ("transitions", rule.get("expiration", {})),
        ("noncurrentVersionTransitions", rule.get("noncurrentVersionExpiration", {})),
    ):
        items = sorted(rule.get(name, []), key=lambda item: CLASSES.index(item["storageClass"]))
        times = [_time_of(item) for item in [*items, expiration] if _time_of(item) is not None]
        if any(later <= sooner for sooner, later in pairwise(times)):
            raise invalid(f"{path}.{name}", f"must be in the order {', '.join(CLASSES)}, and before the expiration")


def _time_of(item: ApiObject) -> Any:
    return next((item[name] for name in ("days", "date", "noncurrentDays") if name in item), None)


_PARSERS: dict[str, Callable[[object, str], Any]] = {
    "expiration": _expiration,
    "transitions": _transitions,
    "noncurrentVersionExpiration": _old_expiration,
    "noncurrentVersionTransitions": _old_transitions,
    "abortIncompleteMultipartUploadDays": _days,
}
