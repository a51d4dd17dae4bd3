"""Leader election by a Lease: one replica works, the others wait.

The rules are client-go's (tools/leaderelection): a Lease is somebody's until it was not seen to change
for its duration, on our own clock; a leader that could not renew for the renew deadline stops before its
Lease can expire. The Lease is released at the end, so that the next replica need not wait.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from runner.kube import KubeError

_LOG = logging.getLogger(__name__)
LEASE = "s3-operator"


class Leases(Protocol):
    """Where Leases are kept."""

    def find_lease(self, namespace: str, name: str) -> dict[str, Any] | None: ...

    def write_lease(
        self, namespace: str, name: str, holder: str, duration_s: int, now: datetime, old: dict[str, Any] | None
    ) -> None: ...


@dataclass(frozen=True)
class Terms:
    """Seconds: how long a Lease lasts, for how long renewing may fail, how often it is tried."""

    duration_s: float
    renew_deadline_s: float
    retry_period_s: float


class Election:
    """One candidate. ``clock`` gives seconds that only grow."""

    def __init__(
        self, leases: Leases, namespace: str, identity: str, terms: Terms, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._leases = leases
        self._namespace = namespace
        self._identity = identity
        self._terms = terms
        self._clock = clock
        self._seen: tuple[Any, float] = (None, 0.0)
        self._renewed_at = 0.0

    def try_once(self) -> bool:
        """Take or renew the Lease if it is free or ours.

        :raises KubeError: when the API server does not answer
        """
        old = self._leases.find_lease(self._namespace, LEASE)
        now = self._clock()
        if old is not None:
            observed = (old["holder"], old["renewed"])
            if observed != self._seen[0]:
                self._seen = (observed, now)
            is_held = old["holder"] not in ("", self._identity)
            if is_held and now < self._seen[1] + old["duration_s"]:
                return False
        try:
            self._write(self._identity, old)
        except KubeError as error:
            if error.is_conflict:
                return False
            raise
        self._renewed_at = now
        return True

    def is_held_by_other(self) -> bool:
        """Whether another holds the Lease by its own dates. For commands that look once."""
        return bool(self.find_holder())

    def find_holder(self) -> str:
        """Who else holds the Lease by its own dates; empty when nobody does."""
        return self._holder_of(self._leases.find_lease(self._namespace, LEASE))

    def _holder_of(self, lease: dict[str, Any] | None) -> str:
        if lease is None or lease["holder"] in ("", self._identity) or lease["renewed"] is None:
            return ""
        age_s = (datetime.now(UTC) - lease["renewed"]).total_seconds()
        return str(lease["holder"]) if age_s < lease["duration_s"] else ""

    def acquire_unless_held(self, stopped: threading.Event) -> str:
        """Take the Lease unless another holds it. Returns that holder; empty when the Lease is ours, or when stopped.

        A Lease whose dates say that it has expired is taken only when nobody renews it for its duration: the clock
        of its holder may be another than ours.

        :raises KubeError: when the API server does not answer
        """
        first: object = None
        while not stopped.is_set():
            lease = self._leases.find_lease(self._namespace, LEASE)
            seen = (lease["holder"], lease["renewed"]) if lease else None
            first = first or seen
            holder = self._holder_of(lease) or (str(lease["holder"]) if lease and seen != first else "")
            if holder:
                return holder
            if self.try_once():
                _LOG.info("leading", extra={"identity": self._identity})
                return ""
            stopped.wait(self._terms.retry_period_s)
        return ""

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

    def hold(self, stopped: threading.Event) -> bool:
        """Renew until stopped (True), or until the Lease is lost (False)."""
        while not stopped.wait(self._terms.retry_period_s):
            try:
                is_ours = self.try_once()
            except KubeError as error:
                _LOG.warning("lease not renewed", extra={"error": str(error)})
                is_ours = self._clock() < self._renewed_at + self._terms.renew_deadline_s
            if not is_ours:
                _LOG.error("lease lost", extra={"identity": self._identity})
                return False
        return True

    def release(self) -> None:
        """Let the next one have it at once."""
        try:
            old = self._leases.find_lease(self._namespace, LEASE)
            if old is not None and old["holder"] == self._identity:
                self._write("", old)
        except KubeError as error:
            _LOG.warning("lease not released", extra={"error": str(error)})

    def _write(self, holder: str, old: dict[str, Any] | None) -> None:
        duration_s = int(self._terms.duration_s) if holder else 1
        self._leases.write_lease(self._namespace, LEASE, holder, duration_s, datetime.now(UTC), old)
