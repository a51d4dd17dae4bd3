"""The operator: wires watch, queue, workers, election and HTTP together; ``run`` for ever, ``once`` for one pass.

Threads: one a watcher, one a worker, two for the election, one a HTTP server; the main thread waits for a
signal. Stop means: stop watching, let runs finish for the grace period, cancel them then, release the
Lease, exit 0. A lost Lease means: kill runs at once, exit 1, and let Kubernetes start us anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runner.control.claims import Claims
from runner.control.handlers import ChildHandler, ObjectHandler, key_of
from runner.control.health import check_page, kept_page, serve
from runner.control.metrics import Metrics
from runner.control.orphans import Orphans
from runner.control.queue import WorkQueue
from runner.control.reconcile import Reconciler
from runner.control.shutdown import END_S, LEASE_S, WORKERS_S, Shutdown
from runner.control.stored import StoredObjects
from runner.control.workers import Workers, check_workers, run_workers
from runner.drift.check import DriftCheck
from runner.execution import processes
from runner.execution.environment import ansible_environment, make_folders
from runner.execution.job import AnsibleJob, callback_environment
from runner.execution.warm.process import WarmProcess
from runner.kube.cache import Caches
from runner.kube.client import Kube, KubeError
from runner.kube.leader import Election, Terms, scope_of
from runner.kube.schema import unstored_fields
from runner.kube.watch import NamespaceWatch, Watcher
from runner.objects import Key, Owned
from runner.settings import Settings
from s3bucket.outcome import Outcome, Reason, Retry

_LOG = logging.getLogger(__name__)
_CHILD_KINDS = ("Secret", "Service")
# Longer than a watch may be silent, with its back-off.
_MAX_IDLE_S = 600.0
# Of a worker, beyond a run's time limit: ending the run, and requests to a slow API server before and after it.
_MAX_OVERRUN_S = 300.0
# So long /metrics are kept.
_METRICS_S = 1.0
_MAX_CHECK_S = 120.0
_POLL_S = 0.5
# How often new reads of all IAM users are asked for, at least.
_ORPHAN_PERIOD_S = 60.0
# A run id in the warm process's environment is overwritten by longer ones.
_RUN_ID_ROOM = 64


class Operator:
    """One replica."""

    def __init__(self, settings: Settings, kube: Kube) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = Metrics()
        self._queue = WorkQueue()
        self._shutdown = Shutdown(settings.grace_period_s)
        self._stopping = self._shutdown.stopping
        self._is_lost = False
        self._namespaces: list[NamespaceWatch] = []
        self._object_watchers: list[Watcher] = []
        self._workers: Workers | None = None
        self._caches = Caches()
        self._orphans: Orphans | None = None
        self._threads: list[threading.Thread] = []
        self._warm: WarmProcess | None = None
        self._check: DriftCheck | None = None
        self._job: AnsibleJob | None = None
        self._may_run: Callable[[], bool] = lambda: True
        terms = Terms(settings.lease_duration_s, settings.renew_deadline_s, settings.retry_period_s)
        identity = f"{socket.gethostname()}_{processes.operator_id()}"
        self._election = Election(
            self._kube,
            settings.leader_election_namespace,
            identity,
            terms,
            name=settings.lease_name,
            scope=scope_of(kube.namespaces),
        )

    def run(self) -> int:
        """Work until SIGTERM or SIGINT. Returns the exit status."""
        try:
            return self._run()
        finally:
            self._clean_up()

    def _run(self) -> int:
        processes.handle_stop_signals(lambda _: self._shutdown.begin())
        processes.share_heaps()
        self._serve()
        processes.become_subreaper()
        processes.sweep(self._settings.work_dir)
        self._start("orphans", processes.reap_orphans, self._stopping)
        if self._settings.leader_elect and not self._lead():
            return 0
        made = self._make_reconciler()
        if made is not None and not self._stopping.is_set():
            job, reconciler = made
            self._start_work(reconciler)
            self._stopping.wait()
            self._stop_work(job)
        if self._settings.leader_elect and not self._is_lost:
            self._release_lease()
        return 1 if self._is_lost else 0

    def _lead(self) -> bool:
        """Wait for the Lease, and keep it from then on; False when stopped first."""
        if not self._election.acquire(self._stopping):
            return False
        self._keep_lease()
        self._start("overlap", self._election.report_overlapping, self._stopping, self._metrics.overlapping.set)
        return True

    def _keep_lease(self) -> None:
        self._may_run = self._election.is_leading
        # At once: what comes before the work may take longer than a Lease lasts.
        self._start("lease", self._election.renew, self._stopping)
        self._start("lease-deadline", self._election.watch_deadline, self._stopping, self._lose)

    def _release_lease(self) -> None:
        # A renewal that is under way, or a later one, would take it again.
        self._shutdown.begin(is_graceful=False)
        for thread in self._threads:
            if thread.name == "lease":
                thread.join(self._shutdown.left_s(LEASE_S))
        self._election.release(self._shutdown.left_s(LEASE_S))

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

    def _once(self) -> int:
        holder = self._take_lease()
        if holder or self._stopping.is_set():
            return 2
        processes.become_subreaper()
        processes.sweep(self._settings.work_dir)
        try:
            items, is_complete = self._list_once()
            made = self._make_reconciler() if is_complete or items else None
            if made is None:
                return 2
            is_ready = self._reconcile_all(*made, items)
        finally:
            if self._settings.leader_elect and not self._is_lost:
                self._release_lease()
        return 0 if is_ready and is_complete else 1

    def _take_lease(self) -> str:
        """Become the one that works. Returns who else is; empty when nobody is, or when stopped."""
        if self._settings.leader_elect:
            holder = self._election.acquire_unless_held(self._stopping)
        else:
            holder = self._election.find_holder()
        if holder:
            place = f"{self._settings.leader_election_namespace}/{self._settings.lease_name}"
            fields = {"holder": holder, "lease": place}
            _LOG.error("another s3-operator holds the Lease: it does the work", extra=fields)
        elif self._settings.leader_elect:
            self._keep_lease()
        return holder

    def _list_once(self) -> tuple[list[dict[str, Any]], bool]:
        """The objects of all namespaces, and whether all namespaces are there.

        :raises KubeError: when Kubernetes does not answer
        """
        if not self._settings.role.cluster_name:
            # Here it is an error; an operator would wait for it.
            self._kube.get_cluster_id()
        missing = self._kube.find_missing_namespaces()
        for name in missing:
            _LOG.error("the namespace does not exist (--watch-namespace)", extra={"namespace": name})
        found = [name for name in self._kube.namespaces if name not in missing]
        return [item for name in found for item in self._kube.list_objects(name)[0]], not missing

    def _reconcile_all(self, job: AnsibleJob, reconciler: Reconciler, items: list[dict[str, Any]]) -> bool:
        """Reconcile each object, while the Lease is ours and nobody asks to stop. Whether all are Ready, or deleted."""
        seen = self._caches.add("S3")
        for item in items:
            seen.put(key_of(item), item)
        keys: SimpleQueue[Key] = SimpleQueue()
        for item in items:
            keys.put(key_of(item))
        results: list[bool] = []
        for number in range(self._settings.max_concurrent_reconciles):
            self._start(f"worker-{number}", self._drain, reconciler, keys, results)
        is_late = threading.Event()
        self._start("stop", self._cancel_when_stopped, job, is_late)
        workers = [thread for thread in self._threads if thread.name.startswith("worker-")]
        for thread in workers:
            while thread.is_alive() and not is_late.is_set():
                thread.join(_POLL_S)
        self._shutdown.begin(is_graceful=False)
        is_late.set()
        return len(results) == len(items) and all(results)

    def _drain(self, reconciler: Reconciler, keys: SimpleQueue[Key], results: list[bool]) -> None:
        with contextlib.suppress(Empty):
            while not self._stopping.is_set():
                results.append(self._reconcile_once(reconciler, keys.get_nowait()))

    def _cancel_when_stopped(self, job: AnsibleJob, is_late: threading.Event) -> None:
        """Let runs end for the grace period, cancel them then, and give up what still waits for AWS."""
        self._stopping.wait()
        is_late.wait(self._shutdown.left_s(0))
        job.cancel()
        is_late.wait(self._shutdown.left_s(WORKERS_S))
        is_late.set()

    def _reconcile_once(self, reconciler: Reconciler, key: Key) -> bool:
        try:
            outcome = reconciler.look(key)
            # It made progress, and another pass may be hours away.
            while outcome is not None and outcome.retry == Retry.IMMEDIATE and not self._stopping.is_set():
                outcome = reconciler.look(key)
        except KubeError as error:
            _LOG.error("not reconciled", extra={"namespace": key[0], "name_": key[1], "error": str(error)})
            return False
        return outcome is None or outcome.is_done

    def _clean_up(self) -> None:
        self._shutdown.begin(is_graceful=False)
        if self._warm:
            self._warm.stop(self._shutdown.left_s(END_S))
        if self._check:
            self._check.close()
        # What a worker that is not waited for any more may have left.
        processes.kill_own_runs(self._shutdown.left_s(END_S))
        processes.remove_own_folders(self._settings.work_dir)

    def _make_reconciler(self) -> tuple[AnsibleJob, Reconciler] | None:
        """The job and who gives it work; None when stopped before the cluster's name was known."""
        name, settings = self._settings.role.cluster_name, self._settings
        while not name and not self._stopping.is_set():
            try:
                name = self._kube.get_cluster_id()
            except KubeError as error:
                _LOG.warning("cluster id not read", extra={"error": str(error)})
                self._stopping.wait(settings.retry_period_s)
        if not name:
            return None
        role = replace(settings.role, cluster_name=name, empty_time_s=_empty_time_s(settings))
        self._warm = self._start_warm() if settings.executor == "warm" else None
        job = AnsibleJob(settings.project_dir, settings.work_dir, settings.run_timeout_s, role, self._warm)
        self._job = job
        self._check = check = DriftCheck(
            settings.project_dir,
            role,
            self._caches.find,
            period_s=settings.sync_period_s,
            count_call=self._metrics.count_call,
            limit_s=min(_MAX_CHECK_S, settings.run_timeout_s),
        )
        self._orphans = Orphans(
            self._kube,
            check,
            self._metrics,
            lambda key: self._caches.find("S3", *key),
            (lambda user: self._deactivate(user, name)) if settings.orphan_policy == "Deactivate" else None,
            grace_s=settings.orphan_grace_period_s,
        )
        objects = StoredObjects(self._kube, lambda key: self._caches.find("S3", *key), self._unstored_fields())
        reconciler = Reconciler(
            objects,
            Claims(self._run_role, self._caches.find_naming),
            self._metrics,
            settings.sync_period_s,
            find_seen=objects.find_seen,
            check=check,
            checks_all=settings.drift_check,
            full_sync_period_s=settings.full_sync_period_s,
            run_timeout_s=settings.run_timeout_s,
        )
        return job, reconciler

    def _unstored_fields(self) -> tuple[str, ...]:
        try:
            return unstored_fields(self._kube.get_crd(), self._settings.project_dir)
        except KubeError as error:
            # Without the right to read it, what is missing is noticed when a status is written.
            _LOG.info("CRD not read", extra={"error": str(error)})
            return ()

    def _start_warm(self) -> WarmProcess:
        folder = processes.own_folder(self._settings.work_dir, "warm")
        make_folders(folder)
        run_id = f"{processes.operator_id()}-warm".ljust(_RUN_ID_ROOM, "-")
        environment = ansible_environment(self._settings.project_dir, folder, run_id, callback_environment())
        warm = WarmProcess(folder, environment)
        warm.start()
        return warm

    def _start_work(self, reconciler: Reconciler) -> None:
        self._metrics.leading.set(1)
        self._metrics.watch_queue(self._queue)
        for namespace in self._kube.namespaces:
            self._watch(namespace)
        if self._orphans:
            period_s = min(self._settings.sync_period_s, _ORPHAN_PERIOD_S)
            self._start("orphaned-users", self._orphans.run, self._stopping, self._is_synced, period_s)
        self._start_workers(reconciler)

    def _start_workers(self, reconciler: Reconciler) -> None:
        settings, namespaces = self._settings, self._kube.namespaces
        # A single namespace that is watched keeps no other one waiting.
        has_many = len(namespaces) > 1 or namespaces[0] is None
        checks = settings.drift_check
        self._workers = Workers(self._queue, reconciler, has_checkers=checks, stopping=self._stopping)
        count = settings.max_concurrent_reconciles
        found = run_workers(count, has_many_namespaces=has_many, has_checkers=checks)
        if checks:
            found += check_workers(settings.resync_workers, has_many_namespaces=has_many)
        for worker in found:
            self._start(worker.name, self._workers.work, worker)

    def _watch(self, namespace: str | None) -> None:
        kube, place = self._kube, namespace or "all namespaces"
        objects = Watcher(
            f"S3 in {place}",
            lambda: kube.iterate_objects(namespace),
            lambda version: kube.watch_objects(namespace, version),
            ObjectHandler(self._queue, self._settings.sync_period_s, self._caches.add("S3")),
            self._stopping,
        )
        self._object_watchers.append(objects)
        children = [
            Watcher(
                f"{kind} in {place}",
                lambda kind=kind: kube.iterate_children(kind, namespace),  # type: ignore[misc]
                lambda version, kind=kind: kube.watch_children(kind, namespace, version),  # type: ignore[misc]
                ChildHandler(self._queue, self._caches.add(kind)),
                self._stopping,
            )
            for kind in _CHILD_KINDS
        ]
        watched = NamespaceWatch(namespace, [objects, *children])
        self._namespaces.append(watched)
        self._metrics.watch_namespace(watched)
        for watcher in watched.watchers:
            self._start("watch", watcher.run)

    def _start(self, name: str, body: Any, *arguments: Any) -> None:
        # Daemons: a watch that waits for the API server must not keep the process.
        thread = threading.Thread(target=body, args=arguments, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _run_role(self, item: dict[str, Any]) -> Outcome:
        if self._job is None or not self._may_run():
            return _not_leading()
        return (self._check.try_policy(item) if self._check else None) or self._job.run(item)

    def _deactivate(self, user: Owned, cluster: str) -> Outcome:
        if self._job is None or not self._may_run():
            return _not_leading()
        return self._job.deactivate(user, cluster)

    def _lose(self, left_s: float) -> None:
        """End all runs: the Lease is lost, and another replica may begin in ``left_s`` seconds."""
        self._is_lost = True
        # Whatever hangs, the process ends.
        end = threading.Timer(max(0.0, left_s / 2), _end_at_once)
        end.daemon = True
        end.start()
        self._shutdown.begin(is_graceful=False)
        if self._job is not None:
            self._job.cancel()
        processes.kill_own_runs(max(0.0, left_s / 2))

    def _stop_work(self, job: AnsibleJob) -> None:
        _LOG.info("stopping", extra={"grace_s": self._settings.grace_period_s})
        self._queue.shut_down()
        workers = [thread for thread in self._threads if thread.name.startswith("worker-")]
        timer = threading.Timer(self._shutdown.left_s(0), job.cancel)
        timer.daemon = True
        timer.start()
        # For all of them together: each may wait for an API server that does not answer.
        for thread in workers:
            thread.join(self._shutdown.left_s(WORKERS_S))
        timer.cancel()
        self._metrics.leading.set(0)

    def _serve(self) -> None:
        pages = {
            "/healthz": check_page(self._check_health),
            "/readyz": check_page(self._check_ready),
        }

        def show_metrics() -> tuple[int, str, bytes]:
            return 200, CONTENT_TYPE_LATEST, generate_latest(self._metrics.registry)

        # Of 10,000 objects they take half a second to write.
        metrics = {"/metrics": kept_page(show_metrics, _METRICS_S)}
        if self._settings.metrics_address == self._settings.health_address:
            serve(self._settings.health_address, {**pages, **metrics})
            return
        serve(self._settings.health_address, pages)
        serve(self._settings.metrics_address, metrics)

    def _check_health(self) -> str:
        # A standby has no watchers and is healthy; so is one that waits for the API server.
        watchers = [watcher for namespace in self._namespaces for watcher in namespace.watchers]
        stuck = [watcher for watcher in watchers if watcher.idle_s > _MAX_IDLE_S]
        dead = [thread.name for thread in self._threads if not thread.is_alive() and not self._stopping.is_set()]
        if dead:
            return f"threads have ended: {', '.join(dead)}"
        limit_s = self._settings.run_timeout_s + _MAX_OVERRUN_S
        busy = self._workers.find_stuck(limit_s) if self._workers else []
        if busy:
            return f"workers have been busy with one object for more than {limit_s:g} s: {', '.join(busy)}"
        return "a watch is stuck" if stuck else ""

    def _check_ready(self) -> str:
        if self._stopping.is_set():
            return "stopping"
        if self._election.refusal:
            return self._election.refusal
        if any(not (namespace.is_watched or namespace.denial) for namespace in self._namespaces):
            return "waiting for the first list"
        # One namespace without rights is reported, and does not keep the others from being served.
        if self._namespaces and not any(namespace.is_watched for namespace in self._namespaces):
            return f"no namespace can be watched: {self._namespaces[0].denial}"
        return ""

    def _is_synced(self) -> bool:
        """Whether all S3 objects are known."""
        return all(watcher.synced.is_set() for watcher in self._object_watchers)


def _not_leading() -> Outcome:
    return Outcome.failure(Reason.RUN_CANCELLED, "the Lease is no longer held")


def _empty_time_s(settings: Settings) -> int:
    """At most half of a run's time: the rest is for what comes before and after."""
    return max(1, int(min(settings.role.empty_time_s, settings.run_timeout_s / 2)))


def _end_at_once() -> None:
    processes.kill_own_runs(1.0)
    os._exit(1)


def default_identity_namespace() -> str:
    """The Pod's own namespace, or ``default`` outside of a Pod."""
    path = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
    if os.path.exists(path):
        with open(path) as stream:
            return stream.read().strip()
    return "default"
