"""The claims on bucket names that IAM may not show yet: which S3 object ran for a name recently.

The role records a claim in IAM with the user that it creates, and reads all users before it creates a bucket
(``s3bucket.observe.claims``). But IAM is eventually consistent: what one run wrote, the next may not read. So a claim
is also kept here, from before a run starts until some time after its end, and after the object was deleted: for that
time AWS may still accept its key, or the credentials of its role, with which whoever copied them could prepare the next
bucket of that name.

What follows from a claim is decided in :mod:`runner.control.decide`. Threads: any; one at a time for an object.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from runner.control.decide import Claim, NameClaims
from runner.objects import S3Object
from s3bucket.outcome import Outcome

# IAM is eventually consistent, and AWS names no bound; this is several times what is usual.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
CONSISTENCY_S = 120.0


@dataclass
class _Record:
    """``expires_at`` is infinite while a run of the object is under way; ``before``: what it was before that run."""

    claim: Claim
    expires_at: float = math.inf
    before: float = -math.inf


class Claims:
    """Remembers claims.

    :param find_naming: the objects that ask for a bucket of this name, from the informer cache
    """

    def __init__(
        self, find_naming: Callable[[str], list[S3Object]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._find_naming = find_naming
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, _Record] = {}

    def find(self, s3: S3Object) -> NameClaims:
        """The claims on the name of an object's bucket."""
        now = self._clock()
        with self._lock:
            self._records = {name: record for name, record in self._records.items() if record.expires_at > now}
            record = self._records.get(s3.bucket_name)
        claim = record.claim if record else None
        # The informer cache is searched only where rivals can make a difference.
        if s3.has_bucket or (claim is not None and claim.uid == s3.uid):
            return NameClaims(claim)
        return NameClaims(claim, tuple(rival for rival in self._find_naming(s3.bucket_name) if rival.uid != s3.uid))

    def acquire(self, s3: S3Object, found: NameClaims) -> bool:
        """Claim the name for an object that is about to run. False when a claim has changed since :meth:`find`."""
        with self._lock:
            record = self._records.get(s3.bucket_name)
            if (record.claim if record else None) != found.claim:
                return False
            if record is None or record.claim.uid != s3.uid:
                self._records[s3.bucket_name] = _Record(_claim_of(s3))
                return True
            if record.expires_at < math.inf:
                record.before = record.expires_at
            record.expires_at = math.inf
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
        with self._lock:
            record = self._records.get(s3.bucket_name)
            if record is None or record.claim.uid != s3.uid:
                return
            if is_untouched:
                # An earlier run of the object may have written what IAM does not show yet.
                record.expires_at = record.before
            else:
                record.expires_at = self._clock() + CONSISTENCY_S

    def _end_deletion(self, s3: S3Object, outcome: Outcome) -> None:
        """Nothing is left that uses the name, but a key that AWS may still accept."""
        # An object that was refused the name of another one's bucket had neither user nor role.
        had_credentials = s3.has_credentials and bool(outcome.changed)
        with self._lock:
            # An object that was Ready for long has no claim here any more.
            record = self._records.setdefault(s3.bucket_name, _Record(_claim_of(s3)))
            if record.claim.uid != s3.uid:
                return
            if had_credentials:
                record.claim = _claim_of(s3, is_deleted=True)
                record.expires_at = self._clock() + CONSISTENCY_S
            else:
                del self._records[s3.bucket_name]


def _claim_of(s3: S3Object, *, is_deleted: bool = False) -> Claim:
    return Claim(s3.uid, s3.namespace, s3.name, is_deleted)
