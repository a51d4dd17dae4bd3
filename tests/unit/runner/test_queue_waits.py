"""Who wakes of the workers that wait for an object of the work queue: whoever has something to do, and hardly another.

How often a worker wakes shows in the clock, which it asks each time. Each test waits until all who were woken wait
again, or have an object, so that it depends on no speed.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dev.wait import wait_until
from runner.control import queue as queue_module
from runner.control.queue import Lane, Pool, WorkQueue
from runner.objects import Key

RUNS, CHECKS = (Lane.FRESH, Lane.REPAIR), (Lane.RESYNC,)
A, B, C, D = ("ns", "a"), ("ns", "b"), ("ns", "c"), ("ns", "d")


class Place:
    """A queue, and after :meth:`start` five workers that wait for checks and three that wait for runs."""

    def __init__(self, per_namespace: int = 1000) -> None:
        self.now = 100.0
        self.asked: Counter[str] = Counter()
        self.taken: list[Key] = []
        self.queue = WorkQueue(self._clock, [Pool(RUNS, per_namespace, 3), Pool(CHECKS, per_namespace)])
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._threads = [threading.Thread(target=self._take, args=(RUNS,), name=f"run-{n}") for n in range(3)]
        self._threads += [threading.Thread(target=self._take, args=(CHECKS,), name=f"check-{n}") for n in range(5)]
        for thread in self._threads:
            thread.start()
        self.wait_for_all()

    def close(self) -> None:
        self.queue.shut_down()
        for thread in self._threads:
            thread.join()

    def woken_by(self, act: Callable[[], None], *, taken: int = 0) -> set[str]:
        """The names of the workers that wake while something is done, with those that then take an object."""
        self.asked.clear()
        before = len(self.taken)
        act()
        wait_until(lambda: len(self.taken) == before + taken, f"{taken} objects are taken", 60)
        self.wait_for_all()
        return {name for name in self.asked if name.startswith(("run", "check"))}

    def wait_for_all(self) -> None:
        """Wait until each worker waits, or has taken its object."""
        wait_until(lambda: self._waiting() + len(self.taken) == len(self._threads), "all wait", 60)

    def _waiting(self) -> int:
        with self.queue._lock:
            return sum(len(waiters._changed._waiters) for waiters in self.queue._waiters.values())  # type: ignore[attr-defined]

    def _clock(self) -> float:
        self.asked[threading.current_thread().name] += 1
        return self.now

    def _take(self, lanes: tuple[Lane, ...]) -> None:
        found = self.queue.get(lanes=lanes)
        if found:
            self.taken.append(found[0])


@pytest.fixture
def empty() -> Iterator[Place]:
    made = Place()
    yield made
    made.close()


@pytest.fixture
def place(empty: Place) -> Place:
    empty.start()
    return empty


@pytest.fixture
def narrow() -> Iterator[Place]:
    made = Place(per_namespace=1)
    made.start()
    yield made
    made.close()


def kinds(names: set[str]) -> Counter[str]:
    return Counter(name.partition("-")[0] for name in names)


def test_object_wakes_two_workers_at_most_and_none_of_another_pool(place: Place) -> None:
    found = kinds(place.woken_by(lambda: place.queue.add(A, Lane.RESYNC), taken=1))
    assert set(found) == {"check"}
    assert found["check"] <= 2
    found = kinds(place.woken_by(lambda: place.queue.add(B, Lane.FRESH), taken=1))
    assert set(found) == {"run"}
    assert found["run"] <= 2


def test_objects_that_are_due_together_are_all_taken(place: Place) -> None:
    def add_all() -> None:
        for key in (A, B, C, D):
            place.queue.add(key, Lane.RESYNC)

    place.woken_by(add_all, taken=4)
    assert sorted(place.taken) == [A, B, C, D]


def test_later_object_wakes_one_worker_only_if_it_is_due_before_all_others(place: Place) -> None:
    queue = place.queue
    assert kinds(place.woken_by(lambda: queue.add(A, Lane.RESYNC, 3000))) == {"check": 1}
    assert not place.woken_by(lambda: queue.add(B, Lane.RESYNC, 4000))
    assert kinds(place.woken_by(lambda: queue.add(B, Lane.RESYNC, 2000))) == {"check": 1}


def test_one_worker_waits_for_the_time_at_which_an_object_is_due(empty: Place) -> None:
    """The clock stands still, so whoever wakes when the object should be due waits for that time again."""
    empty.queue.add(A, Lane.RESYNC, 0.01)
    empty.queue.add(B, Lane.RESYNC, 0.03)
    empty.start()
    empty.asked.clear()
    wait_until(lambda: max(empty.asked.values(), default=0) > 20, "a worker wakes again and again", 60)
    assert kinds(set(empty.asked)) == {"check": 1}
    empty.now += 0.02
    wait_until(lambda: empty.taken == [A], "the first object is taken", 60)
    # Another worker waits for the second one now.
    empty.now += 0.02
    wait_until(lambda: empty.taken == [A, B], "the second object is taken", 60)


def start_with_rest(place: Place) -> Key:
    """Start with a namespace that rests for another one. Returns the other one's object, which is being processed."""
    queue = place.queue
    for number in range(6):
        queue.add(("noisy", f"o{number}"))
    noisy = queue.get(0, RUNS)
    queue.add(("quiet", "a"))
    quiet = queue.get(0, RUNS)
    assert noisy is not None
    assert quiet == (("quiet", "a"), Lane.FRESH)
    place.now += queue_module.MAX_REST_S
    queue.done(noisy[0])
    place.start()
    assert not place.taken
    return quiet[0]


