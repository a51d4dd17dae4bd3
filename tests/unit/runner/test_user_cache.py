"""The reading of all IAM users by a replica that gains shards: seldom, and never older than its hold on a shard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from runner.drift import user_cache
from runner.drift.time_limit import TimeLimit
from runner.drift.user_cache import UserCache
from s3bucket.read import BulkUserReader, PerUserReader
from s3bucket.state import UserState

ALL, ALONE = BulkUserReader, PerUserReader
PERIOD_S = 300.0


class Readings:
    """A cache of users on a clock that the test sets. ``begun``: when each reading of all began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, count: int = 1) -> None:
        self.now = 1000.0
        self.begun: list[float] = []
        self.during: Callable[[], None] = lambda: None
        names = ["photos", *(f"user-{number}" for number in range(count - 1))]
        self._users = {name: UserState("arn", {}, {}, [], []) for name in names}
        monkeypatch.setattr(user_cache.read, "iterate_users", self._read_all)
        self.cache = UserCache(PERIOD_S, lambda: self.now, TimeLimit(120, lambda: self.now))

    def _read_all(self, *_: Any) -> list[tuple[str, UserState]]:
        self.begun.append(self.now)
        self.during()
        return list(self._users.items())

    def find(self, not_before: float) -> type[object]:
        """How the user of an object is read. This replica has the shard of the object since then."""
        return type(self.cache.get_reader(None, ["photos"], not_before))


def test_shards_that_are_gained_in_a_row_cost_one_more_reading_of_all_users(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = Readings(monkeypatch)
    gained = []
    for _ in range(16):
        gained.append(readings.now)
        readings.now += 0.5
        # Objects are checked while others are still gained.
        assert readings.find(gained[0]) is ALL
        assert readings.find(gained[-1]) is (ALL if len(gained) == 1 else ALONE)
    readings.now += 10
    assert [readings.find(since) for since in gained] == [ALL] * 16
    assert len(readings.begun) == 2
    # From here on as without shards: once a period.
    readings.now += PERIOD_S - 1
    assert [readings.find(since) for since in gained] == [ALL] * 16
    assert len(readings.begun) == 2


def test_object_is_not_judged_by_a_reading_that_began_before_its_shard_was_gained(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings = Readings(monkeypatch)

    def gain() -> None:
        readings.now += 5

    # The page with the user may have been read before the shard was gained.
    readings.during = gain
    assert readings.find(0.0) is ALL
    assert readings.find(1003.0) is ALONE
    # In the moment of the reading: it is not known which was first.
    assert readings.find(1000.0) is ALONE
    assert readings.find(999.0) is ALL
    assert readings.begun == [1000.0]


def test_replica_that_gains_nothing_reads_all_users_once_a_period(monkeypatch: pytest.MonkeyPatch) -> None:
    readings = Readings(monkeypatch)
    for _ in range(100):
        assert readings.find(0.0) is ALL
        readings.now += 6
    assert readings.begun == [1000.0, 1300.0]


@pytest.mark.parametrize(("count", "alone"), [(1, 25), (2000, 75)], ids=["one-page", "three-pages"])
def test_many_users_of_new_shards_are_not_read_alone(monkeypatch: pytest.MonkeyPatch, count: int, alone: int) -> None:
    """The requests for them would be many times those for all users."""
    readings = Readings(monkeypatch, count)
    assert readings.find(0.0) is ALL
    readings.now += 1
    since = readings.now
    readings.now += 1
    assert [readings.find(since) for _ in range(alone)] == [ALONE] * alone
    assert readings.find(since) is ALL
    assert readings.begun == [1000.0, 1002.0]
    # Those of the next shard count from zero.
    readings.now += 1
    since = readings.now
    readings.now += 1
    assert [readings.find(since) for _ in range(alone)] == [ALONE] * alone
