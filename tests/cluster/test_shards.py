"""Several replicas that share the S3 objects (``--sharding``), and one that is stopped in the middle of a run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dev.wait import wait_until
from runner.commands.iam_policy import PolicySettings, policy_for
from runner.execution import processes
from runner.kube.shard_leases import SHARDS, shard_lease, shard_of
from tests.support.operator import Operator, StartOperator, get, patch, wait_ready
from tests.support.world import NewObject, World, make_operator_key

_TERMS = ("--lease-duration", "12", "--renew-deadline", "8", "--retry-period", "0.5")
_SHARDED = (*_TERMS, "--sharding", "--sync-period", "5")


def leases_of(world: World, namespace: str) -> dict[str, dict[str, Any]]:
    """The Leases in a namespace, by name."""
    found = world.custom.list_namespaced_custom_object("coordination.k8s.io", "v1", namespace, "leases")["items"]
    return {item["metadata"]["name"]: item["spec"] for item in found}


def holders(world: World, namespace: str) -> list[str]:
    """Who holds each shard, as ``kubectl get lease`` shows it."""
    leases = leases_of(world, namespace)
    return [leases.get(shard_lease("s3-operator", n), {}).get("holderIdentity", "") for n in range(SHARDS)]


def identity(operator: Operator) -> str:
    return str(wait_until(lambda: operator.lines("leading"), "it works")[0]["identity"])


def wait_shared(world: World, namespace: str, *operators: Operator) -> None:
    """Wait until these, and no other, hold all shards, spread evenly."""
    names = [identity(operator) for operator in operators]
    least = SHARDS // len(names)

    def check() -> bool:
        counts = Counter(holders(world, namespace))
        return set(counts) == set(names) and all(count in (least, least + 1) for count in counts.values())

    wait_until(check, f"{SHARDS} shards shared by {len(names)}")


def shard(cr: dict[str, Any]) -> int:
    return shard_of(cr["metadata"]["uid"])


def once(world: World, namespace: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "s3-operator"), "once", "--work-dir", str(folder / "once")]
    command += ["--watch-namespace", namespace, "--leader-election-namespace", namespace]
    return subprocess.run(command, env=world.environment(), capture_output=True, text=True, timeout=120)


def moves_of(operator: Operator) -> list[str]:
    """What it has logged of shards that it gave up, in that order."""
    text = operator.log_file.read_text().rpartition("\n")[0]
    logged = [json.loads(line)["msg"] for line in text.splitlines() if line.startswith("{")]
    return [message for message in logged if message in ("shard is given up", "shard released")]


def test_replicas_share_the_objects_and_take_over_from_each_other(
    world: World, namespace: str, new_object: NewObject, start_operator: StartOperator, tmp_path: Path
) -> None:
    first, second = start_operator(*_SHARDED), start_operator(*_SHARDED)
    wait_shared(world, namespace, first, second)
    objects = [new_object() for _ in range(6)]
    for cr in objects:
        wait_ready(world, cr)
    held = holders(world, namespace)
    for cr in objects:
        runners = {identity(one) for one in (first, second) if one.runs_of(cr)}
        assert runners == {held[shard(cr)]}

    port = first.port("/metrics")
    lines = get(port, "/metrics")[1].splitlines()
    assert [f'{name}{{shard="{n}"}} {value}' for n in range(SHARDS) for name, value in (
        ("s3_operator_shard_held", float(held[n] == identity(first))),
        ("s3_operator_shard_objects", float(held[n] == identity(first) and sum(shard(cr) == n for cr in objects))),
    ) if f'{name}{{shard="{n}"}} {value}' not in lines] == []  # fmt: skip
    assert "s3_operator_replicas 2.0" in lines

    # Nothing else of the same release may work: neither a single pass, nor a replica without shards.
    done = once(world, namespace, tmp_path)
    assert done.returncode == 2
    assert "the operator of this release works with other replicas" in done.stdout + done.stderr
    alone = start_operator(*_TERMS)
    wait_until(lambda: alone.lines("not leading"), "the one without shards waits")
    assert get(alone.port("/readyz"), "/readyz")[0] == 200

    # After a kill -9 the shards of the killed one are taken over.
    second.kill()
    wait_shared(world, namespace, first)
    for cr in objects:
        patch(world, cr, {"spec": {"tags": {"round": "1"}}})
    for cr in objects:
        wait_ready(world, cr, 2)

    # A new replica gets half of them, one at a time.
    before = len(moves_of(first))
    third = start_operator(*_SHARDED)
    wait_shared(world, namespace, first, third)
    assert moves_of(first)[before:] == ["shard is given up", "shard released"] * 8

    # A stop releases all Leases: the other one has them before any could have expired.
    assert first.stop() == 0
    assert identity(first) not in [spec.get("holderIdentity") for spec in leases_of(world, namespace).values()]
    wait_shared(world, namespace, third)
    assert not alone.lines("leading")
    assert third.stop() == 0
    wait_until(lambda: alone.lines("leading"), "the one without shards works")
    again = start_operator(*_SHARDED)
    wait_until(lambda: again.lines("not leading"), "the one with shards waits")
    assert not again.lines("shard taken")


def test_shard_moves_while_aws_does_not_answer_a_check_of_its_object(
    world: World, namespace: str, new_object: NewObject, start_operator: StartOperator, tmp_path: Path
) -> None:
    key = make_operator_key(world.aws, policy_for(PolicySettings(world.account)), tmp_path / "key")["aws_access_key_id"]
    first = start_operator(*_SHARDED, environment=world.environment(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "key")))
    wait_until(lambda: len(first.lines("shard taken")) == SHARDS, "it works")
    # One of those that are given up first.
    cr = new_object()
    while shard(cr) not in range(1, 8):
        cr = new_object()
    wait_ready(world, cr)
    port, counter = first.port("/metrics"), 's3_operator_aws_requests_total{operation="ListAccessKeys"} '

    def count() -> float:
        lines = get(port, "/metrics")[1].splitlines()
        return sum(float(line.removeprefix(counter)) for line in lines if line.startswith(counter))

    # A check gives up after two minutes, and the replica would publish that before it released the shard.
    world.aws.gate.add_fault("ListAccessKeys", delay_s=600, access_key=key)
    try:
        before = count()
        wait_until(lambda: count() > before, "a check waits for AWS")
        second = start_operator(*_SHARDED)
        wait_shared(world, namespace, first, second)
        assert holders(world, namespace)[shard(cr)] == identity(second)
        patch(world, cr, {"spec": {"tags": {"round": "1"}}})
        wait_ready(world, cr, 2)
    finally:
        world.aws.gate.clear_faults()
    assert [line for line in first.lines("checked") if line["reason"] == "RunTimeout"] == []
    assert len(first.runs_of(cr)) == len(second.runs_of(cr)) == 1
    assert world.differs({**cr, "spec": {**cr["spec"], "tags": {"round": "1"}}}) == []
    assert first.stop() == second.stop() == 0


@pytest.mark.parametrize("mode", [("--executor", "stock"), ("--sharding",)], ids=["alone-stock", "sharded-warm"])
def test_replica_that_is_stopped_beyond_its_lease_writes_nothing_after_the_other_one_began(
    world: World, new_object: NewObject, start_operator: StartOperator, tmp_path: Path, mode: tuple[str, ...]
) -> None:
    """Its runs are other processes, which go on while it is stopped: they must end before its Lease expires."""
    second_key = make_operator_key(world.aws, policy_for(PolicySettings(world.account)), tmp_path / "second-key")
    second_environment = world.environment(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "second-key"))
    begins, count = ("shard taken", SHARDS) if "--sharding" in mode else ("leading", 1)
    gate, first = world.aws.gate, start_operator(*_TERMS, *mode)
    wait_until(lambda: len(first.lines(begins)) == count, "it works")
    gate.clear_requests()
    cr = new_object()
    names = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    # A write that took effect and is not answered yet: whoever sent it would go on with the answer.
    gate.arm(*names, number=1, when="after")
    try:
        wait_until(gate.held, "the first writes")
        first.process.send_signal(signal.SIGSTOP)
        # It comes after the stop, so that no shard was moved to it in good order.
        second = start_operator(*_TERMS, *mode, environment=second_environment)
        gate.arm(*names)
        wait_until(lambda: len(second.lines(begins)) == count, "the second works")
        assert processes.find_runs_of(processes.operator_id(first.process.pid)) == []
        wait_until(lambda: len(gate.held()) == 2, "the second writes")
        first.process.send_signal(signal.SIGCONT)
        # Killed while it was stopped; where it cannot be, as process 1, it ends when it goes on.
        assert first.process.wait(60) in (-signal.SIGKILL, 1)
        gate.let_go()
        wait_until(lambda: len(gate.requests()) > 0 and len(gate.held()) == 1, "the first one's write is answered")
    finally:
        gate.disarm()
    wait_ready(world, cr)
    key = second_key["aws_access_key_id"]
    writers = [request["access_key"] == key for request in gate.requests() if request["write"]]
    assert set(writers) == {True, False}
    assert writers == sorted(writers)
    assert world.differs(cr) == []
    assert second.stop() == 0
