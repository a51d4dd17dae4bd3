# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Default encryption: ``encryption``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-encryption.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_types import ApiObject
from ..setting import Call, Comparison, Operation, Read, Setting, Value
from ..values import choice_of, fields_of, flag_of, invalid, text_of

if TYPE_CHECKING:
    from ..spec import Wanted

_PUT = Operation("put_bucket_encryption", "s3:PutEncryptionConfiguration")
_DELETE = Operation("delete_bucket_encryption", "s3:PutEncryptionConfiguration")
_TYPES = ("AES256", "aws:kms", "aws:kms:dsse")
_BLOCKED = "blockedEncryptionTypes"
_FIELDS = ("type", "kmsKeyID", "bucketKeyEnabled", _BLOCKED)
# Recorded where the spec blocks or unblocks types.
_BLOCKED_PART = "encryption.blocked"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/default-s3-c-encryption-setting-faq.html
_BLOCKED_BY_AWS = ["SSE-C"]
_MAX_KEY = 2048


def _take(answer: ApiObject) -> ApiObject:
    rules = answer.get("ServerSideEncryptionConfiguration", {}).get("Rules") or [{}]
    default, blocked = rules[0].get("ApplyServerSideEncryptionByDefault", {}), rules[0].get("BlockedEncryptionTypes")
    found = {
        "type": default.get("SSEAlgorithm", "AES256"),
        "kmsKeyID": default.get("KMSMasterKeyID"),
        "bucketKeyEnabled": rules[0].get("BucketKeyEnabled"),
        _BLOCKED: None if blocked is None else [name for name in blocked.get("EncryptionType", []) if name != "NONE"],
    }
    return {name: part for name, part in found.items() if part is not None}


class Encryption(Setting):
    """Every bucket is encrypted with AES256 at least. Old stores answer that none is set.

    AWS blocks SSE-C by itself in new buckets. So types that the spec does not block or unblock are no difference, and
    are written as they were read. Those that the spec no longer blocks or unblocks are reset to what AWS blocks.
    """

    name = "encryption"
    field = "encryption"
    is_optional = True
    is_in_status = False
    more_parts = (_BLOCKED_PART,)
    new_bucket: Value = {"type": "AES256"}
    read = Read(
        Operation("get_bucket_encryption", "s3:GetEncryptionConfiguration"),
        _take,
        ("ServerSideEncryptionConfigurationNotFoundError",),
        unset=new_bucket,
    )
    writes = (_PUT, _DELETE)

    def parse(self, value: object) -> ApiObject:
        field = f"spec.{self.field}"
        given = fields_of(value, field, _FIELDS)
        kind = choice_of(given.get("type"), f"{field}.type", _TYPES)
        if "kmsKeyID" in given:
            _check_key(given["kmsKeyID"], f"{field}.kmsKeyID", kind)
        if flag_of(given.get("bucketKeyEnabled", False), f"{field}.bucketKeyEnabled") and kind == "aws:kms:dsse":
            raise invalid(f"{field}.bucketKeyEnabled", "must not be true with type aws:kms:dsse: it has no bucket keys")
        if given.get(_BLOCKED, []) not in ([], ["SSE-C"]):
            raise invalid(f"{field}.{_BLOCKED}", "must be [SSE-C], or an empty list for none")
        return given

    def target(self, case: Comparison) -> Value:
        """Return the wanted value; a given one without blocked types has those of the bucket, or of AWS."""
        value, found = super().target(case), case.found[self.name]
        if case.wanted.settings[self.name] is None or _BLOCKED in value or _BLOCKED not in found:
            return value
        return {**value, _BLOCKED: _BLOCKED_BY_AWS if _BLOCKED_PART in case.recorded else found[_BLOCKED]}

    def written_parts(self, wanted: Wanted) -> tuple[str, ...]:
        is_blocking = _BLOCKED in (wanted.settings[self.name] or {})
        return (self.name, _BLOCKED_PART) if is_blocking else (self.name,)

    def canonical(self, value: Value) -> Value:
        return value["type"], value.get("kmsKeyID"), value.get("bucketKeyEnabled", False)

    def differs(self, case: Comparison) -> bool:
        found, wanted = case.found[self.name], self.target(case)
        is_blocking = set(wanted.get(_BLOCKED, found.get(_BLOCKED, [])))
        return super().differs(case) or is_blocking != set(found.get(_BLOCKED, []))

    def calls(self, value: Value) -> list[Call]:
        if value == self.new_bucket:
            return [Call(_DELETE, {})]
        default = {"SSEAlgorithm": value["type"]}
        if "kmsKeyID" in value:
            default["KMSMasterKeyID"] = value["kmsKeyID"]
        rule = {
            "ApplyServerSideEncryptionByDefault": default,
            "BucketKeyEnabled": value.get("bucketKeyEnabled", False),
        }
        if _BLOCKED in value:
            rule["BlockedEncryptionTypes"] = {"EncryptionType": value[_BLOCKED] or ["NONE"]}
        return [Call(_PUT, {"ServerSideEncryptionConfiguration": {"Rules": [rule]}})]


def _check_key(value: object, path: str, kind: str) -> None:
    text = text_of(value, path)
    if kind == "AES256":
        raise invalid(path, "needs type aws:kms or aws:kms:dsse: AES256 has no key of yours")
    if not 1 <= len(text) <= _MAX_KEY or not text.isascii() or not text.isprintable() or " " in text:
        raise invalid(path, "must be the id, the alias or the ARN of a KMS key")


SETTING = Encryption()
