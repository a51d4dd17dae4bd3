"""How long a drift check may take. It is given up where it would send its next request."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CheckTimeoutError(Exception):
    """The check has used up its time."""


class TimeLimit(threading.local):
    """How long the check in this thread may still take."""

    def __init__(self, limit_s: float, clock: Callable[[], float]) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._end = math.inf

    @contextmanager
    def running(self) -> Iterator[None]:
        """The check is what is done in the block."""
        self._end = self._clock() + self.limit_s
        try:
            yield
        finally:
            self._end = math.inf

    def get_left_s(self) -> float:
        """How many seconds are left.

        :raises CheckTimeoutError: when there are none
        """
        left_s = self._end - self._clock()
        if left_s <= 0:
            raise CheckTimeoutError
        return left_s

    @contextmanager
    def holding(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock that another thread may keep for as long as AWS takes to answer it."""
        if not lock.acquire(timeout=min(self.get_left_s(), threading.TIMEOUT_MAX)):
            raise CheckTimeoutError
        try:
            yield
        finally:
            lock.release()
