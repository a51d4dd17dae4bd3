"""Verifies the access keys of S3 objects: soon after a key was issued or the object was changed, then once a period.

Workers report which objects there are (:meth:`Verifier.see`), so it does nothing in a replica that does not lead.
Its own threads send the requests: an endpoint that does not answer keeps no worker. Namespaces take turns, as in the
work queue, and one has at most all threads but one: the region of an object, which its namespace chooses, decides which
endpoint is asked. After a restart, all objects wait for a random part of the period. What is not True is published when
two verifications in a row agree, since AWS may know neither key nor policy for some seconds.

Threads: those that run :meth:`Verifier.work`; the other methods are called by any.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

from runner.backoff import jittered
from runner.control.metrics import Metrics
from runner.control.queue import Lane, Pool, WorkQueue
from runner.control.shards import ALL, Work
from runner.control.status import is_observed
from runner.control.verified import Verified, conditions_with, is_due, status_in
from runner.kube.client import KubeError
from runner.objects import JsonObject, Key, S3Object
from s3bucket.outcome import Outcome
from s3bucket.verification import READ_WRITE, Verification

_LOG = logging.getLogger(__name__)
THREADS = 2
"""They wait for AWS most of the time: enough for 50,000 keys an hour."""
_POOL = Pool((Lane.RESYNC,), THREADS - 1)
_KEY_ASPECTS = frozenset(("access_key", "secret"))
# When Kubernetes does not answer, or another client has just written the object.
_RETRY_S = 15.0


class Keys(Protocol):
    """Verifies the access keys of one object."""

    def verify(self, s3: S3Object, *, may_write: bool) -> Verification | None:
        """The result; None when there is no key."""


class Objects(Protocol):
    """The API server and the informer cache."""

    def find_object(self, namespace: str, name: str) -> S3Object | None:
        """The object as it is now; None when it does not exist."""

    def find_seen(self, key: Key) -> S3Object | None:
        """The object as the watch saw it last; None when it no longer exists."""

    def write_conditions(self, s3: S3Object, conditions: list[JsonObject]) -> None:
        """Set the conditions of the object that was read."""


@dataclass(frozen=True)
class Times:
    """Seconds.

    :param period_s: between two verifications of a key
    :param first_s: after a key was issued, or the object was changed
    :param confirm_s: after a verification that did not succeed, until it is repeated
    """

    period_s: float = 3600.0
    first_s: float = 5.0
    confirm_s: float = 60.0


@dataclass
class _Record:
    """What is known of an object.

    :ivar shown: what was published, or is about to be
    :ivar suspected: the status that the last verification found, where it waits for another one to confirm it
    :ivar may_write: False once an object that was written could not be deleted, until the spec changes
    """

    uid: str
    generation: int | None
    shown: Verified | None = None
    suspected: str = ""
    may_write: bool = True

    def is_about(self, s3: S3Object) -> bool:
        """Whether it is about this object with this spec."""
        return (self.uid, self.generation) == (s3.uid, s3.generation)


def make_queue(clock: Callable[[], float] = time.monotonic) -> WorkQueue:
    """The queue of the keys that are to be verified."""
    return WorkQueue(clock, [_POOL])


class Verifier:
    """Plans verifications, and publishes what they find."""

    def __init__(  # noqa: PLR0913 - each collaborator by itself, so that a test gives fakes
        self,
        keys: Keys,
        objects: Objects,
        metrics: Metrics,
        now: Callable[[], str],
        times: Times,
        *,
        queue: WorkQueue | None = None,
        chance: random.Random | None = None,
        work: Work = ALL,
    ) -> None:
        self._work = work
        self._keys = keys
        self._objects = objects
        self._metrics = metrics
        self._now = now
        self._times = times
        self._queue = queue or make_queue()
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._records: dict[Key, _Record] = {}

    def see(self, s3: S3Object, outcome: Outcome, *, is_change: bool) -> None:
        """An object was compared or reconciled. Plans its next verification where something is new.

        Called by one worker at a time for an object.

        :param s3: the object before that
        :param is_change: it was reconciled for a change, or for a request of a person
        """
        is_soon = not is_observed(s3) or not _KEY_ASPECTS.isdisjoint(outcome.changed)
        s3 = s3.with_status({**s3.status, **outcome.status})
        if not is_due(s3):
            self.forget(s3.key)
            return
        record = self._records.get(s3.key)
        is_known = record is not None and record.is_about(s3)
        if not is_known:
            self._records[s3.key] = _Record(s3.uid, s3.generation)
            self._metrics.show_key(s3.key, status_in(s3))
        is_other_spec = record is not None and not is_known
        if is_soon or is_other_spec or (is_change and status_in(s3) != "True"):
            self._queue.add(s3.key, Lane.RESYNC, self._times.first_s * (1 + self._chance.random()))
        elif not is_known:
            # All objects are new to an operator that has just started.
            self._queue.add(s3.key, Lane.RESYNC, self._times.period_s * self._chance.random())

    def find(self, s3: S3Object) -> Verified | None:
        """What was found last, for a status that is about to be written; None when nothing was found yet."""
        record = self._records.get(s3.key)
        return record.shown if record is not None and record.uid == s3.uid else None

    def forget(self, key: Key) -> None:
        """The object no longer exists, or has no key that is verified."""
        if self._records.pop(key, None) is not None:
            self._queue.forget(key)
            self._metrics.forget_key(key)

    def work(self) -> None:
        """The thread's body."""
        while (found := self._queue.get(lanes=_POOL.lanes)) is not None:
            self.verify(found[0])

    def verify(self, key: Key) -> None:
        """Verify the access key of the object that was taken from the queue, and put the object back."""
        delay_s = _RETRY_S
        try:
            delay_s = self._verify(key)
        except KubeError as error:
            _LOG.debug("not verified", extra={"namespace": key[0], "name_": key[1], "error": str(error)})
        except Exception:
            _LOG.exception("not verified", extra={"namespace": key[0], "name_": key[1]})
        finally:
            if key in self._records:
                self._queue.postpone(key, Lane.RESYNC, delay_s)
            self._queue.done(key)

    def stop(self) -> None:
        """Verify nothing more."""
        self._queue.shut_down()

    def _verify(self, key: Key) -> float:
        """Verify an object's key and publish the result. Returns in how many seconds to do it again."""
        s3, record = self._objects.find_seen(key), self._records.get(key)
        if s3 is None or not is_due(s3) or record is None or not record.is_about(s3):
            # It is seen again when it was reconciled.
            return self._times.period_s
        with self._work.working(s3.uid) as is_begun:
            # Otherwise another replica has the object now.
            return self._verify_key(s3, record) if is_begun else self._times.period_s

    def _verify_key(self, s3: S3Object, record: _Record) -> float:
        key = s3.key
        # What writes an object and deletes it again is over before another replica may have the S3 object.
        writes = record.may_write and s3.spec.get("verify") == READ_WRITE
        with nullcontext(lambda: True) if writes else self._work.reading(s3.uid) as is_kept:
            found = self._keys.verify(s3, may_write=record.may_write)
        if found is None or not is_kept():
            # Its Secret is missing: the drift check repairs that, and reports the new key. Or it is another replica's.
            return self._next_s()
        record.may_write = record.may_write and not found.leaves_object
        new = Verified.of(s3, found)
        self._metrics.count_verification(new.status)
        if new.status not in ("True", record.suspected, status_in(s3)):
            record.suspected = new.status
            return self._times.confirm_s
        # Before it is written: a worker that writes the status meanwhile writes this, too.
        record.shown, record.suspected = new, ""
        self._metrics.show_key(key, new.status)
        if not new.is_in(s3):
            self._publish(s3, new)
        return self._next_s()

    def _publish(self, s3: S3Object, new: Verified) -> None:
        live = self._objects.find_object(*s3.key)
        if live is None or not live.is_same_object(s3):
            return
        self._objects.write_conditions(live, conditions_with(live, new, self._now()))
        level = logging.INFO if new.status == "True" else logging.WARNING
        fields = {"namespace": s3.namespace, "name_": s3.name, "verified": new.status, "reason": new.reason.value}
        _LOG.log(level, "access key verified", extra={**fields, "error": new.message})

    def _next_s(self) -> float:
        return jittered(self._times.period_s, self._chance)
