"""One look at one object: what is to be done, the run of the role, what is told afterwards.

The collaborators come by the constructor, so that a table of cases runs with fakes. Nothing in here
knows Kubernetes' client or Ansible. Called by one worker at a time for an object.
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from runner.backoff import Backoff, jittered
from runner.control.events import event_at_start, event_of
from runner.control.metrics import Metrics
from runner.control.queue import Lane, Standing
from runner.control.status import is_applied, ready_condition, reports_drift, status_of
from runner.kube.client import KubeError
from runner.kube.events import Event
from runner.kube.projection import FINALIZER, oversized_message
from runner.objects import Key
from s3bucket.outcome import Outcome, Reason, Retry

_LOG = logging.getLogger(__name__)
# Somebody else wrote the object at the same moment: the next read sees it.
_FIRST_CONFLICT_S = 0.1
_MAX_CONFLICT_S = 60.0
_MAX_TIMEOUT_BACKOFF_S = 3600.0
# What IAM has just stored, other services of AWS know within a minute, as a rule: for so long, every few seconds.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
_STEADY_IAM_RETRIES = 12


class Next(NamedTuple):
    """The lane in which an object is reconciled next, and in how many seconds.

    ``standing``: how the reconcile ended; None when that stays to be seen.
    """

    lane: Lane
    delay_s: float
    standing: Standing | None = None


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


class Check(Protocol):
    """A look that only reads: what is so, with the aspects that differ in ``drift``."""

    def look(self, item: dict[str, Any]) -> Outcome: ...

    def look_for_nothing(self, item: dict[str, Any]) -> Outcome | None:
        """The outcome of deleting an object that owns nothing; None when it owns something, or that is unknown."""

    def forget(self, item: dict[str, Any]) -> None: ...


def utc_now() -> str:
    """The time as RFC 3339, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Reconciler:
    """Reconciles objects.

    :param sync_period_s: when an object is looked at again if nothing happens
    :param find_seen: an object as the watch saw it last, for resyncs; None when it is gone
    :param check: looks first at objects whose spec was acted on already; None runs the role at every look
    :param checks_all: False looks first only at objects that report their drift, and runs the role for the others
    :param full_sync_period_s: how often the role runs although the check finds nothing
    :param run_timeout_s: how long an object waits, at first, whose run or check hit its time limit
    """

    def __init__(
        self,
        kube: Objects,
        job: Job,
        metrics: Metrics,
        sync_period_s: float,
        *,
        find_seen: Callable[[Key], dict[str, Any] | None],
        check: Check | None = None,
        checks_all: bool = True,
        full_sync_period_s: float = math.inf,
        run_timeout_s: float = 600.0,
        now: Callable[[], str] = utc_now,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._kube = kube
        self._job = job
        self._metrics = metrics
        self._sync_period_s = sync_period_s
        self._find_seen = find_seen
        self._check = check
        self._checks_all = checks_all
        self._full_sync_period_s = full_sync_period_s
        self._now = now
        self._clock = clock
        # When the role runs although nothing differs; of an object that was not seen yet, some time in the period.
        self._full_run_at: dict[Key, float] = {}
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._backoff = Backoff(sync_period_s, chance=self._chance)
        self._iam_backoff = Backoff(sync_period_s, chance=self._chance, steady=_STEADY_IAM_RETRIES)
        self._conflict_backoff = Backoff(_MAX_CONFLICT_S, _FIRST_CONFLICT_S, self._chance)
        # Each further attempt may hold a worker for as long again.
        longest_s = max(run_timeout_s, _MAX_TIMEOUT_BACKOFF_S)
        self._timeout_backoff = Backoff(longest_s, run_timeout_s, self._chance)

    def reconcile(self, key: Key) -> Next | None:
        """Reconcile an object. Returns when it is reconciled next; None when it no longer exists.

        :raises KubeError: when Kubernetes does not answer; the caller tries again
        """
        return self._next(key, self.look(key))

    def resync(self, key: Key) -> Next | None:
        """Check an object that nobody changed. Never runs the role.

        Returns when it is reconciled next: in REPAIR at once where the role must run. None when the object no longer
        exists. Asks Kubernetes nothing where there is nothing to report.

        :raises KubeError: when Kubernetes does not answer; the caller tries again
        """
        item = self._find_seen(key)
        if item is None:
            self._forget(key)
            return None
        check = self._check_for(item)
        if check is None:
            return Next(Lane.REPAIR, 0.0)
        seen = check.look(item)
        if self._must_run(key, item, seen):
            return Next(Lane.REPAIR, 0.0)
        self._count_check(key, seen)
        if status_of(item, seen, self._now()) is not None:
            live = self._kube.find_object(*key)
            if live is None or not _is_same(live, item):
                # The watch will say so too, in time.
                return Next(Lane.FRESH, 0.0)
            self._tell(live, seen)
        return self._next(key, seen)

    def after_error(self, key: Key, *, is_conflict: bool = False) -> Next:
        """When to try again after an error that no outcome reports.

        :param is_conflict: somebody else has just written the object
        """
        if is_conflict:
            return Next(Lane.FRESH, self._conflict_backoff.next_s(key))
        return Next(Lane.RESYNC, self._backoff.next_s(key), Standing.FAILED)

    def _next(self, key: Key, outcome: Outcome | None) -> Next | None:
        self._conflict_backoff.reset(key)
        if outcome is not None and outcome.reason is Reason.RUN_TIMEOUT:
            return Next(Lane.RESYNC, self._timeout_backoff.next_s(key), Standing.TIMED_OUT)
        self._timeout_backoff.reset(key)
        if outcome is not None and outcome.retry == Retry.TRANSIENT:
            is_iam = outcome.reason is Reason.WAITING_FOR_IAM
            backoff, other = (self._iam_backoff, self._backoff) if is_iam else (self._backoff, self._iam_backoff)
            other.reset(key)
            return Next(Lane.RESYNC, backoff.next_s(key), Standing.FAILED)
        self._backoff.reset(key)
        self._iam_backoff.reset(key)
        if outcome is None:
            return None
        if outcome.retry == Retry.IMMEDIATE:
            # It made progress, and goes on in its namespace's next turn.
            return Next(Lane.REPAIR, 0.0, Standing.GOOD)
        standing = Standing.GOOD if outcome.is_done else Standing.FAILED
        return Next(Lane.RESYNC, jittered(self._sync_period_s, self._chance), standing)

    def look(self, key: Key) -> Outcome | None:
        """Bring an object in order, or delete what it has. None when there is nothing to do (any more)."""
        # A live read: a stale cache could empty the bucket of a re-created object.
        item = self._kube.find_object(*key)
        if item is None:
            self._forget(key)
            return None
        if _is_deleting(item):
            if FINALIZER not in (item["metadata"].get("finalizers") or []):
                return None
            nothing = self._look_for_nothing(item)
            if nothing is not None:
                _LOG.info("nothing to delete", extra={"namespace": key[0], "name_": key[1]})
                self._finish_deletion(item, nothing)
                return None
        elif FINALIZER not in (item["metadata"].get("finalizers") or []):
            item = self._kube.add_finalizer(item)
        # Before the announcement, which names the generation although nothing was done yet.
        check = self._check_for(item)
        item = self._announce(item)
        outcome = self._check_or_run(key, item, check) if check else self._run(item)
        if outcome.is_done and _is_deleting(item):
            self._finish_deletion(item, outcome)
            return None
        self._tell(item, outcome)
        return outcome

    def _look_for_nothing(self, item: dict[str, Any]) -> Outcome | None:
        # What was Ready once has something, as a rule: the role reads all of it anyway.
        if self._check is None or (item.get("status") or {}).get("appliedGeneration"):
            return None
        return self._check.look_for_nothing(item)

    def _finish_deletion(self, item: dict[str, Any], outcome: Outcome) -> None:
        self._tell(item, outcome)
        self._release(item)
        self._forget((item["metadata"]["namespace"], item["metadata"]["name"]))

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

    def _check_for(self, item: dict[str, Any]) -> Check | None:
        """What looks at an object before the role may run; None where the role runs in any case."""
        if oversized_message(item):
            return None
        return self._check if _is_known(item) and (self._checks_all or reports_drift(item)) else None

    def _must_run(self, key: Key, item: dict[str, Any], seen: Outcome) -> bool:
        if reports_drift(item):
            return False
        return bool(seen.drift) or (seen.is_done and self._clock() >= self._full_run_due_at(key))

    def _check_or_run(self, key: Key, item: dict[str, Any], check: Check) -> Outcome:
        seen = check.look(item)
        self._count_check(key, seen)
        if not self._must_run(key, item, seen):
            return seen
        outcome = self._run(item)
        self._full_run_at[key] = self._clock() + jittered(self._full_sync_period_s, self._chance)
        if not outcome.is_done:
            # A run that failed in one step may have repaired what the others are for.
            return replace(outcome, drift=tuple(aspect for aspect in seen.drift if aspect not in outcome.changed))
        if not seen.drift and outcome.changed:
            self._metrics.count_missed(outcome.changed)
            fields = {"namespace": key[0], "name_": key[1], "aspects": list(outcome.changed)}
            _LOG.warning("the drift check did not see what the role changed", extra=fields)
        return outcome

    def _count_check(self, key: Key, seen: Outcome) -> None:
        self._metrics.count_check(seen)
        fields = {"namespace": key[0], "name_": key[1], "reason": seen.reason.value, "differs": list(seen.drift)}
        _LOG.debug("checked", extra=fields)

    def _full_run_due_at(self, key: Key) -> float:
        return self._full_run_at.setdefault(key, self._clock() + self._chance.random() * self._full_sync_period_s)

    def _forget(self, key: Key) -> None:
        self._metrics.forget(key)
        self._full_run_at.pop(key, None)
        for backoff in (self._backoff, self._iam_backoff, self._conflict_backoff, self._timeout_backoff):
            backoff.reset(key)

    def _run(self, item: dict[str, Any]) -> Outcome:
        started = time.monotonic()
        too_large = "" if _is_deleting(item) else oversized_message(item)
        outcome = Outcome.failure(Reason.INVALID_SPEC, too_large) if too_large else self._job.run(item)
        if self._check:
            self._check.forget(item)
        duration_s = time.monotonic() - started
        self._metrics.count_run(outcome, duration_s, is_drift=is_applied(item) and not _is_deleting(item))
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
        self._metrics.show(item, outcome)
        event = event_of(item, outcome)
        if event is not None:
            self._write_event(item, event)
        if outcome.is_done and _is_deleting(item):
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


def _is_known(item: dict[str, Any]) -> bool:
    """Whether the object's spec was acted on, so that a look may do."""
    metadata = item["metadata"]
    has_finalizer = FINALIZER in (metadata.get("finalizers") or [])
    return _is_same_generation(item) and has_finalizer and not _is_deleting(item)


def _is_deleting(item: dict[str, Any]) -> bool:
    return bool(item["metadata"].get("deletionTimestamp"))


def _is_same(item: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether a look at the one holds for the other."""
    names = ("uid", "generation", "deletionTimestamp")
    return all(item["metadata"].get(name) == other["metadata"].get(name) for name in names)


def _is_same_generation(item: dict[str, Any]) -> bool:
    condition = ready_condition(item.get("status") or {})
    return bool(condition.get("observedGeneration") == item["metadata"].get("generation"))
