"""Rows of object lock."""

from __future__ import annotations

from typing import Any

from tests.gate.rows import Row, nothing


def _lock(retention: dict[str, Any] | None, result: dict[str, Any] | str, before: Any = nothing) -> Row:
    rule = {} if retention is None else {"Rule": {"DefaultRetention": retention}}
    lock = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", **rule}}
    expected = lock if isinstance(result, dict) else result
    return Row("put_object_lock_configuration", lock, "get_object_lock_configuration", expected, before)


def _keep_versions(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    # It may have objects.
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")


DAY = {"Mode": "GOVERNANCE", "Days": 1}
ROWS = {
    "enabled": _lock(None, {}, _keep_versions),
    "days": _lock(DAY, {}, _keep_versions),
    "years": _lock({"Mode": "COMPLIANCE", "Years": 100}, {}, _keep_versions),
    "event-hold": _lock({**DAY, "DefaultEventHold": {"Years": 1}}, {}, _keep_versions),
    "without-versions": _lock(None, "InvalidBucketState"),
    "both-periods": _lock({**DAY, "Years": 1}, "MalformedXML", _keep_versions),
    "without-mode": _lock({"Days": 1}, "MalformedXML", _keep_versions),
    "without-period": _lock({"Mode": "GOVERNANCE"}, "MalformedXML", _keep_versions),
    "long": _lock({"Mode": "GOVERNANCE", "Days": 36501}, "InvalidArgument", _keep_versions),
    "not-enabled": Row(
        "put_object_lock_configuration",
        {"ObjectLockConfiguration": {"Rule": {"DefaultRetention": DAY}}},
        "get_object_lock_configuration",
        "MalformedXML",
        _keep_versions,
    ),
}
