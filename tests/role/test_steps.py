"""A failed step of a run is recorded. The steps that do not depend on it still run."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket.role_settings import RoleSettings
from tests.support.world import CLUSTER, PROJECT, PROVIDER, NewObject, World, requests_of


def own_user_policy(cr: dict[str, Any], account: str, *more: str) -> str:
    """A bucket policy that names the object's own user, or others of it."""
    names = more or (f"user/{cr['iamUser']['username']}",)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": [f"arn:aws:iam::{account}:{name}" for name in names]},
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{cr['bucketName']}/*",
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def check(world: World, monkeypatch: pytest.MonkeyPatch) -> DriftCheck:
    environment = world.environment()
    for name in ("KUBECONFIG", *world.aws.env()):
        monkeypatch.setenv(name, environment[name])
    return DriftCheck(PROJECT, RoleSettings(cluster_name=CLUSTER, iam_settle_s=0))


def test_bucket_policy_with_an_unknown_principal_does_not_keep_the_key_back(
    world: World, new_object: NewObject, new_name: Any
) -> None:
    """S3 does not know a user for some seconds after IAM created it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    """
    spec = {"bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
    cr = new_object(**spec, bucketPolicy=own_user_policy(spec, world.account))
    with world.aws.gate.marked("late-user", spec["iamUser"]["username"]):
        run = world.reconcile(cr)
    assert (run.outcome["reason"], run.outcome["retry"]) == ("WaitingForIAM", "transient"), run.output
    assert run.changed == ["bucket", "user", "user_policy", "access_key", "secret", "service"]
    assert run.outcome["status"]["accessKeyID"] == world.credentials(cr)[0]
    assert run.outcome["status"]["bucketARN"]
    world.tenant(cr).list_objects_v2(Bucket=spec["bucketName"])
    healed = world.reconcile(cr)
    assert (healed.outcome["done"], healed.changed) == (True, ["policy"]), healed.output


def test_bucket_policy_may_name_a_user_and_a_role_that_the_same_run_creates_later(
    world: World, new_object: NewObject, new_name: Any
) -> None:
    """They are created after the bucket's settings, and what AWS refuses for that is no error of the spec."""
    bob, role = new_name("bob"), {"name": new_name("role"), "serviceAccounts": ["app"]}
    spec = {"bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
    policy = own_user_policy(spec, world.account, f"user/{bob}", f"role/{role['name']}")
    cr = new_object(**spec, additionalUsers=[{"username": bob}], iamRole=role, bucketPolicy=policy)
    settings = {"OIDC_PROVIDER_ARN": PROVIDER}
    run = world.reconcile(cr, **settings)
    assert (run.outcome["reason"], run.outcome["retry"]) == ("WaitingForIAM", "transient"), run.output
    healed = world.reconcile(cr, **settings)
    assert (healed.outcome["done"], healed.changed) == (True, ["policy"]), healed.output


def test_rights_that_cannot_be_given_leave_settings_and_service_maintained(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    user, bucket = cr["spec"]["iamUser"]["username"], cr["spec"]["bucketName"]
    world.iam.delete_user_policy(UserName=user, PolicyName=f"{user}-{bucket}-s3-restricted")
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    world.core.delete_namespaced_service(cr["metadata"]["name"], cr["metadata"]["namespace"])
    world.core.delete_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"])
    world.aws.gate.add_fault("PutUserPolicy", "AccessDenied", status=403, user=user)
    try:
        with requests_of(world) as requests:
            run = world.reconcile(cr)
    finally:
        world.aws.gate.clear_faults()
    assert (run.outcome["reason"], run.changed) == ("AccessDenied", ["versioning", "service"]), run.output
    assert "CreateAccessKey" not in [request["action"] for request in requests], "no key without its rights"
    assert set(world.reconcile(cr).changed) == {"user_policy", "access_key", "secret"}


def test_optional_setting_that_may_not_be_read_keeps_nothing_else_back(
    world: World, new_object: NewObject, check: DriftCheck
) -> None:
    cr = new_object(corsRules=[{"allowedMethods": ["GET"], "allowedOrigins": ["*"]}], enableVersioning=True)
    bucket, spec = cr["spec"]["bucketName"], cr["spec"]
    world.aws.gate.add_fault("GetBucketCors", "AccessDenied", status=403, bucket=bucket)
    try:
        created = world.reconcile(cr)
        found = check.compare(S3Object(cr))
        # Taken out of the spec, it is still to be cleared.
        applied = world.reconcile({**cr, "spec": {**spec, "corsRules": None, "enableVersioning": False}})
    finally:
        world.aws.gate.clear_faults()
    for outcome in (created.outcome, applied.outcome):
        assert (outcome["done"], outcome["reason"]) == (False, "AccessDenied"), created.output
        assert f"failed to read corsRules of bucket {bucket} (s3:GetBucketCORS)" in outcome["message"]
    assert {"bucket", "access_key", "secret"} <= set(created.changed)
    world.tenant(cr).list_objects_v2(Bucket=bucket)
    assert (found.reason.value, found.drift) == ("AccessDenied", ()), "what is unknown is no drift"
    assert applied.changed == ["versioning"]
    tags = {tag["Key"]: tag["Value"] for tag in world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    assert tags["agill.apps/settings"] == "cors"
    # Readable again, it is maintained again.
    assert world.reconcile(cr).changed == ["versioning", "cors"]
    healed = world.reconcile({**cr, "spec": {**spec, "corsRules": None}})
    assert (healed.outcome["done"], healed.changed) == (True, ["cors", "tags"]), healed.output


def test_failure_that_further_requests_would_repeat_stops_the_run(world: World, new_object: NewObject) -> None:
    cr = new_object(enableVersioning=True)
    bucket = cr["spec"]["bucketName"]
    world.aws.gate.add_fault("PutBucketVersioning", "InvalidAccessKeyId", status=403, bucket=bucket)
    try:
        with requests_of(world) as requests:
            run = world.reconcile(cr)
    finally:
        world.aws.gate.clear_faults()
    assert run.outcome["reason"] == "CredentialsInvalid", run.output
    assert "CreateAccessKey" not in [request["action"] for request in requests]
    assert world.service(cr) is None
    assert world.reconcile(cr).outcome["done"]


def test_unmanaged_keys_in_both_slots_leave_everything_else_maintained(
    world: World, new_object: NewObject, check: DriftCheck
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    user, bucket = cr["spec"]["iamUser"]["username"], cr["spec"]["bucketName"]
    world.iam.delete_access_key(UserName=user, AccessKeyId=world.credentials(cr)[0])
    unmanaged = sorted(world.iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"] for _ in range(2))
    found = check.compare(S3Object(cr))
    assert (found.reason.value, found.drift) == ("TooManyKeys", ()), "nothing that a run could repair"
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert (check.compare(S3Object(cr)).reason.value, check.compare(S3Object(cr)).drift) == (
        "TooManyKeys",
        ("versioning",),
    )
    run = world.reconcile(cr)
    assert (run.outcome["reason"], run.changed) == ("TooManyKeys", ["versioning"]), run.output
    assert run.outcome["message"] == found.message
    listed = world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    assert sorted(key["AccessKeyId"] for key in listed) == unmanaged


def test_failure_of_one_object_is_not_that_of_the_next_one_in_a_sync(
    world: World, new_object: NewObject, namespace: str
) -> None:
    """Ansible's facts outlive the role. A failure of one object must not be attributed to the next one."""
    objects = sorted((new_object() for _ in range(2)), key=lambda cr: str(cr["metadata"]["name"]))
    world.aws.gate.add_fault(
        "PutUserPolicy", "AccessDenied", status=403, user=objects[0]["spec"]["iamUser"]["username"]
    )
    try:
        run = world.playbook("sync.yml", "-e", f"namespace={namespace}")
    finally:
        world.aws.gate.clear_faults()
    assert objects[0]["metadata"]["name"] in run.output
    assert world.differs(objects[1]) == [], run.output
    world.tenant(objects[1]).list_objects_v2(Bucket=objects[1]["spec"]["bucketName"])
    assert "user_policy" in world.differs(objects[0])
