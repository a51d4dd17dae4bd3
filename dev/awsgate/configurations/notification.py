"""Event notifications. moto drops EventBridge, and tests no target.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketNotificationConfiguration.html
"""

from __future__ import annotations

import itertools
import uuid
from xml.etree.ElementTree import Element

from ..calls import Call
from ..rules import find_bucket
from .model import Configuration, RefusalError, children, invalid, malformed, put, text_of

_ARN_OF = {"QueueConfiguration": "Queue", "TopicConfiguration": "Topic", "CloudFunctionConfiguration": "CloudFunction"}
_SERVICE_OF = {"QueueConfiguration": "sqs", "TopicConfiguration": "sns", "CloudFunctionConfiguration": "lambda"}
_MAX_CONFIGURATIONS = 100
_ARN_PARTS = 6
_UNREACHABLE = "Unable to validate the following destination configurations"
# The ARNs of targets that do not let S3 send events. All others exist and let it.
CLOSED_TARGETS: set[str] = set()


def _of_new_bucket(_: Call) -> Element:
    return Element("NotificationConfiguration")


def _accept(call: Call, root: Element) -> Element:
    items = list(children(root, *_ARN_OF))
    # https://docs.aws.amazon.com/general/latest/gr/s3.html: 100 event notification configurations a bucket.
    if len(items) > _MAX_CONFIGURATIONS:
        raise malformed()
    for item in items:
        _normalize(item)
    names = [text_of(item, "Id") for item in items]
    if len(set(names)) < len(names):
        raise invalid("Same ID used for multiple configurations. IDs must be unique")
    for one, other in itertools.combinations(items, 2):
        _refuse_overlap(one, other)
    for item in items:
        _test_target(call, item)
    return root


def _normalize(item: Element) -> None:
    if not text_of(item, "Event") or not text_of(item, _ARN_OF[item.tag]):
        raise malformed()
    if not text_of(item, "Id"):
        for empty in item.findall("Id"):
            item.remove(empty)
        put(item, "Id", str(uuid.uuid4()))
    for rule in item.findall("Filter/S3Key/FilterRule"):
        name = rule.find("Name")
        if name is None or text_of(rule, "Name").lower() not in ("prefix", "suffix"):
            raise invalid("filter rule name must be either prefix or suffix")
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_FilterRule.html has prefix. AWS returns Prefix:
        # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/s3/bucket_notification.go
        name.text = text_of(rule, "Name").capitalize()


def _refuse_overlap(one: Element, other: Element) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-how-to-filtering.html
    (prefix, suffix), (prefix2, suffix2) = _filter_of(one), _filter_of(other)
    shares_keys = (prefix.startswith(prefix2) or prefix2.startswith(prefix)) and (
        suffix.endswith(suffix2) or suffix2.endswith(suffix)
    )
    events, events2 = ([found.text or "" for found in item.findall("Event")] for item in (one, other))
    if shares_keys and any(_is_same_event(left, right) for left in events for right in events2):
        raise invalid(
            "Configurations overlap. Configurations on the same bucket cannot share a common event type."
            if (prefix, suffix) == (prefix2, suffix2) == ("", "")
            else "Configuration is ambiguously defined. Cannot have overlapping prefixes and suffixes in two rules if "
            "the event types overlap"
        )


def _filter_of(item: Element) -> tuple[str, str]:
    rules = {text_of(rule, "Name"): text_of(rule, "Value") for rule in item.findall("Filter/S3Key/FilterRule")}
    return rules.get("Prefix", ""), rules.get("Suffix", "")


def _is_same_event(one: str, other: str) -> bool:
    stems = [name.removesuffix("*") for name in (one, other)]
    return (
        one == other
        or (one.endswith("*") and other.startswith(stems[0]))
        or (other.endswith("*") and one.startswith(stems[1]))
    )


def _test_target(call: Call, item: Element) -> None:
    """Test a target, as AWS does with a test message. The answer names it.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/grant-destinations-permissions-to-s3.html,
    https://repost.aws/knowledge-center/unable-validate-destination-s3
    """
    arn = text_of(item, _ARN_OF[item.tag])
    parts = arn.split(":")
    if len(parts) < _ARN_PARTS or parts[2] != _SERVICE_OF[item.tag]:
        raise invalid("The ARN is not well formed")
    found = find_bucket(call.bucket)
    if found is not None and parts[3] != found[1].region_name:
        raise invalid("The notification destination service region is not valid for the bucket location constraint")
    if call.headers.get("x-amz-skip-destination-validation", "").lower() == "true":
        return
    if arn in CLOSED_TARGETS or arn.endswith(".fifo"):
        noun = _ARN_OF[item.tag].lower().removeprefix("cloud")
        text = f"Permissions on the destination {noun} do not allow S3 to publish notifications from this bucket"
        raise RefusalError(
            400, "InvalidArgument", _UNREACHABLE, {"ArgumentName1": f"{arn}, null", "ArgumentValue1": text}
        )


CONFIGURATION = Configuration("notification", _of_new_bucket, _accept)
