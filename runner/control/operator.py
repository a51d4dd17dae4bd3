"""The operator's life: starts and stops watches, queue, workers, Lease and probes.

``run`` serves, ``once`` makes one pass. What reconciles objects is built in :mod:`runner.control.components`.

Threads: one a watcher, one a worker, two that verify access keys, one for events of AWS, three for the Lease, one a
HTTP server; the main thread waits for a signal. Stop means: stop watching, let runs finish for the grace period, cancel
them then, release the Lease, exit 0. A lost Lease means: kill runs at once, exit 1 (:mod:`runner.control.leadership`).
"""

from __future__ import annotations

import logging
import math
import socket
import threading
from functools import partial

from runner.control.canary import Canary
from runner.control.changes import Changes, Feed
from runner.control.components import Components, Factory, wait_for_cluster_id
from runner.control.handlers import Requests
from runner.control.leadership import Leadership
from runner.control.metrics import Metrics
from runner.control.names import Names
from runner.control.once import OnePass, list_objects
from runner.control.probes import Probes, serve_probes
from runner.control.queue import WorkQueue
from runner.control.sharded import ShardedQueue, mark_of
from runner.control.shards import Shards, Whole, Work, is_in
from runner.control.shutdown import END_S, LEASE_S, WORKERS_S, Shutdown
from runner.control.threads import Threads
from runner.control.verifier import THREADS as VERIFY_THREADS
from runner.control.watches import Watches
from runner.control.workers import Worker, Workers, check_workers, run_workers
from runner.drift.cloudtrail import Name
from runner.execution import processes
from runner.execution.deadlines import Deadlines
from runner.kube.cache import Caches
from runner.kube.client import Kube, KubeError
from runner.kube.hold import Candidate, Terms
from runner.kube.leader import Election, scope_of
from runner.kube.shard_leases import SHARDS, ReplicaElection, ShardLeases, group_of
from runner.objects import Key, S3Object
from runner.settings import Settings

_LOG = logging.getLogger(__name__)
# How often new reads of all IAM users are requested, at least.
_ORPHAN_PERIOD_S = 60.0
_JOIN_POLL_S = 0.2


