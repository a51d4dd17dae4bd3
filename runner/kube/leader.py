"""Leader election by a Lease: one replica works, the others wait.

The rules are those of client-go (tools/leaderelection): a Lease belongs to its holder until it was not seen to change
for its duration, on our own clock; a leader that could not renew for the renew deadline stops before its
Lease can expire. Each attempt, GET and PUT together, has one time limit, and the deadline is watched by a thread of its
own: a call that hangs delays neither. The Lease is released at the end, so that the next replica need not wait.

Each release has a Lease of its own, which also names the namespaces that it watches: its scope. An operator does not
work while another one in its own namespace holds a Lease with an overlapping scope. One in another namespace is only
reported, as tenants may write Leases there.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from runner.kube.client import KubeError
from runner.kube.lease import Lease

_LOG = logging.getLogger(__name__)
LEASE = "s3-operator"
"""The Lease where no other name is given; that of all operators of versions that know no other."""

EVERYTHING = "*"
"""The scope of an operator that watches all namespaces."""

# Clocks of other machines: a Lease of another holder counts for so much longer.
_SKEW_S = 10.0
_OVERLAP_PERIOD_S = 60.0
_SHOWN = 5
# Any tenant may write a Lease, with a scope as long as an annotation.
_MAX_SHOWN_SCOPE = 200
# An attempt to renew takes at least so long: a Lease is a write to etcd.
_MIN_ATTEMPT_S = 1.0
# How often the deadline is compared with the clock, which goes on while the machine is suspended; waiting does not.
_POLL_S = 1.0


def boot_time_s() -> float:
    """Seconds that only grow, also while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leases(Protocol):
    """Where Leases are kept. No call may take longer than ``timeout_s``; what does counts as not answered."""

    def find_lease(self, namespace: str, name: str, timeout_s: float) -> Lease | None:
        """A Lease; None when there is none."""

    def write_lease(self, lease: Lease, old: Lease | None, timeout_s: float) -> None:
        """Write a Lease that is still the one in ``old``."""

    def list_leases(self, namespace: str | None) -> Iterable[Lease]:
        """The Leases of operators in a namespace; None: in all."""


def scope_of(namespaces: Sequence[str | None]) -> str:
    """The text of a scope: the namespaces, or all (none, or None, given)."""
    named = sorted(name for name in namespaces if name)
    return ",".join(named) if named else EVERYTHING


def is_overlapping(scope: str, other: str) -> bool:
    """Whether two scopes have a namespace in common. An unknown one, of an earlier version, may be any."""
    if not scope or not other or EVERYTHING in (scope, other):
        return True
    return bool(set(scope.split(",")) & set(other.split(",")))


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


