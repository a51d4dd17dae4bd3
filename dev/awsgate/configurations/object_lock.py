"""Object lock with its default retention. moto refuses it for a bucket with objects, and drops DefaultEventHold.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObjectLockConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectLockConfiguration.html
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from moto.s3.models import FakeBucket

from ..calls import Call
from ..rules import find_bucket
from .model import Configuration, RefusalError, invalid, malformed, put, text_of

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
_MOST = {"Days": 36500, "Years": 100}


def _of_bucket(call: Call) -> FakeBucket:
    found = find_bucket(call.bucket)
    assert found is not None, "the gate has answered NoSuchBucket"
    return found[1]


def _of_new_bucket(call: Call) -> Element:
    if not _of_bucket(call).object_lock_enabled:
        message = "Object Lock configuration does not exist for this bucket"
        raise RefusalError(404, "ObjectLockConfigurationNotFoundError", message)
    root = Element("ObjectLockConfiguration")
    put(root, "ObjectLockEnabled", "Enabled")
    return root


def _accept(call: Call, root: Element) -> Element:
    bucket = _of_bucket(call)
    if text_of(root, "ObjectLockEnabled") != "Enabled":
        raise malformed()
    if bucket.versioning_status != "Enabled":
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html: for an existing bucket too.
        message = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration"
        raise RefusalError(409, "InvalidBucketState", message)
    retention = root.find("Rule/DefaultRetention")
    if root.find("Rule") is not None and retention is None:
        raise malformed()
    bucket.object_lock_enabled = True
    _apply(bucket, Element("DefaultRetention") if retention is None else retention)
    return root


def _apply(bucket: FakeBucket, retention: Element) -> None:
    """Make moto protect new versions."""
    periods = {name: _period_of(retention, name) for name in _MOST}
    mode = text_of(retention, "Mode")
    given = [name for name, period in periods.items() if period is not None]
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_DefaultRetention.html: a mode and one period, or neither.
    if mode not in ("", "GOVERNANCE", "COMPLIANCE") or len(given) != int(bool(mode)):
        raise malformed()
    bucket.default_lock_mode = mode
    bucket.default_lock_days, bucket.default_lock_years = periods["Days"] or 0, periods["Years"] or 0


def _period_of(retention: Element, name: str) -> int | None:
    text = retention.findtext(name)
    if text is None:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= _MOST[name]:
        raise invalid("Default retention period must be a positive integer value.")
    return int(text)


CONFIGURATION = Configuration("object-lock", _of_new_bucket, _accept)
