"""How long a shutdown may take: one deadline for each of its parts, counted from the request to stop.

First the runs may end for the grace period. What comes then has :data:`END_S` seconds in all, however many threads
are waited for. The chart leaves 15 s between ``--grace-period`` and the end of the Pod's
terminationGracePeriodSeconds, when the kubelet sends SIGKILL; and a Lease that was not released keeps the next replica
waiting. Threads: any.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable

# Seconds after the grace period. A cancelled run is killed after 5 s (job.py); then its worker ends.
WORKERS_S = 7.0
LEASE_S = 10.0
END_S = 13.0


class Shutdown:
    """When to stop, and when to wait no longer.

    :param grace_s: for how long runs may go on
    :ivar stopping: set once a stop was requested
    """

    def __init__(self, grace_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._grace_s = grace_s
        self._clock = clock
        self._runs_end_at = math.inf
        self.stopping = threading.Event()

    def begin(self, *, is_graceful: bool = True) -> None:
        """Request a stop. A later request changes nothing, unless it allows less time.

        :param is_graceful: False where no run may go on: the Lease is lost, or none is left
        """
        runs_end_at = self._clock() + (self._grace_s if is_graceful else 0.0)
        self._runs_end_at = min(self._runs_end_at, runs_end_at)
        self.stopping.set()

    def left_s(self, after_s: float) -> float:
        """Seconds until ``after_s`` seconds after the grace period; 0 when they are over. Only after :meth:`begin`."""
        return max(0.0, self._runs_end_at + after_s - self._clock())
