"""notifications."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_QUEUE = "arn:aws:sqs:us-east-1:123456789012:new-photos"
_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:deleted-photos"
_TOPIC = "arn:aws:sns:us-east-1:123456789012:photos"


def _filter(**rules: str) -> dict[str, Any]:
    # As AWS returns the names.
    return {"Key": {"FilterRules": [{"Name": name.capitalize(), "Value": value} for name, value in rules.items()]}}


def _target(name: str, arn: str, *events: str, **more: str) -> dict[str, Any]:
    return {"id": name, "arn": arn, "events": list(events), **more}


_EXAMPLE = {
    "EventBridgeConfiguration": {},
    "QueueConfigurations": [
        {
            "Id": "new-photos",
            "QueueArn": _QUEUE,
            "Events": ["s3:ObjectCreated:Put", "s3:ObjectCreated:CompleteMultipartUpload"],
            "Filter": _filter(prefix="photos/", suffix=".jpg"),
        }
    ],
    "LambdaFunctionConfigurations": [
        {"Id": "deleted-photos", "LambdaFunctionArn": _FUNCTION, "Events": ["s3:ObjectRemoved:*"]}
    ],
}
CASES = {
    "example": Case(_EXAMPLE),
    "each-target-with-a-filter": Case(
        {
            "QueueConfigurations": [
                {"Id": "q", "QueueArn": _QUEUE, "Events": ["s3:ObjectCreated:*"], "Filter": _filter(suffix=".png")},
                {"Id": "q2", "QueueArn": _QUEUE, "Events": ["s3:ObjectCreated:Put"], "Filter": _filter(suffix=".gif")},
            ],
            "TopicConfigurations": [
                {
                    "Id": "t",
                    "TopicArn": _TOPIC,
                    "Events": ["s3:ObjectTagging:Put", "s3:ObjectAcl:Put"],
                    "Filter": _filter(prefix="a", suffix="z"),
                }
            ],
            "LambdaFunctionConfigurations": [
                {
                    "Id": "f",
                    "LambdaFunctionArn": _FUNCTION,
                    "Events": ["s3:LifecycleTransition"],
                    "Filter": _filter(prefix="old/", suffix=".log"),
                }
            ],
        },
        {
            "notifications": {
                "queues": [
                    _target("q", _QUEUE, "s3:ObjectCreated:*", suffix=".png"),
                    _target("q2", _QUEUE, "s3:ObjectCreated:Put", suffix=".gif", prefix=""),
                ],
                "topics": [_target("t", _TOPIC, "s3:ObjectTagging:Put", "s3:ObjectAcl:Put", prefix="a", suffix="z")],
                "functions": [_target("f", _FUNCTION, "s3:LifecycleTransition", prefix="old/", suffix=".log")],
                "eventBridge": False,
            }
        },
    ),
    "event-bridge-only": Case({"EventBridgeConfiguration": {}}, {"notifications": {"eventBridge": True}}),
    "none": Case({}, {"notifications": {}}),
}
CLEARED: dict[str, Any] = {}


def _write(subject: Subject, edit: Callable[[dict[str, Any]], Any]) -> None:
    configuration = copy.deepcopy(_EXAMPLE)
    edit(configuration)
    subject.world.s3.put_bucket_notification_configuration(
        Bucket=subject.bucket, NotificationConfiguration=configuration
    )


def _row(edit: Callable[[dict[str, Any]], Any]) -> Row:
    return Row("notifications", "notifications", lambda subject: _write(subject, edit))


def _queue(found: dict[str, Any]) -> dict[str, Any]:
    queue: dict[str, Any] = found["QueueConfigurations"][0]
    return queue


ROWS = {
    "notifications-off": _row(lambda found: found.clear()),
    "notifications-event-bridge-off": _row(lambda found: found.pop("EventBridgeConfiguration")),
    "notifications-queue-replaced": _row(lambda found: _queue(found).update(QueueArn=f"{_QUEUE}-2")),
    "notifications-event-added": _row(lambda found: _queue(found)["Events"].append("s3:ObjectAcl:Put")),
    "notifications-filter-removed": _row(lambda found: _queue(found).pop("Filter")),
    "notifications-topic-added": _row(
        lambda found: found.update(
            TopicConfigurations=[{"Id": "t", "TopicArn": _TOPIC, "Events": ["s3:ObjectAcl:Put"]}]
        )
    ),
}


def _reorder(found: dict[str, Any]) -> None:
    _queue(found)["Events"].reverse()
    _queue(found)["Filter"] = _filter(suffix=".jpg", prefix="photos/")
    # A rule without a value is none.
    found["LambdaFunctionConfigurations"][0]["Filter"] = _filter(prefix="")


EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "notifications-in-another-order": lambda subject: _write(subject, _reorder)
}


def _refused(**fields: Any) -> dict[str, Any]:
    return {"notifications": fields}


_ACL = "s3:ObjectAcl:Put"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "notifications-list": ({"notifications": []}, "spec.notifications: must be an object"),
    "notifications-typo": (_refused(queue=[]), "spec.notifications.queue: there is no such field"),
    "notifications-event-bridge": (_refused(eventBridge={}), "spec.notifications.eventBridge: must be true or false"),
    "notifications-not-a-list": (_refused(topics={}), "spec.notifications.topics: must be a list"),
    # S3 would return a line feed for it, which would differ each time.
    "notifications-carriage-return": (
        _refused(topics=[{"id": "t", "arn": _TOPIC, "events": [_ACL], "prefix": "a\r\nb"}]),
        "spec.notifications.topics[0].prefix: holds the character \\r, which S3 does not keep",
    ),
    "notifications-control-character": (
        _refused(topics=[{"id": "t\x01", "arn": _TOPIC, "events": [_ACL]}]),
        "spec.notifications.topics[0].id: holds the character \\x01, which S3 does not keep",
    ),
    "notifications-without-id": (
        _refused(topics=[{"arn": _TOPIC, "events": [_ACL]}]), "spec.notifications.topics[0].id: is missing",
    ),
    "notifications-without-events": (
        _refused(topics=[_target("t", _TOPIC)]), "spec.notifications.topics[0].events: is missing",
    ),
    "notifications-event": (
        _refused(topics=[_target("t", _TOPIC, "s3:ObjectCreate:*")]),
        "spec.notifications.topics[0].events: must be one of s3:ObjectCreated:*, ",
    ),
    "notifications-events-text": (
        _refused(topics=[{**_target("t", _TOPIC), "events": _ACL}]),
        "spec.notifications.topics[0].events: must be a list",
    ),
    "notifications-arn-of-another-service": (
        _refused(queues=[_target("q", _TOPIC, _ACL)]),
        "spec.notifications.queues[0].arn: must be the ARN of an SQS queue: arn:aws:sqs:REGION:ACCOUNT:...",
    ),
    "notifications-fifo": (
        _refused(queues=[_target("q", f"{_QUEUE}.fifo", _ACL)]),
        "spec.notifications.queues[0].arn: S3 sends nothing to FIFO queues",
    ),
    "notifications-filter": (
        _refused(queues=[_target("q", _QUEUE, _ACL, prefix="a" * 1025)]),
        "spec.notifications.queues[0].prefix: may have at most 1024 characters",
    ),
    "notifications-target-typo": (
        _refused(queues=[_target("q", _QUEUE, _ACL, prefixes="a")]),
        "spec.notifications.queues[0].prefixes: there is no such field: it must be one of id, arn",
    ),
    "notifications-one-id": (
        _refused(queues=[_target("a", _QUEUE, _ACL)], topics=[_target("a", _TOPIC, "s3:IntelligentTiering")]),
        "spec.notifications.topics[0].id: is the id of notifications.queues[0] too",
    ),
    "notifications-overlap": (
        _refused(
            queues=[_target("q", _QUEUE, "s3:ObjectCreated:*", prefix="photos/")],
            functions=[_target("f", _FUNCTION, "s3:ObjectCreated:Put", suffix=".jpg")],
        ),
        "spec.notifications.functions[0].events: s3:ObjectCreated:Put of the same objects goes to notifications.queue",
    ),
    "notifications-too-many": (
        _refused(queues=[_target(f"q{at}", _QUEUE, _ACL, prefix=f"{at:03}") for at in range(101)]),
        "spec.notifications: AWS allows at most 100",
    ),
}  # fmt: skip
