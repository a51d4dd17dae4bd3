"""What a tenant can do with the access key in its Secret, and how the operator reacts.

The key has ``s3:*`` on its own bucket. This includes the bucket's tags, its policy and the bucket itself. Each of
these changes must end in a condition that names the remedy, and never in the bucket or key of another tenant.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3bucket.observe import observe_deletion
from tests.support.objects import bucket_of, identity_of, owner_tags, refusal, tags_of, writes_in
from tests.support.world import NewObject, World, deleting, requests_of

ACCOUNT = "123456789012"


@pytest.fixture(scope="module")
def shared(world: World, new_name: Callable[[str], str]) -> dict[str, Any]:
    """A Ready object. Each test that uses it restores it."""
    namespace = new_name("ns")
    world.make_namespace(namespace)
    spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
    cr = world.make_object(namespace, new_name("cr"), spec)
    assert world.reconcile(cr).outcome["done"]
    return cr


def retag_as_tenant(world: World, cr: dict[str, Any], tags: dict[str, str]) -> None:
    """Replace all tags of its bucket, with the tenant's own key."""
    listed = [{"Key": key, "Value": value} for key, value in tags.items()]
    world.tenant(cr).put_bucket_tagging(Bucket=bucket_of(cr), Tagging={"TagSet": listed})


def deny_everyone(cr: dict[str, Any], **parts: Any) -> str:
    arn = f"arn:aws:s3:::{bucket_of(cr)}"
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**deny, **parts}]})


def test_key_works_on_its_bucket_and_on_nothing_else(
    world: World, shared: dict[str, Any], new_object: NewObject
) -> None:
    other = new_object()
    world.s3.create_bucket(Bucket=bucket_of(other))
    world.s3.put_object(Bucket=bucket_of(other), Key="other", Body=b"secret")
    s3, iam, sts = (world.tenant(shared, service) for service in ("s3", "iam", "sts"))
    bucket, user = bucket_of(shared), shared["spec"]["iamUser"]["username"]
    s3.put_object(Bucket=bucket, Key="a", Body=b"hello")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"hello"
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a"]
    s3.delete_object(Bucket=bucket, Key="a")
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0

    target, document = bucket_of(other), json.dumps(world.wanted(shared).user_policy)
    source = {"Bucket": target, "Key": "other"}
    denied: dict[str, Callable[[], Any]] = {
        "list": lambda: s3.list_objects_v2(Bucket=target),
        "get": lambda: s3.get_object(Bucket=target, Key="other"),
        "copy": lambda: s3.copy_object(Bucket=target, Key="a", CopySource=source),
        "put": lambda: s3.put_object(Bucket=target, Key="a", Body=b"x"),
        "delete": lambda: s3.delete_object(Bucket=target, Key="other"),
        "tags": lambda: s3.put_bucket_tagging(Bucket=target, Tagging={"TagSet": []}),
        "policy": lambda: s3.put_bucket_policy(Bucket=target, Policy=deny_everyone(other)),
        "create": lambda: s3.create_bucket(Bucket=f"{bucket}-more"),
        "all-buckets": s3.list_buckets,
        "own-user": lambda: iam.get_user(UserName=user),
        "all-users": iam.list_users,
        "key": lambda: iam.create_access_key(UserName=user),
        "admins-key": lambda: iam.create_access_key(UserName="admin"),
        "rights": lambda: iam.put_user_policy(UserName=user, PolicyName="more", PolicyDocument=document),
        "owner": lambda: iam.tag_user(UserName=user, Tags=owner_tags("team-b", "photos")),
        "role": lambda: sts.assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/admin", RoleSessionName="tenant"),
        "session": sts.get_session_token,
    }
    wrong = {}
    for name, call in denied.items():
        try:
            call()
            wrong[name] = "allowed"
        except ClientError as error:
            if error.response["Error"]["Code"] != "AccessDenied":
                wrong[name] = error.response["Error"]["Code"]
    assert wrong == {}
    assert world.s3.get_object(Bucket=target, Key="other")["Body"].read() == b"secret"


