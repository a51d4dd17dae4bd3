# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Metadata tables: ``metadataTables``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/metadata-tables-overview.html

The journal table is there as long as the bucket has a metadata configuration, so ``journal.enabled: false`` means none.
Whether records of the journal expire is ``journal.recordExpirationDays`` alone. The encryption of the tables is not a
field: AWS does not return it, so it could not be compared.
"""

from __future__ import annotations

from ..errors import ReconcileError
from ..json_types import ApiObject
from ..outcome import Reason
from ..setting import Call, Comparison, Operation, Read, Setting, Value
from ..state import UNSUPPORTED
from ..values import fields_of, flag_of, invalid

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/metadata-tables-permissions.html: creating tables needs rights
# of S3 Tables, too.
_CREATE = Operation("create_bucket_metadata_configuration", "s3:CreateBucketMetadataTableConfiguration")
_JOURNAL = Operation(
    "update_bucket_metadata_journal_table_configuration", "s3:UpdateBucketMetadataJournalTableConfiguration"
)
_INVENTORY = Operation(
    "update_bucket_metadata_inventory_table_configuration", "s3:UpdateBucketMetadataInventoryTableConfiguration"
)
_DELETE = Operation("delete_bucket_metadata_configuration", "s3:DeleteBucketMetadataTableConfiguration")
_FIELDS = {"journal": ("enabled", "recordExpirationDays"), "inventory": ("enabled",)}
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_RecordExpiration.html
_MIN_DAYS, _MAX_DAYS = 7, 2147483647
# In a value that was read: why AWS could not create a table, or cannot write into it.
_FAILURE = "failure"
_FAILED = "FAILED"


def _take(answer: ApiObject) -> ApiObject | object:
    found = answer.get("GetBucketMetadataConfigurationResult", {}).get("MetadataConfigurationResult")
    if found is None:
        # AWS returns an error where there is none.
        return UNSUPPORTED
    tables = {name: found.get(f"{name.title()}TableConfigurationResult", {}) for name in _FIELDS}
    expiration = tables["journal"].get("RecordExpiration", {})
    expires = {"recordExpirationDays": expiration["Days"]} if expiration.get("Expiration") == "ENABLED" else {}
    failures = [f"the {name} table: {_error_of(table)}" for name, table in tables.items() if _is_failed(table)]
    return {
        "journal": {"enabled": True, **expires},
        "inventory": {"enabled": tables["inventory"].get("ConfigurationState") == "ENABLED"},
        **({_FAILURE: "; ".join(failures)} if failures else {}),
    }


def _is_failed(table: ApiObject) -> bool:
    # CREATING, BACKFILLING and ACTIVE are in place: AWS needs up to hours, and nothing is left to do.
    return table.get("TableStatus") == _FAILED


def _error_of(table: ApiObject) -> str:
    error = table.get("Error", {})
    return f"{error.get('ErrorMessage', 'no message').rstrip('.')} ({error.get('ErrorCode', _FAILED)})"


class MetadataTables(Setting):
    """A value is in the form of the spec, complete; empty without tables. AWS creates the tables after its answer."""

    name = "metadata_tables"
    field = "metadataTables"
    is_optional = True
    is_in_status = False
    new_bucket: Value = {}
    read = Read(
        Operation("get_bucket_metadata_configuration", "s3:GetBucketMetadataTableConfiguration"),
        _take,
        ("MetadataConfigurationNotFound",),
        unset=new_bucket,
    )
    denied = "creating tables needs the s3tables actions of s3-operator iam-policy, too"
    writes = (_CREATE, _JOURNAL, _INVENTORY, _DELETE)

    def parse(self, value: object) -> ApiObject:
        path = f"spec.{self.field}"
        given = fields_of(value, path, tuple(_FIELDS))
        journal, inventory = (fields_of(given.get(name, {}), f"{path}.{name}", _FIELDS[name]) for name in _FIELDS)
        has_inventory = flag_of(inventory.get("enabled", False), f"{path}.inventory.enabled")
        days = journal.get("recordExpirationDays")
        if days is not None:
            _check_days(days, f"{path}.journal.recordExpirationDays")
        if flag_of(journal.get("enabled", True), f"{path}.journal.enabled"):
            expires = {} if days is None else {"recordExpirationDays": days}
            return {"journal": {"enabled": True, **expires}, "inventory": {"enabled": has_inventory}}
        if has_inventory:
            raise invalid(f"{path}.inventory.enabled", "must not be true without the journal table, which it needs")
        if days is not None:
            raise invalid(f"{path}.journal.recordExpirationDays", "must not be given without the journal table")
        return {}

    def canonical(self, value: Value) -> ApiObject:
        return {name: part for name, part in (value or {}).items() if name != _FAILURE}

    def failure(self, value: Value) -> ReconcileError | None:
        """Return why AWS could not create a table. Only the deletion of the configuration and a new one help."""
        text = (value or {}).get(_FAILURE)
        if not text:
            return None
        message = (
            f"spec.{self.field}: AWS failed on {text}. Remove the cause, remove the field so that the operator deletes "
            "the configuration, delete the tables that are left in the table bucket aws-s3, and give the field again"
        )
        return ReconcileError(Reason.INVALID_SPEC, message)

    def argument(self, case: Comparison) -> ApiObject:
        """Return the whole for a bucket without tables, and otherwise the parts to update; empty to delete all."""
        found, wanted = self.canonical(case.found[self.name]), self.canonical(self.target(case))
        if not found or not wanted:
            return {"create": wanted} if wanted else {}
        return {name: part for name, part in wanted.items() if part != found[name]}

    def calls(self, value: Value) -> list[Call]:
        if not value:
            return [Call(_DELETE, {})]
        if "create" in value:
            tables = {_key_of(name): _to_aws(name, part) for name, part in value["create"].items()}
            return [Call(_CREATE, {"MetadataConfiguration": tables})]
        operations = {"journal": _JOURNAL, "inventory": _INVENTORY}
        return [Call(operations[name], {_key_of(name): _to_aws(name, part)}) for name, part in value.items()]


def _key_of(name: str) -> str:
    return f"{name.title()}TableConfiguration"


def _to_aws(name: str, part: ApiObject) -> ApiObject:
    if name == "inventory":
        return {"ConfigurationState": "ENABLED" if part["enabled"] else "DISABLED"}
    days = part.get("recordExpirationDays")
    return {"RecordExpiration": {"Expiration": "ENABLED", "Days": days} if days else {"Expiration": "DISABLED"}}


def _check_days(value: object, path: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not _MIN_DAYS <= value <= _MAX_DAYS:
        raise invalid(path, f"must be a number from {_MIN_DAYS} to {_MAX_DAYS}")


SETTING = MetadataTables()
