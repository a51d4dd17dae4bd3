"""Prometheus metrics of the operator; docs/reference/metrics.md describes each."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import partial
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from runner import __version__
from runner.control.queue import Lane, WorkQueue
from runner.control.rotations import Result, current_key, has_keys, is_in_use, keys_of, parts_of
from runner.kube.shard_leases import SHARDS
from runner.objects import JsonObject, Key, S3Object
from s3bucket.outcome import Outcome, Retry


class NamespaceWatch(Protocol):
    """Whether a namespace is watched."""

    name: str

    @property
    def is_watched(self) -> bool:
        """Whether all of it is known."""


_AWS_REASONS = ("AccessDenied", "CredentialsInvalid", "Throttled", "AWSUnreachable", "AWSError", "QuotaExceeded")
_SOURCES = ("run", "check")
_VALUE_OF_STATUS = {"True": 1.0, "False": 0.0, "Unknown": math.nan}
_RESULT_OF_STATUS = {"True": "verified", "False": "refused", "Unknown": "unknown"}


class Metrics:
    """One registry a process."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._runs = Counter(
            "s3_operator_reconcile", "Runs of the role by result and reason", ["result", "reason"], registry=registry
        )
        self._duration = Histogram(
            "s3_operator_reconcile_duration_seconds",
            "How long runs of the role take",
            buckets=(0.5, 1, 2, 5, 10, 20, 60, 300),
            registry=registry,
        )
        self._ready = Gauge(
            "s3_operator_resource_ready", "1 for an S3 object that is Ready", ["namespace", "name"], registry=registry
        )
        self._synced = Gauge(
            "s3_operator_resource_synced",
            "1 for an S3 object that matches its spec, 0 for one that differs",
            ["namespace", "name"],
            registry=registry,
        )
        self._drift = Counter(
            "s3_operator_drift_corrected", "Repairs of what was changed by others", ["aspect"], registry=registry
        )
        self._rotations = Counter(
            "s3_operator_key_rotation", "Steps of key rotations, by what became of them", ["result"], registry=registry
        )
        for step in Result:
            self._rotations.labels(step.value)
        self._keys = KeyMetrics(registry)
        self.events = EventMetrics(registry)
        self._checks = Counter(
            "s3_operator_drift_checks", "Drift checks, by what they found", ["result"], registry=registry
        )
        self._missed = Counter(
            "s3_operator_drift_missed",
            "What a full run changed and the check had not seen",
            ["aspect"],
            registry=registry,
        )
        self._calls = Counter(
            "s3_operator_aws_requests", "Requests of drift checks to AWS", ["operation"], registry=registry
        )
        self._errors = Counter(
            "s3_operator_aws_errors",
            "Runs and drift checks that AWS made fail",
            ["reason", "source"],
            registry=registry,
        )
        for reason in _AWS_REASONS:
            for source in _SOURCES:
                # Of a series that begins with its first error Prometheus sees no increase.
                self._errors.labels(reason, source)
        self._info = Gauge(
            "s3_info", "An S3 object, as the Go operator showed it", ["s3", "namespace"], registry=registry
        )
        self._orphans = Gauge(
            "s3_operator_orphans",
            "IAM users whose S3 object no longer exists, and bucket names that they claim; NaN: not known",
            ["kind"],
            registry=registry,
        )
        self._verified = Gauge(
            "s3_operator_credentials_verified",
            "1 for an S3 object with an access key that AWS accepts, 0 for one that it refuses; NaN: not known",
            ["namespace", "name"],
            registry=registry,
        )
        self._verifications = Counter(
            "s3_operator_verifications", "Verifications of access keys, by their result", ["result"], registry=registry
        )
        for result in _RESULT_OF_STATUS.values():
            self._verifications.labels(result)
        self._depth = Gauge("s3_operator_queue_depth", "Objects that are due, by lane", ["lane"], registry=registry)
        self._watched = Gauge(
            "s3_operator_namespace_watched",
            "1 for a namespace that is watched, 0 for one where rights are missing; empty: all namespaces",
            ["namespace"],
            registry=registry,
        )
        self.overlapping = Gauge(
            "s3_operator_overlapping_operators",
            "Operators with another Lease that watch namespaces that this one watches",
            registry=registry,
        )
        self.leading = Gauge("s3_operator_leader", "1 while this replica does the work", registry=registry)
        self._shard_held = Gauge(
            "s3_operator_shard_held", "1 for a shard that this replica works on", ["shard"], registry=registry
        )
        self._shard_objects = Gauge(
            "s3_operator_shard_objects",
            "S3 objects in a shard that this replica works on",
            ["shard"],
            registry=registry,
        )
        self.replicas = Gauge(
            "s3_operator_replicas", "Replicas that share the S3 objects, as this one knows it", registry=registry
        )
        build = Gauge("s3_operator_build_info", "The operator's version", ["version"], registry=registry)
        build.labels(__version__).set(1)

    def watch_queue(self, queue: WorkQueue) -> None:
        """Show the queue's depth at each scrape."""
        for lane in Lane:
            self._depth.labels(lane.name.lower()).set_function(partial(_depth_of, queue, lane))

    def watch_shards(self, has: Callable[[int], bool], count: Callable[[int], int]) -> None:
        """Show at each scrape which shards this replica has, and how many objects are in each of those."""
        for shard in range(SHARDS):
            self._shard_held.labels(str(shard)).set_function(partial(_is_held, has, shard))
            self._shard_objects.labels(str(shard)).set_function(partial(_count_held, has, count, shard))
        self.leading.set_function(lambda: float(any(has(n) for n in range(SHARDS))))

    def watch_namespace(self, namespace: NamespaceWatch) -> None:
        """Show at each scrape whether a namespace is watched."""
        self._watched.labels(namespace.name).set_function(lambda: float(namespace.is_watched))

    def count_run(self, outcome: Outcome, duration_s: float, *, is_drift: bool) -> None:
        """A run has ended."""
        result = "done" if outcome.is_done else "progress" if outcome.retry == Retry.IMMEDIATE else "failed"
        self._runs.labels(result, outcome.reason.value).inc()
        self._duration.observe(duration_s)
        self._count_error(outcome, "run")
        if is_drift and outcome.is_done:
            for aspect in outcome.changed:
                self._drift.labels(aspect).inc()

    def count_rotation(self, result: Result) -> None:
        """A step of a rotation was done, or could not be done."""
        self._rotations.labels(result.value).inc()

    def show(self, s3: S3Object, outcome: Outcome) -> None:
        """A run or a drift check found how an object is."""
        namespace, name = s3.key
        is_ready = outcome.is_done and not s3.is_deleting
        self._ready.labels(namespace, name).set(is_ready)
        self._info.labels(name, namespace).set(1)
        if is_ready or has_keys(outcome.status):
            self._keys.show(s3, outcome)
        # Otherwise nothing new is known.
        if is_ready or outcome.drift:
            self._synced.labels(namespace, name).set(not outcome.drift)

    def count_check(self, seen: Outcome) -> None:
        """A drift check has ended: ``in_sync``, ``differs`` or ``failed``."""
        self._checks.labels("differs" if seen.drift else "in_sync" if seen.is_done else "failed").inc()
        self._count_error(seen, "check")

    def _count_error(self, outcome: Outcome, source: str) -> None:
        if not outcome.is_done and outcome.reason.value in _AWS_REASONS:
            self._errors.labels(outcome.reason.value, source).inc()

    def count_call(self, operation: str) -> None:
        """A drift check sends a request to AWS."""
        self._calls.labels(operation).inc()

    def count_missed(self, aspects: tuple[str, ...]) -> None:
        """A full run changed what the drift check had not seen."""
        for aspect in aspects:
            self._missed.labels(aspect).inc()

    def show_key(self, key: Key, status: str) -> None:
        """The status of an object's condition CredentialsVerified; empty: it has none yet."""
        if status:
            self._verified.labels(*key).set(_VALUE_OF_STATUS.get(status, math.nan))

    def count_verification(self, status: str) -> None:
        """An access key was verified: ``True``, ``False`` or ``Unknown``."""
        self._verifications.labels(_RESULT_OF_STATUS[status]).inc()

    def forget_key(self, key: Key) -> None:
        """An object has no access key that is verified."""
        with contextlib.suppress(KeyError):
            self._verified.remove(*key)

    def show_orphans(self, counts: dict[str, float]) -> None:
        """So many orphans of each kind were found."""
        for kind, count in counts.items():
            self._orphans.labels(kind).set(count)

    def forget_orphans(self) -> None:
        """Another replica shows them."""
        self._orphans.clear()

    def forget(self, key: Key) -> None:
        """An object no longer exists, or is another replica's."""
        namespace, name = key
        for gauge in (self._ready, self._synced):
            with contextlib.suppress(KeyError):
                gauge.remove(namespace, name)
        self._keys.forget(key)
        with contextlib.suppress(KeyError):
            self._info.remove(name, namespace)


