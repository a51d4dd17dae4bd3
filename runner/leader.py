"""Leader election by a Lease: one replica works, the others wait.

The rules are client-go's (tools/leaderelection): a Lease is somebody's until it was not seen to change
for its duration, on our own clock; a leader that could not renew for the renew deadline stops before its
Lease can expire. Each attempt, GET and PUT together, has one time limit, and the deadline is watched by a thread of its
own: a call that hangs delays neither. The Lease is released at the end, so that the next replica need not wait.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from runner.kube import KubeError

_LOG = logging.getLogger(__name__)
LEASE = "s3-operator"
# An attempt to renew takes at least so long: a Lease is a write to etcd.
_MIN_ATTEMPT_S = 1.0
# How often the deadline is compared with the clock, which goes on while the machine is suspended; waiting does not.
_POLL_S = 1.0


def boot_time_s() -> float:
    """Seconds that only grow, also while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Leases(Protocol):
    """Where Leases are kept. No call may take longer than ``timeout_s``; what does counts as not answered."""

    def find_lease(self, namespace: str, name: str, timeout_s: float) -> dict[str, Any] | None: ...

    def write_lease(
        self, namespace: str, name: str, spec: dict[str, Any], old: dict[str, Any] | None, timeout_s: float
    ) -> None: ...


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
    """

    def __init__(
        self, leases: Leases, namespace: str, identity: str, terms: Terms, clock: Callable[[], float] = boot_time_s
    ) -> None:
        self._leases = leases
        self._namespace = namespace
        self._identity = identity
        self._terms = terms
        self._clock = clock
        self._seen: tuple[Any, float] = (None, 0.0)
        self._renewed_at = -math.inf
        self._lost = threading.Event()

    def try_once(self) -> bool:
        """Take or renew the Lease if it is free or ours. Takes no longer than :attr:`Terms.attempt_s`.

        :raises KubeError: when the API server does not answer
        """
        # From before the first call: the Lease may be written long after it was asked for.
        started = self._clock()
        old = self._find(started)
        now = self._clock()
        if old is not None:
            observed = (old["holder"], old["renewed"])
            if observed != self._seen[0]:
                self._seen = (observed, now)
            is_held = old["holder"] not in ("", self._identity)
            if is_held and now < self._seen[1] + old["duration_s"]:
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
        """Whether the Lease is ours for certain: nobody else can have taken it yet."""
        return not self._lost.is_set() and self._clock() < self._renewed_at + self._terms.renew_deadline_s

    def is_held_by_other(self) -> bool:
        """Whether another holds the Lease by its own dates. For commands that look once."""
        lease = self._find(self._clock())
        if lease is None or lease["holder"] in ("", self._identity) or lease["renewed"] is None:
            return False
        age_s = (datetime.now(UTC) - lease["renewed"]).total_seconds()
        return bool(age_s < lease["duration_s"])

    def acquire(self, stopped: threading.Event) -> bool:
        """Wait for the Lease; False when stopped first."""
        while not stopped.is_set():
            try:
                if self.try_once():
                    _LOG.info("leading", extra={"identity": self._identity})
                    return True
            except KubeError as error:
                _LOG.warning("lease not read or written", extra={"error": str(error)})
            stopped.wait(self._terms.retry_period_s)
        return False

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

    def release(self) -> None:
        """Let the next one have it at once."""
        try:
            started = self._clock()
            old = self._find(started)
            if old is not None and old["holder"] == self._identity:
                self._write("", old, started)
        except KubeError as error:
            _LOG.warning("lease not released", extra={"error": str(error)})

    def _find(self, started: float) -> dict[str, Any] | None:
        return self._leases.find_lease(self._namespace, LEASE, self._left_s(started))

    def _write(self, holder: str, old: dict[str, Any] | None, started: float) -> None:
        # Not less than the terms say: others wait for what is written.
        spec = {"holder": holder, "duration_s": math.ceil(self._terms.duration_s) if holder else 1}
        self._leases.write_lease(self._namespace, LEASE, spec, old, self._left_s(started))

    def _left_s(self, started: float) -> float:
        return max(0.01, started + self._terms.attempt_s - self._clock())
