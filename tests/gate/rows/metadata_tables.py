"""Rows of metadataTables."""

from __future__ import annotations

from typing import Any

from tests.gate.rows import Row, nothing

_READ = "get_bucket_metadata_configuration"
_NEVER, _WEEK = {"Expiration": "DISABLED"}, {"Expiration": "ENABLED", "Days": 7}
_BUCKET = "arn:aws:s3tables:us-east-1:123456789012:bucket/aws-s3"
_KEY = {"SseAlgorithm": "aws:kms", "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/a"}


def _configuration(expiration: dict[str, Any], inventory: str = "", **more: Any) -> dict[str, Any]:
    tables = {"InventoryTableConfiguration": {"ConfigurationState": inventory}} if inventory else {}
    return {"JournalTableConfiguration": {"RecordExpiration": expiration, **more}, **tables}


CREATE = {"MetadataConfiguration": _configuration(_NEVER)}


def create(s3: Any, bucket: str, inventory: str = "") -> None:
    s3.create_bucket_metadata_configuration(Bucket=bucket, MetadataConfiguration=_configuration(_NEVER, inventory))


def tables_of(s3: Any, bucket: str) -> dict[str, str]:
    """The state of each table, or the code of its error."""
    found = s3.get_bucket_metadata_configuration(Bucket=bucket)["GetBucketMetadataConfigurationResult"]
    shown = found["MetadataConfigurationResult"]
    tables = {name: shown[f"{name.title()}TableConfigurationResult"] for name in ("journal", "inventory")}
    return {name: table.get("Error", {}).get("ErrorCode", table["TableStatus"]) for name, table in tables.items()}


def _shown(expiration: dict[str, Any], inventory: dict[str, Any] | None = None) -> dict[str, Any]:
    destination = {"TableBucketType": "aws", "TableBucketArn": _BUCKET, "TableNamespace": "b_{bucket}"}
    tables = {"InventoryTableConfigurationResult": inventory} if inventory else {}
    journal = {**_table("journal"), "RecordExpiration": expiration}
    found = {"DestinationResult": destination, "JournalTableConfigurationResult": journal, **tables}
    return {"GetBucketMetadataConfigurationResult": {"MetadataConfigurationResult": found}}


def _table(name: str) -> dict[str, str]:
    return {"TableStatus": "CREATING", "TableName": name, "TableArn": f"{_BUCKET}/table/{{bucket}}-{name}"}


_ON, _OFF = {"ConfigurationState": "ENABLED"}, {"ConfigurationState": "DISABLED"}


def _created(configuration: dict[str, Any], result: Any, before: Any = nothing) -> Row:
    arguments = {"MetadataConfiguration": configuration}
    return Row("create_bucket_metadata_configuration", arguments, _READ, result, before)


def _updated(table: str, given: dict[str, Any], result: Any, before: Any = create) -> Row:
    method = f"update_bucket_metadata_{table}_table_configuration"
    return Row(method, {f"{table.title()}TableConfiguration": given}, _READ, result, before)


ROWS = {
    "journal": _created(_configuration(_WEEK), _shown(_WEEK)),
    "both": _created(_configuration(_NEVER, "ENABLED"), _shown(_NEVER, {**_ON, **_table("inventory")})),
    "no-inventory": _created(_configuration(_NEVER, "DISABLED"), _shown(_NEVER, _OFF)),
    "encryption-is-not-returned": _created(_configuration(_NEVER, EncryptionConfiguration=_KEY), _shown(_NEVER)),
    "too-early": _created(_configuration({**_WEEK, "Days": 6}), "InvalidArgument"),
    "no-days": _created(_configuration({"Expiration": "ENABLED"}), "InvalidArgument"),
    "expiration": _created(_configuration({"Expiration": "Enabled"}), "MalformedXML"),
    "inventory-state": _created(_configuration(_NEVER, "Enabled"), "MalformedXML"),
    "there-already": _created(_configuration(_NEVER), "MetadataConfigurationAlreadyExists", create),
    "expiration-updated": _updated("journal", {"RecordExpiration": _WEEK}, _shown(_WEEK)),
    "expiration-updated-too-early": _updated("journal", {"RecordExpiration": {**_WEEK, "Days": 6}}, "InvalidArgument"),
    "inventory-updated": _updated("inventory", _ON, _shown(_NEVER, {**_ON, **_table("inventory")})),
    "inventory-stopped": _updated(
        "inventory", _OFF, _shown(_NEVER, _OFF), lambda s3, bucket: create(s3, bucket, "ENABLED")
    ),
    "inventory-updated-state": _updated("inventory", {"ConfigurationState": "on"}, "MalformedXML"),
    "nothing-to-update": _updated("inventory", _ON, "MetadataConfigurationNotFound", nothing),
    "no-journal-to-update": _updated("journal", {"RecordExpiration": _WEEK}, "MetadataConfigurationNotFound", nothing),
}
