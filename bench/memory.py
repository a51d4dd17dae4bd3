"""The memory of an operator that has worked for some time, and how fast it grows."""

from __future__ import annotations

import math
import statistics
import time

from bench.process import OperatorProcess
from bench.rows import Row

MINUTES = (1, 2, 5, 10, 15, 20, 25, 30)
_NEAR_S = 20.0
# The operator keeps the IAM users that it read last until it has read them anew: from then on both lists have had
# their place in memory, and what grows still is growth.
_WARM_UP_PERIODS = 2


def measure_memory(operator: OperatorProcess, objects: int, minutes: int, slope_from: int | None) -> list[Row]:
    """Wait until the operator is up for a number of minutes; rows of its memory until then."""
    start = operator.memory.samples[0][0]
    time.sleep(max(0.0, start + minutes * 60 + _NEAR_S - time.monotonic()))
    samples = [((at - start) / 60, mb) for at, mb in list(operator.memory.samples)]
    return memory_rows(samples, operator.executor, objects, minutes, slope_from)


def first_minute_of_slope(sync_period_s: float) -> int:
    """The first whole minute of the third sync period."""
    return math.ceil(_WARM_UP_PERIODS * sync_period_s / 60)


def memory_rows(
    samples: list[tuple[float, float]], executor: str, objects: int, last: int, slope_from: int | None
) -> list[Row]:
    """Rows of the memory after some minutes, and of the slope.

    What counts is the least of the samples around a minute: runs have processes that are there for a second and are no
    growth. The slope is that of a line, by least squares, through all whole minutes.

    :param samples: minutes since the start, and 10^6 bytes
    :param slope_from: the first minute of the line; None for no slope, which needs more minutes than a short run has
    """
    rows = []
    for minute in MINUTES:
        near = [mb for at, mb in samples if abs(at - minute) * 60 <= _NEAR_S]
        if near and minute <= last:
            rows.append(Row("memory", executor, objects, f"pss_{minute}_min", min(near), "MB"))
    if slope_from is not None:
        slope = _slope([(at, mb) for at, mb in samples if slope_from <= at < last])
        rows.append(Row("memory", executor, objects, "pss_slope", slope, "MB/min"))
    return rows


def _slope(samples: list[tuple[float, float]]) -> float:
    minutes: dict[int, list[float]] = {}
    for at, mb in samples:
        minutes.setdefault(int(at), []).append(mb)
    return statistics.linear_regression(list(minutes), [min(mbs) for mbs in minutes.values()]).slope
