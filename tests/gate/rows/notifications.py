"""Rows of notifications."""

from __future__ import annotations

from typing import Any

from tests.gate.rows import Row

QUEUE = "arn:aws:sqs:us-east-1:123456789012:photos"
_TOPIC = "arn:aws:sns:us-east-1:123456789012:photos"


def queue_of(name: str, *events: str, arn: str = QUEUE, **filters: str) -> dict[str, Any]:
    rules = [{"Name": key, "Value": value} for key, value in filters.items()]
    found = {"Id": name, "QueueArn": arn, "Events": list(events)}
    return {**found, "Filter": {"Key": {"FilterRules": rules}}} if rules else found


def _notify(result: dict[str, Any] | str, *queues: dict[str, Any], **more: Any) -> Row:
    configuration = {**({"QueueConfigurations": list(queues)} if queues else {}), **more}
    arguments = {"NotificationConfiguration": configuration}
    reads = "get_bucket_notification_configuration"
    return Row("put_bucket_notification_configuration", arguments, reads, result)


CREATED, _PUT = "s3:ObjectCreated:*", "s3:ObjectCreated:Put"
_ON_TOPIC = {"TopicConfigurations": [{"Id": "t", "TopicArn": _TOPIC, "Events": [_PUT]}]}
ROWS = {
    "none": _notify({}),
    "event-bridge": _notify({"EventBridgeConfiguration": {}}, EventBridgeConfiguration={}),
    "names-of-filters-are-capitalized": _notify(
        {"QueueConfigurations": [queue_of("q", CREATED, Prefix="a", Suffix="z")]},
        queue_of("q", CREATED, prefix="a", suffix="z"),
    ),
    "suffixes-that-do-not-overlap": _notify(
        {"QueueConfigurations": [queue_of("q", CREATED, Suffix="jpg"), queue_of("r", CREATED, Suffix="png")]},
        queue_of("q", CREATED, suffix="jpg"),
        queue_of("r", CREATED, suffix="png"),
    ),
    "overlap": _notify("InvalidArgument", queue_of("q", CREATED, prefix="a"), queue_of("r", _PUT, suffix="z")),
    "overlap-with-a-topic": _notify("InvalidArgument", queue_of("q", CREATED), **_ON_TOPIC),
    "one-id": _notify("InvalidArgument", queue_of("q", CREATED, suffix="a"), queue_of("q", CREATED, suffix="b")),
    "other-region": _notify("InvalidArgument", queue_of("q", CREATED, arn=QUEUE.replace("us-east-1", "eu-west-1"))),
    "arn-of-a-topic": _notify("InvalidArgument", queue_of("q", CREATED, arn=_TOPIC)),
    "fifo": _notify("InvalidArgument", queue_of("q", CREATED, arn=f"{QUEUE}.fifo")),
    "no-such-filter": _notify("InvalidArgument", queue_of("q", CREATED, infix="a")),
    "too-many": _notify("MalformedXML", *(queue_of(f"q{at}", CREATED, prefix=f"{at:03}") for at in range(101))),
}
