"""What a watch event means for the work queue: which object is reconciled, in which lane, how soon."""

from __future__ import annotations

import random
from collections.abc import Iterable

from runner.backoff import EditRate
from runner.control.queue import Lane, WorkQueue
from runner.control.status import is_ready_in_generation
from runner.kube.cache import Cache
from runner.objects import Child, Key, S3Object
from s3bucket.rotation import KEEP_OLD_KEY, ROTATE_KEY

REQUESTED_AT = "agill.apps/reconcile-requested-at"
# The annotations that request something.
_REQUESTS = (REQUESTED_AT, ROTATE_KEY, KEEP_OLD_KEY)


class ObjectHandler:
    """S3 objects: a new, changed or deleted one is fresh; one that was Ready before a restart waits for its turn.

    Distinguishes a change that matters (spec, deletion, a requested reconcile) from the operator's own status writes.
    An object that is edited again and again is reconciled at a limited rate; a deletion is never delayed.
    """

    def __init__(
        self,
        queue: WorkQueue,
        sync_period_s: float,
        cache: Cache[S3Object],
        chance: random.Random | None = None,
        edits: EditRate | None = None,
    ) -> None:
        self._queue = queue
        self._sync_period_s = sync_period_s
        self._cache = cache
        self._edits = edits or EditRate()
        self._chance = chance or random.Random()  # noqa: S311 - jitter

    def replace_all(self, found: Iterable[S3Object]) -> None:
        """After a list, or while it arrives: if it breaks off, the next one does the rest."""
        present = set()
        for s3 in found:
            present.add(s3.key)
            is_new = self._cache.find(s3.key) is None
            if is_new and is_ready_in_generation(s3) and not s3.is_deleting:
                self._cache.put(s3)
                # Spread over the period, so that a restart with thousands of objects is no burst.
                self._queue.add(s3.key, Lane.RESYNC, self._chance.random() * self._sync_period_s)
            else:
                self._see(s3)
        for key in set(self._cache.keys()) - present:
            self._forget(key)

    def change(self, kind: str, found: S3Object) -> None:
        """After a watch event."""
        if kind == "DELETED":
            self._forget(found.key)
        else:
            self._see(found)

    def deny(self) -> None:
        """Objects stay as they were seen last: each is read by name before anything is done."""

    def _see(self, s3: S3Object) -> None:
        before = self._cache.find(s3.key)
        self._cache.put(s3)
        if before is None or (s3.is_deleting and not before.is_deleting):
            self._queue.add(s3.key, Lane.FRESH)
        elif _version_of(before) != _version_of(s3):
            self._queue.add(s3.key, Lane.FRESH, self._edits.next_s(s3.key))

    def _forget(self, key: Key) -> None:
        self._cache.remove(key)
        self._queue.forget(key)
        self._edits.forget(key)
        # What is kept of it elsewhere is dropped as well, once it is no longer being processed.
        self._queue.add(key, Lane.RESYNC)


class ChildHandler:
    """Secrets and Services: an edited or deleted one brings its S3 object's next resync forward.

    An ADDED one is the operator's own, or is found at the next resync. An edit that changes nothing that is kept is
    ignored.
    The rate of edits is limited by S3 object.
    """

    def __init__(self, queue: WorkQueue, cache: Cache[Child], edits: EditRate | None = None) -> None:
        self._queue = queue
        self._cache = cache
        self._edits = edits or EditRate()

    def replace_all(self, found: Iterable[Child]) -> None:
        """After a list: what was changed or deleted while there was no watch counts, unless this is the first list."""
        present = set()
        for child in found:
            present.add(child.key)
            self._keep(child)
        for key in set(self._cache.keys()) - present:
            self._remove(key)

    def change(self, kind: str, found: Child) -> None:
        """After a watch event."""
        if kind == "DELETED":
            self._remove(found.key)
        else:
            self._keep(found)

    def deny(self) -> None:
        """Their S3 objects are checked at once: each Secret and Service is then read by name."""
        self.replace_all(())

    def _keep(self, child: Child) -> None:
        # Whoever touches it makes another resourceVersion.
        if self._cache.put(child.without_version()):
            self._resync_owner(child)

    def _remove(self, key: Key) -> None:
        child = self._cache.find(key)
        self._cache.remove(key)
        if child is not None:
            self._resync_owner(child)

    def _resync_owner(self, child: Child) -> None:
        for key in child.controllers:
            self._queue.add(key, Lane.RESYNC, self._edits.next_s(key))


def _version_of(s3: S3Object) -> tuple[object, ...]:
    """What differs after a change that matters."""
    annotations = tuple(s3.annotations.get(name) for name in _REQUESTS)
    return s3.uid, s3.generation, s3.deletion_timestamp, annotations
