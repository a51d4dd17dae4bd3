"""Fakes for unit tests of the loop: the collaborators that a Reconciler, a Watcher and an Election take."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from runner.kube.client import FINALIZER, KubeError, WatchEvent
from runner.kube.events import Event
from s3bucket.outcome import Outcome, Reason

READY = Outcome(True, Reason.READY)


class ApiProblemError(Exception):
    """What the client library would raise."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status
        self.reason = "injected"


def kube_error(status: int) -> KubeError:
    return KubeError("do it", ApiProblemError(status))


def make_item(**metadata: Any) -> dict[str, Any]:
    base = {"name": "photos", "namespace": "team", "uid": "u1", "resourceVersion": "1", "generation": 1}
    return {"metadata": {**base, **metadata}, "spec": {"region": "eu-west-1", "bucketName": "photos"}}


class FakeKube:
    """One S3 object in memory, with a log of what was written."""

    def __init__(self, item: dict[str, Any] | None) -> None:
        self.item = item
        self.reads: list[str] = []
        self.writes: list[str] = []
        self.events: list[Event] = []
        self.errors: dict[str, KubeError] = {}

    def find_object(self, namespace: str, name: str) -> dict[str, Any] | None:
        self._fail("find_object")
        self.reads.append("find_object")
        return copy.deepcopy(self.item)

    def add_finalizer(self, item: dict[str, Any]) -> dict[str, Any]:
        self._write("add_finalizer")
        assert self.item is not None
        self.item["metadata"]["finalizers"] = [*self.item["metadata"].get("finalizers", []), FINALIZER]
        return copy.deepcopy(self.item)

    def remove_finalizer(self, item: dict[str, Any]) -> None:
        self._write("remove_finalizer")
        self.item = None

    def write_status(self, item: dict[str, Any], status: dict[str, Any]) -> None:
        self._write("write_status")
        if self.item is not None:
            self.item["status"] = status

    def write_event(self, item: dict[str, Any], event: Event) -> None:
        self._fail("write_event")
        self.events.append(event)

    def _write(self, name: str) -> None:
        self._fail(name)
        self.writes.append(name)

    def _fail(self, name: str) -> None:
        if name in self.errors:
            raise self.errors[name]


class FakeJob:
    """Ends each run with the next of the given outcomes; the last one again and again."""

    def __init__(self, kube: FakeKube, *outcomes: Outcome) -> None:
        self._kube = kube
        self._outcomes = list(outcomes) or [READY]
        self.runs: list[dict[str, Any]] = []

    def run(self, item: dict[str, Any]) -> Outcome:
        self.runs.append(item)
        self._kube.writes.append("run")
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]


class FakeCheck:
    """Answers each look with the next of the given outcomes; the last one again and again."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.looks = 0
        self.nothing: Outcome | None = None
        self.forgotten: list[str] = []

    def look(self, item: dict[str, Any]) -> Outcome:
        self.looks += 1
        return self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]

    def look_for_nothing(self, item: dict[str, Any]) -> Outcome | None:
        return self.nothing

    def forget(self, item: dict[str, Any]) -> None:
        self.forgotten.append(item["metadata"]["name"])


class FakeLeases:
    """Leases in memory; ``lease`` is the one of the default name."""

    def __init__(self) -> None:
        self.leases: dict[str, dict[str, Any]] = {}
        self.list_error: KubeError | None = None
        self.error: KubeError | None = None
        # Called at each call, which may take its time.
        self.before_call: Callable[[], None] = lambda: None
        self.timeouts: list[float] = []
        self._version = 0

    def find_lease(self, namespace: str, name: str, timeout_s: float) -> dict[str, Any] | None:
        self.timeouts.append(timeout_s)
        self.before_call()
        if self.error:
            raise self.error
        return copy.deepcopy(self.leases.get(name))

    def write_lease(
        self, namespace: str, name: str, spec: dict[str, Any], old: dict[str, Any] | None, timeout_s: float
    ) -> None:
        self.timeouts.append(timeout_s)
        self.before_call()
        if self.error:
            raise self.error
        if self.leases.get(name, {}).get("version") != (old or {}).get("version"):
            raise kube_error(409)
        self._version += 1
        kept = {"namespace": namespace, "name": name, "transitions": 0, "version": str(self._version)}
        self.leases[name] = {**spec, **kept, "renewed": datetime.now(UTC)}

    def list_leases(self, namespace: str | None) -> list[dict[str, Any]]:
        if self.list_error:
            raise self.list_error
        # By their label: one of an earlier version has none, and no scope.
        return [copy.deepcopy(lease) for lease in self.leases.values() if lease["scope"]]

    @property
    def lease(self) -> dict[str, Any] | None:
        return self.leases.get("s3-operator")


class FakeListing:
    """A list's items and version; an exception is raised when they are read."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self.version = ""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if isinstance(self._answer, Exception):
            raise self._answer
        items, self.version = self._answer
        yield from items


class FakeApi:
    """Lists and watches by script: each list and each watch takes the next answer; an exception is raised."""

    def __init__(self, lists: list[Any], watches: list[Any]) -> None:
        self._lists = lists
        self._watches = watches
        self.watched_from: list[str] = []

    def list(self) -> FakeListing:
        return FakeListing(self._lists.pop(0))

    def watch(self, version: str) -> Iterator[WatchEvent]:
        self.watched_from.append(version)
        for answer in self._watches.pop(0):
            if isinstance(answer, Exception):
                raise answer
            yield answer
