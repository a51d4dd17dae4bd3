"""There is one active access key, the one in the Secret, whatever fails in between and however much IAM reads lag."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from s3bucket.errors import ReconcileError
from s3bucket.keys import Pair, fingerprint_of
from s3bucket.observe import observe, observe_deletion
from tests.support.world import NewObject, World, code_of, deleting


def keys_of(world: World, cr: dict[str, Any]) -> list[tuple[str, str]]:
    listed = world.iam.list_access_keys(UserName=cr["spec"]["iamUser"]["username"])["AccessKeyMetadata"]
    return [(key["AccessKeyId"], key["Status"]) for key in listed]


# The calls of a key rotation, in order. The first TagUser writes the record of the key. The second one, like UntagUser,
# ends the rotation.
@pytest.mark.parametrize("action", ["PutUserPolicy", "CreateAccessKey", "TagUser", "UntagUser"])
def test_failed_step_of_an_issue_heals_at_the_next_run(world: World, new_object: NewObject, action: str) -> None:
    cr = new_object()
    world.aws.gate.add_fault(action, "AccessDenied", status=403, user=cr["spec"]["iamUser"]["username"])
    try:
        failed = world.reconcile(cr)
    finally:
        world.aws.gate.clear_faults()
    assert (failed.outcome["done"], failed.outcome["reason"]) == (False, "AccessDenied"), failed.output
    assert f"iam:{action}" in failed.outcome["message"], "the message names the right that is missing"
    healed = world.reconcile(cr)
    assert healed.outcome["done"], healed.output
    assert keys_of(world, cr) == [(world.credentials(cr)[0], "Active")]
    assert world.differs(cr) == []
    world.tenant(cr).list_objects_v2(Bucket=cr["spec"]["bucketName"])


def test_key_that_s3_does_not_know_is_not_written_and_not_kept(world: World, new_object: NewObject) -> None:
    cr = new_object()
    with world.aws.gate.marked("late-key", cr["spec"]["iamUser"]["username"]):
        failed = world.reconcile(cr, "-vvv")
    assert (failed.outcome["done"], failed.outcome["reason"]) == (False, "WaitingForIAM"), failed.output
    assert failed.outcome["message"] == "the new access key does not work yet"
    assert world.secret(cr) is None
    issued = [secret for user, secret in world.aws.gate.issued() if user == cr["spec"]["iamUser"]["username"]]
    assert len(issued) == 1
    assert issued[0] not in failed.output
    healed = world.reconcile(cr)
    assert healed.outcome["done"], healed.output
    assert keys_of(world, cr) == [(world.credentials(cr)[0], "Active")]


def test_key_that_a_bucket_policy_denies_is_valid_and_written(world: World, new_object: NewObject) -> None:
    cr = new_object()
    bucket, user = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    principal = {"AWS": f"arn:aws:iam::{world.account}:user/{user}"}
    arn = f"arn:aws:s3:::{bucket}"
    deny = {"Effect": "Deny", "Principal": principal, "Action": "s3:ListBucket", "Resource": arn}
    cr["spec"]["bucketPolicy"] = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    run = world.reconcile(cr)
    assert run.outcome["done"], run.output
    assert code_of(lambda: world.tenant(cr).list_objects_v2(Bucket=bucket)) == "AccessDenied"


def test_unmanaged_key_is_kept_and_reported(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    user = cr["spec"]["iamUser"]["username"]
    unmanaged = world.iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"]
    run = world.reconcile(cr)
    assert run.changed == []
    assert unmanaged in run.outcome["message"]
    # The unmanaged key is kept even when the operator's own key has to be replaced and both key slots are in use.
    world.core.delete_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"])
    run = world.reconcile(cr)
    assert run.outcome["done"], run.output
    assert sorted(keys_of(world, cr)) == sorted([(unmanaged, "Active"), (world.credentials(cr)[0], "Active")])


def test_two_unmanaged_keys_are_a_condition_that_names_them(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    user = cr["spec"]["iamUser"]["username"]
    world.iam.delete_access_key(UserName=user, AccessKeyId=world.credentials(cr)[0])
    unmanaged = [world.iam.create_access_key(UserName=user)["AccessKey"]["AccessKeyId"] for _ in range(2)]
    run = world.reconcile(cr)
    assert run.outcome["reason"] == "TooManyKeys"
    assert all(key in run.outcome["message"] for key in unmanaged)
    assert len(keys_of(world, cr)) == 2


def test_user_that_iam_does_not_show_yet_is_waited_for(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    world.aws.gate.add_fault("GetUser", "NoSuchEntity", status=404, user=cr["spec"]["iamUser"]["username"])
    try:
        # The key was issued seconds ago, so IAM reads may lag: no new user is created, and a deletion does not finish
        # without the user.
        with pytest.raises(ReconcileError) as refused:
            observe(world.wanted(cr), world.sources(iam_propagation_s=600))
        with pytest.raises(ReconcileError) as refused_deletion:
            observe_deletion(world.wanted(deleting(cr)), world.sources(iam_propagation_s=600))
        # After that time, the user counts as deleted.
        assert world.differs(cr) == ["user"]
    finally:
        world.aws.gate.clear_faults()
    assert [found.value.reason for found in (refused, refused_deletion)] == ["WaitingForIAM"] * 2
    assert refused.value.retry == "transient"


def test_key_that_iam_does_not_show_yet_is_waited_for(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    key_id = world.credentials(cr)[0]
    # A lagging IAM read gives this answer: it shows the user, but not the access key and the record of the key.
    world.iam.untag_user(UserName=cr["spec"]["iamUser"]["username"], TagKeys=["agill.apps/key"])
    world.iam.delete_access_key(UserName=cr["spec"]["iamUser"]["username"], AccessKeyId=key_id)
    with pytest.raises(ReconcileError) as refused:
        observe(world.wanted(cr), world.sources(iam_propagation_s=600))
    assert refused.value.reason == "WaitingForIAM"
    assert "access_key" in world.differs(cr)


@pytest.mark.parametrize("issued", ["3026-01-01T00:00:00Z", "9999-12-31T23:59:59+23:59", "never"])
def test_forged_time_of_issue_holds_up_neither_repair_nor_deletion(
    world: World, new_object: NewObject, issued: str
) -> None:
    """A user who may edit the Secret may write any key pair into it, with a matching record and time."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    forged = Pair("AKIAFORGED", fingerprint_of("x"))
    body = {
        "metadata": {"annotations": {"agill.apps/key": str(forged), "agill.apps/key-issued": issued}},
        "stringData": {"AWS_ACCESS_KEY_ID": forged.id, "AWS_SECRET_ACCESS_KEY": "x"},
    }
    world.core.patch_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"], body)
    assert observe(world.wanted(cr), world.sources(iam_propagation_s=60)).differs == ["secret"]
    assert observe_deletion(world.wanted(deleting(cr)), world.sources(iam_propagation_s=60)).deletes_user


