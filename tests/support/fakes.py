"""Fakes for unit tests of the control loop: the collaborators of a Reconciler, a Watcher and an Election."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from typing import Any

from runner.control.claims import Claims
from runner.control.metrics import Metrics
from runner.control.publish import Publisher
from runner.control.reconcile import Reconciler, Role
from runner.control.schedule import Periods, Schedule
from runner.control.shards import ALL, Work
from runner.kube.client import FINALIZER, KubeError, WatchEvent
from runner.kube.events import Event
from runner.kube.lease import Lease
from runner.objects import JsonObject, Key, KubeObject, S3Object
from s3bucket.outcome import Outcome, Reason

READY = Outcome(True, Reason.READY)


class ApiProblemError(Exception):
    """The exception of the client library."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status
        self.reason = "injected"


def kube_error(status: int) -> KubeError:
    return KubeError("do it", ApiProblemError(status))


def make_item(**metadata: Any) -> dict[str, Any]:
    base = {"name": "photos", "namespace": "team", "uid": "u1", "resourceVersion": "1", "generation": 1}
    return {"metadata": {**base, **metadata}, "spec": {"region": "eu-west-1", "bucketName": "photos"}}


def make_object(**metadata: Any) -> S3Object:
    return S3Object.from_item(make_item(**metadata))


class FakeKube:
    """One S3 object in memory, and a log of the writes. The watch is always up to date."""

    def __init__(self, item: dict[str, Any] | None) -> None:
        self.item = item
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.events: list[Event] = []
        self.errors: dict[str, KubeError] = {}

    def find_object(self, namespace: str, name: str) -> S3Object | None:
        self._fail("find_object")
        self.reads.append("find_object")
        return self._copy()

    def find_seen(self, key: Key) -> S3Object | None:
        return self._copy()

    def add_finalizer(self, s3: S3Object) -> S3Object:
        self._write("add_finalizer")
        assert self.item is not None
        self.item["metadata"]["finalizers"] = [*self.item["metadata"].get("finalizers", []), FINALIZER]
        return S3Object.from_item(copy.deepcopy(self.item))

    def remove_finalizer(self, s3: S3Object) -> None:
        self._fail("remove_finalizer")
        now = self._copy()
        if now is None or (now.uid, now.finalizers) != (s3.uid, s3.finalizers):
            raise kube_error(404 if now is None else 422)
        self._write("remove_finalizer")
        self.item = None

    def write_status(self, s3: S3Object, status: JsonObject) -> None:
        self._write("write_status")
        if self.item is not None:
            self.item["status"] = status

    def write_conditions(self, s3: S3Object, conditions: list[JsonObject]) -> None:
        self._write("write_conditions")
        if self.item is not None:
            self.item["status"] = {**self.item.get("status", {}), "conditions": conditions}

    def write_event(self, s3: S3Object, event: Event) -> None:
        self._fail("write_event")
        self.events.append(event)

    def _copy(self) -> S3Object | None:
        return None if self.item is None else S3Object.from_item(copy.deepcopy(self.item))

    def _write(self, name: str) -> None:
        self._fail(name)
        self.writes.append(name)

    def _fail(self, name: str) -> None:
        if name in self.errors:
            raise self.errors[name]


class FakeJob:
    """Ends each run with the next of the given outcomes. The last outcome is repeated."""

    def __init__(self, kube: FakeKube, *outcomes: Outcome) -> None:
        self._kube = kube
        self._outcomes = list(outcomes) or [READY]
        self.runs: list[S3Object] = []

    def run(self, s3: S3Object) -> Outcome:
        self.runs.append(s3)
        self._kube.writes.append("run")
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]


