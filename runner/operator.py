"""The operator: wires watch, queue, workers, election and HTTP together; ``run`` for ever, ``once`` for one pass.

Threads: one a watcher, one a worker, one for the election, one a HTTP server; the main thread waits for a
signal. Stop means: stop watching, let runs finish for the grace period, cancel them then, release the
Lease, exit 0. A lost Lease means: cancel runs at once, exit 1, and let Kubernetes start us anew.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from queue import Empty, SimpleQueue
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runner import processes
from runner.cache import Caches
from runner.claims import Claims
from runner.drift import DriftCheck, RoleSettings
from runner.environment import ansible_environment, make_folders
from runner.handlers import ChildHandler, ObjectHandler, key_of
from runner.health import check_page, serve
from runner.job import AnsibleJob, callback_environment
from runner.kube import Kube, KubeError
from runner.leader import LEASE, Election, Terms
from runner.metrics import Metrics
from runner.queue import Key, Lane, WorkQueue
from runner.reconcile import Reconciler
from runner.settings import Settings
from runner.warm.process import WarmProcess
from runner.watch import Watcher

_LOG = logging.getLogger(__name__)
_CHILD_KINDS = ("Secret", "Service")
# Longer than a watch may be silent, with its back-off.
_MAX_IDLE_S = 600.0
_JOIN_S = 10.0
_POLL_S = 0.5
# A run id in the warm process's environment is overwritten by longer ones.
_RUN_ID_ROOM = 64


class Operator:
    """One replica."""

    def __init__(self, settings: Settings, kube: Kube) -> None:
        self._settings = settings
        self._kube = kube
        self._metrics = Metrics()
        self._queue = WorkQueue()
        self._stopping = threading.Event()
        self._is_lost = False
        self._watchers: list[Watcher] = []
        self._caches = Caches()
        self._threads: list[threading.Thread] = []
        self._warm: WarmProcess | None = None
        terms = Terms(settings.lease_duration_s, settings.renew_deadline_s, settings.retry_period_s)
        identity = f"{socket.gethostname()}_{processes.operator_id()}"
        self._election = Election(self._kube, settings.leader_election_namespace, identity, terms)

    def run(self) -> int:
        """Work until SIGTERM or SIGINT. Returns the exit status."""
        try:
            return self._run()
        finally:
            self._clean_up()

    def _run(self) -> int:
        processes.handle_stop_signals(lambda _: self._stopping.set())
        processes.share_heaps()
        self._serve()
        processes.become_subreaper()
        processes.sweep(self._settings.work_dir)
        self._start("orphans", processes.reap_orphans, self._stopping)
        if self._settings.leader_elect and not self._election.acquire(self._stopping):
            return 0
        made = self._make_reconciler()
        if made is not None:
            job, reconciler = made
            self._start_work(job, reconciler)
            self._stopping.wait()
            self._stop_work(job)
        if self._settings.leader_elect and not self._is_lost:
            self._election.release()
        return 1 if self._is_lost else 0

    def once(self) -> int:
        """One pass over all objects. Returns 0: all are Ready, or deleted; 1: some are not; 2: nothing was done."""
        processes.handle_stop_signals(lambda _: self._stopping.set())
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
                self._election.release()
        return 0 if is_ready and is_complete else 1

    def _take_lease(self) -> str:
        """Become the one that works. Returns who else is; empty when nobody is, or when stopped."""
        if self._settings.leader_elect:
            holder = self._election.acquire_unless_held(self._stopping)
        else:
            holder = self._election.find_holder()
        if holder:
            place = f"{self._settings.leader_election_namespace}/{LEASE}"
            fields = {"holder": holder, "lease": place}
            _LOG.error("another s3-operator holds the Lease: it does the work", extra=fields)
        return holder

    def _list_once(self) -> tuple[list[dict[str, Any]], bool]:
        """The objects of all namespaces, and whether all namespaces are there.

        :raises KubeError: when Kubernetes does not answer
        """
        if not self._settings.cluster_name:
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
        if self._settings.leader_elect:
            self._start("lease", self._hold_lease, job)
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
        self._stopping.set()
        is_late.set()
        # A renewal that is under way would meet the Lease's release.
        for thread in self._threads:
            if thread not in workers:
                thread.join(_JOIN_S)
        return len(results) == len(items) and all(results)

    def _drain(self, reconciler: Reconciler, keys: SimpleQueue[Key], results: list[bool]) -> None:
        with contextlib.suppress(Empty):
            while not self._stopping.is_set():
                results.append(self._reconcile_once(reconciler, keys.get_nowait()))

    def _cancel_when_stopped(self, job: AnsibleJob, is_late: threading.Event) -> None:
        """Let runs end for the grace period, cancel them then, and give up what still waits for AWS."""
        self._stopping.wait()
        if not self._is_lost:
            is_late.wait(self._settings.grace_period_s)
        job.cancel()
        is_late.wait(_JOIN_S)
        is_late.set()

    def _reconcile_once(self, reconciler: Reconciler, key: Key) -> bool:
        try:
            outcome = reconciler.look(key)
        except KubeError as error:
            _LOG.error("not reconciled", extra={"namespace": key[0], "name_": key[1], "error": str(error)})
            return False
        return outcome is None or outcome.is_done

    def _clean_up(self) -> None:
        if self._warm:
            self._warm.stop()
        processes.remove_own_folders(self._settings.work_dir)

    def _make_reconciler(self) -> tuple[AnsibleJob, Reconciler] | None:
        """The job and who gives it work; None when stopped before the cluster's name was known."""
        name, settings = self._settings.cluster_name, self._settings
        while not name and not self._stopping.is_set():
            try:
                name = self._kube.get_cluster_id()
            except KubeError as error:
                _LOG.warning("cluster id not read", extra={"error": str(error)})
                self._stopping.wait(settings.retry_period_s)
        if not name:
            return None
        environment = {
            "S3_OPERATOR_CLUSTER_NAME": name,
            "S3_OPERATOR_DELETION_POLICY": settings.deletion_policy,
            "S3_OPERATOR_SERVICE_EXTERNAL_NAME": settings.service_external_name,
            "S3_OPERATOR_IAM_PATH": settings.iam_path,
            "S3_OPERATOR_PERMISSIONS_BOUNDARY": settings.permissions_boundary,
            "S3_OPERATOR_IAM_SETTLE_S": str(settings.iam_settle_s),
            # Half of a run's time: the rest is for what comes before and after.
            "S3_OPERATOR_EMPTY_TIME_S": str(max(1, int(settings.run_timeout_s / 2))),
        }
        self._warm = self._start_warm(environment) if settings.executor == "warm" else None
        job = AnsibleJob(settings.project_dir, settings.work_dir, settings.run_timeout_s, environment, self._warm)
        check = DriftCheck(
            settings.project_dir,
            RoleSettings.of({**vars(settings), "cluster_name": name}),
            self._caches.find,
            period_s=settings.sync_period_s,
            count_call=self._metrics.count_call,
        )
        reconciler = Reconciler(
            self._kube,
            Claims(job.run, self._caches.find_naming),
            self._metrics,
            settings.sync_period_s,
            find_seen=lambda key: self._caches.find("S3", *key),
            check=check,
            checks_all=settings.drift_check,
            full_sync_period_s=settings.full_sync_period_s,
        )
        return job, reconciler

    def _start_warm(self, environment: dict[str, str]) -> WarmProcess:
        folder = processes.own_folder(self._settings.work_dir, "warm")
        make_folders(folder)
        run_id = f"{processes.operator_id()}-warm".ljust(_RUN_ID_ROOM, "-")
        environment = ansible_environment(
            self._settings.project_dir, folder, run_id, {**environment, **callback_environment()}
        )
        warm = WarmProcess(folder, environment)
        warm.start()
        return warm

    def _start_work(self, job: AnsibleJob, reconciler: Reconciler) -> None:
        self._metrics.leading.set(1)
        self._metrics.watch_queue(self._queue)
        for namespace in self._kube.namespaces:
            self._watch(namespace)
        if self._settings.leader_elect:
            self._start("lease", self._hold_lease, job)
        count = self._settings.max_concurrent_reconciles
        runs = (Lane.FRESH, Lane.REPAIR) if self._settings.drift_check else tuple(Lane)
        for number in range(count):
            # However much there is to repair, a new object finds a worker.
            is_kept_free = number == 0 and count > 1
            self._start(f"worker-{number}", self._work, reconciler, (Lane.FRESH,) if is_kept_free else runs)
        for number in range(self._settings.resync_workers if self._settings.drift_check else 0):
            self._start(f"worker-resync-{number}", self._work, reconciler, (Lane.RESYNC,))

    def _watch(self, namespace: str | None) -> None:
        kube = self._kube
        handler = ObjectHandler(self._queue, self._settings.sync_period_s, self._caches.add("S3"))
        objects = Watcher(
            "S3",
            lambda: kube.list_objects(namespace),
            lambda version: kube.watch_objects(namespace, version),
            handler,
            self._stopping,
        )
        self._watchers.append(objects)
        for kind in _CHILD_KINDS:
            self._watchers.append(
                Watcher(
                    kind,
                    lambda kind=kind: kube.list_children(kind, namespace),  # type: ignore[misc]
                    lambda version, kind=kind: kube.watch_children(kind, namespace, version),  # type: ignore[misc]
                    ChildHandler(self._queue, self._caches.add(kind)),
                    self._stopping,
                )
            )
        for watcher in self._watchers[-1 - len(_CHILD_KINDS) :]:
            self._start("watch", watcher.run)

    def _start(self, name: str, body: Any, *arguments: Any) -> None:
        # Daemons: a watch that waits for the API server must not keep the process.
        thread = threading.Thread(target=body, args=arguments, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _work(self, reconciler: Reconciler, lanes: tuple[Lane, ...]) -> None:
        while not self._stopping.is_set():
            found = self._queue.get(lanes=lanes)
            if found is None:
                return
            key, lane = found
            again: tuple[Lane, float] | None = None
            try:
                again = self._handle(reconciler, key, lane)
            except KubeError as error:
                again = (Lane.FRESH, 0.0) if error.is_conflict else (Lane.RESYNC, reconciler.retry_s(key))
                _LOG.warning("not reconciled", extra={"namespace": key[0], "name_": key[1], "error": str(error)})
            except Exception:
                again = Lane.RESYNC, reconciler.retry_s(key)
                _LOG.exception("not reconciled", extra={"namespace": key[0], "name_": key[1]})
            finally:
                if again is not None:
                    self._queue.postpone(key, *again)
                self._queue.done(key)

    def _handle(self, reconciler: Reconciler, key: Key, lane: Lane) -> tuple[Lane, float] | None:
        if lane is Lane.RESYNC and self._settings.drift_check:
            return reconciler.resync(key)
        wait_s = reconciler.reconcile(key)
        return None if wait_s is None else (Lane.FRESH if wait_s == 0 else Lane.RESYNC, wait_s)

    def _hold_lease(self, job: AnsibleJob) -> None:
        if not self._election.hold(self._stopping):
            self._is_lost = True
            # Before the Lease expires nothing of ours may be writing.
            job.cancel()
            self._stopping.set()

    def _stop_work(self, job: AnsibleJob) -> None:
        _LOG.info("stopping", extra={"grace_s": self._settings.grace_period_s})
        self._queue.shut_down()
        workers = [thread for thread in self._threads if thread.name.startswith("worker-")]
        timer = threading.Timer(0 if self._is_lost else self._settings.grace_period_s, job.cancel)
        timer.daemon = True
        timer.start()
        for thread in workers:
            thread.join(self._settings.grace_period_s + _JOIN_S)
        timer.cancel()
        self._metrics.leading.set(0)

    def _serve(self) -> None:
        pages = {
            "/healthz": check_page(self._check_health),
            "/readyz": check_page(self._check_ready),
        }
        metrics = {"/metrics": lambda: (200, CONTENT_TYPE_LATEST, generate_latest(self._metrics.registry))}
        if self._settings.metrics_address == self._settings.health_address:
            serve(self._settings.health_address, {**pages, **metrics})
            return
        serve(self._settings.health_address, pages)
        serve(self._settings.metrics_address, metrics)

    def _check_health(self) -> str:
        # A standby has no watchers and is healthy; so is one that waits for the API server.
        stuck = [watcher for watcher in self._watchers if watcher.idle_s > _MAX_IDLE_S]
        dead = [thread.name for thread in self._threads if not thread.is_alive() and not self._stopping.is_set()]
        if dead:
            return f"threads have ended: {', '.join(dead)}"
        return "a watch is stuck" if stuck else ""

    def _check_ready(self) -> str:
        waiting = [watcher for watcher in self._watchers if not watcher.synced.is_set()]
        if self._stopping.is_set():
            return "stopping"
        return "waiting for the first list" if waiting else ""


def default_identity_namespace() -> str:
    """The Pod's own namespace, or ``default`` outside of a Pod."""
    path = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
    if os.path.exists(path):
        with open(path) as stream:
            return stream.read().strip()
    return "default"
