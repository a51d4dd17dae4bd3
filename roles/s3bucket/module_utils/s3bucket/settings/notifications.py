# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Event notifications: ``notifications``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html
"""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

from ..json_types import ApiObject
from ..setting import Call, Operation, Read, Setting, Value
from ..values import choice_of, fields_of, flag_of, invalid, text_of

_PUT = Operation("put_bucket_notification_configuration", "s3:PutBucketNotification")
_EVENT_BRIDGE = "eventBridge"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-event-types-and-destinations.html
_EVENTS = (
    "s3:ObjectCreated:*",
    "s3:ObjectCreated:Put",
    "s3:ObjectCreated:Post",
    "s3:ObjectCreated:Copy",
    "s3:ObjectCreated:CompleteMultipartUpload",
    "s3:ObjectRemoved:*",
    "s3:ObjectRemoved:Delete",
    "s3:ObjectRemoved:DeleteMarkerCreated",
    "s3:ObjectRestore:*",
    "s3:ObjectRestore:Post",
    "s3:ObjectRestore:Completed",
    "s3:ObjectRestore:Delete",
    "s3:ReducedRedundancyLostObject",
    "s3:Replication:*",
    "s3:Replication:OperationFailedReplication",
    "s3:Replication:OperationMissedThreshold",
    "s3:Replication:OperationReplicatedAfterThreshold",
    "s3:Replication:OperationNotTracked",
    "s3:LifecycleExpiration:*",
    "s3:LifecycleExpiration:Delete",
    "s3:LifecycleExpiration:DeleteMarkerCreated",
    "s3:LifecycleTransition",
    "s3:IntelligentTiering",
    "s3:ObjectAcl:Put",
    "s3:ObjectTagging:*",
    "s3:ObjectTagging:Put",
    "s3:ObjectTagging:Delete",
    "s3:ObjectAnnotation:*",
    "s3:ObjectAnnotation:Put",
    "s3:ObjectAnnotation:Delete",
    "s3:ObjectRetention:Put",
)
_MAX_TARGETS = 100
_MAX_ID = 255
_MAX_FILTER = 1024


class _Kind(NamedTuple):
    """A kind of target: boto3's keys for the list and for the ARN, and the service in the ARN."""

    list_key: str
    arn_key: str
    service: str
    noun: str


_KINDS = {
    "queues": _Kind("QueueConfigurations", "QueueArn", "sqs", "an SQS queue"),
    "topics": _Kind("TopicConfigurations", "TopicArn", "sns", "an SNS topic"),
    "functions": _Kind("LambdaFunctionConfigurations", "LambdaFunctionArn", "lambda", "a Lambda function"),
}
_FIELDS = (_EVENT_BRIDGE, *_KINDS)
_TARGET_FIELDS = ("id", "arn", "events", "prefix", "suffix")
_REQUIRED = ("id", "arn", "events")


def _take(answer: ApiObject) -> ApiObject:
    found: ApiObject = {
        field: [_target_of(item, kind) for item in answer[kind.list_key]]
        for field, kind in _KINDS.items()
        if answer.get(kind.list_key)
    }
    # An empty structure: that it is there turns EventBridge on.
    return {**found, _EVENT_BRIDGE: True} if "EventBridgeConfiguration" in answer else found


def _target_of(item: ApiObject, kind: _Kind) -> ApiObject:
    target: ApiObject = {"id": item.get("Id", ""), "arn": item[kind.arn_key], "events": item["Events"]}
    for rule in item.get("Filter", {}).get("Key", {}).get("FilterRules", []):
        # AWS returns Prefix for prefix.
        target[str(rule["Name"]).lower()] = rule.get("Value", "")
    return target


