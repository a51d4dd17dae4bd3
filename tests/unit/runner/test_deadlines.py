"""The watchdog, with real processes: an operator of a few lines, and a run of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from dev.wait import wait_until
from runner.execution import processes
from tests.support.world import PROJECT

# It reads a deadline a line, in seconds from now, and answers when it is set.
_OPERATOR = """
import os, subprocess, sys, threading, time
from runner.execution import processes
from runner.execution.deadlines import Deadlines
deadlines = Deadlines(2)
threading.Thread(target=deadlines.keep_watchdog, daemon=True).start()
while deadlines._process is None:
    time.sleep(0.01)
run = {**os.environ, processes.RUN_ID: processes.operator_id() + "-1"}
child = subprocess.Popen(["setsid", "sleep", "600"], env=run)
print(deadlines._process.pid, flush=True)
for line in sys.stdin:
    if line.strip() == "close":
        deadlines.close()
        child.kill()
        break
    number, seconds = line.split()
    deadlines.set(int(number), time.clock_gettime(time.CLOCK_BOOTTIME) + float(seconds))
    print("set", flush=True)
"""


class Operator:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _OPERATOR], cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout
        self.watchdog = int(self.process.stdout.readline())
        self.id = processes.operator_id(self.process.pid)

    def send(self, line: str) -> None:
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == ("" if line == "close" else "set\n")

    def has_watchdog(self) -> bool:
        return bool(processes.read_stat(self.watchdog))


@pytest.fixture
def operator() -> Iterator[Operator]:
    made = Operator()
    with made.process:
        wait_until(lambda: processes.find_runs_of(made.id), "its run")
        yield made
        made.process.kill()


def test_operator_that_is_stopped_is_killed_with_its_runs_at_its_deadline(operator: Operator) -> None:
    operator.send("0 600")
    operator.send("1 1.5")
    operator.process.send_signal(signal.SIGSTOP)
    assert operator.process.wait(60) == -signal.SIGKILL
    wait_until(lambda: not processes.find_runs_of(operator.id), "no run is left")
    wait_until(lambda: not operator.has_watchdog(), "no watchdog is left")


def test_deadline_that_is_moved_or_taken_away_kills_nothing(operator: Operator) -> None:
    operator.send("0 1")
    operator.send("0 600")
    operator.send("1 0.5")
    operator.send("1 inf")
    with pytest.raises(subprocess.TimeoutExpired):
        operator.process.wait(2)
    operator.send("close")
    assert operator.process.wait(60) == 0
    wait_until(lambda: not operator.has_watchdog(), "no watchdog is left")


def test_runs_of_an_operator_that_is_killed_are_ended(operator: Operator) -> None:
    operator.process.kill()
    operator.process.wait()
    wait_until(lambda: not processes.find_runs_of(operator.id), "no run is left")
    wait_until(lambda: not operator.has_watchdog(), "no watchdog is left")


def test_watchdog_that_is_killed_is_started_again(operator: Operator) -> None:
    subprocess.run(["kill", "-9", str(operator.watchdog)], check=True)
    operator.send("0 1")
    operator.process.send_signal(signal.SIGCONT)
    assert operator.process.wait(60) == -signal.SIGKILL
