"""Server access logs. moto drops TargetObjectKeyFormat, and knows fewer policies that let the logging service write.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketLogging.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketLogging.html
"""

from __future__ import annotations

import json
from xml.etree.ElementTree import Element

from moto.s3.models import FakeBucket

from ..calls import ACCOUNT, Call
from ..evaluate import is_service_let_in
from ..rights import Right
from ..rules import find_bucket
from .model import Configuration, RefusalError, invalid, malformed, text_of

_CODE = "InvalidTargetBucketForLogging"
_SERVICE = "logging.s3.amazonaws.com"
_LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"


def _of_new_bucket(_: Call) -> Element:
    return Element("BucketLoggingStatus")


def _accept(call: Call, root: Element) -> Element:
    enabled = root.find("LoggingEnabled")
    if enabled is None:
        return root
    prefix = enabled.find("TargetPrefix")
    if not text_of(enabled, "TargetBucket") or prefix is None:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_LoggingEnabled.html: both are required.
        raise malformed()
    _check_format(enabled)
    target = _find_target(call, text_of(enabled, "TargetBucket"))
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-server-access-logging.html
    is_enforced = str(target.ownership_rule) == "BucketOwnerEnforced"
    if is_enforced and enabled.find("TargetGrants/Grant") is not None:
        raise invalid("Target grants not supported for buckets with bucket owner enforced object ownership")
    is_granted = not is_enforced and _is_granted(target)
    if not is_granted and not _is_service_let_in(call, target, prefix.text or ""):
        raise invalid("The target bucket does not let the logging service write", _CODE)
    return root


def _check_format(enabled: Element) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_TargetObjectKeyFormat.html: only one format.
    found = enabled.find("TargetObjectKeyFormat")
    if found is None:
        return
    source = found.findtext("PartitionedPrefix/PartitionDateSource", "EventTime")
    if len(found) != 1 or source not in ("EventTime", "DeliveryTime"):
        raise malformed()


def _find_target(call: Call, name: str) -> FakeBucket:
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html: the same Region and account, and no bucket
    # with object lock. https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html has the codes.
    target, source = find_bucket(name), find_bucket(call.bucket)
    if target is None or source is None or target[0] != ACCOUNT:
        raise invalid("The target bucket for logging does not exist or is not owned by you", _CODE)
    if target[1].region_name != source[1].region_name:
        raise RefusalError(403, "CrossLocationLoggingProhibited", "Cross S3 location logging not allowed.")
    if target[1].object_lock_enabled:
        raise invalid("The target bucket for logging has object lock", _CODE)
    return target[1]


def _is_service_let_in(call: Call, target: FakeBucket, prefix: str) -> bool:
    if not target.policy:
        return False
    context = {"aws:SourceAccount": [ACCOUNT], "aws:SourceArn": [f"arn:aws:s3:::{call.bucket}"]}
    right = Right("s3:PutObject", f"arn:aws:s3:::{target.name}/{prefix}2026-01-01-00-00-00-0123456789ABCDEF", context)
    return is_service_let_in(json.loads(target.policy), right, _SERVICE)


def _is_granted(target: FakeBucket) -> bool:
    grants = target.acl.grants if target.acl else []
    to_service = [item for item in grants if any(grantee.uri == _LOG_DELIVERY for grantee in item.grantees)]
    given = {name for grant in to_service for name in grant.permissions}
    return {"WRITE", "READ_ACP"} <= given or "FULL_CONTROL" in given


CONFIGURATION = Configuration("logging", _of_new_bucket, _accept)
