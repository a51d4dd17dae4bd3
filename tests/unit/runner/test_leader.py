"""Leader election with a clock of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest

from runner.kube import KubeError
from runner.leader import Election, Terms
from tests.fakes import FakeLeases, kube_error

TERMS = Terms(15, 10, 2)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pair() -> tuple[Election, Election, FakeLeases, Clock]:
    leases, clock = FakeLeases(), Clock()
    first, second = (Election(leases, "ns", name, TERMS, clock) for name in ("first", "second"))
    return first, second, leases, clock


def test_first_takes_it_second_waits() -> None:
    first, second, _, clock = pair()
    assert first.try_once()
    assert not second.try_once()
    clock.now += 14
    assert first.try_once()
    clock.now += 14
    assert not second.try_once()


def test_lease_that_is_not_renewed_for_its_duration_is_taken_over() -> None:
    first, second, _, clock = pair()
    first.try_once()
    assert not second.try_once()
    clock.now += 15.1
    assert second.try_once()
    assert not first.try_once()


def test_released_lease_is_taken_at_once() -> None:
    first, second, _, _ = pair()
    first.try_once()
    first.release()
    assert second.try_once()


def test_release_of_a_lost_lease_leaves_it_alone() -> None:
    first, second, leases, clock = pair()
    first.try_once()
    second.try_once()
    clock.now += 16
    second.try_once()
    first.release()
    assert leases.lease is not None
    assert leases.lease["holder"] == "second"


def test_hold_ends_before_the_lease_expires_when_renewing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    first, _, leases, clock = pair()
    first.try_once()
    leases.error = kube_error(0)
    stopped = threading.Event()

    def wait(timeout: float) -> bool:
        clock.now += timeout
        return False

    monkeypatch.setattr(stopped, "wait", wait)
    assert first.hold(stopped) is False
    assert TERMS.renew_deadline_s <= clock.now < TERMS.duration_s


def test_conflict_while_taking_it_is_no_error() -> None:
    first, _, leases, _ = pair()
    leases.error = None

    def lose(*_: object) -> None:
        raise kube_error(409)

    leases.write_lease = lose  # type: ignore[method-assign,assignment]
    assert not first.try_once()


def test_api_error_is_told() -> None:
    first, _, leases, _ = pair()
    leases.error = kube_error(500)
    with pytest.raises(KubeError):
        first.try_once()


def test_is_held_by_other() -> None:
    first, second, _, _ = pair()
    assert not second.is_held_by_other()
    first.try_once()
    assert second.is_held_by_other()
    assert not first.is_held_by_other()


class Stopped(threading.Event):
    """Each wait lets time pass, and tells what happens meanwhile."""

    def __init__(self, clock: Clock, meanwhile: Callable[[], object]) -> None:
        super().__init__()
        self._clock = clock
        self._meanwhile = meanwhile

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.now += timeout or 0
        self._meanwhile()
        return self.is_set()


def test_acquire_unless_held_names_a_holder_by_the_dates_of_the_lease() -> None:
    first, second, _, _ = pair()
    assert first.acquire_unless_held(threading.Event()) == ""
    assert second.acquire_unless_held(threading.Event()) == "first"
    first.release()
    assert second.acquire_unless_held(threading.Event()) == ""


@pytest.mark.parametrize("is_alive", [False, True], ids=["dead", "clocks-differ"])
def test_expired_lease_is_taken_only_when_nobody_renews_it(is_alive: bool) -> None:
    first, second, leases, clock = pair()
    first.try_once()
    # An hour behind ours, as its holder's clock may be.
    behind = leases.lease
    assert behind is not None
    behind["renewed"] -= timedelta(hours=1)

    def renew() -> None:
        if is_alive:
            behind["renewed"] += timedelta(seconds=2)

    assert second.acquire_unless_held(Stopped(clock, renew)) == ("first" if is_alive else "")
    assert (clock.now >= TERMS.duration_s) is not is_alive
