"""The path and the permissions boundary that the operator is configured with are set on every user, and repaired."""

from __future__ import annotations

from pathlib import Path

from dev.wait import wait_until
from runner.commands.iam_policy import PolicySettings, policy_for
from tests.support.operator import StartOperator, live, wait_ready
from tests.support.world import NewObject, World, make_operator_key


def test_users_have_the_path_and_keep_the_boundary_of_the_flags(
    world: World, new_object: NewObject, start_operator: StartOperator, tmp_path: Path
) -> None:
    boundary, path = f"arn:aws:iam::{world.account}:policy/s3-operator-tenant", "/s3-operator/"
    settings = PolicySettings(world.account, iam_path=path, permissions_boundary=boundary)
    make_operator_key(world.aws, policy_for(settings), tmp_path / "credentials")
    environment = world.environment(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"))
    flags = ("--iam-path", path, "--permissions-boundary", boundary, "--sync-period", "2")
    operator = start_operator(*flags, environment=environment)
    cr = new_object()
    username = cr["spec"]["iamUser"]["username"]
    wait_ready(world, cr)
    item = live(world, cr)
    assert item is not None
    assert item["status"]["userARN"] == f"arn:aws:iam::{world.account}:user{path}{username}"

    def has_boundary() -> bool:
        user = world.iam.get_user(UserName=username)["User"]
        return bool(user.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn") == boundary)

    assert has_boundary()
    wait_until(lambda: operator.lines("checked"), "a check that needs no run")
    # The drift check has the same setting: the next sync finds the difference.
    world.iam.delete_user_permissions_boundary(UserName=username)
    wait_until(has_boundary, "the boundary is put back")
    assert operator.stop() == 0
