"""Two operators. The leader's connection to the API server stops transmitting, but stays open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dev.wait import wait_until
from runner.commands.iam_policy import PolicySettings, policy_for
from tests.support.operator import StartOperator, wait_ready
from tests.support.stallproxy import StallProxy
from tests.support.world import NewObject, World, make_operator_key

_TERMS = ("--lease-duration", "12", "--renew-deadline", "8", "--retry-period", "1")
_SLOW_CALL_S = 0.7


def test_old_leader_whose_connection_hangs_writes_nothing_after_the_new_one_began(
    world: World, namespace: str, new_object: NewObject, start_operator: StartOperator, tmp_path: Path
) -> None:
    key_file = tmp_path / "second-key"
    second_key = make_operator_key(world.aws, policy_for(PolicySettings(world.account)), key_file)["aws_access_key_id"]
    second_environment = world.environment(AWS_SHARED_CREDENTIALS_FILE=str(key_file))
    # Each run of the role takes longer than the Lease duration.
    world.aws.gate.add_fault("*", delay_s=_SLOW_CALL_S)
    try:
        with StallProxy(world.kubeconfig, tmp_path) as proxy:
            first = start_operator(*_TERMS, environment=world.environment(KUBECONFIG=str(proxy.kubeconfig)))
            wait_until(lambda: first.lines("leading"), "the first leads")
            second = start_operator(*_TERMS, environment=second_environment)
            world.aws.gate.clear_requests()
            objects = [new_object() for _ in range(4)]
            wait_until(world.aws.gate.writes, "the first writes to AWS")
            proxy.stall()
            wait_until(lambda: second.lines("leading"), "the second leads")
            # The first operator ends while its connection still hangs.
            assert first.process.wait(30) == 1
            assert [line["msg"] for line in first.lines("lease lost")] == ["lease lost"]
        world.aws.gate.clear_faults()
        for cr in objects:
            wait_ready(world, cr)
        writers = [request["access_key"] == second_key for request in world.aws.gate.requests() if request["write"]]
        # All writes of the first operator come before all writes of the second one.
        assert True in writers
        assert False in writers
        assert writers == sorted(writers)
    finally:
        world.aws.gate.clear_faults()
    assert second.stop() == 0


def test_leader_without_an_api_server_steps_down_and_comes_back_as_a_candidate(
    world: World, namespace: str, start_operator: StartOperator, tmp_path: Path
) -> None:
    with StallProxy(world.kubeconfig, tmp_path) as proxy:
        environment = world.environment(KUBECONFIG=str(proxy.kubeconfig))
        operator = start_operator("--lease-duration", "8", "--renew-deadline", "6", "--retry-period", "1",
                                  environment=environment)  # fmt: skip
        wait_until(lambda: operator.lines("leading"), "it leads")
        proxy.stall()
        assert operator.process.wait(30) == 1
        proxy.pass_again()
        again = start_operator(*_TERMS, environment=environment)
        wait_until(lambda: again.lines("leading"), "it leads again")


def test_stop_does_not_wait_for_calls_that_hang(
    world: World, new_object: NewObject, start_operator: StartOperator, tmp_path: Path
) -> None:
    with StallProxy(world.kubeconfig, tmp_path) as proxy:
        operator = start_operator(
            "--grace-period", "1", environment=world.environment(KUBECONFIG=str(proxy.kubeconfig))
        )
        wait_ready(world, new_object())
        proxy.stall()
        assert operator.stop(timeout_s=60) in (0, 1)


@pytest.mark.parametrize("command", ["run", "once"])
def test_terms_that_allow_two_leaders_are_refused_by_name(world: World, tmp_path: Path, command: str) -> None:
    words: list[Any] = [Path(sys.executable).parent / "s3-operator", command, "--work-dir", tmp_path / "work"]
    words += ["--lease-duration", "10", "--renew-deadline", "10"]
    done = subprocess.run(words, env=world.environment(), capture_output=True, text=True)
    assert done.returncode == 2
    assert "--lease-duration (10) must be greater than --renew-deadline (10)" in done.stderr
