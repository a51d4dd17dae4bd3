"""How long one new object takes to Ready, again and again, one at a time."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from bench.meter import Cost
from bench.place import Place
from bench.process import OperatorProcess
from bench.rows import Row, rows_of
from bench.watching import delete_and_wait, make_until_ready

_TIMEOUT_S = 120


def measure_latency(
    place: Place, operator: OperatorProcess, name: str, namespace: str, names: Sequence[str], objects: int
) -> list[Row]:
    """Rows of the wall times (median, least, most) and of the mean cost of one.

    The deletion of one is over, and not measured, before the next begins.

    :param objects: how many objects there are meanwhile
    """
    costs: list[Cost] = []
    for item in names:
        with operator.meter.measure() as cost:
            make_until_ready(place, namespace, [item], _TIMEOUT_S)
        costs.append(cost)
        delete_and_wait(place, namespace, [item], _TIMEOUT_S)
    walls = [cost.wall_s for cost in costs]
    found = [("wall_median", statistics.median(walls)), ("wall_least", min(walls)), ("wall_most", max(walls))]
    rows = [Row(name, operator.executor, objects, metric, value, "s") for metric, value in found]
    return rows + rows_of(name, operator.executor, objects, mean_of(costs))


def warm_up(place: Place, namespace: str, name: str) -> None:
    """One object that no row counts: the first after a start waits for the process that runs are forked from."""
    make_until_ready(place, namespace, [name], _TIMEOUT_S)
    delete_and_wait(place, namespace, [name], _TIMEOUT_S)


def mean_of(costs: Sequence[Cost]) -> Cost:
    """Return the mean of several costs."""
    total, count = sum(costs, Cost()), len(costs)
    for counter in (total.aws, total.kubernetes):
        for key in counter:
            counter[key] = round(counter[key] / count)
    return Cost(total.wall_s / count, total.cpu_s / count, total.peak_pss_mb, total.aws, total.kubernetes)
