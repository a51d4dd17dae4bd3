"""The configurations that the gate stores in moto's place: what AWS answers for each document, or refuses."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

import tests.gate.rows
from dev.aws import Aws
from dev.examples import make_targets
from tests.gate.rows import Row
from tests.gate.rows.metadata_tables import CREATE, create, tables_of
from tests.gate.rows.notifications import CREATED, QUEUE, queue_of
from tests.gate.rows.object_lock import DAY
from tests.gate.rows.replication import enable_versions, replicate, rule_of
from tests.support.gate import code_of

ROWS: dict[str, Row] = {
    f"{module.name}-{name}": row
    for module in pkgutil.iter_modules(tests.gate.rows.__path__)
    for name, row in importlib.import_module(f"tests.gate.rows.{module.name}").ROWS.items()
}


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Any:
    client = aws.client("s3")
    make_targets(client, "123456789012")
    return client


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_configuration_is_answered_as_aws_does(s3: Any, new_name: Callable[[str], str], row: Row) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    row.before(s3, bucket)
    code = code_of(lambda: getattr(s3, row.method)(Bucket=bucket, **_named(row.arguments, bucket)))
    if isinstance(row.result, str):
        assert code == row.result
        return
    answer = getattr(s3, row.reads)(Bucket=bucket)
    answer.pop("ResponseMetadata")
    assert answer == _named(row.result, bucket)


def _named(value: Any, bucket: str) -> Any:
    """Put the bucket's name into the texts of the arguments or of the result."""
    if isinstance(value, dict):
        return {key: _named(part, bucket) for key, part in value.items()}
    if isinstance(value, list):
        return [_named(part, bucket) for part in value]
    return value.replace("{bucket}", bucket) if isinstance(value, str) else value


def test_target_that_refuses_events_is_named_and_only_without_a_test_accepted(
    aws: Aws, s3: Any, new_name: Callable[[str], str]
) -> None:
    bucket, arn = new_name("gate"), f"{QUEUE}-closed"
    s3.create_bucket(Bucket=bucket)
    arguments = {
        "Bucket": bucket,
        "NotificationConfiguration": {
            "EventBridgeConfiguration": {}, "QueueConfigurations": [queue_of("q", CREATED, arn=arn)],
        },
    }  # fmt: skip
    with aws.gate.marked("closed-target", arn):
        with pytest.raises(ClientError, match="Unable to validate the following destination configurations") as refused:
            s3.put_bucket_notification_configuration(**arguments)
        assert refused.value.response["Error"]["ArgumentName1"] == f"{arn}, null"
        answer = s3.get_bucket_notification_configuration(Bucket=bucket)
        assert "EventBridgeConfiguration" not in answer, "nothing of it is stored"
        s3.put_bucket_notification_configuration(**arguments, SkipDestinationValidation=True)


def test_id_that_is_not_given_is_made(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket, queue = new_name("gate"), queue_of("q", CREATED)
    s3.create_bucket(Bucket=bucket)
    del queue["Id"]
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [queue]})
    (found,) = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    assert found.pop("Id")
    assert found == queue


def test_versioning_cannot_be_suspended_under_replication(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    enable_versions(s3, bucket)
    s3.put_bucket_replication(Bucket=bucket, **replicate([], rule_of()).arguments)
    with pytest.raises(ClientError, match="InvalidBucketState"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_replication(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})


def test_default_retention_protects_new_versions(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    enabled = {"ObjectLockEnabled": "Enabled"}
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == enabled
    lock = {**enabled, "Rule": {"DefaultRetention": DAY}}
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)
    version = s3.put_object(Bucket=bucket, Key="a", Body=b"x")["VersionId"]
    assert code_of(lambda: s3.delete_object(Bucket=bucket, Key="a", VersionId=version)) == "AccessDenied"


def test_bucket_without_object_lock_has_no_configuration(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    code = code_of(lambda: s3.get_object_lock_configuration(Bucket=bucket))
    assert code == "ObjectLockConfigurationNotFoundError"


def test_metadata_tables_are_created_after_the_answer(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    create(s3, bucket, inventory="ENABLED")
    states = [tables_of(s3, bucket) for _ in range(4)]
    assert states == [
        {"journal": "CREATING", "inventory": "CREATING"},
        {"journal": "ACTIVE", "inventory": "BACKFILLING"},
        *[{"journal": "ACTIVE", "inventory": "ACTIVE"}] * 2,
    ]


def test_metadata_tables_that_aws_cannot_create_have_an_error(
    aws: Aws, s3: Any, new_name: Callable[[str], str]
) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    create(s3, bucket, inventory="ENABLED")
    with aws.gate.marked("failed-tables", bucket):
        assert tables_of(s3, bucket) == {
            "journal": "AccessDeniedCreatingResources", "inventory": "JournalTableNotAvailable",
        }  # fmt: skip
    assert tables_of(s3, bucket) == {"journal": "ACTIVE", "inventory": "BACKFILLING"}


def test_metadata_configuration_is_deleted_and_the_bucket_stays(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket = new_name("gate")
    s3.create_bucket(Bucket=bucket)
    code = code_of(lambda: s3.delete_bucket_metadata_configuration(Bucket=bucket))
    assert code == "MetadataConfigurationNotFound"
    create(s3, bucket)
    s3.delete_bucket_metadata_configuration(Bucket=bucket)
    s3.head_bucket(Bucket=bucket)
    assert code_of(lambda: tables_of(s3, bucket)) == "MetadataConfigurationNotFound"
    assert code_of(lambda: s3.create_bucket_metadata_configuration(Bucket=f"{bucket}-none", **CREATE)) == "NoSuchBucket"
