"""Shards on a clock that the tests set, with any number of replicas."""

from __future__ import annotations

import contextlib
import itertools
import math
import random
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from dev.wait import wait_until
from runner.control.handlers import ObjectHandler
from runner.control.queue import Lane, WorkQueue
from runner.control.sharded import ShardedQueue, mark_of
from runner.control.shards import COMMON, Shards, State, is_in, wanted_shards
from runner.control.threads import Threads
from runner.kube.cache import Caches
from runner.kube.client import KubeError
from runner.kube.hold import Candidate, Terms
from runner.kube.leader import Election
from runner.kube.lease import Lease, keep_lease, lease_body
from runner.kube.shard_leases import (
    SHARDS,
    ReplicaElection,
    ShardLeases,
    group_of,
    replica_lease,
    shard_lease,
    shard_of,
)
from runner.objects import S3Object
from tests.support.fakes import FakeLeases, kube_error

TERMS = Terms(15, 10, 2)
UIDS = {n: next(f"uid-{m}" for m in range(1000) if shard_of(f"uid-{m}") == n) for n in range(SHARDS)}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Replica:
    """One replica. A test runs each of its threads step by step."""

    def __init__(self, name: str, leases: FakeLeases, clock: Clock) -> None:
        self.name = name
        one = Candidate("ns", name, "*", group_of("s3-operator"))
        self.election = ReplicaElection(leases, one, "s3-operator", TERMS, clock)
        self.guards: dict[int, float] = {}
        self.shards = Shards(
            ShardLeases(leases, one, "s3-operator", TERMS, clock),
            name,
            TERMS,
            self.election.is_leading,
            self.guards.__setitem__,
            clock,
        )
        self.killed: list[int] = []
        self.shards.kill_runs = self.killed.append
        self.is_member = False
        # Between its Lease and its work.
        self.is_stuck = False

    def step(self) -> None:
        """What the threads do in a retry period."""
        if not self.is_member:
            self.is_member = self.election._take()
            if self.is_member and not self.is_stuck:
                self.election.is_leaving = False
        else:
            self.election.try_once()
        for shard in range(SHARDS):
            self.shards.renew(shard)
        self.shards.end_lost()
        if self.is_member and not self.is_stuck:
            self.shards.balance()

    @property
    def held(self) -> set[int]:
        return {n for n in range(SHARDS) if self.shards.may_run(UIDS[n])}


class Cluster:
    def __init__(self) -> None:
        self.clock = Clock()
        self.leases = FakeLeases()
        self.replicas: list[Replica] = []

    def join(self, name: str) -> Replica:
        self.replicas.append(Replica(name, self.leases, self.clock))
        return self.replicas[-1]

    def steps(self, count: int, *paused: Replica) -> None:
        for _ in range(count):
            self.clock.now += TERMS.retry_period_s
            for replica in self.replicas:
                if replica not in paused:
                    replica.step()
            held = Counter(shard for replica in self.replicas for shard in replica.held)
            assert not [shard for shard, count in held.items() if count > 1]

    def counts(self) -> list[int]:
        return sorted(len(replica.held) for replica in self.replicas)


def test_shard_of_an_object_is_the_same_in_each_process_and_version() -> None:
    uids = ("7d1a3c0e-53e4-4a5e-9d35-0d8c2b6d2f11", "00000000-0000-0000-0000-000000000000", "")
    assert [shard_of(uid) for uid in uids] == [5, 9, 0]
    spread = Counter(shard_of(f"uid-{number}") for number in range(16_000))
    assert len(spread) == SHARDS
    assert all(900 < count < 1100 for count in spread.values())


def test_shard_is_taken_before_work_on_it_may_begin() -> None:
    """What was read before does not count from then on: a worker that is faster would use it."""
    cluster = Cluster()
    replica = cluster.join("first")
    taken: list[tuple[int, str, bool]] = []

    def take(shard: int) -> None:
        holder = cluster.leases.leases[shard_lease("s3-operator", shard)].holder
        with replica.shards.working(UIDS[shard]) as is_begun:
            taken.append((shard, holder, is_begun))

    replica.shards.on_take = take
    cluster.steps(2)
    assert sorted(taken) == [(n, "first", False) for n in range(SHARDS)]
    assert len(replica.held) == SHARDS


