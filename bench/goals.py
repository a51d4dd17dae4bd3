"""The goals, on 2 cores against moto with 1,000 objects: each is computed from the rows and has rows of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.rows import Results, Row

WARM, STOCK = "warm", "stock"
# A slope of 0, but for the noise of the allocator.
_FLAT_MB_MIN = 0.1


@dataclass(frozen=True)
class Goal:
    """A bound on a number that is made of rows; ``rows`` are (name, executor, metric)."""

    name: str
    metric: str
    unit: str
    bound: float
    is_upper: bool
    rows: tuple[tuple[str, str, str], ...]
    number: Callable[..., float] = float

    def row(self, results: Results) -> Row | None:
        """The goal as a row; None while a row that it needs is missing."""
        values = [results.find(*keys) for keys in self.rows]
        if None in values:
            return None
        value = self.number(*values)
        is_met = value <= self.bound if self.is_upper else value >= self.bound
        goal = f"{'<=' if self.is_upper else '>='} {self.bound:g} {self.unit}"
        name, executor, _ = self.rows[0]
        objects = next(row.objects for row in results.rows if (row.name, row.executor) == (name, executor))
        return Row(f"goal_{self.name}", executor, objects, self.metric, value, self.unit, goal, is_met)


def _ratio(one: float, other: float) -> float:
    return one / other


_ALONE = ("latency_alone", WARM, "wall_median")
_FAIR_ALONE = ("fair_alone", WARM, "wall_median")
GOALS = (
    Goal("latency_alone", "wall_median", "s", 0.5, True, (_ALONE,)),
    Goal("latency_alone", "cpu", "s", 0.3, True, (("latency_alone", WARM, "cpu"),)),
    Goal("latency_alone", "stock_over_warm", "x", 6, False, (("latency_alone", STOCK, "wall_median"), _ALONE), _ratio),
    Goal(
        "burst_create", "warm_over_stock", "x", 7, False,
        (("burst_create", WARM, "rate"), ("burst_create", STOCK, "rate")), _ratio,
    ),
    *(
        Goal(name, "rate", "objects/s", 4, False, ((name, WARM, "rate"),))
        for name in ("burst_create", "burst_delete")
    ),
    Goal("steady", "cpu_each", "s", 0.012, True, (("steady", WARM, "cpu_each"),)),
    Goal("steady", "aws_calls_each", "requests", 7, True, (("steady", WARM, "aws_calls_each"),)),
    Goal(
        "latency_in_resync", "over_alone", "x", 1.5, True,
        (("latency_in_resync", WARM, "wall_median"), _ALONE), _ratio,
    ),
    *(
        Goal(name, "over_alone", "x", 1.5, True, ((name, WARM, "wall_median"), _FAIR_ALONE), _ratio)
        for name in ("fair_creation", "fair_deletion", "fair_specs", "fair_secrets")
    ),
    Goal("steady", "peak_pss", "MB", 150, True, (("steady", WARM, "peak_pss"),)),
    Goal("events", "requests_a_day", "requests", 300, True, (("events", WARM, "requests_a_day"),)),
    *(
        Goal("events", metric, "s", 2, True, (("events", WARM, metric),))
        for metric in ("repaired_after_run_median", "repaired_after_run_most")
    ),
    Goal("check_alone", "peak_pss", "MB", 600, True, (("check_alone", "check", "peak_pss"),)),
    Goal("memory", "pss_slope", "MB/min", _FLAT_MB_MIN, True, (("memory", WARM, "pss_slope"),)),
)  # fmt: skip


def goal_rows(results: Results) -> Iterator[Row]:
    """A row for each goal that has measured rows."""
    for goal in GOALS:
        row = goal.row(results)
        if row is not None:
            yield row
