"""Bad input: the error names the field or resource, nothing changes, and a corrected object works."""

from __future__ import annotations

import dataclasses
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

from s3bucket.errors import NoSuchRegionError, ReconcileError
from s3bucket.observe import Sources, observe, observe_deletion
from tests.role.hasty import NO_ENDPOINT, HastyWorld
from tests.support.objects import owner_tags, refusal, taken_bucket, taken_secret
from tests.support.world import NewObject, World, deleting, requests_of

_ONCE = Config(retries={"total_max_attempts": 1})


def policy(bucket: str, **parts: Any) -> str:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**deny, **parts}]})


# Given the bucket's name: the wrong field, and a part of the message.
SPECS: dict[str, tuple[Callable[[str], dict[str, Any]], str]] = {
    "policy-no-json": (lambda bucket: {"bucketPolicy": '{"Statement": [}'}, "spec.bucketPolicy: is not JSON"),
    "policy-empty": (lambda bucket: {"bucketPolicy": '{"Statement": []}'}, "spec.bucketPolicy: has no Statement"),
    "policy-key-twice": (
        lambda bucket: {"bucketPolicy": policy(bucket).replace("{", '{"Version": "2012-10-17", "Version": "", ', 1)},
        "spec.bucketPolicy: has the key 'Version' twice in one object",
    ),
    "policy-locks-out": (
        lambda bucket: {"bucketPolicy": policy(bucket, Action="s3:*", Resource=f"arn:aws:s3:::{bucket}")},
        "spec.bucketPolicy: denies s3:PutBucketPolicy to everyone",
    ),
    "policy-hides-bucket": (
        lambda bucket: {"bucketPolicy": policy(bucket, Action="s3:List*", Resource=f"arn:aws:s3:::{bucket}")},
        "spec.bucketPolicy: denies s3:ListBucket to everyone",
    ),
    "policy-locks-account-out": (
        lambda bucket: {
            "bucketPolicy": policy(bucket, Principal={"AWS": "123456789012"}, Action="s3:*", Resource="*")
        },
        "spec.bucketPolicy: denies s3:PutBucketPolicy to everyone",
    ),
    "policy-public-but-blocked": (
        lambda bucket: {
            "bucketPolicy": policy(bucket, Effect="Allow"), "publicAccessBlock": {"blockPublicPolicy": True},
        },
        "spec.publicAccessBlock.blockPublicPolicy: AWS would refuse",
    ),
    "acl-public-but-blocked": (
        lambda bucket: {"bucketACL": "public-read", "publicAccessBlock": {"blockPublicACLs": True}},
        "spec.publicAccessBlock.blockPublicACLs: AWS would refuse",
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", SPECS)
def test_bad_spec_is_reported_by_field_and_works_once_corrected(world: World, new_object: NewObject, row: str) -> None:
    spec, message = SPECS[row]
    cr = new_object()
    bad = {**cr, "spec": {**cr["spec"], **spec(cr["spec"]["bucketName"])}}
    refused = refusal(world, bad)
    assert (refused.reason, refused.retry) == ("InvalidSpec", "permanent")
    assert message in refused.message
    assert world.differs(cr) == ["bucket", "user", "service"]
    # While AWS and Kubernetes have nothing of it, the deletion of a bad object is finished at once.
    assert observe_deletion(world.wanted(deleting(bad)), world.sources()).differs == []


def taken_user(world: World, cr: dict[str, Any]) -> None:
    user = cr["spec"]["iamUser"]["username"]
    world.iam.create_user(UserName=user, Tags=owner_tags("team-b", "other"))
    world.iam.create_access_key(UserName=user)


def taken_service(world: World, cr: dict[str, Any]) -> None:
    spec = {"type": "ExternalName", "externalName": "other.example"}
    body = {"metadata": {"name": cr["metadata"]["name"]}, "spec": spec}
    world.core.create_namespaced_service(cr["metadata"]["namespace"], body)


TAKEN: dict[str, tuple[Callable[[World, dict[str, Any]], None], str]] = {
    "bucket": (taken_bucket, "choose another bucketName"),
    "user": (taken_user, "choose another iamUser.username"),
    "secret": (taken_secret, "delete or rename the Secret"),
    "service": (taken_service, "delete or rename the Service"),
}


@pytest.mark.parametrize("row", TAKEN)
def test_taken_name_is_a_conflict_that_leaves_it_as_it_was(
    world: World, new_object: NewObject, new_name: Callable[[str], str], row: str
) -> None:
    take, message = TAKEN[row]
    cr = new_object()
    take(world, cr)
    before = world.snapshot(cr), world.secret(cr), world.service(cr)
    refused = refusal(world, cr)
    assert (refused.reason, refused.retry) == ("Conflict", "permanent")
    assert message in refused.message
    gone = observe_deletion(world.wanted(deleting(cr)), world.sources())
    assert gone.differs == []
    assert (world.snapshot(cr), world.secret(cr), world.service(cr)) == before
    # Names cannot be changed, so the corrected object is a new one.
    another = new_object(bucketName=new_name("other"), iamUser={"username": new_name("other")})
    assert world.differs(another) == ["bucket", "user", "service"]


@pytest.mark.parametrize(
    ("parts", "part_of_message"),
    [
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:user/nobody-at-all"}}, "Invalid principal"),
        ({"Resource": "arn:aws:s3:::another-bucket/*"}, "invalid resource"),
    ],
    ids=["principal", "resource"],
)
def test_policy_that_aws_refuses_is_reported_in_its_words_and_the_old_one_stays(
    world: World, new_object: NewObject, parts: dict[str, Any], part_of_message: str
) -> None:
    cr = new_object(iamUser=None)
    bucket = cr["spec"]["bucketName"]
    good = {**cr, "spec": {**cr["spec"], "bucketPolicy": policy(bucket)}}
    bad = {**cr, "spec": {**cr["spec"], "bucketPolicy": policy(bucket, **parts)}}
    is_new = "Principal" in parts
    if not is_new:
        assert world.reconcile(good).outcome["done"]
    before = world.snapshot(good)["bucket"]
    outcome = world.reconcile(bad).outcome
    assert (outcome["done"], outcome["reason"], outcome["retry"]) == (False, "InvalidSpec", "permanent")
    assert outcome["message"].startswith("spec.bucketPolicy: AWS refuses it")
    assert part_of_message in outcome["message"]
    if is_new:
        assert world.reconcile(good).outcome["done"]
    else:
        assert world.snapshot(good)["bucket"] == before
    assert world.differs(good) == []


# Regions that do not exist.


@pytest.fixture
def sources_in(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Sources]:
    """The role's sources with AWS's own endpoints of a region. None of them has an address here."""

    def resolve(host: Any, *arguments: Any, **more: Any) -> Any:
        if "amazonaws" in str(host):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found(host, *arguments, **more)

    found = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    key_id, secret = world.aws.admin_key()

    def make(region: str, endpoint_url: str | None = None) -> Sources:
        session = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=secret, region_name=region)
        sts, s3 = (session.client(name, endpoint_url=endpoint_url, config=_ONCE) for name in ("sts", "s3"))
        return dataclasses.replace(world.sources(), sts=sts, s3=s3)

    return make


@pytest.mark.parametrize("part", ["sts", "s3"])
def test_region_that_is_not_there_is_reported_not_waited_for(
    world: World, new_object: NewObject, sources_in: Callable[..., Sources], part: str
) -> None:
    cr = new_object(region="xx-nowhere-1")
    sources = dataclasses.replace(world.sources(), **{part: getattr(sources_in("xx-nowhere-1"), part)})
    for compare, wanted in ((observe, world.wanted(cr)), (observe_deletion, world.wanted(deleting(cr)))):
        with pytest.raises(NoSuchRegionError) as refused:
            compare(wanted, sources)
        assert (refused.value.reason, refused.value.retry) == ("InvalidSpec", "permanent")
        assert "spec.region: xx-nowhere-1" in refused.value.message
        assert "create it again in a region of AWS" in refused.value.message


@pytest.mark.parametrize(
    ("region", "endpoint_url"),
    [("eu-west-1", None), ("xx-nowhere-1", "http://127.0.0.1:9")],
    ids=["known-region", "endpoint-of-its-own"],
)
def test_region_that_may_be_there_is_not_blamed_for_an_outage(
    world: World, new_object: NewObject, sources_in: Callable[..., Sources], region: str, endpoint_url: str | None
) -> None:
    cr = new_object(region=region)
    with pytest.raises(ReconcileError) as refused:
        observe(world.wanted(cr), sources_in(region, endpoint_url))
    assert (refused.value.reason, refused.value.retry) == ("AWSUnreachable", "transient")


@pytest.fixture
def hasty(world: World, tmp_path: Path) -> Iterator[HastyWorld]:
    made = HastyWorld(world.kubeconfig, world.aws, tmp_path)
    yield made
    made.close()


def test_object_in_a_region_that_is_not_there_is_reported_and_its_deletion_asks_another_region(
    hasty: HastyWorld, new_object: NewObject
) -> None:
    cr = new_object(region="xx-nowhere-1")
    invalid = hasty.reconcile(cr, **NO_ENDPOINT).outcome
    assert (invalid["done"], invalid["reason"], invalid["retry"]) == (False, "InvalidSpec", "permanent"), invalid
    assert invalid["message"].startswith("spec.region: xx-nowhere-1")
    # us-east-1 does not answer here either. So it is not known what exists, and the finalizer stays.
    gone = hasty.reconcile(deleting(cr), **NO_ENDPOINT).outcome
    assert (gone["done"], gone["reason"], gone["retry"]) == (False, "AWSUnreachable", "transient"), gone
    assert "sts.us-east-1.amazonaws.com" in gone["message"]


def test_any_region_is_taken_where_aws_is_another_endpoint(world: World, new_object: NewObject) -> None:
    with requests_of(world) as requests:
        assert world.differs(new_object(region="xx-home-1")) == ["bucket", "user", "service"]
    assert requests
