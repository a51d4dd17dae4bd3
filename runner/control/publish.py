"""Publishes how an object is: in its status, in Events and in metrics. Nothing is written where nothing is new."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from runner.control.events import event_at_start, event_of
from runner.control.metrics import Metrics
from runner.control.rotations import event_of_rotation
from runner.control.status import status_of
from runner.kube.client import KubeError
from runner.kube.events import Event
from runner.objects import JsonObject, S3Object
from s3bucket.outcome import Outcome, Reason

_LOG = logging.getLogger(__name__)


class Writer(Protocol):
    """The API server, as far as publishing needs it."""

    def write_status(self, s3: S3Object, status: JsonObject) -> object:
        """Set the object's status."""

    def write_event(self, s3: S3Object, event: Event) -> None:
        """Publish an Event about the object."""


def utc_now() -> str:
    """The time as RFC 3339, in seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Publisher:
    """Publishes outcomes. ``now`` gives the time for conditions."""

    def __init__(self, kube: Writer, metrics: Metrics, now: Callable[[], str] = utc_now) -> None:
        self._kube = kube
        self.metrics = metrics
        self._now = now

    def announce(self, s3: S3Object) -> S3Object:
        """Publish that the first run for a new object, or for one that was just deleted, begins.

        Returns the object with its status.
        """
        event = event_at_start(s3)
        if event is None:
            return s3
        self._write_event(s3, event)
        start = Outcome(False, Reason.DELETING if s3.is_deleting else Reason.PENDING, event.message)
        status = status_of(s3, start, self._now())
        if status is None:
            return s3
        self._kube.write_status(s3, status)
        return s3.with_status(status)

    def is_news(self, s3: S3Object, outcome: Outcome) -> bool:
        """Whether the outcome changes the object's status."""
        return status_of(s3, outcome, self._now()) is not None

    def publish(self, s3: S3Object, outcome: Outcome) -> None:
        """Publish an outcome. Once its deletion is done, an object's status is not written any more."""
        if outcome.reason is Reason.RUN_CANCELLED:
            return
        self.metrics.show(s3, outcome)
        for event in (event_of(s3, outcome), event_of_rotation(s3, outcome)):
            if event is not None:
                self._write_event(s3, event)
        if outcome.is_done and s3.is_deleting:
            return
        status = status_of(s3, outcome, self._now())
        if status is not None:
            self._kube.write_status(s3, status)

    def _write_event(self, s3: S3Object, event: Event) -> None:
        try:
            self._kube.write_event(s3, event)
        except KubeError as error:
            # In a terminating namespace no Event can be made; the object's work goes on.
            _LOG.debug("Event not written", extra={"event": event.reason, "error": str(error)})
