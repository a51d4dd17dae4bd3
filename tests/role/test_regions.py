"""Regions that the account has not enabled, names in account regional namespaces, and hosts of Services."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket.errors import NoSuchRegionError, ReconcileError
from s3bucket.namespace import namespace_arguments
from s3bucket.observe import Sources, observe, observe_deletion, outcome_status
from s3bucket.role_settings import RoleSettings
from tests.support.drift import set_as_operator
from tests.support.world import CLUSTER, PROJECT, NewObject, World, deleting, requests_of

DISABLED = "eu-south-2"
ACCOUNT = "123456789012"


@pytest.fixture
def _disabled(world: World) -> Iterator[None]:
    with world.aws.gate.marked("disabled-region", DISABLED):
        yield


def sources_in(world: World, region: str, **keys: str) -> Sources:
    s3, sts = (world.aws.client(name, region_name=region, **keys) for name in ("s3", "sts"))
    return dataclasses.replace(
        world.sources(), s3=s3, sts=sts, sts_of=lambda other: world.aws.client("sts", region_name=other, **keys)
    )


@pytest.mark.usefixtures("_disabled")
def test_disabled_region_is_distinguished_from_unknown_keys(world: World, new_object: NewObject) -> None:
    cr = new_object(region=DISABLED)
    for compare, wanted in ((observe, world.wanted(cr)), (observe_deletion, world.wanted(deleting(cr)))):
        with pytest.raises(NoSuchRegionError) as refused:
            compare(wanted, sources_in(world, DISABLED))
        assert (refused.value.reason, refused.value.elsewhere) == ("InvalidSpec", "us-east-1")
        assert f"spec.region: {DISABLED} is not enabled in this account ({ACCOUNT})" in refused.value.message
        unknown_key = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x" * 40}
        with pytest.raises(ReconcileError) as refused_key:
            compare(wanted, sources_in(world, DISABLED, **unknown_key))
        assert refused_key.value.reason == "CredentialsInvalid"


def test_region_of_another_partition_is_distinguished_from_unknown_keys(world: World, new_object: NewObject) -> None:
    # The account is in the partition aws. Its keys do not exist in another partition.
    cr = new_object(region="cn-northwest-1")
    with pytest.raises(
        NoSuchRegionError, match="partition aws-cn, and this operator's credentials are of aws"
    ) as refused:
        observe(world.wanted(cr), sources_in(world, "cn-northwest-1"))
    assert refused.value.elsewhere == "us-east-1"


@pytest.mark.usefixtures("_disabled")
def test_object_in_a_disabled_region_is_invalid_and_can_be_deleted(world: World, new_object: NewObject) -> None:
    cr = new_object(region=DISABLED)
    outcome = world.reconcile(cr).outcome
    assert (outcome["done"], outcome["reason"]) == (False, "InvalidSpec"), outcome
    assert "is not enabled in this account" in outcome["message"]
    assert world.reconcile(deleting(cr)).outcome["done"]


@pytest.mark.usefixtures("_disabled")
def test_check_of_a_disabled_region_keeps_the_clients_of_others(
    world: World, new_object: NewObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_as_operator(world, monkeypatch)
    check = DriftCheck(PROJECT, RoleSettings(cluster_name=CLUSTER, iam_settle_s=0))
    good, disabled = new_object(iamUser=None), new_object(region=DISABLED)
    check.compare(S3Object(good))
    for _ in range(2):
        assert check.compare(S3Object(disabled)).reason == "InvalidSpec"
    with requests_of(world) as requests:
        check.compare(S3Object(good))
    # New clients would call GetCallerIdentity.
    assert "GetCallerIdentity" not in [request["action"] for request in requests]


# Account regional namespaces.


def test_name_in_another_accounts_namespace_is_refused_before_anything_is_made(
    world: World, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    cr = new_object(bucketName=f"{new_name('b')}-999999999999-us-east-1-an")
    with pytest.raises(ReconcileError, match="AWS reserves the name for account 999999999999") as refused:
        observe(world.wanted(cr), world.sources())
    assert refused.value.reason == "InvalidSpec"


@pytest.mark.parametrize("knows_argument", [True, False], ids=["argument", "header"])
def test_name_in_the_accounts_namespace_is_created(
    world: World, new_object: NewObject, new_name: Callable[[str], str], knows_argument: bool
) -> None:
    cr = new_object(bucketName=f"{new_name('b')}-{ACCOUNT}-us-east-1-an")
    s3, wanted = world.aws.client("s3"), world.wanted(cr)
    with pytest.raises(ClientError, match="MissingNamespaceHeader"):
        s3.create_bucket(Bucket=wanted.bucket)
    if not knows_argument:
        del s3.meta.service_model.operation_model("CreateBucket").input_shape.members["BucketNamespace"]
    with namespace_arguments(s3, wanted) as arguments:
        assert bool(arguments) is knows_argument
        s3.create_bucket(Bucket=wanted.bucket, **arguments)
    # Only that call sends the header.
    with pytest.raises(ClientError, match="MissingNamespaceHeader"):
        s3.create_bucket(Bucket=f"other-{wanted.bucket}")


def test_object_with_a_name_in_the_accounts_namespace_becomes_ready(
    world: World, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    cr = new_object(bucketName=f"{new_name('b')}-{ACCOUNT}-us-east-1-an", iamUser=None)
    outcome = world.reconcile(cr).outcome
    assert outcome["done"], outcome


# Hosts of Services.


def test_service_that_cannot_exist_is_left_out_and_shown(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    seen = observe(world.wanted(cr), dataclasses.replace(world.sources(), external_name="10.0.0.1"))
    assert seen.differs == ["bucket"]
    assert ["10.0.0.1 is an IP address" in note for note in seen.notes] == [True]
    assert outcome_status(world.wanted(cr), seen)["effective"]["service"] == {"enabled": False}


def test_service_is_removed_once_the_endpoint_is_an_address(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    host = {"SERVICE_EXTERNAL_NAME": "Minio.Storage"}
    assert world.reconcile(cr, **host).outcome["done"]
    service: Any = world.service(cr)
    assert service["spec"]["externalName"] == "minio.storage"
    run = world.reconcile(cr, SERVICE_EXTERNAL_NAME="10.0.0.1")
    assert (run.outcome["done"], run.changed) == (True, ["service"]), run.output
    assert "10.0.0.1 is an IP address" in run.outcome["message"]
    assert world.service(cr) is None
