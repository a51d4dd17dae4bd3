"""What ``/healthz``, ``/readyz`` and ``/metrics`` answer: whether the operator lives, is ready, and what it did.

A standby is healthy and ready; so is an operator that waits for the API server.
"""

from __future__ import annotations

import threading

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from runner.control.health import Page, check_page, kept_page, serve
from runner.control.leadership import Leadership
from runner.control.metrics import Metrics
from runner.control.threads import Threads
from runner.control.watches import Watches
from runner.control.workers import Workers

# Of a worker, beyond a run's time limit: ending the run, and requests to a slow API server before and after it.
_MAX_OVERRUN_S = 300.0
# For how long /metrics are kept: those of 10,000 objects take half a second to write.
_METRICS_S = 1.0


class Probes:
    """Answers probes.

    :param run_timeout_s: the time limit of a run
    :ivar workers: None as long as there are none
    """

    def __init__(
        self,
        threads: Threads,
        watches: Watches,
        leadership: Leadership,
        stopping: threading.Event,
        run_timeout_s: float,
    ) -> None:
        self._threads = threads
        self._watches = watches
        self._leadership = leadership
        self._stopping = stopping
        self._limit_s = run_timeout_s + _MAX_OVERRUN_S
        self.workers: Workers | None = None

    def check_health(self) -> str:
        """What is wrong, so that only a new start helps; empty when nothing is."""
        ended = [] if self._stopping.is_set() else self._threads.find_ended()
        if ended:
            return f"threads have ended: {', '.join(ended)}"
        busy = self.workers.find_stuck(self._limit_s) if self.workers else []
        if busy:
            return f"workers have been busy with one object for more than {self._limit_s:g} s: {', '.join(busy)}"
        return "a watch is stuck" if self._watches.is_stuck() else ""

    def check_ready(self) -> str:
        """Why the operator does no work; empty when it does, or waits for the Lease."""
        if self._stopping.is_set():
            return "stopping"
        return self._leadership.refusal or self._watches.find_problem()


def serve_probes(probes: Probes, metrics: Metrics, health_address: str, metrics_address: str) -> None:
    """Serve the probes and the metrics, at one address or two.

    :raises AddressError: when an address cannot be served on
    """

    def show_metrics() -> tuple[int, str, bytes]:
        return 200, CONTENT_TYPE_LATEST, generate_latest(metrics.registry)

    pages: dict[str, Page] = {
        "/healthz": check_page(probes.check_health),
        "/readyz": check_page(probes.check_ready),
    }
    more: dict[str, Page] = {"/metrics": kept_page(show_metrics, _METRICS_S)}
    if metrics_address == health_address:
        serve(health_address, {**pages, **more})
        return
    serve(health_address, pages)
    serve(metrics_address, more)