# A complete lock-out, and the denial of each action that a comparison of a bucket uses.
@pytest.mark.parametrize(
    "action", ["s3:*", "s3:ListBucket", "s3:GetBucketTagging", "s3:GetBucketPolicy", "s3:GetBucketAcl"]
)
def test_bucket_whose_policy_denies_everyone_is_denied_not_absent(
    world: World, shared: dict[str, Any], action: str
) -> None:
    before, bucket = world.snapshot(shared), bucket_of(shared)
    world.tenant(shared).put_bucket_policy(Bucket=bucket, Policy=deny_everyone(shared, Action=action))
    refused = refusal(world, shared)
    assert (refused.reason, refused.retry) == ("AccessDenied", "transient")
    assert bucket in refused.message
    assert "delete-bucket-policy" in refused.message, "it has the remedy"
    if action == "s3:*":
        with requests_of(world) as requests:
            run = world.reconcile(shared)
        assert run.outcome["reason"] == "AccessDenied"
        assert writes_in(requests) == []
    # Do what the message asks for.
    world.aws.gate.delete_policy_as_root(bucket)
    assert world.differs(shared) == []
    assert world.snapshot(shared) == before


def test_policy_that_denies_everyone_does_not_keep_the_key_of_a_deleted_object_alive(
    world: World, new_object: NewObject
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    tenant, bucket = world.tenant(cr), bucket_of(cr)
    tenant.put_bucket_policy(Bucket=bucket, Policy=deny_everyone(cr, Action=["s3:ListBucket", "s3:GetBucketTagging"]))
    with requests_of(world) as requests:
        run = world.reconcile(deleting(cr))
    assert (run.outcome["done"], run.outcome["reason"]) == (False, "AccessDenied"), run.output
    assert run.changed == ["user", "secret", "service"]
    assert bucket not in {request["bucket"] for request in requests if request["write"]}
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        tenant.put_object(Bucket=bucket, Key="a", Body=b"x")
    gone = observe_deletion(world.wanted(deleting(cr)), world.sources())
    assert (gone.differs, [problem.reason for problem in gone.deferred]) == ([], ["AccessDenied"])
    assert world.reconcile(deleting(cr)).outcome["reason"] == "AccessDenied", "the bucket is still to be deleted"
    world.aws.gate.delete_policy_as_root(bucket)
    run = world.reconcile(deleting(cr))
    assert (run.outcome["done"], run.changed) == (True, ["bucket"]), run.output


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"Id": "a", "Id": "b", "Statement": [%s]}', id="key-twice"),
        pytest.param('{"Statement": [%s], "Id": "\\ud800"}', id="surrogate"),
        pytest.param('{"Statement": [%s], "Id": 1e999}', id="number"),
    ],
)
def test_bucket_policy_that_cannot_be_parsed_is_drift_and_no_error(
    world: World, shared: dict[str, Any], text: str
) -> None:
    statement = json.dumps(json.loads(deny_everyone(shared, Action="s3:PutObject"))["Statement"][0])
    world.tenant(shared).put_bucket_policy(Bucket=bucket_of(shared), Policy=text % statement)
    assert world.differs(shared) == ["policy"]
    world.tenant(shared).delete_bucket_policy(Bucket=bucket_of(shared))


def test_bucket_policy_that_lets_others_in_is_taken_away(world: World, shared: dict[str, Any]) -> None:
    policy = deny_everyone(shared, Effect="Allow", Principal={"AWS": "999999999999"})
    world.tenant(shared).put_bucket_policy(Bucket=bucket_of(shared), Policy=policy)
    assert world.differs(shared) == ["policy"]
    world.tenant(shared).delete_bucket_policy(Bucket=bucket_of(shared))


def test_owner_tags_that_were_taken_off_are_put_back_on_proof_by_the_key(world: World, shared: dict[str, Any]) -> None:
    before = world.snapshot(shared)
    world.tenant(shared).delete_bucket_tagging(Bucket=bucket_of(shared))
    assert world.reconcile(shared).changed == ["tags"]
    assert world.snapshot(shared) == before


