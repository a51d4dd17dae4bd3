"""One Lease, as one candidate for it sees it: taken, renewed, released.

The rules are those of client-go (tools/leaderelection): a Lease belongs to its holder until it was not seen to change
for its duration, on our own clock; whoever could not renew it for the renew deadline must end all work before it can
expire. Each attempt, GET and PUT together, has one time limit. Threads: one takes and renews; any asks
:meth:`Hold.is_certain`.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from runner.kube.client import KubeError
from runner.kube.lease import Lease

_NOT_FOUND = 404
# An attempt to renew takes at least so long: a Lease is a write to etcd.
_MIN_ATTEMPT_S = 1.0


def boot_time_s() -> float:
    """Seconds that only grow, also while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leases(Protocol):
    """Where Leases are kept. No call may take longer than ``timeout_s``; what does counts as not answered."""

    def find_lease(self, namespace: str, name: str, timeout_s: float) -> Lease | None:
        """A Lease; None when there is none."""

    def write_lease(self, lease: Lease, old: Lease | None, timeout_s: float) -> Lease:
        """Write a Lease that is still the one in ``old``. Returns it as it is stored."""

    def list_leases(self, namespace: str | None) -> Iterable[Lease]:
        """The Leases of operators in a namespace; None: in all."""


class TermsError(ValueError):
    """Terms under which two replicas could work at the same time."""


@dataclass(frozen=True)
class Terms:
    """Seconds: how long a Lease lasts, for how long renewing may fail, how often it is tried.

    :raises TermsError: unless each is less than the one before, as client-go demands
    """

    duration_s: float
    renew_deadline_s: float
    retry_period_s: float

    def __post_init__(self) -> None:
        if not self.duration_s > self.renew_deadline_s > self.retry_period_s > 0:
            raise TermsError(
                f"--lease-duration ({self.duration_s:g}) must be greater than --renew-deadline "
                f"({self.renew_deadline_s:g}), and that greater than --retry-period ({self.retry_period_s:g}): "
                "otherwise two replicas could work at the same time"
            )

    @property
    def attempt_s(self) -> float:
        """Seconds that one attempt to take or renew the Lease may take."""
        return min(max(self.retry_period_s, _MIN_ATTEMPT_S), self.renew_deadline_s / 2)

    @property
    def kill_s(self) -> float:
        """Seconds after the last renewal in which a process that has not ended its work itself is killed."""
        return (self.renew_deadline_s + self.duration_s) / 2


@dataclass(frozen=True)
class Candidate:
    """Who takes Leases, and what is written into them.

    :param scope: the watched namespaces, as :func:`runner.kube.leader.scope_of` makes them
    :param group: the Leases that the replicas of one release share; empty for a Lease that one replica has alone
    """

    namespace: str
    identity: str
    scope: str
    group: str = ""


class Hold:
    """One Lease. ``clock`` gives seconds that only grow.

    :ivar renewed_at: from before the last successful attempt began; -inf while the Lease is not held
    :ivar is_leaving: whether other replicas are to know, with the next renewal, that this one takes no work
    :ivar get_silent: the regions that other replicas are to know as silent
    """

    def __init__(
        self,
        leases: Leases,
        candidate: Candidate,
        name: str,
        terms: Terms,
        clock: Callable[[], float] = boot_time_s,
    ) -> None:
        self.renewed_at = -math.inf
        self.is_leaving = False
        self.get_silent: Callable[[], tuple[str, ...]] = tuple
        self._name = name
        self._leases = leases
        self._candidate = candidate
        self._terms = terms
        self._clock = clock
        self._seen: tuple[object, float] = (None, 0.0)
        # Until when another may have it, also if a person deletes the Lease.
        self._taken_until = -math.inf
        # As it was written last: it is renewed without a read, unless another client has written it since.
        self._written: Lease | None = None
        self._lost = threading.Event()

    @property
    def name(self) -> str:
        """The name of the Lease."""
        return self._name

    def become(self, other: Hold) -> None:
        """Be about the Lease of another one, with what that has observed."""
        self._name, self._seen, self._taken_until = other._name, other._seen, other._taken_until

    def observe(self, lease: Lease | None) -> bool:
        """Note the Lease as it was just read; None: there is none. Returns whether another may have it."""
        now = self._clock()
        if lease is None:
            return now < self._taken_until
        observed = lease.holder, lease.renewed
        if observed != self._seen[0]:
            self._seen = (observed, now)
        self._taken_until = self._seen[1] + lease.duration_s if self.is_other(lease.holder) else -math.inf
        return now < self._taken_until

    @property
    def free_at(self) -> float:
        """When the Lease that was observed last becomes free unless its holder renews it; -inf where none has it."""
        return self._taken_until

    def is_other(self, holder: str) -> bool:
        """Whether the holder of a Lease is another candidate."""
        return holder not in ("", self._candidate.identity)

    def try_once(self) -> bool:
        """Take or renew the Lease if it is free or this candidate has it. Takes no longer than :attr:`Terms.attempt_s`.

        :raises KubeError: when the API server does not answer
        """
        # From before the first call: the Lease may be written long after it was requested.
        started, written = self._clock(), self._written
        if written is not None and self._put(written, started):
            return True
        old = self._find(started)
        if self.observe(old):
            if self.renewed_at > -math.inf:
                self._lost.set()
            return False
        return self._put(old, started)

    def _put(self, old: Lease | None, started: float) -> bool:
        """Write the Lease; False when another client has written it since it was ``old``."""
        self._written = None
        try:
            self._written = self._write(self._candidate.identity, old, started)
        except KubeError as error:
            if error.is_conflict or (old is not None and error.status == _NOT_FOUND):
                return False
            raise
        self.renewed_at = started
        return True

    def is_certain(self) -> bool:
        """Whether this candidate has the Lease for certain: no other can have taken it yet."""
        return not self._lost.is_set() and self._clock() < self.renewed_at + self._terms.renew_deadline_s

    def release(self, timeout_s: float = math.inf) -> None:
        """Let the next one have it at once. Takes no longer than an attempt to renew, nor than ``timeout_s``.

        :raises KubeError: when the API server does not answer
        """
        # An attempt that began so early has that time left.
        started = self._clock() - max(0.0, self._terms.attempt_s - timeout_s)
        self._written = None
        old = self._find(started)
        if old is not None and old.holder == self._candidate.identity:
            self._write("", old, started)

    def reset(self) -> None:
        """Count as one that does not have the Lease, and may take it again."""
        self.renewed_at = -math.inf
        self._written = None
        self._lost.clear()

    def _find(self, started: float) -> Lease | None:
        return self._leases.find_lease(self._candidate.namespace, self._name, self._left_s(started))

    def _write(self, holder: str, old: Lease | None, started: float) -> Lease:
        one = self._candidate
        # Not less than the terms: others wait for what is written.
        duration_s = math.ceil(self._terms.duration_s) if holder else 1
        lease = Lease(one.namespace, self._name, holder, duration_s, one.scope, group=one.group)
        if holder:
            lease = replace(lease, is_leaving=self.is_leaving, silent=self.get_silent())
        return self._leases.write_lease(lease, old, self._left_s(started))

    def _left_s(self, started: float) -> float:
        return max(0.01, started + self._terms.attempt_s - self._clock())
