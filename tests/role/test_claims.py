"""An object does not get a bucket name while another IAM user could use a bucket of that name.

A tenant's key can delete its bucket, create it again, and write any tags on it. It cannot write to IAM, so the claim
is recorded there: the name of the inline policy, and the tag with which the user is created. A policy cannot be
renamed, and putting, deleting and tagging in IAM are denied to the key (test_tenant.py).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3bucket.api import GROUP, PLURAL, VERSION
from s3bucket.read import read_all_users
from tests.support.objects import bucket_of, identity_of, owner_tags, refusal, user_of, user_tags, writes_in
from tests.support.world import NewObject, World, deleting, make_as_go_operator, requests_of

CLAIM = "agill.apps/bucket"


def make_user(world: World, name: str, *, claims: str = "", may_use: str = "", tags: Any = ()) -> None:
    """An IAM user that claims a bucket name by its tag, or by a policy."""
    claim = [{"Key": CLAIM, "Value": claims}] if claims else []
    world.iam.create_user(UserName=name, Tags=[*tags, *claim])
    if may_use:
        allow = {"Effect": "Allow", "Action": "s3:*", "Resource": f"arn:aws:s3:::{may_use}"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
        world.iam.put_user_policy(UserName=name, PolicyName=f"{name}-{may_use}-s3-restricted", PolicyDocument=document)


def forget(world: World, cr: dict[str, Any]) -> None:
    """Delete an object as a user does who removes its finalizer: nothing in AWS is deleted."""
    metadata = cr["metadata"]
    world.custom.delete_namespaced_custom_object(GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"])


def test_key_of_an_unknown_object_never_reaches_the_next_ones_bucket(
    world: World, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    """The two runs do not see each other's objects, like those of two clusters or of a playbook."""
    first = new_object()
    assert world.reconcile(first).outcome["done"]
    old, bucket = world.tenant(first), bucket_of(first)
    forget(world, first)
    old.delete_bucket(Bucket=bucket)
    namespace = new_name("ns")
    world.make_namespace(namespace)
    second = world.make_object(
        namespace, "photos", {"region": "us-east-1", "bucketName": bucket, "iamUser": {"username": new_name("user")}}
    )
    with requests_of(world) as requests:
        run = world.reconcile(second)
    assert (run.outcome["reason"], run.outcome["retry"], writes_in(requests)) == ("Conflict", "permanent", [])
    assert user_of(first) in run.outcome["message"]
    assert identity_of(first) in run.outcome["message"]

    # Do what the message asks for. Then the name is free, and the old key no longer works.
    assert world.reconcile(deleting(first)).outcome["done"]
    run = world.reconcile(second)
    assert run.outcome["done"], run.output
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        old.list_objects_v2(Bucket=bucket)


@pytest.mark.parametrize("has_user", [True, False], ids=["user", "bucket-only"])
@pytest.mark.parametrize(
    "kind", ["another-cluster", "unowned", "being-created", "being-created-in-another-cluster", "earlier-user"]
)
def test_missing_bucket_is_created_for_nobody_while_another_user_claims_its_name(
    world: World, new_object: NewObject, new_name: Callable[[str], str], kind: str, has_user: bool
) -> None:
    cr = new_object(**({} if has_user else {"iamUser": None}))
    bucket, other, metadata = bucket_of(cr), new_name("other"), cr["metadata"]
    how: dict[str, dict[str, Any]] = {
        "another-cluster": {"may_use": bucket, "tags": owner_tags("team", "first", "another-cluster")},
        "unowned": {"may_use": bucket},
        "being-created": {"claims": bucket, "tags": owner_tags("team", "first")},
        "being-created-in-another-cluster": {"claims": bucket, "tags": owner_tags("team", "first", "another-cluster")},
        # A deleted object with the same name left this user. Its namespace may belong to another team by now.
        "earlier-user": {"may_use": bucket, "tags": owner_tags(metadata["namespace"], metadata["name"])},
    }
    make_user(world, other, **how[kind])
    refused = refusal(world, cr)
    assert (refused.reason, refused.retry) == ("Conflict", "permanent")
    assert other in refused.message
    world.iam.untag_user(UserName=other, TagKeys=[CLAIM])
    if "may_use" in how[kind]:
        world.iam.delete_user_policy(UserName=other, PolicyName=f"{other}-{bucket}-s3-restricted")
    assert "bucket" in world.differs(cr)


