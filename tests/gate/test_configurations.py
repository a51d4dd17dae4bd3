"""The configurations that the gate stores in moto's place: what AWS answers for each document, or refuses.

Rows by setting: accepted and returned, returned in another form, refused. They fail when the rule is taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from dev.aws import Aws
from dev.examples import TARGETS, make_targets
from tests.support.gate import code_of

_LOGS, _OTHER_LOGS = TARGETS[:2]


def _nothing(_: Any, __: str) -> None:
    return None


@dataclass(frozen=True)
class Row:
    """One request that writes.

    :param method: of boto3's client
    :param arguments: beside Bucket; {bucket} in a text is the bucket's name
    :param result: what ``reads`` answers afterwards, or the code of the error
    :param before: what is done to the bucket first
    """

    method: str
    arguments: dict[str, Any]
    reads: str
    result: dict[str, Any] | str
    before: Callable[[Any, str], Any] = _nothing


def _logging(enabled: dict[str, Any], result: dict[str, Any] | str, before: Any = _nothing) -> Row:
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


def _make_in_europe(s3: Any, bucket: str) -> None:
    s3.create_bucket(Bucket=f"{bucket}-eu", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})


LOGGING = {
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
    "grants-without-acls": _logging({**_TO_LOGS, **_GRANTS}, "InvalidArgument"),
    "grants": _logging(
        {**_TO_LOGS, "TargetBucket": _OTHER_LOGS, **_GRANTS},
        {**_TO_LOGS, "TargetBucket": _OTHER_LOGS, **_GRANTS},
        lambda s3, _: s3.put_bucket_ownership_controls(
            Bucket=_OTHER_LOGS, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        ),
    ),
}


def _lock(retention: dict[str, Any] | None, result: dict[str, Any] | str, before: Any = _nothing) -> Row:
    rule = {} if retention is None else {"Rule": {"DefaultRetention": retention}}
    lock = {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled", **rule}}
    expected = lock if isinstance(result, dict) else result
    return Row("put_object_lock_configuration", lock, "get_object_lock_configuration", expected, before)


def _keep_versions(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    # It may have objects.
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")


_DAY = {"Mode": "GOVERNANCE", "Days": 1}
OBJECT_LOCK = {
    "enabled": _lock(None, {}, _keep_versions),
    "days": _lock(_DAY, {}, _keep_versions),
    "years": _lock({"Mode": "COMPLIANCE", "Years": 100}, {}, _keep_versions),
    "event-hold": _lock({**_DAY, "DefaultEventHold": {"Years": 1}}, {}, _keep_versions),
    "without-versions": _lock(None, "InvalidBucketState"),
    "both-periods": _lock({**_DAY, "Years": 1}, "MalformedXML", _keep_versions),
    "without-mode": _lock({"Days": 1}, "MalformedXML", _keep_versions),
    "without-period": _lock({"Mode": "GOVERNANCE"}, "MalformedXML", _keep_versions),
    "long": _lock({"Mode": "GOVERNANCE", "Days": 36501}, "InvalidArgument", _keep_versions),
    "not-enabled": Row(
        "put_object_lock_configuration",
        {"ObjectLockConfiguration": {"Rule": {"DefaultRetention": _DAY}}},
        "get_object_lock_configuration",
        "MalformedXML",
        _keep_versions,
    ),
}

_PAYER = ("put_bucket_request_payment", "get_bucket_request_payment")
REQUESTER_PAYS = {
    "requester": Row(
        _PAYER[0], {"RequestPaymentConfiguration": {"Payer": "Requester"}}, _PAYER[1], {"Payer": "Requester"}
    ),
    "nobody": Row(_PAYER[0], {"RequestPaymentConfiguration": {"Payer": "Nobody"}}, _PAYER[1], "MalformedXML"),
}
ROWS = {
    f"{setting}-{name}": row
    for setting, rows in {"logging": LOGGING, "object-lock": OBJECT_LOCK, "requester-pays": REQUESTER_PAYS}.items()
    for name, row in rows.items()
}


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Any:
    client = aws.client("s3")
    make_targets(client, "123456789012")
    return client


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_configuration_is_answered_as_aws_does(s3: Any, new_name: Callable[[str], str], row: Row) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    row.before(s3, bucket)
    code = code_of(lambda: getattr(s3, row.method)(Bucket=bucket, **_named(row.arguments, bucket)))
    if isinstance(row.result, str):
        assert code == row.result
        return
    assert code == "allowed"
    answer = getattr(s3, row.reads)(Bucket=bucket)
    answer.pop("ResponseMetadata")
    assert answer == row.result


def _named(value: Any, bucket: str) -> Any:
    """Put the bucket's name into the texts of the arguments."""
    if isinstance(value, dict):
        return {key: _named(part, bucket) for key, part in value.items()}
    if isinstance(value, list):
        return [_named(part, bucket) for part in value]
    return value.replace("{bucket}", bucket) if isinstance(value, str) else value


def test_default_retention_protects_new_versions(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    enabled = {"ObjectLockEnabled": "Enabled"}
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == enabled
    lock = {**enabled, "Rule": {"DefaultRetention": _DAY}}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    version = s3.put_object(Bucket=bucket, Key="a", Body=b"x")["VersionId"]
    assert code_of(lambda: s3.delete_object(Bucket=bucket, Key="a", VersionId=version)) == "AccessDenied"


def test_bucket_without_object_lock_has_no_configuration(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    code = code_of(lambda: s3.get_object_lock_configuration(Bucket=bucket))
    assert code == "ObjectLockConfigurationNotFoundError"
