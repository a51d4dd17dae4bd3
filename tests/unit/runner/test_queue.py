"""The work queue: order, exclusivity, delays, and fairness between namespaces."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import FrameType

import pytest

from runner.control.queue import (
    FAILED_WAITS_S,
    LEAST_REST_S,
    LINGER_S,
    MAX_FAILED_WAITS_S,
    MAX_REST_S,
    Lane,
    Pool,
    Standing,
    WorkQueue,
)
from runner.control.turns import Heap
from runner.objects import Key

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make(per_namespace: int = 1000) -> tuple[WorkQueue, Clock]:
    clock = Clock()
    return WorkQueue(clock, [Pool((Lane.FRESH, Lane.REPAIR), per_namespace), Pool((Lane.RESYNC,), 1000)]), clock


def test_get_fresh_goes_before_resync_whatever_came_first() -> None:
    queue, clock = make()
    queue.add(A, Lane.RESYNC)
    clock.now += 1
    queue.add(B, Lane.FRESH)
    assert [queue.get(0), queue.get(0), queue.get(0)] == [(B, Lane.FRESH), (A, Lane.RESYNC), None]


def test_get_object_in_hands_is_not_served_again_until_done() -> None:
    queue, _ = make()
    queue.add(A)
    assert queue.get(0) == (A, Lane.FRESH)
    queue.add(A)
    assert queue.get(0) is None
    queue.done(A)
    assert queue.get(0) == (A, Lane.FRESH)


def test_add_twice_is_served_once() -> None:
    queue, _ = make()
    queue.add(A)
    queue.add(A)
    queue.get(0)
    queue.done(A)
    assert queue.get(0) is None


def test_get_delayed_is_served_when_due() -> None:
    queue, clock = make()
    queue.add(A, Lane.RESYNC, delay_s=10)
    assert queue.get(0) is None
    clock.now += 10
    assert queue.get(0) == (A, Lane.RESYNC)


def test_add_urgent_wish_wins_over_a_waiting_one() -> None:
    queue, _ = make()
    queue.add(A, Lane.RESYNC, delay_s=300)
    queue.add(A, Lane.FRESH)
    assert queue.get(0) == (A, Lane.FRESH)
    queue.done(A)
    assert queue.get(0) is None


def test_add_patient_wish_does_not_delay_an_urgent_one() -> None:
    queue, _ = make()
    queue.add(A, Lane.FRESH)
    queue.add(A, Lane.RESYNC, delay_s=300)
    assert queue.get(0) == (A, Lane.FRESH)


def test_postpone_gives_way_to_what_came_during_the_run() -> None:
    queue, _ = make()
    queue.add(A)
    queue.get(0)
    queue.add(A, Lane.FRESH)
    queue.postpone(A, Lane.RESYNC, 300)
    queue.done(A)
    assert queue.get(0) == (A, Lane.FRESH)


@pytest.mark.parametrize("lane", [Lane.FRESH, Lane.RESYNC])
def test_what_is_to_go_on_does_not_wait_for_a_later_request(lane: Lane) -> None:
    """Whoever edits a Secret or the spec again and again, at a limited rate, must not delay a repair or a deletion."""
    queue, clock = make()
    queue.add(A)
    queue.get(0)
    queue.add(A, lane, delay_s=120)
    queue.postpone(A, Lane.REPAIR, 0)
    queue.done(A)
    assert queue.get(0) == (A, min(lane, Lane.REPAIR))
    # A failure, and a conflict with whoever edits the object, give way to the request.
    queue.add(A, lane, delay_s=120)
    queue.postpone(A, Lane.RESYNC, 5)
    queue.postpone(A, Lane.FRESH, 5)
    queue.done(A)
    clock.now += 60
    assert queue.get(0) is None


def test_repair_does_not_wait_for_one_more_check() -> None:
    """Somebody changes the object during each of its checks. The run of a repair compares it anew."""
    queue, _ = make()
    queue.add(A, Lane.RESYNC)
    queue.get(0)
    queue.add(A, Lane.RESYNC)
    queue.postpone(A, Lane.REPAIR, 0)
    queue.done(A)
    assert queue.get(0, (Lane.RESYNC,)) is None
    assert queue.get(0, (Lane.REPAIR,)) == (A, Lane.REPAIR)
    queue.done(A)
    assert queue.get(0) is None


def test_forget_drops_a_waiting_object() -> None:
    queue, _ = make()
    queue.add(A)
    queue.forget(A)
    assert queue.get(0) is None


def test_thousand_resyncs_do_not_delay_a_fresh_object() -> None:
    queue, clock = make()
    for number in range(1000):
        queue.add(("ns", f"o{number}"), Lane.RESYNC, delay_s=number / 100)
    clock.now += 20
    queue.add(A, Lane.FRESH)
    assert queue.get(0) == (A, Lane.FRESH)


def test_depths_count_what_is_due() -> None:
    queue, _ = make()
    queue.add(A, Lane.FRESH)
    queue.add(B, Lane.RESYNC)
    queue.add(C, Lane.RESYNC, delay_s=10)
    assert queue.depths() == {Lane.FRESH: 1, Lane.REPAIR: 0, Lane.RESYNC: 1}


def test_shut_down_ends_get() -> None:
    queue, _ = make()
    queue.add(A)
    queue.shut_down()
    assert queue.get() is None


def test_get_serves_only_the_lanes_it_is_asked_for() -> None:
    queue, clock = make()
    queue.add(A, Lane.RESYNC)
    clock.now += 1
    queue.add(B, Lane.REPAIR)
    queue.add(C, Lane.FRESH)
    assert [queue.get(0, (Lane.FRESH, Lane.REPAIR)) for _ in range(3)] == [(C, Lane.FRESH), (B, Lane.REPAIR), None]
    assert queue.get(0, (Lane.RESYNC,)) == (A, Lane.RESYNC)


def drain(queue: WorkQueue, lanes: tuple[Lane, ...] = tuple(Lane), at_most: int = 1000) -> list[str]:
    """The items that one worker gets, in order, as namespace/name."""
    served = []
    while len(served) < at_most:
        found = queue.get(0, lanes)
        if found is None:
            break
        served.append("/".join(found[0]))
        queue.done(found[0])
    return served


def namespace_of_next(queue: WorkQueue) -> str | None:
    """The namespace of the object that a worker gets; None where there is none."""
    found = queue.get(0)
    return found[0][0] if found else None


@pytest.mark.parametrize("lane", list(Lane), ids=[lane.name.lower() for lane in Lane])
@pytest.mark.parametrize(
    ("added", "served"),
    [
        ("a/1 a/2 a/3 b/1", "a/1 b/1 a/2 a/3"),
        ("a/1 a/2 b/1 b/2 c/1", "a/1 b/1 c/1 a/2 b/2"),
        ("a/3 a/1 a/2", "a/3 a/1 a/2"),
        ("b/1 a/1 b/2 a/2", "b/1 a/1 b/2 a/2"),
    ],
    ids=["noisy-and-quiet", "three", "one-in-order-of-time", "equal"],
)
def test_get_namespaces_take_turns(lane: Lane, added: str, served: str) -> None:
    queue, clock = make()
    for word in added.split():
        namespace, _, name = word.partition("/")
        queue.add((namespace, name), lane)
        clock.now += 0.001
    assert drain(queue) == served.split()


def test_get_quiet_namespace_is_next_however_long_the_backlog_is() -> None:
    queue, clock = make()
    for number in range(300):
        queue.add(("noisy", f"o{number}"))
        clock.now += 0.001
    assert len(drain(queue, at_most=10)) == 10
    queue.add(("quiet", "new"))
    assert "quiet/new" in drain(queue, at_most=2)


@pytest.mark.parametrize(
    ("per_namespace", "noisy", "quiet"), [(1, 1, 1), (2, 2, 1), (7, 7, 1)], ids=["two-workers", "three", "eight"]
)
def test_get_namespace_has_at_most_its_share_of_a_pool(per_namespace: int, noisy: int, quiet: int) -> None:
    queue, _ = make(per_namespace)
    for number in range(20):
        queue.add(("noisy", f"o{number}"))
    held = [queue.get(0) for _ in range(noisy)]
    assert None not in held
    assert queue.get(0) is None
    queue.add(("quiet", "new"))
    assert queue.get(0) == (("quiet", "new"), Lane.FRESH)
    assert queue.get(0) is None
    # Another pool has workers of its own. A worker that finishes makes room in its pool.
    queue.add(("noisy", "old"), Lane.RESYNC)
    assert queue.get(0) == (("noisy", "old"), Lane.RESYNC)
    assert queue.get(0) is None
    assert held[0] is not None
    queue.done(held[0][0])
    assert queue.get(0) is not None


def test_done_wakes_a_worker_that_waits_for_room() -> None:
    queue = WorkQueue(pools=[Pool(tuple(Lane), 1)])
    queue.add(A)
    queue.add(B)
    assert queue.get(0) is not None
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(queue.get)
        queue.done(A)
        assert waiting.result(30) == (B, Lane.FRESH)


QUIET = ("quiet", "new")


def make_backlog(
    worked_s: float, quiet: int = 1, clock: Callable[[], float] | None = None
) -> tuple[WorkQueue, Clock, Key]:
    """Three workers: one has an object of a namespace with a backlog, one has QUIET, and one has just become free.

    :param quiet: how many objects the other namespace has
    """
    fake = Clock()
    queue = WorkQueue(clock or fake, [Pool(tuple(Lane), 2, 3)])
    for number in range(20):
        queue.add(("noisy", f"o{number}"))
    first, second = queue.get(0), queue.get(0)
    assert first is not None
    assert second is not None
    queue.add(QUIET)
    assert queue.get(0) == (QUIET, Lane.FRESH)
    for number in range(1, quiet):
        queue.add(("quiet", f"o{number}"), delay_s=worked_s)
    fake.now += worked_s
    queue.done(first[0])
    return queue, fake, second[0]


@pytest.mark.parametrize(
    ("worked_s", "rest_s"),
    [(0.01, LEAST_REST_S), (3.0, 3.0), (600.0, MAX_REST_S)],
    ids=["check", "run", "long-run"],
)
def test_get_namespace_with_a_backlog_rests_while_another_is_served_and_goes_on(worked_s: float, rest_s: float) -> None:
    queue, clock, _ = make_backlog(worked_s)
    clock.now += rest_s - 0.001
    assert queue.get(0) is None
    # What the other one has to do meanwhile does not wait.
    queue.add(("quiet", "changed"))
    assert queue.get(0) == (("quiet", "changed"), Lane.FRESH)
    queue.done(("quiet", "changed"))
    assert queue.get(0) is None
    clock.now += 0.002
    assert namespace_of_next(queue) == "noisy"


def test_done_ends_the_rest_of_others_soon_after_the_last_object_of_those_without_a_backlog() -> None:
    queue, clock, _ = make_backlog(3.0)
    queue.done(QUIET)
    clock.now += LINGER_S - 0.001
    assert queue.get(0) is None
    clock.now += 0.002
    assert drain(queue, at_most=2)[0].startswith("noisy/")


def test_get_backlog_takes_no_worker_in_the_gap_between_two_objects_of_another_namespace() -> None:
    queue, clock, _ = make_backlog(3.0)
    for number in range(4):
        queue.done(QUIET if number == 0 else ("quiet", f"next{number}"))
        clock.now += LINGER_S / 2
        assert queue.get(0) is None, "the backlog rests in the gap"
        queue.add(("quiet", f"next{number + 1}"))
        assert queue.get(0) == (("quiet", f"next{number + 1}"), Lane.FRESH)
    # Its rest is no longer for that.
    clock.now += 3.0 - 4 * LINGER_S / 2
    assert namespace_of_next(queue) == "noisy"


def test_get_waits_no_longer_than_the_gap_for_a_backlog_that_rests() -> None:
    queue, clock, _ = make_backlog(3.0)
    queue.done(QUIET)
    waits: list[float] = []

    def count(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code is threading.Condition.wait.__code__:
            waits.append(frame.f_locals["timeout"])
            clock.now += waits[-1]

    sys.setprofile(count)
    try:
        found = queue.get(30)
    finally:
        sys.setprofile(None)
    assert found is not None
    assert found[0][0] == "noisy"
    assert waits == [pytest.approx(LINGER_S)]


def test_get_namespace_whose_backlog_is_done_does_not_rest_for_itself() -> None:
    clock = Clock()
    queue = WorkQueue(clock, [Pool(tuple(Lane), 2, 3)])
    for number in range(4):
        queue.add(("noisy", f"o{number}"))
    first, second = queue.get(0), queue.get(0)
    assert first is not None
    assert second is not None
    clock.now += 5.0
    # Four are more than three workers. After it three are left, and these are no backlog.
    queue.done(first[0])
    assert queue.get(0) == (("noisy", "o2"), Lane.FRESH)
    queue.done(second[0])
    assert queue.get(0) == (("noisy", "o3"), Lane.FRESH)
    # Nor when it has one again.
    for number in range(4, 10):
        queue.add(("noisy", f"o{number}"))
    clock.now += LINGER_S / 2
    queue.done(("noisy", "o2"))
    assert queue.get(0) == (("noisy", "o4"), Lane.FRESH)


@pytest.mark.parametrize("quiet", [3, 4])
def test_get_namespaces_with_a_backlog_do_not_give_way_to_each_other(quiet: int) -> None:
    queue, _, _ = make_backlog(3.0, quiet)
    served = [found[0][0] for found in (queue.get(0), queue.get(0)) if found]
    # Two workers are busy, the third is free: for both of them, or only for the one without a backlog.
    assert served[0] == ("quiet" if quiet == 3 else "noisy")


def test_get_nobody_rests_for_the_workers_of_another_pool() -> None:
    clock = Clock()
    queue = WorkQueue(clock, [Pool((Lane.FRESH,), 2, 3), Pool((Lane.RESYNC,), 1000)])
    queue.add(QUIET, Lane.RESYNC)
    for number in range(20):
        queue.add(("noisy", f"o{number}"))
    assert queue.get(0, (Lane.RESYNC,)) == (QUIET, Lane.RESYNC)
    found = queue.get(0, (Lane.FRESH,))
    assert found is not None
    queue.done(found[0])
    assert queue.get(0, (Lane.FRESH,)) is not None
    queue.done(QUIET)
    assert queue.get(0, (Lane.FRESH,)) is not None


def test_get_nobody_rests_for_an_object_that_timed_out() -> None:
    queue, clock, _ = make_backlog(3.0)
    assert queue.get(0) is None
    queue.rank(QUIET, Standing.TIMED_OUT)
    queue.done(QUIET)
    clock.now += LINGER_S
    queue.add(QUIET)
    assert queue.get(0) == (QUIET, Lane.FRESH)
    assert drain(queue, at_most=1)[0].startswith("noisy/")


def test_get_waits_until_the_rest_is_over() -> None:
    queue, _, _ = make_backlog(0.0, clock=time.monotonic)
    found = queue.get(30)
    assert found is not None
    assert found[0][0] == "noisy"


def test_get_lanes_are_served_in_the_workers_order_of_preference() -> None:
    queue, _ = make()
    for name, lane in (("fresh", Lane.FRESH), ("repair", Lane.REPAIR)):
        queue.add(("ns", name), lane)
    assert drain(queue, (Lane.REPAIR, Lane.FRESH)) == ["ns/repair", "ns/fresh"]


def test_get_object_that_failed_waits_behind_those_of_its_namespace_that_did_not() -> None:
    queue, clock = make()
    for key in (A, B):
        queue.add(key, Lane.REPAIR)
        queue.get(0)
        queue.rank(key, Standing.FAILED)
        queue.done(key)
        queue.postpone(key, Lane.REPAIR, 5)
    queue.add(C, Lane.REPAIR, 6)
    clock.now += 10
    # The failed objects are due first and served last. An object in another namespace does not wait for them.
    queue.add(("other", "failing"), Lane.REPAIR)
    assert drain(queue) == ["ns/c", "other/failing", "ns/a", "ns/b"]


def test_get_object_that_failed_is_served_at_last_where_there_is_always_more_to_do() -> None:
    queue, clock = make()
    queue.rank(A, Standing.FAILED)
    queue.add(A)
    served = []
    for number in range(int(FAILED_WAITS_S) + 2):
        queue.add(("ns", f"new{number}"))
        clock.now += 1
        served += drain(queue, at_most=1)
    assert "ns/a" in served
    queue.rank(A, Standing.GOOD)
    queue.add(A)
    clock.now += 1
    queue.add(("ns", "newer"))
    assert drain(queue)[-2:] == ["ns/a", "ns/newer"]


def test_get_objects_that_timed_out_share_one_worker_whatever_their_namespace() -> None:
    queue, clock = make(2)
    slow = [(namespace, name) for namespace in "xyz" for name in "ab"]
    for key in slow:
        queue.rank(key, Standing.TIMED_OUT)
        queue.add(key)
    clock.now += 1
    queue.add(A)
    held = [queue.get(0), queue.get(0), queue.get(0)]
    assert held == [(slow[0], Lane.FRESH), (A, Lane.FRESH), None]
    queue.done(slow[0])
    assert queue.get(0) == (slow[1], Lane.FRESH)


def test_forget_drops_how_an_object_ended() -> None:
    queue, _ = make()
    queue.rank(A, Standing.TIMED_OUT)
    queue.forget(A)
    queue.add(A)
    queue.rank(B, Standing.TIMED_OUT)
    queue.add(B)
    # If A were still in the group of B, it would already use one of the group's workers.
    assert {queue.get(0), queue.get(0)} == {(A, Lane.FRESH), (B, Lane.FRESH)}


def test_get_namespace_without_a_worker_is_before_one_with_some() -> None:
    queue, clock = make()
    for name in ("1", "2", "3", "4"):
        queue.add(("noisy", name))
    clock.now += 1
    queue.add(("other", "1"))
    held = [queue.get(0) for _ in range(3)]
    assert held == [(("noisy", "1"), Lane.FRESH), (("other", "1"), Lane.FRESH), (("noisy", "2"), Lane.FRESH)]
    # Noisy has waited longer for its turn, but has a worker already.
    clock.now += 1
    queue.add(("quiet", "new"))
    queue.done(("noisy", "1"))
    assert queue.get(0) == (("quiet", "new"), Lane.FRESH)
    assert queue.get(0) == (("noisy", "3"), Lane.FRESH)


def test_get_turns_of_one_lane_are_not_spent_in_another() -> None:
    queue, _ = make()
    for namespace in "ab":
        queue.add((namespace, "new"))
        for number in "123":
            queue.add((namespace, f"repair{number}"), Lane.REPAIR)
    assert drain(queue, (Lane.FRESH,), at_most=1) == ["a/new"]
    # The turn of a in this lane is still its own.
    assert drain(queue, (Lane.REPAIR,), at_most=3) == ["a/repair1", "b/repair1", "a/repair2"]


def test_get_object_that_fails_again_and_again_waits_behind_one_that_failed_once() -> None:
    queue, clock = make()
    for _ in range(2):
        queue.rank(A, Standing.FAILED)
    queue.rank(B, Standing.FAILED)
    queue.add(A)
    clock.now += FAILED_WAITS_S - 1
    queue.add(B)
    clock.now += FAILED_WAITS_S - 1
    queue.add(C)
    # Of the three, A is due first. It counts as due two minutes later, and B one minute later.
    assert drain(queue) == ["ns/c", "ns/b", "ns/a"]


def test_get_penalty_of_an_object_that_fails_for_ever_is_limited() -> None:
    queue, clock = make()
    for _ in range(1000):
        queue.rank(A, Standing.FAILED)
    queue.add(A)
    clock.now += MAX_FAILED_WAITS_S + 1
    queue.add(B)
    assert drain(queue) == ["ns/a", "ns/b"]


def test_load_beside_counts_what_its_namespace_has_due_or_in_process_in_the_same_pool() -> None:
    queue, clock = make()
    queue.add(A)
    assert queue.load_beside(A) == 0
    assert queue.get(0) == (A, Lane.FRESH)
    assert queue.load_beside(A) == 0
    queue.add(B)
    queue.add(C, Lane.REPAIR)
    queue.add(("ns", "old"), Lane.RESYNC)
    queue.add(("other", "a"))
    queue.add(("ns", "later"), delay_s=5)
    assert queue.load_beside(A) == 2
    assert queue.get(0, (Lane.REPAIR,)) == (C, Lane.REPAIR)
    assert queue.load_beside(A) == 2
    queue.done(C)
    assert queue.load_beside(A) == 1
    clock.now += 5
    assert queue.load_beside(A) == 2


def test_depths_count_what_is_due_again_while_it_is_processed() -> None:
    queue, _ = make()
    queue.add(A)
    queue.get(0)
    queue.add(A, Lane.FRESH)
    assert queue.depths()[Lane.FRESH] == 1
    queue.forget(A)
    assert queue.depths()[Lane.FRESH] == 0


def places(queue: WorkQueue) -> int:
    """The places in memory that the queue uses for what waits."""
    ready = [heap.size for turns in queue._ready.values() for heap in turns._values.values()]
    turns = [heap.size for turns in queue._ready.values() for heap in turns._levels.values()]
    delayed = [heap.size for heap in queue._delayed.values()]
    return sum(delayed) + sum(ready) + sum(turns)


@pytest.mark.parametrize("delay_s", [0, 300], ids=["due", "delayed"])
def test_memory_does_not_grow_with_objects_that_are_made_and_deleted_again(delay_s: float) -> None:
    queue, _ = make(1)
    queue.add(("ns", "long"))
    assert queue.get(0) is not None
    # What is removed is behind something that stays.
    queue.add(("ns", "waits"))
    queue.add(("ns", "later"), Lane.RESYNC, 100)
    queue.depths()
    for _ in range(2000):
        queue.add(A, Lane.RESYNC, delay_s)
        queue.add(A, Lane.FRESH, delay_s)
        queue.depths()
        queue.forget(A)
    assert places(queue) < 100


def steps_with(namespaces: int) -> int:
    """The steps of a get for which no namespace has room, of a done, and of the next get."""
    queue, _ = make(1)
    for number in range(10 * namespaces):
        queue.add((f"ns{number % namespaces}", f"o{number}"))
    while queue.get(0):
        pass
    steps: list[str] = []
    sys.setprofile(lambda _, event, __: steps.append(event))
    try:
        assert queue.get(0) is None
        queue.done(("ns0", "o0"))
        assert queue.get(0) is not None
    finally:
        sys.setprofile(None)
    return len(steps)


def test_get_does_not_visit_namespaces_that_may_have_no_more_workers() -> None:
    assert steps_with(1000) == steps_with(10)


def test_heap_takes_steps_in_the_logarithm_of_its_size() -> None:
    compared = []

    class Order(float):
        def __lt__(self, other: float) -> bool:
            compared.append(other)
            return float.__lt__(self, other)

        def __eq__(self, other: object) -> bool:
            return float.__eq__(self, other)

        __hash__ = float.__hash__

    heap: Heap[int] = Heap()
    tickets = [heap.push(Order(number * 7919 % 10_000), number) for number in range(10_000)]
    for ticket in tickets[::2]:
        heap.remove(ticket)
    assert len(compared) < 10_000 * 30
    compared.clear()
    heap.push(Order(0.5), -1)
    heap.pop()
    assert len(compared) < 2 * 30