class FakeCheck:
    """Ends each comparison with the next of the given outcomes. The last outcome is repeated."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes) or [READY]
        self.comparisons = 0
        self.deletion: Outcome | None = None
        self.changed_by_runs: list[str] = []

    def compare(self, s3: S3Object) -> Outcome:
        self.comparisons += 1
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]

    def compare_deletion(self, s3: S3Object) -> Outcome | None:
        return self.deletion

    def forget(self, s3: S3Object) -> None:
        self.changed_by_runs.append(s3.name)


@dataclass
class FakeParts:
    """The collaborators of a Reconciler other than the objects and the role. ``time_s`` is the time on its clock."""

    check: FakeCheck = field(default_factory=FakeCheck)
    metrics: Metrics = field(default_factory=Metrics)
    drift_check: bool = True
    full_sync_period_s: float = math.inf
    time_s: float = 0.0
    now: str = "2026-01-02T03:04:05Z"
    verifier: Any = None
    # This clock advances far on each read, so the waiting times after a run are over at once.
    work: Work = ALL
    claims: Claims = field(default_factory=lambda: Claims(lambda bucket: [], count(step=1000.0).__next__))

    def make_reconciler(self, objects: Any, role: Role) -> Reconciler:
        chance, periods = random.Random(1), Periods(300, self.full_sync_period_s, 600)
        return Reconciler(
            objects,
            role,
            self.check,
            self.claims,
            Publisher(objects, self.metrics, lambda: self.now, self.verifier.find if self.verifier else None),
            Schedule(periods, lambda: self.time_s, chance),
            drift_check=self.drift_check,
            verifier=self.verifier,
            work=self.work,
        )


class FakeWork:
    """One replica that gains or loses all objects."""

    def __init__(self) -> None:
        self.is_begun = self.is_certain = True
        self.order: list[str] = []
        self.writes: list[str] = [""]

    def may_run(self, uid: str) -> bool:
        return self.is_certain

    def is_revoked(self, uid: str) -> bool:
        return not self.is_certain

    def lose(self) -> None:
        self.is_certain = False

    @contextmanager
    def working(self, uid: str) -> Iterator[bool]:
        self.order.append(f"begin {uid}")
        yield self.is_begun
        self.order.append(f"end after {self.writes[-1]}")

    @contextmanager
    def reading(self, uid: str) -> Iterator[Callable[[], bool]]:
        self.order.append(f"reading {uid}")
        yield lambda: self.is_certain


class FakeLeases:
    """Leases in memory. ``lease`` is the one with the default name."""

    def __init__(self) -> None:
        self.leases: dict[str, Lease] = {}
        self.list_error: KubeError | None = None
        self.error: KubeError | None = None
        # Called at each request. A test can let time pass here.
        self.before_call: Callable[[], None] = lambda: None
        self.timeouts: list[float] = []
        self._version = 0

    def find_lease(self, namespace: str, name: str, timeout_s: float) -> Lease | None:
        self.timeouts.append(timeout_s)
        self.before_call()
        if self.error:
            raise self.error
        return self.leases.get(name)

    def write_lease(self, lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        self.timeouts.append(timeout_s)
        self.before_call()
        if self.error:
            raise self.error
        stored = self.leases.get(lease.name)
        if (stored.version if stored else None) != (old.version if old else None):
            raise kube_error(409)
        self._version += 1
        kept = self.leases[lease.name] = replace(lease, version=str(self._version), renewed=datetime.now(UTC))
        return kept

    def list_leases(self, namespace: str | None) -> list[Lease]:
        if self.list_error:
            raise self.list_error
        # Selected by label. A Lease of an earlier version has no label, and no scope.
        return [lease for lease in self.leases.values() if lease.scope]

    @property
    def lease(self) -> Lease | None:
        return self.leases.get("s3-operator")


class FakeConfigMaps:
    """ConfigMaps in memory. ``before_write`` is called once, before the next write."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[dict[str, str], str]] = {}
        self.before_write: Callable[[], None] = lambda: None
        self.error: KubeError | None = None

    def find_config_map(self, namespace: str, name: str) -> tuple[dict[str, str], str] | None:
        if self.error:
            raise self.error
        return self.stored.get(name)

    def write_config_map(self, namespace: str, name: str, data: dict[str, str], version: str) -> None:
        if self.error:
            raise self.error
        before, self.before_write = self.before_write, lambda: None
        before()
        stored = self.stored[name][1] if name in self.stored else ""
        if stored != version:
            raise kube_error(409)
        self.stored[name] = data, str(int(stored or "0") + 1)


class FakeListing:
    """The items and the resourceVersion of a list. An exception is raised when the items are read."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.version = ""

    def __iter__(self) -> Iterator[KubeObject]:
        if isinstance(self._answer, Exception):
            raise self._answer
        items, self.version = self._answer
        yield from items


class FakeApi:
    """Scripted lists and watches: each request takes the next answer. An exception is raised."""

    def __init__(self, lists: list[Any], watches: list[Any]) -> None:
        self._lists = lists
        self._watches = watches
        self.watched_from: list[str] = []

    def list(self) -> FakeListing:
        return FakeListing(self._lists.pop(0))

    def watch(self, version: str) -> Iterator[WatchEvent[KubeObject]]:
        self.watched_from.append(version)
        for answer in self._watches.pop(0):
            if isinstance(answer, Exception):
                raise answer
            yield answer
