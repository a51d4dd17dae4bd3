"""Leader election by a Lease: one replica works, the others wait.

The rules of a Lease are in :mod:`runner.kube.hold`. A leader that could not renew for the renew deadline stops before
its Lease can expire. The deadline is watched by a thread of its own: a call that hangs does not delay it. The Lease is
released at the end, so that the next replica need not wait.

Each release has a Lease of its own, which also names the namespaces that it watches: its scope. An operator does not
work while another one in its own namespace holds a Lease with an overlapping scope. One in another namespace is only
reported, as tenants may write Leases there.
"""

from __future__ import annotations

import logging
import math
import random
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from runner.kube.client import KubeError
from runner.kube.hold import Candidate, Hold, Leases, Terms, TermsError, boot_time_s
from runner.kube.lease import Lease

__all__ = [
    "EVERYTHING",
    "LEASE",
    "Election",
    "Leases",
    "Terms",
    "TermsError",
    "boot_time_s",
    "is_overlapping",
    "release_of",
    "scope_of",
]

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
# How often the deadline is compared with the clock, which goes on while the machine is suspended; waiting does not.
_POLL_S = 1.0


def scope_of(namespaces: Sequence[str | None]) -> str:
    """The text of a scope: the namespaces, or all (none, or None, given)."""
    named = sorted(name for name in namespaces if name)
    return ",".join(named) if named else EVERYTHING


def is_overlapping(scope: str, other: str) -> bool:
    """Whether two scopes have a namespace in common. An unknown one, of an earlier version, may be any."""
    if not scope or not other or EVERYTHING in (scope, other):
        return True
    return bool(set(scope.split(",")) & set(other.split(",")))


class _Refusal(NamedTuple):
    """Why a Lease is not taken although it is free.

    :ivar is_own: it is for an operator of the same release, which is about to be replaced by this one
    """

    text: str
    is_own: bool


