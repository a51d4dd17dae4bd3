"""The work queue: which object is looked at next.

One object is handled by one worker at a time, others in parallel. An object stands in the queue at most
once; what is added while it is being handled is served afterwards. A worker names the lanes it serves: those
that run the role take fresh objects (new, changed, deleted) before repairs, and resyncs have workers of their
own, so that thousands of them delay nobody. Threads: any.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum

Key = tuple[str, str]
"""Namespace and name of an S3 object."""


class Lane(IntEnum):
    """What an object waits for; a lower lane is served first."""

    FRESH = 0
    REPAIR = 1
    RESYNC = 2


@dataclass(frozen=True)
class _Entry:
    due: float
    lane: Lane


class WorkQueue:
    """A delaying queue with two lanes. ``clock`` gives seconds that only grow."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._entries: dict[Key, _Entry] = {}
        # Heaps may hold outdated items: an item counts only while it equals the key's entry.
        self._delayed: list[tuple[float, Lane, Key]] = []
        self._ready: dict[Lane, list[tuple[float, Key]]] = {lane: [] for lane in Lane}
        self._running: set[Key] = set()
        self._is_shut = False

    def add(self, key: Key, lane: Lane = Lane.FRESH, delay_s: float = 0.0) -> None:
        """Ask for the object to be looked at in ``delay_s`` seconds. A more urgent wish wins over a waiting one."""
        with self._changed:
            wish = _Entry(self._clock() + delay_s, lane)
            standing = self._entries.get(key)
            if standing:
                wish = _Entry(min(wish.due, standing.due), min(wish.lane, standing.lane))
                if wish == standing:
                    return
            self._put(key, wish)

    def postpone(self, key: Key, lane: Lane, delay_s: float) -> None:
        """After a run: look again later, unless something already asks for it sooner."""
        with self._changed:
            if key not in self._entries:
                self._put(key, _Entry(self._clock() + delay_s, lane))

    def forget(self, key: Key) -> None:
        """The object is gone."""
        with self._changed:
            self._entries.pop(key, None)

    def get(self, timeout_s: float | None = None, lanes: Iterable[Lane] = Lane) -> tuple[Key, Lane] | None:
        """The next object in these lanes that is due and in nobody's hands; None after ``timeout_s`` or at shutdown."""
        deadline = None if timeout_s is None else self._clock() + timeout_s
        with self._changed:
            while not self._is_shut:
                found = self._pop(lanes)
                if found:
                    return found
                now = self._clock()
                if deadline is not None and now >= deadline:
                    return None
                waits = [end - now for end in (deadline, self._next_due()) if end is not None]
                self._changed.wait(max(0.0, min(waits)) if waits else None)
            return None

    def done(self, key: Key) -> None:
        """The worker is through with the object."""
        with self._changed:
            self._running.discard(key)
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
        """How many objects are due or being handled in each lane."""
        with self._changed:
            now = self._clock()
            due = [entry.lane for entry in self._entries.values() if entry.due <= now]
        return {lane: due.count(lane) for lane in Lane}

    def _put(self, key: Key, entry: _Entry) -> None:
        self._entries[key] = entry
        if key not in self._running:
            heapq.heappush(self._delayed, (entry.due, entry.lane, key))
            self._changed.notify_all()

    def _pop(self, lanes: Iterable[Lane]) -> tuple[Key, Lane] | None:
        now = self._clock()
        while self._delayed and self._delayed[0][0] <= now:
            due, lane, key = heapq.heappop(self._delayed)
            heapq.heappush(self._ready[lane], (due, key))
        for lane in lanes:
            while self._ready[lane]:
                due, key = heapq.heappop(self._ready[lane])
                if self._entries.get(key) == _Entry(due, lane) and key not in self._running:
                    del self._entries[key]
                    self._running.add(key)
                    return key, lane
        return None

    def _next_due(self) -> float | None:
        return self._delayed[0][0] if self._delayed else None
