"""A key is replaced without downtime: each state of a rotation on a real object, and what each run changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket import owner
from s3bucket.observe import Observation, observe, outcome_status
from s3bucket.planned_changes import changes_of
from s3bucket.rotation import KEEP_OLD_KEY, ROTATE_KEY
from tests.support.drift import set_as_operator
from tests.support.world import (
    PROJECT,
    SETTINGS,
    NewObject,
    Run,
    World,
    code_of,
    deleting,
    make_old_key_older,
    requests_of,
)

DAY = timedelta(days=1)
LATER = DAY + timedelta(hours=4)


class Rotated:
    """An object with an access key that was rotated once on request, so that its old key is in the overlap."""

    def __init__(self, world: World, cr: dict[str, Any]) -> None:
        self.world, self.cr = world, cr
        self.user = cr["spec"]["iamUser"]["username"]
        self.reconcile()
        self.first, self.old_client = world.credentials(cr)[0], world.tenant(cr)
        self.annotate(ROTATE_KEY, "1")
        self.run = self.reconcile()

    def reconcile(self) -> Run:
        run = self.world.reconcile(self.cr)
        assert run.outcome["done"], run.output
        return run

    def annotate(self, name: str, value: str) -> None:
        self.cr["metadata"].setdefault("annotations", {})[name] = value

    def age(self, by: timedelta) -> None:
        """Make the phase of the old key older."""
        make_old_key_older(self.world, self.user, by / DAY)

    @property
    def tags(self) -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in self.world.iam.list_user_tags(UserName=self.user)["Tags"]}

    @property
    def keys(self) -> dict[str, str]:
        listed = self.world.iam.list_access_keys(UserName=self.user)["AccessKeyMetadata"]
        return {key["AccessKeyId"]: key["Status"] for key in listed}

    @property
    def current(self) -> str:
        return self.world.credentials(self.cr)[0]

    def use_old_key(self) -> str:
        """Use the old key as an application does: the error code, or "allowed"."""
        return code_of(lambda: self.old_client.list_objects_v2(Bucket=self.cr["spec"]["bucketName"]))

    def observe(self) -> Observation:
        return observe(self.world.wanted(self.cr), self.world.sources())

    def shown(self) -> dict[str, str]:
        """The state of each key as the status shows it."""
        status = outcome_status(self.world.wanted(self.cr), self.observe())
        return {key["id"]: key["state"] for key in status["accessKeys"]}

    @contextmanager
    def writes(self) -> Iterator[list[str]]:
        """The writes to IAM while the block runs."""
        found: list[str] = []
        with requests_of(self.world) as requests:
            yield found
        found += [item["action"] for item in requests if not item["action"].startswith(("Get", "List", "Head"))]


@pytest.fixture
def rotated(world: World, new_object: NewObject) -> Rotated:
    return Rotated(world, new_object())


def test_rotation_on_request_keeps_the_old_key_until_it_is_unused(rotated: Rotated) -> None:
    """The whole life of a rotation: Single, Overlap, Draining, Single."""
    world, cr, first, second = rotated.world, rotated.cr, rotated.first, rotated.current
    assert set(rotated.run.changed) == {"access_key", "secret"}
    assert rotated.keys == {first: "Active", second: "Active"}
    assert rotated.use_old_key() == "allowed"
    world.tenant(cr).list_objects_v2(Bucket=cr["spec"]["bucketName"])
    shown = rotated.run.outcome["status"]["accessKeys"]
    assert [(key["id"], key["state"]) for key in shown] == [(second, "Current"), (first, "Overlap")]
    assert owner.UNMANAGED_KEYS not in rotated.tags

    # A second request waits, and the object is in sync meanwhile.
    rotated.annotate(ROTATE_KEY, "2")
    seen = rotated.observe()
    assert (seen.differs, rotated.shown()) == ([], {second: "Current", first: "Overlap"})
    assert any("waits until the old access key" in note for note in seen.notes)

    # The old key was used after the change, so it stays active after the grace period.
    rotated.age(LATER)
    assert rotated.use_old_key() == "allowed"
    assert (rotated.observe().differs, rotated.shown()[first]) == ([], "InUse")
    use = outcome_status(world.wanted(cr), rotated.observe())["accessKeys"][1]
    assert (use["lastUsedService"], use["lastUsedRegion"], use["lastUsed"][:10]) == (
        "s3", "us-east-1", datetime.now(UTC).strftime("%Y-%m-%d"),
    )  # fmt: skip

    rotated.age(7 * DAY)
    with rotated.writes() as writes:
        assert rotated.reconcile().changed == ["access_key"]
    assert writes == ["UpdateAccessKey", "TagUser"]
    assert (rotated.keys[first], rotated.shown()[first]) == ("Inactive", "Draining")
    assert rotated.use_old_key() != "allowed"

    # The annotation brings it back, and without it the rotation goes on.
    rotated.annotate(KEEP_OLD_KEY, "true")
    with rotated.writes() as writes:
        assert rotated.reconcile().changed == ["access_key"]
    assert writes == ["UpdateAccessKey", "TagUser"]
    assert (rotated.keys[first], rotated.use_old_key()) == ("Active", "allowed")
    rotated.age(30 * DAY)
    assert rotated.observe().differs == []
    rotated.annotate(KEEP_OLD_KEY, "")
    rotated.reconcile()
    assert rotated.keys[first] == "Inactive"

    rotated.age(DAY)
    with rotated.writes() as writes:
        assert rotated.reconcile().changed == ["access_key"]
    assert writes == ["DeleteAccessKey", "UntagUser"]
    assert rotated.keys == {second: "Active"}

    # Now the second request is answered.
    rotated.reconcile()
    assert rotated.current != second
    assert rotated.keys == {second: "Active", rotated.current: "Active"}
    assert rotated.observe().differs == []


def test_store_without_last_used_information_lets_time_alone_decide(rotated: Rotated) -> None:
    gate = rotated.world.aws.gate
    assert rotated.use_old_key() == "allowed"
    rotated.age(DAY)
    gate.add_fault("GetAccessKeyLastUsed", "InvalidAction")
    try:
        run = rotated.reconcile()
    finally:
        gate.clear_faults()
    assert (run.changed, rotated.keys[rotated.first]) == (["access_key"], "Inactive")
    assert f"the store does not show when access key {rotated.first} was used last" in run.outcome["message"]


def test_secret_deleted_in_the_overlap_takes_both_keys_away(rotated: Rotated) -> None:
    world, cr, second = rotated.world, rotated.cr, rotated.current
    world.core.delete_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"])
    rotated.reconcile()
    assert rotated.current not in (rotated.first, second)
    assert rotated.keys == {rotated.current: "Active"}
    assert not {owner.OLD_KEY, owner.UNMANAGED_KEYS} & set(rotated.tags)
    assert rotated.use_old_key() != "allowed"


def test_old_copy_of_the_secret_in_the_overlap_is_taken_as_it_is(world: World, new_object: NewObject) -> None:
    """A tool that restores an old copy of the Secret takes no key from the applications that have the new one."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    copy = world.secret(cr)
    rotated = Rotated(world, cr)
    second, new_client = rotated.current, world.tenant(cr)
    assert copy is not None
    body = {"data": copy["data"], "metadata": {"annotations": copy["metadata"]["annotations"]}}
    world.core.patch_namespaced_secret(copy["metadata"]["name"], copy["metadata"]["namespace"], body)
    with rotated.writes() as writes:
        assert rotated.reconcile().changed == ["access_key"]
    assert writes == ["TagUser"]
    assert (rotated.current, rotated.shown()) == (rotated.first, {rotated.first: "Current", second: "Overlap"})
    assert code_of(lambda: new_client.list_objects_v2(Bucket=cr["spec"]["bucketName"])) == "allowed"
    assert rotated.observe().differs == []


