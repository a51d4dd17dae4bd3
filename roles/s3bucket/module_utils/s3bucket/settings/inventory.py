# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""S3 Inventory: ``inventory``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/storage-inventory.html
"""

from __future__ import annotations

from ..configurations import Configurations, check_fields, enabled_of, kind_of, prefix_of, renamed, target_of
from ..json_types import ApiObject
from ..values import choice_of, flag_of, given_of, invalid, text_of

_FORMATS = ("CSV", "ORC", "Parquet")
_SCHEDULES = ("Daily", "Weekly")
_VERSIONS = ("All", "Current")
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_InventoryConfiguration.html
_FIELDS = (
    "Size",
    "LastModifiedDate",
    "StorageClass",
    "ETag",
    "IsMultipartUploaded",
    "ReplicationStatus",
    "EncryptionStatus",
    "ObjectLockRetainUntilDate",
    "ObjectLockMode",
    "ObjectLockLegalHoldStatus",
    "ObjectLockEventHoldStatus",
    "ObjectLockEventHoldDuration",
    "IntelligentTieringAccessTier",
    "BucketKeyStatus",
    "ChecksumAlgorithm",
    "ObjectAccessControlList",
    "ObjectOwner",
    "LifecycleExpirationDate",
    "IntelligentTieringReferenceDate",
)
_KEYS = {"bucketARN": "Bucket", "account": "AccountId", "format": "Format", "prefix": "Prefix"}
_MAX_KEY = 2048


class Inventory(Configurations):
    """Its filter is only a prefix. The optional fields have no order."""

    name = "inventory"
    field = "inventory"
    kind = kind_of("inventory", "Inventory")

    def parse_one(self, given: ApiObject, path: str) -> ApiObject:
        required = ("destination", "schedule", "includedObjectVersions")
        check_fields(given, path, required, ("enabled", "optionalFields", "prefix"))
        names = _parse_fields(given.get("optionalFields", []), f"{path}.optionalFields")
        return {
            "enabled": enabled_of(given, path),
            "destination": _parse_destination(
                given_of(given["destination"], f"{path}.destination"), f"{path}.destination"
            ),
            "schedule": choice_of(given["schedule"], f"{path}.schedule", _SCHEDULES),
            "includedObjectVersions": choice_of(
                given["includedObjectVersions"], f"{path}.includedObjectVersions", _VERSIONS
            ),
            **({"optionalFields": names} if names else {}),
            **prefix_of(given, path),
        }

    def to_aws(self, value: ApiObject) -> ApiObject:
        return {
            "IsEnabled": value["enabled"],
            "IncludedObjectVersions": value["includedObjectVersions"],
            "Schedule": {"Frequency": value["schedule"]},
            "Destination": {"S3BucketDestination": _destination_to_aws(value["destination"])},
            **({"OptionalFields": value["optionalFields"]} if "optionalFields" in value else {}),
            **({"Filter": {"Prefix": value["prefix"]}} if "prefix" in value else {}),
        }

    def from_aws(self, found: ApiObject) -> ApiObject:
        names, prefix = sorted(found.get("OptionalFields", [])), found.get("Filter", {}).get("Prefix", "")
        return {
            "enabled": found.get("IsEnabled", False),
            "destination": _destination_from_aws(found.get("Destination", {}).get("S3BucketDestination", {})),
            "schedule": found.get("Schedule", {}).get("Frequency"),
            "includedObjectVersions": found.get("IncludedObjectVersions"),
            **({"optionalFields": names} if names else {}),
            **({"prefix": prefix} if prefix else {}),
        }


def _parse_fields(value: object, path: str) -> list[str]:
    if not isinstance(value, list):
        raise invalid(path, "must be a list")
    names = [choice_of(item, path, _FIELDS) for item in value]
    for name in names:
        if names.count(name) > 1:
            raise invalid(path, f"has {name} twice")
    return sorted(names)


def _parse_destination(given: ApiObject, path: str) -> ApiObject:
    check_fields(given, path, ("bucketARN", "format"), ("account", "prefix", "encryption"))
    found = {**target_of(given, path), "format": choice_of(given["format"], f"{path}.format", _FORMATS)}
    encryption = _parse_encryption(given_of(given.get("encryption", {}), f"{path}.encryption"), f"{path}.encryption")
    return {**found, "encryption": encryption} if encryption else found


def _parse_encryption(given: ApiObject, path: str) -> ApiObject:
    check_fields(given, path, (), ("sseS3", "kmsKeyID"))
    is_s3 = flag_of(given.get("sseS3", False), f"{path}.sseS3")
    if "kmsKeyID" not in given:
        return {"sseS3": True} if is_s3 else {}
    if is_s3:
        raise invalid(path, "must have only one of sseS3 and kmsKeyID")
    key = text_of(given["kmsKeyID"], f"{path}.kmsKeyID")
    if not 1 <= len(key) <= _MAX_KEY:
        raise invalid(f"{path}.kmsKeyID", f"must have 1 to {_MAX_KEY} characters")
    return {"kmsKeyID": key}


def _destination_to_aws(value: ApiObject) -> ApiObject:
    found, encryption = renamed(value, _KEYS), value.get("encryption", {})
    if "kmsKeyID" in encryption:
        return {**found, "Encryption": {"SSEKMS": {"KeyId": encryption["kmsKeyID"]}}}
    # The element SSE-S3 has no content: what counts is that it is there.
    return {**found, "Encryption": {"SSES3": {}}} if encryption else found


def _destination_from_aws(found: ApiObject) -> ApiObject:
    value, encryption = renamed(found, {aws: name for name, aws in _KEYS.items()}), found.get("Encryption", {})
    if "SSEKMS" in encryption:
        return {**value, "encryption": {"kmsKeyID": encryption["SSEKMS"].get("KeyId")}}
    return {**value, "encryption": {"sseS3": True}} if "SSES3" in encryption else value


SETTING = Inventory()