@pytest.mark.parametrize("count", range(1, 17))
def test_all_replicas_should_have_as_many_shards_or_one_more(count: int) -> None:
    names = [f"r{n}" for n in range(count)]
    wanted = [wanted_shards(names, name) for name in names]
    assert sum(wanted) == SHARDS
    assert max(wanted) - min(wanted) <= 1


def test_replica_without_a_lease_of_its_own_should_have_none() -> None:
    assert wanted_shards(["r1"], "r2") == 0
    assert wanted_shards([], "r2") == 0


def test_shards_are_spread_when_replicas_join_one_at_a_time_each() -> None:
    cluster = Cluster()
    first = cluster.join("first")
    cluster.steps(2)
    assert cluster.counts() == [16]
    cluster.join("second")
    lost: list[set[int]] = [first.held]
    for _ in range(20):
        cluster.steps(1)
        lost.append(first.held)
    assert all(len(before - after) <= 1 for before, after in itertools.pairwise(lost))
    assert cluster.counts() == [8, 8]
    cluster.join("third")
    cluster.steps(20)
    assert cluster.counts() == [5, 5, 6]


def test_shards_of_a_dead_replica_are_taken_over_when_its_leases_have_expired() -> None:
    cluster = Cluster()
    first, second = cluster.join("first"), cluster.join("second")
    cluster.steps(20)
    cluster.steps(math.ceil((TERMS.duration_s + 2 * TERMS.retry_period_s) / TERMS.retry_period_s), second)
    assert len(first.held) == 16
    assert second.held == set()


@pytest.mark.parametrize("offset_s", [0.0, 0.3, 0.9])
def test_shards_of_a_dead_replica_are_taken_over_as_soon_as_its_leases_have_expired(offset_s: float) -> None:
    cluster = Cluster()
    first, second = cluster.join("first"), cluster.join("second")
    cluster.steps(20)
    clock, shards = cluster.clock, first.shards
    for _ in range(20):
        # The last renewals of the other one, and some time until they are seen.
        clock.now += offset_s
        second.step()
        clock.now += shards.wait_s() - offset_s
        first.step()
    died_at = clock.now - shards.wait_s() + offset_s
    while len(first.held) < SHARDS:
        assert not second.held & first.held
        clock.now += shards.wait_s()
        first.step()
    # Never sooner than the duration after the renewal was seen, which is a second after it at most.
    assert TERMS.duration_s <= clock.now - died_at <= TERMS.duration_s + 1.1