def test_deletion_in_the_overlap_leaves_nothing(rotated: Rotated) -> None:
    assert rotated.world.reconcile(deleting(rotated.cr)).outcome["done"]
    assert not any(rotated.world.snapshot(rotated.cr).values())


def test_age_and_an_unmanaged_key(world: World, new_object: NewObject, new_name: Any) -> None:
    """A key of its interval is due; with an unmanaged key in the other slot nothing is done, and the key is named."""
    user = {"username": new_name("user"), "keyRotation": {"interval": "90d"}}
    cr = new_object(iamUser=user)
    status = world.reconcile(cr).outcome["status"]
    assert [(key["id"], key["state"]) for key in status["accessKeys"]] == [(world.credentials(cr)[0], "Current")]
    wanted = world.wanted(cr)
    later = dataclasses.replace(world.sources(), now=datetime.now(UTC) + 91 * DAY)
    seen = observe(wanted, later)
    assert seen.differs == ["access_key"]
    lines = [(change.field, change.would_be) for change in changes_of(wanted, seen, later)]
    assert lines == [("accessKey", "rotated: a new one in the Secret"), ("secret", "holds the new key")]
    assert observe(wanted, world.sources()).differs == []

    unmanaged = world.iam.create_access_key(UserName=user["username"])["AccessKey"]["AccessKeyId"]
    refused = observe(wanted, later)
    assert refused.differs == []
    assert [problem.reason for problem in refused.deferred] == ["TooManyKeys"]
    assert unmanaged in refused.deferred[0].message
    assert outcome_status(wanted, refused)["accessKeyID"] == world.credentials(cr)[0]
    assert [key["state"] for key in outcome_status(wanted, refused)["accessKeys"]] == ["Current", "Unmanaged"]


