"""replication."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_ROLE = "arn:aws:iam::123456789012:role/s3-operator-example-replication"
_REPLICA = "arn:aws:s3:::s3-operator-example-replica"
_KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
_ENABLED, _DISABLED = {"Status": "Enabled"}, {"Status": "Disabled"}
_MINUTES = {"Minutes": 15}
_EXAMPLE_RULE = {
    "ID": "photos",
    "Priority": 0,
    **_ENABLED,
    "Filter": {"Prefix": "photos/"},
    "DeleteMarkerReplication": _ENABLED,
    "Destination": {"Bucket": _REPLICA, "StorageClass": "STANDARD_IA"},
}


def _answer(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"ReplicationConfiguration": {"Role": _ROLE, "Rules": list(rules)}}


def _spec(*rules: dict[str, Any], role: Any = _ROLE, **more: Any) -> dict[str, Any]:
    return {"replication": {"role": role, "rules": list(rules), **more}}


_BARE_RULE = {
    "Priority": 0,
    **_ENABLED,
    "DeleteMarkerReplication": _DISABLED,
    "Destination": {"Bucket": _REPLICA},
}
CASES = {
    "example": Case(_answer(_EXAMPLE_RULE)),
    "all-objects": Case(
        # An empty filter is one with an empty prefix.
        _answer({**_BARE_RULE, "ID": "all", "Filter": {"Prefix": ""}}),
        _spec({"id": "all", "destination": {"bucketARN": _REPLICA}}),
    ),
    "everything": Case(
        _answer(
            {
                "ID": "tagged",
                "Priority": 2,
                **_DISABLED,
                "Filter": {
                    "And": {
                        "Prefix": "a/",
                        "Tags": [{"Key": "team", "Value": "photos"}, {"Key": "copy", "Value": "yes"}],
                    }
                },
                "DeleteMarkerReplication": _DISABLED,
                "SourceSelectionCriteria": {"SseKmsEncryptedObjects": _ENABLED, "ReplicaModifications": _ENABLED},
                "Destination": {
                    "Bucket": _REPLICA,
                    "Account": "123456789012",
                    "AccessControlTranslation": {"Owner": "Destination"},
                    "EncryptionConfiguration": {"ReplicaKmsKeyID": _KEY},
                    "ReplicationTime": {**_ENABLED, "Time": _MINUTES},
                    "Metrics": {**_ENABLED, "EventThreshold": _MINUTES},
                },
            },
            {
                **_BARE_RULE,
                "ID": "one-tag",
                "Priority": 1,
                "Filter": {"Tag": {"Key": "team", "Value": "docs"}},
                "Destination": {"Bucket": _REPLICA, "StorageClass": "GLACIER_IR", "Metrics": _ENABLED},
            },
        ),
        _spec(
            {
                "id": "tagged",
                "priority": 2,
                "enabled": False,
                "filter": {"prefix": "a/", "tags": {"copy": "yes", "team": "photos"}},
                "deleteMarkers": False,
                "replicateKMSObjects": True,
                "replicaModifications": True,
                "destination": {
                    "bucketARN": _REPLICA,
                    "account": "123456789012",
                    "ownerOverride": True,
                    "kmsKeyID": _KEY,
                    "replicationTime": True,
                    "metrics": True,
                },
            },
            {
                "id": "one-tag",
                "priority": 1,
                "filter": {"tags": {"team": "docs"}},
                "destination": {"bucketARN": _REPLICA, "storageClass": "GLACIER_IR", "metrics": True},
            },
        ),
    ),
}
CLEARED = "ReplicationConfigurationNotFoundError"


def _write(subject: Subject, edit: Callable[[dict[str, Any]], Any]) -> None:
    configuration = copy.deepcopy(_answer(_EXAMPLE_RULE)["ReplicationConfiguration"])
    edit(configuration)
    subject.world.s3.put_bucket_replication(Bucket=subject.bucket, ReplicationConfiguration=configuration)


def _row(edit: Callable[[dict[str, Any]], Any]) -> Row:
    return Row("replication", "replication", lambda subject: _write(subject, edit))


def _rule(found: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = found["Rules"][0]
    return rule


def _make_first_version(found: dict[str, Any]) -> None:
    for name in ("Priority", "Filter", "DeleteMarkerReplication"):
        del _rule(found)[name]
    _rule(found)["Prefix"] = "photos/"


ROWS = {
    "replication-deleted": Row(
        "replication", "replication", lambda s: s.world.s3.delete_bucket_replication(Bucket=s.bucket)
    ),
    "replication-disabled": _row(lambda found: _rule(found).update(_DISABLED)),
    "replication-elsewhere": _row(
        lambda found: _rule(found)["Destination"].update(Bucket="arn:aws:s3:::s3-operator-example-reports")
    ),
    "replication-other-role": _row(lambda found: found.update(Role=f"{_ROLE}-2")),
    "replication-of-all-objects": _row(lambda found: _rule(found).update(Filter={})),
    "replication-rule-added": _row(
        lambda found: found["Rules"].append({**_BARE_RULE, "ID": "b", "Priority": 1, "Filter": {}})
    ),
    "replication-of-the-first-version": _row(_make_first_version),
}


def _write_what_is_disabled(found: dict[str, Any]) -> None:
    off = {"SseKmsEncryptedObjects": _DISABLED, "ReplicaModifications": _DISABLED}
    _rule(found)["SourceSelectionCriteria"] = off
    _rule(found)["Destination"]["Metrics"] = _DISABLED


EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "replication-with-what-is-disabled": lambda subject: _write(subject, _write_what_is_disabled)
}
_TO = {"bucketARN": _REPLICA}
_RULE = {"id": "a", "destination": _TO}


def _to(**more: Any) -> dict[str, Any]:
    return {**_RULE, "destination": {**_TO, **more}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "replication-without-role": ({"replication": {"rules": [_RULE]}}, "spec.replication.role: is missing"),
    "replication-role": (_spec(_RULE, role="photos"), "spec.replication.role: must be the ARN of an IAM role"),
    "replication-typo": (_spec(_RULE, rule=[]), "spec.replication.rule: there is no such field"),
    "replication-no-rules": (_spec(), "spec.replication.rules: must be a list of 1 to 1000 rules"),
    "replication-without-id": (_spec({"destination": _TO}), "spec.replication.rules[0].id: is missing"),
    "replication-without-destination": (_spec({"id": "a"}), "spec.replication.rules[0].destination: is missing"),
    "replication-bucket-name": (
        _spec({"id": "a", "destination": {"bucketARN": "replica"}}),
        "spec.replication.rules[0].destination.bucketARN: must be the ARN of a bucket: arn:aws:s3:::NAME",
    ),
    "replication-flag": (
        _spec({**_RULE, "enabled": "yes"}), "spec.replication.rules[0].enabled: must be true or false",
    ),
    "replication-priority": (
        _spec({**_RULE, "priority": -1}), "spec.replication.rules[0].priority: must be a number from 0 to 2147483647",
    ),
    "replication-one-priority": (
        _spec(_RULE, {**_RULE, "id": "b"}),
        "spec.replication.rules[1].priority: is that of rules[0] too: each rule needs its own (the default is 0)",
    ),
    "replication-one-id": (
        _spec(_RULE, {**_RULE, "priority": 1}), "spec.replication.rules[1].id: is that of rules[0] too",
    ),
    "replication-filter": (
        _spec({**_RULE, "filter": {"suffix": "a"}}), "spec.replication.rules[0].filter.suffix: there is no such field",
    ),
    "replication-delete-markers": (
        _spec({**_RULE, "filter": {"tags": {"a": "b"}}, "deleteMarkers": True}),
        "spec.replication.rules[0].deleteMarkers: must not be true with tags in the filter",
    ),
    "replication-kms": (
        _spec({**_RULE, "replicateKMSObjects": True}),
        "spec.replication.rules[0].replicateKMSObjects: and destination.kmsKeyID need each other",
    ),
    "replication-kms-key": (
        _spec(_to(kmsKeyID=_KEY)),
        "spec.replication.rules[0].replicateKMSObjects: and destination.kmsKeyID need each other",
    ),
    "replication-owner": (
        _spec(_to(ownerOverride=True)), "spec.replication.rules[0].destination.account: is missing: with ownerOverride",
    ),
    "replication-account": (
        _spec(_to(account="12")), "spec.replication.rules[0].destination.account: must be the 12 digits",
    ),
    "replication-account-number": (
        _spec(_to(account=123456789012)), "spec.replication.rules[0].destination.account: must be a string",
    ),
    "replication-storage-class": (
        _spec(_to(storageClass="COLD")),
        "spec.replication.rules[0].destination.storageClass: must be one of STANDARD, STANDARD_IA, ",
    ),
    "replication-time": (
        _spec(_to(replicationTime=True, metrics=False)),
        "spec.replication.rules[0].destination.metrics: must not be false with replicationTime",
    ),
    "replication-without-versions": (
        {**_spec(_RULE), "enableVersioning": False},
        "spec.replication: needs enableVersioning: true, of the destination buckets too",
    ),
}  # fmt: skip
