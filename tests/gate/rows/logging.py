"""Rows of logging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dev.examples import TARGETS
from tests.gate.rows import Row, nothing

_LOGS, _OTHER_LOGS = TARGETS[:2]


def _logging(enabled: dict[str, Any], result: dict[str, Any] | str, before: Any = nothing) -> Row:
    status = {"BucketLoggingStatus": {"LoggingEnabled": enabled} if enabled else {}}
    expected = {"LoggingEnabled": result} if isinstance(result, dict) and result else result
    return Row("put_bucket_logging", status, "get_bucket_logging", expected, before)


_TO_LOGS = {"TargetBucket": _LOGS, "TargetPrefix": "a/"}
_GRANTS = {
    "TargetGrants": [
        {
            "Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"},
            "Permission": "READ",
        }
    ]
}


def _as(**tags: dict[str, Any]) -> dict[str, Any]:
    return {**_TO_LOGS, "TargetObjectKeyFormat": tags}


def _set_ownership(bucket: str, ownership: str) -> Callable[[Any, str], Any]:
    rules = {"Rules": [{"ObjectOwnership": ownership}]}
    return lambda s3, _: s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)


def _make_in_europe(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=f"{bucket}-eu", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


ROWS = {
    "off": _logging({}, {}),
    "default-keys": _logging(_TO_LOGS, _TO_LOGS),
    "simple-keys": _logging(_as(SimplePrefix={}), _as(SimplePrefix={})),
    "partitioned": _logging(
        _as(PartitionedPrefix={"PartitionDateSource": "EventTime"}),
        _as(PartitionedPrefix={"PartitionDateSource": "EventTime"}),
    ),
    "two-formats": _logging(_as(SimplePrefix={}, PartitionedPrefix={}), "MalformedXML"),
    "unknown-date": _logging(_as(PartitionedPrefix={"PartitionDateSource": "Noon"}), "MalformedXML"),
    "no-such-target": _logging({**_TO_LOGS, "TargetBucket": "{bucket}-none"}, "InvalidTargetBucketForLogging"),
    "service-not-let-in": _logging({**_TO_LOGS, "TargetBucket": "{bucket}"}, "InvalidTargetBucketForLogging"),
    "other-region": _logging(
        {**_TO_LOGS, "TargetBucket": "{bucket}-eu"}, "CrossLocationLoggingProhibited", _make_in_europe
    ),
    "locked-target": _logging(
        {**_TO_LOGS, "TargetBucket": "{bucket}-locked"},
        "InvalidTargetBucketForLogging",
        lambda s3, bucket: s3.create_bucket(Bucket=f"{bucket}-locked", ObjectLockEnabledForBucket=True),
    ),
    "grants-without-acls": _logging(
        {**_TO_LOGS, **_GRANTS}, "InvalidArgument", _set_ownership(_LOGS, "BucketOwnerEnforced")
    ),
    "grants": _logging(
        {**_TO_LOGS, "TargetBucket": _OTHER_LOGS, **_GRANTS},
        {**_TO_LOGS, "TargetBucket": _OTHER_LOGS, **_GRANTS},
        _set_ownership(_OTHER_LOGS, "ObjectWriter"),
    ),
}
