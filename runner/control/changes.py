"""Changes that others make in AWS: CloudTrail's events trigger the check of the object that they concern at once.

Each message ends in a counter. A change of something that an S3 object owns has the object checked: many changes at
once lead to one check, and changes again and again to no more checks than the sync period makes without a queue. What
was read before the message arrived does not answer such a check. Messages are deleted whatever is in them.

With shards, each replica receives messages. One about an object of another replica is handed on: SQS gives it to the
next replica that asks, until it is the right one.

While the queue works, objects wait for the longer period (:class:`Feed`). When it fails, all objects are checked within
one sync period, and the longer period begins again only after the queue has worked for a sync period: a queue that
fails again and again costs no more checks than none. Messages that waited for longer than a sync period are a failure,
too: without a queue the objects would have been checked sooner, and SQS drops what waits for longer than the queue's
retention.

A region from which events do not arrive (:mod:`runner.control.canary`) is a failure, too, but only for the objects with
a bucket in it, unless the events of IAM come from it. So whoever may choose a region for a bucket ends no longer period
of others. It ends with the first event from there.

Threads: one, in :meth:`Changes.run`. :class:`Feed` and :class:`Names` are used by any.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from runner.backoff import Backoff, EditRate
from runner.control.canary import Canary, Silence
from runner.control.handlers import Requests
from runner.control.metrics import EventMetrics
from runner.control.names import Names
from runner.control.queue import Lane
from runner.drift.cloudtrail import Change, Ignored, Kind, Name, change_in
from runner.drift.event_queue import BATCH, MAX_TIMES, Caller, Message, QueueError
from runner.objects import Key, S3Object
from s3bucket.regions import partition_of

_LOG = logging.getLogger(__name__)
# Events whose repetition is recognized. SQS delivers a message again within minutes, if at all.
_MAX_REMEMBERED = 10_000
# One failure may be of the network: botocore has repeated the request already.
_TOLERATED = 1
_MAX_RETRY_S = 60.0
# Between two requests that return messages: 200 messages a second, and never a loop that takes the interpreter.
_PAUSE_S = 0.05
# A queue that answers at once, although it has no message and should wait for one, is not asked more often.
_LEAST_WAIT_S = 1.0
_PRUNE_AT = 1000
_SYNCED_POLL_S = 0.2
# A request may take so long, with its repetitions. A message that waits less is not late, whatever the sync period is.
_LEAST_LATE_S = 60.0
# As if it had been due for so long.
_AHEAD_S = 3600.0
# Not the home region of that partition: https://docs.aws.amazon.com/general/latest/gr/iam-service.html
_IAM_IN_CHINA = "cn-north-1"
_REMEDY = (
    "in this region, check that a trail records write management events and is logging, that the EventBridge rule is "
    "enabled and matches s3.amazonaws.com, the operator's own changes included, and that the policies of its target "
    "and of the queue let the events through"
)


_REMEDY_OF_LATE = (
    "more messages arrive than the operator receives (s3_operator_events_total), it gets too little CPU, or the queue "
    "delays messages: narrow the EventBridge rule, give the operator more CPU, or more replicas with shards"
)


class Result(StrEnum):
    """What became of a message; the label of the metric."""

    CHECK = "check"
    """An object is checked."""
    COALESCED = "coalesced"
    """An object is checked anyway: for a change before this one."""
    OWN = "own"
    """The operator made the change."""
    REPEATED = "repeated"
    """The same event was received before."""
    HANDED_ON = "handed_on"
    """Another replica has the object: with shards."""
    OTHER = Ignored.OTHER.value
    """It is about something that no S3 object owns."""
    READ_ONLY = Ignored.READ_ONLY.value
    FAILED_CALL = Ignored.FAILED.value
    MALFORMED = Ignored.MALFORMED.value


class Queue(Protocol):
    """The SQS queue."""

    def receive(self) -> list[Message]:
        """The next messages."""

    def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages."""

    def hand_on(self, messages: Sequence[Message]) -> None:
        """Let another replica receive messages."""

    def get_caller(self) -> Caller:
        """Who the operator is in AWS."""


class Coverage(NamedTuple):
    """Of which objects events report the changes.

    :param has_any: False until the queue has answered, while it fails, and while no events of IAM arrive
    :param silent: the regions from which no events of buckets arrive
    """

    has_any: bool = False
    silent: frozenset[str] = frozenset()

    @property
    def is_whole(self) -> bool:
        """Whether events of all objects arrive."""
        return self.has_any and not self.silent

    def has(self, region: str) -> bool:
        """Whether events of the objects with a bucket in a region arrive."""
        return self.has_any and region not in self.silent