def test_owner_tags_that_were_taken_off_in_part_are_a_conflict_that_explains_the_hand_over(
    world: World, shared: dict[str, Any]
) -> None:
    before = tags_of(world, shared)
    retag_as_tenant(world, shared, {"agill.apps/name": before["agill.apps/name"]})
    refused = refusal(world, shared)
    assert (refused.reason, refused.retry) == ("Conflict", "permanent")
    assert f"agill.apps/adopt={identity_of(shared)}" in refused.message
    # When it is deleted in this state, the bucket stays, and its user and key are deleted.
    gone = observe_deletion(world.wanted(deleting(shared)), world.sources())
    assert (gone.deletes_bucket, gone.retained_tags, gone.deletes_user) == (False, None, True)
    retag_as_tenant(world, shared, before)
    assert world.differs(shared) == []


def add_tags_as_tenant(world: World, cr: dict[str, Any], tags: dict[str, str]) -> None:
    retag_as_tenant(world, cr, {**tags_of(world, cr), **tags})


def user_tags(world: World, cr: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in world.iam.list_user_tags(UserName=user_of(cr))["Tags"]}


def user_of(cr: dict[str, Any]) -> str:
    return str(cr["spec"]["iamUser"]["username"])


def test_tag_adopted_on_a_bucket_that_was_created_is_drift(world: World, new_object: NewObject) -> None:
    """The key cannot take settings out of management, and the bucket is deleted with its object."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    before, key = world.snapshot(cr), world.tenant(cr)
    assert user_tags(world, cr)["agill.apps/origin"] == f"created:{bucket_of(cr)}"
    add_tags_as_tenant(world, cr, {"agill.apps/adopted": "true"})
    key.delete_public_access_block(Bucket=bucket_of(cr))
    with requests_of(world) as requests:
        assert world.differs(cr) == ["public_access_block", "tags"]
    assert {request["action"] for request in requests if request["service"] == "iam"} == {
        "GetUser", "GetUserPolicy", "ListAccessKeys", "ListAttachedUserPolicies", "ListGroupsForUser",
        "ListUserPolicies",
    }, "the record costs no request"  # fmt: skip
    run = world.reconcile(cr)
    assert (run.outcome["done"], run.changed) == (True, ["public_access_block", "tags"]), run.output
    assert run.outcome["status"]["effective"]["deletionPolicy"] == "Delete"
    assert world.snapshot(cr) == before

    add_tags_as_tenant(world, cr, {"agill.apps/adopted": "true"})
    gone = observe_deletion(world.wanted(deleting(cr)), world.sources())
    # The user is deleted first. If the bucket were not empty then, the next run could use only its tags.
    assert gone.deletes_bucket
    assert "agill.apps/adopted" not in (gone.bucket_tags or {"agill.apps/adopted": ""})
    run = world.reconcile(deleting(cr))
    assert (run.outcome["done"], run.changed) == (True, ["bucket", "user", "secret", "service"]), run.output
    assert world.snapshot(cr)["bucket"] is None


@pytest.mark.parametrize("has_new_bucket", [False, True], ids=["same-bucket", "new-bucket"])
def test_offer_that_the_key_writes_to_its_own_object_is_no_adoption(
    world: World, new_object: NewObject, has_new_bucket: bool
) -> None:
    """One owner tag is still there, so the key does not prove the ownership either."""
    cr = new_object(adoptionPolicy="IfExists")
    assert world.reconcile(cr).outcome["done"]
    key, before = world.tenant(cr), tags_of(world, cr)
    if has_new_bucket:
        key.delete_bucket(Bucket=bucket_of(cr))
        key.create_bucket(Bucket=bucket_of(cr))
    retag_as_tenant(world, cr, {"agill.apps/name": "x", "agill.apps/adopt": identity_of(cr)})
    refused = refusal(world, cr)
    assert (refused.reason, refused.retry) == ("Conflict", "permanent")
    # A user with IAM permissions can allow the adoption, as the message describes.
    assert "take the tag agill.apps/origin off the user" in refused.message
    if has_new_bucket:
        return
    world.iam.untag_user(UserName=user_of(cr), TagKeys=["agill.apps/origin"])
    run = world.reconcile(cr)
    assert (run.outcome["done"], tags_of(world, cr)["agill.apps/adopted"]) == (True, "true"), run.output
    assert user_tags(world, cr)["agill.apps/origin"] == f"adopted:{bucket_of(cr)}"
    # Neither the key nor a tool that replaces all tags can remove this record.
    retag_as_tenant(world, cr, {"team": "photos"})
    assert world.reconcile(cr).changed == ["tags"]
    assert tags_of(world, cr) == {**before, "team": "photos", "agill.apps/adopted": "true"}
    retag_as_tenant(world, cr, before)
    gone = observe_deletion(world.wanted(deleting(cr)), world.sources())
    assert (gone.deletes_bucket, (gone.bucket_tags or {})["agill.apps/adopted"]) == (False, "true")
    assert world.reconcile(deleting(cr)).outcome["done"]
    assert tags_of(world, cr)["agill.apps/retained-from"] == identity_of(cr)


def test_bucket_of_a_user_without_the_record_of_its_origin_is_adopted_as_its_tag_shows(
    world: World, new_object: NewObject
) -> None:
    """Users of an earlier version have no record of the origin. The upgrade must change neither kind of bucket."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    world.iam.untag_user(UserName=user_of(cr), TagKeys=["agill.apps/origin"])
    assert world.differs(cr) == [], "an upgrade causes no runs"
    assert observe_deletion(world.wanted(deleting(cr)), world.sources()).deletes_bucket
    add_tags_as_tenant(world, cr, {"agill.apps/adopted": "true"})
    assert world.differs(cr) == []
    assert observe_deletion(world.wanted(deleting(cr)), world.sources()).retained_tags is not None
    assert "agill.apps/origin" not in user_tags(world, cr)
    # Another run of the role does not guess the origin either. When the operator creates the bucket again, it records
    # "created".
    world.tenant(cr).delete_bucket(Bucket=bucket_of(cr))
    assert world.reconcile(cr).outcome["done"]
    assert user_tags(world, cr)["agill.apps/origin"] == f"created:{bucket_of(cr)}"


