"""The operator process against versitygw: the whole life of an object. Role runs: ownership, rotation and rights."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from dev.wait import wait_until
from s3bucket import owner, user_record
from s3bucket.rotation import ROTATE_KEY
from tests.support.operator import (
    StartOperator,
    delete,
    event_reasons,
    live,
    patch,
    wait_gone,
    wait_ready,
)
from tests.support.store import StoreWorld
from tests.support.world import NewObject, code_of, deleting, make_old_key_older


def test_object_from_creation_over_change_and_drift_to_deletion_with_versions(
    world: StoreWorld, new_object: NewObject, start_operator: StartOperator
) -> None:
    operator = start_operator("--sync-period", "2")
    cr = new_object(enableVersioning=True, forceDelete=True)
    wait_ready(world, cr)
    item, bucket, user = live(world, cr) or {}, cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    assert item["status"]["accessKeyID"] == world.credentials(cr)[0]
    assert item["status"]["bucketARN"] == f"arn:aws:s3:::{bucket}"
    tenant = world.tenant(cr)
    for body in (b"1", b"2"):
        tenant.put_object(Bucket=bucket, Key="kept", Body=body)
    tenant.delete_object(Bucket=bucket, Key="kept")

    patch(world, cr, {"spec": {"tags": {"team": "photos"}}})
    wait_ready(world, cr, generation=2)
    tags = {tag["Key"]: tag["Value"] for tag in world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    assert (tags["team"], tags[owner.UID]) == ("photos", cr["metadata"]["uid"])

    # A Secret is missed on the watch event, a policy at the next sync.
    old_key = world.credentials(cr)[0]
    world.core.delete_namespaced_secret(item["status"]["secretName"], cr["metadata"]["namespace"])
    wait_until(lambda: world.secret(cr) is not None and world.credentials(cr)[0] != old_key, "a new key")
    # The old key goes after the Secret has the new one.
    wait_until(
        lambda: code_of(lambda: tenant.list_objects_v2(Bucket=bucket)) == "InvalidAccessKeyId", "the old key gone"
    )
    (policy,) = world.iam.list_user_policies(UserName=user)["PolicyNames"]
    world.iam.delete_user_policy(UserName=user, PolicyName=policy)
    wait_until(lambda: world.iam.list_user_policies(UserName=user)["PolicyNames"] == [policy], "the policy")
    wait_until(lambda: event_reasons(world, cr).count("DriftCorrected") >= 1, "the Event DriftCorrected")

    delete(world, cr)
    wait_gone(world, cr)
    assert not any(world.snapshot(cr).values())
    assert operator.stop() == 0


def test_names_of_others_are_left_alone(
    world: StoreWorld, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    unowned = new_name("unowned")
    world.s3.create_bucket(Bucket=unowned)
    first = new_object(bucketName=new_name("contested"))
    assert world.reconcile(first).outcome["reason"] == "Ready"
    user = {"username": first["spec"]["iamUser"]["username"]}
    for spec, message in (
        ({"bucketName": unowned}, "without this operator's owner tags"),
        ({"bucketName": first["spec"]["bucketName"]}, f"belongs to S3 object {owner_of(world, first)}"),
        ({"iamUser": user}, f"IAM user {user['username']} belongs to S3 object {owner_of(world, first)}"),
    ):
        cr = new_object(**spec)
        outcome = world.reconcile(cr).outcome
        assert (outcome["reason"], message in outcome["message"]) == ("Conflict", True), outcome
        # The deletion of what never owned anything takes nothing with it.
        assert world.reconcile(deleting(cr)).outcome["done"]
    assert world.differs(first) == []
    assert world.s3.get_bucket_location(Bucket=unowned)


def owner_of(world: StoreWorld, cr: dict[str, Any]) -> str:
    return str(world.wanted(cr).identity)


def test_key_is_rotated_without_downtime(world: StoreWorld, new_object: NewObject) -> None:
    cr = new_object()
    world.reconcile(cr)
    old, bucket, user = world.tenant(cr), cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    old_key = world.credentials(cr)[0]
    cr["metadata"].setdefault("annotations", {})[ROTATE_KEY] = "1"
    run = world.reconcile(cr)
    assert (run.outcome["reason"], "access_key" in run.changed) == ("Ready", True), run.output
    for client in (old, world.tenant(cr)):
        client.put_object(Bucket=bucket, Key="kept", Body=b"x")
    assert world.credentials(cr)[0] != old_key

    def statuses() -> dict[str, str]:
        keys = world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
        return {key["AccessKeyId"]: key["Status"] for key in keys}

    # The grace period of a day, and the days for which an inactive key is kept.
    found = []
    while old_key in statuses() and len(found) < 3:
        make_old_key_older(world, user, timedelta(days=30) / timedelta(days=1))
        run = world.reconcile(cr)
        assert run.outcome["done"], run.output
        found.append(statuses().get(old_key, "deleted"))
    assert found[-1] == "deleted", found
    assert code_of(lambda: old.list_objects_v2(Bucket=bucket)) == "InvalidAccessKeyId"


def test_tenant_reaches_its_bucket_in_its_mode_and_nothing_else(
    world: StoreWorld, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    mine = new_object(iamUser={"username": new_name("reader"), "accessMode": "ReadOnly"})
    other = new_object()
    for cr in (mine, other):
        assert world.reconcile(cr).outcome["reason"] == "Ready"
    bucket, others = mine["spec"]["bucketName"], other["spec"]["bucketName"]
    world.s3.put_object(Bucket=bucket, Key="kept", Body=b"x")
    s3, iam = world.tenant(mine), world.tenant(mine, "iam")
    assert s3.get_object(Bucket=bucket, Key="kept")["Body"].read() == b"x"
    user = mine["spec"]["iamUser"]["username"]
    denied: dict[str, Callable[[], Any]] = {
        "write": lambda: s3.put_object(Bucket=bucket, Key="kept", Body=b"y"),
        "delete": lambda: s3.delete_object(Bucket=bucket, Key="kept"),
        "tags of the bucket": lambda: s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": []}),
        "bucket of another object": lambda: s3.list_objects_v2(Bucket=others),
        "new bucket": lambda: s3.create_bucket(Bucket=new_name("new")),
        "tags of the user": lambda: iam.tag_user(UserName=user, Tags=[{"Key": owner.UID, "Value": "x"}]),
        "record of the user": lambda: iam.put_user_policy(
            UserName=user, PolicyName=user_record.POLICY, PolicyDocument='{"Version": "2012-10-17", "Statement": []}'
        ),
        "another key": lambda: iam.create_access_key(UserName=user),
    }
    assert {name: code_of(call) for name, call in denied.items()} == dict.fromkeys(denied, "AccessDenied")


def test_boundary_is_an_error_and_leaves_no_user(world: StoreWorld, new_object: NewObject) -> None:
    cr = new_object()
    boundary = {"permissions_boundary": f"arn:aws:iam::{world.account}:policy/boundary"}
    outcome = world.reconcile(cr, settings=boundary).outcome
    assert outcome["reason"] == "InvalidSpec"
    assert outcome["message"].startswith("s3bucket_permissions_boundary: the store has no permissions boundaries")
    assert [kind for kind, found in world.snapshot(cr).items() if found] == ["service"]
    # A user that exists is not taken for one that has it.
    assert world.reconcile(cr).outcome["reason"] == "Ready"
    assert world.reconcile(cr, settings=boundary).outcome["reason"] == "InvalidSpec"
