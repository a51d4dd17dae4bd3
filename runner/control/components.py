"""Builds the components that reconcile objects, from the operator's settings and the name of the cluster.

``run`` and ``once`` both need them, and neither can have them before Kubernetes returned the cluster's name. The rest
of the operator (watches, queue, Lease, probes), and the order of start and stop, are in :mod:`runner.control.operator`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace

from runner.control.canary import Canary, CanaryRole
from runner.control.claims import CONSISTENCY_S, Claims
from runner.control.guard import GuardedRole
from runner.control.metrics import Metrics
from runner.control.orphans import Orphans
from runner.control.publish import Publisher, utc_now
from runner.control.reconcile import Reconciler
from runner.control.schedule import Periods, Schedule
from runner.control.shards import Work
from runner.control.shared_claims import SharedRecords
from runner.control.stored import StoredObjects
from runner.control.verifier import Times, Verifier
from runner.drift.check import DriftCheck
from runner.execution import processes
from runner.execution.environment import ansible_environment, make_folders
from runner.execution.job import AnsibleJob, callback_environment
from runner.execution.warm.process import WarmProcess
from runner.kube.cache import Caches
from runner.kube.client import Kube, KubeError
from runner.kube.schema import unstored_fields
from runner.objects import Key
from runner.settings import Settings
from s3bucket.role_settings import RoleSettings

_LOG = logging.getLogger(__name__)
_MAX_CHECK_S = 120.0
# A run id in the warm process's environment is overwritten by longer ones.
_RUN_ID_ROOM = 64


@dataclass(frozen=True)
class Components:
    """What is made for one operator, or for one pass."""

    job: AnsibleJob
    check: DriftCheck
    reconciler: Reconciler
    orphans: Orphans
    verifier: Verifier | None
    warm: WarmProcess | None

    def close(self, timeout_s: float) -> None:
        """End the processes that they have started."""
        if self.warm:
            self.warm.stop(timeout_s)
        self.check.close()


class Factory:
    """Makes the components.

    :param work: what this replica may work on
    :param has_backlog: whether an object that is being processed is one of many of its namespace
    :param has_events: whether events of AWS about an object are received now
    :param canary: gets what the role changes in AWS
    """

    def __init__(  # noqa: PLR0913 - what the operator and its components share
        self,
        settings: Settings,
        kube: Kube,
        caches: Caches,
        metrics: Metrics,
        work: Work,
        has_backlog: Callable[[Key], bool],
        has_events: Callable[[Key], bool],
        canary: Canary,
    ) -> None:
        self._canary = canary
        self._has_events = has_events
        self._settings = settings
        self._kube = kube
        self._caches = caches
        self._metrics = metrics
        self._work = work
        self._has_backlog = has_backlog

    def make(self, cluster: str) -> Components:
        """Make the components, and start the warm process.

        :param cluster: the cluster's name in owner tags
        """
        settings = self._settings
        role = replace(settings.role, cluster_name=cluster, empty_time_s=_empty_time_s(settings))
        warm = _start_warm(settings) if settings.executor == "warm" else None
        check = self._make_check(role)
        check.capabilities.try_get()
        job = self._make_job(role, warm, check)
        guarded = GuardedRole(job, check.try_policy, self._work.may_run)
        orphans = self._make_orphans(check, guarded, cluster)
        objects = StoredObjects(self._kube, self._caches.find_object, self._find_unstored_fields())
        verifier = self._make_verifier(check, objects)
        reconciler = self._make_reconciler(check, guarded, objects, verifier)
        return Components(job, check, reconciler, orphans, verifier, warm)

    def _make_check(self, role: RoleSettings) -> DriftCheck:
        return DriftCheck(
            self._settings.project_dir,
            role,
            self._caches.find_child,
            period_s=self._settings.sync_period_s,
            count_call=self._metrics.count_call,
            limit_s=min(_MAX_CHECK_S, self._settings.run_timeout_s),
        )

    def _make_job(self, role: RoleSettings, warm: WarmProcess | None, check: DriftCheck) -> AnsibleJob:
        settings, find = self._settings, check.capabilities.find
        folders = settings.project_dir, settings.work_dir
        return AnsibleJob(
            *folders,
            settings.run_timeout_s,
            role,
            warm,
            find_capabilities=find,
            has_backlog=self._has_backlog,
            is_revoked=self._work.is_revoked,
        )

    def _make_orphans(self, check: DriftCheck, role: GuardedRole, cluster: str) -> Orphans:
        deactivates = self._settings.orphan_policy == "Deactivate"
        return Orphans(
            self._kube,
            check.owned,
            self._metrics,
            self._caches.find_object,
            (lambda user: role.deactivate(user, cluster)) if deactivates else None,
            grace_s=self._settings.orphan_grace_period_s,
            work=self._work,
        )

    def _make_verifier(self, check: DriftCheck, objects: StoredObjects) -> Verifier | None:
        settings = self._settings
        if not settings.verify_credentials or check.keys is None:
            return None
        times = Times(settings.verify_period_s, confirm_s=settings.role.iam_settle_s)
        return Verifier(check.keys, objects, self._metrics, utc_now, times, work=self._work)

    def _make_reconciler(
        self, check: DriftCheck, role: GuardedRole, objects: StoredObjects, verifier: Verifier | None
    ) -> Reconciler:
        settings = self._settings
        with_events_s = settings.sync_period_with_events_s
        periods = Periods(settings.sync_period_s, settings.full_sync_period_s, settings.run_timeout_s, with_events_s)
        return Reconciler(
            objects,
            CanaryRole(role, self._canary),
            check,
            self._make_claims(),
            Publisher(objects, self._metrics, find_verified=verifier.find if verifier else None),
            Schedule(periods, has_events=self._has_events),
            drift_check=settings.drift_check,
            verifier=verifier,
            work=self._work,
        )

    def _make_claims(self) -> Claims:
        settings, find = self._settings, self._caches.find_naming
        if not settings.sharding:
            return Claims(find)
        records = SharedRecords(self._kube, settings.leader_election_namespace, settings.lease_name)
        return Claims(find, records=records, run_limit_s=settings.run_timeout_s + CONSISTENCY_S)

    def _find_unstored_fields(self) -> tuple[str, ...]:
        try:
            return unstored_fields(self._kube.get_crd(), self._settings.project_dir)
        except KubeError as error:
            # Without the right to read it, what is missing is noticed when a status is written.
            _LOG.info("CRD not read", extra={"error": str(error)})
            return ()


def wait_for_cluster_id(kube: Kube, stopping: threading.Event, retry_period_s: float) -> str:
    """The cluster's id, as soon as Kubernetes returns it; empty when stopped first."""
    while not stopping.is_set():
        try:
            return kube.get_cluster_id()
        except KubeError as error:
            _LOG.warning("cluster id not read", extra={"error": str(error)})
            stopping.wait(retry_period_s)
    return ""


def _start_warm(settings: Settings) -> WarmProcess:
    folder = processes.own_folder(settings.work_dir, "warm")
    make_folders(folder)
    run_id = f"{processes.operator_id()}-warm".ljust(_RUN_ID_ROOM, "-")
    warm = WarmProcess(folder, ansible_environment(settings.project_dir, folder, run_id, callback_environment()))
    warm.start()
    return warm


def _empty_time_s(settings: Settings) -> int:
    """At most half of a run's time: the rest is for what comes before and after."""
    return max(1, int(min(settings.role.empty_time_s, settings.run_timeout_s / 2)))
