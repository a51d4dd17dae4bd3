"""The work queue: which object is reconciled next.

One object is processed by one worker at a time, others in parallel. An object is in the queue at most once; what is
added while it is being processed is served afterwards.

Four rules decide which object is next:

- A worker names the lanes that it serves, in its order of preference. Resyncs have workers of their own, so that
  thousands of them delay no new object.
- Within a lane the namespaces take turns, however much one of them has to do; one with fewer workers is before one with
  more (:mod:`runner.control.turns`). Within a namespace the object that has been due longest comes first; one that
  failed counts as due later, the more often it failed in a row.
- A namespace has at most as many workers of a pool as the pool allows. The objects that hit the time limit of their
  last run or check share one turn and one worker, whatever their namespace.
- A namespace with a backlog, more objects than the pool has workers, gives way to one without: as long as an object of
  such a one is being processed, and for a moment after, it rests after each of its objects for as long as that one
  took. So it always goes on, with half of the workers' time or less.

Of the workers that wait for the same lanes one has the time at which the next object is due, and the others have none.
Who takes an object wakes one of them, which takes what else is due, or waits for the next time. So an object wakes two
workers at most, and none of another pool.

Each operation takes O(log n) time for n objects. Threads: any.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from runner.control.turns import Heap, Ticket, Turns
from runner.objects import Key

# An object that failed waits behind those of its namespace that became due up to this much later. It is a time and not
# a lane, so that it is served at last even where there is always something else to do.
FAILED_WAITS_S = 60.0
MAX_FAILED_WAITS_S = 600.0
# What is deleted by the check alone takes less, and a backlog of it would take a core of the machine all the same.
LEAST_REST_S = 0.25
# A run that empties a bucket takes minutes. Who waits behind it must not wait for as long again.
MAX_REST_S = 10.0
# What a person or a pipeline does comes one after the other. Without this time, a namespace with a backlog takes its
# workers back in the gap of some milliseconds between two objects of another one, and the second waits for all of them.
LINGER_S = 0.5
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
    """Workers that serve the same lanes.

    :param per_namespace: how many of them one namespace may have at a time
    :param size: how many there are. A namespace with more objects to do than these has a backlog, and gives way. By
        default none has
    """

    lanes: tuple[Lane, ...]
    per_namespace: int
    size: int = 1_000_000


_ANY = Pool(tuple(Lane), 1_000_000)
_Held = tuple[Pool, str]


class _Wish(NamedTuple):
    due: float
    lane: Lane


@dataclass(eq=False, slots=True)
class _Entry:
    """An object in the queue.

    :ivar delayed: its place among the delayed; None while it is being processed, or is due
    :ivar ready: its group and its place in its lane, once it is due
    """

    key: Key
    wish: _Wish
    delayed: Ticket[_Entry] | None = None
    ready: tuple[str, Ticket[_Entry]] | None = None


class _Waiters:
    """Workers that wait for the same lanes.

    :ivar until: when one of them wakes by itself; later than that, no other one need do so
    """

    def __init__(self, lock: threading.Lock, pools: Iterable[Pool]) -> None:
        self.pools = frozenset(pools)
        self.until = math.inf
        self._changed = threading.Condition(lock)

    def wait(self, due: float, deadline: float, clock: Callable[[], float]) -> None:
        """Wait to be woken, until ``deadline``, or until ``due`` if no other one does."""
        is_first = due < self.until
        if is_first:
            self.until = due
        end = min(due, deadline) if is_first else deadline
        try:
            self._changed.wait(None if end == math.inf else max(0.0, end - clock()))
        finally:
            if is_first and self.until == due:
                self.until = math.inf

    def wake_one(self) -> None:
        """Wake one, if any waits."""
        self._changed.notify()

    def wake_all(self) -> None:
        """Wake all."""
        self._changed.notify_all()


class WorkQueue:
    """A delaying queue with lanes. ``clock`` gives seconds that only grow.

    :param pools: the pools of workers; no lane is in two of them
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, pools: Iterable[Pool] = (_ANY,)) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._pools = {lane: pool for pool in pools for lane in pool.lanes}
        self._waiters: dict[tuple[Lane, ...], _Waiters] = {}
        self._entries: dict[Key, _Entry] = {}
        self._delayed: dict[Pool, Heap[_Entry]] = {pool: Heap() for pool in self._pools.values()}
        self._ready: dict[Lane, Turns[_Entry]] = {lane: Turns() for lane in Lane}
        # Pool and group of what is being processed, and since when.
        self._running: dict[Key, _Held] = {}
        self._since: dict[Key, float] = {}
        self._busy: Counter[_Held] = Counter()
        # Until when those with a backlog rest, and which of them are not served now. Few: each has just been served.
        self._rests: dict[_Held, float] = {}
        self._resting: set[_Held] = set()
        # Until when others still rest for one without a backlog that has no worker any more.
        self._lingers: dict[_Held, float] = {}
        # How the last reconcile ended, unless it was good, and how many in a row ended so.
        self._standings: dict[Key, tuple[Standing, int]] = {}
        self._is_shut = False

    def add(self, key: Key, lane: Lane = Lane.FRESH, delay_s: float = 0.0) -> None:
        """Have the object reconciled in ``delay_s`` seconds. A more urgent request replaces a waiting one."""
        with self._lock:
            wish = _Wish(self._clock() + delay_s, lane)
            entry = self._entries.get(key)
            if entry:
                wish = _Wish(min(wish.due, entry.wish.due), min(wish.lane, entry.wish.lane))
                if wish == entry.wish:
                    return
            self._put(key, wish)

    def postpone(self, key: Key, lane: Lane, delay_s: float) -> None:
        """After a reconcile: the next one comes later, unless one is requested already.

        A repair, or a run that is to go on, waits neither for a request that is due later nor for one more check: it
        compares the object anew.
        """
        with self._lock:
            wish, entry = _Wish(self._clock() + delay_s, lane), self._entries.get(key)
            if entry is None:
                self._put(key, wish)
            elif lane is Lane.REPAIR:
                self._put(key, _Wish(min(wish.due, entry.wish.due), min(lane, entry.wish.lane)))

    def rank(self, key: Key, standing: Standing) -> None:
        """Record how the object's reconcile ended; before :meth:`done`."""
        with self._lock:
            if standing is Standing.GOOD:
                self._standings.pop(key, None)
            else:
                self._standings[key] = standing, self._standings.get(key, (standing, 0))[1] + 1

    def forget(self, key: Key) -> None:
        """The object no longer exists."""
        with self._lock:
            self._take_out(key)
            self._standings.pop(key, None)

    def get(self, timeout_s: float | None = None, lanes: tuple[Lane, ...] = tuple(Lane)) -> tuple[Key, Lane] | None:
        """The next object in these lanes that is due and not being processed.

        None after ``timeout_s``, or at shutdown.
        """
        deadline = math.inf if timeout_s is None else self._clock() + timeout_s
        with self._lock:
            waiters = self._waiters_of(lanes)
            while not self._is_shut:
                found = self._pop(lanes)
                if found or self._clock() >= deadline:
                    if waiters.until == math.inf or self._has_next(lanes):
                        waiters.wake_one()
                    return found
                waiters.wait(self._next_due(waiters.pools), deadline, self._clock)
            return None

    def done(self, key: Key) -> None:
        """The worker has finished with the object."""
        with self._lock:
            held = self._running.pop(key, None)
            if held:
                self._plan_rest(held, self._clock() - self._since.pop(key))
                if self._is_given_way(held):
                    self._lingers[held] = self._clock() + LINGER_S
                self._count_busy(held, -1)
            entry = self._entries.get(key)
            if entry and not entry.delayed and not entry.ready:
                self._delay(entry)
            if held and any(self._ready[lane] for lane in held[0].lanes):
                # Of these, one may have waited for a worker of its namespace.
                self._wake_one(held[0])

    def shut_down(self) -> None:
        """Serve nothing more."""
        with self._lock:
            self._is_shut = True
            for waiters in self._waiters.values():
                waiters.wake_all()

    def depths(self) -> dict[Lane, int]:
        """How many objects are due in each lane."""
        with self._lock:
            self._advance()
            now = self._clock()
            found = Counter({lane: len(turns) for lane, turns in self._ready.items()})
            # What was added for objects that are being processed: at most one a worker.
            again = (self._entries[key].wish for key in self._running if key in self._entries)
            found.update(wish.lane for wish in again if wish.due <= now)
        return {lane: found[lane] for lane in Lane}

    def load_beside(self, key: Key) -> int:
        """How many other objects of its namespace are due or being processed, in the pool that processes this one."""
        with self._lock:
            held = self._running.get(key)
            if held is None:
                return 0
            self._advance()
            pool, group = held
            return self._busy[held] - 1 + sum(self._ready[lane].count_of(group) for lane in pool.lanes)

    def _put(self, key: Key, wish: _Wish) -> None:
        self._take_out(key)
        entry = self._entries[key] = _Entry(key, wish)
        if key not in self._running:
            self._delay(entry)

    def _delay(self, entry: _Entry) -> None:
        pool = self._pools[entry.wish.lane]
        entry.delayed = self._delayed[pool].push(entry.wish.due, entry)
        self._wake_one(pool, entry.wish.due)

    def _wake_one(self, pool: Pool, due: float = -math.inf) -> None:
        """Wake a worker of a pool, unless one wakes by itself when something is due."""
        for waiters in self._waiters.values():
            if pool in waiters.pools and due < waiters.until:
                waiters.wake_one()

    def _waiters_of(self, lanes: tuple[Lane, ...]) -> _Waiters:
        if lanes not in self._waiters:
            self._waiters[lanes] = _Waiters(self._lock, (self._pools[lane] for lane in lanes))
        return self._waiters[lanes]

    def _take_out(self, key: Key) -> None:
        entry = self._entries.pop(key, None)
        if entry and entry.delayed:
            self._delayed[self._pools[entry.wish.lane]].remove(entry.delayed)
        if entry and entry.ready:
            group, ticket = entry.ready
            self._ready[entry.wish.lane].remove(group, ticket)

    def _advance(self) -> None:
        """Give what has become due its place in its lane."""
        now = self._clock()
        for pool, delayed in self._delayed.items():
            while (first := delayed.find_first()) and first[0] <= now:
                entry = delayed.pop()
                lane, group = entry.wish.lane, self._group_of(entry.key)
                order = entry.wish.due + self._penalty_of(entry.key)
                ticket = self._ready[lane].push(group, self._level_of((pool, group)), order, entry)
                entry.delayed, entry.ready = None, (group, ticket)

    def _plan_rest(self, held: _Held, worked_s: float) -> None:
        if self._has_backlog(held):
            self._rests[held] = self._clock() + min(MAX_REST_S, max(LEAST_REST_S, worked_s))

    def _has_backlog(self, held: _Held) -> bool:
        pool, group = held
        return self._busy[held] + sum(self._ready[lane].count_of(group) for lane in pool.lanes) > pool.size

    def _is_given_way(self, held: _Held) -> bool:
        # What timed out may hold its worker for as long again.
        return held[1] != _TIMED_OUT_GROUP and not self._has_backlog(held)

    def _update_rests(self) -> None:
        """Who has a backlog rests while one without it is served, until its time is over."""
        now = self._clock()
        self._rests, self._lingers = _those_after(now, self._rests), _those_after(now, self._lingers)
        resting = {held for held in self._rests if self._rests_until(held) > now}
        changed, self._resting = resting ^ self._resting, resting
        for held in changed:
            self._move(held)

    def _rests_until(self, held: _Held) -> float:
        """When the rest of a namespace ends, as things are now. Without a backlog it does not rest."""
        if not self._has_backlog(held):
            return -math.inf
        others = {other: until for other, until in self._lingers.items() if other != held}
        others |= {other: math.inf for other in self._busy if self._is_given_way(other)}
        served_until = max((until for other, until in others.items() if other[0] == held[0]), default=-math.inf)
        return min(self._rests[held], served_until)

    def _pop(self, lanes: tuple[Lane, ...]) -> tuple[Key, Lane] | None:
        self._advance()
        self._update_rests()
        for lane in lanes:
            pool = self._pools[lane]
            entry = self._ready[lane].pop(pool.per_namespace)
            if entry is not None and entry.ready is not None:
                del self._entries[entry.key]
                held = self._running[entry.key] = pool, entry.ready[0]
                self._since[entry.key] = self._clock()
                self._count_busy(held, 1)
                return entry.key, lane
        return None

    def _has_next(self, lanes: tuple[Lane, ...]) -> bool:
        return any(self._ready[lane].has_next(self._pools[lane].per_namespace) for lane in lanes)

    def _count_busy(self, held: _Held, change: int) -> None:
        self._busy[held] += change
        if not self._busy[held]:
            del self._busy[held]
        self._move(held)

    def _move(self, held: _Held) -> None:
        for lane in held[0].lanes:
            self._ready[lane].move(held[1], self._level_of(held))

    def _level_of(self, held: _Held) -> int:
        pool, group = held
        if held in self._resting:
            # As if it had all that it may have.
            return pool.per_namespace + self._busy[held]
        # One worker is all that they may have.
        return self._busy[held] * (pool.per_namespace if group == _TIMED_OUT_GROUP else 1)

    def _group_of(self, key: Key) -> str:
        return _TIMED_OUT_GROUP if self._standing_of(key)[0] is Standing.TIMED_OUT else key[0]

    def _penalty_of(self, key: Key) -> float:
        return min(MAX_FAILED_WAITS_S, FAILED_WAITS_S * self._standing_of(key)[1])

    def _standing_of(self, key: Key) -> tuple[Standing, int]:
        return self._standings.get(key, (Standing.GOOD, 0))

    def _next_due(self, pools: Iterable[Pool]) -> float:
        """When a worker of these pools may have something to do."""
        firsts = [first[0] for pool in pools if (first := self._delayed[pool].find_first())]
        rests = [self._rests_until(held) for held in self._resting if held[0] in pools]
        return min([*firsts, *rests], default=math.inf)


def _those_after(now: float, times: dict[_Held, float]) -> dict[_Held, float]:
    return {held: until for held, until in times.items() if until > now}