# The writes of a rotation in order. After a failure of each, the next run completes the rotation.
@pytest.mark.parametrize("action", ["CreateAccessKey", "UntagUser"])
def test_failed_step_of_a_rotation_heals_at_the_next_run(world: World, new_object: NewObject, action: str) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    first, client = world.credentials(cr)[0], world.tenant(cr)
    cr["metadata"]["annotations"] = {ROTATE_KEY: "1"}
    world.aws.gate.add_fault(action, "AccessDenied", status=403, user=cr["spec"]["iamUser"]["username"])
    try:
        failed = world.reconcile(cr)
    finally:
        world.aws.gate.clear_faults()
    assert failed.outcome["reason"] == "AccessDenied"
    assert "accessKeys" not in failed.outcome["status"]
    assert code_of(lambda: client.list_objects_v2(Bucket=cr["spec"]["bucketName"])) == "allowed"
    assert world.reconcile(cr).outcome["done"]
    listed = world.iam.list_access_keys(UserName=cr["spec"]["iamUser"]["username"])["AccessKeyMetadata"]
    assert {key["AccessKeyId"]: key["Status"] for key in listed} == {
        first: "Active",
        world.credentials(cr)[0]: "Active",
    }
    assert world.credentials(cr)[0] != first
    assert world.differs(cr) == []


def test_due_rotation_is_only_reported_with_drift_policy_report(
    world: World, new_object: NewObject, new_name: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bob = new_name("bob")
    cr = new_object(
        driftPolicy="Report",
        additionalUsers=[{"username": bob, "secret": {"name": "bob-keys"}, "keyRotation": {"interval": "1h"}}],
    )
    assert world.reconcile(cr).outcome["done"]
    key = world.credentials(cr)[0]
    set_as_operator(world, monkeypatch)
    check, user = DriftCheck(PROJECT, SETTINGS), cr["spec"]["iamUser"]["username"]
    annotated = {**cr, "metadata": {**cr["metadata"], "annotations": {ROTATE_KEY: "1"}}}
    with requests_of(world) as requests:
        found = check.compare(S3Object(annotated))
        # The key works, so the object is Ready.
        assert (found.is_done, found.drift) == (True, ("access_key",))
        assert f"the rotation of access key {key} of IAM user {user} is due" in found.message
        assert f"spec.additionalUsers[{bob}].keyRotation: interval is shorter than twice gracePeriod" in found.message
        world.core.delete_namespaced_secret("bob-keys", cr["metadata"]["namespace"])
        found = check.compare(S3Object(cr))
        assert (found.is_done, found.drift) == (False, ("secret",))
        assert "left as it is (driftPolicy: Report)" in found.message
    assert [request["action"] for request in requests if request["write"]] == []


def test_each_of_several_users_has_a_rotation_of_its_own(world: World, new_object: NewObject, new_name: Any) -> None:
    first, other = new_name("user"), new_name("user")
    rotation = {"interval": "90d", "gracePeriod": "1h"}
    cr = new_object(iamUser={"username": first}, additionalUsers=[{"username": other, "keyRotation": rotation}])
    status = world.reconcile(cr).outcome["status"]
    assert "accessKeys" not in status
    (shown,) = status["users"]
    assert [(key["id"], key["state"]) for key in shown["accessKeys"]] == [(shown["accessKeyID"], "Current")]
    # Only the key of the user with an interval becomes due.
    later = dataclasses.replace(world.sources(), now=datetime.now(UTC) + 91 * DAY)
    due = {user.wanted.username: user.keys.replaces for user in observe(world.wanted(cr), later).users}
    assert due == {first: "", other: shown["accessKeyID"]}
    # The annotation is for all of them.
    cr["metadata"]["annotations"] = {ROTATE_KEY: "1"}
    run = world.reconcile(cr)
    assert run.outcome["done"], run.output
    status = run.outcome["status"]
    lists = [status["accessKeys"], status["users"][0]["accessKeys"]]
    assert [[key["state"] for key in keys] for keys in lists] == [["Current", "Overlap"]] * 2
    assert lists[0][0]["id"] == status["accessKeyID"] == world.credentials(cr)[0]
    assert lists[1][0]["id"] == status["users"][0]["accessKeyID"] != shown["accessKeyID"]
    assert lists[1][1]["id"] == shown["accessKeyID"]
    assert world.differs(cr) == []


def test_object_without_rotation_costs_no_further_request(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    with requests_of(world) as requests:
        observe(world.wanted(cr), world.sources())
    counted = sorted(item["action"] for item in requests if item["service"] == "iam")
    assert counted == [
        "GetUser", "GetUserPolicy", "ListAccessKeys", "ListAttachedUserPolicies", "ListGroupsForUser",
        "ListUserPolicies",
    ]  # fmt: skip
    status = outcome_status(world.wanted(cr), observe(world.wanted(cr), world.sources()))
    assert "accessKeys" not in status
