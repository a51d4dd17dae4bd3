"""The same three measurements of this operator and of ACK's controllers: new objects, bursts, one resync.

One after the other, each alone on the machine, in a namespace of its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench import BenchError
from bench.latency import mean_of
from bench.meter import Cost, Meter
from bench.objects import Item, new_object
from bench.peers.ack import BUCKET, USER, bucket, user
from bench.place import Place
from bench.rows import Row, rows_of
from bench.watching import S3, Kind, delete_and_wait, make_all_until_ready

RESYNC_S = 30
_REPEATS = 7
_STEADY = 100
_TIMEOUT_S = 600
Body = Callable[[str, str], Item]
OPERATOR_KINDS: tuple[tuple[Kind, Body], ...] = ((S3, new_object),)
ACK_KINDS: tuple[tuple[Kind, Body], ...] = ((BUCKET, bucket), (USER, user))


@dataclass(frozen=True)
class Peer:
    """One operator that runs.

    :param kinds: what an object of it consists of
    """

    place: Place
    executor: str
    meter: Meter
    kinds: tuple[tuple[Kind, Body], ...]
    namespace: str

    def measure(self, burst: int) -> list[Row]:
        """The rows of all three.

        :raises BenchError: when something is not as its row states
        """
        self._make(["first"])
        return self._latency() + self._burst([f"burst-{number:03d}" for number in range(burst)]) + self._steady()

    def _latency(self) -> list[Row]:
        costs = []
        for number in range(_REPEATS):
            names = [f"new-{number}"]
            with self.meter.measure() as cost:
                self._make(names)
            costs.append(cost)
            self._delete(names)
        median = Row("peer_latency", self.executor, 1, "wall_median", statistics.median(c.wall_s for c in costs), "s")
        return [median, *rows_of("peer_latency", self.executor, 1, mean_of(costs))]

    def _burst(self, names: Sequence[str]) -> list[Row]:
        rows = []
        for name, act in (("peer_burst_create", self._make), ("peer_burst_delete", self._delete)):
            with self.meter.measure() as cost:
                act(names)
            rows += self._rows(name, len(names), cost)
        return rows

    def _steady(self) -> list[Row]:
        self._make([f"steady-{number:03d}" for number in range(_STEADY)])
        # The first resync of the last one is over: from then on each object has one in each period.
        time.sleep(RESYNC_S)
        with self.meter.measure() as cost:
            time.sleep(RESYNC_S)
        if cost.aws_calls < _STEADY:
            raise BenchError(f"{_STEADY} objects had {cost.aws_calls} requests to AWS: not all were in the resync")
        return self._rows("peer_steady", _STEADY, cost)

    def _rows(self, name: str, count: int, cost: Cost) -> list[Row]:
        rate = Row(name, self.executor, count, "rate", count / cost.wall_s, "objects/s")
        return [rate, *rows_of(name, self.executor, count, cost, of=count)]

    def _make(self, names: Sequence[str]) -> None:
        # Names of buckets and users are shared by all of the account.
        def make(kind: Kind, body: Body) -> None:
            bodies = {name: body(name, self.namespace) for name in self._own(names)}
            make_all_until_ready(self.place, kind, bodies, _TIMEOUT_S)

        self._each_kind(make)

    def _delete(self, names: Sequence[str]) -> None:
        self._each_kind(lambda kind, _: delete_and_wait(self.place, self.namespace, self._own(names), _TIMEOUT_S, kind))

    def _own(self, names: Sequence[str]) -> list[str]:
        return [f"{self.executor}-{name}" for name in names]

    def _each_kind(self, act: Callable[[Kind, Body], None]) -> None:
        with ThreadPoolExecutor(len(self.kinds)) as pool:
            for done in [pool.submit(act, *kind) for kind in self.kinds]:
                done.result()