def test_all_that_rested_is_taken_once_it_rests_for_nobody(empty: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """One worker is woken, and wakes the next, also where another one waits for a time."""
    monkeypatch.setattr(queue_module, "MAX_REST_S", 3000.0)
    quiet = start_with_rest(empty)
    empty.woken_by(lambda: empty.queue.add(A, delay_s=2000))
    empty.queue.done(quiet)
    empty.now += 10
    wait_until(lambda: len(empty.taken) == 3, "each worker has an object", 60)


def test_rest_ends_by_itself(empty: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "MAX_REST_S", 0.01)
    start_with_rest(empty)
    empty.now += 10
    wait_until(lambda: len(empty.taken) == 3, "each worker has an object", 60)


def test_done_wakes_nobody_when_nothing_is_due(place: Place) -> None:
    queue = place.queue
    place.woken_by(lambda: queue.add(A, Lane.RESYNC), taken=1)
    place.woken_by(lambda: queue.add(B, Lane.RESYNC, 1000))

    def finish() -> None:
        queue.postpone(A, Lane.RESYNC, 2000)
        queue.done(A)

    assert not place.woken_by(finish)


def test_done_wakes_a_worker_for_what_was_added_meanwhile(place: Place) -> None:
    place.woken_by(lambda: place.queue.add(A), taken=1)
    assert not place.woken_by(lambda: place.queue.add(A))
    assert set(kinds(place.woken_by(lambda: place.queue.done(A), taken=1))) == {"run"}
    assert place.taken == [A, A]


def test_done_wakes_a_worker_for_what_its_namespace_waits_for(narrow: Place) -> None:
    narrow.woken_by(lambda: narrow.queue.add(A), taken=1)
    assert set(kinds(narrow.woken_by(lambda: narrow.queue.add(B)))) <= {"run"}
    assert set(kinds(narrow.woken_by(lambda: narrow.queue.done(A), taken=1))) == {"run"}
    assert narrow.taken == [A, B]


def test_no_object_is_left_by_workers_that_wait_with_and_without_an_end() -> None:
    """Many objects, due at once and a moment later, of namespaces with one worker each: a lost wake-up would hang."""
    queue = WorkQueue(pools=[Pool(RUNS, 1), Pool(CHECKS, 1)])
    names = [(f"ns{number % 5}", f"o{number}") for number in range(300)]
    left, all_done = set(names), threading.Event()

    def work(lanes: tuple[Lane, ...], timeout_s: float | None) -> None:
        while not all_done.is_set():
            found = queue.get(timeout_s, lanes)
            if found is None:
                continue
            left.discard(found[0])
            queue.done(found[0])
            if not left:
                all_done.set()
                queue.shut_down()

    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(work, lanes, end) for lanes in (RUNS, RUNS[::-1], CHECKS, CHECKS) for end in (None, 0.003)]
        for number, key in enumerate(names):
            queue.add(key, (Lane.FRESH, Lane.REPAIR, Lane.RESYNC)[number % 3], (number % 7) / 1000)
        all_done.wait(60)
        queue.shut_down()
        all_done.set()
    assert [item.result() for item in done] == [None] * 8
    assert not left
