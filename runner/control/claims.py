"""Claims on bucket names, while IAM cannot show them yet: of two S3 objects, the one that ran first keeps the name.

The role records a claim in IAM with the user that it creates, and reads all users before it creates a bucket
(``observe._check_claims``). But IAM is eventually consistent: what one run wrote, the next may not read. So a claim is
also kept here, from before a run starts until some time after its end, and after the object was deleted: for that time
AWS may still accept its key, with which whoever copied it could prepare the next bucket of that name. It does not
depend on an object's status, which its namespace may be able to write: status is only a hint, for the time after a
restart. Threads: any.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from s3bucket.outcome import Outcome, Reason

# IAM is eventually consistent, and AWS names no bound; this is several times what is usual.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
CONSISTENCY_S = 120.0


@dataclass
class _Claim:
    """``expires_at`` is infinite while a run of the object is under way; ``before``: what it was before that run.

    ``is_deleted``: the object was deleted, with its user and key.
    """

    uid: str
    name: str
    expires_at: float = math.inf
    before: float = -math.inf
    is_deleted: bool = False


class Claims:
    """Runs the role for an object, unless another one claims its bucket's name.

    :param run: runs the role; called for one object by one thread at a time
    :param find_naming: the objects that ask for a bucket of this name, from the informer cache
    """

    def __init__(
        self,
        run: Callable[[dict[str, Any]], Outcome],
        find_naming: Callable[[str], list[dict[str, Any]]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run = run
        self._find_naming = find_naming
        self._clock = clock
        self._lock = threading.Lock()
        self._claims: dict[str, _Claim] = {}

    def run(self, item: dict[str, Any]) -> Outcome:
        """The outcome of the run; Conflict or Pending while another object claims the bucket's name."""
        bucket = _bucket_of(item)
        if not bucket:
            return self._run(item)
        is_deleting = bool(item["metadata"].get("deletionTimestamp"))
        refusal = None if is_deleting else self._claim(bucket, item)
        if refusal:
            return refusal
        outcome: Outcome | None = None
        try:
            outcome = self._run(item)
            return outcome
        finally:
            if outcome is not None and is_deleting and outcome.is_done:
                # An object that was refused the name of another one's bucket had no user.
                self._release_deleted(bucket, item, had_key=_has_user(item) and bool(outcome.changed))
            else:
                self._release(bucket, item, is_untouched=outcome is not None and outcome.is_untouched)

    def _claim(self, bucket: str, item: dict[str, Any]) -> Outcome | None:
        """Record the claim of an object that is about to run, or say why it must not."""
        uid, holder = item["metadata"]["uid"], self._find(bucket)
        if holder is None or holder.uid != uid:
            # A cleared status hides an object only after a restart, and then IAM still shows its claim.
            refusal = self._refusal_by_status(bucket, item)
            if refusal:
                return refusal
        with self._lock:
            claim = self._claims.setdefault(bucket, _Claim(uid, _name_of(item)))
            if claim.is_deleted and claim.uid != uid and _namespace_in(claim.name) == item["metadata"]["namespace"]:
                # Whoever has the deleted key may have the new one.
                claim = self._claims[bucket] = _Claim(uid, _name_of(item))
            if claim.uid == uid:
                if claim.expires_at < math.inf:
                    claim.before = claim.expires_at
                claim.expires_at = math.inf
                return None
        message = (
            f"S3 object {claim.name} asked first for a bucket of the name {bucket}: waiting for what becomes of it"
        )
        if claim.is_deleted:
            message = (
                f"S3 object {claim.name}, which had a bucket of the name {bucket}, was just deleted, and AWS may accept"
                " its access key for some time yet: waiting until it does not"
            )
        return Outcome.failure(Reason.PENDING, message)

    def _find(self, bucket: str) -> _Claim | None:
        now = self._clock()
        with self._lock:
            self._claims = {name: claim for name, claim in self._claims.items() if claim.expires_at > now}
            return self._claims.get(bucket)

    def _release_deleted(self, bucket: str, item: dict[str, Any], *, had_key: bool) -> None:
        """After the last run of a deletion: nothing is left that uses the name, but a key that AWS may still accept."""
        uid = item["metadata"]["uid"]
        with self._lock:
            # An object that was Ready for long has no claim here any more.
            claim = self._claims.setdefault(bucket, _Claim(uid, _name_of(item)))
            if claim.uid != uid:
                return
            if had_key:
                claim.is_deleted, claim.expires_at = True, self._clock() + CONSISTENCY_S
            else:
                del self._claims[bucket]

    def _release(self, bucket: str, item: dict[str, Any], *, is_untouched: bool) -> None:
        """After any other run. ``is_untouched``: it wrote nothing."""
        with self._lock:
            claim = self._claims.get(bucket)
            if claim is None or claim.uid != item["metadata"]["uid"]:
                return
            if is_untouched:
                # An earlier run of the object may have written what IAM does not show yet.
                claim.expires_at = claim.before
            else:
                claim.expires_at = self._clock() + CONSISTENCY_S

    def _refusal_by_status(self, bucket: str, item: dict[str, Any]) -> Outcome | None:
        if _has_bucket(item):
            return None
        uid = item["metadata"]["uid"]
        for other in self._find_naming(bucket):
            if other["metadata"]["uid"] != uid and _bucket_of(other) == bucket and _has_bucket(other):
                name = _name_of(other)
                message = f"bucket {bucket} is that of S3 object {name}: delete it first, or choose another bucketName"
                return Outcome.failure(Reason.CONFLICT, message)
        return None


def _bucket_of(item: dict[str, Any]) -> str:
    return str((item.get("spec") or {}).get("bucketName", ""))


def _name_of(item: dict[str, Any]) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _namespace_in(name: str) -> str:
    return name.partition("/")[0]


def _has_user(item: dict[str, Any]) -> bool:
    return bool((item.get("spec") or {}).get("iamUser"))


def _has_bucket(item: dict[str, Any]) -> bool:
    return bool((item.get("status") or {}).get("bucketARN"))
