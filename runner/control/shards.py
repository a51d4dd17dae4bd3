"""Which shards of the objects this replica works on: takes them, gives them up one at a time, ends what it loses.

Each replica computes from the Leases of all replicas how many shards it should have: they differ by one at most. One
with more gives up one shard at a time: it begins no more work on its objects, lets their runs end, cancels them after
the grace period, and releases the Lease, again and again if the API server does not answer. It does not wait for what
only reads: the result of a check that ends later is dropped. One with fewer takes what is free, as soon as the Lease of
a dead replica expires: its duration after it was seen to change last. A shard that was not renewed for the renew
deadline is lost: its runs are killed before its Lease can expire, those of other shards go on.

Threads: one that balances, some that renew, one that watches the deadlines; :meth:`Shards.working` and the questions
are called by any.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Protocol

from runner.control.threads import Threads
from runner.kube.client import KubeError
from runner.kube.hold import Hold, Terms, boot_time_s
from runner.kube.shard_leases import SHARDS, Seen, ShardLeases, shard_of

_LOG = logging.getLogger(__name__)
COMMON = 0
"""Who has this shard also does what is to be done once for all objects."""
_POLL_S = 1.0
# How often the Leases of the others are read, at most: a Lease expires its duration after it was *seen* to change.
_OBSERVE_S = 1.0
# A wait that ends a moment too early would be followed by one more.
_LEAST_WAIT_S = 0.01


class State(Enum):
    """What this replica may do with the objects of a shard."""

    FREE = "free"
    """Nothing."""
    HELD = "held"
    """Everything."""
    DRAINING = "draining"
    """What has begun goes on; nothing new begins."""
    LOST = "lost"
    """Nothing, and what has begun is ended."""


def is_in(uid: str, shard: int) -> bool:
    """Whether an object is in a shard. What is done once for all objects, and has no uid, is in the common one."""
    return _of(uid) == shard


def _of(uid: str) -> int:
    return shard_of(uid) if uid else COMMON


def wanted_shards(replicas: Sequence[str], identity: str) -> int:
    """How many shards a replica should have: all have the same number, or one more."""
    if identity not in replicas:
        return 0
    least, more = divmod(SHARDS, len(replicas))
    return least + (replicas.index(identity) < more)


class Work(Protocol):
    """What this replica may work on, by the uid of an object; empty for what is done once for all objects."""

    def may_run(self, uid: str) -> bool:
        """Whether the role may run: no other replica can work on the object yet."""

    def is_revoked(self, uid: str) -> bool:
        """Whether a run that goes on must end now."""

    def working(self, uid: str) -> contextlib.AbstractContextManager[bool]:
        """Whether work may begin. Until its end the object is not given to another replica."""

    def reading(self, uid: str) -> contextlib.AbstractContextManager[Callable[[], bool]]:
        """A part of the work that only reads. Meanwhile the object may be given to another replica.

        After the end, the function that it gives returns whether the object was kept, so that the work may go on.
        """


class Whole:
    """One replica works on all objects.

    :param may_run: whether it has the Lease for certain
    """

    def __init__(self, may_run: Callable[[], bool]) -> None:
        self._may_run = may_run

    def may_run(self, uid: str) -> bool:  # noqa: ARG002 - of any object
        """Whether the role may run."""
        return self._may_run()

    def is_revoked(self, uid: str) -> bool:  # noqa: ARG002 - all runs are ended together
        """Never: all runs are ended together."""
        return False

    def working(self, uid: str) -> contextlib.AbstractContextManager[bool]:  # noqa: ARG002 - on any object
        """Always: whether the role may run is asked before each run."""
        return contextlib.nullcontext(enter_result=True)

    def reading(self, uid: str) -> contextlib.AbstractContextManager[Callable[[], bool]]:  # noqa: ARG002 - of any object
        """The work may go on: there is no other replica."""
        return contextlib.nullcontext(lambda: True)


ALL = Whole(lambda: True)
"""Of a process that works without a Lease."""


class Shards:
    """The shards of one replica.

    :param is_member: whether this replica has its own Lease for certain
    :param guard: gets the time at which a shard's Lease was renewed last, for the process that kills this one if it
        does not end its work itself; -inf once it has ended
    :ivar kill_runs: kills the runs of a shard
    :ivar on_take: called for each shard that was taken, before work on it may begin: what was read until then may be
        older than what the replica did that had it before
    :ivar on_gain: called for each shard that was taken, when work on it may begin
    :ivar on_loss: called for each shard that is given up or lost
    :ivar on_replicas: called with the number of replicas when it changes
    :ivar on_silent: called again and again with the regions that other replicas find silent
    """

    def __init__(  # noqa: PLR0913 - each collaborator by itself, so that a test gives fakes
        self,
        leases: ShardLeases,
        identity: str,
        terms: Terms,
        is_member: Callable[[], bool],
        guard: Callable[[int, float], None] = lambda *_: None,
        clock: Callable[[], float] = boot_time_s,
        *,
        drain_s: float = 20.0,
    ) -> None:
        self.kill_runs: Callable[[int], None] = lambda _: None
        self.on_take: Callable[[int], None] = lambda _: None
        self.on_gain: Callable[[int], None] = lambda _: None
        self.on_loss: Callable[[int], None] = lambda _: None
        self.on_replicas: Callable[[int], None] = lambda _: None
        self.on_silent: Callable[[frozenset[str]], None] = lambda _: None
        self.replicas = 0
        self._leases = leases
        self._holds: list[Hold] = leases.shards
        self._identity = identity
        self._terms = terms
        self._is_member = is_member
        self._guard = guard
        self._clock = clock
        self._drain_s = drain_s
        self._lock = threading.Lock()
        # A renewal that is under way would take a released Lease again.
        self._writing = [threading.Lock() for _ in range(SHARDS)]
        self._states = [State.FREE] * SHARDS
        self._busy: Counter[int] = Counter()
        # How often each was taken: one that was given up meanwhile and taken again is another one.
        self._taken: Counter[int] = Counter()
        self._drain_until: dict[int, float] = {}
        # Given up, but their Leases could not be written: nothing may be done, and no other replica can begin yet.
        self._unreleased: set[int] = set()
        # When the first Lease of another replica expires.
        self._free_at = math.inf
        self._changed = threading.Event()
        self._is_stopping = False
        # After stop: nothing is held any more.
        self._emptied = threading.Event()
        self._problem = ""

    def start(self, threads: Threads, ended: threading.Event) -> None:
        """Take and renew shards until ``ended`` is set."""
        # Attempts to renew wait for the API server: none waits for that of another shard.
        for shard in range(SHARDS):
            threads.start(f"shard-renew-{shard}", self._renew, shard, ended)
        threads.start("shard-deadline", self._watch_deadlines, ended)
        threads.start("shards", self._balance, ended)

    def stop(self) -> None:
        """Give up all shards, each as soon as its work has ended. Take none any more."""
        self._is_stopping = True
        self._changed.set()

    def join(self, timeout_s: float) -> None:
        """Wait until all shards are released, after :meth:`stop`."""
        self._emptied.wait(timeout_s)

    def is_empty(self) -> bool:
        """Whether this replica has no shard any more."""
        return all(state is State.FREE for state in self._states)

    def state_of(self, shard: int) -> State:
        """What may be done with a shard."""
        return self._states[shard]

    def busy(self, shard: int) -> int:
        """How many objects of a shard are being processed."""
        return self._busy[shard]

    def has(self, shard: int) -> bool:
        """Whether new work on a shard may begin."""
        return self._states[shard] is State.HELD

    def may_run(self, uid: str) -> bool:
        """Whether the role may run on an object: no other replica can have its shard yet."""
        return self._may_go_on(_of(uid))

    def is_revoked(self, uid: str) -> bool:
        """Whether a run on an object must end now: its shard is lost, or is to be given up and its time is over."""
        shard = _of(uid)
        is_late = self._clock() >= self._drain_until.get(shard, math.inf)
        return is_late or not self._may_go_on(shard)

    @contextlib.contextmanager
    def working(self, uid: str) -> Iterator[bool]:
        """Whether work on an object may begin. As long as it goes on, its shard is not given to another replica."""
        shard = _of(uid)
        with self._lock:
            is_begun = self.has(shard) and self._may_go_on(shard)
            self._busy[shard] += is_begun
        try:
            yield is_begun
        finally:
            with self._lock:
                self._busy[shard] -= is_begun
            if is_begun and self._states[shard] is not State.HELD:
                self._changed.set()

    @contextlib.contextmanager
    def reading(self, uid: str) -> Iterator[Callable[[], bool]]:
        """A part of the work that only reads. Its shard may be released, and taken by another replica, meanwhile.

        So a move does not wait for an endpoint that does not answer. What was read is of use only if the shard was kept
        all the time. After the end, the function that it gives returns whether it was.
        """
        shard = _of(uid)
        with self._lock:
            taken = self._taken[shard]
            self._busy[shard] -= 1
        if self._states[shard] is not State.HELD:
            self._changed.set()
        is_kept = False
        try:
            yield lambda: is_kept
        finally:
            with self._lock:
                self._busy[shard] += 1
                is_kept = self.has(shard) and self._may_go_on(shard) and taken == self._taken[shard]

    def _may_go_on(self, shard: int) -> bool:
        return self._states[shard] in (State.HELD, State.DRAINING) and self._holds[shard].is_certain()

    # Balance

    def _balance(self, ended: threading.Event) -> None:
        while not ended.is_set():
            try:
                self.balance()
                self._problem = ""
            except KubeError as error:
                if str(error) != self._problem:
                    _LOG.warning("shards not balanced", extra={"error": str(error)})
                self._problem = str(error)
            self._changed.wait(self.wait_s())
            self._changed.clear()

    def wait_s(self) -> float:
        """Seconds until the next pass: at once when the Lease of another replica has expired."""
        period_s = min(self._terms.retry_period_s, _OBSERVE_S)
        return max(_LEAST_WAIT_S, min(period_s, self._free_at - self._clock()))

    def balance(self) -> None:
        """One pass: release what was given up, and take or give up what the other replicas call for.

        :raises KubeError: when the API server does not answer
        """
        self._release_ended()
        if self._is_stopping:
            self._give_up(SHARDS)
            self._release_ended()
            self._release_again()
            if self.is_empty() and not self._unreleased:
                self._emptied.set()
            return
        self._release_again()
        seen = self._leases.read()
        self._free_at = seen.free_at
        self._note_replicas(len(seen.replicas))
        self.on_silent(seen.silent)
        if not self._is_member():
            return
        surplus = sum(state is State.HELD for state in self._states) - wanted_shards(seen.replicas, self._identity)
        if surplus < 0:
            self._take(seen, -surplus)
        elif surplus > 0 and State.DRAINING not in self._states:
            self._give_up(1)
            self._release_ended()

    def _note_replicas(self, count: int) -> None:
        if count and count != self.replicas:
            self.replicas = count
            _LOG.info("replicas", extra={"count": count})
            self.on_replicas(count)

    def _take(self, seen: Seen, count: int) -> None:
        # Each begins at another one, so that replicas that start at once do not try the same.
        first = shard_of(self._identity)
        order = [(first + n) % SHARDS for n in range(SHARDS)]
        for shard in [n for n in order if n in seen.free and self._states[n] is State.FREE]:
            if count <= 0 or self._is_stopping:
                return
            count -= self._try(shard)

    def _try(self, shard: int) -> bool:
        hold = self._holds[shard]
        hold.reset()
        try:
            if not hold.try_once():
                return False
        except KubeError as error:
            if not error.status:
                # Others would not be answered either.
                raise
            _LOG.warning("shard not taken", extra={"shard": shard, "error": str(error)})
            return False
        self._unreleased.discard(shard)
        self.on_take(shard)
        with self._lock:
            self._states[shard] = State.HELD
            self._taken[shard] += 1
            self._guard(shard, hold.renewed_at)
        _LOG.info("shard taken", extra={"shard": shard})
        self.on_gain(shard)
        return True

    def _give_up(self, count: int) -> None:
        """Begin no more work on a number of shards: first on those without any, and last on the common one."""
        held = [n for n in range(SHARDS) if self._states[n] is State.HELD]
        for shard in sorted(held, key=lambda n: (n == COMMON, self._busy[n], n))[:count]:
            with self._lock:
                if self._states[shard] is not State.HELD:
                    continue
                self._states[shard] = State.DRAINING
                self._drain_until[shard] = self._clock() + self._drain_s
            _LOG.info("shard is given up", extra={"shard": shard, "busy": self._busy[shard]})
            self.on_loss(shard)

    def _release_ended(self) -> None:
        for shard, state in enumerate(self._states):
            if state in (State.DRAINING, State.LOST) and not self._busy[shard]:
                self._release(shard, state)

    def _release(self, shard: int, state: State) -> None:
        # Nothing can begin any more, as the state is not HELD.
        with self._lock:
            if self._states[shard] is not state:
                return
            self._states[shard] = State.FREE
            self._drain_until.pop(shard, None)
            self._guard(shard, -math.inf)
        self._unreleased.add(shard)
        self._try_release(shard, logging.WARNING)

    def _try_release(self, shard: int, level: int) -> bool:
        try:
            with self._writing[shard]:
                self._holds[shard].release()
        except KubeError as error:
            _LOG.log(level, "shard not released", extra={"shard": shard, "error": str(error)})
            return False
        self._unreleased.discard(shard)
        _LOG.info("shard released", extra={"shard": shard})
        return True

    def _release_again(self) -> None:
        """Release what could not be released before. Until then another replica would wait for it to expire."""
        for shard in sorted(self._unreleased):
            if not self._try_release(shard, logging.DEBUG):
                # The others would not be answered either, and each attempt may take its whole time.
                return

    # Renewal

    def _renew(self, shard: int, ended: threading.Event) -> None:
        while not ended.wait(self._terms.retry_period_s):
            self.renew(shard)

    def renew(self, shard: int) -> None:
        """Renew a shard's Lease, unless that was done a moment ago."""
        hold = self._holds[shard]
        certain_until = hold.renewed_at + self._terms.renew_deadline_s
        is_due = self._clock() >= hold.renewed_at + self._terms.renew_deadline_s / 3
        if not is_due:
            return
        try:
            with self._writing[shard]:
                if self._states[shard] not in (State.HELD, State.DRAINING):
                    return
                is_renewed = hold.try_once()
        except KubeError as error:
            _LOG.warning("shard not renewed", extra={"shard": shard, "error": str(error)})
            return
        with self._lock:
            if not is_renewed or self._states[shard] not in (State.HELD, State.DRAINING):
                return
            self._guard(shard, hold.renewed_at)
        if self._clock() >= certain_until and self.has(shard):
            # The answer came after the deadline, and before anybody saw that: what was to begin meanwhile was dropped.
            self.on_gain(shard)

    def _watch_deadlines(self, ended: threading.Event) -> None:
        while not ended.wait(min(_POLL_S, self._terms.retry_period_s)):
            self.end_lost()

    def end_lost(self) -> None:
        """End the work on each shard that was not renewed for the renew deadline, or that another has taken."""
        lost = [shard for shard in range(SHARDS) if self._lose(shard)]
        for shard in lost:
            _LOG.error("shard lost", extra={"shard": shard})
            self.kill_runs(shard)
            # From here on nothing of it is left that the other process would have to kill.
            self._guard(shard, -math.inf)
            self.on_loss(shard)
        if lost:
            self._changed.set()
        for shard in range(SHARDS):
            if shard not in lost and self._states[shard] is State.LOST and self._busy[shard]:
                # A run that was just about to begin had no process yet when the others were killed.
                self.kill_runs(shard)

    def _lose(self, shard: int) -> bool:
        with self._lock:
            is_lost = self._states[shard] in (State.HELD, State.DRAINING) and not self._holds[shard].is_certain()
            if is_lost:
                self._states[shard] = State.LOST
            return is_lost
