"""Publishes how an object is: in its status, in Events and in metrics. Nothing is written where nothing is new."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from runner.control.events import event_at_start, event_of
from runner.control.metrics import Metrics
from runner.control.rotations import events_of_rotation
from runner.control.status import condition_in, status_of
from runner.control.verified import CONDITION, Verified, may_be_verified
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
    """Publishes outcomes.

    :param now: gives the time for conditions
    :param find_verified: the last result of the verification of an object's access key
    """

    def __init__(
        self,
        kube: Writer,
        metrics: Metrics,
        now: Callable[[], str] = utc_now,
        find_verified: Callable[[S3Object], Verified | None] | None = None,
    ) -> None:
        self._kube = kube
        self.metrics = metrics
        self._now = now
        self._find_verified = find_verified

    def announce(self, s3: S3Object) -> S3Object:
        """Publish that the first run for a new object, or for one that was just deleted, begins.

        Returns the object with its status.
        """
        event = event_at_start(s3)
        if event is None:
            return s3
        self._write_event(s3, event)
        start = Outcome(False, Reason.DELETING if s3.is_deleting else Reason.PENDING, event.message)
        status = self._status_of(s3, start)
        if status is None:
            return s3
        self._kube.write_status(s3, status)
        return s3.with_status(status)

    def is_news(self, s3: S3Object, outcome: Outcome) -> bool:
        """Whether the outcome changes the object's status."""
        return self._status_of(s3, outcome) is not None

    def publish(self, s3: S3Object, outcome: Outcome) -> None:
        """Publish an outcome. Once its deletion is done, an object's status is not written any more."""
        if outcome.reason is Reason.RUN_CANCELLED:
            return
        self.metrics.show(s3, outcome)
        for event in (event_of(s3, outcome), *events_of_rotation(s3, outcome)):
            if event is not None:
                self._write_event(s3, event)
        if outcome.is_done and s3.is_deleting:
            return
        status = self._status_of(s3, outcome)
        if status is not None:
            self._kube.write_status(s3, status)

    def _status_of(self, s3: S3Object, outcome: Outcome) -> JsonObject | None:
        verified = [item for item in [self._find_condition(s3)] if item]
        return status_of(s3, outcome, self._now(), verified)

    def _find_condition(self, s3: S3Object) -> JsonObject:
        """The condition CredentialsVerified: the newest, or the one in the status; empty for no condition."""
        if self._find_verified is None or not may_be_verified(s3):
            return {}
        found = self._find_verified(s3)
        return found.condition(s3, self._now()) if found else condition_in(s3.status, CONDITION)

    def _write_event(self, s3: S3Object, event: Event) -> None:
        try:
            self._kube.write_event(s3, event)
        except KubeError as error:
            # In a terminating namespace no Event can be made; the object's work goes on.
            _LOG.debug("Event not written", extra={"event": event.reason, "error": str(error)})
