"""The maximum duration of a shutdown, whatever hangs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from runner.control.shutdown import END_S, LEASE_S, WORKERS_S, Shutdown

PROJECT = Path(__file__).parents[3]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_parts_share_one_deadline_and_none_waits_longer(clock: Clock) -> None:
    shutdown = Shutdown(30, clock)
    shutdown.begin()
    assert shutdown.stopping.is_set()
    assert (shutdown.left_s(0), shutdown.left_s(WORKERS_S)) == (30, 37)
    # Hanging workers do not shorten the time of the other parts.
    clock.now += 37
    shutdown.begin(is_graceful=False)
    assert (shutdown.left_s(WORKERS_S), shutdown.left_s(LEASE_S)) == (0, LEASE_S - WORKERS_S)
    clock.now += 100
    assert shutdown.left_s(END_S) == 0


def test_work_that_ends_early_leaves_no_grace(clock: Clock) -> None:
    shutdown = Shutdown(30, clock)
    shutdown.begin()
    clock.now += 1
    shutdown.begin(is_graceful=False)
    assert (shutdown.left_s(0), shutdown.left_s(LEASE_S)) == (0, LEASE_S)


def test_second_signal_gives_no_more_time(clock: Clock) -> None:
    shutdown = Shutdown(30, clock)
    shutdown.begin()
    clock.now += 20
    shutdown.begin()
    assert shutdown.left_s(0) == 10


def test_end_comes_before_the_kubelet_kills_the_pod() -> None:
    deployment = (PROJECT / "chart" / "s3-operator" / "templates" / "deployment.yaml").read_text()
    found = re.search(r"--grace-period=.*terminationGracePeriodSeconds\) (\d+)\)", deployment)
    assert found, "what the chart leaves after the grace period"
    assert WORKERS_S < LEASE_S < END_S < int(found[1])
