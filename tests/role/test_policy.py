"""A bucket policy that AWS stores in another form.

It is written once, and later differences from the stored form are repaired.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from s3bucket import owner
from s3bucket.observe import observe
from s3bucket.planned_changes import changes_of
from s3bucket.policy import record_of
from tests.support.world import NewObject, World, deleting, requests_of

ACCOUNT = "123456789012"
IDENTITY = "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"


def policy_of(bucket: str, **parts: Any) -> dict[str, Any]:
    allow = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "s3:GetObject"}
    return {"Statement": [{**allow, "Resource": f"arn:aws:s3:::{bucket}/*", **parts}]}


# Policies that AWS returns in another form, and whether the comparison needs a record to recognize them.
REWRITTEN: dict[str, tuple[Callable[[str], dict[str, Any]], bool]] = {
    "account": (policy_of, False),
    "repeated-and-empty": (
        lambda bucket: {**policy_of(bucket, Action=["s3:GetObject", "s3:GetObject"], Condition={}), "Id": ""}, False,
    ),
    "identity": (lambda bucket: policy_of(bucket, Principal={"CanonicalUser": IDENTITY}), True),
    "number": (
        lambda bucket: policy_of(bucket, Condition={"NumericLessThan": {"s3:max-keys": [12345678.5, 10]}}), True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("has_user", [True, False], ids=["user", "bucket-only"])
@pytest.mark.parametrize("row", REWRITTEN)
def test_policy_that_aws_rewrites_is_written_once_and_its_drift_is_seen(
    world: World, new_object: NewObject, row: str, has_user: bool
) -> None:
    policy, needs_record = REWRITTEN[row]
    cr = new_object(**({} if has_user else {"iamUser": None}))
    bucket = cr["spec"]["bucketName"]
    cr["spec"]["bucketPolicy"] = json.dumps(policy(bucket))
    with requests_of(world) as requests:
        run = world.reconcile(cr)
    assert run.outcome["done"], run.output
    assert [request["action"] for request in requests].count("PutBucketPolicy") == 1
    # From now on nothing differs, and the comparison costs no additional request.
    with requests_of(world) as requests:
        assert world.differs(cr) == []
    assert [request["action"] for request in requests].count("GetBucketPolicy") == 1
    snapshot = world.snapshot(cr)
    places = {"user": (snapshot["user"] or {}).get("tags", {}), "bucket": snapshot["bucket"]["tags"]}
    holders = [place for place, tags in places.items() if owner.POLICY in tags]
    assert holders == ([] if not needs_record else ["user"] if has_user else ["bucket"])

    # The policy in AWS may change, or the one in the spec.
    others = policy(bucket)
    others["Statement"][0]["Effect"] = "Deny"
    other = {**cr, "spec": {**cr["spec"], "bucketPolicy": json.dumps(others)}}
    assert world.differs(other) == ["policy"]
    world.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(others))
    assert world.differs(cr) == ["policy"]
    assert world.reconcile(deleting(cr)).outcome["done"]


def test_policies_with_two_numbers_differ(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    bucket = cr["spec"]["bucketName"]
    numbers = [policy_of(bucket, Condition={"NumericLessThan": {"s3:max-keys": value}}) for value in (0.25, 0.75)]
    cr["spec"]["bucketPolicy"] = json.dumps(numbers[0])
    assert world.reconcile(cr).outcome["done"]
    cr["spec"]["bucketPolicy"] = json.dumps(numbers[1])
    assert world.differs(cr) == ["policy"]
    assert world.reconcile(cr).changed == ["policy"]
    condition = json.loads(world.s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"][0]["Condition"]
    assert condition == {"NumericLessThan": {"s3:max-keys": "0.75"}}


def test_record_that_a_tenant_forges_hides_nothing(world: World, new_object: NewObject) -> None:
    """With a user, the bucket's tags record nothing. Without a user, the record cannot stand for another policy."""
    for has_user in (True, False):
        cr = new_object(**({} if has_user else {"iamUser": None}))
        bucket = cr["spec"]["bucketName"]
        wanted = policy_of(bucket, Principal={"CanonicalUser": IDENTITY})
        cr["spec"]["bucketPolicy"] = json.dumps(wanted)
        assert world.reconcile(cr).outcome["done"]
        other = policy_of(bucket, Principal={"AWS": "999999999999"}, Action="s3:*")
        world.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(other))
        answer = world.s3.get_bucket_policy(Bucket=bucket)["Policy"]
        tags = world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
        tags = [tag for tag in tags if tag["Key"] != owner.POLICY]
        tags.append({"Key": owner.POLICY, "Value": record_of(wanted, answer)})
        world.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
        assert world.differs(cr) == ["policy"]