class Election(Hold):
    """One candidate. ``clock`` gives seconds that only grow.

    One thread calls :meth:`acquire`; afterwards one :meth:`renew` and one :meth:`watch_deadline`. Any asks
    :meth:`is_leading`.

    :param name: of the Lease
    :param scope: as :func:`scope_of` makes it
    :ivar refusal: why the Lease is not acquired although it is free; empty otherwise, or where the release itself is
        the reason
    :ivar report_renewal: gets :attr:`renewed_at` after each renewal
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
        group: str = "",
    ) -> None:
        super().__init__(leases, Candidate(namespace, identity, scope, group), name, terms, clock)
        self._release_name = name
        self.refusal = ""
        self._waits_for = ""
        self.report_renewal: Callable[[float], None] = lambda _: None

    def is_leading(self) -> bool:
        """Whether this candidate has the Lease for certain: no other can have taken it yet."""
        return self.is_certain()

    def is_held_by_other(self) -> bool:
        """Whether another holds the Lease by its own dates. For commands that read it once."""
        return bool(self.find_holder())

    def find_holder(self) -> str:
        """The other holder of the Lease, or of one of the release's shards, by its own dates; empty for none."""
        return self._holder_of(self._find(self._clock())) or next(
            (lease.holder for lease in self._list_own() if self._holder_of(lease)), ""
        )

    def _list_own(self) -> list[Lease]:
        """The Leases that the replicas of this release share."""
        try:
            listed = list(self._leases.list_leases(self._candidate.namespace))
        except KubeError as error:
            if not error.is_denied:
                raise
            # Replicas that share Leases have that right, in the same namespace.
            return []
        return [lease for lease in listed if self._is_of_release(lease) and lease.group]

    def _holder_of(self, lease: Lease | None) -> str:
        is_held = lease is not None and self.is_other(lease.holder) and _is_held(lease)
        return lease.holder if lease is not None and is_held else ""

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
                _LOG.info("leading", extra={"identity": self._candidate.identity})
                return ""
            if self._waits_for:
                return self._waits_for
            stopped.wait(self._terms.retry_period_s)
        return ""

    def acquire(self, stopped: threading.Event) -> bool:
        """Wait for the Lease, and for other operators with an overlapping scope; False when stopped first."""
        while not stopped.is_set():
            try:
                if self._take():
                    _LOG.info("leading", extra={"identity": self._candidate.identity, "lease": self._name})
                    return True
            except KubeError as error:
                _LOG.warning("lease not read or written", extra={"error": str(error)})
            # With jitter: two that step back for each other do not meet again.
            stopped.wait(self._terms.retry_period_s * (1 + random.random()))  # noqa: S311 - jitter
        return False

    def find_overlapping(self, namespace: str | None) -> list[str]:
        """Other operators that hold a Lease with an overlapping scope, in a namespace (None: in all).

        One for each other release: its replicas share many Leases.

        :raises KubeError: when the API server does not answer, or does not admit the request
        """
        return [_shown(lease) for lease in self._find_rivals(namespace) if not self._is_of_release(lease)]

    def _is_of_release(self, lease: Lease) -> bool:
        return lease.namespace == self._candidate.namespace and release_of(lease) == self._release_name

    def _find_rivals(self, namespace: str | None) -> list[Lease]:
        found: dict[tuple[str, str], Lease] = {}
        for lease in self._leases.list_leases(namespace):
            if self._is_rival(lease):
                found.setdefault((lease.namespace, lease.group or lease.name), lease)
        return list(found.values())

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
        # An attempt that took too long left a Lease that another may have taken since: nothing is lost by that.
        self.reset()
        if self._is_refused() or not self.try_once():
            return False
        if self._is_refused():
            self.release()
            self.renewed_at = -math.inf
            return False
        # Unless reading the others took longer than this candidate has the Lease for certain.
        return self.is_leading()

    def _is_refused(self) -> bool:
        refusal = self._find_refusal()
        text = refusal.text if refusal else ""
        if text and text != self._waits_for:
            _LOG.warning("not leading", extra={"reason": text})
        self._waits_for = text
        self.refusal = "" if refusal is None or refusal.is_own else refusal.text
        return bool(text)

    def _find_refusal(self) -> _Refusal | None:
        namespace, attempt_s = self._candidate.namespace, self._terms.attempt_s
        former = self._leases.find_lease(namespace, LEASE, attempt_s) if self._name != LEASE else None
        # An operator of a version without a scope in its Lease: the release before its upgrade, or another release.
        if former is not None and not former.scope and self._is_rival(former):
            return _Refusal(
                f"an operator of an earlier version is working: {_shown(former)}: waiting until it has stopped", False
            )
        try:
            rivals = self._find_rivals(namespace)
        except KubeError as error:
            if not error.is_denied or self._candidate.group:
                raise
            return None
        if not rivals:
            return None
        others = [lease for lease in rivals if not self._is_of_release(lease)]
        shown = _shown((others or rivals)[0])
        if not others:
            return _Refusal(
                f"the operator of this release works with other replicas: {shown}: waiting until they have stopped",
                True,
            )
        return _Refusal(
            f"another operator watches the same namespaces: {shown}: waiting until it stops or watches others", False
        )

    def _is_rival(self, lease: Lease) -> bool:
        if lease.namespace == self._candidate.namespace:
            is_own = lease.group == self._candidate.group if lease.group else lease.name == self._name
            if is_own:
                return False
        return _is_held(lease, _SKEW_S) and is_overlapping(self._candidate.scope, lease.scope)

    def renew(self, stopped: threading.Event) -> None:
        """Renew until stopped or lost. What comes of it :meth:`watch_deadline` sees."""
        while not stopped.wait(self._terms.retry_period_s) and not self._lost.is_set():
            try:
                if self.try_once():
                    self.report_renewal(self.renewed_at)
            except KubeError as error:
                _LOG.warning("lease not renewed", extra={"error": str(error)})

    def watch_deadline(self, stopped: threading.Event, lose: Callable[[float], None]) -> None:
        """Wait until stopped, or call ``lose`` once when the Lease is lost or was not renewed for the renew deadline.

        ``lose`` gets the seconds in which all work must have ended: then another replica may begin.
        """
        while not stopped.is_set():
            if not self.is_leading():
                self._lost.set()
                left_s = self.renewed_at + self._terms.duration_s - self._clock()
                _LOG.error("lease lost", extra={"identity": self._candidate.identity, "left_s": round(left_s, 3)})
                lose(left_s)
                return
            left_s = self.renewed_at + self._terms.renew_deadline_s - self._clock()
            # Waits less than it may, as whoever writes a Lease for us is noticed by the renewal, not by the clock.
            self._lost.wait(min(max(left_s, 0.01), _POLL_S))

    def release(self, timeout_s: float = math.inf) -> None:
        """Let the next one have it at once, if the API server answers. Takes no longer than ``timeout_s``."""
        try:
            super().release(timeout_s)
        except KubeError as error:
            _LOG.warning("lease not released", extra={"error": str(error)})


def release_of(lease: Lease) -> str:
    """The name of the Lease that the release has when one replica works alone."""
    return lease.group.rpartition("/")[0] if lease.group else lease.name


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
