"""Many new objects at once until all are Ready, then all of them deleted at once until all are deleted."""

from __future__ import annotations

from collections.abc import Sequence

from bench.meter import Cost
from bench.place import Place
from bench.process import OperatorProcess
from bench.rows import Row, rows_of
from bench.watching import delete_and_wait, make_until_ready

_TIMEOUT_S = 60
_TIMEOUT_EACH_S = 20


def measure_burst(place: Place, operator: OperatorProcess, namespace: str, names: Sequence[str]) -> list[Row]:
    """Rows of both, each with its rate."""
    timeout_s, count = _TIMEOUT_S + _TIMEOUT_EACH_S * len(names), len(names)
    with operator.meter.measure() as cost:
        make_until_ready(place, namespace, names, timeout_s)
    rows = _rows("burst_create", operator.executor, count, cost)
    with operator.meter.measure() as cost:
        delete_and_wait(place, namespace, names, timeout_s)
    return rows + _rows("burst_delete", operator.executor, count, cost)


def _rows(name: str, executor: str, count: int, cost: Cost) -> list[Row]:
    rate = Row(name, executor, count, "rate", count / cost.wall_s, "objects/s")
    return [rate, *rows_of(name, executor, count, cost, of=count)]
