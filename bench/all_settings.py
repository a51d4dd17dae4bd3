"""What an object costs that has every bucket setting, new and at each check."""

from __future__ import annotations

from bench.latency import mean_of
from bench.meter import Cost
from bench.place import Place
from bench.process import OperatorProcess
from bench.rows import Row, rows_of
from bench.steady import measure_steady
from bench.watching import delete_and_wait, make_until_ready
from dev.examples import make_targets, optional_settings

_TIMEOUT_S = 120
_REPEATS = 5
_OBJECTS = 20


def measure_new_with_all_settings(place: Place, operator: OperatorProcess, namespace: str) -> list[Row]:
    """Rows of the mean cost of one new object with every setting."""
    make_targets(place.aws.client("s3"), place.account)
    costs: list[Cost] = []
    for number in range(_REPEATS):
        name = [f"all-settings-{number}"]
        with operator.meter.measure() as cost:
            make_until_ready(place, namespace, name, _TIMEOUT_S, optional_settings(with_needy=True))
        costs.append(cost)
        delete_and_wait(place, namespace, name, _TIMEOUT_S)
    return rows_of("latency_all_settings", operator.executor, 1, mean_of(costs))


def make_with_all_settings(place: Place, namespace: str) -> None:
    """Make some objects with every setting, and wait until they are Ready."""
    # Not the names of objects of another namespace that were just deleted: these are kept for some time.
    names = [f"steady-settings-{number}" for number in range(_OBJECTS)]
    make_until_ready(place, namespace, names, _TIMEOUT_S, optional_settings(with_needy=True))


def measure_checks_of_all_settings(operator: OperatorProcess, period_s: int) -> list[Row]:
    """Rows of the cost of one check of an object with every setting."""
    return measure_steady(operator, _OBJECTS, period_s, "steady_all_settings")
