"""Rows of lifecycleRules."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from tests.gate.rows import Row

_SIZE = "TransitionDefaultMinimumObjectSize"
_GLACIER = {"StorageClass": "GLACIER"}
_ONE_DAY: dict[str, Any] = {"Expiration": {"Days": 1}}


def _live(result: dict[str, Any] | str, *rules: dict[str, Any], **more: Any) -> Row:
    """Rules with a status and an empty filter, where they have none."""
    whole = [{"ID": "a", "Status": "Enabled", **({} if "Prefix" in rule else {"Filter": {}}), **rule} for rule in rules]
    arguments = {"LifecycleConfiguration": {"Rules": whole}, **more}
    expected = {"Rules": whole, _SIZE: "all_storage_classes_128K", **result} if isinstance(result, dict) else result
    return Row("put_bucket_lifecycle_configuration", arguments, "get_bucket_lifecycle_configuration", expected)


def _filter(result: dict[str, Any] | str, action: dict[str, Any], **predicates: Any) -> Row:
    return _live(result, {"Filter": predicates, **action})


def _tag(key: str) -> dict[str, str]:
    return {"Key": key, "Value": "1"}


def _move(*transitions: tuple[int, str]) -> dict[str, Any]:
    return {"Transitions": [{"Days": days, "StorageClass": storage} for days, storage in transitions]}


def _move_old(*transitions: tuple[int, str]) -> dict[str, Any]:
    found = [{"NoncurrentDays": days, "StorageClass": storage} for days, storage in transitions]
    return {"NoncurrentVersionTransitions": found}


def _rule(**parts: Any) -> dict[str, Any]:
    return {"ID": "a", "Status": "Enabled", "Filter": {}, **parts}


_MARKER = {"Expiration": {"ExpiredObjectDeleteMarker": True}}
_ABORT = {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}}
_OLD = {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}}
ROWS = {
    "one": _live({}, _ONE_DAY),
    "older-form": _live({}, {"Prefix": "a/", **_ONE_DAY}),
    "size": _live({_SIZE: "varies_by_storage_class"}, _ONE_DAY, **{_SIZE: "varies_by_storage_class"}),
    "size-word": _live("InvalidRequest", _ONE_DAY, **{_SIZE: "128K"}),
    "another-order": _live({"Rules": [_rule(ID=name, **_ONE_DAY) for name in "ba"]}, _ONE_DAY, {"ID": "b", **_ONE_DAY}),
    "tags-in-another-order": _filter(
        {"Rules": [_rule(Filter={"And": {"Tags": [_tag("b"), _tag("a")]}}, **_ONE_DAY)]},
        _ONE_DAY, And={"Tags": [_tag("a"), _tag("b")]},
    ),
    "marker-false-vanishes": _live(
        {"Rules": [_rule(**_OLD)]}, {**_OLD, "Expiration": {"ExpiredObjectDeleteMarker": False}}
    ),
    "date-at-midnight": _live(
        {"Rules": [_rule(Expiration={"Date": datetime(2030, 1, 1, tzinfo=UTC)})]},
        {"Expiration": {"Date": "2030-01-01T00:00:00Z"}},
    ),
    "date-at-noon": _live("InvalidArgument", {"Expiration": {"Date": "2030-01-01T12:00:00Z"}}),
    "no-rule": _live("MalformedXML"),
    "1001-rules": _live("MalformedXML", *({"ID": str(at), **_ONE_DAY} for at in range(1001))),
    "id-twice": _live("InvalidArgument", _ONE_DAY, _ONE_DAY),
    "id-long": _live("InvalidArgument", {"ID": "a" * 256, **_ONE_DAY}),
    "status": _live("MalformedXML", {"Status": "On", **_ONE_DAY}),
    "no-action": _live("InvalidRequest", {}),
    "two-predicates": _filter("MalformedXML", _ONE_DAY, Prefix="a", Tag=_tag("a")),
    "and-of-one": _filter("MalformedXML", _ONE_DAY, And={"Prefix": "a"}),
    "tag-key-twice": _filter("InvalidRequest", _ONE_DAY, And={"Tags": [_tag("a"), _tag("a")]}),
    "size-order": _filter("InvalidRequest", _ONE_DAY, And={"ObjectSizeGreaterThan": 2, "ObjectSizeLessThan": 2}),
    "days-zero": _live("InvalidArgument", {"Expiration": {"Days": 0}}),
    "days-and-marker": _live("MalformedXML", {"Expiration": {"Days": 1, "ExpiredObjectDeleteMarker": True}}),
    "marker-with-tag": _filter("InvalidRequest", _MARKER, Tag=_tag("a")),
    "marker-with-size": _filter("InvalidRequest", _MARKER, ObjectSizeGreaterThan=1),
    "uploads": _live({}, _ABORT),
    "uploads-zero": _live("InvalidArgument", {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 0}}),
    "uploads-with-tag": _filter("InvalidRequest", _ABORT, And={"Prefix": "a", "Tags": [_tag("a")]}),
    "uploads-with-size": _filter("InvalidRequest", _ABORT, ObjectSizeLessThan=1),
    "versions": _live({}, _OLD),
    "versions-without-days": _live("MalformedXML", {"NoncurrentVersionExpiration": {"NewerNoncurrentVersions": 1}}),
    "versions-zero-days": _live("InvalidArgument", {"NoncurrentVersionExpiration": {"NoncurrentDays": 0}}),
    "versions-none-newer": _live(
        "InvalidArgument", {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 0}}
    ),
    "all-classes": _live(
        {}, _move((30, "STANDARD_IA"), (60, "INTELLIGENT_TIERING"), (61, "ONEZONE_IA"), (91, "GLACIER"))
    ),
    "at-once": _live({}, _move((0, "GLACIER_IR"))),
    "class": _live("MalformedXML", _move((30, "STANDARD"))),
    "class-alone": _live("MalformedXML", {"Transitions": [_GLACIER]}),
    "class-twice": _live("InvalidRequest", _move((30, "GLACIER"), (60, "GLACIER"))),
    "infrequent-access-early": _live("InvalidArgument", _move((29, "ONEZONE_IA"))),
    "class-order": _live("InvalidArgument", _move((30, "DEEP_ARCHIVE"), (200, "GLACIER"))),
    "days-in-infrequent-access": _live("InvalidArgument", _move((30, "STANDARD_IA"), (59, "GLACIER"))),
    "days-in-glacier": _live("InvalidArgument", _move((30, "GLACIER"), (119, "DEEP_ARCHIVE"))),
    "expires-first": _live("InvalidArgument", {**_move((30, "GLACIER")), "Expiration": {"Days": 30}}),
    "expires-first-by-date": _live(
        "InvalidArgument",
        {"Transitions": [{"Date": "2030-01-01", **_GLACIER}], "Expiration": {"Date": "2030-01-01"}},
    ),
    "mixed-times": _live(
        "InvalidRequest", {"Transitions": [{"Date": "2030-01-01", **_GLACIER}], "Expiration": {"Days": 99}}
    ),
    "versions-infrequent-access-early": _live("InvalidArgument", _move_old((29, "STANDARD_IA"))),
    "versions-expire-first": _live("InvalidArgument", {**_move_old((1, "GLACIER")), **_OLD}),
}  # fmt: skip
