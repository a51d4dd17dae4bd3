"""The memory of an operator that has worked for some time, and how fast it grows."""

from __future__ import annotations

import statistics
import time

from bench.process import OperatorProcess
from bench.rows import Row

MINUTES = (1, 2, 5, 10, 15, 20, 25, 30)
_FIRST_MINUTE = 1
_NEAR_S = 20.0


def measure_memory(operator: OperatorProcess, objects: int, minutes: int) -> list[Row]:
    """Wait until the operator is up for so many minutes; rows of its memory until then."""
    start = operator.memory.samples[0][0]
    time.sleep(max(0.0, start + minutes * 60 + _NEAR_S - time.monotonic()))
    samples = [((at - start) / 60, mb) for at, mb in list(operator.memory.samples)]
    return memory_rows(samples, operator.executor, objects, minutes)


def memory_rows(samples: list[tuple[float, float]], executor: str, objects: int, last: int) -> list[Row]:
    """Rows of the memory after some minutes, and of the slope from the first to the last.

    What counts is the least of the looks around a minute: runs have processes that are there for a second and are no
    growth. The slope is that of a line, by least squares, through all whole minutes.

    :param samples: minutes since the start, and 10^6 bytes
    """
    rows = []
    for minute in MINUTES:
        near = [mb for at, mb in samples if abs(at - minute) * 60 <= _NEAR_S]
        if near and minute <= last:
            rows.append(Row("memory", executor, objects, f"pss_{minute}_min", min(near), "MB"))
    return [*rows, Row("memory", executor, objects, "pss_slope", _slope(samples, last), "MB/min")]


def _slope(samples: list[tuple[float, float]], last: int) -> float:
    minutes: dict[int, list[float]] = {}
    for at, mb in samples:
        if _FIRST_MINUTE <= at < last:
            minutes.setdefault(int(at), []).append(mb)
    return statistics.linear_regression(list(minutes), [min(mbs) for mbs in minutes.values()]).slope
