"""Rows of replication."""

from __future__ import annotations

from typing import Any

from tests.gate.rows import Row, nothing

_REPLICA = "arn:aws:s3:::s3-operator-example-replica"
_ON, _OFF = {"Status": "Enabled"}, {"Status": "Disabled"}
_TAGS = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def rule_of(destination: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "ID": "a", "Priority": 1, **_ON, "Filter": {"Prefix": "a"}, "DeleteMarkerReplication": _OFF,
        "Destination": {"Bucket": _REPLICA, **(destination or {})}, **more,
    }  # fmt: skip


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in rule_of().items() if key != name}


def enable_versions(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=_ON)


def replicate(result: Any, *rules: dict[str, Any], before: Any = enable_versions) -> Row:
    arguments = {"ReplicationConfiguration": {"Role": "arn:aws:iam::123456789012:role/a", "Rules": list(rules)}}
    expected = result
    if isinstance(result, list):
        expected = {"ReplicationConfiguration": {"Role": "arn:aws:iam::123456789012:role/a", "Rules": result}}
    return Row("put_bucket_replication", arguments, "get_bucket_replication", expected, before)


_KMS = {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": _ON}}
_KEY = {"EncryptionConfiguration": {"ReplicaKmsKeyID": "arn:aws:kms:us-east-1:123456789012:key/a"}}
_MINUTES = {"Minutes": 15}
_TIMED = {"ReplicationTime": {**_ON, "Time": _MINUTES}, "Metrics": {**_ON, "EventThreshold": _MINUTES}}
ROWS = {
    "stored": replicate([rule_of(_KEY, **_KMS)], rule_of(_KEY, **_KMS)),
    "empty-filter": replicate([rule_of(Filter={"Prefix": ""})], rule_of(Filter={})),
    "timed": replicate([rule_of(_TIMED)], rule_of(_TIMED)),
    "tags-in-another-order": replicate(
        [rule_of(Filter={"And": {"Prefix": "a", "Tags": _TAGS[::-1]}})],
        rule_of(Filter={"And": {"Prefix": "a", "Tags": _TAGS}}),
    ),
    "first-version": replicate(
        [{"ID": "a", "Prefix": "", **_ON, "Destination": {"Bucket": _REPLICA}}],
        {"ID": "a", "Prefix": "", **_ON, "Destination": {"Bucket": _REPLICA}},
    ),
    "no-versions": replicate("InvalidRequest", rule_of(), before=nothing),
    "no-priority": replicate("InvalidRequest", _without("Priority")),
    "no-delete-markers": replicate("InvalidRequest", _without("DeleteMarkerReplication")),
    "no-filter": replicate("MalformedXML", _without("Filter")),
    "delete-markers-with-tag": replicate(
        "InvalidRequest", rule_of(Filter={"Tag": _TAGS[0]}, DeleteMarkerReplication=_ON)
    ),
    "one-id": replicate("InvalidArgument", rule_of(), rule_of(Priority=2)),
    "one-priority": replicate("InvalidArgument", rule_of(), rule_of(ID="b")),
    "no-such-destination": replicate("InvalidRequest", rule_of({"Bucket": "arn:aws:s3:::{bucket}-none"})),
    "destination-without-versions": replicate(
        "InvalidRequest",
        rule_of({"Bucket": "arn:aws:s3:::{bucket}-plain"}),
        before=lambda s3, bucket: (enable_versions(s3, bucket), s3.create_bucket(Bucket=f"{bucket}-plain")),
    ),
    "owner-without-account": replicate(
        "InvalidRequest", rule_of({"AccessControlTranslation": {"Owner": "Destination"}})
    ),
    "key-without-selection": replicate("InvalidRequest", rule_of(_KEY)),
    "selection-without-key": replicate("InvalidRequest", rule_of(**_KMS)),
    "time-without-metrics": replicate("InvalidRequest", rule_of({"ReplicationTime": _TIMED["ReplicationTime"]})),
    "time-of-an-hour": replicate(
        "InvalidRequest", rule_of({**_TIMED, "ReplicationTime": {**_ON, "Time": {"Minutes": 60}}})
    ),
}
