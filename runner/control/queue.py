"""The work queue: which object is reconciled next.

One object is processed by one worker at a time, others in parallel. An object is in the queue at most once; what is
added while it is being processed is served afterwards.

Three rules decide which object is next:

- A worker names the lanes that it serves, in its order of preference. Resyncs have workers of their own, so that
  thousands of them delay no new object.
- Within a lane the namespaces take turns (round robin), however much one of them has to do. Within a namespace the
  object that has been due longest comes first; one that failed last time counts as due some time later.
- A namespace has at most as many workers of a pool as the pool allows. The objects that hit the time limit of their
  last run or check share one turn and one worker, whatever their namespace.

Threads: any.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum

from runner.objects import Key

# An object that failed waits behind those of its namespace that became due up to this much later. It is a time and not
# a lane, so that it is served at last even where there is always something else to do.
FAILED_WAITS_S = 60.0
# No namespace has this name.
_TIMED_OUT_GROUP = ""


class Lane(IntEnum):
    """What an object waits for."""

    FRESH = 0
    REPAIR = 1
    RESYNC = 2


class Standing(IntEnum):
    """How the last reconcile of an object ended."""

    GOOD = 0
    FAILED = 1
    TIMED_OUT = 2


@dataclass(frozen=True)
class Pool:
    """Workers that do the same kind of work. ``per_namespace``: how many of them one namespace may have at a time."""

    name: str
    per_namespace: int


_ANY = Pool("any", 1_000_000)


@dataclass(frozen=True)
class _Entry:
    due: float
    lane: Lane


class _Turns:
    """What is due in one lane: a heap for each group (a namespace), and the order in which the groups take turns."""

    def __init__(self) -> None:
        self._heaps: OrderedDict[str, list[tuple[float, float, Key]]] = OrderedDict()

    def push(self, group: str, due: float, penalty_s: float, key: Key) -> None:
        heapq.heappush(self._heaps.setdefault(group, []), (due + penalty_s, due, key))

    def pop(self, is_free: Callable[[str], bool], is_valid: Callable[[Key, float], bool]) -> Key | None:
        """The next object of the next group that may have a worker."""
        for group in list(self._heaps):
            if not is_free(group):
                continue
            heap = self._heaps[group]
            found = None
            while heap and found is None:
                _, due, key = heapq.heappop(heap)
                found = key if is_valid(key, due) else None
            if heap:
                self._heaps.move_to_end(group)
            else:
                del self._heaps[group]
            if found is not None:
                return found
        return None


class WorkQueue:
    """A delaying queue with lanes. ``clock`` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._entries: dict[Key, _Entry] = {}
        # Heaps may hold outdated items: an item counts only while it equals the key's entry.
        self._delayed: list[tuple[float, Lane, Key]] = []
        self._ready: dict[Lane, _Turns] = {lane: _Turns() for lane in Lane}
        # Pool and group of what is being processed.
        self._running: dict[Key, tuple[str, str]] = {}
        self._busy: Counter[tuple[str, str]] = Counter()
        self._standings: dict[Key, Standing] = {}
        self._is_shut = False

    def add(self, key: Key, lane: Lane = Lane.FRESH, delay_s: float = 0.0) -> None:
        """Have the object reconciled in ``delay_s`` seconds. A more urgent request replaces a waiting one."""
        with self._changed:
            wish = _Entry(self._clock() + delay_s, lane)
            standing = self._entries.get(key)
            if standing:
                wish = _Entry(min(wish.due, standing.due), min(wish.lane, standing.lane))
                if wish == standing:
                    return
            self._put(key, wish)

    def postpone(self, key: Key, lane: Lane, delay_s: float) -> None:
        """After a reconcile: the next one comes later, unless an earlier one is requested already."""
        with self._changed:
            if key not in self._entries:
                self._put(key, _Entry(self._clock() + delay_s, lane))

    def rank(self, key: Key, standing: Standing) -> None:
        """Record how the object's reconcile ended; before :meth:`done`."""
        with self._changed:
            if standing is Standing.GOOD:
                self._standings.pop(key, None)
            else:
                self._standings[key] = standing

    def forget(self, key: Key) -> None:
        """The object no longer exists."""
        with self._changed:
            self._entries.pop(key, None)
            self._standings.pop(key, None)

    def get(
        self, timeout_s: float | None = None, lanes: tuple[Lane, ...] = tuple(Lane), pool: Pool = _ANY
    ) -> tuple[Key, Lane] | None:
        """The next object in these lanes that is due and not being processed.

        None after ``timeout_s``, or at shutdown.
        """
        deadline = None if timeout_s is None else self._clock() + timeout_s
        with self._changed:
            while not self._is_shut:
                found = self._pop(lanes, pool)
                if found:
                    return found
                now = self._clock()
                if deadline is not None and now >= deadline:
                    return None
                waits = [end - now for end in (deadline, self._next_due()) if end is not None]
                self._changed.wait(max(0.0, min(waits)) if waits else None)
            return None

    def done(self, key: Key) -> None:
        """The worker has finished with the object."""
        with self._changed:
            held = self._running.pop(key, None)
            if held:
                self._busy[held] -= 1
                if not self._busy[held]:
                    del self._busy[held]
            entry = self._entries.get(key)
            if entry:
                heapq.heappush(self._delayed, (entry.due, entry.lane, key))
            self._changed.notify_all()

    def shut_down(self) -> None:
        """Serve nothing more."""
        with self._changed:
            self._is_shut = True
            self._changed.notify_all()

    def depths(self) -> dict[Lane, int]:
        """How many objects are due in each lane."""
        with self._changed:
            now = self._clock()
            due = [entry.lane for entry in self._entries.values() if entry.due <= now]
        return {lane: due.count(lane) for lane in Lane}

    def _put(self, key: Key, entry: _Entry) -> None:
        self._entries[key] = entry
        if key not in self._running:
            heapq.heappush(self._delayed, (entry.due, entry.lane, key))
            self._changed.notify_all()

    def _pop(self, lanes: tuple[Lane, ...], pool: Pool) -> tuple[Key, Lane] | None:
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            due, lane, key = heapq.heappop(self._delayed)
            if self._entries.get(key) == _Entry(due, lane) and key not in self._running:
                self._ready[lane].push(self._group_of(key), due, self._penalty_of(key), key)
        for lane in lanes:
            key_or_none = self._ready[lane].pop(
                lambda group: self._has_room(pool, group),
                # Bound now: the lane changes with the loop.
                lambda key, due, lane=lane: self._is_valid(key, due, lane),  # type: ignore[misc]
            )
            if key_or_none is not None:
                self._start(key_or_none, pool)
                return key_or_none, lane
        return None

    def _start(self, key: Key, pool: Pool) -> None:
        del self._entries[key]
        held = pool.name, self._group_of(key)
        self._running[key] = held
        self._busy[held] += 1

    def _is_valid(self, key: Key, due: float, lane: Lane) -> bool:
        return self._entries.get(key) == _Entry(due, lane) and key not in self._running

    def _has_room(self, pool: Pool, group: str) -> bool:
        limit = 1 if group == _TIMED_OUT_GROUP else pool.per_namespace
        return self._busy[pool.name, group] < limit

    def _group_of(self, key: Key) -> str:
        return _TIMED_OUT_GROUP if self._standings.get(key) is Standing.TIMED_OUT else key[0]

    def _penalty_of(self, key: Key) -> float:
        return FAILED_WAITS_S if key in self._standings else 0.0

    def _next_due(self) -> float | None:
        return self._delayed[0][0] if self._delayed else None
