"""A sync of many objects: with nothing to do, after a restart, with some that drift, with a slow or a throttling AWS.

What is measured is a stretch of one sync period, and what was checked in it by the operator's own metrics. A stretch
in which a check found what it should not, or a run was made that nothing asked for, gives no row.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench import BenchError
from bench.meter import Cost
from bench.process import OperatorProcess
from bench.rows import Row, rows_of

# The part of the objects that must be checked in one period: the operator's own jitter is 10 %.
_LEAST_SHARE = 0.85
_POLL_S = 0.5
_REPAIRED_S = 120.0


@dataclass
class Stretch:
    """What was done in a stretch of time, and its cost."""

    cost: Cost = field(default_factory=Cost)
    checks: Counter[str] = field(default_factory=Counter)
    runs: int = 0

    def expect(self, objects: int, *, differing: int = 0) -> None:
        """Nearly all objects were checked, and a given number of them differed.

        :raises BenchError: when it was otherwise
        """
        found = {"differs": self.checks["differs"], "failed": self.checks["failed"], "runs": self.runs}
        if found != {"differs": differing, "failed": 0, "runs": differing}:
            raise BenchError(f"expected {differing} that differ, each with one run, and none failed; found {found}")
        if self.checks.total() < _LEAST_SHARE * objects:
            raise BenchError(f"only {self.checks.total()} checks of {objects} objects in {self.cost.wall_s:.0f} s")

    def rows(self, name: str, executor: str, objects: int) -> list[Row]:
        """The rows, for each check too."""
        checks = self.checks.total()
        rows = [Row(name, executor, objects, "checks", checks, "checks")]
        return rows + rows_of(name, executor, objects, self.cost, of=checks)


@contextmanager
def stretch_of(operator: OperatorProcess) -> Iterator[Stretch]:
    """What the block's time holds; filled in at its end."""
    stretch = Stretch()
    checks, runs = operator.checks(), operator.runs()
    with operator.meter.measure() as cost:
        yield stretch
    stretch.cost = cost
    stretch.checks, stretch.runs = operator.checks() - checks, operator.runs() - runs


def measure_restart(operator: OperatorProcess, objects: int, period_s: float) -> list[Row]:
    """Start the operator and measure until one period later: what a start costs is in it."""
    stretch = Stretch()
    with operator.meter.measure() as stretch.cost:
        operator.start()
        time.sleep(period_s)
    stretch.checks, stretch.runs = operator.checks(), operator.runs()
    stretch.expect(objects)
    return stretch.rows("restart", operator.executor, objects)


def measure_steady(operator: OperatorProcess, objects: int, period_s: float, name: str = "steady") -> list[Row]:
    """One period with nothing to do."""
    with stretch_of(operator) as stretch:
        time.sleep(period_s)
    stretch.expect(objects)
    return stretch.rows(name, operator.executor, objects)


def measure_drift(
    operator: OperatorProcess, objects: int, period_s: float, drifting: Sequence[str], s3: Any
) -> list[Row]:
    """One period, and until the last is repaired, in which these buckets get versions that no spec asks for."""
    with stretch_of(operator) as stretch:
        runs = operator.runs()
        deadline = time.monotonic() + period_s
        for bucket in drifting:
            s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        time.sleep(max(0.0, deadline - time.monotonic()))
        _wait_until(lambda: operator.runs() >= runs + len(drifting), "the repair of all that drifted")
    stretch.expect(objects, differing=len(drifting))
    return stretch.rows("drift", operator.executor, objects)


def measure_throttled(operator: OperatorProcess, objects: int, period_s: float) -> list[Row]:
    """One period in which IAM refuses what is too much: how many checks that leaves, and how many of them fail."""
    with stretch_of(operator) as stretch:
        time.sleep(period_s)
    if stretch.runs:
        raise BenchError(f"{stretch.runs} runs, although a check that fails proves no difference")
    failed = Row("throttled_iam", operator.executor, objects, "failed", stretch.checks["failed"], "checks")
    return [failed, *stretch.rows("throttled_iam", operator.executor, objects)]


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _REPAIRED_S
    while not holds():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {_REPAIRED_S:g} s: {what}")
        time.sleep(_POLL_S)