class Notifications(Setting):
    """One call replaces all of them. AWS tests each target then: an error names the target, and nothing is changed.

    So the test is not skipped (SkipDestinationValidation): a target that refuses events would lose them in silence.
    """

    name = "notifications"
    field = "notifications"
    is_optional = True
    is_in_status = False
    # https://repost.aws/knowledge-center/unable-validate-destination-s3
    passing = {
        "Unable to validate the following destination configurations": "AWS cannot send events to a target: create it, "
        "and let s3.amazonaws.com send events of this bucket in the target's own policy"
    }
    read = Read(Operation("get_bucket_notification_configuration", "s3:GetBucketNotification"), _take)
    writes = (_PUT,)

    def parse(self, value: object) -> ApiObject:
        path = f"spec.{self.field}"
        given = fields_of(value, path, _FIELDS)
        targets = [
            (f"{path}.{field}[{at}]", field, target)
            for field in _KINDS
            for at, target in enumerate(_list_of(given.get(field, []), f"{path}.{field}"))
        ]
        if len(targets) > _MAX_TARGETS:
            raise invalid(path, f"AWS allows at most {_MAX_TARGETS} queues, topics and functions in all")
        parsed = [(at, _parse_target(target, at, _KINDS[field])) for at, field, target in targets]
        for one, other in itertools.combinations(parsed, 2):
            _check_pair(one, other)
        flag_of(given.get(_EVENT_BRIDGE, False), f"{path}.{_EVENT_BRIDGE}")
        return given

    def canonical(self, value: Value) -> Value:
        given = value or {}
        targets = frozenset(
            (field, item["id"], item["arn"], frozenset(item["events"]), *_filter_of(item))
            for field in _KINDS
            for item in given.get(field) or []
        )
        return bool(given.get(_EVENT_BRIDGE)), targets

    def calls(self, value: Value) -> list[Call]:
        given = value or {}
        configuration: ApiObject = {
            kind.list_key: [_as_sent(item, kind) for item in given[field]]
            for field, kind in _KINDS.items()
            if given.get(field)
        }
        if given.get(_EVENT_BRIDGE):
            configuration["EventBridgeConfiguration"] = {}
        return [Call(_PUT, {"NotificationConfiguration": configuration})]


def _as_sent(item: ApiObject, kind: _Kind) -> ApiObject:
    sent = {"Id": item["id"], kind.arn_key: item["arn"], "Events": item["events"]}
    rules = [{"Name": name, "Value": item[name]} for name in ("prefix", "suffix") if item.get(name)]
    return {**sent, "Filter": {"Key": {"FilterRules": rules}}} if rules else sent


def _filter_of(item: ApiObject) -> tuple[str, str]:
    return item.get("prefix") or "", item.get("suffix") or ""


def _list_of(value: object, path: str) -> list[object]:
    if not isinstance(value, list):
        raise invalid(path, "must be a list")
    return value


def _parse_target(value: object, path: str, kind: _Kind) -> ApiObject:
    target = fields_of(value, path, _TARGET_FIELDS)
    for name in (name for name in _REQUIRED if not target.get(name)):
        raise invalid(f"{path}.{name}", "is missing")
    for name, most in (("id", _MAX_ID), ("prefix", _MAX_FILTER), ("suffix", _MAX_FILTER)):
        if len(text_of(target.get(name, ""), f"{path}.{name}")) > most:
            raise invalid(f"{path}.{name}", f"may have at most {most} characters")
    arn = text_of(target["arn"], f"{path}.arn")
    # Another system than AWS may leave region and account empty.
    if not re.fullmatch(rf"arn:[^:\s]+:{kind.service}:[^:\s]*:[^:\s]*:\S+", arn):
        raise invalid(f"{path}.arn", f"must be the ARN of {kind.noun}: arn:aws:{kind.service}:REGION:ACCOUNT:...")
    if arn.endswith(".fifo"):
        raise invalid(f"{path}.arn", "S3 sends nothing to FIFO queues and topics: name one of the standard type")
    for event in _list_of(target["events"], f"{path}.events"):
        choice_of(event, f"{path}.events", _EVENTS)
    return target


def _check_pair(one: tuple[str, ApiObject], other: tuple[str, ApiObject]) -> None:
    """Refuse two targets with one id, and two that would both get an event of one object.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    """
    (first, left), (path, right) = one, other
    if left["id"] == right["id"]:
        raise invalid(f"{path}.id", f"is the id of {first.removeprefix('spec.')} too: each needs its own")
    (prefix, suffix), (prefix2, suffix2) = _filter_of(left), _filter_of(right)
    if not (prefix.startswith(prefix2) or prefix2.startswith(prefix)):
        return
    if not (suffix.endswith(suffix2) or suffix2.endswith(suffix)):
        return
    shared = sorted(_single_events(left) & _single_events(right))
    if shared:
        raise invalid(
            f"{path}.events",
            f"{shared[0]} of the same objects goes to {first.removeprefix('spec.')} already, and AWS sends an event to "
            "one target only: give them prefixes or suffixes that no object has both of, or use eventBridge",
        )


def _single_events(target: ApiObject) -> set[str]:
    """The events of a target. A wildcard stands for all that it includes."""
    stems = tuple(event.removesuffix("*") for event in target["events"] if event.endswith("*"))
    return {event for event in _EVENTS if event in target["events"] or (stems and event.startswith(stems))}


SETTING = Notifications()
