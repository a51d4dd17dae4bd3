"""One look at one object: what is to be done, the run of the role, what is told afterwards.

The collaborators come by the constructor, so that a table of cases runs with fakes. Nothing in here
knows Kubernetes' client or Ansible. Called by one worker at a time for an object.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from runner.backoff import Backoff, jittered
from runner.conditions import Outcome, Reason, ready_condition, status_of
from runner.events import Event, event_at_start, event_of
from runner.kube import FINALIZER, KubeError
from runner.metrics import Metrics
from runner.queue import Key

_LOG = logging.getLogger(__name__)


class Objects(Protocol):
    """The API server, as far as a reconcile needs it."""

    def find_object(self, namespace: str, name: str) -> dict[str, Any] | None: ...

    def add_finalizer(self, item: dict[str, Any]) -> dict[str, Any]: ...

    def remove_finalizer(self, item: dict[str, Any]) -> None: ...

    def write_status(self, item: dict[str, Any], status: dict[str, Any]) -> None: ...

    def write_event(self, item: dict[str, Any], event: Event) -> None: ...


class Job(Protocol):
    """A run of the role."""

    def run(self, item: dict[str, Any]) -> Outcome: ...


def utc_now() -> str:
    """The time as RFC 3339, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Reconciler:
    """Reconciles objects. ``sync_period_s`` is when an object is looked at again if nothing happens."""

    def __init__(
        self,
        kube: Objects,
        job: Job,
        metrics: Metrics,
        sync_period_s: float,
        *,
        now: Callable[[], str] = utc_now,
        chance: random.Random | None = None,
    ) -> None:
        self._kube = kube
        self._job = job
        self._metrics = metrics
        self._sync_period_s = sync_period_s
        self._now = now
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._backoff = Backoff(sync_period_s, chance=self._chance)

    def reconcile(self, key: Key) -> float | None:
        """Look at an object. Returns in how many seconds to look again; None when it is gone.

        :raises KubeError: when Kubernetes does not answer; the caller tries again
        """
        outcome = self.look(key)
        if outcome is None:
            self._backoff.reset(key)
            return None
        if outcome.retry == "transient":
            return self._backoff.next_s(key)
        self._backoff.reset(key)
        return jittered(self._sync_period_s, self._chance)

    def retry_s(self, key: Key) -> float:
        """When to try again after an error that no outcome tells of."""
        return self._backoff.next_s(key)

    def look(self, key: Key) -> Outcome | None:
        """Bring an object in order, or delete what it has. None when there is nothing to do (any more)."""
        # A live read: a stale cache could empty the bucket of a re-created object.
        item = self._kube.find_object(*key)
        if item is None:
            self._metrics.forget(key)
            return None
        if item["metadata"].get("deletionTimestamp"):
            if FINALIZER not in (item["metadata"].get("finalizers") or []):
                return None
        elif FINALIZER not in (item["metadata"].get("finalizers") or []):
            item = self._kube.add_finalizer(item)
        item = self._announce(item)
        outcome = self._run(item)
        self._tell(item, outcome)
        is_gone = outcome.is_done and bool(item["metadata"].get("deletionTimestamp"))
        if is_gone:
            self._release(item)
            self._metrics.forget(key)
        return None if is_gone else outcome

    def _announce(self, item: dict[str, Any]) -> dict[str, Any]:
        event = event_at_start(item)
        if event is None:
            return item
        self._write_event(item, event)
        is_deleting = event.reason == "DELETING"
        start = Outcome(False, Reason.DELETING if is_deleting else Reason.PENDING, event.message)
        status = status_of(item, start, self._now())
        if status is not None:
            self._kube.write_status(item, status)
            item = {**item, "status": status}
        return item

    def _run(self, item: dict[str, Any]) -> Outcome:
        started = time.monotonic()
        outcome = self._job.run(item)
        duration_s = time.monotonic() - started
        was_ready = ready_condition(item.get("status") or {}).get("status") == "True"
        self._metrics.count_run(item, outcome, duration_s, is_drift=was_ready and _is_same_generation(item))
        _LOG.log(
            logging.DEBUG if outcome.is_done and not outcome.changed else logging.INFO,
            "reconciled",
            extra={
                "namespace": item["metadata"]["namespace"],
                "name_": item["metadata"]["name"],
                "uid": item["metadata"]["uid"],
                "generation": item["metadata"].get("generation"),
                "duration_s": round(duration_s, 3),
                "done": outcome.is_done,
                "reason": outcome.reason.value,
                "changed": list(outcome.changed),
                "error": "" if outcome.is_done else outcome.message,
            },
        )
        return outcome

    def _tell(self, item: dict[str, Any], outcome: Outcome) -> None:
        if outcome.reason is Reason.RUN_CANCELLED:
            return
        event = event_of(item, outcome)
        if event is not None:
            self._write_event(item, event)
        if outcome.is_done and item["metadata"].get("deletionTimestamp"):
            return
        status = status_of(item, outcome, self._now())
        if status is not None:
            self._kube.write_status(item, status)

    def _release(self, item: dict[str, Any]) -> None:
        metadata = item["metadata"]
        live = self._kube.find_object(metadata["namespace"], metadata["name"])
        if live is not None and live["metadata"]["uid"] == metadata["uid"]:
            self._kube.remove_finalizer(live)

    def _write_event(self, item: dict[str, Any], event: Event) -> None:
        try:
            self._kube.write_event(item, event)
        except KubeError as error:
            # In a terminating namespace no Event can be made; the object's work goes on.
            _LOG.debug("Event not written", extra={"event": event.reason, "error": str(error)})


def _is_same_generation(item: dict[str, Any]) -> bool:
    condition = ready_condition(item.get("status") or {})
    return bool(condition.get("observedGeneration") == item["metadata"].get("generation"))
