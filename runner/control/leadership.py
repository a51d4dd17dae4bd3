"""The Lease as the operator uses it: acquired before any work, renewed during it, released after it.

A lost Lease means: cancel and kill all runs at once, before another replica begins; the process exits with 1, and
Kubernetes starts it anew. The Lease is renewed until it is released, also while runs end after a request to stop.
Threads: one renews, one watches the deadline, one reports other operators.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable

from runner.control.shutdown import LEASE_S, Shutdown
from runner.control.threads import Threads
from runner.execution import processes
from runner.kube.leader import Election

_LOG = logging.getLogger(__name__)


class Leadership:
    """The right to work.

    :param is_elected: False takes no Lease, and works at once (--no-leader-elect)
    :param report_renewal: gets the time from which the Lease is known to be held, after each renewal
    :ivar is_lost: whether the Lease was lost
    :ivar ended: set when the Lease is not renewed any more
    :ivar cancel_runs: ends all runs of the role, and starts none any more
    """

    def __init__(
        self,
        election: Election,
        threads: Threads,
        shutdown: Shutdown,
        *,
        is_elected: bool,
        report_renewal: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._election = election
        self._report_renewal = report_renewal
        self.ended = threading.Event()
        self._threads = threads
        self._shutdown = shutdown
        self._is_elected = is_elected
        self.is_lost = False
        self.cancel_runs: Callable[[], None] = lambda: None

    @property
    def refusal(self) -> str:
        """Why the Lease is not acquired although it is free; empty otherwise."""
        return self._election.refusal

    def may_run(self) -> bool:
        """Whether the role may run: no other replica can have the Lease yet."""
        return not self._is_elected or self._election.is_leading()

    def join(self) -> None:
        """Let other replicas know that this one works; at the next renewal."""
        self._election.is_leaving = False

    def leave(self) -> None:
        """Let other replicas know that this one is about to stop; at the next renewal."""
        self._election.is_leaving = True

    def acquire(self, report_overlapping: Callable[[int], None]) -> bool:
        """Wait for the Lease, and renew it from then on; False when stopped first.

        :param report_overlapping: gets how many other operators watch the same namespaces, whenever that changes
        """
        if not self._is_elected:
            return True
        stopping = self._shutdown.stopping
        if not self._election.acquire(stopping):
            return False
        self._renew()
        self._threads.start("overlap", self._election.report_overlapping, stopping, report_overlapping)
        return True

    def acquire_unless_held(self, lease: str) -> str:
        """Take the Lease, and renew it from then on. Returns its other holder; empty for none, or when stopped.

        :param lease: the Lease's namespace and name, for the log
        """
        if self._is_elected:
            holder = self._election.acquire_unless_held(self._shutdown.stopping)
        else:
            holder = self._election.find_holder()
        if holder:
            fields = {"holder": holder, "lease": lease}
            _LOG.error("another s3-operator holds the Lease: it does the work", extra=fields)
        elif self._is_elected:
            self._renew()
        return holder

    def release(self) -> None:
        """Release the Lease, unless it is lost, so that the next replica need not wait."""
        if not self._is_elected or self.is_lost:
            return
        # A renewal that is under way, or a later one, would take it again.
        self.ended.set()
        self._shutdown.begin(is_graceful=False)
        for thread in self._threads.named("lease"):
            if thread.name == "lease":
                thread.join(self._shutdown.left_s(LEASE_S))
        self._election.release(self._shutdown.left_s(LEASE_S))

    def _renew(self) -> None:
        # At once: what comes before the work may take longer than a Lease lasts.
        self._election.report_renewal = self._report_renewal
        self._report_renewal(self._election.renewed_at)
        self._threads.start("lease", self._election.renew, self.ended)
        self._threads.start("lease-deadline", self._election.watch_deadline, self.ended, self._lose)

    def _lose(self, left_s: float) -> None:
        """End all runs: the Lease is lost, and another replica may begin in ``left_s`` seconds."""
        self.is_lost = True
        # Whatever hangs, the process ends.
        end = threading.Timer(max(0.0, left_s / 2), _end_at_once)
        end.daemon = True
        end.start()
        self._shutdown.begin(is_graceful=False)
        self.cancel_runs()
        processes.kill_own_runs(max(0.0, left_s / 2))


def _end_at_once() -> None:
    processes.kill_own_runs(1.0)
    os._exit(1)
