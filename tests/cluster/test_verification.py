"""A running operator finds out that AWS denies an access key, and publishes it beside Ready."""

from __future__ import annotations

from typing import Any

import pytest

from dev.wait import wait_until
from tests.support.operator import Operator, StartOperator, condition, wait_ready
from tests.support.world import NewObject, World

CONDITION = "CredentialsVerified"
NOTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}


@pytest.fixture
def operator(start_operator: StartOperator) -> Operator:
    # --iam-settle 0: a failure is confirmed at once.
    return start_operator("--verify-credentials", "--verify-period=1", "--sync-period=3600")


def test_denial_is_published_and_ready_does_not_depend_on_it(
    world: World, operator: Operator, new_object: NewObject
) -> None:
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
    # A verification that has begun is completed.
    assert operator.stop() == 0
    listed = world.s3.list_object_versions(Bucket=cr["spec"]["bucketName"])
    assert (listed.get("Versions"), listed.get("DeleteMarkers")) == (None, None)
    assert world.credentials(cr)[1] not in operator.log_file.read_text()


def _with_status(world: World, cr: dict[str, Any], status: str) -> dict[str, Any]:
    found = condition(world, cr, CONDITION)
    return found if found.get("status") == status else {}
