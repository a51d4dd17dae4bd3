"""Holds a write request, before or after it took effect, until a test lets it go or drops it.

So a test can inspect, or kill, what is in the middle of a request, with no clock involved. Thread-safe: requests
wait in the threads of their server. One hold is armed at a time; it counts from then on.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Hold:
    """What to hold.

    :param about: only writes about one of these (names of buckets, users and roles; namespaces)
    :param action: only this action; ``*`` is any
    :param number: only the n-th of them; 0 is each
    :param when: ``before`` or ``after`` it takes effect
    """

    about: tuple[str, ...]
    action: str = "*"
    number: int = 0
    when: str = "before"


@dataclass
class _Held:
    action: str
    is_over: threading.Event = field(default_factory=threading.Event)
    is_dropped: bool = False

    def end(self, is_dropped: bool) -> None:
        self.is_dropped = is_dropped
        self.is_over.set()


class Holds:
    """The armed hold and the requests that it holds now."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._hold: Hold | None = None
        self._counts: Counter[str] = Counter()
        self._held: list[_Held] = []

    def arm(self, hold: Hold) -> None:
        """Hold what fits from now on."""
        with self._changed:
            self._hold = hold
            self._counts.clear()

    def wait(self, timeout_s: float) -> str:
        """Wait until a request is held. Returns the action of the one held longest; empty when none is."""
        with self._changed:
            self._changed.wait_for(lambda: self._held, timeout_s)
            return self._held[0].action if self._held else ""

    def held(self) -> list[str]:
        """The actions of the requests that are held now, the one held longest first."""
        with self._changed:
            return [held.action for held in self._held]

    def let_go(self, *, is_dropped: bool = False) -> None:
        """Release, or drop, the request that :meth:`wait` named: the one that has been held longest.

        The others stay held. A request that arrived after :meth:`wait` returned is named by the next call, so that
        no write passes unseen. A request that is dropped before its effect has none.
        """
        with self._changed:
            if self._held:
                self._held.pop(0).end(is_dropped)

    def disarm(self, *, is_dropped: bool = False) -> None:
        """Hold nothing from now on, and release, or drop, every request that is held."""
        with self._changed:
            self._hold = None
            while self._held:
                self._held.pop(0).end(is_dropped)

    def find(self, action: str, about: Collection[str]) -> str:
        """When a write is to be held, ``before`` or ``after``; empty for one that is not. Asked once a write."""
        with self._changed:
            hold = self._hold
            if hold is None or hold.action not in ("*", action) or not set(hold.about) & set(about):
                return ""
            self._counts[hold.action] += 1
            return hold.when if hold.number in (0, self._counts[hold.action]) else ""

    def stay(self, action: str) -> bool:
        """Be held. Returns whether the request was dropped."""
        held = _Held(action)
        with self._changed:
            self._held.append(held)
            self._changed.notify_all()
        held.is_over.wait()
        return held.is_dropped
