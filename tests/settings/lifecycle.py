"""lifecycleRules and lifecycleMinimumObjectSize."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.support.settings import Case, Row, Subject

SIZE = "TransitionDefaultMinimumObjectSize"
LARGE, SMALL = "all_storage_classes_128K", "varies_by_storage_class"
NEW_YEAR = datetime(2030, 1, 1, tzinfo=UTC)
TAG = {"Key": "class", "Value": "temporary"}


def answer(*rules: dict[str, Any], size: str = LARGE) -> dict[str, Any]:
    """AWS's answer: it adds the minimum size."""
    return {"Rules": [{"Status": "Enabled", **rule} for rule in rules], SIZE: size}


def spec(rule: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """The fields of a spec for one rule."""
    return {"lifecycleRules": [{"id": "one", **rule}], **fields}


CASES = {
    "example": Case(
        answer(
            {
                "ID": "logs",
                "Filter": {"Prefix": "logs/"},
                "Transitions": [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 90, "StorageClass": "GLACIER"}],
                "Expiration": {"Days": 365},
            },
            {
                "ID": "cleanup",
                "Filter": {},
                "Expiration": {"ExpiredObjectDeleteMarker": True},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 90, "NewerNoncurrentVersions": 3},
                "NoncurrentVersionTransitions": [
                    {"NoncurrentDays": 30, "NewerNoncurrentVersions": 1, "StorageClass": "STANDARD_IA"}
                ],
                "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
            },
        )
    ),
    "tag-and-date": Case(
        answer({"ID": "one", "Status": "Disabled", "Filter": {"Tag": TAG}, "Expiration": {"Date": NEW_YEAR}}),
        spec({"enabled": False, "filter": {"tags": {"class": "temporary"}}, "expiration": {"date": "2030-01-01"}}),
    ),
    "several-predicates": Case(
        answer(
            {
                "ID": "one",
                "Filter": {
                    "And": {
                        "Prefix": "a/",
                        "ObjectSizeGreaterThan": 0,
                        "ObjectSizeLessThan": 1024,
                        "Tags": [TAG, {"Key": "a", "Value": ""}],
                    }
                },
                "Transitions": [{"Date": NEW_YEAR, "StorageClass": "DEEP_ARCHIVE"}],
            },
            size=SMALL,
        ),
        spec(
            {
                "filter": {
                    "prefix": "a/",
                    "tags": {"class": "temporary", "a": ""},
                    "objectSizeGreaterThan": 0,
                    "objectSizeLessThan": 1024,
                },
                "transitions": [{"date": "2030-01-01", "storageClass": "DEEP_ARCHIVE"}],
            },
            lifecycleMinimumObjectSize=SMALL,
        ),
    ),
    # AWS has no transition of 0 days to STANDARD_IA. Without a size it uses its default again.
    "size-and-zero-days": Case(
        answer(
            {
                "ID": "one",
                "Filter": {"ObjectSizeGreaterThan": 1},
                "Transitions": [{"Days": 0, "StorageClass": "INTELLIGENT_TIERING"}],
            }
        ),
        spec(
            {
                "filter": {"prefix": "", "objectSizeGreaterThan": 1},
                "transitions": [{"days": 0, "storageClass": "INTELLIGENT_TIERING"}],
                "expiration": {"expiredObjectDeleteMarker": False},
            }
        ),
    ),
}
CLEARED = "NoSuchLifecycleConfiguration"


def _put(subject: Subject, change: Callable[[list[dict[str, Any]]], Any] = list, size: str = LARGE) -> None:
    """Change the rules that the bucket has."""
    s3, bucket = subject.world.s3, subject.bucket
    rules = s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]
    change(rules)
    configuration = {"LifecycleConfiguration": {"Rules": rules}, SIZE: size}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, **configuration)


def _row(change: Callable[[list[dict[str, Any]]], Any]) -> Row:
    return Row("lifecycle", "lifecycleRules", lambda s: _put(s, change))


def _add(rules: list[dict[str, Any]]) -> None:
    rules.append({"ID": "other", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 1}})


def _reorder(rules: list[dict[str, Any]]) -> None:
    rules[0]["Transitions"].reverse()
    rules.reverse()