class Election:
    """One candidate. ``clock`` gives seconds that only grow.

    One thread calls :meth:`acquire`; afterwards one :meth:`renew` and one :meth:`watch_deadline`. Any asks
    :meth:`is_leading`.

    :param name: of the Lease
    :param scope: as :func:`scope_of` makes it
    """

    def __init__(  # noqa: PLR0913 - what distinguishes one candidate from another
        self,
        leases: Leases,
        namespace: str,
        identity: str,
        terms: Terms,
        clock: Callable[[], float] = boot_time_s,
        *,
        name: str = LEASE,
        scope: str = EVERYTHING,
    ) -> None:
        self._name = name
        self._scope = scope
        self.refusal = ""
        self._leases = leases
        self._namespace = namespace
        self._identity = identity
        self._terms = terms
        self._clock = clock
        self._seen: tuple[object, float] = (None, 0.0)
        self._renewed_at = -math.inf
        self._lost = threading.Event()

    def try_once(self) -> bool:
        """Take or renew the Lease if it is free or this candidate has it. Takes no longer than :attr:`Terms.attempt_s`.

        :raises KubeError: when the API server does not answer
        """
        # From before the first call: the Lease may be written long after it was requested.
        started = self._clock()
        old = self._find(started)
        now = self._clock()
        if old is not None:
            observed = (old.holder, old.renewed)
            if observed != self._seen[0]:
                self._seen = (observed, now)
            is_held = old.holder not in ("", self._identity)
            if is_held and now < self._seen[1] + old.duration_s:
                if self._renewed_at > -math.inf:
                    self._lost.set()
                return False
        try:
            self._write(self._identity, old, started)
        except KubeError as error:
            if error.is_conflict:
                return False
            raise
        self._renewed_at = started
        return True

    def is_leading(self) -> bool:
        """Whether this candidate has the Lease for certain: no other can have taken it yet."""
        return not self._lost.is_set() and self._clock() < self._renewed_at + self._terms.renew_deadline_s

    def is_held_by_other(self) -> bool:
        """Whether another holds the Lease by its own dates. For commands that read it once."""
        return bool(self.find_holder())

    def find_holder(self) -> str:
        """The other holder of the Lease by its own dates; empty for none."""
        return self._holder_of(self._find(self._clock()))

    def _holder_of(self, lease: Lease | None) -> str:
        is_other = lease is not None and lease.holder != self._identity
        return lease.holder if lease is not None and is_other and _is_held(lease) else ""

    def acquire_unless_held(self, stopped: threading.Event) -> str:
        """Take the Lease unless another holds it. Returns that holder; empty when this one has it, or when stopped.

        A Lease that has expired by its dates is taken only when it is not renewed for its duration: the clock of its
        holder may differ.

        :raises KubeError: when the API server does not answer
        """
        first: object = None
        while not stopped.is_set():
            lease = self._find(self._clock())
            seen = (lease.holder, lease.renewed) if lease else None
            first = first or seen
            holder = self._holder_of(lease) or (lease.holder if lease and seen != first else "")
            if holder:
                return holder
            if self._take():
                _LOG.info("leading", extra={"identity": self._identity})
                return ""
            if self.refusal:
                return self.refusal
            stopped.wait(self._terms.retry_period_s)
        return ""

    def acquire(self, stopped: threading.Event) -> bool:
        """Wait for the Lease, and for other operators with an overlapping scope; False when stopped first."""
        while not stopped.is_set():
            try:
                if self._take():
                    _LOG.info("leading", extra={"identity": self._identity, "lease": self._name})
                    return True
            except KubeError as error:
                _LOG.warning("lease not read or written", extra={"error": str(error)})
            # With jitter: two that step back for each other do not meet again.
            stopped.wait(self._terms.retry_period_s * (1 + random.random()))  # noqa: S311 - jitter
        return False

    def find_overlapping(self, namespace: str | None) -> list[str]:
        """Other operators that hold a Lease with an overlapping scope, in a namespace (None: in all).

        :raises KubeError: when the API server does not answer, or does not admit the request
        """
        return [_shown(lease) for lease in self._leases.list_leases(namespace) if self._is_rival(lease)]

    def report_overlapping(self, stopped: threading.Event, publish: Callable[[int], None]) -> None:
        """Until stopped, log which other operators have an overlapping scope, whenever that changes.

        :param publish: gets how many there are
        """
        before: list[str] = []
        while not stopped.is_set():
            try:
                found = sorted(self.find_overlapping(None))
                publish(len(found))
                if found != before:
                    level = logging.WARNING if found else logging.INFO
                    _LOG.log(level, "operators with an overlapping scope", extra={"operators": found[:_SHOWN]})
                before = found
            except KubeError as error:
                _LOG.debug("Leases not listed", extra={"error": str(error)})
            stopped.wait(_OVERLAP_PERIOD_S)

    def _take(self) -> bool:
        """Whether this candidate has the Lease, and no operator of the namespace may be working on the same objects.

        Each writes its Lease before it reads the others': of two that begin at once, at least one sees the other.
        """
        if self._is_refused() or not self.try_once():
            return False
        if self._is_refused():
            self.release()
            self._renewed_at = -math.inf
            return False
        # Unless reading the others took longer than this candidate has the Lease for certain.
        return self.is_leading()

    def _is_refused(self) -> bool:
        refusal = self._find_refusal()
        if refusal and refusal != self.refusal:
            _LOG.warning("not leading", extra={"reason": refusal})
        self.refusal = refusal
        return bool(refusal)

    def _find_refusal(self) -> str:
        former = self._leases.find_lease(self._namespace, LEASE, self._terms.attempt_s) if self._name != LEASE else None
        # An operator of a version without a scope in its Lease: the release before its upgrade, or another release.
        if former is not None and not former.scope and self._is_rival(former):
            return f"an operator of an earlier version is working: {_shown(former)}: waiting until it has stopped"
        try:
            rivals = self.find_overlapping(self._namespace)
        except KubeError as error:
            if not error.is_denied:
                raise
            return ""
        if not rivals:
            return ""
        return f"another operator watches the same namespaces: {rivals[0]}: waiting until it stops or watches others"

    def _is_rival(self, lease: Lease) -> bool:
        is_own = (lease.namespace, lease.name) == (self._namespace, self._name)
        return not is_own and _is_held(lease, _SKEW_S) and is_overlapping(self._scope, lease.scope)

    def renew(self, stopped: threading.Event) -> None:
        """Renew until stopped or lost. What comes of it :meth:`watch_deadline` sees."""
        while not stopped.wait(self._terms.retry_period_s) and not self._lost.is_set():
            try:
                self.try_once()
            except KubeError as error:
                _LOG.warning("lease not renewed", extra={"error": str(error)})

    def watch_deadline(self, stopped: threading.Event, lose: Callable[[float], None]) -> None:
        """Wait until stopped, or call ``lose`` once when the Lease is lost or was not renewed for the renew deadline.

        ``lose`` gets the seconds in which all work must have ended: then another replica may begin.
        """
        while not stopped.is_set():
            if not self.is_leading():
                self._lost.set()
                left_s = self._renewed_at + self._terms.duration_s - self._clock()
                _LOG.error("lease lost", extra={"identity": self._identity, "left_s": round(left_s, 3)})
                lose(left_s)
                return
            left_s = self._renewed_at + self._terms.renew_deadline_s - self._clock()
            # Waits less than it may, as whoever writes a Lease for us is noticed by the renewal, not by the clock.
            self._lost.wait(min(max(left_s, 0.01), _POLL_S))

    def release(self, timeout_s: float = math.inf) -> None:
        """Let the next one have it at once. Takes no longer than an attempt to renew, nor than ``timeout_s``."""
        try:
            # An attempt that began so early has that time left.
            started = self._clock() - max(0.0, self._terms.attempt_s - timeout_s)
            old = self._find(started)
            if old is not None and old.holder == self._identity:
                self._write("", old, started)
        except KubeError as error:
            _LOG.warning("lease not released", extra={"error": str(error)})

    def _find(self, started: float) -> Lease | None:
        return self._leases.find_lease(self._namespace, self._name, self._left_s(started))

    def _write(self, holder: str, old: Lease | None, started: float) -> None:
        # Not less than the terms: others wait for what is written.
        duration_s = math.ceil(self._terms.duration_s) if holder else 1
        lease = Lease(self._namespace, self._name, holder, duration_s, self._scope)
        self._leases.write_lease(lease, old, self._left_s(started))

    def _left_s(self, started: float) -> float:
        return max(0.01, started + self._terms.attempt_s - self._clock())


def _is_held(lease: Lease, skew_s: float = 0.0) -> bool:
    """Whether somebody holds a Lease by its own dates."""
    if not lease.holder or lease.renewed is None:
        return False
    age_s = (datetime.now(UTC) - lease.renewed).total_seconds()
    return bool(age_s < lease.duration_s + skew_s)


def _shown(lease: Lease) -> str:
    scope = lease.scope or "unknown namespaces"
    watches = scope if len(scope) <= _MAX_SHOWN_SCOPE else f"{scope[:_MAX_SHOWN_SCOPE]}..."
    return f"{lease.holder} (Lease {lease.namespace}/{lease.name}, watches {watches})"
