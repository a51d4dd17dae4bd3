"""The workers: which objects they serve, what follows a reconcile, and when a worker is stuck."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import fields

import pytest

from runner.control.once import OnePass
from runner.control.operator import Operator
from runner.control.queue import Lane, Pool, WorkQueue
from runner.control.shutdown import Shutdown
from runner.control.threads import Threads
from runner.control.workers import Worker, Workers, check_workers, run_workers
from runner.kube.client import Kube
from runner.kube.watch import NamespaceWatch
from runner.objects import S3Object
from runner.settings import Settings
from s3bucket.outcome import Outcome, Reason, Retry
from s3bucket.role_settings import RoleSettings
from tests.support.fakes import READY, FakeCheck, FakeJob, FakeKube, FakeParts, kube_error, make_item

KEY = ("team", "photos")
F, P, S = Lane.FRESH, Lane.REPAIR, Lane.RESYNC


@pytest.mark.parametrize(
    ("count", "lanes", "per_namespace"),
    [
        (1, [(F, P)], 1),
        (2, [(F, P), (P, F)], 1),
        (3, [(F, P), (P, F), (F, P)], 2),
        (5, [(F, P), (P, F), (F, P), (F, P), (F, P)], 4),
    ],
)
def test_run_workers_leave_one_to_others_and_more_than_one_repairs(
    count: int, lanes: list[tuple[Lane, ...]], per_namespace: int
) -> None:
    found = run_workers(count, reserved=1, has_checkers=True)
    assert [worker.lanes for worker in found] == lanes
    assert {worker.pool.per_namespace for worker in found} == {per_namespace}


@pytest.mark.parametrize(("reserved", "per_namespace"), [(0, 4), (1, 3), (3, 1), (4, 1), (9, 1)])
def test_reserved_workers_are_not_for_one_namespace_which_may_have_one(reserved: int, per_namespace: int) -> None:
    found = run_workers(4, reserved=reserved, has_checkers=True) + check_workers(4, reserved=reserved)
    assert {worker.pool.per_namespace for worker in found} == {per_namespace}


@pytest.mark.parametrize(("namespaces", "per_namespace"), [(("a",), {3, 8}), (("a", "b"), {1, 6}), ((), {1, 6})])
def test_operator_reserves_no_worker_where_a_single_namespace_is_watched(
    namespaces: tuple[str, ...], per_namespace: set[int]
) -> None:
    operator = make_operator(namespaces)
    assert {worker.pool.per_namespace for worker in operator._workers} == per_namespace


@pytest.mark.parametrize("lane", [F, P], ids=["new", "repair"])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_namespace_with_long_runs_in_one_lane_leaves_a_worker_to_others_in_each(count: int, lane: Lane) -> None:
    workers = run_workers(count, reserved=1, has_checkers=True)
    queue = WorkQueue(pools=[workers[0].pool])
    for number in range(20):
        queue.add(("noisy", f"o{number}"), lane)
    held = [queue.get(0, worker.lanes) for worker in workers]
    (free,) = [worker for worker, found in zip(workers, held, strict=True) if found is None]
    for quiet in ("new", "differs"):
        queue.add(("quiet", quiet), F if quiet == "new" else P)
        found = queue.get(0, free.lanes)
        assert found is not None
        assert found[0] == ("quiet", quiet)
        queue.done(found[0])


def test_run_workers_without_checkers_do_the_resyncs_last() -> None:
    found = run_workers(2, reserved=1, has_checkers=False)
    assert [worker.lanes for worker in found] == [(F, P, S), (P, F, S)]


def test_check_workers_are_a_pool_of_their_own() -> None:
    found = check_workers(8, reserved=1)
    assert {(worker.lanes, worker.pool) for worker in found} == {((S,), Pool((S,), 7))}


class Rig:
    """One worker that the test runs step by step, with its own clock."""

    def __init__(self, *outcomes: Outcome, checks: tuple[Outcome, ...] = (READY,), pool: Pool | None = None) -> None:
        self.now = 0.0
        (self.worker,) = run_workers(1, reserved=1, has_checkers=True)
        (self.checker,) = check_workers(1, reserved=1)
        pools = [pool or self.worker.pool, self.checker.pool]
        self.queue = WorkQueue(lambda: self.now, pools)
        self.kube = FakeKube(make_item())
        self.job = FakeJob(self.kube, *outcomes)
        self.reconciler = FakeParts(FakeCheck(*checks)).make_reconciler(self.kube, self.job)
        self.stopping = threading.Event()
        self.workers = Workers(self.queue, self.reconciler, stopping=self.stopping, clock=lambda: self.now)

    def serve(self, worker: Worker) -> None:
        """Let the worker serve one object, which must be due."""
        found = self.queue.get(0, worker.lanes)
        assert found is not None
        self.workers._serve(worker, found[0])

    def waits(self, lane: Lane) -> float:
        """The number of seconds until the object is due in this lane."""
        start = self.now
        while not self.queue.depths()[lane]:
            assert self.now - start < 10_000, "never"
            self.now += 1
        return self.now - start


TIMED_OUT = Outcome(False, Reason.RUN_TIMEOUT, "the run was ended after 600 s", Retry.TRANSIENT)
EMPTYING = Outcome(False, Reason.EMPTYING, "1000 versions deleted", Retry.IMMEDIATE)
DIFFERS = Outcome(True, Reason.READY, drift=("policy",))
DENIED = Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT)


def test_run_that_timed_out_waits_as_long_as_a_run_may_take_then_longer() -> None:
    rig = Rig(TIMED_OUT, checks=(DIFFERS,))
    rig.queue.add(KEY)
    waits = []
    for _ in range(4):
        rig.serve(rig.worker)
        waits.append(rig.waits(S))
        # The check finds a difference, and hands the object on to the run workers.
        rig.queue.add(KEY, P)
    for wait_s, base_s in zip(waits, (600, 1200, 2400, 3600), strict=True):
        assert base_s * 0.74 <= wait_s <= base_s


def test_check_that_hits_its_limit_waits_as_long() -> None:
    rig = Rig(READY, checks=(TIMED_OUT,))
    rig.queue.add(KEY)
    rig.serve(rig.worker)
    rig.waits(S)
    rig.serve(rig.checker)
    assert rig.waits(S) >= 440


def test_timed_out_objects_leave_a_worker_to_others_when_they_are_edited() -> None:
    rig = Rig(TIMED_OUT, checks=(DIFFERS,), pool=run_workers(3, reserved=1, has_checkers=True)[0].pool)
    rig.queue.add(KEY)
    rig.serve(rig.worker)
    rig.queue.add(("other", Retry.SLOW))
    rig.serve(rig.worker)
    rig.queue.add(KEY)
    rig.queue.add(("other", Retry.SLOW))
    assert rig.queue.get(0) is not None
    assert rig.queue.get(0) is None


def test_run_that_made_progress_is_followed_by_the_next_behind_other_namespaces() -> None:
    rig = Rig(DENIED, DENIED, EMPTYING, EMPTYING, DENIED)
    rig.kube.item = make_item(finalizers=["agill.apps.s3"], deletionTimestamp="2026-01-01T00:00:00Z")
    rig.queue.add(KEY)
    rig.serve(rig.worker)
    rig.queue.add(KEY)
    rig.serve(rig.worker)
    rig.queue.add(KEY)
    rig.serve(rig.worker)
    assert rig.waits(P) == 0
    rig.now += 1
    rig.queue.add(("other", "differs"), P)
    rig.serve(rig.worker)
    assert rig.queue.get(0, (P,)) == (("other", "differs"), P)
    rig.serve(rig.worker)
    # Progress resets the back-off.
    assert rig.waits(S) <= 5


def test_once_goes_on_while_runs_make_progress() -> None:
    rig = Rig(EMPTYING, EMPTYING, READY)
    rig.kube.item = make_item(finalizers=["agill.apps.s3"], deletionTimestamp="2026-01-01T00:00:00Z")
    one_pass = OnePass(rig.reconciler, Threads(), Shutdown(600), lambda: None)
    assert one_pass.reconcile(KEY)
    assert len(rig.job.runs) == 3
    assert rig.kube.item is None


def test_conflict_with_another_writer_is_tried_again_soon_but_not_in_a_tight_loop() -> None:
    rig = Rig()
    rig.kube.errors["add_finalizer"] = kube_error(409)
    rig.queue.add(KEY)
    delays = []
    for _ in range(6):
        rig.serve(rig.worker)
        start = rig.now
        while not rig.queue.depths()[F]:
            rig.now += 0.01
        delays.append(rig.now - start)
    assert delays[0] <= 0.11
    assert delays == sorted(delays)
    assert delays[-1] >= 2


@pytest.mark.parametrize("break_it", [lambda rig: rig.kube.errors.update(find_object=kube_error(500)), None])
def test_error_is_tried_again_with_back_off(break_it: Callable[[Rig], None] | None) -> None:
    rig = Rig()
    if break_it:
        break_it(rig)
    else:
        rig.job.run = None  # type: ignore[assignment, method-assign]
    rig.queue.add(KEY)
    rig.serve(rig.worker)
    assert 3 <= rig.waits(S) <= 5


def make_operator(namespaces: tuple[str, ...] = (), *, sharding: bool = False) -> Operator:
    given = {field.name: 600 if field.type == "float" else "" for field in fields(Settings)}
    given |= {"role": RoleSettings(), "renew_deadline_s": 60, "retry_period_s": 6, "drift_check": True}
    given |= {"max_concurrent_reconciles": 3, "resync_workers": 8, "reserved_workers": 2}
    given["sharding"] = sharding
    return Operator(Settings(**given), Kube(namespaces))  # type: ignore[arg-type]


def test_thread_that_waits_often_gets_the_interpreter_soon_beside_busy_checks() -> None:
    before = sys.getswitchinterval()
    try:
        sys.setswitchinterval(0.005)
        make_operator()
        assert sys.getswitchinterval() <= 0.001
    finally:
        sys.setswitchinterval(before)


def test_object_is_one_of_many_where_its_namespace_has_more_than_all_workers_could_take() -> None:
    operator = make_operator()
    for number in range(4):
        operator._queue.add(("noisy", f"o{number}"))
    operator._queue.add(("quiet", "new"))
    held = [operator._queue.get(0, worker.lanes) for worker in operator._workers[:2]]
    assert held == [(("noisy", "o0"), F), (("quiet", "new"), F)]
    assert operator._has_backlog(("noisy", "o0"))
    assert not operator._has_backlog(("quiet", "new"))
    operator._queue.forget(("noisy", "o3"))
    assert not operator._has_backlog(("noisy", "o0"))
    # A single object is reconciled (`once`), without the queue.
    assert not operator._has_backlog(("noisy", "o2"))


def test_object_is_not_one_of_many_where_a_single_namespace_is_watched() -> None:
    operator = make_operator(("noisy",))
    for number in range(9):
        operator._queue.add(("noisy", f"o{number}"))
    assert operator._queue.get(0) == (("noisy", "o0"), F)
    assert not operator._has_backlog(("noisy", "o0"))


class FakeWatched:
    """A watch that has not listed yet."""

    def __init__(self) -> None:
        self.synced, self.denial, self.idle_s = threading.Event(), "", 0.0


def test_replica_has_a_share_of_the_shards_when_it_knows_the_objects() -> None:
    operator, watched = make_operator(sharding=True), FakeWatched()
    operator._watches.namespaces.append(NamespaceWatch(None, [watched]))
    operator._stopping.set()
    operator._join()
    assert operator._leadership._election.is_leaving
    watched.synced.set()
    operator._join()
    assert not operator._leadership._election.is_leaving


def health(workers: Workers) -> str:
    """The response of /healthz for an operator with these workers; empty when it is healthy."""
    operator = make_operator()
    operator.probes.workers = workers
    return operator.probes.check_health()


def test_worker_that_does_not_return_is_found_after_the_limit() -> None:
    rig = Rig()
    arrived, leave = threading.Event(), threading.Event()
    run = rig.job.run

    def hang(s3: S3Object) -> Outcome:
        arrived.set()
        leave.wait()
        return run(s3)

    rig.job.run = hang  # type: ignore[method-assign]
    # A daemon thread, so that a failed assertion does not keep the process running.
    thread = threading.Thread(target=rig.workers.work, args=(rig.worker,), daemon=True)
    thread.start()
    assert rig.workers.find_stuck(0) == []
    assert health(rig.workers) == ""
    rig.queue.add(KEY)
    assert arrived.wait(30)
    rig.now += 900
    assert rig.workers.find_stuck(900) == []
    rig.now += 1
    assert rig.workers.find_stuck(900) == ["worker-0"]
    assert "worker-0" in health(rig.workers)
    rig.stopping.set()
    leave.set()
    thread.join(30)
    assert rig.workers.find_stuck(0) == []


CONFLICT = Outcome.failure(Reason.CONFLICT, "another object has it")
NO_BUCKET = Outcome.failure(Reason.BUCKET_NOT_FOUND, "no such bucket")


def test_object_that_only_a_person_can_repair_is_compared_less_often_each_time_it_fails_again() -> None:
    checks = (CONFLICT, CONFLICT, CONFLICT, NO_BUCKET, NO_BUCKET, READY, NO_BUCKET)
    rig = Rig(CONFLICT, checks=checks)
    rig.queue.add(KEY)
    rig.serve(rig.worker)
    waits = [rig.waits(S)]
    for _ in checks:
        rig.serve(rig.checker)
        waits.append(rig.waits(S))
    # Another reason, and a success, begin anew.
    for wait_s, periods in zip(waits, (1, 2, 4, 4, 1, 2, 1, 1), strict=True):
        assert 0.9 * 300 * periods <= wait_s <= 1.1 * 300 * periods + 1, waits
