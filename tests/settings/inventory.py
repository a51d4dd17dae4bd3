"""inventory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_REPORTS = "arn:aws:s3:::s3-operator-example-reports"
_KEY = "arn:aws:kms:us-east-1:123456789012:key/0a1b2c3d-0000-0000-0000-000000000000"
_FIELDS = ["Size", "LastModifiedDate", "StorageClass"]


def _to(**target: Any) -> dict[str, Any]:
    return {"Destination": {"S3BucketDestination": {"Bucket": _REPORTS, "Format": "CSV", **target}}}


_PHOTOS = {
    "Id": "photos",
    "IsEnabled": True,
    "Filter": {"Prefix": "photos/"},
    "IncludedObjectVersions": "Current",
    "OptionalFields": sorted(_FIELDS),
    "Schedule": {"Frequency": "Weekly"},
    **_to(Prefix="inventory/", Encryption={"SSES3": {}}),
}


def _answer(*configurations: dict[str, Any]) -> dict[str, Any]:
    return {"InventoryConfigurationList": list(configurations)}


_ALL = {
    "Id": "all", "IsEnabled": False, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"},
    **_to(AccountId="123456789012", Format="Parquet", Encryption={"SSEKMS": {"KeyId": _KEY}}),
}  # fmt: skip
_PLAIN = {
    "Id": "plain", "IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"},
    **_to(Format="ORC"),
}  # fmt: skip
CASES = {
    "example": Case(_answer(_PHOTOS)),
    "each-field": Case(
        _answer(_ALL, _PLAIN),
        {
            "inventory": [
                {"id": "plain", "enabled": True, "schedule": "Daily", "includedObjectVersions": "All",
                 "optionalFields": [], "prefix": "",
                 "destination": {"bucketARN": _REPORTS, "format": "ORC", "prefix": "", "encryption": {"sseS3": False}}},
                {"id": "all", "enabled": False, "schedule": "Daily", "includedObjectVersions": "All",
                 "destination": {"bucketARN": _REPORTS, "format": "Parquet", "account": "123456789012",
                                 "encryption": {"kmsKeyID": _KEY}}},
            ]
        },
    ),
}  # fmt: skip
CLEARED: dict[str, Any] = {}


def _put(subject: Subject, **changes: Any) -> None:
    configuration = {name: part for name, part in {**_PHOTOS, **changes}.items() if part is not None}
    subject.world.s3.put_bucket_inventory_configuration(
        Bucket=subject.bucket, Id=configuration["Id"], InventoryConfiguration=configuration
    )


def _row(**changes: Any) -> Row:
    return Row("inventory", f"inventory[{changes.get('Id', 'photos')}]", lambda s: _put(s, **changes))


ROWS = {
    "inventory-deleted": Row(
        "inventory",
        "inventory[photos]",
        lambda s: s.world.s3.delete_bucket_inventory_configuration(Bucket=s.bucket, Id="photos"),
    ),
    "inventory-disabled": _row(IsEnabled=False),
    "inventory-of-all-versions": _row(IncludedObjectVersions="All"),
    "inventory-daily": _row(Schedule={"Frequency": "Daily"}),
    "inventory-without-fields": _row(OptionalFields=None),
    "inventory-of-all-objects": _row(Filter=None),
    "inventory-without-encryption": _row(**_to(Prefix="inventory/")),
    "inventory-with-another-key": _row(**_to(Prefix="inventory/", Encryption={"SSEKMS": {"KeyId": _KEY}})),
    "inventory-added": _row(Id="others"),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "inventory-fields-in-another-order": lambda s: _put(s, OptionalFields=_FIELDS[::-1])
}


def _refused(destination: Any = None, **fields: Any) -> dict[str, Any]:
    target = {"bucketARN": _REPORTS, "format": "CSV", **(destination or {})}
    good = {"id": "a", "schedule": "Daily", "includedObjectVersions": "All", "destination": target}
    return {"inventory": [{**good, **fields}]}


_AT = "spec.inventory[0]"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "inventory-not-a-list": ({"inventory": {}}, "spec.inventory: must be a list of at most 100 configurations"),
    "inventory-without-destination": (
        {"inventory": [{"id": "a", "schedule": "Daily", "includedObjectVersions": "All"}]},
        f"{_AT}.destination: is missing",
    ),
    "inventory-schedule": (_refused(schedule="Hourly"), f"{_AT}.schedule: must be one of Daily, Weekly"),
    "inventory-versions": (_refused(includedObjectVersions="Old"), f"{_AT}.includedObjectVersions: must be one of All"),
    "inventory-enabled": (_refused(enabled="no"), f"{_AT}.enabled: must be true or false"),
    "inventory-fields-text": (_refused(optionalFields="Size"), f"{_AT}.optionalFields: must be a list"),
    "inventory-field": (_refused(optionalFields=["Name"]), f"{_AT}.optionalFields: must be one of Size"),
    "inventory-field-twice": (_refused(optionalFields=["Size", "Size"]), f"{_AT}.optionalFields: has Size twice"),
    "inventory-prefix": (_refused(prefix="a" * 1025), f"{_AT}.prefix: may have at most 1024 characters"),
    "inventory-typo": (_refused(filter={"prefix": "a"}), f"{_AT}.filter: there is no such field"),
    "inventory-destination-text": (
        {"inventory": [{**_refused()["inventory"][0], "destination": "reports"}]},
        f"{_AT}.destination: must be an object",
    ),
    "inventory-bucket": (_refused({"bucketARN": "reports"}), f"{_AT}.destination.bucketARN: must be the ARN of a buck"),
    "inventory-format": (_refused({"format": "JSON"}), f"{_AT}.destination.format: must be one of CSV, ORC, Parquet"),
    "inventory-destination-typo": (_refused({"bucket": "a"}), f"{_AT}.destination.bucket: there is no such field"),
    "inventory-encryption-both": (
        _refused({"encryption": {"sseS3": True, "kmsKeyID": _KEY}}),
        f"{_AT}.destination.encryption: must have only one of sseS3 and kmsKeyID",
    ),
    "inventory-encryption-flag": (
        _refused({"encryption": {"sseS3": "yes"}}), f"{_AT}.destination.encryption.sseS3: must be true or false",
    ),
    "inventory-encryption-key": (
        _refused({"encryption": {"kmsKeyID": ""}}), f"{_AT}.destination.encryption.kmsKeyID: must have 1 to 2048 char",
    ),
    "inventory-encryption-typo": (
        _refused({"encryption": {"sseKMS": _KEY}}), f"{_AT}.destination.encryption.sseKMS: there is no such field",
    ),
}  # fmt: skip
