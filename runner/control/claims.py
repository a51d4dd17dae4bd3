"""The claims on bucket names that IAM may not show yet: which S3 object ran for a name recently.

The role records a claim in IAM with the user that it creates, and reads all users before it creates a bucket
(``s3bucket.observe.claims``). But IAM is eventually consistent: what one run wrote, the next may not read. So a claim
is also kept here, from before a run starts until some time after its end, and after the object was deleted: for that
time AWS may still accept its key, or the credentials of its role, with which whoever copied them could prepare the next
bucket of that name. One replica that works alone keeps claims in memory; those with shards share them
(:mod:`runner.control.shared_claims`).

What follows from a claim is decided in :mod:`runner.control.decide`. Threads: any; one at a time for an object.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from runner.control.decide import Claim, NameClaims
from runner.objects import S3Object
from s3bucket.outcome import Outcome

# IAM is eventually consistent, and AWS names no bound; this is several times what is usual.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
CONSISTENCY_S = 120.0


@dataclass(frozen=True)
class Record:
    """A claim.

    :ivar is_running: while a run of the object is under way; then ``expires_at`` is for a replica that is killed
    :ivar before: until when the claim was kept before that run
    """

    claim: Claim
    expires_at: float
    is_running: bool = False
    before: float = -math.inf


class Records(Protocol):
    """Where claims are kept."""

    def now(self) -> float:
        """The time on the clock of ``expires_at``."""

    def find(self, bucket: str) -> Record | None:
        """The claim on a bucket's name that has not expired."""

    def change(self, bucket: str, change: Callable[[Record | None], Record | None]) -> None:
        """Replace the claim on a bucket's name, expired or not; None removes it.

        :param change: without side effects: it is called again where another was faster
        """


class OwnRecords:
    """Claims in the memory of the only replica that works."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.now = clock
        self._lock = threading.Lock()
        self._records: dict[str, Record] = {}

    def find(self, bucket: str) -> Record | None:
        """The claim on a bucket's name that has not expired."""
        with self._lock:
            self._records = {
                name: one for name, one in self._records.items() if one.is_running or one.expires_at > self.now()
            }
            return self._records.get(bucket)

    def change(self, bucket: str, change: Callable[[Record | None], Record | None]) -> None:
        """Replace the claim on a bucket's name, expired or not; None removes it."""
        with self._lock:
            record = change(self._records.get(bucket))
            if record is None:
                self._records.pop(bucket, None)
            else:
                self._records[bucket] = record


class _ChangedError(Exception):
    """The claim is another one than was found."""


class Claims:
    """Remembers claims.

    :param find_naming: the objects that ask for a bucket of this name, from the informer cache
    :param records: where they are kept; by default in memory
    :param run_limit_s: longer than a run may take
    """

    def __init__(
        self,
        find_naming: Callable[[str], list[S3Object]],
        clock: Callable[[], float] = time.monotonic,
        records: Records | None = None,
        run_limit_s: float = math.inf,
    ) -> None:
        self._find_naming = find_naming
        self._records: Records = records or OwnRecords(clock)
        self._run_limit_s = run_limit_s

    def find(self, s3: S3Object) -> NameClaims:
        """The claims on the name of an object's bucket."""
        record = self._records.find(s3.bucket_name)
        claim, is_running = _state_of(record)
        # The informer cache is searched only where rivals can make a difference.
        if s3.has_bucket or (claim is not None and claim.uid == s3.uid):
            return NameClaims(claim, is_running=is_running)
        rivals = tuple(rival for rival in self._find_naming(s3.bucket_name) if rival.uid != s3.uid)
        return NameClaims(claim, rivals, is_running)

    def acquire(self, s3: S3Object, found: NameClaims) -> bool:
        """Claim the name for an object that is about to run. False when a claim has changed since :meth:`find`."""
        until = self._records.now() + self._run_limit_s

        def take(record: Record | None) -> Record:
            if _state_of(record) != (found.claim, found.is_running):
                raise _ChangedError
            if record is None or record.claim.uid != s3.uid:
                return Record(_claim_of(s3), until, is_running=True)
            before = record.before if record.is_running else record.expires_at
            return Record(record.claim, until, is_running=True, before=before)

        try:
            self._records.change(s3.bucket_name, take)
        except _ChangedError:
            return False
        return True

    def end_run(self, s3: S3Object, outcome: Outcome | None) -> None:
        """A run of the object has ended with this outcome; None: it raised, and may have written something."""
        if not s3.bucket_name:
            return
        if outcome is not None and s3.is_deleting and outcome.is_done:
            self._end_deletion(s3, outcome)
        else:
            self._end(s3, is_untouched=outcome is not None and outcome.is_untouched)

    def _end(self, s3: S3Object, *, is_untouched: bool) -> None:
        until = self._records.now() + CONSISTENCY_S

        def end(record: Record | None) -> Record | None:
            if record is None or record.claim.uid != s3.uid:
                return record
            # An earlier run of the object may have written what IAM does not show yet.
            return Record(record.claim, record.before if is_untouched else until)

        self._records.change(s3.bucket_name, end)

    def _end_deletion(self, s3: S3Object, outcome: Outcome) -> None:
        """Nothing is left that uses the name, but a key that AWS may still accept."""
        # An object that was refused the name of another one's bucket had neither user nor role.
        had_credentials = s3.has_credentials and bool(outcome.changed)
        until = self._records.now() + CONSISTENCY_S

        def end(record: Record | None) -> Record | None:
            # An object that was Ready for long has no claim here any more.
            if record is not None and record.claim.uid != s3.uid:
                return record
            return Record(_claim_of(s3, is_deleted=True), until) if had_credentials else None

        self._records.change(s3.bucket_name, end)


def _state_of(record: Record | None) -> tuple[Claim | None, bool]:
    """The claim, and whether a run of its object may be under way."""
    return (record.claim, record.is_running) if record else (None, False)


def _claim_of(s3: S3Object, *, is_deleted: bool = False) -> Claim:
    return Claim(s3.uid, s3.namespace, s3.name, is_deleted)
