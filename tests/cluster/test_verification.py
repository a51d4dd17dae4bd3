"""A running operator finds out that AWS denies an access key, and publishes it beside Ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dev.wait import wait_until
from tests.support.operator import Operator, StartOperator, condition, wait_ready
from tests.support.world import NewObject, World

CONDITION = "CredentialsVerified"
NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


@pytest.fixture
def start(start_operator: StartOperator) -> Callable[..., Operator]:
    # --iam-settle 0: a failure is confirmed at once.
    options = ("--verify-credentials", "--verify-period=1", "--no-leader-elect")
    return lambda *more: start_operator(*options, *more)


def test_denial_is_published_and_ready_does_not_depend_on_it(
    world: World, start: Callable[..., Operator], new_object: NewObject
) -> None:
    operator = start("--sync-period=3600")
    cr = new_object(verify="ReadWrite", enableVersioning=True)
    wait_ready(world, cr)
    wait_until(lambda: condition(world, cr, CONDITION).get("status") == "True", "the verified key")
    # As a service control policy would.
    key = world.credentials(cr)[0]
    world.aws.gate.judge(key, NOTHING)
    found = wait_until(lambda: _with_status(world, cr, "False"), "the denial")
    assert (found["reason"], found["observedGeneration"]) == ("AccessDenied", 1)
    assert "iamUser: " in found["message"]
    assert "s3:ListBucket" in found["message"]
    assert condition(world, cr)["status"] == "True"
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    world.aws.gate.judge(key, everything)
    wait_until(lambda: _with_status(world, cr, "True"), "the repaired access")
    assert len(operator.runs_of(cr)) == 1, "it is neither drift nor a reason for a run"
    # A verification that has begun is completed, and one of a killed operator by the next one.
    world.aws.gate.arm(cr["spec"]["bucketName"], action="PutObject", number=1, when="after")
    wait_until(lambda: world.aws.gate.wait_held(1), "an object is written")
    operator.kill()
    world.aws.gate.disarm()
    assert _left_in(world, cr) == 1
    # After a restart, an object waits for its turn in the sync period.
    second = start("--sync-period=2")
    wait_until(lambda: _left_in(world, cr) == 0, "nothing is left")
    assert second.stop() == 0
    assert _left_in(world, cr) == 0
    for one in (operator, second):
        assert world.credentials(cr)[1] not in one.log_file.read_text()


def _left_in(world: World, cr: dict[str, Any]) -> int:
    listed = world.s3.list_object_versions(Bucket=cr["spec"]["bucketName"])
    return len(listed.get("Versions", [])) + len(listed.get("DeleteMarkers", []))


def _with_status(world: World, cr: dict[str, Any], status: str) -> dict[str, Any]:
    found = condition(world, cr, CONDITION)
    return found if found.get("status") == status else {}