def test_bucket_policy_that_denies_its_tags_does_not_keep_the_key_of_a_deleted_object_alive(
    world: World, new_object: NewObject
) -> None:
    """Without owner tags, the deletion would first write them, because the key proves the ownership."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    tenant = world.tenant(cr)
    tenant.delete_bucket_tagging(Bucket=bucket_of(cr))
    tenant.put_bucket_policy(Bucket=bucket_of(cr), Policy=deny_everyone(cr, Action="s3:PutBucketTagging"))
    run = world.reconcile(deleting(cr))
    assert (run.outcome["done"], run.changed) == (True, ["bucket", "user", "secret", "service"]), run.output
    assert [world.snapshot(cr)[part] for part in ("bucket", "user")] == [None, None]


def test_bucket_with_another_teams_tags_is_neither_teams(
    world: World, shared: dict[str, Any], new_object: NewObject
) -> None:
    """The tags are exactly those of B, including the uid. B's bucketName is another one."""
    victim = new_object()
    assert world.reconcile(victim).outcome["done"]
    before = tags_of(world, shared)
    victims = {key: value for key, value in tags_of(world, victim).items() if key.startswith("agill.apps/")}
    world.tenant(shared).put_object(Bucket=bucket_of(shared), Key="mine", Body=b"x")
    retag_as_tenant(world, shared, victims)
    refused = refusal(world, shared)
    assert (refused.reason, refused.retry) == ("Conflict", "permanent")
    assert identity_of(victim) in refused.message
    with requests_of(world) as requests:
        assert world.differs(victim) == []
        assert world.reconcile(deleting(victim)).outcome["done"]
    assert bucket_of(shared) not in {request["bucket"] for request in requests}
    assert tags_of(world, shared) == victims
    assert world.tenant(shared).get_object(Bucket=bucket_of(shared), Key="mine")["Body"].read() == b"x"
    retag_as_tenant(world, shared, before)


