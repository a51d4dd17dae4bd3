"""Repeated edits of one object: the first ones are handled at once, the last one always, and a deletion at once."""

from __future__ import annotations

import pytest

from runner.backoff import EditRate
from runner.control.handlers import ChildHandler, ObjectHandler
from runner.control.queue import Lane, WorkQueue
from runner.kube.cache import Cache
from runner.objects import Child, S3Object
from tests.support.fakes import make_object

KEY = ("team", "photos")
AT_ONCE, LIMIT_S, RECOVERY_S = 3, 60.0, 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Rig:
    """One handler of each kind with a common queue, and a worker that serves every item that is due."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = WorkQueue(self.clock)
        self.objects = ObjectHandler(self.queue, 300, Cache(S3Object.from_item), edits=self._rate())
        self.children = ChildHandler(self.queue, Cache(Child.from_item), self._rate())
        self.objects.change("ADDED", make_object())
        self.children.change("ADDED", make_secret(0))
        self.served = 0
        self.work()
        assert self.served == 1

    def _rate(self) -> EditRate:
        return EditRate(AT_ONCE, 2.0, LIMIT_S, RECOVERY_S, self.clock)

    def edit(self, kind: str, number: int) -> None:
        if kind == "spec":
            self.objects.change("MODIFIED", make_object(generation=1 + number))
        else:
            self.children.change("MODIFIED", make_secret(number))

    def work(self) -> None:
        while self.queue.get(0):
            self.served += 1
            self.queue.done(KEY)


def make_secret(value: int) -> Child:
    owner = {"controller": True, "kind": "S3", "name": KEY[1]}
    metadata = {"namespace": KEY[0], "name": "photos-iam-secret", "ownerReferences": [owner]}
    return Child({"metadata": metadata, "digests": {"AWS_SECRET_ACCESS_KEY": str(value)}})


@pytest.mark.parametrize(
    ("edits", "delay_s"), [(1, 0), (3, 0), (4, 2), (5, 4), (6, 8), (8, 32), (9, 60), (500, 60)]
)  # fmt: skip
def test_next_s_grows_with_the_number_of_edits(edits: int, delay_s: float) -> None:
    rate = EditRate(AT_ONCE, 2.0, LIMIT_S, RECOVERY_S, Clock())
    assert [rate.next_s(KEY) for _ in range(edits)][-1] == delay_s
    assert rate.next_s(("team", "other")) == 0


def test_next_s_recovers_with_time_however_many_edits_there_were() -> None:
    clock = Clock()
    rate = EditRate(AT_ONCE, 2.0, LIMIT_S, RECOVERY_S, clock)
    for _ in range(1000):
        rate.next_s(KEY)
    clock.now += 9 * RECOVERY_S
    assert [rate.next_s(KEY) for _ in range(AT_ONCE + 1)] == [0, 0, 0, 2]


def test_next_s_keeps_only_objects_that_were_edited_lately() -> None:
    clock = Clock()
    rate = EditRate(AT_ONCE, 2.0, LIMIT_S, RECOVERY_S, clock)
    for number in range(5000):
        rate.next_s(("team", f"made-up-{number}"))
        clock.now += 1
    assert len(rate._recent) <= 1000


@pytest.mark.parametrize("kind", ["spec", "secret"])
def test_edits_again_and_again_lead_to_few_reconciles_and_the_last_one_counts(kind: str) -> None:
    rig = Rig()
    for number in range(1, 301):
        rig.edit(kind, number)
        rig.work()
        rig.clock.now += 1
    # 300 edits in 300 s: the first ones are handled at once, then one after each delay. The delay grows up to its
    # limit.
    assert AT_ONCE <= rig.served <= AT_ONCE + 12
    before = rig.served
    rig.edit(kind, 301)
    rig.clock.now += LIMIT_S
    rig.work()
    assert rig.served == before + 1


def test_edits_one_after_the_other_are_each_acted_on_at_once() -> None:
    rig = Rig()
    for number in range(1, AT_ONCE + 1):
        rig.edit("spec", number)
        assert rig.queue.get(0) == (KEY, Lane.FRESH)
        rig.queue.done(KEY)


def test_deletion_is_never_delayed() -> None:
    rig = Rig()
    for number in range(1, 101):
        rig.edit("spec", number)
    rig.work()
    rig.edit("spec", 101)
    assert rig.queue.get(0) is None
    rig.objects.change("MODIFIED", make_object(generation=102, deletionTimestamp="now"))
    assert rig.queue.get(0) == (KEY, Lane.FRESH)


def test_object_that_is_made_again_starts_anew() -> None:
    rig = Rig()
    for number in range(1, 101):
        rig.edit("spec", number)
    rig.work()
    rig.objects.change("DELETED", make_object())
    rig.objects.change("ADDED", make_object(uid="u2"))
    assert rig.queue.get(0) == (KEY, Lane.FRESH)
    rig.queue.done(KEY)
    rig.objects.change("MODIFIED", make_object(uid="u2", generation=2))
    assert rig.queue.get(0) == (KEY, Lane.FRESH)
