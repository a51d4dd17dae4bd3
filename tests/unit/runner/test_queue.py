"""The work queue: order, exclusivity, delays."""

from __future__ import annotations

from runner.queue import Lane, WorkQueue

A, B, C = ("ns", "a"), ("ns", "b"), ("ns", "c")


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[WorkQueue, Clock]:
    clock = Clock()
    return WorkQueue(clock), clock


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