def test_time_of_issue_that_is_forged_again_and_again_does_not_hold_up_deletion(
    world: World, new_object: NewObject
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    forged, issued = Pair("AKIAFORGED", fingerprint_of("x")), datetime.now(UTC).isoformat()
    body = {
        "metadata": {"annotations": {"agill.apps/key": str(forged), "agill.apps/key-issued": issued}},
        "stringData": {"AWS_ACCESS_KEY_ID": forged.id, "AWS_SECRET_ACCESS_KEY": "x"},
    }
    world.core.patch_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"], body)
    assert observe_deletion(world.wanted(deleting(cr)), world.sources(iam_propagation_s=600)).deletes_user


def test_creation_while_iam_lags_ends_with_one_live_key(world: World, new_object: NewObject) -> None:
    cr = new_object()
    world.aws.gate.set_iam_lag(120)
    try:
        first = world.reconcile(cr, IAM_SETTLE="60")
    finally:
        world.aws.gate.set_iam_lag(0)
    assert first.outcome["done"] or first.outcome["retry"] == "transient", first.output
    assert world.reconcile(cr).outcome["done"]
    assert keys_of(world, cr) == [(world.credentials(cr)[0], "Active")]


def test_no_secret_is_in_the_output_however_verbose(world: World, new_object: NewObject) -> None:
    cr = new_object()
    run = world.reconcile(cr, "-vvv")
    assert run.outcome["done"], run.output
    secret = world.credentials(cr)[1]
    assert secret not in run.output
    assert base64.b64encode(secret.encode()).decode() not in run.output
    # Also when the key is deleted and the Secret is edited.
    world.core.patch_namespaced_secret(
        f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"], {"stringData": {"AWS_ACCESS_KEY_ID": "x"}}
    )
    again = world.reconcile(cr, "-vvv")
    assert set(again.changed) == {"access_key", "secret"}, again.output
    assert world.credentials(cr)[1] != secret
    assert secret not in again.output
    assert world.credentials(cr)[1] not in again.output