def test_policy_that_names_the_objects_new_user_is_waited_for(world: World, new_object: NewObject) -> None:
    cr = new_object()
    bucket, user = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    arn = f"arn:aws:iam::{ACCOUNT}:user/{user}"
    cr["spec"]["bucketPolicy"] = json.dumps(policy_of(bucket, Principal={"AWS": arn}))
    with world.aws.gate.marked("late-user", user):
        outcome = world.reconcile(cr).outcome
    assert (outcome["reason"], outcome["retry"]) == ("WaitingForIAM", "transient")
    assert user in outcome["message"]
    # Meanwhile the access key, the Secret and all other settings are in place.
    assert world.differs(cr) == ["policy"]
    assert world.reconcile(cr).outcome["done"]

    # When the policy names another user, or one that is not new, the spec is wrong.
    other = {**cr, "spec": {**cr["spec"], "bucketPolicy": json.dumps(policy_of(bucket, Principal={"AWS": f"{arn}-x"}))}}
    outcome = world.reconcile(other).outcome
    assert (outcome["reason"], outcome["retry"]) == ("InvalidSpec", "permanent")
    assert outcome["message"].startswith("spec.bucketPolicy: AWS refuses it")


def arn_of(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


@pytest.mark.parametrize("has_user", [True, False], ids=["user", "bucket-only"])
def test_policy_gives_no_access_to_a_later_user_of_a_name_until_the_spec_changes(
    world: World, new_object: NewObject, new_name: Callable[[str], str], has_user: bool
) -> None:
    bob, eve = new_name("bob"), new_name("eve")
    for name in (bob, eve):
        world.iam.create_user(UserName=name)
    cr = new_object(**({} if has_user else {"iamUser": None}))
    bucket = cr["spec"]["bucketName"]
    cr["spec"]["bucketPolicy"] = json.dumps(policy_of(bucket, Principal={"AWS": arn_of(bob)}))
    assert world.reconcile(cr).outcome["done"]
    assert world.differs(cr) == []
    world.iam.delete_user(UserName=bob)
    shown = world.s3.get_bucket_policy(Bucket=bucket)["Policy"]
    for _ in ("deleted", "created again"):
        seen = observe(world.wanted(cr), world.sources())
        [problem] = seen.deferred
        assert (seen.differs, seen.bucket_arguments, problem.reason, problem.retry) == (
            [], {}, "InvalidSpec", "permanent"
        )  # fmt: skip
        assert arn_of(bob) in problem.message
        assert [change.field for change in changes_of(world.wanted(cr), seen, world.sources())] == []
        with contextlib.suppress(world.iam.exceptions.EntityAlreadyExistsException):
            world.iam.create_user(UserName=bob)
    # Another name in the spec is a change, even if it is the only one.
    named = json.dumps(policy_of(bucket, Principal={"AWS": arn_of(eve)}))
    assert world.differs({**cr, "spec": {**cr["spec"], "bucketPolicy": named}}) == ["policy"]
    if not has_user:
        return
    with requests_of(world) as requests:
        run = world.reconcile(cr)
    assert (run.outcome["done"], run.outcome["reason"], run.changed) == (False, "InvalidSpec", []), run.output
    assert [request["action"] for request in requests if request["write"]] == []
    assert world.s3.get_bucket_policy(Bucket=bucket)["Policy"] == shown

    # Another setting is repaired meanwhile.
    other = {**cr, "spec": {**cr["spec"], "enableVersioning": True}}
    run = world.reconcile(other)
    assert (run.outcome["reason"], run.changed) == ("InvalidSpec", ["versioning"]), run.output
    assert world.s3.get_bucket_policy(Bucket=bucket)["Policy"] == shown

    # Any other text of the policy is applied too.
    changed = policy_of(bucket, Principal={"AWS": arn_of(bob)}, Sid="again")
    other["spec"]["bucketPolicy"] = json.dumps(changed)
    assert world.reconcile(other).changed == ["policy"]
    assert json.loads(world.s3.get_bucket_policy(Bucket=bucket)["Policy"]) == changed
    # The change of the spec was applied. From now on the policy behaves as before.
    world.iam.delete_user(UserName=bob)
    assert observe(world.wanted(other), world.sources()).deferred


def test_policy_that_names_the_objects_own_user_is_written_again_with_the_user(
    world: World, new_object: NewObject
) -> None:
    cr = new_object()
    bucket, user = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    cr["spec"]["bucketPolicy"] = json.dumps(policy_of(bucket, Principal={"AWS": arn_of(user)}))
    assert world.reconcile(cr).outcome["done"]
    for key in world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        world.iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    world.iam.delete_user_policy(UserName=user, PolicyName=f"{user}-{bucket}-s3-restricted")
    world.iam.delete_user(UserName=user)
    assert "AIDA" in world.s3.get_bucket_policy(Bucket=bucket)["Policy"]
    run = world.reconcile(cr)
    assert run.outcome["done"], run.output
    assert world.differs(cr) == []
    assert arn_of(user) in world.s3.get_bucket_policy(Bucket=bucket)["Policy"]


def test_setting_that_fails_does_not_keep_the_others(world: World, new_object: NewObject) -> None:
    cr = new_object(tags={"team": "photos"}, enableVersioning=True)
    assert world.reconcile(cr).outcome["done"]
    bucket = cr["spec"]["bucketName"]
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    cr["spec"] |= {"tags": {"team": "films"}, "bucketPolicy": json.dumps(policy_of(bucket, Action="s3:Nothing1"))}
    outcome = world.reconcile(cr).outcome
    assert outcome["reason"] == "InvalidSpec"
    assert world.differs(cr) == ["policy"]


def change_all(world: World, bucket: str) -> None:
    """Change a bucket as others do: log delivery adds statements, and a billing tool adds tags."""
    statement = policy_of(bucket, Principal={"Service": "delivery.logs.amazonaws.com"}, Sid="AWSLogDeliveryWrite")
    world.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(statement))
    tags = [tag for tag in world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"] if tag["Key"] != "team"]
    world.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [*tags, {"Key": "cost", "Value": "7"}]})
    world.s3.put_bucket_acl(Bucket=bucket, ACL="private")