@pytest.mark.parametrize("is_stopping", [False, True], ids=["moved", "stopping"])
def test_shard_that_could_not_be_released_is_released_later(is_stopping: bool) -> None:
    cluster, first = alone()
    write = cluster.leases.write_lease

    def fail(lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        if not lease.holder:
            raise kube_error(500)
        return write(lease, old, timeout_s)

    def free() -> set[str]:
        return {name for name, lease in cluster.leases.leases.items() if "shard" in name and not lease.holder}

    cluster.leases.write_lease = fail  # type: ignore[method-assign]
    if is_stopping:
        first.shards.stop()
    else:
        cluster.join("second")
    cluster.steps(4)
    assert free() == set()
    given_up = set(range(SHARDS)) - first.held
    assert given_up
    assert not first.shards._emptied.is_set()
    cluster.leases.write_lease = write  # type: ignore[method-assign]
    if is_stopping:
        cluster.steps(1)
        assert len(free()) == SHARDS
        assert first.shards._emptied.is_set()
    else:
        # Long before they would have expired.
        cluster.steps(2)
        assert given_up <= cluster.replicas[1].held


def test_replica_that_leaves_gives_its_shards_to_the_others_at_once() -> None:
    cluster = Cluster()
    first, second = cluster.join("first"), cluster.join("second")
    cluster.steps(20)
    second.election.is_leaving = True
    second.shards.stop()
    cluster.steps(3)
    assert second.shards.is_empty()
    assert len(first.held) == 16
    # Its own Lease is not released yet: nothing else of the release may begin.
    assert second.election.is_leading()


def test_no_two_replicas_ever_have_a_shard_whatever_happens() -> None:
    chance = random.Random(20261126)
    cluster = Cluster()
    for number in range(3):
        cluster.join(f"r{number}")
    for round_ in range(60):
        paused = [replica for replica in cluster.replicas if chance.random() < 0.2]
        if chance.random() < 0.3 and len(cluster.replicas) < 7:
            cluster.join(f"new-{round_}")
        if chance.random() < 0.2 and len(cluster.replicas) > 1:
            cluster.replicas.remove(chance.choice(cluster.replicas))
        cluster.leases.error = kube_error(500) if chance.random() < 0.1 else None
        # The API server may fail in any step.
        with contextlib.suppress(KubeError):
            cluster.steps(chance.randint(1, 12), *paused)
    cluster.leases.error = None
    for replica in list(cluster.replicas):
        if replica.is_member and not replica.election.is_leading():
            # Such a process ends.
            cluster.replicas.remove(replica)
    if not cluster.replicas:
        cluster.join("last")
    cluster.steps(40)
    assert sum(cluster.counts()) == SHARDS
    assert max(cluster.counts()) - min(cluster.counts()) <= 1


def alone() -> tuple[Cluster, Replica]:
    cluster = Cluster()
    replica = cluster.join("first")
    cluster.steps(2)
    return cluster, replica


def test_shard_is_given_up_when_the_work_that_has_begun_has_ended() -> None:
    cluster, first = alone()
    with first.shards.working(UIDS[3]) as is_begun:
        assert is_begun
        first.shards.stop()
        cluster.steps(2)
        assert first.shards.state_of(3) is State.DRAINING
        assert [n for n in range(SHARDS) if first.shards.state_of(n) is not State.FREE] == [3]
        # What has begun may run the role, nothing new begins.
        assert first.shards.may_run(UIDS[3])
        with first.shards.working(UIDS[3]) as is_new:
            assert not is_new
        assert not first.shards.is_revoked(UIDS[3])
        cluster.clock.now += 20
        assert first.shards.is_revoked(UIDS[3])
    cluster.steps(1)
    assert first.shards.is_empty()
    assert {lease.holder for name, lease in cluster.leases.leases.items() if "shard" in name} == {""}


def test_shard_is_given_up_while_a_check_goes_on_and_its_result_is_dropped() -> None:
    """An endpoint that does not answer keeps a check for two minutes, and must not keep the objects of the shard."""
    cluster, first = alone()
    second = cluster.join("second")
    with first.shards.working(UIDS[0]), first.shards.reading(UIDS[0]) as is_kept:
        cluster.steps(20)
        assert cluster.counts() == [8, 8]
        moved = next(n for n in range(SHARDS) if n in second.held)
    assert is_kept(), "the common shard is the last to be given up"
    with first.shards.working(UIDS[0]):
        with first.shards.reading(UIDS[0]) as is_kept:
            first.shards.stop()
            cluster.steps(1)
            assert first.shards.is_empty()
        assert not is_kept()
    assert first.shards.busy(0) == first.shards.busy(moved) == 0


def test_check_during_which_its_shard_was_given_up_and_taken_again_is_dropped() -> None:
    """Another replica may have had the shard meanwhile, and what was read may be older than what it did."""
    cluster, first = alone()
    with first.shards.working(UIDS[5]):
        with first.shards.reading(UIDS[5]) as is_kept:
            first.shards._give_up(SHARDS)
            assert not first.shards.has(5)
            cluster.steps(2)
            assert first.shards.has(5)
        assert not is_kept()
        assert first.shards.busy(5) == 1
    with first.shards.working(UIDS[5]) as is_begun, first.shards.reading(UIDS[5]) as is_kept:
        assert is_begun
    assert is_kept()


def test_check_that_ends_while_its_shard_is_given_up_begins_no_run() -> None:
    cluster, first = alone()
    # Something else keeps the shard.
    with first.shards.working(UIDS[5]), first.shards.working(UIDS[5]):
        with first.shards.reading(UIDS[5]) as is_kept:
            first.shards.stop()
            cluster.steps(1)
        assert first.shards.state_of(5) is State.DRAINING
        assert not is_kept()


def test_end_of_the_check_that_a_shard_waits_for_is_noticed_at_once() -> None:
    _, first = alone()
    with first.shards.working(UIDS[5]):
        first.shards._give_up(SHARDS)
        first.shards._changed.clear()
        with first.shards.reading(UIDS[5]):
            assert first.shards._changed.is_set()


def test_objects_are_queued_again_when_a_renewal_is_answered_after_the_deadline() -> None:
    """Work that was to begin meanwhile was dropped, and no loss was noticed that would lead to a gain."""
    cluster, first = alone()
    gained: list[int] = []
    first.shards.on_gain = gained.append
    write = cluster.leases.write_lease

    def be_late(lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        cluster.clock.now += TERMS.renew_deadline_s / 2
        with first.shards.working(UIDS[5]) as is_begun:
            assert not is_begun
        return write(lease, old, timeout_s)

    cluster.clock.now += TERMS.renew_deadline_s - 1
    cluster.leases.write_lease = be_late  # type: ignore[method-assign]
    first.shards.renew(5)
    assert gained == [5]
    with first.shards.working(UIDS[5]) as is_begun:
        assert is_begun
    cluster.leases.write_lease = write  # type: ignore[method-assign]
    cluster.clock.now += TERMS.renew_deadline_s / 2 - 1
    first.shards.renew(5)
    assert gained == [5]


def test_shard_that_is_not_renewed_is_ended_alone_and_before_its_lease_expires() -> None:
    cluster, first = alone()
    lost: list[int] = []
    first.shards.on_loss = lost.append
    name = shard_lease("s3-operator", 5)
    write = cluster.leases.write_lease

    def fail(lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        if lease.name == name:
            raise kube_error(500)
        return write(lease, old, timeout_s)

    cluster.leases.write_lease = fail  # type: ignore[method-assign]
    with first.shards.working(UIDS[5]):
        start = cluster.clock.now
        while not first.killed and cluster.clock.now - start <= TERMS.duration_s:
            cluster.steps(1)
        assert (first.killed, lost) == ([5], [5])
        assert first.shards.is_revoked(UIDS[5])
        assert not first.shards.may_run(UIDS[5])
        assert first.held == set(range(SHARDS)) - {5}
        # Its end need not be watched any more.
        assert first.guards[5] == -math.inf
    cluster.leases.write_lease = write  # type: ignore[method-assign]
    cluster.steps(12)
    assert len(first.held) == 16


def test_each_renewal_moves_the_time_at_which_the_watchdog_would_act() -> None:
    cluster, first = alone()
    before = dict(first.guards)
    cluster.steps(4)
    assert all(first.guards[n] > before[n] for n in range(SHARDS))
    assert cluster.clock.now - min(first.guards.values()) < TERMS.renew_deadline_s


def test_what_is_done_once_is_in_one_shard() -> None:
    assert is_in("", COMMON)
    assert not any(is_in("", n) for n in range(SHARDS) if n != COMMON)


def test_operators_with_and_without_shards_exclude_each_other() -> None:
    cluster, _ = alone()
    single = Election(cluster.leases, "ns", "single", TERMS, cluster.clock)
    assert not single._take()
    # A standby of the same release is no problem to report.
    assert single.refusal == ""
    assert single.find_holder() == "first"
    other = Election(cluster.leases, "ns", "other", TERMS, cluster.clock, name="other")
    assert not other._take()
    assert "another operator watches the same namespaces" in other.refusal
    assert len(other.find_overlapping(None)) == 1
    second = cluster.join("second")
    cluster.leases.leases.clear()
    assert single._take()
    assert not second.election._take()
    assert second.election.refusal == ""


def test_lease_of_a_shard_keeps_its_group_and_scope() -> None:
    cluster, _ = alone()
    lease = replace(cluster.leases.leases[shard_lease("s3-operator", 0)], silent=("eu-west-1", "us-east-1"))
    body = lease_body(lease, None, datetime.now(UTC))
    # As every Lease of an operator: by them playbooks, and earlier versions, find that it is at work.
    assert body["metadata"]["labels"] == {"agill.apps/lease": "operator"}
    assert body["metadata"]["annotations"]["agill.apps/watch-namespaces"] == "*"
    kept = keep_lease({**body, "metadata": {**body["metadata"], "resourceVersion": "1"}})
    assert (kept.group, kept.scope, kept.is_leaving) == ("s3-operator/16", "*", False)
    assert kept.silent == ("eu-west-1", "us-east-1")


def test_silent_regions_of_a_replica_are_known_to_the_others_while_it_lives() -> None:
    cluster = Cluster()
    first, second = cluster.join("first"), cluster.join("second")
    known: dict[str, frozenset[str]] = {}
    for replica in (first, second):
        replica.shards.on_silent = partial(known.__setitem__, replica.name)
    cluster.steps(20)
    first.election.get_silent = lambda: ("eu-west-1",)
    cluster.steps(2)
    assert known == {"first": frozenset(), "second": frozenset({"eu-west-1"})}
    first.election.get_silent = tuple
    cluster.steps(2)
    assert known["second"] == frozenset()
    first.election.get_silent = lambda: ("eu-west-1",)
    cluster.steps(2)
    cluster.replicas.remove(first)
    cluster.steps(20)
    assert known["second"] == frozenset()


def test_released_lease_names_no_silent_region() -> None:
    leases = FakeLeases()
    election = Election(leases, "ns", "first", TERMS, Clock())
    election.get_silent = lambda: ("eu-west-1",)
    assert election._take()
    assert leases.leases["s3-operator"].silent == ("eu-west-1",)
    election.release()
    assert leases.leases["s3-operator"].silent == ()


def test_lease_of_another_release_with_the_name_of_a_shard_is_no_shard() -> None:
    cluster = Cluster()
    Election(cluster.leases, "ns", "odd", TERMS, cluster.clock, name=shard_lease("s3-operator", 1))._take()
    first = cluster.join("first")
    cluster.steps(3)
    assert first.held == set()
    assert "another operator watches the same namespaces" in first.election.refusal


def test_lease_that_a_person_deletes_is_not_taken_before_it_could_have_expired() -> None:
    cluster = Cluster()
    first, second = cluster.join("first"), cluster.join("second")
    cluster.steps(20)
    for name in [name for name in cluster.leases.leases if "shard" in name]:
        del cluster.leases.leases[name]
    # What a replica has it writes anew, with its next renewal.
    cluster.steps(6)
    assert cluster.counts() == [8, 8]
    assert len([name for name in cluster.leases.leases if "shard" in name]) == SHARDS
    assert first.killed == second.killed == []


def test_renewal_needs_one_request_until_another_client_writes_the_lease() -> None:
    cluster, first = alone()
    hold = first.shards._holds[2]
    requests = len(cluster.leases.timeouts)
    assert hold.try_once()
    assert len(cluster.leases.timeouts) == requests + 1
    name = hold.name
    cluster.leases.leases[name] = replace(cluster.leases.leases[name], version="as annotated by a person")
    assert hold.try_once()
    assert hold.try_once()
    assert len(cluster.leases.timeouts) == requests + 5


def test_run_that_was_about_to_begin_when_its_shard_was_lost_is_killed_too() -> None:
    """What kills the runs finds no process of one that is just being started."""
    cluster, first = alone()
    with first.shards.working(UIDS[5]):
        cluster.clock.now += TERMS.renew_deadline_s
        first.shards.end_lost()
        assert 5 in first.killed
        first.killed.clear()
        first.shards.end_lost()
        assert first.killed == [5]
    first.shards.end_lost()
    assert first.killed == [5]


def test_no_run_goes_on_from_the_moment_at_which_the_lease_is_not_certain() -> None:
    cluster, first = alone()
    with first.shards.working(UIDS[5]):
        assert not first.shards.is_revoked(UIDS[5])
        cluster.clock.now += TERMS.renew_deadline_s
        # The thread that watches the deadlines has not seen it yet.
        assert first.shards.state_of(5) is State.HELD
        assert first.shards.is_revoked(UIDS[5])


def test_lease_that_cannot_be_written_keeps_no_other_shard_from_being_taken() -> None:
    cluster = Cluster()
    name = shard_lease("s3-operator", shard_of("first"))
    write = cluster.leases.write_lease

    def fail(lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        if lease.name == name:
            raise kube_error(400)
        return write(lease, old, timeout_s)

    cluster.leases.write_lease = fail  # type: ignore[method-assign]
    first = cluster.join("first")
    with contextlib.suppress(KubeError):
        cluster.steps(1)
    with contextlib.suppress(KubeError):
        cluster.steps(1)
    assert first.held == set(range(SHARDS)) - {shard_of("first")}


def test_api_server_that_does_not_answer_is_asked_for_one_shard_at_a_time() -> None:
    cluster, first = alone()
    first.shards.stop()
    cluster.steps(2)
    second = cluster.join("second")
    second.is_member = second.election._take()
    second.election.is_leaving = False
    assert second.election.try_once()
    cluster.leases.error = kube_error(0)
    requests = len(cluster.leases.timeouts)
    with pytest.raises(KubeError):
        second.shards.balance()
    assert len(cluster.leases.timeouts) == requests + 1


def test_no_shard_waits_for_the_renewal_of_another() -> None:
    """An API server that does not answer for some seconds must not cost the shards that were asked about last."""
    cluster, first = alone()
    together, ended = threading.Barrier(SHARDS, timeout=30), threading.Event()
    write = cluster.leases.write_lease

    def meet(lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        together.wait()
        return write(lease, old, timeout_s)

    cluster.leases.write_lease = meet  # type: ignore[method-assign]
    cluster.clock.now += TERMS.renew_deadline_s / 2
    first.shards._terms = Terms(0.03, 0.02, 0.01)
    first.shards.start(Threads(), ended)
    wait_until(lambda: all(hold.renewed_at == cluster.clock.now for hold in first.shards._holds), "all are renewed")
    ended.set()


def test_replica_whose_written_lease_was_not_answered_counts_once() -> None:
    cluster = Cluster()
    dead = cluster.join("dead")
    cluster.steps(2)
    cluster.replicas.remove(dead)
    write = cluster.leases.write_lease

    def write_only(lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        write(lease, old, timeout_s)
        raise kube_error(0)

    second = cluster.join("second")
    cluster.leases.write_lease = write_only  # type: ignore[method-assign]
    with pytest.raises(KubeError):
        cluster.steps(1)
    cluster.leases.write_lease = write  # type: ignore[method-assign]
    # The Lease of the dead one is free, too, and is the first.
    cluster.leases.leases[replica_lease("s3-operator", 0)] = replace(
        cluster.leases.leases[replica_lease("s3-operator", 0)], holder=""
    )
    cluster.steps(1)
    held = [lease.name for lease in cluster.leases.leases.values() if "replica" in lease.name and lease.holder]
    assert held == [replica_lease("s3-operator", 1)]
    # And whatever is left of it, with a Lease that it took before:
    stale = replace(cluster.leases.leases[replica_lease("s3-operator", 1)], name=replica_lease("s3-operator", 7))
    cluster.leases.leases[stale.name] = stale
    third = cluster.join("third")
    cluster.steps(30)
    assert cluster.counts() == [8, 8]
    assert second.is_member
    assert third.is_member


def test_replica_that_could_not_begin_in_time_begins_with_another_lease() -> None:
    """Reading what others hold took longer than it had its Lease for certain, and another one took that."""
    cluster = Cluster()
    first = cluster.join("first")

    def be_slow(namespace: str | None) -> list[Lease]:
        found = list_leases(namespace)
        cluster.clock.now += TERMS.renew_deadline_s
        return found

    list_leases = cluster.leases.list_leases
    cluster.leases.list_leases = be_slow  # type: ignore[method-assign]
    find = cluster.leases.find_lease
    assert not first.election._take()

    def be_late(namespace: str, name: str, timeout_s: float) -> Lease | None:
        taken = find(namespace, name, timeout_s)
        if taken is None:
            return None
        # Another replica was faster.
        cluster.leases.leases[name] = replace(taken, holder="second", version="taken", renewed=datetime.now(UTC))
        return cluster.leases.leases[name]

    cluster.leases.list_leases = list_leases  # type: ignore[method-assign]
    cluster.leases.find_lease = be_late  # type: ignore[method-assign]
    assert not first.election._take()
    cluster.leases.find_lease = find  # type: ignore[method-assign]
    assert first.election._take()
    assert first.election.is_leading()


def test_check_of_an_installed_operator_does_not_take_its_replicas_for_another_one() -> None:
    cluster, _ = alone()
    asks = Election(cluster.leases, "ns", "check", TERMS, cluster.clock)
    assert asks.find_overlapping(None) == []
    other = Election(cluster.leases, "ns", "check", TERMS, cluster.clock, name="other")
    assert len(other.find_overlapping(None)) == 1
    elsewhere = Election(cluster.leases, "elsewhere", "check", TERMS, cluster.clock)
    assert len(elsewhere.find_overlapping(None)) == 1


def test_replica_that_has_its_lease_and_does_not_work_yet_is_given_nothing() -> None:
    """It may wait for the cluster's id, or for AWS: nothing would be done about what the others give up for it."""
    cluster, first = alone()
    given_up: list[int] = []
    first.shards.on_loss = given_up.append
    second = cluster.join("second")
    second.is_stuck = True
    cluster.steps(20)
    assert second.is_member
    assert given_up == []
    second.is_stuck = second.election.is_leaving = False
    cluster.steps(20)
    assert cluster.counts() == [8, 8]


class Place:
    """One replica with its queue. It has all shards."""

    def __init__(self) -> None:
        self.cluster, self.replica = alone()
        self.shards = self.replica.shards
        self.caches, self.queue = Caches(mark_of), WorkQueue(lambda: self.cluster.clock.now)
        self.sharded = ShardedQueue(self.queue, self.shards, self.caches, 300.0)
        self.handler = ObjectHandler(self.sharded, 300.0, self.caches.add_objects())

    def see(self, shard: int, **more: Any) -> None:
        name = f"in-{shard}"
        metadata = {"namespace": "team", "name": name, "uid": UIDS[shard], **more}
        self.handler.change("ADDED", S3Object({"metadata": metadata, "spec": {}}))

    def give_up(self, shard: int) -> None:
        self.shards._states[shard] = State.FREE
        self.shards.on_loss(shard)

    def names(self) -> list[str]:
        found = []
        while taken := self.queue.get(0):
            found.append(taken[0][1])
            self.queue.done(taken[0])
        return found


def test_only_objects_of_own_shards_are_queued() -> None:
    place = Place()
    place.give_up(4)
    place.see(4)
    place.see(5)
    assert place.names() == ["in-5"]
    assert place.caches.count_marked(4) == 1
    # What no longer exists is dropped wherever something may be kept of it.
    place.handler.change("DELETED", S3Object({"metadata": {"namespace": "team", "name": "in-4", "uid": UIDS[4]}}))
    assert place.names() == ["in-4"]
    assert place.caches.count_marked(4) == 0


def test_objects_of_a_shard_are_queued_when_it_is_taken_and_dropped_when_it_is_given_up() -> None:
    place = Place()
    place.give_up(4)
    place.see(4)
    place.shards._states[4] = State.HELD
    place.shards.on_gain(4)
    assert place.names() == ["in-4"]
    place.queue.add(("team", "in-4"), Lane.FRESH, 60.0)
    place.give_up(4)
    # At once, in the lane that runs no role: a worker finds that it is another replica's.
    assert place.queue.get(0) == (("team", "in-4"), Lane.RESYNC)
