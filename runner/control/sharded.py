"""What shards change in the operator: only objects of shards that this replica has are in its queue.

All replicas watch all objects. What a watch reports of another replica's object is kept in the informer cache and adds
nothing to the queue. When a shard is taken, its known objects are added, as at a start; when it is given up, what was
kept of them is dropped. Threads: any.
"""

from __future__ import annotations

import random

from runner.control.handlers import add_known
from runner.control.queue import Lane, WorkQueue
from runner.control.shards import Shards
from runner.kube.cache import Caches
from runner.kube.shard_leases import shard_of
from runner.objects import Key, S3Object


def mark_of(s3: S3Object) -> int:
    """What the informer cache keeps of an object to find those of a shard."""
    return shard_of(s3.uid)


class ShardedQueue:
    """The work queue, as the watches see it.

    :param sync_period_s: objects that were Ready before are spread over it
    """

    def __init__(self, queue: WorkQueue, shards: Shards, caches: Caches, sync_period_s: float) -> None:
        self._queue = queue
        self._shards = shards
        self._caches = caches
        self._sync_period_s = sync_period_s
        self._chance = random.Random()  # noqa: S311 - jitter
        shards.on_gain, shards.on_loss = self.gain, self.lose

    def add(self, key: Key, lane: Lane = Lane.FRESH, delay_s: float = 0.0) -> None:
        """Have an object reconciled, if it is in a shard of this replica.

        One that is not in the cache no longer exists: what is kept of it is dropped.
        """
        shard = self._caches.find_mark(key)
        if shard is None or self._shards.has(shard):
            self._queue.add(key, lane, delay_s)

    def forget(self, key: Key) -> None:
        """The object no longer exists."""
        self._queue.forget(key)

    def gain(self, shard: int) -> None:
        """Add what is known of a shard that was taken.

        Nothing is missed: the watch keeps an object in the cache before it asks who has its shard.
        """
        for key in self._caches.find_marked(shard):
            s3 = self._caches.find_object(key)
            if s3 is not None:
                add_known(self._queue, s3, self._sync_period_s, self._chance)

    def lose(self, shard: int) -> None:
        """Have a worker find each object of a shard that is given up, and drop what is kept of it."""
        for key in self._caches.find_marked(shard):
            self._queue.forget(key)
            self._queue.add(key, Lane.RESYNC)
