"""Leader election on a clock that the tests set."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from runner.kube.client import KubeError
from runner.kube.leader import Election, Terms, TermsError
from tests.support.fakes import FakeLeases, kube_error

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
    assert leases.lease.holder == "second"


class Losses:
    """Records the calls of ``lose``. It has the thread that watches the deadline, and a way to end it."""

    def __init__(self, election: Election) -> None:
        self.left_s: list[float] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(
            target=election.watch_deadline, args=(self.stopped, self.left_s.append), daemon=True
        )

    def join(self) -> None:
        self.thread.join(30)
        assert not self.thread.is_alive()


def test_deadline_strikes_while_a_renewal_hangs() -> None:
    first, _, leases, clock = pair()
    first.try_once()
    hangs, is_over = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        is_over.wait()

    leases.before_call = hang
    losses, stopped = Losses(first), threading.Event()
    fast = Terms(TERMS.duration_s, TERMS.renew_deadline_s, 0.01)
    first._terms = fast
    renewal = threading.Thread(target=first.renew, args=(stopped,), daemon=True)
    renewal.start()
    assert hangs.wait(30)
    clock.now = TERMS.renew_deadline_s - 0.1
    assert first.is_leading()
    clock.now = TERMS.renew_deadline_s
    assert not first.is_leading()
    losses.thread.start()
    losses.join()
    assert losses.left_s == [TERMS.duration_s - TERMS.renew_deadline_s]
    stopped.set()
    is_over.set()
    renewal.join(30)


def test_time_of_a_hanging_call_counts_from_before_it() -> None:
    # The request starts at second 0 and ends at second 9. Others may count from any moment in between, so the leader
    # counts from second 0.
    first, _, leases, clock = pair()

    def pass_time() -> None:
        clock.now += 4.5

    leases.before_call = pass_time
    assert first.try_once()
    assert clock.now == 9
    assert first.is_leading()
    clock.now = TERMS.renew_deadline_s
    assert not first.is_leading()


def test_read_and_write_of_a_lease_share_one_time_limit() -> None:
    first, _, leases, clock = pair()

    def pass_time() -> None:
        clock.now += 1.5

    leases.before_call = pass_time
    first.try_once()
    assert leases.timeouts == [TERMS.attempt_s, TERMS.attempt_s - 1.5]
    assert TERMS.attempt_s <= TERMS.retry_period_s


def test_lease_that_another_took_is_lost_at_once() -> None:
    first, second, _, clock = pair()
    first.try_once()
    second.try_once()
    clock.now += 16
    second.try_once()
    # If the clock stood still, the first one would get the Lease.
    clock.now = 1
    assert not first.try_once()
    assert not first.is_leading()


def test_leader_whose_write_conflicts_keeps_the_lease_until_the_deadline() -> None:
    # Another client annotated the Lease between the read and the write.
    first, _, leases, clock = pair()
    first.try_once()
    write = leases.write_lease

    def lose(*_: object) -> None:
        raise kube_error(409)

    leases.write_lease = lose  # type: ignore[method-assign,assignment]
    clock.now = 5
    assert not first.try_once()
    assert first.is_leading()
    leases.write_lease = write  # type: ignore[method-assign]
    assert first.try_once()
    clock.now = 14
    assert first.is_leading()


@pytest.mark.parametrize("terms", [(10, 10, 2), (10, 12, 2), (15, 2, 2), (15, 10, 0)])
def test_terms_under_which_two_could_lead_are_refused(terms: tuple[float, float, float]) -> None:
    with pytest.raises(TermsError, match="--lease-duration"):
        Terms(*terms)


def test_written_duration_is_not_shorter_than_the_terms() -> None:
    leases = FakeLeases()
    Election(leases, "ns", "first", Terms(2.5, 2.2, 1)).try_once()
    assert leases.lease is not None
    assert leases.lease.duration_s == 3


def test_conflict_while_taking_it_is_no_error() -> None:
    first, _, leases, _ = pair()
    leases.error = None

    def lose(*_: object) -> None:
        raise kube_error(409)

    leases.write_lease = lose  # type: ignore[method-assign,assignment]
    assert not first.try_once()


def test_api_error_is_raised() -> None:
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
    """Each wait advances the clock, and then calls a function."""

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
def test_expired_lease_is_taken_only_when_it_is_not_renewed(is_alive: bool) -> None:
    first, second, leases, clock = pair()
    first.try_once()

    def move(**time: int) -> None:
        assert leases.lease is not None
        assert leases.lease.renewed is not None
        leases.leases["s3-operator"] = replace(leases.lease, renewed=leases.lease.renewed + timedelta(**time))

    # An hour behind this clock, as the holder's clock may be.
    move(hours=-1)

    def renew() -> None:
        if is_alive:
            move(seconds=2)

    assert second.acquire_unless_held(Stopped(clock, renew)) == ("first" if is_alive else "")
    assert (clock.now >= TERMS.duration_s) is not is_alive


def candidate(leases: FakeLeases, name: str, scope: str) -> Election:
    return Election(leases, "ns", f"{name}-pod", TERMS, Clock(), name=name, scope=scope)


def acquire(election: Election) -> str:
    """The reason why it is not the leader; empty when it is."""
    return election.acquire_unless_held(threading.Event())


def test_operators_of_different_namespaces_lead_at_the_same_time() -> None:
    leases = FakeLeases()
    assert acquire(candidate(leases, "first", "a,b")) == ""
    assert acquire(candidate(leases, "second", "c")) == ""


@pytest.mark.parametrize(("one", "other"), [("a,b", "b,c"), ("*", "c"), ("a", "*"), ("*", "*")])
def test_operator_whose_scope_overlaps_does_not_lead_and_names_the_other(one: str, other: str) -> None:
    leases = FakeLeases()
    first, second = candidate(leases, "first", one), candidate(leases, "second", other)
    assert acquire(first) == ""
    refusal = acquire(second)
    assert f"another operator watches the same namespaces: first-pod (Lease ns/first, watches {one})" in refusal
    # It has not written its own Lease, so the leader does not report a second operator.
    assert list(leases.leases) == ["first"]
    first.release()
    assert acquire(second) == ""
    assert second.refusal == ""


def test_of_two_that_begin_at_once_not_both_lead() -> None:
    leases = FakeLeases()
    first, second = candidate(leases, "first", "a"), candidate(leases, "second", "a")
    write, is_writing = leases.write_lease, threading.Event()

    def write_after_the_other(*arguments: Any) -> None:
        # The first one becomes the leader after the second one read the other Leases and before it writes its own.
        if not is_writing.is_set():
            is_writing.set()
            assert acquire(first) == ""
        write(*arguments)

    leases.write_lease = write_after_the_other  # type: ignore[method-assign]
    assert "first-pod" in acquire(second)
    assert not second.is_leading()
    assert first.is_leading()


def test_operator_waits_for_one_of_an_earlier_version_with_the_old_lease() -> None:
    leases = FakeLeases()
    former = candidate(leases, "s3-operator", "")
    assert former.try_once()
    new = candidate(leases, "release-s3-operator", "a")
    assert "an operator of an earlier version is working: s3-operator-pod (Lease ns/s3-operator" in acquire(new)
    former.release()
    assert acquire(new) == ""


def test_operator_without_the_right_to_list_leases_leads() -> None:
    leases = FakeLeases()
    leases.list_error = kube_error(403)
    assert acquire(candidate(leases, "first", "a")) == ""


def test_operator_that_cannot_ask_for_others_does_not_lead() -> None:
    leases = FakeLeases()
    leases.list_error = kube_error(500)
    election = candidate(leases, "first", "a")
    with pytest.raises(KubeError):
        acquire(election)
    assert not election.is_leading()


def test_leases_of_tenants_with_long_scopes_are_kept_in_part() -> None:
    leases = FakeLeases()
    operator, tenant = candidate(leases, "first", "a"), candidate(leases, "second", ",".join(["a"] * 30_000))
    assert tenant.try_once()
    (shown,) = operator.find_overlapping(None)
    assert "watches a,a" in shown
    assert len(shown) < 400
