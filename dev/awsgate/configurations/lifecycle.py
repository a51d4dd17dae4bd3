"""Lifecycle. moto drops sizes and NewerNoncurrentVersions, and has no minimum size.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLifecycleConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/intro-lifecycle-rules.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/lifecycle-transition-general-considerations.html.
Where these have no code, it is the one that users of AWS report.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from xml.etree.ElementTree import Element

from ..calls import Call
from . import stored
from .model import Configuration, check_filter, invalid, malformed, not_set, put, text_of

_QUERY = "lifecycle"
_HEADER = "x-amz-transition-default-minimum-object-size"
_SIZES = ("all_storage_classes_128K", "varies_by_storage_class")
_MAX_RULES = 1000
_MAX_ID = 255
_MAX_SIZE = 1000 * 2**40
# From warm to cold, with the days that an object must stay in a class before the next.
_CLASSES = {
    "STANDARD_IA": 30,
    "INTELLIGENT_TIERING": 1,
    "ONEZONE_IA": 30,
    "GLACIER_IR": 1,
    "GLACIER": 90,
    "DEEP_ARCHIVE": 1,
}
_ACTIONS = (
    "Expiration", "Transition", "NoncurrentVersionExpiration", "NoncurrentVersionTransition",
    "AbortIncompleteMultipartUpload",
)  # fmt: skip


def _accept(call: Call, root: Element) -> Element:
    rules = root.findall("Rule")
    if not 1 <= len(rules) <= _MAX_RULES:
        raise malformed()
    _check_ids(rules)
    for rule in rules:
        _check(rule)
        _normalize(rule)
    size = call.headers.get(_HEADER, _SIZES[0])
    if size not in _SIZES:
        raise invalid("Invalid TransitionDefaultMinimumObjectSize found", "InvalidRequest")
    # Not part of the document: it comes and goes in a header.
    stored(call.bucket, _QUERY)[_HEADER] = Element(size)
    # AWS promises no order: "compare as a set".
    root[:] = sorted(rules, key=lambda rule: text_of(rule, "ID"), reverse=True)
    return root


def _headers(call: Call) -> dict[str, str]:
    return {_HEADER: stored(call.bucket, _QUERY)[_HEADER].tag}


def _check_ids(rules: list[Element]) -> None:
    ids = [text_of(rule, "ID") for rule in rules if text_of(rule, "ID")]
    if any(len(name) > _MAX_ID for name in ids):
        raise invalid(f"ID length should not exceed allowed limit of {_MAX_ID}")
    if len(set(ids)) < len(ids):
        raise invalid("Rule ID must be unique. Found same ID for more than one rule")


def _check(rule: Element) -> None:
    if text_of(rule, "Status") not in ("Enabled", "Disabled"):
        raise malformed()
    # A rule has a Filter, or the older Prefix.
    if (rule.find("Filter") is None) == (rule.find("Prefix") is None):
        raise malformed()
    check_filter(rule, "Prefix", "ObjectSizeGreaterThan", "ObjectSizeLessThan")
    _check_sizes(rule)
    if not any(rule.find(name) is not None for name in _ACTIONS):
        raise invalid("At least one action needs to be specified in a rule", "InvalidRequest")
    _check_expiration(rule)
    _check_versions(rule)
    _check_uploads(rule)
    _check_times(rule)


def _check_sizes(rule: Element) -> None:
    least = int(next((item.text or "" for item in rule.iter("ObjectSizeGreaterThan")), "0"))
    most = int(next((item.text or "" for item in rule.iter("ObjectSizeLessThan")), str(_MAX_SIZE)))
    if not 0 <= least < most <= _MAX_SIZE:
        message = "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'."
        raise invalid(message, "InvalidRequest")


def _refuse_beside_tags_and_sizes(rule: Element, name: str) -> None:
    for what, parts in (("Tags", ("Tag",)), ("Object Size", ("ObjectSizeGreaterThan", "ObjectSizeLessThan"))):
        if any(True for part in parts for _ in rule.iter(part)):
            raise invalid(f"{name} cannot be specified with {what}.", "InvalidRequest")


def _check_expiration(rule: Element) -> None:
    found = rule.find("Expiration")
    if found is None:
        return
    if len(found) != 1 or found[0].tag not in ("Days", "Date", "ExpiredObjectDeleteMarker"):
        raise malformed()
    _check_positive(found, "Days")
    if found[0].tag == "ExpiredObjectDeleteMarker":
        _refuse_beside_tags_and_sizes(rule, "ExpiredObjectDeleteMarker")


def _check_positive(parent: Element, name: str, least: int = 1) -> None:
    if parent.find(name) is not None and int(text_of(parent, name)) < least:
        raise invalid(f"'{name}' for {parent.tag} action must be a positive integer")


def _check_versions(rule: Element) -> None:
    for item in [*rule.findall("NoncurrentVersionExpiration"), *rule.findall("NoncurrentVersionTransition")]:
        if item.find("NoncurrentDays") is None:
            raise malformed()
        _check_positive(item, "NewerNoncurrentVersions")
        if item.tag == "NoncurrentVersionExpiration":
            _check_positive(item, "NoncurrentDays")


def _check_uploads(rule: Element) -> None:
    for item in rule.findall("AbortIncompleteMultipartUpload"):
        _check_positive(item, "DaysAfterInitiation")
        _refuse_beside_tags_and_sizes(rule, item.tag)


def _check_times(rule: Element) -> None:
    timed = [*rule.findall("Transition"), *rule.findall("Expiration")]
    names = {child.tag for item in timed for child in item if child.tag in ("Days", "Date")}
    if len(names) > 1:
        what = "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule"
        raise invalid(what, "InvalidRequest")
    _check_transitions(rule, "Transition", "Days", text_of(rule, "Expiration/Days"))
    _check_transitions(
        rule,
        "NoncurrentVersionTransition",
        "NoncurrentDays",
        text_of(rule, "NoncurrentVersionExpiration/NoncurrentDays"),
    )
    dates = sorted(text_of(item, "Date") for item in rule.findall("Transition"))
    expires = text_of(rule, "Expiration/Date")
    if expires and dates and dates[-1] >= expires:
        raise invalid("'Date' in the Expiration action must be later than 'Date' in the Transition action")


def _check_transitions(rule: Element, tag: str, name: str, expires: str) -> None:
    items = rule.findall(tag)
    found = [text_of(item, "StorageClass") for item in items]
    if any(storage not in _CLASSES for storage in found) or any(len(item.findall("*")) < 2 for item in items):
        raise malformed()
    if len(set(found)) < len(found):
        raise invalid(f"'StorageClass' must be different for '{tag}' actions in same 'Rule'", "InvalidRequest")
    days = {text_of(item, "StorageClass"): int(text_of(item, name)) for item in items if text_of(item, name)}
    for storage, count in days.items():
        if storage.endswith("_IA") and count < 30:
            text = f"'{name}' in {tag} action must be greater than or equal to 30 for storageClass '{storage}'"
            raise invalid(text)
    in_order = [storage for storage in _CLASSES if storage in days]
    for first, then in pairwise(in_order):
        if days[then] < days[first] + _CLASSES[first]:
            raise invalid(
                f"'{name}' in the '{tag}' action for StorageClass '{then}' must be {_CLASSES[first]} days more than in "
                f"the '{tag}' action for StorageClass '{first}'"
            )
    if expires and days and int(expires) <= max(days.values()):
        raise invalid(f"'{name}' in the Expiration action must be greater than '{name}' in the {tag} action")


def _normalize(rule: Element) -> None:
    if not text_of(rule, "ID"):
        for old in rule.findall("ID"):
            rule.remove(old)
        put(rule, "ID", f"{id(rule):x}")
    # The action of false is none, and it vanishes.
    found = rule.find("Expiration")
    if found is not None and text_of(found, "ExpiredObjectDeleteMarker") == "false":
        rule.remove(found)
    for date in _dates(rule):
        moment = datetime.fromisoformat(date.text or "")
        if (moment.hour, moment.minute, moment.second) != (0, 0, 0):
            raise invalid("'Date' must be at midnight GMT")
        date.text = moment.strftime("%Y-%m-%dT00:00:00.000Z")


def _dates(rule: Element) -> Iterator[Element]:
    return rule.iter("Date")


CONFIGURATION = Configuration(
    _QUERY,
    not_set("NoSuchLifecycleConfiguration", "The lifecycle configuration does not exist"),
    _accept,
    headers=_headers,
)
