"""The memory of an operator that has worked for some time, and how fast it grows."""

from __future__ import annotations

import statistics
import time

from bench.process import OperatorProcess
from bench.rows import Row

MINUTES = (1, 2, 5, 10, 15, 20, 25, 30)
_NEAR_S = 20.0


def wait_until_minute(operator: OperatorProcess, minute: float) -> None:
    """Wait until the operator's memory was sampled for so long."""
    time.sleep(max(0.0, _start(operator) + minute * 60 + _NEAR_S - time.monotonic()))


def memory_rows(operator: OperatorProcess, objects: int, last_minute: float, first_minute: float = 1) -> list[Row]:
    """Rows of the memory after some minutes, and of the slope between the first and the last.

    The slope is that of a line, by least squares, through the medians of the minutes: a run's processes that were there
    for a second are no growth.
    """
    start = _start(operator)
    samples = [((at - start) / 60, mb) for at, mb in list(operator.memory.samples)]
    rows = []
    for minute in MINUTES:
        near = [mb for at, mb in samples if abs(at - minute) * 60 <= _NEAR_S]
        if near and minute <= last_minute:
            value = statistics.median(near)
            rows.append(Row("memory", operator.executor, objects, f"pss_{minute}_min", value, "MB"))
    slope = _slope(samples, first_minute, last_minute)
    if slope is not None:
        metric = "pss_slope"
        rows.append(Row("memory", operator.executor, objects, metric, slope, "MB/min"))
    return rows


def _slope(samples: list[tuple[float, float]], first: float, last: float) -> float | None:
    minutes: dict[int, list[float]] = {}
    for at, mb in samples:
        if first <= at < last:
            minutes.setdefault(int(at), []).append(mb)
    if len(minutes) < 2:
        return None
    return statistics.linear_regression(list(minutes), [statistics.median(mbs) for mbs in minutes.values()]).slope


def _start(operator: OperatorProcess) -> float:
    return operator.memory.samples[0][0]