class KeyMetrics:
    """The ages of the access keys that are rotated."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["namespace", "name", "username"]
        self._age = Gauge(
            "s3_operator_access_key_age_seconds", "The age of the access key in the Secret", labels, registry=registry
        )
        self._due = Gauge(
            "s3_operator_access_key_due_timestamp_seconds",
            "When the access key in the Secret is of its keyRotation.interval",
            labels,
            registry=registry,
        )
        self._in_use = Gauge(
            "s3_operator_old_access_key_in_use",
            "1 while the old access key of a rotation is used after the grace period",
            labels,
            registry=registry,
        )
        self._shown: dict[Key, set[str]] = {}

    def show(self, s3: S3Object, outcome: Outcome) -> None:
        """Show the keys of an object's users; of a user without any, nothing is shown."""
        users = {name or s3.username: keys_of(part) for name, part in parts_of(outcome.status).items()}
        created = {name: _seconds_of(current_key(keys), "created") for name, keys in users.items()}
        for name in self._shown.pop(s3.key, set()) - {name for name, at in created.items() if at is not None}:
            self._remove((*s3.key, name))
        for name, at in created.items():
            if at is not None:
                self._shown.setdefault(s3.key, set()).add(name)
                self._show_user((*s3.key, name), users[name], at)

    def _show_user(self, labels: tuple[str, ...], keys: list[JsonObject], created: float) -> None:
        self._age.labels(*labels).set_function(lambda: time.time() - created)
        due = _seconds_of(current_key(keys), "expires")
        if due is None:
            _remove(self._due, labels)
        else:
            self._due.labels(*labels).set(due)
        self._in_use.labels(*labels).set(is_in_use(keys))

    def forget(self, key: Key) -> None:
        """The object no longer exists."""
        for name in self._shown.pop(key, set()):
            self._remove((*key, name))

    def _remove(self, labels: tuple[str, ...]) -> None:
        for gauge in (self._age, self._due, self._in_use):
            _remove(gauge, labels)


