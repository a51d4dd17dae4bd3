"""The operator's own changes of buckets as canaries: whether their events arrive.

A disabled EventBridge rule, a stopped trail or a queue policy that refuses the rule is no failure of the queue:
messages only stop. But CloudTrail reports the operator's own changes like those of others. A region is *silent* when
the operator has changed a bucket there, and no event of a change of any bucket in it came within the limit. It is until
one comes.
Without an own change nothing can be concluded, and what was before the start, or while the queue failed, shows nothing.

Counted are buckets only: the events of IAM come from one region, whichever the buckets are in. An object that was
deleted since, or that another replica works on, shows nothing: its events may go there. With shards, each replica
concludes from its own changes. Their events are handed on until it receives them. Each publishes in its Lease which
regions it found silent. The others take them for silent, too, until they get an event from there themselves.

Threads: workers note changes; the thread that receives messages asks; others publish and note what replicas found.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from runner.drift.cloudtrail import Kind, Name
from runner.objects import Key, S3Object
from s3bucket.outcome import Outcome

# Aspects that are repaired by a call for which CloudTrail has an event in every region and partition.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html
_WRITTEN = frozenset({"bucket", "tags", "policy", "versioning", "public_access_block", "encryption", "lifecycle"})
LEAST_LIMIT_S = 300
"""CloudTrail delivers an event "within an average of about 5 minutes" of the call, which is not guaranteed. With a
shorter limit each change of the operator's own would end the longer period, and its event would begin it again.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html
"""
# AWS has fewer regions. A message is text that others can influence.
_MAX_REGIONS = 100
# Unanswered changes of a region: many of a burst may be of objects that are deleted before the limit.
_MAX_CHANGES = 1000


class Role(Protocol):
    """Runs the role."""

    def run(self, s3: S3Object) -> Outcome:
        """Run the role on an object."""


class Silence(NamedTuple):
    """No event of a change in this region came; ``bucket``: one that the operator changed."""

    region: str
    bucket: str


class _Changed(NamedTuple):
    at: float
    key: Key


class Canary:
    """The operator's changes without an event so far.

    :param limit_s: seconds within which an event must arrive; 0: nothing is ever concluded
    :param is_owned: whether an object that this replica works on owns a bucket
    :param has: whether this replica works on an object
    :ivar silent: the regions from which its own events do not arrive; each with the buckets that showed it
    """

    def __init__(
        self,
        limit_s: float,
        is_owned: Callable[[Key, Name], bool],
        clock: Callable[[], float] = time.monotonic,
        has: Callable[[Key], bool] = lambda _: True,
    ) -> None:
        self._has = has
        self._limit_s = limit_s or math.inf
        self._is_owned = is_owned
        self._clock = clock
        self._lock = threading.Lock()
        self._heard: dict[str, float] = {}
        self._changed: dict[str, dict[Name, _Changed]] = {}
        self.silent: dict[str, frozenset[Name]] = {}
        # What other replicas found, and since when this one knows it.
        self._others: dict[str, float] = {}

    def now(self) -> float:
        """The time on this canary's clock."""
        return self._clock()

    def note(self, s3: S3Object, outcome: Outcome, started: float) -> None:
        """The role was run on an object.

        :param started: when the run began: an event may come before it ends
        """
        if (
            self._limit_s == math.inf
            or s3.is_deleting
            or not outcome.is_done
            or not _WRITTEN.intersection(outcome.changed)
        ):
            return
        with self._lock:
            changed = self._changed.setdefault(s3.region, {})
            if self._heard.get(s3.region, -math.inf) < started and len(changed) < _MAX_CHANGES:
                changed.setdefault(Name.of(Kind.BUCKET, s3.bucket_name), _Changed(self._clock(), s3.key))

    def hear(self, region: str, names: Iterable[Name]) -> None:
        """An event of a change of these buckets came. ``region``: that of the event; empty where it has none."""
        buckets = {name for name in names if name.kind is Kind.BUCKET}
        if not buckets:
            return
        with self._lock:
            if region and (region in self._heard or len(self._heard) < _MAX_REGIONS):
                self._heard[region] = self._clock()
            # Should AWS name another region than the spec, the bucket shows the same.
            for other in {region, *(one for one, changed in self._changed.items() if buckets & changed.keys())}:
                self._changed.pop(other, None)
            for other in [one for one, shown in self.silent.items() if one == region or buckets & shown]:
                del self.silent[other]

    def find_silent(self, asked_at: float) -> list[Silence]:
        """The regions that are silent from now on.

        :param asked_at: when the queue was asked for the messages of which none, or no further one, waits
        """
        found = []
        with self._lock:
            for region in [region for region in self._changed if region not in self.silent]:
                changed = self._changed[region]
                # Also one that comes back before the limit: its event may have gone to whoever had it meanwhile.
                for name in [name for name, one in changed.items() if not self._has(one.key)]:
                    del changed[name]
                late = {name: one for name, one in changed.items() if one.at + self._limit_s <= asked_at}
                shown = {name for name, one in late.items() if self._is_owned(one.key, name)}
                if shown:
                    self.silent[region] = frozenset(shown)
                    found.append(Silence(region, min(shown).name))
                for name in late:
                    del changed[name]
        return found

    def own_regions(self) -> tuple[str, ...]:
        """The regions that this replica found silent."""
        with self._lock:
            return tuple(sorted(self.silent))[:_MAX_REGIONS]

    def note_others(self, regions: Iterable[str]) -> None:
        """Other replicas find these regions silent now."""
        with self._lock:
            self._others = {region: self._others.get(region, self._clock()) for region in regions}

    def regions(self) -> frozenset[str]:
        """The regions that are silent as far as any replica knows."""
        with self._lock:
            others = [region for region, since in self._others.items() if self._heard.get(region, -math.inf) < since]
            return frozenset((*self.silent, *others))

    def forget(self) -> None:
        """The queue failed, or messages waited for long: an event may be lost."""
        with self._lock:
            self._changed.clear()


class CanaryRole:
    """Runs the role, and notes what it changed."""

    def __init__(self, role: Role, canary: Canary) -> None:
        self._role = role
        self._canary = canary

    def run(self, s3: S3Object) -> Outcome:
        """Run the role on an object."""
        started = self._canary.now()
        outcome = self._role.run(s3)
        self._canary.note(s3, outcome, started)
        return outcome
