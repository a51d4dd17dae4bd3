"""Attacks on the running operator, with the permissions of one namespace and the access key in its Secret."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.wait import wait_until
from s3bucket.api import GROUP, PLURAL, VERSION
from tests.support.operator import StartOperator, condition, delete, live, wait_gone, wait_ready
from tests.support.world import CLUSTER, EKS_CLUSTER, PROJECT, NewObject, World


@pytest.fixture
def victim(world: World, new_name: Callable[[str], str]) -> Callable[..., dict[str, Any]]:
    """Creates S3 objects in another namespace."""
    namespace = new_name("victim")
    world.make_namespace(namespace)

    def make(bucket: str) -> dict[str, Any]:
        spec = {"region": "us-east-1", "bucketName": bucket, "iamUser": {"username": new_name("user")}}
        return world.make_object(namespace, new_name("cr"), spec)

    make.namespace = namespace  # type: ignore[attr-defined]
    return make


def bucket_of(cr: dict[str, Any]) -> str:
    return str(cr["spec"]["bucketName"])


def user_of(cr: dict[str, Any]) -> str:
    return str(cr["spec"]["iamUser"]["username"])


def strip_finalizer(world: World, cr: dict[str, Any]) -> None:
    """Delete an object and remove its finalizer until it no longer exists.

    The operator may add the finalizer again in between.
    """
    metadata = cr["metadata"]
    body = {"metadata": {"finalizers": None}}

    def strip() -> bool:
        found = live(world, cr)
        if found is None:
            return True
        world.custom.patch_namespaced_custom_object(
            GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"], body
        )
        if not found["metadata"].get("deletionTimestamp"):
            delete(world, cr)
        return live(world, cr) is None

    wait_until(strip, "the object without its finalizer is gone")


def clear_status(world: World, cr: dict[str, Any]) -> None:
    metadata = cr["metadata"]
    world.custom.patch_namespaced_custom_object_status(
        GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"], {"status": {"bucketARN": ""}}
    )


def buckets(world: World) -> list[str]:
    return [item["Name"] for item in world.s3.list_buckets()["Buckets"]]


def namespaces(victim: Any, own: str) -> list[str]:
    return ["--watch-namespace", victim.namespace, "--watch-namespace", own]


def test_key_of_an_object_whose_finalizer_was_stripped_never_reaches_the_next_owners_bucket(
    world: World, namespace: str, new_object: NewObject, victim: Any, start_operator: StartOperator
) -> None:
    """Attack (a) of issue 12. The operator is stopped while the finalizer is removed, so it remembers nothing."""
    operator = start_operator(*namespaces(victim, namespace))
    attacker = new_object()
    wait_ready(world, attacker)
    old, bucket = world.tenant(attacker), bucket_of(attacker)
    assert operator.stop() == 0
    strip_finalizer(world, attacker)
    old.delete_bucket(Bucket=bucket)

    grace = ("--sync-period", "2", "--orphan-grace-period", "1")
    operator = start_operator(*namespaces(victim, namespace), *grace)
    cr = victim(bucket)
    wait_until(lambda: condition(world, cr).get("reason") == "Conflict", "Conflict")
    assert user_of(attacker) in condition(world, cr)["message"]
    assert bucket not in buckets(world)

    # The user is found as an orphan, and its access key is deactivated.
    line = wait_until(lambda: operator.lines("keys of an orphaned IAM user were deactivated"), "deactivation")[0]
    assert (line["user"], line["namespace"], line["name"]) == (
        user_of(attacker),
        namespace,
        attacker["metadata"]["name"],
    )
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        old.list_buckets()
    assert len(operator.lines("IAM user is orphaned: its S3 object no longer exists")) == 1

    # Once an administrator removes the user, the name is free.
    for key in world.iam.list_access_keys(UserName=user_of(attacker))["AccessKeyMetadata"]:
        world.iam.delete_access_key(UserName=user_of(attacker), AccessKeyId=key["AccessKeyId"])
    world.iam.delete_user_policy(UserName=user_of(attacker), PolicyName=world.wanted(attacker).policy_name)
    world.iam.delete_user(UserName=user_of(attacker))
    wait_ready(world, cr)
    assert world.differs(cr) == []


def test_key_of_an_object_that_never_was_ready_never_reaches_the_next_owners_bucket(
    world: World, namespace: str, new_object: NewObject, victim: Any, start_operator: StartOperator
) -> None:
    """Attack (b) of issue 12: no finalizer is removed, and the status never names a bucket."""
    operator = start_operator(*namespaces(victim, namespace), "--sync-period", "300")
    attacker = new_object()
    wait_ready(world, attacker)
    old, bucket = world.tenant(attacker), bucket_of(attacker)
    # Some clusters grant write access to the status. As after an object that was never finished, nothing names the
    # bucket.
    clear_status(world, attacker)
    old.delete_bucket(Bucket=bucket)
    cr = victim(bucket)
    # First with the process that created the first bucket, then with one that has no record of it.
    wait_until(lambda: condition(world, cr).get("reason") in ("Pending", "Conflict"), "refused")
    wait_until(lambda: operator.runs_of(cr), "a run, or its refusal")
    assert bucket not in buckets(world)
    assert operator.stop() == 0
    clear_status(world, attacker)
    operator = start_operator(*namespaces(victim, namespace), "--sync-period", "300")
    # If the attacker's own object is reconciled first, its bucket is created again. That is correct: it owns the name.
    wait_until(lambda: condition(world, cr).get("reason") == "Conflict", "Conflict")
    assert condition(world, cr)["status"] == "False"
    assert world.secret(cr) is None


def test_name_passes_on_when_its_object_is_deleted_in_good_order(
    world: World, namespace: str, new_object: NewObject, victim: Any, start_operator: StartOperator
) -> None:
    """The object had no access key, so the name is free at once.

    With a key, only its own namespace gets the name at once: see test_tenant_attacks.
    """
    start_operator(*namespaces(victim, namespace))
    first = new_object(iamUser=None)
    wait_ready(world, first)
    delete(world, first)
    wait_gone(world, first)
    second = victim(bucket_of(first))
    wait_ready(world, second)


def test_claim_that_iam_does_not_show_yet_is_known_to_the_operator_that_made_it(
    world: World, namespace: str, new_object: NewObject, victim: Any, start_operator: StartOperator
) -> None:
    """IAM reads lag by an hour here, so they show none of the writes of this test."""
    operator = start_operator(*namespaces(victim, namespace))
    first = new_object()
    bucket = bucket_of(first)
    world.aws.gate.add_fault("CreateBucket", "AccessDenied", status=403, times=1, bucket=bucket)
    world.aws.gate.set_iam_lag(3600)
    try:
        wait_until(lambda: operator.runs_of(first), "a run that claims the name and creates no bucket")
        second = victim(bucket)
        name = first["metadata"]["name"]
        wait_until(lambda: name in condition(world, second).get("message", ""), "Pending, for the first one")
        assert condition(world, second)["reason"] == "Pending"
    finally:
        world.aws.gate.set_iam_lag(0)
        world.aws.gate.clear_faults()
    wait_ready(world, first)


def run_orphans(world: World, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "s3-operator"), "orphans", "--cluster-name", CLUSTER, *arguments]
    return subprocess.run(
        command, env=world.environment(**environment), capture_output=True, text=True, timeout=120, cwd=PROJECT.parent
    )


def test_orphans_command_lists_what_has_an_object_that_is_gone(
    world: World, namespace: str, new_object: NewObject, new_name: Callable[[str], str]
) -> None:
    def with_role() -> dict[str, Any]:
        name = new_name("role")
        return new_object(iamRole={"name": name, "serviceAccounts": [name], "podIdentity": True})

    kept, lost, half = with_role(), with_role(), with_role()
    for cr in (kept, lost, half):
        assert world.reconcile(cr, EKS_CLUSTER_ARN=EKS_CLUSTER).outcome["done"]
    only = ("--watch-namespace", namespace, "--eks-cluster-arn", EKS_CLUSTER)
    done = run_orphans(world, *only, "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["orphans"] == []
    strip_finalizer(world, lost)
    strip_finalizer(world, half)
    # Create the object again with another user and without a role: what the first one created is unowned.
    metadata = half["metadata"]
    spec = {"region": "us-east-1", "bucketName": bucket_of(half), "iamUser": {"username": f"{user_of(half)}-2"}}
    world.make_object(namespace, metadata["name"], spec)
    done = run_orphans(world, *only, "-o", "json")
    assert done.returncode == 2, done.stderr
    rows = json.loads(done.stdout)["orphans"]
    assert sorted((row["kind"], row.get("serviceAccount", row["name"])) for row in rows) == sorted(
        [("bucket", bucket_of(lost))]
        + [("user", user_of(cr)) for cr in (lost, half)]
        + [(kind, cr["spec"]["iamRole"]["name"]) for kind in ("role", "association") for cr in (lost, half)]
    )
    text = run_orphans(world, *only).stdout
    name = lost["spec"]["iamRole"]["name"]
    assert f"role {name}: of S3 object {namespace}/{lost['metadata']['name']}" in text
    assert f" of ServiceAccount {name}: of S3 object {namespace}/{lost['metadata']['name']}" in text
    assert f"user {user_of(lost)}: of S3 object {namespace}/{lost['metadata']['name']}" in text
    assert f"claims bucket {bucket_of(lost)}" in text


def test_orphans_command_reports_that_users_cannot_be_read(world: World) -> None:
    world.aws.gate.add_fault("GetAccountAuthorizationDetails", "AccessDenied", status=403)
    try:
        done = run_orphans(world)
    finally:
        world.aws.gate.clear_faults()
    assert done.returncode == 1
    assert "iam:GetAccountAuthorizationDetails" in done.stderr
    assert "Traceback" not in done.stderr + done.stdout
