"""Orphans: IAM users with this cluster's owner tags whose S3 object no longer exists. Their keys still reach a bucket.

An object leaves them behind when its finalizer is removed by hand. They are found in the read of all IAM users that
drift checks share: a user must be in two reads in a row, as the first may be older than an orderly deletion. A live
read of the object confirms it: only a 404, or an object that names another user, counts. After a grace period their
active keys are deactivated through the role, never deleted. Never an orphan: a user without an object's uid (made by a
playbook from a file), of another cluster, of a namespace that is not watched, or of an object that is being deleted.
``orphan_list`` lists users and buckets for ``s3-operator orphans``.

Threads: one of its own, in :meth:`Orphans.run`.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from runner.control.metrics import Metrics
from runner.control.shards import ALL, Work
from runner.kube.client import KubeError
from runner.objects import Key, Owned, ReadError, S3Object
from s3bucket.outcome import Outcome

_LOG = logging.getLogger(__name__)
GRACE_S = 600.0
KINDS = ("user", "bucket")
# Orphans in more namespaces than this, and in most of all, are no tenant's doing: see Orphans._is_mass.
_FEW_NAMESPACES = 3


class Objects(Protocol):
    """The API server."""

    namespaces: tuple[str | None, ...]

    def find_object(self, namespace: str, name: str) -> S3Object | None:
        """The object as it is now; None for a 404 only."""


class AWS(Protocol):
    """What is in AWS, as :class:`runner.drift.owned.OwnedReader` reads it."""

    def find_users(self) -> tuple[float, list[Owned]] | None:
        """The users with owner tags, and when they were read; None when they are not read now."""

    def has_active_key(self, user: Owned) -> bool:
        """Whether the user has an active access key."""


@dataclass
class _Record:
    """A user without an S3 object. ``since``: first seen so; ``is_handled``: no key of it is active any more."""

    user: Owned
    since: float
    is_confirmed: bool = False
    is_handled: bool = False


class Orphans:
    """Finds orphaned users, publishes how many there are, and deactivates their keys.

    :param find_seen: an S3 object from the informer cache
    :param deactivate: runs the role on a user; None only reports
    :param work: whether this replica is the one that searches for orphans (asked without a uid)
    """

    def __init__(  # noqa: PLR0913 - each collaborator by itself, so that a test gives fakes
        self,
        kube: Objects,
        aws: AWS,
        metrics: Metrics,
        find_seen: Callable[[Key], S3Object | None],
        deactivate: Callable[[Owned], Outcome] | None,
        *,
        grace_s: float = GRACE_S,
        work: Work = ALL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube = kube
        self._aws = aws
        self._metrics = metrics
        self._find_seen = find_seen
        self._deactivate = deactivate
        self._grace_s = grace_s
        self._work = work
        self._clock = clock
        self._records: dict[Owned, _Record] = {}
        self._read_at = -math.inf
        self._problem = ""
        self._is_held = False

    def run(self, stopped: threading.Event, is_synced: Callable[[], bool], period_s: float) -> None:
        """The thread's body: search again and again.

        :param is_synced: whether the informer caches are filled
        """
        while not stopped.wait(period_s):
            try:
                if is_synced():
                    with self._work.working("") as is_begun:
                        (self.search if is_begun else self._forget)()
            except Exception:
                _LOG.exception("orphans were not searched")

    def search(self) -> None:
        """One pass, if all users were read again since the last. When AWS does not return them, nothing is changed."""
        try:
            # It may wait for all pages of an endpoint that does not answer.
            with self._work.reading("") as is_kept:
                found = self._aws.find_users()
            self._problem = ""
        except ReadError as error:
            self._metrics.show_orphans(dict.fromkeys(KINDS, math.nan))
            if str(error) != self._problem:
                _LOG.warning("orphans are not known", extra={"error": str(error)})
            self._problem = str(error)
            return
        if found is None or found[0] <= self._read_at or not is_kept():
            return
        self._read_at = found[0]
        users = [user for user in found[1] if is_watched(user, self._kube.namespaces)]
        self._compare(users)
        orphans = [record for record in self._records.values() if record.is_confirmed]
        buckets = {record.user.bucket for record in orphans if record.user.bucket}
        self._metrics.show_orphans({"user": len(orphans), "bucket": len(buckets)})
        if self._deactivate and not self._is_mass(orphans, users):
            for record in orphans:
                self._handle(record, self._deactivate)

    def _forget(self) -> None:
        """Another replica searches: what this one has published would stay."""
        if self._read_at > -math.inf:
            self._records, self._read_at, self._problem = {}, -math.inf, ""
            self._metrics.forget_orphans()

    def _compare(self, users: list[Owned]) -> None:
        """Keep a record of each user that no S3 object names, from the second read on as confirmed."""
        unnamed = [user for user in users if not user.is_named_by(self._find_seen(user.key))]
        before, self._records = self._records, {}
        for user in unnamed:
            record = self._records[user] = before.get(user) or _Record(user, self._clock())
            if user in before and not record.is_confirmed and is_orphan(self._kube, user):
                record.is_confirmed = True
                _log("IAM user is orphaned: its S3 object no longer exists", user, logging.WARNING)

    def _is_mass(self, orphans: list[_Record], users: list[Owned]) -> bool:
        """Whether objects are missing in most namespaces, so that the cluster is being restored, or is another one.

        A tenant makes orphans in its own namespace. A cluster that was rebuilt, or one that has the name of another,
        lacks the objects of nearly all: their keys are in use.
        """
        hit = {record.user.namespace for record in orphans}
        served = {user.namespace for user in users}
        is_mass = len(hit) > max(_FEW_NAMESPACES, len(served) / 2)
        if is_mass and not self._is_held:
            _LOG.error(
                "keys of orphaned users are left active: S3 objects are missing in most namespaces. Restore them, or "
                "check that no other cluster has this --cluster-name",
                extra={"namespaces": len(hit), "of": len(served), "orphans": len(orphans)},
            )
        self._is_held = is_mass
        return is_mass

    def _handle(self, record: _Record, deactivate: Callable[[Owned], Outcome]) -> None:
        user = record.user
        if record.is_handled or self._clock() < record.since + self._grace_s:
            return
        if not is_orphan(self._kube, user):
            # It was created again, or Kubernetes does not answer: the grace period starts anew.
            record.since = self._clock()
            return
        try:
            record.is_handled = not self._aws.has_active_key(user)
        except ReadError as error:
            _log("keys of an orphaned IAM user were not read", user, logging.WARNING, error=str(error))
            return
        if not record.is_handled:
            self._run(record, deactivate)

    def _run(self, record: _Record, deactivate: Callable[[Owned], Outcome]) -> None:
        user = record.user
        outcome = deactivate(user)
        record.is_handled = outcome.is_done
        if outcome.is_done:
            _log("keys of an orphaned IAM user were deactivated", user, logging.WARNING)
        else:
            _log("keys of an orphaned IAM user were not deactivated", user, logging.ERROR, error=outcome.message)


def is_watched(thing: Owned, namespaces: Iterable[str | None]) -> bool:
    """Whether the S3 object would be seen by an operator that watches these namespaces (None: all)."""
    return any(namespace is None or namespace == thing.namespace for namespace in namespaces)


def is_orphan(kube: Objects, thing: Owned) -> bool:
    """Whether no S3 object names the thing, by a live read. False when Kubernetes does not answer."""
    try:
        return not thing.is_named_by(kube.find_object(*thing.key))
    except KubeError as error:
        _log("whether an S3 object exists is not known", thing, logging.WARNING, error=str(error))
        return False


def _log(message: str, thing: Owned, level: int, **more: str) -> None:
    fields = {"namespace": thing.namespace, "name_": thing.object_name, "uid": thing.uid, thing.kind: thing.name}
    _LOG.log(level, message, extra={**fields, **more, **({"bucket": thing.bucket} if thing.bucket else {})})