class Operator:
    """One replica.

    :raises TermsError: for settings of the Lease under which two replicas could work at the same time
    """

    def __init__(self, settings: Settings, kube: Kube) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = Metrics()
        self._workers = _make_workers(settings, kube)
        self._queue = WorkQueue(pools={worker.pool for worker in self._workers})
        self._caches = Caches(mark_of if settings.sharding else None)
        self._threads = Threads()
        self._shutdown = Shutdown(settings.grace_period_s)
        self._stopping = self._shutdown.stopping
        self._terms = Terms(settings.lease_duration_s, settings.renew_deadline_s, settings.retry_period_s)
        self._deadlines = Deadlines(SHARDS + 1)
        event_delay_s = settings.event_delay_s if settings.event_queue else 0.0
        self._canary = Canary(event_delay_s, self._is_owned, has=self._has)
        self._leadership = Leadership(
            self._make_election(),
            self._threads,
            self._shutdown,
            is_elected=settings.leader_elect,
            report_renewal=partial(self._guard, SHARDS),
        )
        self._shards = self._make_shards() if settings.sharding else None
        self._work: Work = self._shards or Whole(self._leadership.may_run)
        self._requests: Requests = self._queue
        if self._shards is not None:
            self._requests = self._sharded = ShardedQueue(
                self._queue, self._shards, self._caches, settings.sync_period_s
            )
        self._names = Names() if settings.event_queue else None
        self._feed = Feed(self._region_of)
        self._watches = Watches(kube, self._caches, self._requests, settings.sync_period_s, self._names)
        self.probes = Probes(self._threads, self._watches, self._leadership, self._stopping, settings.run_timeout_s)
        self._components: Components | None = None

    def run(self) -> int:
        """Work until SIGTERM or SIGINT. Returns the exit status."""
        try:
            return self._run()
        finally:
            self._clean_up()

    def once(self) -> int:
        """One pass over all objects. Returns 0: all are Ready, or deleted; 1: some are not; 2: nothing was done."""
        processes.handle_stop_signals(lambda _: self._shutdown.begin())
        try:
            return self._once()
        except KubeError as error:
            _LOG.error("nothing was done", extra={"error": str(error)})
            return 2
        finally:
            self._clean_up()

    def _run(self) -> int:
        processes.handle_stop_signals(lambda _: self._shutdown.begin())
        processes.share_heaps()
        serve_probes(self.probes, self._metrics, self._settings.health_address, self._settings.metrics_address)
        self._adopt_processes()
        self._threads.start("orphans", processes.reap_orphans, self._stopping)
        if not self._leadership.acquire(self._metrics.overlapping.set):
            return 0
        components = self._make_components()
        processes.collect_less()
        if components is not None and not self._stopping.is_set():
            self._start_work(components)
            self._join()
            self._stopping.wait()
            self._stop_work(components)
        self._leadership.release()
        return 1 if self._leadership.is_lost else 0

    def _once(self) -> int:
        settings = self._settings
        lease = f"{settings.leader_election_namespace}/{settings.lease_name}"
        if self._leadership.acquire_unless_held(lease) or self._stopping.is_set():
            return 2
        self._adopt_processes()
        try:
            objects, is_complete = list_objects(self._kube, needs_cluster_id=not settings.role.cluster_name)
            components = self._make_components() if is_complete or objects else None
            if components is None:
                return 2
            is_ready = self._reconcile_all(components, objects)
        finally:
            self._leadership.release()
        return 0 if is_ready and is_complete else 1

    def _reconcile_all(self, components: Components, objects: list[S3Object]) -> bool:
        cache = self._caches.add_objects()
        for s3 in objects:
            cache.put(s3)
        one_pass = OnePass(components.reconciler, self._threads, self._shutdown, components.job.cancel)
        return one_pass.reconcile_all(objects, self._settings.max_concurrent_reconciles)

    def _adopt_processes(self) -> None:
        """End what an earlier process of this work directory left behind, and become the parent of lost processes."""
        processes.become_subreaper()
        processes.sweep(self._settings.work_dir)
        self._threads.start("watchdog", self._deadlines.keep_watchdog)

    def _make_election(self) -> Election:
        settings, kube, identity = self._settings, self._kube, _identity()
        namespace, scope = settings.leader_election_namespace, scope_of(kube.namespaces)
        if settings.sharding:
            election = ReplicaElection(kube, Candidate(namespace, identity, scope), settings.lease_name, self._terms)
            election.get_silent = self._canary.own_regions
            return election
        return Election(kube, namespace, identity, self._terms, name=settings.lease_name, scope=scope)

    def _make_shards(self) -> Shards:
        settings, name = self._settings, self._settings.lease_name
        scope = scope_of(self._kube.namespaces)
        one = Candidate(settings.leader_election_namespace, _identity(), scope, group_of(name))
        return Shards(
            ShardLeases(self._kube, one, name, self._terms),
            one.identity,
            self._terms,
            self._leadership.may_run,
            self._guard,
            drain_s=settings.grace_period_s,
        )

    def _guard(self, number: int, renewed_at: float) -> None:
        self._deadlines.set(number, math.inf if renewed_at == -math.inf else renewed_at + self._terms.kill_s)

    def _make_components(self) -> Components | None:
        """The components; None when stopped before the cluster's name was known."""
        cluster = self._settings.role.cluster_name or wait_for_cluster_id(
            self._kube, self._stopping, self._settings.retry_period_s
        )
        if not cluster:
            return None
        factory = Factory(
            self._settings,
            self._kube,
            self._caches,
            self._metrics,
            self._work,
            self._has_backlog,
            self._feed.has,
            self._canary,
        )
        self._components = factory.make(cluster)
        self._leadership.cancel_runs = self._components.job.cancel
        return self._components

    def _has_backlog(self, key: Key) -> bool:
        # Fewer could be processed at once.
        is_long = self._queue.load_beside(key) >= self._settings.max_concurrent_reconciles
        return is_long and _has_many_namespaces(self._kube)

    def _start_work(self, components: Components) -> None:
        self._start_shards(components)
        self._metrics.watch_queue(self._queue)
        self._watches.start(self._threads, self._stopping, self._metrics.watch_namespace)
        period_s = min(self._settings.sync_period_s, _ORPHAN_PERIOD_S)
        orphans = components.orphans
        self._threads.start("orphaned-users", orphans.run, self._stopping, self._watches.is_synced, period_s)
        if components.verifier is not None:
            for number in range(VERIFY_THREADS):
                self._threads.start(f"verify-{number}", components.verifier.work)
        self._receive_events(components)
        self._start_workers(components)

    def _start_shards(self, components: Components) -> None:
        shards = self._shards
        if shards is None:
            self._metrics.leading.set(1)
            return
        shards.kill_runs = lambda shard: components.job.kill(lambda uid: is_in(uid, shard))
        shards.on_take = components.check.begin_shard
        shards.on_replicas = partial(self._share, components)
        shards.on_silent = self._canary.note_others
        self._metrics.watch_shards(shards.has, self._caches.count_marked)
        shards.start(self._threads, self._leadership.ended)

    def _join(self) -> None:
        """Have a share of the shards, as soon as the objects are known, and not before that."""
        while self._shards is not None and self._watches.find_problem():
            if self._stopping.wait(_JOIN_POLL_S):
                return
        self._leadership.join()

    def _share(self, components: Components, replicas: int) -> None:
        self._metrics.replicas.set(replicas)
        components.check.share(replicas)

    def _receive_events(self, components: Components) -> None:
        url = self._settings.event_queue
        if url is None or self._names is None:
            return
        check, period_s = components.check, self._settings.sync_period_s
        changes = Changes(
            check.make_event_queue(url),
            self._requests,
            self._names,
            self._feed,
            self._metrics.events,
            canary=self._canary,
            forget=check.forget_names,
            find_keys=self._caches.find_keys,
            sync_period_s=period_s,
            has=self._has,
            find_naming=self._caches.find_naming if self._shards else lambda _: (),
        )
        self._threads.start("events", changes.run, self._stopping, lambda: not self._watches.find_problem())

    def _has(self, key: Key) -> bool:
        """Whether this replica works on an object."""
        shard = self._caches.find_mark(key)
        return self._shards is None or shard is None or self._shards.has(shard)

    def _region_of(self, key: Key) -> str:
        """The region of an object's bucket; empty where the object no longer exists."""
        s3 = self._caches.find_object(key)
        return s3.region if s3 is not None else ""

    def _is_owned(self, key: Key, name: Name) -> bool:
        """Whether an object that this replica works on owns this in AWS."""
        return self._names is not None and key in self._names.find(name) and self._has(key)

    def _start_workers(self, components: Components) -> None:
        workers = self.probes.workers = Workers(self._queue, components.reconciler, stopping=self._stopping)
        for worker in self._workers:
            self._threads.start(worker.name, workers.work, worker)

    def _stop_work(self, components: Components) -> None:
        _LOG.info("stopping", extra={"grace_s": self._settings.grace_period_s})
        self._queue.shut_down()
        if self._shards is not None:
            self._leadership.leave()
            self._shards.stop()
        if components.verifier is not None:
            components.verifier.stop()
        timer = threading.Timer(self._shutdown.left_s(0), components.job.cancel)
        timer.daemon = True
        timer.start()
        # For all of them together: each may wait for an API server that does not answer.
        for thread in self._threads.named("worker-") + self._threads.named("verify-"):
            thread.join(self._shutdown.left_s(WORKERS_S))
        timer.cancel()
        # Of a worker that is not waited for any more: another replica may begin as soon as a Lease is released.
        components.job.kill(lambda _: True)
        if self._shards is not None:
            self._shards.join(self._shutdown.left_s(LEASE_S))
        self._metrics.leading.set(0)

    def _clean_up(self) -> None:
        self._shutdown.begin(is_graceful=False)
        if self._components:
            self._components.close(self._shutdown.left_s(END_S))
        # What a worker that is not waited for any more may have left.
        processes.kill_own_runs(self._shutdown.left_s(END_S))
        processes.remove_own_folders(self._settings.work_dir)
        self._deadlines.close()


def _has_many_namespaces(kube: Kube) -> bool:
    """Whether a namespace can keep another one waiting."""
    return len(kube.namespaces) > 1 or kube.namespaces[0] is None


def _make_workers(settings: Settings, kube: Kube) -> list[Worker]:
    reserved, has_checkers = settings.reserved_workers if _has_many_namespaces(kube) else 0, settings.drift_check
    found = run_workers(settings.max_concurrent_reconciles, reserved=reserved, has_checkers=has_checkers)
    return found + (check_workers(settings.resync_workers, reserved=reserved) if has_checkers else [])


def _identity() -> str:
    return f"{socket.gethostname()}_{processes.operator_id()}"
