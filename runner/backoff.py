"""How long to wait before the next try."""

from __future__ import annotations

import random

FIRST_S = 5.0


class Backoff:
    """Exponential back-off with jitter: 5 s, 10 s, 20 s ... up to ``limit_s``, each less up to a quarter."""

    def __init__(self, limit_s: float, first_s: float = FIRST_S, chance: random.Random | None = None) -> None:
        self._limit_s = limit_s
        self._first_s = first_s
        self._chance = chance or random.Random()  # noqa: S311 - jitter
        self._failures: dict[object, int] = {}

    def next_s(self, key: object = None) -> float:
        """Count a failure and say how many seconds to wait."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        wait_s = min(self._limit_s, self._first_s * 2.0 ** min(failures, 30))
        return wait_s * (1 - self._chance.random() / 4)

    def reset(self, key: object = None) -> None:
        """It worked."""
        self._failures.pop(key, None)


def jittered(period_s: float, chance: random.Random, share: float = 0.1) -> float:
    """A period, up to ``share`` longer or shorter, so that objects do not march in step."""
    return period_s * (1 + share * (2 * chance.random() - 1))
