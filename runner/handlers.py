"""What a change means for the work queue: which object is looked at, how soon."""

from __future__ import annotations

import random
import threading
from typing import Any

from runner.conditions import is_settled
from runner.queue import Key, Lane, WorkQueue

REQUESTED_AT = "agill.apps/reconcile-requested-at"


def key_of(item: dict[str, Any]) -> Key:
    """Namespace and name."""
    return item["metadata"]["namespace"], item["metadata"]["name"]


class ObjectHandler:
    """S3 objects: a new, changed or deleted one is fresh; one that was Ready before a restart waits for its turn.

    Keeps of each object only what tells a change that matters (spec, deletion, a request to look) from one
    that does not (our own status writes).
    """

    def __init__(self, queue: WorkQueue, sync_period_s: float, chance: random.Random | None = None) -> None:
        self._queue = queue
        self._sync_period_s = sync_period_s
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._seen: dict[Key, tuple[Any, ...]] = {}
        self._lock = threading.Lock()

    def replace_all(self, items: list[dict[str, Any]]) -> None:
        """After a list."""
        with self._lock:
            present = {key_of(item) for item in items}
            for key in set(self._seen) - present:
                self._forget(key)
            for item in items:
                is_new = key_of(item) not in self._seen
                if is_new and is_settled(item) and not item["metadata"].get("deletionTimestamp"):
                    self._seen[key_of(item)] = _mark(item)
                    # Spread over the period, so that a restart with thousands of objects is no burst.
                    self._queue.add(key_of(item), Lane.RESYNC, self._chance.random() * self._sync_period_s)
                else:
                    self._look(item)

    def change(self, kind: str, item: dict[str, Any]) -> None:
        """After a watch event."""
        with self._lock:
            if kind == "DELETED":
                self._forget(key_of(item))
            else:
                self._look(item)

    def keys(self) -> list[Key]:
        """All objects there are."""
        with self._lock:
            return list(self._seen)

    def _look(self, item: dict[str, Any]) -> None:
        key, mark = key_of(item), _mark(item)
        if self._seen.get(key) != mark:
            self._seen[key] = mark
            self._queue.add(key, Lane.FRESH)

    def _forget(self, key: Key) -> None:
        self._seen.pop(key, None)
        self._queue.forget(key)


class ChildHandler:
    """Secrets and Services: an edited or deleted one brings its S3 object's next look forward.

    An ADDED one is our own work, or is found at the next sync. The digest tells an edit from a touch.
    """

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._digests: dict[Key, str] = {}

    def replace_all(self, items: list[dict[str, Any]]) -> None:
        """After a list: what changed or went while nobody watched counts, unless this is the first list."""
        before, self._digests = self._digests, {key_of(item): item["digest"] for item in items}
        for item in items:
            if before.get(key_of(item), item["digest"]) != item["digest"]:
                self._look(item)

    def change(self, kind: str, item: dict[str, Any]) -> None:
        """After a watch event."""
        key = key_of(item)
        before = self._digests.pop(key, None)
        if kind != "DELETED":
            self._digests[key] = item["digest"]
        if kind == "DELETED" or (before is not None and before != item["digest"]):
            self._look(item)

    def _look(self, item: dict[str, Any]) -> None:
        for owner in item["metadata"].get("ownerReferences") or []:
            if owner.get("controller") and owner.get("kind") == "S3":
                self._queue.add((item["metadata"]["namespace"], owner["name"]), Lane.RESYNC)


def _mark(item: dict[str, Any]) -> tuple[Any, ...]:
    metadata = item["metadata"]
    annotations = metadata.get("annotations") or {}
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        annotations.get(REQUESTED_AT),
    )
