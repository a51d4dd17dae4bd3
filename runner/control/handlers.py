"""What a watch event means for the work queue: which object is reconciled, in which lane, how soon."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable
from typing import Protocol

from runner.backoff import EditRate
from runner.control.names import Names
from runner.control.queue import Lane
from runner.control.status import is_ready_in_generation, ready_condition
from runner.kube.cache import Cache
from runner.objects import Child, Key, S3Object
from s3bucket.rotation import KEEP_OLD_KEY, ROTATE_KEY

REQUESTED_AT = "agill.apps/reconcile-requested-at"
# The annotations that request something.
_REQUESTS = (REQUESTED_AT, ROTATE_KEY, KEEP_OLD_KEY)


class References:
    """Which S3 objects have users that may also use the buckets of others (``iamUser.alsoUses``).

    Thread: the one of the watch.
    """

    def __init__(self) -> None:
        self._used: dict[Key, frozenset[Key]] = {}
        self._users: defaultdict[Key, set[Key]] = defaultdict(set)

    def put(self, s3: S3Object) -> None:
        """Keep what an object uses now."""
        self._set(s3.key, s3.also_used)

    def remove(self, key: Key) -> None:
        """The object no longer exists."""
        self._set(key, frozenset())

    def find_users(self, key: Key) -> tuple[Key, ...]:
        """The objects that use the bucket of this one."""
        return tuple(sorted(self._users.get(key, ())))

    def _set(self, key: Key, used: frozenset[Key]) -> None:
        before = self._used.get(key, frozenset())
        if used == before:
            return
        for other in before - used:
            self._users[other].discard(key)
            if not self._users[other]:
                del self._users[other]
        for other in used - before:
            self._users[other].add(key)
        if used:
            self._used[key] = used
        else:
            del self._used[key]


class Requests(Protocol):
    """The work queue, as far as watches need it."""

    def add(self, key: Key, lane: Lane = Lane.FRESH, delay_s: float = 0.0) -> None:
        """Have an object reconciled."""

    def forget(self, key: Key) -> None:
        """The object no longer exists."""


def add_known(queue: Requests, s3: S3Object, sync_period_s: float, chance: random.Random) -> None:
    """Have an object reconciled that this process has not reconciled yet.

    One that is Ready waits for its turn in the period, so that a start with thousands of objects is no burst.
    """
    if is_ready_in_generation(s3) and not s3.is_deleting:
        queue.add(s3.key, Lane.RESYNC, chance.random() * sync_period_s)
    else:
        queue.add(s3.key, Lane.FRESH)


class ObjectHandler:
    """S3 objects: a new, changed or deleted one is fresh; one that was Ready before a restart waits for its turn.

    Distinguishes a change that matters (spec, deletion, a requested reconcile) from the operator's own status writes.
    An object that is edited again and again is reconciled at a limited rate; a deletion is never delayed. Objects with
    users that may also use its bucket are checked when it becomes Ready, and when it is deleted.

    :param names: where what the objects own in AWS is kept; None where no events of AWS are received
    """

    def __init__(
        self,
        queue: Requests,
        sync_period_s: float,
        cache: Cache[S3Object],
        chance: random.Random | None = None,
        edits: EditRate | None = None,
        names: Names | None = None,
    ) -> None:
        self._queue = queue
        self._names = names
        self._sync_period_s = sync_period_s
        self._cache = cache
        self._edits = edits or EditRate()
        self._references = References()
        self._chance = chance or random.Random()  # noqa: S311 - jitter

    def replace_all(self, found: Iterable[S3Object]) -> None:
        """After a list, or while it arrives: if it breaks off, the next one does the rest."""
        present = set()
        for s3 in found:
            present.add(s3.key)
            is_new = self._cache.find(s3.key) is None
            if is_new and is_ready_in_generation(s3) and not s3.is_deleting:
                self._keep(s3)
                add_known(self._queue, s3, self._sync_period_s, self._chance)
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
        self._keep(s3)
        if before is None or _usability_of(before) != _usability_of(s3):
            self._check_users(s3.key)
        if before is None or (s3.is_deleting and not before.is_deleting):
            self._queue.add(s3.key, Lane.FRESH)
        elif _version_of(before) != _version_of(s3):
            self._queue.add(s3.key, Lane.FRESH, self._edits.next_s(s3.key))

    def _keep(self, s3: S3Object) -> None:
        self._cache.put(s3)
        self._references.put(s3)
        if self._names is not None:
            self._names.put(s3)

    def _forget(self, key: Key) -> None:
        self._cache.remove(key)
        self._references.remove(key)
        if self._names is not None:
            self._names.remove(key)
        self._check_users(key)
        self._queue.forget(key)
        self._edits.forget(key)
        # What is kept of it elsewhere is dropped as well, once it is no longer being processed.
        self._queue.add(key, Lane.RESYNC)

    def _check_users(self, key: Key) -> None:
        """Check the objects with users that may also use this object's bucket, at a limited rate."""
        for user in self._references.find_users(key):
            self._queue.add(user, Lane.RESYNC, self._edits.next_s(user))


class ChildHandler:
    """Secrets and Services: one that was edited or deleted has its S3 object repaired.

    The worker for runs compares the object itself, before a run, so no other worker does it first: the edits of one
    namespace are limited by the rules for runs, and never take the workers that check all others.
    An ADDED one is the operator's own, or is found at the next resync. An edit that changes nothing that is kept is
    ignored.
    The rate of edits is limited by S3 object.
    """

    def __init__(self, queue: Requests, cache: Cache[Child], edits: EditRate | None = None) -> None:
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
            self._remove(key, Lane.REPAIR)

    def change(self, kind: str, found: Child) -> None:
        """After a watch event."""
        if kind == "DELETED":
            self._remove(found.key, Lane.REPAIR)
        else:
            self._keep(found)

    def deny(self) -> None:
        """Their S3 objects are checked at once: each Secret and Service is then read by name."""
        # All of them at once, and no difference is expected: not for the workers for runs.
        keys = self._cache.keys()
        for key in keys:
            self._remove(key, Lane.RESYNC)

    def _keep(self, child: Child) -> None:
        # Whoever touches it makes another resourceVersion.
        if self._cache.put(child.without_version()):
            self._add_owner(child, Lane.REPAIR)

    def _remove(self, key: Key, lane: Lane) -> None:
        child = self._cache.find(key)
        self._cache.remove(key)
        if child is not None:
            self._add_owner(child, lane)

    def _add_owner(self, child: Child, lane: Lane) -> None:
        for key in child.controllers:
            self._queue.add(key, lane, self._edits.next_s(key))


def _usability_of(s3: S3Object) -> tuple[object, ...]:
    """What decides whether users of other objects may use the bucket."""
    return s3.uid, s3.is_deleting, ready_condition(s3.status).get("status"), s3.status.get("bucketARN")


def _version_of(s3: S3Object) -> tuple[object, ...]:
    """What differs after a change that matters."""
    annotations = tuple(s3.annotations.get(name) for name in _REQUESTS)
    return s3.uid, s3.generation, s3.deletion_timestamp, annotations
