"""The path and the permissions boundary of users.

A user is created with both. The boundary is repaired, and the path never changes.
"""

from __future__ import annotations

from typing import Any

import pytest

from runner.commands.iam_policy import PolicySettings, policy_for
from runner.drift.check import DriftCheck
from runner.drift.cloudtrail import Kind, Name
from runner.objects import S3Object
from s3bucket.outcome import Outcome, Reason
from s3bucket.role_settings import RoleSettings
from s3bucket.users import UserRules
from tests.support.world import CLUSTER, PROJECT, NewObject, World, make_operator_key

BOUNDARY = "arn:aws:iam::123456789012:policy/s3-operator-tenant"
OTHER = "arn:aws:iam::123456789012:policy/other"
RULES = UserRules("/s3-operator/", BOUNDARY)


@pytest.fixture
def check(world: World, monkeypatch: pytest.MonkeyPatch) -> DriftCheck:
    """The operator's own drift check, with the same settings."""
    for name, value in {**world.aws.env(), "KUBECONFIG": str(world.kubeconfig)}.items():
        monkeypatch.setenv(name, value)
    return DriftCheck(PROJECT, RoleSettings(CLUSTER, "", 0, "", RULES.path, RULES.boundary))


@pytest.fixture(scope="module")
def forced(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a role that sets both. Its key may grant permissions only within the boundary."""
    file = tmp_path_factory.mktemp("key") / "credentials"
    make_operator_key(world.aws, policy_for(PolicySettings(world.account, permissions_boundary=BOUNDARY)), file)
    return {
        "IAM_PATH": RULES.path,
        "PERMISSIONS_BOUNDARY": BOUNDARY,
        "AWS_SHARED_CREDENTIALS_FILE": str(file),
    }


def user_of(world: World, cr: dict[str, Any]) -> dict[str, Any]:
    return dict(world.iam.get_user(UserName=cr["spec"]["iamUser"]["username"])["User"])


def boundary_of(world: World, cr: dict[str, Any]) -> str:
    return str(user_of(world, cr).get("PermissionsBoundary", {}).get("PermissionsBoundaryArn", ""))


def test_boundary_is_in_the_call_that_creates_and_is_put_back(
    world: World, new_object: NewObject, check: DriftCheck, forced: dict[str, str]
) -> None:
    cr = new_object()
    username = cr["spec"]["iamUser"]["username"]
    world.aws.gate.clear_requests()
    assert world.reconcile(cr, **forced).outcome["done"]
    # The call that created the user had the boundary, so no repair was needed.
    assert "PutUserPermissionsBoundary" not in world.aws.gate.writes()
    assert user_of(world, cr)["Arn"] == f"arn:aws:iam::{world.account}:user/s3-operator/{username}"
    assert boundary_of(world, cr) == BOUNDARY
    key = world.credentials(cr)

    event = Name.of(Kind.USER, username.upper())
    for spoil, forget in (
        (lambda: world.iam.delete_user_permissions_boundary(UserName=username), lambda: check.forget_names([event])),
        (
            lambda: world.iam.put_user_permissions_boundary(UserName=username, PermissionsBoundary=OTHER),
            lambda: check.forget(S3Object(cr)),
        ),
    ):
        assert check.compare(S3Object(cr)).drift == ()
        spoil()
        # All users are read once per period. After an event, or a run, a user is read by itself.
        forget()
        assert check.compare(S3Object(cr)).drift == ("user",)
        run = world.reconcile(cr, **forced)
        assert (run.outcome["reason"], run.changed) == ("Ready", ["user"]), run.output
        assert boundary_of(world, cr) == BOUNDARY
        assert check.compare(S3Object(cr)) == Outcome(True, Reason.READY, status=run.outcome["status"])
    assert world.credentials(cr) == key


def test_cr_cannot_choose_path_or_boundary(world: World, new_object: NewObject, forced: dict[str, str]) -> None:
    cr = new_object()
    # The API server would drop both fields, so the object is passed to the role directly.
    cr["spec"]["iamUser"] |= {"path": "/chosen/", "permissionsBoundary": OTHER}
    created, again = (world.reconcile(cr, **forced) for _ in range(2))
    for run in (created, again):
        assert run.outcome["reason"] == "Ready", run.output
        assert user_of(world, cr)["Path"] == RULES.path
        assert boundary_of(world, cr) == BOUNDARY
    assert again.changed == []


def test_boundary_that_is_not_forced_is_left_alone(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    assert user_of(world, cr)["Path"] == "/"
    world.iam.put_user_permissions_boundary(UserName=cr["spec"]["iamUser"]["username"], PermissionsBoundary=OTHER)
    assert world.differs(cr) == []
    # Also when another difference of the user has to be repaired.
    uid = {"Key": "agill.apps/uid", "Value": "another"}
    world.iam.tag_user(UserName=cr["spec"]["iamUser"]["username"], Tags=[uid])
    assert world.reconcile(cr).changed == ["user"]
    assert boundary_of(world, cr) == OTHER


def test_user_with_another_path_is_kept_with_a_note_and_gets_the_boundary(
    world: World, new_object: NewObject, check: DriftCheck, forced: dict[str, str]
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    arn = user_of(world, cr)["Arn"]
    run = world.reconcile(cr, **forced)
    assert (run.outcome["reason"], run.changed) == ("Ready", ["user"]), run.output
    assert "has the path /, not /s3-operator/: it was left as it is" in run.outcome["message"]
    assert (user_of(world, cr)["Arn"], run.outcome["status"]["userARN"]) == (arn, arn)
    assert boundary_of(world, cr) == BOUNDARY
    seen = check.compare(S3Object(cr))
    assert (seen.is_done, seen.message) == (True, run.outcome["message"])


def test_setting_that_is_no_boundary_changes_nothing(world: World, new_object: NewObject) -> None:
    cr = new_object()
    run = world.reconcile(cr, settings={"permissions_boundary": "tenant"})
    assert (run.outcome["done"], run.outcome["reason"]) == (False, "InvalidSpec")
    assert "s3bucket_permissions_boundary: tenant" in run.outcome["message"]
    assert world.snapshot(cr)["bucket"] is None