class EventMetrics:
    """The events of AWS that an SQS queue brings."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._messages = Counter(
            "s3_operator_events", "Messages of the queue of AWS events, by what became of them", ["result"],
            registry=registry,
        )  # fmt: skip
        self._last = Gauge(
            "s3_operator_last_event_timestamp_seconds",
            "When the last event of CloudTrail was received, or at first when that began; NaN: no queue",
            registry=registry,
        )
        self._last.set(math.nan)
        self.up = Gauge(
            "s3_operator_event_queue_up",
            "1 while events of AWS are received, 0 while the queue fails, is late or lacks a region's; NaN: no queue",
            registry=registry,
        )
        self.up.set(math.nan)
        self.wait = Gauge(
            "s3_operator_event_wait_seconds",
            "The longest time that one of the messages that were received last had been in the queue; NaN: no queue",
            registry=registry,
        )
        self.wait.set(math.nan)

    def start(self, results: Iterable[str]) -> None:
        """Begin with zero: of a series that begins with its first message Prometheus sees no increase."""
        self.up.set(0)
        self.wait.set(0)
        # A queue that never gets an event must be noticed, too.
        self._last.set_to_current_time()
        for result in results:
            self._messages.labels(result)

    def count(self, result: str, *, is_event: bool = True) -> None:
        """A message was received. ``is_event``: it is one of CloudTrail's events."""
        self._messages.labels(result).inc()
        if is_event:
            self._last.set_to_current_time()


def _remove(gauge: Gauge, labels: tuple[str, ...]) -> None:
    with contextlib.suppress(KeyError):
        gauge.remove(*labels)


def _seconds_of(key: JsonObject | None, name: str) -> float | None:
    """A time of a key in seconds since the epoch; None where it has none."""
    try:
        return datetime.fromisoformat(str((key or {}).get(name))).timestamp()
    except ValueError:
        return None


def _is_held(has: Callable[[int], bool], shard: int) -> float:
    return float(has(shard))


def _count_held(has: Callable[[int], bool], count: Callable[[int], int], shard: int) -> float:
    return float(count(shard)) if has(shard) else 0.0


def _depth_of(queue: WorkQueue, lane: Lane) -> float:
    return queue.depths()[lane]
