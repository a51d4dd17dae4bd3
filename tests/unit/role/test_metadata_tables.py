"""Metadata tables: which requests bring a bucket to what the spec has, and what AWS could not create."""

from __future__ import annotations

from typing import Any

import pytest

from s3bucket import aspects
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Reason
from s3bucket.setting import Comparison
from s3bucket.settings.metadata_tables import SETTING
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import UNSUPPORTED

NEVER, WEEK = {"Expiration": "DISABLED"}, {"Expiration": "ENABLED", "Days": 7}
ON, OFF = {"ConfigurationState": "ENABLED"}, {"ConfigurationState": "DISABLED"}
CREATE, DELETE = "create_bucket_metadata_configuration", "delete_bucket_metadata_configuration"
JOURNAL = "update_bucket_metadata_journal_table_configuration"
INVENTORY = "update_bucket_metadata_inventory_table_configuration"


def want(defaults: dict[str, Any], value: Any) -> Wanted:
    metadata = {"name": "photos", "namespace": "team", "uid": "u"}
    spec = {"region": "eu-west-1", "bucketName": "photos-bucket", "metadataTables": value}
    return wanted_of({"metadata": metadata, "spec": spec}, "cluster", defaults)


def answer(expiration: dict[str, Any], inventory: dict[str, Any] | None, **journal: Any) -> dict[str, Any]:
    found = {"JournalTableConfigurationResult": {"RecordExpiration": expiration, **journal}}
    more = {} if inventory is None else {"InventoryTableConfigurationResult": inventory}
    return {"GetBucketMetadataConfigurationResult": {"MetadataConfigurationResult": {**found, **more}}}


# The value of the spec, AWS's answer (None: not set), and the operations with their arguments.
CALLS: dict[str, tuple[Any, dict[str, Any] | None, list[tuple[str, dict[str, Any]]]]] = {
    "created": (
        {},
        None,
        [
            (
                CREATE,
                {
                    "MetadataConfiguration": {
                        "JournalTableConfiguration": {"RecordExpiration": NEVER},
                        "InventoryTableConfiguration": OFF,
                    }
                },
            )
        ],
    ),
    "same": ({"journal": {"recordExpirationDays": 7}}, answer(WEEK, None), []),
    "expires": (
        {"journal": {"recordExpirationDays": 7}},
        answer(NEVER, OFF),
        [(JOURNAL, {"JournalTableConfiguration": {"RecordExpiration": WEEK}})],
    ),
    "both-updated": (
        {"inventory": {"enabled": True}},
        answer(WEEK, OFF),
        [
            (JOURNAL, {"JournalTableConfiguration": {"RecordExpiration": NEVER}}),
            (INVENTORY, {"InventoryTableConfiguration": ON}),
        ],
    ),
    "none": ({"journal": {"enabled": False}}, answer(NEVER, OFF), [(DELETE, {})]),
    "none-as-it-is": ({"journal": {"enabled": False}, "inventory": {"enabled": False}}, None, []),
}


@pytest.mark.parametrize(("value", "found", "calls"), CALLS.values(), ids=CALLS)
def test_only_what_differs_is_requested(
    defaults: dict[str, Any], value: Any, found: dict[str, Any] | None, calls: list[tuple[str, dict[str, Any]]]
) -> None:
    current = SETTING.new_bucket if found is None else SETTING.read.take(found)
    case = Comparison(want(defaults, value), {SETTING.name: current})
    assert SETTING.differs(case) == bool(calls)
    if calls:
        assert [(call.operation.method, call.arguments) for call in SETTING.calls(SETTING.argument(case))] == calls


@pytest.mark.parametrize("status", ["CREATING", "BACKFILLING", "ACTIVE"])
def test_table_that_aws_is_creating_is_in_place(defaults: dict[str, Any], status: str) -> None:
    found = SETTING.read.take(answer(NEVER, {**ON, "TableStatus": status}, TableStatus=status))
    case = Comparison(want(defaults, {"inventory": {"enabled": True}}), {SETTING.name: found})
    assert (SETTING.differs(case), aspects.failures(case)) == (False, [])


def test_table_that_aws_could_not_create_is_an_error_with_the_reason_of_aws(defaults: dict[str, Any]) -> None:
    error = {"ErrorCode": "JournalTableAlreadyExists", "ErrorMessage": "A journal table already exists."}
    found = SETTING.read.take(answer(NEVER, {**ON, "TableStatus": "FAILED"}, TableStatus="FAILED", Error=error))
    case = Comparison(want(defaults, {"inventory": {"enabled": True}}), {SETTING.name: found})
    (problem,) = aspects.failures(case)
    assert problem.reason == Reason.INVALID_SPEC
    assert problem.message.startswith(
        "spec.metadataTables: AWS failed on the journal table: A journal table already exists "
        "(JournalTableAlreadyExists); the inventory table: no message (FAILED). "
    )
    assert not SETTING.differs(case), "to send it again does not help"
    for spec in (None, {"journal": {"enabled": False}}):
        assert aspects.failures(Comparison(want(defaults, spec), {SETTING.name: found})) == [], "nobody wants it"


def test_denied_request_names_the_rights_of_s3_tables() -> None:
    message = SETTING.refused(ReconcileError(Reason.ACCESS_DENIED, "AWS denies it"), "").message
    assert message.startswith("spec.metadataTables: creating tables needs the s3tables actions of s3-operator iam-p")


def test_answer_without_a_configuration_is_not_that_of_aws() -> None:
    assert SETTING.read.take({}) is UNSUPPORTED
