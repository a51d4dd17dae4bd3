"""When an object is reconciled next: after its sync period, or with back-off after a failure; and its next full sync.

Keeps the number of failures and the time of the next full sync of each object. Called by one worker at a time for an
object.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from runner.backoff import Backoff, jittered
from runner.control.queue import Lane, Standing
from runner.control.rotations import is_rotating
from runner.objects import Key
from s3bucket.outcome import Outcome, Reason, Retry

# Another client wrote the object at the same moment: the next read sees it.
_FIRST_CONFLICT_S = 0.1
_MAX_CONFLICT_S = 60.0
_MAX_TIMEOUT_BACKOFF_S = 3600.0
# What only a person can change is compared less and less often, but a repair by that person is noticed within this
# number of sync periods.
_MAX_SYNC_PERIODS = 4
# What IAM has just stored, other services of AWS know within a minute, as a rule: for so long, every few seconds.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
_STEADY_IAM_RETRIES = 12


class Next(NamedTuple):
    """The lane in which an object is reconciled next, and in how many seconds.

    ``standing``: how the reconcile ended; None when that stays to be seen.
    """

    lane: Lane
    delay_s: float
    standing: Standing | None = None


@dataclass(frozen=True)
class Periods:
    """Seconds.

    :param sync_s: until an object is reconciled again if nothing happens
    :param with_events_s: the same while events of AWS report what others change
    :param full_sync_s: between two runs of the role although the drift check finds nothing
    :param run_timeout_s: how long an object waits, at first, after its run or check hit the time limit
    """

    sync_s: float
    full_sync_s: float = math.inf
    run_timeout_s: float = 600.0
    with_events_s: float = 0.0


class Schedule:
    """Plans the next reconcile of each object.

    :param has_events: whether events of AWS about an object are received now
    """

    def __init__(
        self,
        periods: Periods,
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        has_events: Callable[[Key], bool] = lambda _: False,
    ) -> None:
        self._periods = periods
        self._has_events = has_events
        self._clock = clock
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        # Of an object that was not seen yet, some time in the period.
        self._full_sync_at: dict[Key, float] = {}
        self._backoff = Backoff(periods.sync_s, chance=self._chance)
        self._iam_backoff = Backoff(periods.sync_s, chance=self._chance, steady=_STEADY_IAM_RETRIES)
        self._conflict_backoff = Backoff(_MAX_CONFLICT_S, _FIRST_CONFLICT_S, self._chance)
        # The reason of the last failures of which none is tried again soon, and how many in a row had it.
        self._failures: dict[Key, tuple[Reason, int]] = {}
        # Each further attempt may hold a worker for as long again.
        longest_s = max(periods.run_timeout_s, _MAX_TIMEOUT_BACKOFF_S)
        self._timeout_backoff = Backoff(longest_s, periods.run_timeout_s, self._chance)

    def now(self) -> float:
        """The time on this schedule's clock."""
        return self._clock()

    def get_full_sync_at(self, key: Key) -> float:
        """When the role runs although nothing differs."""
        if key not in self._full_sync_at:
            self._full_sync_at[key] = self._clock() + self._chance.random() * self._periods.full_sync_s
        return self._full_sync_at[key]

    def postpone_full_sync(self, key: Key) -> None:
        """The role has just run."""
        self._full_sync_at[key] = self._clock() + jittered(self._periods.full_sync_s, self._chance)

    def after_outcome(self, key: Key, outcome: Outcome | None) -> Next | None:
        """When an object is reconciled next; None for one that no longer exists, or is not to be reconciled."""
        self._conflict_backoff.reset(key)
        if outcome is not None and outcome.reason is Reason.RUN_TIMEOUT:
            return Next(Lane.RESYNC, self._timeout_backoff.next_s(key), Standing.TIMED_OUT)
        self._timeout_backoff.reset(key)
        if outcome is None or outcome.is_done or outcome.retry in (Retry.TRANSIENT, Retry.IMMEDIATE):
            self._failures.pop(key, None)
        if outcome is not None and outcome.retry == Retry.TRANSIENT:
            is_iam = outcome.reason is Reason.WAITING_FOR_IAM
            backoff, other = (self._iam_backoff, self._backoff) if is_iam else (self._backoff, self._iam_backoff)
            other.reset(key)
            return Next(Lane.RESYNC, backoff.next_s(key), Standing.FAILED)
        self._backoff.reset(key)
        self._iam_backoff.reset(key)
        if outcome is None:
            return None
        if outcome.retry == Retry.IMMEDIATE:
            # It made progress, and goes on in its namespace's next turn.
            return Next(Lane.REPAIR, 0.0, Standing.GOOD)
        if outcome.is_done:
            return Next(Lane.RESYNC, jittered(self._period_of(key, outcome), self._chance), Standing.GOOD)
        periods = self._count_failure(key, outcome.reason)
        return Next(Lane.RESYNC, periods * jittered(self._periods.sync_s, self._chance), Standing.FAILED)

    def after_error(self, key: Key, *, is_conflict: bool = False) -> Next:
        """When to try again after an error that no outcome reports.

        :param is_conflict: another client has just written the object
        """
        if is_conflict:
            return Next(Lane.FRESH, self._conflict_backoff.next_s(key))
        return Next(Lane.RESYNC, self._backoff.next_s(key), Standing.FAILED)

    def _period_of(self, key: Key, outcome: Outcome) -> float:
        """Of an object that is done.

        Only time, and no event, moves the rotation of a key on, and shows whether an answer of AWS was an old one.
        """
        has_events = self._has_events(key) and not is_rotating(outcome.status) and not outcome.has_old_answers
        return max(self._periods.sync_s, self._periods.with_events_s) if has_events else self._periods.sync_s

    def _count_failure(self, key: Key, reason: Reason) -> int:
        """Count a failure that is not tried again soon. Returns after how many sync periods to compare the object."""
        last, count = self._failures.get(key, (reason, 0))
        count = count if last is reason else 0
        self._failures[key] = reason, count + 1
        return min(_MAX_SYNC_PERIODS, 1 << min(count, _MAX_SYNC_PERIODS))

    def forget(self, key: Key) -> None:
        """The object no longer exists."""
        self._failures.pop(key, None)
        self._full_sync_at.pop(key, None)
        for backoff in (self._backoff, self._iam_backoff, self._conflict_backoff, self._timeout_backoff):
            backoff.reset(key)
