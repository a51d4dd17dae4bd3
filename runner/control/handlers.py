"""What a change means for the work queue: which object is looked at, how soon."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any

from runner.backoff import EditRate
from runner.control.queue import Lane, WorkQueue
from runner.control.status import is_settled
from runner.kube.cache import Cache
from runner.objects import Key

REQUESTED_AT = "agill.apps/reconcile-requested-at"


def key_of(item: dict[str, Any]) -> Key:
    """Namespace and name."""
    return item["metadata"]["namespace"], item["metadata"]["name"]


class ObjectHandler:
    """S3 objects: a new, changed or deleted one is fresh; one that was Ready before a restart waits for its turn.

    Tells a change that matters (spec, deletion, a request to look) from one that does not (our own status writes).
    An object that is edited again and again is reconciled at a limited rate; a deletion is never delayed.
    """

    def __init__(
        self,
        queue: WorkQueue,
        sync_period_s: float,
        cache: Cache,
        chance: random.Random | None = None,
        edits: EditRate | None = None,
    ) -> None:
        self._queue = queue
        self._sync_period_s = sync_period_s
        self._cache = cache
        self._edits = edits or EditRate()
        self._chance = chance or random.Random()  # noqa: S311 - jitter

    def replace_all(self, items: Iterable[dict[str, Any]]) -> None:
        """After a list, or while it arrives: if it breaks off, the next one does the rest."""
        present = set()
        for item in items:
            key = key_of(item)
            present.add(key)
            is_new = self._cache.find(key) is None
            if is_new and is_settled(item) and not item["metadata"].get("deletionTimestamp"):
                self._cache.put(key, item)
                # Spread over the period, so that a restart with thousands of objects is no burst.
                self._queue.add(key, Lane.RESYNC, self._chance.random() * self._sync_period_s)
            else:
                self._look(item)
        for key in set(self._cache.keys()) - present:
            self._forget(key)

    def change(self, kind: str, item: dict[str, Any]) -> None:
        """After a watch event."""
        if kind == "DELETED":
            self._forget(key_of(item))
        else:
            self._look(item)

    def deny(self) -> None:
        """Objects stay as they were seen last: each is read by name before anything is done."""

    def _look(self, item: dict[str, Any]) -> None:
        key = key_of(item)
        before = self._cache.find(key)
        self._cache.put(key, item)
        if before is None or _is_deleted(item, before):
            self._queue.add(key, Lane.FRESH)
        elif _mark(before) != _mark(item):
            self._queue.add(key, Lane.FRESH, self._edits.next_s(key))

    def _forget(self, key: Key) -> None:
        self._cache.remove(key)
        self._queue.forget(key)
        self._edits.forget(key)
        # What is kept of it elsewhere goes as well, after what may be going on with it.
        self._queue.add(key, Lane.RESYNC)


class ChildHandler:
    """Secrets and Services: an edited or deleted one brings its S3 object's next look forward.

    An ADDED one is our own work, or is found at the next sync. What is kept of it tells an edit from a touch.
    The rate of edits is limited by S3 object.
    """

    def __init__(self, queue: WorkQueue, cache: Cache, edits: EditRate | None = None) -> None:
        self._queue = queue
        self._cache = cache
        self._edits = edits or EditRate()

    def replace_all(self, items: Iterable[dict[str, Any]]) -> None:
        """After a list: what changed or went while nobody watched counts, unless this is the first list."""
        present = set()
        for item in items:
            present.add(key_of(item))
            self._keep(item)
        for key in set(self._cache.keys()) - present:
            self._go(key)

    def change(self, kind: str, item: dict[str, Any]) -> None:
        """After a watch event."""
        if kind == "DELETED":
            self._go(key_of(item))
        else:
            self._keep(item)

    def deny(self) -> None:
        """Their S3 objects are checked at once: each Secret and Service is then read by name."""
        self.replace_all(())

    def _keep(self, item: dict[str, Any]) -> None:
        # Whoever touches it makes another resourceVersion.
        metadata = {name: value for name, value in item["metadata"].items() if name != "resourceVersion"}
        if self._cache.put(key_of(item), {**item, "metadata": metadata}):
            self._look(item)

    def _go(self, key: Key) -> None:
        item = self._cache.find(key)
        self._cache.remove(key)
        if item is not None:
            self._look(item)

    def _look(self, item: dict[str, Any]) -> None:
        for owner in item["metadata"].get("ownerReferences") or []:
            if owner.get("controller") and owner.get("kind") == "S3":
                key = item["metadata"]["namespace"], owner["name"]
                self._queue.add(key, Lane.RESYNC, self._edits.next_s(key))


def _is_deleted(item: dict[str, Any], before: dict[str, Any]) -> bool:
    return bool(item["metadata"].get("deletionTimestamp")) and not before["metadata"].get("deletionTimestamp")


def _mark(item: dict[str, Any]) -> tuple[Any, ...]:
    metadata = item["metadata"]
    annotations = metadata.get("annotations") or {}
    return (
        metadata["uid"],
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        annotations.get(REQUESTED_AT),
    )
