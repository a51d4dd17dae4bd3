"""How long to wait before the next attempt, and before an edit is acted on."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable

FIRST_S = 5.0
_PRUNE_AT = 1000


class Backoff:
    """Exponential back-off with jitter: 5 s, 10 s, 20 s ... up to ``limit_s``, each less up to a quarter.

    :param steady: how many failures wait no longer than the first one
    """

    def __init__(
        self, limit_s: float, first_s: float = FIRST_S, chance: random.Random | None = None, *, steady: int = 1
    ) -> None:
        self._limit_s = limit_s
        self._first_s = first_s
        self._steady = steady
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._failures: dict[object, int] = {}

    def next_s(self, key: object = None) -> float:
        """Count a failure. Returns how many seconds to wait."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        wait_s = min(self._limit_s, self._first_s * 2.0 ** min(max(0, failures + 1 - self._steady), 30))
        return wait_s * (1 - self._chance.random() / 4)

    def reset(self, key: object = None) -> None:
        """Reset after a success."""
        self._failures.pop(key, None)


def jittered(period_s: float, chance: random.Random, share: float = 0.1) -> float:
    """A period, up to ``share`` longer or shorter, so that objects do not march in step."""
    return period_s * (1 + share * (2 * chance.random() - 1))


class EditRate:
    """How soon an edit of an object is reconciled: the first edits at once, then later and later up to ``limit_s``.

    Each ``recovery_s`` without an edit makes up for one. Whatever the delay, one reconcile acts on the last edit.
    Threads: any.
    """

    def __init__(
        self,
        at_once: int = 5,
        first_s: float = 2.0,
        limit_s: float = 120.0,
        recovery_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._at_once = at_once
        self._first_s = first_s
        self._limit_s = limit_s
        self._recovery_s = recovery_s
        self._clock = clock
        self._lock = threading.Lock()
        # How many recent edits, and when that was so.
        self._recent: dict[object, tuple[float, float]] = {}
        self._prune_at = _PRUNE_AT
        self._most = at_once + 1 + math.ceil(math.log2(limit_s / first_s))

    def next_s(self, key: object) -> float:
        """Count an edit. Returns in how many seconds to act on it."""
        with self._lock:
            self._prune()
            recent = min(self._most, self._recent_of(key) + 1)
            self._recent[key] = recent, self._clock()
        if recent <= self._at_once:
            return 0.0
        return float(min(self._limit_s, self._first_s * 2.0 ** (recent - self._at_once - 1)))

    def forget(self, key: object) -> None:
        """The object no longer exists."""
        with self._lock:
            self._recent.pop(key, None)

    def _recent_of(self, key: object) -> float:
        recent, at = self._recent.get(key, (0.0, 0.0))
        return max(0.0, recent - (self._clock() - at) / self._recovery_s)

    def _prune(self) -> None:
        # Whoever makes up names must not fill the memory.
        if len(self._recent) >= self._prune_at:
            self._recent = {key: value for key, value in self._recent.items() if self._recent_of(key)}
            self._prune_at = max(_PRUNE_AT, 2 * len(self._recent))
