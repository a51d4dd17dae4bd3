"""metadataTables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_BUCKET = "s3-operator-example-metadata-tables"
_TABLE_BUCKET = "arn:aws:s3tables:us-east-1:123456789012:bucket/aws-s3"
_NEVER, _YEAR = {"Expiration": "DISABLED"}, {"Expiration": "ENABLED", "Days": 365}


def _table(name: str, status: str) -> dict[str, Any]:
    return {"TableStatus": status, "TableName": name, "TableArn": f"{_TABLE_BUCKET}/table/{_BUCKET}-{name}"}


# A check has read the tables once before: then AWS has created them, and lists the objects.
_LISTING = {"ConfigurationState": "ENABLED", **_table("inventory", "BACKFILLING")}
_NO_INVENTORY = {"ConfigurationState": "DISABLED"}


def _answer(expiration: dict[str, Any], inventory: dict[str, Any]) -> dict[str, Any]:
    found = {
        "DestinationResult": {
            "TableBucketType": "aws", "TableBucketArn": _TABLE_BUCKET, "TableNamespace": f"b_{_BUCKET}",
        },
        "JournalTableConfigurationResult": {**_table("journal", "ACTIVE"), "RecordExpiration": expiration},
        "InventoryTableConfigurationResult": inventory,
    }  # fmt: skip
    return {"GetBucketMetadataConfigurationResult": {"MetadataConfigurationResult": found}}


CASES = {
    "example": Case(_answer(_YEAR, _LISTING)),
    "journal-alone": Case(_answer(_NEVER, _NO_INVENTORY), {"metadataTables": {}}),
    "inventory-again": Case(_answer(_NEVER, _LISTING), {"metadataTables": {"inventory": {"enabled": True}}}),
    "a-week": Case(
        _answer({"Expiration": "ENABLED", "Days": 7}, _NO_INVENTORY),
        {"metadataTables": {"journal": {"recordExpirationDays": 7}, "inventory": {"enabled": False}}},
    ),
}
CLEARED = "MetadataConfigurationNotFound"


def _delete(subject: Subject) -> None:
    subject.world.s3.delete_bucket_metadata_configuration(Bucket=subject.bucket)


def _expire(expiration: dict[str, Any]) -> Row:
    journal = {"RecordExpiration": expiration}
    return Row(
        "metadata_tables",
        "metadataTables",
        lambda s: s.world.s3.update_bucket_metadata_journal_table_configuration(
            Bucket=s.bucket, JournalTableConfiguration=journal
        ),
    )


def _stop_inventory(subject: Subject) -> None:
    subject.world.s3.update_bucket_metadata_inventory_table_configuration(
        Bucket=subject.bucket, InventoryTableConfiguration=_NO_INVENTORY
    )


ROWS = {
    "metadata-tables-deleted": Row("metadata_tables", "metadataTables", _delete),
    "metadata-tables-kept-for-ever": _expire(_NEVER),
    "metadata-tables-kept-shorter": _expire({**_YEAR, "Days": 7}),
    "metadata-tables-without-inventory": Row("metadata_tables", "metadataTables", _stop_inventory),
}


def _encrypt(subject: Subject) -> None:
    key = {"SseAlgorithm": "aws:kms", "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/a"}
    encrypted = {"EncryptionConfiguration": key}
    _delete(subject)
    subject.world.s3.create_bucket_metadata_configuration(
        Bucket=subject.bucket,
        MetadataConfiguration={
            "JournalTableConfiguration": {"RecordExpiration": _YEAR, **encrypted},
            "InventoryTableConfiguration": {"ConfigurationState": "ENABLED", **encrypted},
        },
    )


EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {"metadata-tables-encrypted": _encrypt}
_NUMBER = "must be a number from 7 to 2147483647"
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "metadata-tables-true": ({"metadataTables": True}, "spec.metadataTables: must be an object"),
    "metadata-tables-typo": (
        {"metadataTables": {"journals": {}}}, "spec.metadataTables.journals: there is no such field",
    ),
    "metadata-tables-journal-typo": (
        {"metadataTables": {"journal": {"days": 7}}}, "spec.metadataTables.journal.days: there is no such field",
    ),
    "metadata-tables-enabled": (
        {"metadataTables": {"journal": {"enabled": "yes"}}},
        "spec.metadataTables.journal.enabled: must be true or false",
    ),
    "metadata-tables-inventory-enabled": (
        {"metadataTables": {"inventory": {"enabled": 1}}},
        "spec.metadataTables.inventory.enabled: must be true or false",
    ),
    "metadata-tables-too-early": (
        {"metadataTables": {"journal": {"recordExpirationDays": 6}}},
        f"spec.metadataTables.journal.recordExpirationDays: {_NUMBER}",
    ),
    "metadata-tables-days-text": (
        {"metadataTables": {"journal": {"recordExpirationDays": "7"}}},
        f"spec.metadataTables.journal.recordExpirationDays: {_NUMBER}",
    ),
    "metadata-tables-inventory-without-journal": (
        {"metadataTables": {"journal": {"enabled": False}, "inventory": {"enabled": True}}},
        "spec.metadataTables.inventory.enabled: must not be true without the journal table",
    ),
    "metadata-tables-days-without-journal": (
        {"metadataTables": {"journal": {"enabled": False, "recordExpirationDays": 7}}},
        "spec.metadataTables.journal.recordExpirationDays: must not be given without the journal table",
    ),
}  # fmt: skip