def _use_older_form(rules: list[dict[str, Any]]) -> None:
    """The older form of a rule has a Prefix in place of a Filter."""
    for rule in rules:
        rule["Prefix"] = rule.pop("Filter").get("Prefix", "")


ROWS = {
    "lifecycle-deleted": Row(
        "lifecycle", "lifecycleRules", lambda s: s.world.s3.delete_bucket_lifecycle(Bucket=s.bucket)
    ),
    "lifecycle-rule-added": _row(_add),
    "lifecycle-rule-removed": _row(lambda rules: rules.pop()),
    "lifecycle-rule-disabled": _row(lambda rules: rules[0].update(Status="Disabled")),
    "lifecycle-filter-widened": _row(lambda rules: rules[0].update(Filter={})),
    "lifecycle-days-changed": _row(lambda rules: rules[0]["Expiration"].update(Days=366)),
    "lifecycle-expiration-removed": _row(lambda rules: rules[0].pop("Expiration")),
    "lifecycle-class-changed": _row(lambda rules: rules[0]["Transitions"][1].update(StorageClass="DEEP_ARCHIVE")),
    "lifecycle-versions-changed": _row(
        lambda rules: rules[1]["NoncurrentVersionExpiration"].update(NewerNoncurrentVersions=4)
    ),
    "lifecycle-uploads-kept": _row(lambda rules: rules[1].pop("AbortIncompleteMultipartUpload")),
    "lifecycle-size-changed": Row("lifecycle", "lifecycleMinimumObjectSize", lambda s: _put(s, size=SMALL)),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "lifecycle-in-another-order": lambda s: _put(s, _reorder),
    "lifecycle-empty-prefix": lambda s: _put(s, lambda rules: rules[1].update(Filter={"Prefix": ""})),
    "lifecycle-in-the-older-form": lambda s: _put(s, _use_older_form),
}
_IA = {"storageClass": "STANDARD_IA"}
_GLACIER = {"storageClass": "GLACIER"}
_AT = "spec.lifecycleRules[0]"


