"""encryption."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

KEY = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
DEFAULT = "ApplyServerSideEncryptionByDefault"


def answer(default: dict[str, Any], *, bucket_key: bool = False, blocked: str = "SSE-C") -> dict[str, Any]:
    """AWS's answer: it adds BucketKeyEnabled and what it blocks by itself."""
    rule = {DEFAULT: default, "BucketKeyEnabled": bucket_key, "BlockedEncryptionTypes": {"EncryptionType": [blocked]}}
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


CASES = {
    "example": Case(answer({"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}, bucket_key=True)),
    "alias-as-given": Case(
        answer({"SSEAlgorithm": "aws:kms:dsse", "KMSMasterKeyID": "alias/photos"}, blocked="NONE"),
        {"encryption": {"type": "aws:kms:dsse", "kmsKeyID": "alias/photos", "blockedEncryptionTypes": []}},
    ),
    # Taken out of the spec, what is blocked is AWS's default again.
    "key-of-aws": Case(
        answer({"SSEAlgorithm": "aws:kms"}),
        {"encryption": {"type": "aws:kms", "bucketKeyEnabled": False}},
    ),
    "blocked": Case(
        answer({"SSEAlgorithm": "AES256"}), {"encryption": {"type": "AES256", "blockedEncryptionTypes": ["SSE-C"]}}
    ),
}
CLEARED = answer({"SSEAlgorithm": "AES256"})


def _put(subject: Subject, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the rule that the bucket has."""
    configuration = subject.world.s3.get_bucket_encryption(Bucket=subject.bucket)["ServerSideEncryptionConfiguration"]
    change(configuration["Rules"][0])
    subject.world.s3.put_bucket_encryption(Bucket=subject.bucket, ServerSideEncryptionConfiguration=configuration)


def _block(name: str) -> Callable[[Subject], None]:
    return lambda s: _put(s, lambda rule: rule.update(BlockedEncryptionTypes={"EncryptionType": [name]}))


ROWS = {
    "encryption-deleted": Row(
        "encryption", "encryption", lambda s: s.world.s3.delete_bucket_encryption(Bucket=s.bucket)
    ),
    "encryption-another-key": Row(
        "encryption", "encryption", lambda s: _put(s, lambda rule: rule[DEFAULT].update(KMSMasterKeyID="alias/other"))
    ),
    "encryption-key-of-aws": Row(
        "encryption", "encryption", lambda s: _put(s, lambda rule: rule[DEFAULT].pop("KMSMasterKeyID"))
    ),
    "encryption-dual-layer": Row(
        "encryption", "encryption", lambda s: _put(s, lambda rule: rule[DEFAULT].update(SSEAlgorithm="aws:kms:dsse"))
    ),
    "encryption-bucket-key-off": Row(
        "encryption", "encryption", lambda s: _put(s, lambda rule: rule.update(BucketKeyEnabled=False))
    ),
    "encryption-sse-c-unblocked": Row("encryption", "encryption", _block("NONE")),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "encryption-written-again": lambda s: _put(s, lambda rule: rule.pop("BlockedEncryptionTypes")),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "encryption-text": ({"encryption": "AES256"}, "spec.encryption: must be an object"),
    "encryption-without-type": ({"encryption": {}}, "spec.encryption.type: must be a string"),
    "encryption-type": ({"encryption": {"type": "aws:fsx"}}, "spec.encryption.type: must be one of AES256, aws:kms,"),
    "encryption-typo": (
        {"encryption": {"type": "aws:kms", "kmsKeyId": KEY}}, "spec.encryption.kmsKeyId: there is no such field: it"
    ),
    "encryption-key-without-kms": (
        {"encryption": {"type": "AES256", "kmsKeyID": KEY}}, "spec.encryption.kmsKeyID: needs type aws:kms"
    ),
    "encryption-key-with-space": (
        {"encryption": {"type": "aws:kms", "kmsKeyID": "my key"}}, "spec.encryption.kmsKeyID: must be the id, the alias"
    ),
    "encryption-bucket-key-of-dsse": (
        {"encryption": {"type": "aws:kms:dsse", "bucketKeyEnabled": True}},
        "spec.encryption.bucketKeyEnabled: must not be true with type aws:kms:dsse",
    ),
    "encryption-blocked": (
        {"encryption": {"type": "AES256", "blockedEncryptionTypes": ["NONE"]}},
        "spec.encryption.blockedEncryptionTypes: must be [SSE-C]",
    ),
}  # fmt: skip
