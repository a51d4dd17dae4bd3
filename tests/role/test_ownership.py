"""Ownership: a resource that the object does not own is never changed or deleted, and the object reports it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from s3bucket.observe import observe_deletion
from tests.support.objects import owner_tags, refusal
from tests.support.world import CLUSTER, NewObject, World, deleting, make_as_go_operator, requests_of


def test_existing_untagged_bucket_and_user_are_left_untouched_by_a_run(world: World, new_object: NewObject) -> None:
    cr = new_object()
    bucket, user = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    world.s3.create_bucket(Bucket=bucket)
    world.s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    world.iam.create_user(UserName=user)
    with requests_of(world) as requests:
        created = world.reconcile(cr)
        deleted = world.reconcile(deleting(cr))
    assert (created.outcome["reason"], created.outcome["retry"]) == ("Conflict", "permanent")
    assert f"agill.apps/adopt={CLUSTER}/" in created.outcome["message"]
    # An object that owns nothing can be deleted at once.
    assert (deleted.outcome["done"], deleted.changed) == (True, [])
    assert "left alone" in deleted.outcome["message"]
    assert [request["action"] for request in requests if request["write"]] == []
    assert world.secret(cr) is None
    assert world.service(cr) is None


def test_bucket_of_another_object_is_a_conflict_that_names_it(world: World, new_object: NewObject) -> None:
    cr = new_object()
    world.s3.create_bucket(
        Bucket=cr["spec"]["bucketName"], CreateBucketConfiguration={"Tags": owner_tags("team-a", "first")}
    )
    refused = refusal(world, cr)
    assert refused.reason == "Conflict"
    assert f"{CLUSTER}/team-a/first" in refused.message


def test_user_of_another_object_is_a_conflict_that_names_it(world: World, new_object: NewObject) -> None:
    cr = new_object()
    world.iam.create_user(UserName=cr["spec"]["iamUser"]["username"], Tags=owner_tags("team-a", "first"))
    refused = refusal(world, cr)
    assert refused.reason == "Conflict"
    assert f"{CLUSTER}/team-a/first" in refused.message


def test_bucket_of_the_same_object_in_another_cluster_is_a_conflict(world: World, new_object: NewObject) -> None:
    cr = new_object()
    metadata = cr["metadata"]
    tags = owner_tags(metadata["namespace"], metadata["name"], "another-cluster")
    world.s3.create_bucket(Bucket=cr["spec"]["bucketName"], CreateBucketConfiguration={"Tags": tags})
    assert refusal(world, cr).reason == "Conflict"


def test_user_is_never_adopted_by_tag(world: World, new_object: NewObject) -> None:
    cr = new_object(adoptionPolicy="IfExists")
    identity = f"{CLUSTER}/{cr['metadata']['namespace']}/{cr['metadata']['name']}"
    user = cr["spec"]["iamUser"]["username"]
    world.iam.create_user(UserName=user, Tags=[{"Key": "agill.apps/adopt", "Value": identity}])
    assert refusal(world, cr).reason == "Conflict"


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open"])
def test_bucket_of_another_account_is_name_taken_and_deletion_goes_through(
    world: World, new_object: NewObject, is_open: bool
) -> None:
    cr = new_object()
    # The bucket has a copy of the operator's tags. ExpectedBucketOwner must prevent the operator from trusting them.
    metadata = cr["metadata"]
    tags = {tag["Key"]: tag["Value"] for tag in owner_tags(metadata["namespace"], metadata["name"])}
    world.aws.gate.make_bucket_elsewhere(cr["spec"]["bucketName"], tags, is_open=is_open)
    refused = refusal(world, cr)
    assert (refused.reason, refused.retry) == ("BucketNameTaken", "permanent")
    gone = observe_deletion(world.wanted(deleting(cr)), world.sources())
    assert gone.differs == []


def test_denied_read_of_the_own_bucket_is_unknown_not_absent(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    bucket = cr["spec"]["bucketName"]
    world.s3.create_bucket(Bucket=bucket)
    for action in ("HeadBucket", "GetBucketTagging"):
        world.aws.gate.add_fault(action, "AccessDenied", status=403, bucket=bucket)
    try:
        refused = refusal(world, cr)
        assert (refused.reason, refused.retry) == ("AccessDenied", "transient")
        gone = observe_deletion(world.wanted(deleting(cr)), world.sources())
        assert (gone.differs, [problem.reason for problem in gone.deferred]) == ([], ["AccessDenied"])
    finally:
        world.aws.gate.clear_faults()


@pytest.mark.parametrize("kind", ["Secret", "Service"])
def test_unowned_secret_or_service_of_that_name_is_a_conflict(world: World, new_object: NewObject, kind: str) -> None:
    cr = new_object()
    namespace, name = cr["metadata"]["namespace"], cr["metadata"]["name"]
    if kind == "Secret":
        world.core.create_namespaced_secret(
            namespace, {"metadata": {"name": f"{name}-iam-secret"}, "stringData": {"a": "b"}}
        )
    else:
        spec = {"type": "ExternalName", "externalName": "other.example"}
        world.core.create_namespaced_service(namespace, {"metadata": {"name": name}, "spec": spec})
    refused = refusal(world, cr)
    assert refused.reason == "Conflict"
    assert refused.message.startswith(kind)


def test_bucket_that_appears_between_check_and_create_is_left_alone(world: World, new_object: NewObject) -> None:
    # In us-east-1, CreateBucket then returns 200 as if the bucket were new. The first comparison is made to find
    # nothing.
    cr = new_object(iamUser=None)
    bucket = cr["spec"]["bucketName"]
    world.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"Tags": owner_tags("team-a", "first")})
    world.aws.gate.add_fault("HeadBucket", "404", status=404, times=1, bucket=bucket)
    with requests_of(world) as requests:
        run = world.reconcile(cr)
    assert run.outcome["reason"] == "Conflict"
    assert [request["action"] for request in requests if request["write"]] == ["CreateBucket"]
    tags = {tag["Key"]: tag["Value"] for tag in world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    assert tags["agill.apps/name"] == "first"


def test_user_that_appears_between_check_and_create_is_left_alone(world: World, new_object: NewObject) -> None:
    cr = new_object()
    user = cr["spec"]["iamUser"]["username"]
    world.iam.create_user(UserName=user, Tags=owner_tags("team-a", "first"))
    world.aws.gate.add_fault("GetUser", "NoSuchEntity", status=404, times=1, user=user)
    run = world.reconcile(cr)
    assert run.outcome["reason"] == "Conflict"
    assert world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"] == []


def test_adoption_needs_both_sides_and_leaves_what_is_not_given(world: World, new_object: NewObject) -> None:
    cr = new_object(adoptionPolicy="IfExists", enableVersioning=True)
    bucket = cr["spec"]["bucketName"]
    identity = f"{CLUSTER}/{cr['metadata']['namespace']}/{cr['metadata']['name']}"
    world.s3.create_bucket(Bucket=bucket)
    world.s3.delete_public_access_block(Bucket=bucket)
    world.s3.put_object(Bucket=bucket, Key="other", Body=b"x")
    assert refusal(world, cr).reason == "Conflict"

    consent = {"Key": "agill.apps/adopt", "Value": identity}
    world.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [consent]})
    run = world.reconcile(cr)
    assert run.changed == ["versioning", "tags", "user", "user_policy", "access_key", "secret", "service"], run.output
    assert run.outcome["status"]["effective"]["deletionPolicy"] == "Retain"
    snapshot = world.snapshot(cr)["bucket"]
    assert snapshot["tags"]["agill.apps/adopted"] == "true"
    assert not any(snapshot["settings"]["public_access_block"].values())
    assert world.differs(cr) == []

    gone = world.reconcile(deleting(cr))
    assert gone.outcome["done"]
    tags = {tag["Key"]: tag["Value"] for tag in world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}
    assert tags == {"agill.apps/adopt": identity, "agill.apps/retained-from": identity}
    assert world.s3.get_object(Bucket=bucket, Key="other")["Body"].read() == b"x"


def test_adoption_required_never_creates(world: World, new_object: NewObject) -> None:
    refused = refusal(world, new_object(adoptionPolicy="Required"))
    assert refused.reason == "BucketNotFound"


def test_recreated_object_takes_its_bucket_again_and_refreshes_the_uid(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    metadata = cr["metadata"]
    tags = owner_tags(metadata["namespace"], metadata["name"])
    world.s3.create_bucket(Bucket=cr["spec"]["bucketName"], CreateBucketConfiguration={"Tags": tags})
    assert "tags" in world.differs(cr)
    # But a deletion must not empty the bucket of an earlier object with the same name.
    assert observe_deletion(world.wanted(deleting(cr)), world.sources()).differs == []


def test_go_operators_object_is_adopted_on_proof_with_its_key_kept(world: World, new_object: NewObject) -> None:
    cr = new_object()
    key_id = make_as_go_operator(world, cr)
    run = world.reconcile(cr)
    assert run.changed == ["tags", "user", "secret", "service"], run.output
    assert world.credentials(cr)[0] == key_id
    assert [key["AccessKeyId"] for key in key_list(world, cr)] == [key_id]
    assert run.outcome["status"]["accessKeyID"] == key_id
    assert world.differs(cr) == []
    bucket = cr["spec"]["bucketName"]
    assert world.tenant(cr).get_object(Bucket=bucket, Key="precious")["Body"].read() == b"data"


def key_list(world: World, cr: dict[str, Any]) -> list[dict[str, Any]]:
    return list(world.iam.list_access_keys(UserName=cr["spec"]["iamUser"]["username"])["AccessKeyMetadata"])


def test_go_operators_object_being_deleted_is_emptied_and_removed(world: World, new_object: NewObject) -> None:
    cr = new_object()
    make_as_go_operator(world, cr)
    run = world.reconcile(deleting(cr))
    assert run.outcome["done"], run.output
    assert world.snapshot(cr)["bucket"] is None
    assert world.snapshot(cr)["user"] is None


def edit_secret_value(world: World, cr: dict[str, Any]) -> None:
    name = f"{cr['metadata']['name']}-iam-secret"
    patch = {"stringData": {"AWS_SECRET_ACCESS_KEY": "x" * 40}}
    world.core.patch_namespaced_secret(name, cr["metadata"]["namespace"], patch)


def widen(world: World, cr: dict[str, Any]) -> None:
    user, bucket = cr["spec"]["iamUser"]["username"], cr["spec"]["bucketName"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["*"]}]}
    world.iam.put_user_policy(
        UserName=user, PolicyName=f"{user}-{bucket}-s3-restricted", PolicyDocument=json.dumps(document)
    )


def take_bucket(world: World, cr: dict[str, Any]) -> None:
    tagging = {"TagSet": owner_tags("team-a", "first")}
    world.s3.put_bucket_tagging(Bucket=cr["spec"]["bucketName"], Tagging=tagging)


def put_another_users_pair(world: World, cr: dict[str, Any]) -> None:
    """Write the key pair of another user with all permissions. It works, but it does not belong to this user."""
    name = f"{cr['metadata']['name']}-iam-secret"
    admin = world.iam.create_user(UserName=f"other-{cr['metadata']['name']}")["User"]["UserName"]
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    world.iam.put_user_policy(UserName=admin, PolicyName="all", PolicyDocument=json.dumps(everything))
    key = world.iam.create_access_key(UserName=admin)["AccessKey"]
    pair = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    world.core.patch_namespaced_secret(name, cr["metadata"]["namespace"], {"stringData": pair})


@pytest.mark.parametrize("spoil", [edit_secret_value, widen, take_bucket, put_another_users_pair])
def test_go_operators_object_without_proof_is_a_conflict(
    world: World, new_object: NewObject, spoil: Callable[[World, dict[str, Any]], None]
) -> None:
    cr = new_object()
    make_as_go_operator(world, cr)
    spoil(world, cr)
    assert refusal(world, cr).reason == "Conflict"
    gone = observe_deletion(world.wanted(deleting(cr)), world.sources())
    assert (gone.deletes_bucket, gone.deletes_user) == (False, False)


def test_stripped_owner_tags_are_a_condition_with_the_remedy(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    assert world.reconcile(cr).outcome["done"]
    world.s3.delete_bucket_tagging(Bucket=cr["spec"]["bucketName"])
    refused = refusal(world, cr)
    assert refused.reason == "Conflict"
    assert "agill.apps/adopt=" in refused.message
