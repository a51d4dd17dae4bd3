"""Deletion: it removes everything that the object owns and nothing else, and it continues after an interruption."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.apigate import ApiGate
from s3bucket.cluster import ApiServer
from s3bucket.errors import ReconcileError
from tests.support.objects import fill
from tests.support.world import NewObject, World, deleting, requests_of


def is_all_gone(world: World, cr: dict[str, Any]) -> bool:
    return not any(world.snapshot(cr).values())


def test_deletion_empties_and_removes_everything_and_tolerates_a_second_run(
    world: World, new_object: NewObject
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    fill(world, cr["spec"]["bucketName"])
    with requests_of(world) as requests:
        run = world.reconcile(deleting(cr))
    # AWS bills the parts of an upload that is never completed or aborted.
    assert "AbortMultipartUpload" in [request["action"] for request in requests]
    assert (run.outcome["done"], run.changed) == (True, ["bucket", "user", "secret", "service"]), run.output
    assert is_all_gone(world, cr)
    with requests_of(world) as requests:
        again = world.reconcile(deleting(cr))
    assert (again.outcome["done"], again.changed) == (True, [])
    assert [request["action"] for request in requests if request["write"]] == []


def test_deletion_of_a_simple_object_makes_few_requests(world: World, new_object: NewObject, tmp_path: Path) -> None:
    """What the first step has read is not read again, and what AWS refuses by itself is not asked before."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    with requests_of(world) as requests, ApiGate(world.kubeconfig, tmp_path) as gate:
        run = world.reconcile(deleting(cr), KUBECONFIG=str(gate.kubeconfig))
        of_kubernetes = Counter(item.action for item in gate.requests())
    assert (run.outcome["done"], run.changed) == (True, ["bucket", "user", "secret", "service"]), run.output
    assert is_all_gone(world, cr)
    assert len(requests) <= 8, Counter(item["action"] for item in requests)
    assert of_kubernetes.total() <= 4, of_kubernetes


