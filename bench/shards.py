"""Several replicas that share the objects: how many checks a second they do, what each costs, how soon one takes over.

The sync period is so short that the replicas are never done: what is measured is what they can do on this machine,
which Kubernetes and moto use as well. In the first minute after a replica has taken a shard, a check of its objects
makes two requests more: what is read for all buckets at once may be older than the runs of the replica that had it
before. The measurement begins when that is over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench import BenchError
from bench.meter import Cost
from bench.place import Place
from bench.process import OperatorProcess
from bench.rows import Row
from runner.drift.bucket_cache import LAG_S
from runner.kube.shard_leases import SHARDS

COUNTS = (1, 2, 4)
_PERIOD_S = 15
_STRETCH_S = 30.0
_SHARED_S = 120.0
_POLL_S = 0.2


def measure_shards(place: Place, folder: Path, executor: str, objects: int, count: int) -> list[Row]:
    """Rows of a number of replicas. The objects are in the place already, and Ready."""
    folder.mkdir()
    with _replicas(place, folder, executor, count) as replicas:
        name = f"shards_{count}"
        _wait_shared(replicas)
        # A reading that begins in this time counts for no object.
        time.sleep(LAG_S + _PERIOD_S)
        before = sum(replica.checks().total() for replica in replicas)
        costs = _measure(replicas)
        checks = sum(replica.checks().total() for replica in replicas) - before
        if not checks or any(replica.checks()["failed"] for replica in replicas):
            raise BenchError(f"{checks} checks, or some that failed")
        rows = [
            Row(name, executor, objects, "checks_per_s", checks / costs[0].wall_s, "checks/s"),
            Row(name, executor, objects, "cpu_each", sum(cost.cpu_s for cost in costs) / checks, "s"),
            Row(name, executor, objects, "aws_calls_each", costs[0].aws_calls / checks, "requests"),
            Row(name, executor, objects, "kubernetes_calls_per_s", costs[0].kubernetes_calls / costs[0].wall_s, "1/s"),
        ]
        for number, cost in enumerate(costs):
            rows.append(Row(name, executor, objects, f"cpu_of_replica_{number}", cost.cpu_s / cost.wall_s, "cores"))
            rows.append(Row(name, executor, objects, f"peak_pss_of_replica_{number}", cost.peak_pss_mb, "MB"))
        if count > 1:
            rows.append(Row(name, executor, objects, "take_over", _measure_take_over(replicas), "s"))
    return rows


@contextmanager
def _replicas(place: Place, folder: Path, executor: str, count: int) -> Iterator[list[OperatorProcess]]:
    with ExitStack() as stack:
        made = [
            OperatorProcess(place, folder / str(number), executor, _PERIOD_S, more=("--sharding",))
            for number in range(count)
        ]
        for replica in made:
            stack.callback(replica.stop)
            replica.start()
        yield made


def _measure(replicas: list[OperatorProcess]) -> list[Cost]:
    """What each costs; the requests of each are those of all, which have one key."""
    with ExitStack() as stack:
        costs = [stack.enter_context(replica.meter.measure()) for replica in replicas]
        time.sleep(_STRETCH_S)
    return costs


def _measure_take_over(replicas: list[OperatorProcess]) -> float:
    """Seconds from the kill -9 of a replica until the others have all shards."""
    killed, others = replicas[0], replicas[1:]
    started = time.monotonic()
    killed.kill()
    _wait_shared(others)
    return time.monotonic() - started


def _wait_shared(replicas: list[OperatorProcess]) -> None:
    least, deadline = SHARDS // len(replicas), time.monotonic() + _SHARED_S
    while True:
        held = [replica.shards() for replica in replicas]
        if sum(held) == SHARDS and min(held) >= least:
            return
        if time.monotonic() > deadline:
            raise BenchError(f"the shards are not shared: {held}")
        time.sleep(_POLL_S)