def _refused(rule: dict[str, Any], message: str) -> tuple[dict[str, Any], str]:
    return spec(rule), f"{_AT}{message}"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "lifecycle-not-a-list": ({"lifecycleRules": {}}, "spec.lifecycleRules: must be a list of at most 1000 rules"),
    "lifecycle-size-alone": ({"lifecycleRules": [], "lifecycleMinimumObjectSize": SMALL},
        "spec.lifecycleMinimumObjectSize: needs lifecycleRules"),
    "lifecycle-size-word": (spec({"expiration": {"days": 1}}, lifecycleMinimumObjectSize="128K"),
        "spec.lifecycleMinimumObjectSize: must be one of all_storage_classes_128K"),
    "lifecycle-tag-ansible": _refused(
        {"id": "a", "expiration": {"days": 1}, "filter": {"tags": {"__ansible_unsafe": "x"}}},
        ".filter.tags[__ansible_unsafe]: the prefix __ansible is reserved"),
    "lifecycle-without-id": ({"lifecycleRules": [{"expiration": {"days": 1}}]}, f"{_AT}.id: must be a string"),
    "lifecycle-id-long": _refused({"id": "a" * 256, "expiration": {"days": 1}}, ".id: must have 1 to 255 characters"),
    "lifecycle-id-twice": ({"lifecycleRules": 2 * [{"id": "a", "expiration": {"days": 1}}]},
        "spec.lifecycleRules[1].id: must be unique: a"),
    "lifecycle-typo": _refused({"status": "Enabled"}, ".status: there is no such field: it must be one of id, enabled"),
    "lifecycle-enabled-text": _refused({"enabled": "yes", "expiration": {"days": 1}},
        ".enabled: must be true or false"),
    "lifecycle-without-action": _refused({"filter": {"prefix": "a"}}, ": needs an action"),
    "lifecycle-marker-false-is-no-action": _refused({"expiration": {"expiredObjectDeleteMarker": False}},
        ": needs an action"),
    "lifecycle-days-zero": _refused({"expiration": {"days": 0}}, ".expiration.days: must be a number from 1"),
    "lifecycle-days-and-date": _refused({"expiration": {"days": 1, "date": "2030-01-01"}},
        ".expiration: must have either days or date"),
    "lifecycle-days-and-marker": _refused({"expiration": {"days": 1, "expiredObjectDeleteMarker": True}},
        ".expiration: must have one of days, date and expiredObjectDeleteMarker"),
    "lifecycle-date-with-time": _refused({"expiration": {"date": "2030-01-01T01:00:00Z"}},
        ".expiration.date: must be a date such as"),
    "lifecycle-date-of-no-month": _refused({"expiration": {"date": "2030-02-30"}}, ".expiration.date: must be a date"),
    "lifecycle-sizes": _refused(
        {"filter": {"objectSizeGreaterThan": 2, "objectSizeLessThan": 2}, "expiration": {"days": 1}},
        ".filter.objectSizeLessThan: must be more than objectSizeGreaterThan"),
    "lifecycle-filter-typo": _refused({"filter": {"tag": {}}, "expiration": {"days": 1}},
        ".filter.tag: there is no such field"),
    "lifecycle-class": _refused({"transitions": [{"days": 1, "storageClass": "STANDARD"}]},
        ".transitions[0].storageClass: must be one of STANDARD_IA"),
    "lifecycle-transition-without-time": _refused({"transitions": [_GLACIER]},
        ".transitions[0]: must have either days or date"),
    "lifecycle-infrequent-access-early": _refused({"transitions": [{"days": 29, **_IA}]},
        ".transitions[0].days: must be a number from 30"),
    "lifecycle-class-twice": _refused({"transitions": [{"days": 1, **_GLACIER}, {"days": 2, **_GLACIER}]},
        ".transitions: must not have a storageClass twice"),
    "lifecycle-class-order": _refused({"transitions": [{"days": 30, **_GLACIER}, {"days": 60, **_IA}]},
        ".transitions: must be in the order STANDARD_IA"),
    "lifecycle-expires-first": _refused({"transitions": [{"days": 30, **_GLACIER}], "expiration": {"days": 30}},
        ".transitions: must be in the order"),
    "lifecycle-expires-first-by-date": _refused(
        {"transitions": [{"date": "2030-01-02", **_GLACIER}], "expiration": {"date": "2030-01-01"}},
        ".transitions: must be in the order"),
    "lifecycle-mixed-times": _refused({"transitions": [{"days": 30, **_GLACIER}], "expiration": {"date": "2030-01-01"}},
        ": must have either days or dates"),
    "lifecycle-versions-without-days": _refused({"noncurrentVersionExpiration": {"newerNoncurrentVersions": 1}},
        ".noncurrentVersionExpiration.noncurrentDays: must be a number from 1"),
    "lifecycle-versions-many": _refused(
        {"noncurrentVersionExpiration": {"noncurrentDays": 1, "newerNoncurrentVersions": 101}},
        ".noncurrentVersionExpiration.newerNoncurrentVersions: must be a number from 1 to 100"),
    "lifecycle-versions-infrequent-access-early": _refused(
        {"noncurrentVersionTransitions": [{"noncurrentDays": 29, **_IA}]},
        ".noncurrentVersionTransitions[0].noncurrentDays: must be a number from 30"),
    "lifecycle-versions-expire-first": _refused(
        {"noncurrentVersionTransitions": [{"noncurrentDays": 9, **_GLACIER}],
         "noncurrentVersionExpiration": {"noncurrentDays": 9}},
        ".noncurrentVersionTransitions: must be in the order"),
    "lifecycle-uploads-zero": _refused({"abortIncompleteMultipartUploadDays": 0},
        ".abortIncompleteMultipartUploadDays: must be a number from 1"),
    "lifecycle-uploads-with-tags": _refused({"filter": {"tags": {"a": "1"}}, "abortIncompleteMultipartUploadDays": 1},
        ".abortIncompleteMultipartUploadDays: must not be given with a filter for tags or sizes"),
    "lifecycle-marker-with-size": _refused(
        {"filter": {"objectSizeLessThan": 9}, "expiration": {"expiredObjectDeleteMarker": True}},
        ".expiration.expiredObjectDeleteMarker: must not be given with a filter for tags or sizes"),
}  # fmt: skip