def test_deletion_deletes_no_secret_of_another_uid(world: World, new_object: NewObject) -> None:
    """Somebody else may have created another Secret of the name since it was read."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    metadata, cluster = (world.secret(cr) or {})["metadata"], ApiServer(world.core.api_client)
    of = ("Secret", metadata["namespace"], metadata["name"])
    with pytest.raises(ReconcileError, match=r"Conflict \(409\)") as refused:
        cluster.delete(*of, "00000000-0000-0000-0000-000000000001")
    assert (refused.value.reason, world.secret(cr) is None) == ("KubernetesError", False)
    assert cluster.delete(*of, metadata["uid"])
    assert not cluster.delete(*of, metadata["uid"])
    assert world.reconcile(deleting(cr)).outcome["done"]


def test_deletion_of_a_user_with_what_others_added_since_it_was_read_is_done(
    world: World, new_object: NewObject
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    user = cr["spec"]["iamUser"]["username"]
    world.iam.create_access_key(UserName=user)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    world.iam.put_user_policy(UserName=user, PolicyName="of-others", PolicyDocument=json.dumps(policy))
    run = world.reconcile(deleting(cr))
    assert run.outcome["done"], run.output
    assert is_all_gone(world, cr)


@pytest.mark.parametrize(
    ("action", "removed"),
    [("DeleteUser", []), ("DeleteBucket", ["user"])],
)
def test_failed_deletion_reports_what_it_has_removed(
    world: World, new_object: NewObject, action: str, removed: list[str]
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    world.aws.gate.add_fault(action, "AccessDenied", status=403)
    try:
        run = world.reconcile(deleting(cr))
    finally:
        world.aws.gate.clear_faults()
    assert (run.outcome["reason"], run.changed) == ("AccessDenied", removed), run.output
    assert world.reconcile(deleting(cr)).outcome["done"]


def test_deletion_when_everything_was_removed_by_hand_is_done(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    namespace, name = cr["metadata"]["namespace"], cr["metadata"]["name"]
    world.s3.delete_bucket(Bucket=cr["spec"]["bucketName"])
    world.core.delete_namespaced_service(name, namespace)
    world.core.delete_namespaced_secret(f"{name}-iam-secret", namespace)
    run = world.reconcile(deleting(cr))
    assert (run.outcome["done"], run.changed) == (True, ["user"]), run.output
    assert is_all_gone(world, cr)


def test_deletion_that_runs_out_of_time_goes_on_in_the_next_run(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    bucket = cr["spec"]["bucketName"]
    fill(world, bucket)
    # The time limit is 0, and it is checked after the first page.
    first = world.reconcile(deleting(cr), settings={"empty_time_s": 0})
    assert (first.outcome["done"], first.outcome["reason"], first.outcome["retry"]) == (False, "Emptying", "immediate")
    assert world.snapshot(cr)["bucket"] is not None
    assert world.reconcile(deleting(cr)).outcome["done"]
    assert is_all_gone(world, cr)


def test_deletion_that_emptied_and_finds_new_objects_is_continued_at_once(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    assert world.reconcile(cr).outcome["done"]
    world.s3.put_object(Bucket=cr["spec"]["bucketName"], Key="a", Body=b"x")
    world.aws.gate.add_fault("DeleteBucket", "BucketNotEmpty", status=409, times=2)
    first = world.reconcile(deleting(cr))
    assert (first.outcome["reason"], first.outcome["retry"]) == ("Emptying", "immediate"), first.output
    assert world.reconcile(deleting(cr)).outcome["done"]


def test_deletion_with_a_writer_that_cannot_be_kept_out_reports_which_right_is_missing(
    world: World, new_object: NewObject
) -> None:
    cr = new_object(iamUser=None)
    assert world.reconcile(cr).outcome["done"]
    bucket = cr["spec"]["bucketName"]
    world.s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"]}
    statement = {**deny, "Resource": f"arn:aws:s3:::{bucket}"}
    world.s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    world.aws.gate.add_fault("DeleteBucket", "BucketNotEmpty", status=409, times=2)
    outcome = world.reconcile(deleting(cr)).outcome
    # The retry is not immediate, because the next run would get no further.
    assert (outcome["reason"], outcome["retry"]) == ("AccessDenied", "transient"), outcome
    assert "s3:PutBucketPolicy" in outcome["message"]
    assert world.reconcile(deleting(cr)).outcome["done"]


@pytest.mark.parametrize("keeping", [{"deletionPolicy": "Retain"}, {"forceDelete": False}], ids=["retain", "no-force"])
def test_deletion_that_was_begun_and_is_not_wanted_any_more_opens_the_bucket_again(
    world: World, new_object: NewObject, keeping: dict[str, Any]
) -> None:
    cr = new_object(iamUser=None)
    assert world.reconcile(cr).outcome["done"]
    bucket = cr["spec"]["bucketName"]
    world.aws.gate.fill_bucket(bucket, versions=1001)
    assert world.reconcile(deleting(cr), settings={"empty_time_s": 0}).outcome["reason"] == "Emptying"
    with pytest.raises(ClientError, match="AccessDenied"):
        world.s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    kept = deleting({**cr, "spec": {**cr["spec"], **keeping}})
    outcome = world.reconcile(kept).outcome
    assert outcome["reason"] == ("Ready" if "deletionPolicy" in keeping else "BucketNotEmpty"), outcome
    assert len(world.s3.list_object_versions(Bucket=bucket)["Versions"]) == 1
    world.s3.put_object(Bucket=bucket, Key="a", Body=b"x")


def test_deletion_with_retain_keeps_bucket_contents_and_settings(world: World, new_object: NewObject) -> None:
    cr = new_object(deletionPolicy="Retain", enableVersioning=True, tags={"team": "photos"})
    bucket = cr["spec"]["bucketName"]
    allow = {"Effect": "Allow", "Principal": {"AWS": "999999999999"}, "Action": "s3:PutObject"}
    statement = {**allow, "Resource": f"arn:aws:s3:::{bucket}/*"}
    cr["spec"]["bucketPolicy"] = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert world.reconcile(cr).outcome["done"]
    world.s3.put_object(Bucket=bucket, Key="precious", Body=b"data")
    settings = world.snapshot(cr)["bucket"]["settings"]
    run = world.reconcile(deleting(cr))
    assert run.outcome["done"], run.output
    left = world.snapshot(cr)
    assert (left["user"], left["secret"], left["service"]) == (None, None, None)
    assert left["bucket"]["settings"] == settings
    assert left["bucket"]["tags"] == {
        "team": "photos",
        "agill.apps/retained-from": f"test-cluster/{cr['metadata']['namespace']}/{cr['metadata']['name']}",
    }
    assert world.s3.get_object(Bucket=bucket, Key="precious")["Body"].read() == b"data"


def test_deletion_without_force_waits_for_an_empty_bucket(world: World, new_object: NewObject) -> None:
    cr = new_object(forceDelete=False)
    assert world.reconcile(cr).outcome["done"]
    bucket = cr["spec"]["bucketName"]
    world.s3.put_object(Bucket=bucket, Key="precious", Body=b"data")
    with requests_of(world) as requests:
        run = world.reconcile(deleting(cr))
    assert (run.outcome["done"], run.outcome["reason"], run.outcome["retry"]) == (False, "BucketNotEmpty", "slow")
    assert {item["action"] for item in requests if item["write"] and item["bucket"] == bucket} == {"DeleteBucket"}
    world.s3.delete_object(Bucket=bucket, Key="precious")
    assert world.reconcile(deleting(cr)).outcome["done"]
    assert is_all_gone(world, cr)


def test_deletion_of_locked_versions_reports_the_date_and_bypasses_nothing(world: World, new_object: NewObject) -> None:
    cr = new_object(enableObjectLock=True, iamUser=None)
    assert world.reconcile(cr).outcome["done"]
    bucket, until = cr["spec"]["bucketName"], datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    locked = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    version = world.s3.put_object(Bucket=bucket, Key="locked", Body=b"x", **locked)["VersionId"]
    world.s3.put_object(Bucket=bucket, Key="free", Body=b"x")
    run = world.reconcile(deleting(cr))
    assert (run.outcome["reason"], run.outcome["retry"]) == ("ObjectLocked", "slow"), run.output
    assert until.strftime("%Y-%m-%dT%H:%M:%SZ") in run.outcome["message"]
    left = world.s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(item["Key"], item["VersionId"]) for item in left] == [("locked", version)]


def test_object_lock_of_a_bucket_that_exists_protects_new_versions(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    assert world.reconcile(cr).outcome["done"]
    bucket = cr["spec"]["bucketName"]
    world.s3.put_object(Bucket=bucket, Key="before", Body=b"x")
    cr["spec"] |= {"enableObjectLock": True, "objectLockRetention": {"mode": "GOVERNANCE", "days": 1}}
    # S3 may not know for some seconds that versioning is enabled.
    world.aws.gate.add_fault("PutObjectLockConfiguration", "InvalidBucketState", status=409, times=1, bucket=bucket)
    run = world.reconcile(cr)
    assert (run.outcome["done"], run.changed) == (True, ["versioning", "object_lock", "object_lock_retention", "tags"])
    assert world.differs(cr) == []
    version = world.s3.put_object(Bucket=bucket, Key="after", Body=b"x")["VersionId"]
    # A bucket keeps object lock, and with it versioning. Only the retention of new versions can be taken back.
    without = [name for name in cr["spec"] if name not in ("enableObjectLock", "objectLockRetention")]
    plain = {**cr, "spec": {name: cr["spec"][name] for name in without}}
    assert world.differs(plain) == ["object_lock_retention", "tags"]
    assert world.reconcile(deleting(plain)).outcome["reason"] == "ObjectLocked"
    left = world.s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(item["Key"], item["VersionId"]) for item in left] == [("after", version)]


@pytest.mark.parametrize("action", ["DeleteUser", "DeleteBucket", "DeleteObjects"])
def test_deletion_that_aws_denies_is_reported_and_done_once_allowed(
    world: World, new_object: NewObject, action: str
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    world.s3.put_object(Bucket=cr["spec"]["bucketName"], Key="a", Body=b"x")
    world.aws.gate.add_fault(action, "AccessDenied", status=403)
    try:
        run = world.reconcile(deleting(cr))
    finally:
        world.aws.gate.clear_faults()
    assert (run.outcome["done"], run.outcome["reason"]) == (False, "AccessDenied"), run.output
    assert world.reconcile(deleting(cr)).outcome["done"]
    assert is_all_gone(world, cr)


def test_deletion_of_a_bucket_with_access_points_names_them_and_waits(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    assert world.reconcile(cr).outcome["done"]
    with world.aws.gate.marked("access-points", cr["spec"]["bucketName"]):
        outcome = world.reconcile(deleting(cr)).outcome
    assert (outcome["done"], outcome["reason"], outcome["retry"]) == (False, "AccessPointsAttached", "slow"), outcome
    assert outcome["message"].startswith("the bucket has access points: delete them first")
    assert world.reconcile(deleting(cr)).outcome["done"]


def test_bad_spec_can_be_deleted(world: World, new_object: NewObject) -> None:
    cr = new_object()
    cr["spec"] |= {"bucketPolicy": "{", "bucketName": "No_Name", "tags": {"aws:x": "1"}}
    run = world.reconcile(deleting(cr))
    assert (run.outcome["done"], run.changed) == (True, [])
