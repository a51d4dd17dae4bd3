"""How long a new object takes to Ready while another namespace keeps the operator busy, each time with another load.

Each load is kept up for as long as new objects are measured: a load that is over gives no row.
"""

from __future__ import annotations

import base64
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from bench import BenchError
from bench.objects import make, new_object
from bench.place import OBJECT, Place
from bench.process import OperatorProcess
from bench.rows import Row
from bench.watching import delete_and_wait, make_until_ready
from runner.control.status import ready_condition
from s3bucket.api import PLURAL
from s3bucket.secrets import SECRET_KEY

NOISY, QUIET = "noisy", "quiet"
_REPEATS = 7
# Fewer have no median.
_LEAST_REPEATS = 3
_TIMEOUT_S = 600
_THREADS = 8
_EVERY_S = 1.0
_POLL_S = 0.5
# As long as nothing waits and no run ends, the operator is idle.
_IDLE_S = 5.0


def times_while(is_loaded: Callable[[], bool], measure: Callable[[], float]) -> list[float]:
    """Measure some times, as long as there is load. A time counts only if there was load until its end.

    :raises BenchError: when there was too little load
    """
    times: list[float] = []
    while len(times) < _REPEATS and is_loaded():
        time_s = measure()
        if is_loaded():
            times.append(time_s)
    if len(times) < _LEAST_REPEATS:
        raise BenchError(f"the load was over after {len(times)} new objects: give it more objects")
    return times


def make_edited(place: Place, count: int) -> list[str]:
    """Make both namespaces, and the objects that are edited: before the operator is started. Returns their names."""
    for namespace in (NOISY, QUIET):
        place.make_namespace(namespace)
    names = [f"edited-{number:04d}" for number in range(count)]
    make(place, NOISY, names)
    return names


class Fairness:
    """Measures one load after the other.

    :param conflicting: how many conflicting objects are made, and deleted, at once
    :param edited: objects that are Ready; they are edited every second
    """

    def __init__(self, place: Place, operator: OperatorProcess, conflicting: int, edited: Sequence[str]) -> None:
        self._place = place
        self._operator = operator
        self._conflicting = [f"conflict-{number:04d}" for number in range(conflicting)]
        self._edited = edited
        self._numbers = itertools.count()

    def measure_alone(self) -> list[Row]:
        """New objects while nothing else is to be done."""
        self._measure_one(next(self._numbers))
        return self._measure("fair_alone", 1, lambda: True)

    def measure_creation(self) -> list[Row]:
        """While conflicting objects are reconciled: each asks for a bucket that is not the operator's."""
        s3, custom = self._place.aws.client("s3"), self._place.custom
        for name in self._conflicting:
            s3.create_bucket(Bucket=name)
        with self._idle_after():
            self._each(
                self._conflicting,
                lambda name: custom.create_namespaced_custom_object(*OBJECT, NOISY, PLURAL, new_object(name, NOISY)),
            )
            rows = self._measure("fair_creation", len(self._conflicting), lambda: self._count_new() > 0)
        if self._count_new():
            raise BenchError("some of the conflicting objects were never reconciled")
        return rows

    def measure_deletion(self) -> list[Row]:
        """While the same objects, which own nothing, are deleted."""
        custom = self._place.custom
        with self._idle_after():
            self._each(
                self._conflicting, lambda name: custom.delete_namespaced_custom_object(*OBJECT, NOISY, PLURAL, name)
            )
            return self._measure("fair_deletion", len(self._conflicting), lambda: self._count_deleted() > 0)

    def measure_specs(self) -> list[Row]:
        """While the specs of objects that were Ready are edited."""
        return self._measure_edits("fair_specs", self._edit_spec)

    def measure_secrets(self) -> list[Row]:
        """While their Secrets are edited."""
        return self._measure_edits("fair_secrets", self._edit_secret)

    def _measure_edits(self, name: str, edit: Callable[[int, str], object]) -> list[Row]:
        with self._idle_after(), self._every_second(edit) as rounds:
            return self._measure(name, len(self._edited), lambda: bool(rounds))

    def _edit_spec(self, number: int, name: str) -> object:
        body = {"spec": {"enableVersioning": number % 2 == 0}}
        return self._place.custom.patch_namespaced_custom_object(*OBJECT, NOISY, PLURAL, name, body)

    def _edit_secret(self, number: int, name: str) -> object:
        value = base64.b64encode(f"edit {number}".encode()).decode()
        return self._place.core.patch_namespaced_secret(f"{name}-iam-secret", NOISY, {"data": {SECRET_KEY: value}})

    def _measure(self, name: str, objects: int, is_loaded: Callable[[], bool]) -> list[Row]:
        walls = times_while(is_loaded, lambda: self._measure_one(next(self._numbers)))
        found = [("wall_median", statistics.median(walls)), ("wall_least", min(walls)), ("wall_most", max(walls))]
        return [Row(name, self._operator.executor, objects, metric, value, "s") for metric, value in found]

    def _measure_one(self, number: int) -> float:
        name = f"quiet-{number:04d}"
        started = time.monotonic()
        make_until_ready(self._place, QUIET, [name], _TIMEOUT_S)
        wall_s = time.monotonic() - started
        delete_and_wait(self._place, QUIET, [name], _TIMEOUT_S)
        return wall_s

    def _count_new(self) -> int:
        """The conflicting objects that have no outcome yet."""
        seen = self._place.custom.list_namespaced_custom_object(*OBJECT, NOISY, PLURAL)["items"]
        found = {item["metadata"]["name"]: ready_condition(item.get("status") or {}).get("reason") for item in seen}
        return sum(found.get(name, "Pending") in (None, "Pending") for name in self._conflicting)

    def _count_deleted(self) -> int:
        """The conflicting objects that are still there."""
        seen = self._place.custom.list_namespaced_custom_object(*OBJECT, NOISY, PLURAL)["items"]
        return len({item["metadata"]["name"] for item in seen} & set(self._conflicting))

    def _each(self, names: Sequence[str], act: Callable[[str], object]) -> None:
        with ThreadPoolExecutor(_THREADS) as pool:
            for done in [pool.submit(act, name) for name in names]:
                done.result()

    @contextmanager
    def _every_second(self, edit: Callable[[int, str], object]) -> Iterator[list[int]]:
        """Edit each object every second. Gives the numbers of the rounds so far, one at least."""
        stopped, rounds = threading.Event(), list[int]()

        def run() -> None:
            for number in itertools.count():
                started = time.monotonic()
                self._each(self._edited, partial(edit, number))
                rounds.append(number)
                if stopped.wait(max(0.0, _EVERY_S - (time.monotonic() - started))):
                    return

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(run)
            try:
                while not rounds and not running.done():
                    time.sleep(_POLL_S)
                yield rounds
            finally:
                stopped.set()
            running.result()

    @contextmanager
    def _idle_after(self) -> Iterator[None]:
        """Wait, at the end, until the operator has nothing to do, so that the next load begins as this one did.

        :raises BenchError: when it has always something to do
        """
        yield
        deadline = time.monotonic() + _TIMEOUT_S
        last, since = self._operator.progress(), time.monotonic()
        while time.monotonic() < since + _IDLE_S:
            if time.monotonic() > deadline:
                raise BenchError(f"the operator is not idle after {_TIMEOUT_S} s")
            time.sleep(_POLL_S)
            now = self._operator.progress()
            if now != last or now[1]:
                last, since = now, time.monotonic()
