"""The configurations that the gate stores in moto's place: what AWS answers for each document, or refuses.

Rows by setting: accepted and returned, returned in another form, refused. They fail when the rule is taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.aws import Aws
from dev.examples import make_targets


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


_QUEUE = "arn:aws:sqs:us-east-1:123456789012:photos"
_TOPIC = "arn:aws:sns:us-east-1:123456789012:photos"


def _queue(name: str, *events: str, arn: str = _QUEUE, **filters: str) -> dict[str, Any]:
    rules = [{"Name": key, "Value": value} for key, value in filters.items()]
    found = {"Id": name, "QueueArn": arn, "Events": list(events)}
    return {**found, "Filter": {"Key": {"FilterRules": rules}}} if rules else found


def _notify(result: dict[str, Any] | str, *queues: dict[str, Any], **more: Any) -> Row:
    configuration = {**({"QueueConfigurations": list(queues)} if queues else {}), **more}
    arguments = {"NotificationConfiguration": configuration}
    reads = "get_bucket_notification_configuration"
    return Row("put_bucket_notification_configuration", arguments, reads, result)


_CREATED, _PUT = "s3:ObjectCreated:*", "s3:ObjectCreated:Put"
_ON_TOPIC = {"TopicConfigurations": [{"Id": "t", "TopicArn": _TOPIC, "Events": [_PUT]}]}
NOTIFICATIONS = {
    "none": _notify({}),
    "event-bridge": _notify({"EventBridgeConfiguration": {}}, EventBridgeConfiguration={}),
    "names-of-filters-are-capitalized": _notify(
        {"QueueConfigurations": [_queue("q", _CREATED, Prefix="a", Suffix="z")]},
        _queue("q", _CREATED, prefix="a", suffix="z"),
    ),
    "suffixes-that-do-not-overlap": _notify(
        {"QueueConfigurations": [_queue("q", _CREATED, Suffix="jpg"), _queue("r", _CREATED, Suffix="png")]},
        _queue("q", _CREATED, suffix="jpg"),
        _queue("r", _CREATED, suffix="png"),
    ),
    "overlap": _notify("InvalidArgument", _queue("q", _CREATED, prefix="a"), _queue("r", _PUT, suffix="z")),
    "overlap-with-a-topic": _notify("InvalidArgument", _queue("q", _CREATED), **_ON_TOPIC),
    "one-id": _notify("InvalidArgument", _queue("q", _CREATED, suffix="a"), _queue("q", _CREATED, suffix="b")),
    "other-region": _notify("InvalidArgument", _queue("q", _CREATED, arn=_QUEUE.replace("us-east-1", "eu-west-1"))),
    "arn-of-a-topic": _notify("InvalidArgument", _queue("q", _CREATED, arn=_TOPIC)),
    "fifo": _notify("InvalidArgument", _queue("q", _CREATED, arn=f"{_QUEUE}.fifo")),
    "no-such-filter": _notify("InvalidArgument", _queue("q", _CREATED, infix="a")),
    "too-many": _notify("MalformedXML", *(_queue(f"q{at}", _CREATED, prefix=f"{at:03}") for at in range(101))),
}

_REPLICA = "arn:aws:s3:::s3-operator-example-replica"
_ON, _OFF = {"Status": "Enabled"}, {"Status": "Disabled"}
_TAGS = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def _rule(destination: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "ID": "a", "Priority": 1, **_ON, "Filter": {"Prefix": "a"}, "DeleteMarkerReplication": _OFF,
        "Destination": {"Bucket": _REPLICA, **(destination or {})}, **more,
    }  # fmt: skip


def _without(name: str) -> dict[str, Any]:
    return {key: value for key, value in _rule().items() if key != name}


def _enable_versions(s3: Any, bucket: str) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=_ON)


def _replicate(result: Any, *rules: dict[str, Any], before: Any = _enable_versions) -> Row:
    arguments = {"ReplicationConfiguration": {"Role": "arn:aws:iam::123456789012:role/a", "Rules": list(rules)}}
    expected = result
    if isinstance(result, list):
        expected = {"ReplicationConfiguration": {"Role": "arn:aws:iam::123456789012:role/a", "Rules": result}}
    return Row("put_bucket_replication", arguments, "get_bucket_replication", expected, before)


_KMS = {"SourceSelectionCriteria": {"SseKmsEncryptedObjects": _ON}}
_KEY = {"EncryptionConfiguration": {"ReplicaKmsKeyID": "arn:aws:kms:us-east-1:123456789012:key/a"}}
_MINUTES = {"Minutes": 15}
_TIMED = {"ReplicationTime": {**_ON, "Time": _MINUTES}, "Metrics": {**_ON, "EventThreshold": _MINUTES}}
REPLICATION = {
    "stored": _replicate([_rule(_KEY, **_KMS)], _rule(_KEY, **_KMS)),
    "empty-filter": _replicate([_rule(Filter={"Prefix": ""})], _rule(Filter={})),
    "timed": _replicate([_rule(_TIMED)], _rule(_TIMED)),
    "tags-in-another-order": _replicate(
        [_rule(Filter={"And": {"Prefix": "a", "Tags": _TAGS[::-1]}})],
        _rule(Filter={"And": {"Prefix": "a", "Tags": _TAGS}}),
    ),
    "first-version": _replicate(
        [{"ID": "a", "Prefix": "", **_ON, "Destination": {"Bucket": _REPLICA}}],
        {"ID": "a", "Prefix": "", **_ON, "Destination": {"Bucket": _REPLICA}},
    ),
    "no-versions": _replicate("InvalidRequest", _rule(), before=_nothing),
    "no-priority": _replicate("InvalidRequest", _without("Priority")),
    "no-delete-markers": _replicate("InvalidRequest", _without("DeleteMarkerReplication")),
    "no-filter": _replicate("MalformedXML", _without("Filter")),
    "delete-markers-with-tag": _replicate(
        "InvalidRequest", _rule(Filter={"Tag": _TAGS[0]}, DeleteMarkerReplication=_ON)
    ),
    "one-id": _replicate("InvalidArgument", _rule(), _rule(Priority=2)),
    "one-priority": _replicate("InvalidArgument", _rule(), _rule(ID="b")),
    "no-such-destination": _replicate("InvalidRequest", _rule({"Bucket": "arn:aws:s3:::{bucket}-none"})),
    "destination-without-versions": _replicate(
        "InvalidRequest",
        _rule({"Bucket": "arn:aws:s3:::{bucket}-plain"}),
        before=lambda s3, bucket: (_enable_versions(s3, bucket), s3.create_bucket(Bucket=f"{bucket}-plain")),
    ),
    "owner-without-account": _replicate(
        "InvalidRequest", _rule({"AccessControlTranslation": {"Owner": "Destination"}})
    ),
    "key-without-selection": _replicate("InvalidRequest", _rule(_KEY)),
    "selection-without-key": _replicate("InvalidRequest", _rule(**_KMS)),
    "time-without-metrics": _replicate("InvalidRequest", _rule({"ReplicationTime": _TIMED["ReplicationTime"]})),
    "time-of-an-hour": _replicate(
        "InvalidRequest", _rule({**_TIMED, "ReplicationTime": {**_ON, "Time": {"Minutes": 60}}})
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
    for setting, rows in {
        "notifications": NOTIFICATIONS,
        "replication": REPLICATION,
        "requester-pays": REQUESTER_PAYS,
    }.items()
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
    try:
        getattr(s3, row.method)(Bucket=bucket, **_named(row.arguments, bucket))
    except ClientError as refusal:
        assert refusal.response["Error"]["Code"] == row.result
        return
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


def test_target_that_refuses_events_is_named_and_only_without_a_test_accepted(
    aws: Aws, s3: Any, new_name: Callable[[str], str]
) -> None:
    bucket, arn = new_name("gate"), f"{_QUEUE}-closed"
    s3.create_bucket(Bucket=bucket)
    arguments = {
        "Bucket": bucket,
        "NotificationConfiguration": {
            "EventBridgeConfiguration": {}, "QueueConfigurations": [_queue("q", _CREATED, arn=arn)],
        },
    }  # fmt: skip
    with aws.gate.marked("closed-target", arn):
        with pytest.raises(ClientError, match="Unable to validate the following destination configurations") as refused:
            s3.put_bucket_notification_configuration(**arguments)
        assert refused.value.response["Error"]["ArgumentName1"] == f"{arn}, null"
        answer = s3.get_bucket_notification_configuration(Bucket=bucket)
        assert "EventBridgeConfiguration" not in answer, "nothing of it is stored"
        s3.put_bucket_notification_configuration(**arguments, SkipDestinationValidation=True)


def test_id_that_is_not_given_is_made(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket, queue = new_name("gate"), _queue("q", _CREATED)
    s3.create_bucket(Bucket=bucket)
    del queue["Id"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue]})
    (found,) = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    assert found.pop("Id")
    assert found == queue


def test_versioning_cannot_be_suspended_under_replication(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    _enable_versions(s3, bucket)
    s3.put_bucket_replication(Bucket=bucket, **_replicate([], _rule()).arguments)
    with pytest.raises(ClientError, match="InvalidBucketState"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_replication(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
