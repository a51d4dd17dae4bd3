"""S3 objects with the status that the operator wrote, where the CRD is too old to store all of it.

The API server drops a field that the CRD does not have. Read back, the status would differ from the one that was
written, and each sync would write it, publish an Event, and run the role again. So what was written is remembered, as
long as what is stored is what is left of it. Memory: one status an object, and none where the CRD has all fields.
Threads: any; one at a time for an object.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from typing import Protocol

from runner.kube.events import Event
from runner.kube.schema import lost_fields, without
from runner.objects import JsonObject, Key, S3Object

_LOG = logging.getLogger(__name__)
_APPLIED, _BUCKET = "status.appliedGeneration", "status.bucketARN"
_SHOWN = 20
HINT = "install the CRD of this version: kubectl apply --server-side -f crds/s3s.agill.apps.yaml, or crds.install=true"


class Objects(Protocol):
    """The API server."""

    def find_object(self, namespace: str, name: str) -> S3Object | None:
        """The object as it is now; None when it does not exist."""

    def add_finalizer(self, s3: S3Object) -> S3Object:
        """Add the operator's finalizer; returns the object with it."""

    def remove_finalizer(self, s3: S3Object) -> None:
        """Remove the operator's finalizer."""

    def write_status(self, s3: S3Object, status: JsonObject) -> JsonObject | None:
        """Set the status; returns it as it is stored, None when the object does not exist."""

    def write_conditions(self, s3: S3Object, conditions: list[JsonObject]) -> None:
        """Set the conditions of the object that was read."""

    def write_event(self, s3: S3Object, event: Event) -> None:
        """Publish an Event about the object."""


class StoredObjects:
    """The objects of the API server.

    :param find_seen: an object as the watch saw it last
    :param missing: fields that the CRD does not have, as far as they are known at the start
    """

    def __init__(
        self, kube: Objects, find_seen: Callable[[Key], S3Object | None], missing: tuple[str, ...] = ()
    ) -> None:
        self._kube = kube
        self._find_seen = find_seen
        self._missing = frozenset(missing)
        self._written: dict[Key, tuple[str, JsonObject]] = {}
        if missing:
            _report(missing)

    def find_object(self, namespace: str, name: str) -> S3Object | None:
        """The object as it is now."""
        s3 = self._kube.find_object(namespace, name)
        if s3 is None:
            self._written.pop((namespace, name), None)
            return None
        return self._completed(s3)

    def find_seen(self, key: Key) -> S3Object | None:
        """The object as the watch saw it last."""
        s3 = self._find_seen(key)
        if s3 is None:
            self._written.pop(key, None)
            return None
        return self._completed(s3)

    def add_finalizer(self, s3: S3Object) -> S3Object:
        """Add the operator's finalizer; returns the object with it."""
        return self._completed(self._kube.add_finalizer(s3))

    def remove_finalizer(self, s3: S3Object) -> None:
        """Remove the operator's finalizer."""
        self._kube.remove_finalizer(s3)
        self._written.pop(s3.key, None)

    def write_event(self, s3: S3Object, event: Event) -> None:
        """Publish an Event."""
        self._kube.write_event(s3, event)

    def write_conditions(self, s3: S3Object, conditions: list[JsonObject]) -> None:
        """Set the conditions of the object that was read."""
        self._kube.write_conditions(s3, conditions)

    def write_status(self, s3: S3Object, status: JsonObject) -> None:
        """Set the status, and notice what of it is not stored."""
        stored = self._kube.write_status(s3, status)
        if stored is None:
            return
        lost = tuple(sorted(set(lost_fields(status, stored, "status")) - self._missing))
        if lost:
            self._missing |= set(lost)
            _report(lost)
        if self._missing:
            self._written[s3.key] = s3.uid, copy.deepcopy(status)

    def _completed(self, s3: S3Object) -> S3Object:
        if not self._missing:
            return s3
        uid, written = self._written.get(s3.key, ("", {}))
        if uid == s3.uid and s3.status in (written, without(written, self._missing, "status")):
            return s3.with_status(copy.deepcopy(written))
        if self._counts_as_applied(s3):
            return s3.with_status({**s3.status, "appliedGeneration": s3.generation})
        return s3

    def _counts_as_applied(self, s3: S3Object) -> bool:
        """Whether an object with driftPolicy Report counts as one with an applied spec.

        Without status.appliedGeneration it is unknown, after a restart, whether what differs is drift, which must be
        left as it is, or a spec that was not applied yet. An object that was Ready before is left as it is.
        """
        if _APPLIED not in self._missing or s3.spec.get("driftPolicy") != "Report":
            return False
        if _BUCKET not in self._missing:
            return s3.has_bucket
        return s3.status.get("status", "") not in ("", "Pending")


def _report(missing: tuple[str, ...]) -> None:
    fields = {"fields": list(missing[:_SHOWN]), "hint": HINT}
    _LOG.warning("the CRD does not have all fields of this operator: they are not stored", extra=fields)
