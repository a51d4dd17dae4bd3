"""logging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dev.examples import TARGETS
from tests.support.settings import Case, Row, Subject

_TARGET = TARGETS[0]
_EXAMPLE = {
    "TargetBucket": _TARGET,
    "TargetPrefix": "photos/",
    "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}},
}
CASES = {
    "example": Case({"LoggingEnabled": _EXAMPLE}),
    "by-delivery-time": Case(
        {
            "LoggingEnabled": {
                "TargetBucket": _TARGET,
                "TargetPrefix": "",
                "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "DeliveryTime"}},
            }
        },
        {"logging": {"targetBucket": _TARGET, "keyFormat": "PartitionedByDeliveryTime"}},
    ),
    "plain": Case(
        {"LoggingEnabled": {"TargetBucket": _TARGET, "TargetPrefix": "a b/"}},
        {"logging": {"targetBucket": _TARGET, "targetPrefix": "a b/", "keyFormat": "Simple"}},
    ),
    "defaults": Case(
        {"LoggingEnabled": {"TargetBucket": _TARGET, "TargetPrefix": ""}}, {"logging": {"targetBucket": _TARGET}}
    ),
}
CLEARED: dict[str, Any] = {}


def _put(subject: Subject, enabled: dict[str, Any]) -> None:
    status = {"LoggingEnabled": enabled} if enabled else {}
    subject.world.s3.put_bucket_logging(Bucket=subject.bucket, BucketLoggingStatus=status)


def _grant(subject: Subject) -> None:
    """Only a bucket with ACLs may have grants on its logs."""
    own = {"Bucket": _TARGET, "OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}}
    subject.world.s3.put_bucket_ownership_controls(**own)
    grantee = {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"}
    _put(subject, {**_EXAMPLE, "TargetGrants": [{"Grantee": grantee, "Permission": "READ"}]})


ROWS = {
    "logging-off": Row("logging", "logging", lambda s: _put(s, {})),
    "logging-elsewhere": Row("logging", "logging", lambda s: _put(s, {**_EXAMPLE, "TargetBucket": TARGETS[1]})),
    "logging-other-keys": Row(
        "logging", "logging", lambda s: _put(s, {"TargetBucket": _TARGET, "TargetPrefix": "photos/"})
    ),
    "logging-grant": Row("logging", "logging", _grant),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "logging-default-date": lambda s: _put(s, {**_EXAMPLE, "TargetObjectKeyFormat": {"PartitionedPrefix": {}}}),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "logging-text": ({"logging": "on"}, "spec.logging: must be an object"),
    "logging-without-bucket": ({"logging": {"targetPrefix": "a"}}, "spec.logging.targetBucket: is missing"),
    "logging-bucket-long": ({"logging": {"targetBucket": "a" * 64}}, "spec.logging.targetBucket: may have at most 63"),
    "logging-prefix-long": (
        {"logging": {"targetBucket": _TARGET, "targetPrefix": "a" * 1025}},
        "spec.logging.targetPrefix: may have at most 1024 characters",
    ),
    "logging-format": (
        {"logging": {"targetBucket": _TARGET, "keyFormat": "Partitioned"}},
        "spec.logging.keyFormat: must be one of Simple, PartitionedByEventTime, PartitionedByDeliveryTime",
    ),
    "logging-typo": (
        {"logging": {"targetBucket": _TARGET, "prefix": "a"}}, "spec.logging.prefix: there is no such field: it must"
    ),
}  # fmt: skip
