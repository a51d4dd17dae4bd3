"""Replication. moto drops And in filters and what selects KMS objects, and checks no destination.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketReplication.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketReplication.html, and for the errors
https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ReplicationErrorCodeList
"""

from __future__ import annotations

import uuid
from xml.etree.ElementTree import Element

from ..calls import Call
from ..rules import find_bucket
from .model import Configuration, RefusalError, check_filter, invalid, malformed, not_set, put, text_of

_MAX_RULES = 1000
_SCHEMA = "must be specified for this version of Cross Region Replication configuration schema"


def _accept(call: Call, root: Element) -> Element:
    rules = root.findall("Rule")
    if not text_of(root, "Role") or not 1 <= len(rules) <= _MAX_RULES:
        raise malformed()
    if not _has_versions(call.bucket):
        raise _invalid("Versioning must be 'Enabled' on the bucket to apply a replication configuration")
    for rule in rules:
        _accept_rule(rule)
    _refuse_equal(
        [text_of(rule, "ID") for rule in rules], "Rule Id must be unique. Found same Id for more than one rule"
    )
    _refuse_equal(
        [text_of(rule, "Priority") for rule in rules if rule.find("Filter") is not None], "Found duplicate priorities"
    )
    return root


def _refuse_equal(values: list[str], message: str) -> None:
    if len(set(values)) < len(values):
        raise invalid(message)


def _accept_rule(rule: Element) -> None:
    if text_of(rule, "Status") not in ("Enabled", "Disabled") or not text_of(rule, "Destination/Bucket"):
        raise malformed()
    if not text_of(rule, "ID"):
        put(rule, "ID", str(uuid.uuid4()))
    filters = rule.find("Filter")
    if (filters is None) == (rule.find("Prefix") is None):
        raise malformed()
    if filters is not None:
        _accept_filter(rule, filters)
    _check_destination(rule)
    _check_encryption(rule)


def _accept_filter(rule: Element, filters: Element) -> None:
    # "When you add the Filter element in the configuration, you must also add the following elements."
    for name in ("Priority", "DeleteMarkerReplication/Status"):
        if not text_of(rule, name):
            raise _invalid(f"{name.partition('/')[0]} {_SCHEMA}")
    if text_of(rule, "DeleteMarkerReplication/Status") == "Enabled" and any(filters.iter("Tag")):
        raise _invalid("Delete marker replication is not supported if any Tag filter is specified")
    check_filter(rule, "Prefix")
    if len(filters) == 0:
        # An empty filter comes back as an empty prefix: https://github.com/hashicorp/terraform-provider-aws/issues/10235
        put(filters, "Prefix")


def _check_destination(rule: Element) -> None:
    bucket = text_of(rule, "Destination/Bucket").rpartition(":")[2]
    if find_bucket(bucket) is None:
        raise _invalid("Destination bucket must exist.")
    if not _has_versions(bucket):
        raise _invalid("Destination bucket must have versioning enabled.")
    if text_of(rule, "Destination/AccessControlTranslation/Owner") and not text_of(rule, "Destination/Account"):
        raise _invalid("If the Owner in AccessControlTranslation has a value, the Account element must be specified")
    time, metrics = rule.find("Destination/ReplicationTime"), rule.find("Destination/Metrics")
    if time is None:
        return
    minutes = {
        text_of(rule, f"Destination/{path}/Minutes") for path in ("ReplicationTime/Time", "Metrics/EventThreshold")
    }
    if metrics is None or minutes != {"15"}:
        raise _invalid("ReplicationTime and Metrics must be specified together, with 15 minutes")


def _check_encryption(rule: Element) -> None:
    selects = text_of(rule, "SourceSelectionCriteria/SseKmsEncryptedObjects/Status")
    has_key = rule.find("Destination/EncryptionConfiguration") is not None
    if has_key and not selects:
        raise _invalid("SseKmsEncryptedObjects must be specified if EncryptionConfiguration is present.")
    if selects == "Enabled" and not has_key:
        raise _invalid("EncryptionConfiguration must be specified if SseKmsEncryptedObjects is present.")


def _has_versions(bucket: str) -> bool:
    found = find_bucket(bucket)
    return found is not None and found[1].versioning_status == "Enabled"


def _invalid(message: str) -> RefusalError:
    return invalid(message, "InvalidRequest")


CONFIGURATION = Configuration("replication", not_set("ReplicationConfigurationNotFoundError"), _accept)
