"""What waits in one lane of the work queue, and what is next.

A group is a namespace, or what takes turns as if it were one. The group with the fewest workers is next; among equal
ones it is the one that was served longest ago. So a namespace that has no worker is before each one that has some.

Each operation takes O(log n) time, however many groups there are and however many of them may have no more workers.
Thread: the one that holds the lock of the queue.
"""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, TypeVar

_Value = TypeVar("_Value")
# A heap is rebuilt when more than half of it, and more than this, was removed.
_REBUILD_AT = 32


class Ticket(Generic[_Value]):
    """A value in a heap. Only :class:`Heap` changes it."""

    __slots__ = ("is_in", "value")

    def __init__(self, value: _Value) -> None:
        self.value = value
        self.is_in = True


class Heap(Generic[_Value]):
    """A heap from which any value can be removed. Values of the same order leave it as they came."""

    def __init__(self) -> None:
        self._items: list[tuple[float, int, Ticket[_Value]]] = []
        self._numbers = itertools.count()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size(self) -> int:
        """The places that are used in memory: a removed value may still have one."""
        return len(self._items)

    def push(self, order: float, value: _Value) -> Ticket[_Value]:
        """Add a value. The ticket removes it."""
        ticket = Ticket(value)
        heapq.heappush(self._items, (order, next(self._numbers), ticket))
        self._count += 1
        return ticket

    def remove(self, ticket: Ticket[_Value]) -> None:
        """Remove a value that may be in this heap no more."""
        if not ticket.is_in:
            return
        ticket.is_in = False
        self._count -= 1
        if len(self._items) > 2 * self._count + _REBUILD_AT:
            self._items = [item for item in self._items if item[2].is_in]
            heapq.heapify(self._items)

    def find_first(self) -> tuple[float, _Value] | None:
        """The order and the value of the least one; None when there is none."""
        while self._items and not self._items[0][2].is_in:
            heapq.heappop(self._items)
        return (self._items[0][0], self._items[0][2].value) if self._items else None

    def pop(self) -> _Value:
        """Remove the least one. There must be one."""
        self.find_first()
        ticket = heapq.heappop(self._items)[2]
        ticket.is_in = False
        self._count -= 1
        return ticket.value


class Turns(Generic[_Value]):
    """The values of one lane by group."""

    def __init__(self) -> None:
        self._values: dict[str, Heap[_Value]] = {}
        # The groups with values: by the number of their workers, in the order of their turns.
        self._levels: dict[int, Heap[str]] = {}
        self._places: dict[str, tuple[int, float, Ticket[str]]] = {}
        self._turns = itertools.count()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def count_of(self, group: str) -> int:
        """How many values of a group wait."""
        return len(self._values.get(group, ()))

    def push(self, group: str, level: int, order: float, value: _Value) -> Ticket[_Value]:
        """Add a value. ``level``: how many workers the group has."""
        if group not in self._values:
            self._values[group] = Heap()
            self._place(group, level, next(self._turns))
        self._count += 1
        return self._values[group].push(order, value)

    def remove(self, group: str, ticket: Ticket[_Value]) -> None:
        """Remove a value that waits."""
        self._values[group].remove(ticket)
        self._count -= 1
        self._drop_if_empty(group)

    def move(self, group: str, level: int) -> None:
        """A group has another number of workers. Its turn stays what it was."""
        if group in self._places:
            turn = self._places[group][1]
            self._take_place(group)
            self._place(group, level, turn)

    def has_next(self, limit: int) -> bool:
        """Whether a group with values has fewer workers than ``limit``."""
        return any(level < limit for level in self._levels)

    def pop(self, limit: int) -> _Value | None:
        """The next value of the next group that has fewer workers than ``limit``; None when there is none."""
        level = min((level for level in self._levels if level < limit), default=None)
        first = None if level is None else self._levels[level].find_first()
        if level is None or first is None:
            return None
        group = first[1]
        value = self._values[group].pop()
        self._count -= 1
        self._take_place(group)
        self._place(group, level, next(self._turns))
        self._drop_if_empty(group)
        return value

    def _drop_if_empty(self, group: str) -> None:
        if not self._values[group]:
            del self._values[group]
            self._take_place(group)

    def _place(self, group: str, level: int, turn: float) -> None:
        ticket = self._levels.setdefault(level, Heap()).push(turn, group)
        self._places[group] = level, turn, ticket

    def _take_place(self, group: str) -> None:
        level, _, ticket = self._places.pop(group)
        groups = self._levels[level]
        groups.remove(ticket)
        if not groups:
            # There are as many levels as one group has workers.
            del self._levels[level]