@pytest.mark.parametrize("adoption", ["Never", "IfExists"])
@pytest.mark.parametrize("has_user", [True, False], ids=["user", "bucket-only"])
def test_bucket_that_another_tenants_key_still_reaches_is_taken_by_nobody(
    world: World, shared: dict[str, Any], new_object: NewObject, adoption: str, has_user: bool
) -> None:
    """A takes the name that B asks for, and then gives the bucket tags that B would accept.

    A could then read all data of B.
    """
    user = {} if has_user else {"iamUser": None}
    victim = new_object(bucketName=bucket_of(shared), adoptionPolicy=adoption, **user)
    assert refusal(world, victim).reason == "Conflict"
    before = tags_of(world, shared)
    offered = {"agill.apps/adopt": identity_of(victim)}
    given = offered if adoption == "IfExists" else world.wanted(victim).identity.tags
    retag_as_tenant(world, shared, given)
    refused = refusal(world, victim)
    assert (refused.reason, refused.retry) == ("Conflict", "permanent")
    assert shared["spec"]["iamUser"]["username"] in refused.message
    assert identity_of(shared) in refused.message
    assert tags_of(world, shared) == given
    retag_as_tenant(world, shared, before)


def test_bucket_that_was_handed_over_is_taken_once_the_first_tenants_key_is_gone(
    world: World, new_object: NewObject
) -> None:
    first = new_object()
    assert world.reconcile(first).outcome["done"]
    second = new_object(bucketName=bucket_of(first), adoptionPolicy="IfExists")
    retag_as_tenant(world, first, {"agill.apps/adopt": identity_of(second)})
    old = world.tenant(first)
    gone = world.reconcile(deleting(first))
    assert (gone.outcome["done"], gone.changed) == (True, ["user", "secret", "service"]), gone.output
    run = world.reconcile(second)
    assert run.outcome["done"], run.output
    assert world.differs(second) == []
    world.tenant(second).put_object(Bucket=bucket_of(second), Key="a", Body=b"x")
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        old.get_object(Bucket=bucket_of(second), Key="a")


@pytest.mark.parametrize("uid", ["", "u"], ids=["no-uid", "any-uid"])
def test_bucket_that_was_prepared_with_the_tags_of_an_object_to_come_is_not_taken(
    world: World, new_object: NewObject, uid: str
) -> None:
    """The bucket's lifecycle deletes later objects. The first tenant's user is deleted, so nothing claims the name."""
    first = new_object()
    assert world.reconcile(first).outcome["done"]
    second = new_object(bucketName=bucket_of(first))
    retag_as_tenant(world, first, {**world.wanted(second).identity.tags, "agill.apps/uid": uid})
    assert world.reconcile(deleting(first)).outcome["done"]
    refused = refusal(world, second)
    assert (refused.reason, refused.retry) == ("Conflict", "permanent")
    assert f"agill.apps/adopt={identity_of(second)}" in refused.message
    assert world.reconcile(deleting(second)).outcome["done"]


def test_offer_of_a_bucket_that_is_not_wanted_means_nothing(
    world: World, shared: dict[str, Any], new_object: NewObject
) -> None:
    other, before = new_object(bucketName=bucket_of(shared), adoptionPolicy="Never"), tags_of(world, shared)
    retag_as_tenant(world, shared, {"agill.apps/adopt": identity_of(other)})
    refused = refusal(world, other)
    assert refused.reason == "Conflict"
    assert "adoptionPolicy: IfExists" in refused.message
    retag_as_tenant(world, shared, before)


def test_bucket_that_another_account_took_after_its_deletion_is_name_taken(world: World, new_object: NewObject) -> None:
    tenants = new_object()
    assert world.reconcile(tenants).outcome["done"]
    copied, bucket = tags_of(world, tenants), bucket_of(tenants)
    key = world.credentials(tenants)
    world.tenant(tenants).delete_bucket(Bucket=bucket)
    # A public bucket with copies of the operator's tags: everything that could make it seem owned.
    world.aws.gate.make_bucket_elsewhere(bucket, copied, is_open=True)
    refused = refusal(world, tenants)
    assert (refused.reason, refused.retry) == ("BucketNameTaken", "permanent")
    with requests_of(world) as requests:
        run = world.reconcile(tenants)
    assert (run.outcome["reason"], writes_in(requests)) == ("BucketNameTaken", [])
    assert world.credentials(tenants) == key
    with requests_of(world) as requests:
        gone = world.reconcile(deleting(tenants))
    assert gone.outcome["done"], gone.output
    assert [request["action"] for request in requests if request["write"] and request["bucket"] == bucket] == []
    assert world.secret(tenants) is None
