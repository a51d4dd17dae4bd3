"""Default encryption. moto answers that none is set, and drops BlockedEncryptionTypes.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketEncryption.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ServerSideEncryptionByDefault.html,
https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-s3-c-encryption-setting-faq.html
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement

from ..calls import Call
from . import stored
from .model import Configuration, invalid, malformed, put, text_of

_QUERY = "encryption"
_WITH_KEY = ("aws:kms", "aws:kms:dsse")


def _of_new_bucket(_: Call) -> Element:
    """Every bucket is encrypted since 2023, and refuses SSE-C since April 2026."""
    root = Element("ServerSideEncryptionConfiguration")
    rule = SubElement(root, "Rule")
    put(SubElement(rule, "ApplyServerSideEncryptionByDefault"), "SSEAlgorithm", "AES256")
    put(rule, "BucketKeyEnabled", "false")
    put(SubElement(rule, "BlockedEncryptionTypes"), "EncryptionType", "SSE-C")
    return root


def _accept(call: Call, root: Element) -> Element:
    rules = root.findall("Rule")
    if len(rules) != 1:
        raise malformed()
    _check(rules[0])
    if rules[0].find("BucketKeyEnabled") is None:
        put(rules[0], "BucketKeyEnabled", "false")
    # What a request does not block or unblock stays as it is.
    if rules[0].find("BlockedEncryptionTypes") is None:
        before = stored(call.bucket, _QUERY).get("", _of_new_bucket(call))
        rules[0].extend(before.findall("Rule/BlockedEncryptionTypes"))
    return root


def _check(rule: Element) -> None:
    default = "ApplyServerSideEncryptionByDefault"
    algorithm, key = text_of(rule, f"{default}/SSEAlgorithm"), text_of(rule, f"{default}/KMSMasterKeyID")
    blocked = [item.text for item in rule.findall("BlockedEncryptionTypes/EncryptionType")]
    if algorithm not in ("AES256", *_WITH_KEY) or any(name not in ("SSE-C", "NONE") for name in blocked):
        raise malformed()
    if key and algorithm not in _WITH_KEY:
        raise invalid("a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse")


CONFIGURATION = Configuration(_QUERY, _of_new_bucket, _accept)