class Feed:
    """Whether changes in AWS are reported by events, so that objects need to be checked less often.

    :param region_of: the region of an object's bucket
    """

    def __init__(self, region_of: Callable[[Key], str]) -> None:
        self.coverage = Coverage()
        self.region_of = region_of

    def has(self, key: Key) -> bool:
        """Whether events of an object arrive. Its region is only read where that of another one may be silent."""
        coverage = self.coverage
        return coverage.is_whole or (coverage.has_any and coverage.has(self.region_of(key)))


class Turn(NamedTuple):
    """In how many seconds to check an object. ``is_new``: False where an earlier change was given this turn."""

    delay_s: float
    is_new: bool


class CheckRate:
    """How soon a change leads to a check. In the long run one check a sync period, and a few at once.

    Thread: the one that receives messages.
    """

    def __init__(self, sync_period_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = EditRate(limit_s=max(2.0, sync_period_s), recovery_s=sync_period_s, clock=clock)
        self._clock = clock
        self._due: dict[Name, float] = {}

    def plan(self, name: Name) -> Turn:
        """When to check what has a name, after a change of it."""
        now = self._clock()
        left_s = self._due.get(name, now) - now
        if left_s > 0:
            return Turn(left_s, is_new=False)
        delay_s = self._rate.next_s(name)
        if delay_s:
            self._due[name] = now + delay_s
            if len(self._due) >= _PRUNE_AT:
                self._due = {one: due for one, due in self._due.items() if due > now}
        return Turn(delay_s, is_new=True)


class Changes:
    """Receives messages, and has objects checked.

    :param canary: finds out whether events arrive
    :param forget: what was read of these names does not hold any more
    :param find_keys: all S3 objects
    :param has: whether this replica works on an object
    :param find_naming: the objects that ask for a bucket of this name; with shards
    :param sync_period_s: the period of checks without a queue
    """

    def __init__(  # noqa: PLR0913 - each collaborator by itself, so that a test gives fakes
        self,
        queue: Queue,
        work: Requests,
        names: Names,
        feed: Feed,
        metrics: EventMetrics,
        *,
        canary: Canary,
        forget: Callable[[Iterable[Name]], None],
        find_keys: Callable[[], Iterable[Key]],
        sync_period_s: float,
        has: Callable[[Key], bool] = lambda _: True,
        find_naming: Callable[[str], Iterable[S3Object]] = lambda _: (),
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
    ) -> None:
        self._has = has
        self._find_naming = find_naming
        self._canary = canary
        self._queue = queue
        self._work = work
        self._names = names
        self._feed = feed
        self._metrics = metrics
        self._forget = forget
        self._find_keys = find_keys
        self._sync_period_s = sync_period_s
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._rate = CheckRate(sync_period_s, clock)
        self._backoff = Backoff(_MAX_RETRY_S, chance=self._chance)
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._failures = 0
        # When the first message could be received.
        self._began = math.inf
        # When the queue began to work again; None while it fails.
        self._works_since: float | None = None
        self._works = False
        self._has_failed = False

    def run(self, stopped: threading.Event, is_synced: Callable[[], bool]) -> None:
        """The thread's body: receive messages again and again.

        :param is_synced: whether the objects are known; before that a message would be taken for another's
        """
        self._metrics.start(Result)
        while not is_synced() and not stopped.wait(_SYNCED_POLL_S):
            pass
        while not stopped.is_set():
            try:
                wait_s = self.receive()
            except Exception:
                _LOG.exception("events were not received")
                wait_s = _MAX_RETRY_S
            stopped.wait(wait_s)

    def receive(self) -> float:
        """One request for messages, and what follows from them. Returns in how many seconds to ask for the next."""
        started = self._clock()
        self._began = min(self._began, started)
        try:
            messages = self._queue.receive()
            others = self._take_all(messages)
            self._queue.delete([message for message in messages if message not in others])
            self._queue.hand_on(others)
        except QueueError as error:
            self._fail(str(error))
            return self._backoff.next_s()
        self._failures = 0
        self._backoff.reset()
        if not self._are_late(messages):
            self._work_again()
        if len(messages) < BATCH:
            # No message waits that arrived before the request.
            self._report_silence(self._canary.find_silent(started))
        self._update()
        if messages:
            return _PAUSE_S
        return max(0.0, started + _LEAST_WAIT_S - self._clock())

    def _take_all(self, messages: list[Message]) -> list[Message]:
        """Returns the messages that are for other replicas."""
        caller = self._queue.get_caller() if messages else Caller()
        others = []
        for message in messages:
            result = self._take(message, caller)
            self._metrics.count(result, is_event=result is not Result.MALFORMED)
            if result is Result.HANDED_ON and message.times < MAX_TIMES:
                others.append(message)
        return others

    def _take(self, message: Message, caller: Caller) -> Result:
        """What becomes of a message."""
        change = change_in(message.body, caller.account)
        if isinstance(change, Ignored):
            return Result(change.value)
        self._canary.hear(change.region, change.names)
        if caller.principal and change.principal == caller.principal:
            # The replica that made the change waits for its event.
            return Result.HANDED_ON if self._is_elsewhere(change) else Result.OWN
        if change.event_id in self._seen:
            return Result.REPEATED
        found = {name: keys for name in change.names if (keys := self._names.find(name))}
        owned = {name: own for name, keys in found.items() if (own := [key for key in keys if self._has(key)])}
        if not owned:
            return Result.HANDED_ON if found else Result.OTHER
        self._remember(change)
        # Also where a check is still to come: what is read until then may be older than this change.
        self._forget(owned)
        checks = [self._check(name, keys) for name, keys in owned.items()]
        return Result.CHECK if any(checks) else Result.COALESCED

    def _is_elsewhere(self, change: Change) -> bool:
        """Whether another replica works on the object of the bucket that was changed."""
        buckets = [name for name in change.names if name.kind is Kind.BUCKET]
        keys = [key for name in buckets for key in self._names.find(name)]
        # The event may be here before the status that shows the new bucket.
        keys = keys or [s3.key for name in buckets for s3 in self._find_naming(name.name)]
        return bool(keys) and not any(self._has(key) for key in keys)

    def _check(self, name: Name, keys: Iterable[Key]) -> bool:
        """Have objects checked. False where a check that is still to come will do."""
        turn = self._rate.plan(name)
        for key in keys:
            # Also where the turn is an earlier change's: another check of the object, for its period or for another
            # name, may have come before and taken its place in the queue.
            # Before the periodic checks of its namespace that are due; the turns of the namespaces stay.
            self._work.add(key, Lane.RESYNC, turn.delay_s or -_AHEAD_S)
        return turn.is_new

    def _remember(self, change: Change) -> None:
        self._seen[change.event_id] = None
        if len(self._seen) > _MAX_REMEMBERED:
            self._seen.popitem(last=False)

    def _are_late(self, messages: Iterable[Message]) -> bool:
        """Whether messages waited too long, apart from those that were there at the start: then all are checked."""
        waited_s = max((message.waited_s for message in messages), default=0.0)
        self._metrics.wait.set(waited_s)
        late_s = min(waited_s, self._clock() - self._began)
        if late_s <= max(self._sync_period_s, _LEAST_LATE_S):
            return False
        fields: dict[str, str | int] = {"waited_s": round(waited_s), "remedy": _REMEDY_OF_LATE}
        self._end_period("events of AWS arrive late: all objects are checked each sync period", fields)
        return True

    def _work_again(self) -> None:
        now = self._clock()
        self._works_since = now if self._works_since is None else self._works_since
        self._works = self._works or not self._has_failed or now >= self._works_since + self._sync_period_s

    def _fail(self, problem: str) -> None:
        self._failures += 1
        self._works_since = None
        if self._failures > _TOLERATED:
            message = "events of AWS are not received: all objects are checked each sync period"
            self._end_period(message, {"error": problem})

    def _end_period(self, message: str, fields: dict[str, str | int]) -> None:
        """End the longer period of all objects."""
        self._works_since = None
        # An event may be lost.
        self._canary.forget()
        if self._has_failed and not self._works:
            return
        self._works, self._has_failed = False, True
        _LOG.warning(message, extra=fields)
        self._update()

    def _report_silence(self, found: Iterable[Silence]) -> None:
        for region, bucket in found:
            _LOG.warning(
                "events of the operator's own changes do not arrive: objects are checked each sync period",
                extra={"region": region, "bucket": bucket, "objects": _objects_of(region), "remedy": _REMEDY},
            )

    def _update(self) -> None:
        """Begin or end the longer period, of all objects or of those of some regions."""
        silent = self._canary.regions()
        before, after = self._feed.coverage, Coverage(self._works and not any(map(_has_iam, silent)), silent)
        self._metrics.up.set(after.is_whole)
        if after == before:
            return
        self._feed.coverage = after
        if after.is_whole:
            _LOG.info("events of AWS are received, and objects are checked in the longer period")
            return
        for key in self._find_keys():
            region = self._feed.region_of(key)
            if before.has(region) and not after.has(region):
                # It was to wait for the longer period.
                self._work.add(key, Lane.RESYNC, self._chance.random() * self._sync_period_s)


def _has_iam(region: str) -> bool:
    """Whether the events of IAM come from a region: one in each partition, whichever regions the buckets are in."""
    return region in (partition_of(region).home, _IAM_IN_CHINA)


def _objects_of(region: str) -> str:
    return "all" if _has_iam(region) else "those of the region"