def test_claim_on_another_name_is_no_conflict(
    world: World, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    cr = new_object()
    make_user(world, new_name("other"), claims=f"{bucket_of(cr)}-2", may_use=f"x-{bucket_of(cr)}")
    assert "bucket" in world.differs(cr)


def test_user_is_created_with_its_claim_before_the_bucket(world: World, new_object: NewObject) -> None:
    first = new_object()
    bucket = bucket_of(first)
    world.aws.gate.add_fault("CreateBucket", "AccessDenied", status=403, times=1, bucket=bucket)
    try:
        with requests_of(world) as requests:
            assert world.reconcile(first).outcome["reason"] == "AccessDenied"
    finally:
        world.aws.gate.clear_faults()
    assert writes_in(requests)[:2] == ["CreateUser", "CreateBucket"]
    assert user_tags(world, user_of(first))[CLAIM] == bucket
    assert world.iam.list_access_keys(UserName=user_of(first))["AccessKeyMetadata"] == []
    assert world.iam.list_user_policies(UserName=user_of(first))["PolicyNames"] == []
    # The status of the first object is still empty. Another run knows the claim nevertheless.
    second = new_object(bucketName=bucket)
    assert user_of(first) in refusal(world, second).message
    assert world.reconcile(first).outcome["done"]
    assert world.differs(first) == []


def test_bucket_that_its_own_tenant_deleted_is_created_again(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    world.tenant(cr).delete_bucket(Bucket=bucket_of(cr))
    run = world.reconcile(cr)
    assert (run.outcome["done"], "bucket" in run.changed) == (True, True), run.output
    assert world.differs(cr) == []


def test_bucket_is_not_created_again_while_another_users_key_would_reach_it(
    world: World, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    """Two objects of the Go operator that shared a bucket are in this state."""
    cr, other = new_object(), new_name("other")
    assert world.reconcile(cr).outcome["done"]
    make_user(world, other, may_use=bucket_of(cr))
    assert world.differs(cr) == [], "while the bucket is there, it is maintained"
    world.tenant(cr).delete_bucket(Bucket=bucket_of(cr))
    assert other in refusal(world, cr).message


def test_claim_without_rights_yields_to_the_one_with_rights_and_to_the_older_one(
    world: World, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    """Two runs that did not see each other leave this state: S3 gave the bucket to one of them."""
    first, bucket = new_object(), new_name("bucket")
    first["spec"]["bucketName"] = bucket
    names = first["metadata"]
    make_user(world, user_of(first), claims=bucket, tags=owner_tags(names["namespace"], names["name"]))
    second = new_object(bucketName=bucket)
    names = second["metadata"]
    make_user(world, user_of(second), claims=bucket, tags=owner_tags(names["namespace"], names["name"]))
    users = read_all_users(world.iam)
    order = sorted((first, second), key=lambda cr: (users[user_of(cr)].created, users[user_of(cr)].arn))
    assert "bucket" in world.differs(order[0])
    assert user_of(order[0]) in refusal(world, order[1]).message
    # The run for the younger object was faster.
    document = json.dumps(world.wanted(order[1]).user_policy)
    name = world.wanted(order[1]).policy_name
    world.iam.put_user_policy(UserName=user_of(order[1]), PolicyName=name, PolicyDocument=document)
    assert "bucket" in world.differs(order[1])
    assert user_of(order[1]) in refusal(world, order[0]).message


@pytest.mark.parametrize("is_present", [True, False], ids=["bucket-there", "bucket-missing"])
def test_user_name_that_differs_only_in_case_is_a_conflict_before_anything_is_created(
    world: World, new_object: NewObject, is_present: bool
) -> None:
    cr = new_object()
    if is_present:
        tags = [{"Key": key, "Value": value} for key, value in world.wanted(cr).bucket_tags.items()]
        world.s3.create_bucket(Bucket=bucket_of(cr), CreateBucketConfiguration={"Tags": tags})
    make_user(world, user_of(cr).upper())
    refused = refusal(world, cr)
    assert (refused.reason, refused.retry) == ("Conflict", "permanent")
    assert user_of(cr).upper() in refused.message
    assert "iamUser.username" in refused.message


def test_user_from_before_the_claims_tag_is_no_drift_and_gets_it_with_the_next_change(
    world: World, new_object: NewObject
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    world.iam.untag_user(UserName=user_of(cr), TagKeys=[CLAIM])
    assert world.differs(cr) == [], "an upgrade causes no run"
    world.s3.put_bucket_versioning(Bucket=bucket_of(cr), VersioningConfiguration={"Status": "Enabled"})
    assert world.reconcile(cr).changed == ["versioning"]
    assert user_tags(world, user_of(cr))[CLAIM] == bucket_of(cr)


def test_user_of_the_go_operator_claims_by_its_policy_and_gets_the_tag(world: World, new_object: NewObject) -> None:
    cr = new_object()
    make_as_go_operator(world, cr)
    squatter = new_object(bucketName=bucket_of(cr))
    world.s3.delete_object(Bucket=bucket_of(cr), Key="precious")
    world.s3.delete_bucket(Bucket=bucket_of(cr))
    assert user_of(cr) in refusal(world, squatter).message
    world.s3.create_bucket(Bucket=bucket_of(cr))
    assert world.reconcile(cr).outcome["done"]
    assert user_tags(world, user_of(cr))[CLAIM] == bucket_of(cr)


def test_wrong_claim_is_drift(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    world.iam.tag_user(UserName=user_of(cr), Tags=[{"Key": CLAIM, "Value": "another"}])
    assert world.differs(cr) == ["user"]
    assert world.reconcile(cr).changed == ["user"]
    assert user_tags(world, user_of(cr))[CLAIM] == bucket_of(cr)


def test_bucket_is_not_created_when_users_cannot_be_read(world: World, new_object: NewObject) -> None:
    cr = new_object()
    world.aws.gate.add_fault("GetAccountAuthorizationDetails", "AccessDenied", status=403)
    try:
        refused = refusal(world, cr)
    finally:
        world.aws.gate.clear_faults()
    assert refused.reason == "AccessDenied"
    assert "iam:GetAccountAuthorizationDetails" in refused.message


def test_orphans_active_keys_are_deactivated_and_nothing_else(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    before, old = world.snapshot(cr), world.tenant(cr)
    forget(world, cr)
    predicted = world.deactivate(user_of(cr), cr, "--check")
    assert (predicted.outcome["reason"], predicted.changed) == ("WouldChange", ["access_key"]), predicted.output
    assert (predicted.code, predicted.outcome["done"], world.snapshot(cr)["user"]) == (0, False, before["user"])
    run = world.deactivate(user_of(cr), cr)
    assert (run.outcome["done"], run.changed) == (True, ["access_key"]), run.output
    after = world.snapshot(cr)
    assert set(after["user"].pop("keys").values()) == {"Inactive"}
    before["user"].pop("keys")
    assert (after["user"], after["bucket"]) == (before["user"], before["bucket"])
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        old.list_objects_v2(Bucket=bucket_of(cr))
    assert world.deactivate(user_of(cr), cr).changed == [], "a second run changes nothing"


def test_keys_of_a_user_that_is_another_objects_by_now_stay_active(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    earlier = {**cr, "metadata": {**cr["metadata"], "uid": "earlier"}}
    with requests_of(world) as requests:
        run = world.deactivate(user_of(cr), earlier)
    assert (run.outcome["done"], run.outcome["reason"], writes_in(requests)) == (False, "Conflict", [])
    assert world.differs(cr) == []
