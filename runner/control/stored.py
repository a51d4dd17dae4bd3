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
from typing import Any, Protocol

from runner.kube.events import Event
from runner.kube.schema import lost_fields, without
from runner.objects import Key

_LOG = logging.getLogger(__name__)
_APPLIED, _BUCKET = "status.appliedGeneration", "status.bucketARN"
_SHOWN = 20
HINT = "install the CRD of this version: kubectl apply --server-side -f crds/s3s.agill.apps.yaml, or crds.install=true"


class Objects(Protocol):
    """The API server; ``write_status`` returns the status as it is stored, None when the object does not exist."""

    def find_object(self, namespace: str, name: str) -> dict[str, Any] | None: ...

    def add_finalizer(self, item: dict[str, Any]) -> dict[str, Any]: ...

    def remove_finalizer(self, item: dict[str, Any]) -> None: ...

    def write_status(self, item: dict[str, Any], status: dict[str, Any]) -> dict[str, Any] | None: ...

    def write_event(self, item: dict[str, Any], event: Event) -> None: ...


class StoredObjects:
    """The objects of the API server.

    :param find_seen: an object as the watch saw it last
    :param missing: fields that the CRD does not have, as far as they are known at the start
    """

    def __init__(
        self, kube: Objects, find_seen: Callable[[Key], dict[str, Any] | None], missing: tuple[str, ...] = ()
    ) -> None:
        self._kube = kube
        self._find_seen = find_seen
        self._missing = frozenset(missing)
        self._written: dict[Key, tuple[str, dict[str, Any]]] = {}
        if missing:
            _report(missing)

    def find_object(self, namespace: str, name: str) -> dict[str, Any] | None:
        """The object as it is now."""
        item = self._kube.find_object(namespace, name)
        if item is None:
            self._written.pop((namespace, name), None)
            return None
        return self._completed(item)

    def find_seen(self, key: Key) -> dict[str, Any] | None:
        """The object as the watch saw it last."""
        item = self._find_seen(key)
        if item is None:
            self._written.pop(key, None)
            return None
        return self._completed(item)

    def add_finalizer(self, item: dict[str, Any]) -> dict[str, Any]:
        """Add the operator's finalizer; returns the object with it."""
        return self._completed(self._kube.add_finalizer(item))

    def remove_finalizer(self, item: dict[str, Any]) -> None:
        """Remove the operator's finalizer."""
        self._kube.remove_finalizer(item)
        self._written.pop(_key_of(item), None)

    def write_event(self, item: dict[str, Any], event: Event) -> None:
        """Publish an Event."""
        self._kube.write_event(item, event)

    def write_status(self, item: dict[str, Any], status: dict[str, Any]) -> None:
        """Set the status, and notice what of it is not stored."""
        stored = self._kube.write_status(item, status)
        if stored is None:
            return
        lost = tuple(sorted(set(lost_fields(status, stored, "status")) - self._missing))
        if lost:
            self._missing |= set(lost)
            _report(lost)
        if self._missing:
            self._written[_key_of(item)] = item["metadata"]["uid"], copy.deepcopy(status)

    def _completed(self, item: dict[str, Any]) -> dict[str, Any]:
        if not self._missing:
            return item
        stored = item.get("status") or {}
        uid, written = self._written.get(_key_of(item), ("", {}))
        if uid == item["metadata"]["uid"] and stored in (written, without(written, self._missing, "status")):
            return {**item, "status": copy.deepcopy(written)}
        if self._counts_as_applied(item, stored):
            return {**item, "status": {**stored, "appliedGeneration": item["metadata"].get("generation")}}
        return item

    def _counts_as_applied(self, item: dict[str, Any], status: dict[str, Any]) -> bool:
        """Whether an object with driftPolicy Report has to be taken for one whose spec was applied.

        Without status.appliedGeneration nobody knows, after a restart, whether what differs is drift, which must be
        left as it is, or a spec that was not applied yet. An object that was Ready before is left as it is.
        """
        if _APPLIED not in self._missing or (item.get("spec") or {}).get("driftPolicy") != "Report":
            return False
        if _BUCKET not in self._missing:
            return bool(status.get("bucketARN"))
        return status.get("status", "") not in ("", "Pending")


def _key_of(item: dict[str, Any]) -> Key:
    return item["metadata"]["namespace"], item["metadata"]["name"]


def _report(missing: tuple[str, ...]) -> None:
    fields = {"fields": list(missing[:_SHOWN]), "hint": HINT}
    _LOG.warning("the CRD does not have all fields of this operator: they are not stored", extra=fields)