def test_unmanaged_fields_are_applied_at_creation_and_left_afterwards(world: World, new_object: NewObject) -> None:
    fields = ["bucketPolicy", "bucketACL", "tags"]
    cr = new_object(bucketACL="public-read", tags={"team": "photos"}, unmanagedFields=fields)
    bucket = cr["spec"]["bucketName"]
    cr["spec"]["bucketPolicy"] = json.dumps(policy_of(bucket))
    # When the policy fails during the creation, the next run writes it.
    world.aws.gate.add_fault("PutBucketPolicy", "InternalError", status=400, times=1, bucket=bucket)
    assert not world.reconcile(cr).outcome["done"]
    assert set(world.differs(cr)) == {"policy", "tags"}
    outcome = world.reconcile(cr).outcome
    assert outcome["done"]
    assert outcome["status"]["effective"]["unmanagedFields"] == sorted(fields)
    settings, tags = (world.snapshot(cr)["bucket"][part] for part in ("settings", "tags"))
    assert json.loads(settings["policy"])["Statement"]
    assert (settings["acl"], tags["team"], tags.get(owner.INITIAL)) == ("public-read", "photos", None)
    assert world.differs(cr) == []

    change_all(world, bucket)
    assert world.differs(cr) == []
    # Neither the changes of others nor a change of the spec count as drift. The owner tags are still repaired.
    changed = {**cr, "spec": {**cr["spec"], "bucketPolicy": "", "bucketACL": "private", "tags": {"team": "films"}}}
    assert [name for name in world.differs(changed) if name != "public_access_block"] == []
    observed = observe(world.wanted(changed), world.sources())
    assert "cost" in observed.tags[1]
    assert world.tenant(cr).get_bucket_tagging(Bucket=bucket)["TagSet"]
    for field, aspects in {"bucketPolicy": ["policy"], "tags": ["tags"], "bucketACL": ["acl"]}.items():
        kept = [name for name in fields if name != field]
        managed = {**cr, "spec": {**cr["spec"], "unmanagedFields": kept}}
        assert world.differs(managed) == aspects
    assert world.reconcile(deleting(cr)).outcome["done"]
