"""Rows of encryption."""

from __future__ import annotations

from typing import Any

from tests.gate.rows import Row, nothing

_ENCRYPTION = ("put_bucket_encryption", "get_bucket_encryption")
_AES = {"SSEAlgorithm": "AES256"}


def _encrypt(result: dict[str, Any] | str, *defaults: dict[str, Any], before: Any = nothing, **more: Any) -> Row:
    rules = [{"ApplyServerSideEncryptionByDefault": default, **more} for default in defaults]
    expected = _encrypted(**result) if isinstance(result, dict) else result
    arguments = {"ServerSideEncryptionConfiguration": {"Rules": rules}}
    return Row(_ENCRYPTION[0], arguments, _ENCRYPTION[1], expected, before)


def _encrypted(default: dict[str, Any], *, bucket_key: bool = False, blocked: str = "SSE-C") -> dict[str, Any]:
    rule = {
        "ApplyServerSideEncryptionByDefault": default,
        "BucketKeyEnabled": bucket_key,
        "BlockedEncryptionTypes": {"EncryptionType": [blocked]},
    }
    return {"ServerSideEncryptionConfiguration": {"Rules": [rule]}}


def _unblock(s3: Any, bucket: str) -> None:
    row = _encrypt("", _AES, BlockedEncryptionTypes={"EncryptionType": ["NONE"]})
    s3.put_bucket_encryption(Bucket=bucket, **row.arguments)


_ALIAS = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": "alias/none"}
ROWS = {
    "new-bucket": Row("delete_bucket_encryption", {}, _ENCRYPTION[1], _encrypted(_AES)),
    "key-as-given": _encrypt({"default": _ALIAS}, _ALIAS),
    "bucket-key": _encrypt({"default": _ALIAS, "bucket_key": True}, _ALIAS, BucketKeyEnabled=True),
    "blocked-as-before": _encrypt({"default": _AES, "blocked": "NONE"}, _AES, before=_unblock),
    "deleted": Row("delete_bucket_encryption", {}, _ENCRYPTION[1], _encrypted(_AES), _unblock),
    "no-rule": _encrypt("MalformedXML"),
    "two-rules": _encrypt("MalformedXML", _AES, _ALIAS),
    "algorithm": _encrypt("MalformedXML", {"SSEAlgorithm": "DES"}),
    "blocked-word": _encrypt("MalformedXML", _AES, BlockedEncryptionTypes={"EncryptionType": ["SSE-X"]}),
    "key-of-aes": _encrypt("InvalidArgument", {**_AES, "KMSMasterKeyID": "alias/none"}),
}
