"""What messages about changes in AWS lead to: which objects are checked, how soon, how often, and in which period."""

from __future__ import annotations

import json
import logging
import math
import random
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest

from runner.control import changes
from runner.control.canary import Canary
from runner.control.changes import Changes, Feed, Result
from runner.control.handlers import ObjectHandler
from runner.control.metrics import Metrics
from runner.control.names import Names
from runner.control.queue import Lane, WorkQueue
from runner.control.schedule import Periods, Schedule
from runner.drift.cloudtrail import Name
from runner.drift.event_queue import MAX_TIMES, Caller, Message, QueueError
from runner.kube.cache import Caches
from runner.objects import Key, S3Object
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.cloudtrail import ACCOUNT, bucket_event, event, role_session, user_event
from tests.support.fakes import READY

SYNC_S, WITH_EVENTS_S, DELAY_S = 300.0, 3600.0, 1800.0
PHOTOS, VIDEOS = ("team", "photos"), ("other", "videos")
OPERATOR = Caller(ACCOUNT, f"arn:aws:sts::{ACCOUNT}:assumed-role/operator")


def an_object(
    key: Key, *, has_bucket: bool = True, user: str = "", more: Sequence[str] = (), **status: Any
) -> S3Object:
    """An object that owns a bucket of its name and a user, and that is Ready if it has a bucket."""
    reason = "Ready" if has_bucket else "Conflict"
    ready = {"type": "Ready", "status": str(has_bucket), "reason": reason, "observedGeneration": 1}
    owned = {"bucketARN": f"arn:aws:s3:::{key[1]}"} if has_bucket else {}
    return S3Object(
        {
            "metadata": {"namespace": key[0], "name": key[1], "uid": key[1], "generation": 1},
            "spec": {
                "bucketName": key[1],
                "iamUser": {"username": user or f"{key[1]}-user"},
                "additionalUsers": [{"username": name} for name in more],
            },
            "status": {"conditions": [ready], **owned, **status},
        }
    )


class Queue:
    """Answers each request for messages with the next of these, then with none. An exception is raised."""

    def __init__(self) -> None:
        self.answers: list[list[str] | Exception] = []
        self.deleted: list[str] = []
        self.handed_on: list[str] = []
        self.times, self.waited_s = 1, 0.0
        self.caller = OPERATOR
        self.deletion_error: QueueError | None = None
        self.requests = 0

    def receive(self) -> list[Message]:
        self.requests += 1
        answer = self.answers.pop(0) if self.answers else []
        if isinstance(answer, Exception):
            raise answer
        return [Message(body, str(number), self.times, self.waited_s) for number, body in enumerate(answer)]

    def delete(self, messages: Sequence[Message]) -> None:
        if self.deletion_error:
            raise self.deletion_error
        self.deleted += [message.receipt for message in messages]

    def hand_on(self, messages: Sequence[Message]) -> None:
        self.handed_on += [message.receipt for message in messages]

    def get_caller(self) -> Caller:
        return self.caller


class Rig:
    """A receiver with two objects, on a clock of its own.

    :ivar dropped: of which names what was read is dropped
    :ivar asked: of which objects the region was read
    """

    def __init__(self, *objects: S3Object) -> None:
        self.now = 1000.0
        self.queue, self.names, self.metrics = Queue(), Names(), Metrics()
        self.feed = Feed(self.region_of)
        self.asked: list[Key] = []
        self.work = WorkQueue(self.clock)
        self.dropped: list[Name] = []
        self.elsewhere: set[Key] = set()
        self.caches = caches = Caches()
        self.handler = ObjectHandler(self.work, SYNC_S, caches.add_objects(), random.Random(1), names=self.names)
        for s3 in objects or (an_object(PHOTOS), an_object(VIDEOS)):
            self.handler.change("ADDED", s3)
        self.served()
        self.canary = Canary(DELAY_S, self.is_owned, self.clock)
        self.changes = Changes(
            self.queue,
            self.work,
            self.names,
            self.feed,
            self.metrics.events,
            canary=self.canary,
            forget=self.forget,
            find_keys=caches.find_keys,
            sync_period_s=SYNC_S,
            has=lambda key: key not in self.elsewhere,
            clock=self.clock,
            chance=random.Random(1),
        )

    def clock(self) -> float:
        return self.now

    def region_of(self, key: Key) -> str:
        self.asked.append(key)
        s3 = self.caches.find_object(key)
        assert s3 is not None
        return s3.region

    def is_owned(self, key: Key, name: Name) -> bool:
        return key in self.names.find(name) and key not in self.elsewhere

    def forget(self, names: Iterable[Name]) -> None:
        self.dropped += names

    def receive(self, *answer: str | Exception) -> float:
        """One request, which is answered with these messages or this error. Returns how long to wait for the next."""
        error = next((one for one in answer if isinstance(one, Exception)), None)
        self.queue.answers.append(error or [one for one in answer if isinstance(one, str)])
        return self.changes.receive()

    def served(self) -> list[tuple[Key, Lane]]:
        """What is due now; a worker serves it."""
        found = []
        while due := self.work.get(0):
            self.work.done(due[0])
            found.append(due)
        return found

    def served_in(self, seconds: float) -> int:
        """How many times something was due in this time."""
        count, end = 0, self.now + seconds
        while self.now < end:
            self.now += 1
            count += len(self.served())
        return count

    def count(self, result: Result) -> float:
        found = self.metrics.registry.get_sample_value("s3_operator_events_total", {"result": result.value})
        return found or 0.0

    @property
    def wait(self) -> float | None:
        return self.metrics.registry.get_sample_value("s3_operator_event_wait_seconds")

    @property
    def up(self) -> float | None:
        return self.metrics.registry.get_sample_value("s3_operator_event_queue_up")


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (bucket_event("PutBucketPolicy", "photos"), PHOTOS),
        (bucket_event("DeleteBucket", "videos"), VIDEOS),
        (user_event("DeleteUserPolicy", "photos-user"), PHOTOS),
        # IAM does not distinguish names by case.
        (user_event("DeleteUserPolicy", "Photos-User"), PHOTOS),
        (user_event("CreateAccessKey", "one-more"), PHOTOS),
        (user_event("CreateAccessKey", "only-in-status"), PHOTOS),
        (json.dumps(event("iam", "DeleteRole", {"roleName": "reader"})), PHOTOS),
    ],
    ids=["bucket", "deletion", "user", "case", "additional-user", "user-in-status", "role"],
)
def test_change_has_its_object_checked_at_once_and_what_was_read_of_it_is_dropped(body: str, key: Key) -> None:
    status = {
        "roleARN": f"arn:aws:iam::{ACCOUNT}:role/path/reader",
        "users": [{"username": "only-in-status", "userARN": f"arn:aws:iam::{ACCOUNT}:user/path/only-in-status"}],
    }
    rig = Rig(an_object(PHOTOS, more=["one-more"], **status), an_object(VIDEOS))
    rig.receive(body)
    assert rig.served() == [(key, Lane.RESYNC)]
    assert len(rig.dropped) == 1
    assert (rig.count(Result.CHECK), rig.queue.deleted) == (1, ["0"])


@pytest.mark.parametrize(
    ("body", "result"),
    [
        ("x", Result.MALFORMED),
        ("[" * 100_000, Result.MALFORMED),
        (bucket_event("PutBucketPolicy", "photos", recipientAccountId="210987654321"), Result.OTHER),
        (bucket_event("PutBucketPolicy", "not-managed"), Result.OTHER),
        (user_event("PutUserPolicy", "photos"), Result.OTHER),
        (bucket_event("GetBucketPolicy", "photos", readOnly=True), Result.READ_ONLY),
        (bucket_event("PutBucketPolicy", "photos", errorCode="AccessDenied"), Result.FAILED_CALL),
        (bucket_event("PutBucketPolicy", "photos", userIdentity=role_session("operator", "any")), Result.OWN),
    ],
    ids=["text", "nested", "account", "unmanaged-bucket", "unmanaged-user", "read", "failed", "own"],
)
def test_message_that_concerns_no_object_is_counted_and_deleted(body: str, result: Result) -> None:
    rig = Rig()
    rig.receive(body)
    assert rig.served() == []
    assert rig.dropped == []
    assert (rig.count(result), rig.queue.deleted) == (1, ["0"])


def test_messages_between_malformed_ones_are_taken() -> None:
    rig = Rig()
    rig.receive("x", bucket_event("PutBucketPolicy", "photos"), "[", bucket_event("PutBucketPolicy", "videos"))
    assert sorted(rig.served()) == [(VIDEOS, Lane.RESYNC), (PHOTOS, Lane.RESYNC)]
    assert (rig.count(Result.MALFORMED), len(rig.queue.deleted)) == (2, 4)


def test_operator_that_does_not_know_itself_checks_its_own_changes_too() -> None:
    rig = Rig()
    rig.queue.caller = Caller()
    rig.receive(bucket_event("PutBucketPolicy", "photos", userIdentity={"type": "AWSService"}))
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]


def test_event_that_is_delivered_again_is_only_counted() -> None:
    rig = Rig()
    body = bucket_event("PutBucketPolicy", "photos")
    for _ in range(50):
        rig.receive(body, body)
    assert rig.served_in(3600) == 1
    assert (rig.count(Result.CHECK), rig.count(Result.REPEATED)) == (1, 99)


def test_check_after_a_change_comes_before_the_periodic_checks_of_its_namespace() -> None:
    rig = Rig()
    for number in range(50):
        rig.work.add(("team", f"due-{number}"), Lane.RESYNC)
    rig.now += SYNC_S
    rig.receive(bucket_event("PutBucketPolicy", "photos"))
    assert rig.work.get(0) == (PHOTOS, Lane.RESYNC)


def test_many_changes_of_one_object_are_one_check() -> None:
    rig = Rig()
    rig.receive(*(bucket_event("PutBucketTagging", "photos") for _ in range(5)))
    rig.receive(*(user_event("TagUser", "photos-user") for _ in range(5)))
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]


def test_last_of_many_changes_is_checked_soon() -> None:
    rig = Rig()
    for _ in range(12):
        rig.receive(bucket_event("PutBucketTagging", "photos"))
        rig.served()
    rig.now += 2
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]


def test_changes_again_and_again_cost_no_more_checks_than_the_sync_period_makes() -> None:
    rig = Rig()
    checks = 0
    for _ in range(3600):
        rig.receive(*(bucket_event("PutBucketTagging", "photos") for _ in range(2)))
        checks += rig.served_in(2)
    in_sync_periods = 2 * 3600 / SYNC_S
    assert in_sync_periods / 2 < checks <= in_sync_periods + 15
    # Another object is not held up, and its change was not waited for.
    rig.receive(bucket_event("PutBucketTagging", "videos"))
    assert (VIDEOS, Lane.RESYNC) in rig.served()


def test_change_during_a_delay_drops_what_was_read_since() -> None:
    rig = Rig()
    for _ in range(7):
        rig.receive(bucket_event("PutBucketTagging", "photos"))
    rig.served()
    before = len(rig.dropped)
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    assert len(rig.dropped) == before + 1
    assert rig.count(Result.COALESCED) == 2


def test_change_after_a_check_that_came_before_the_delayed_one_is_checked() -> None:
    """The other check took the delayed one's place in the queue, and the change came after it."""
    rig = Rig()
    for _ in range(8):
        rig.receive(bucket_event("PutBucketTagging", "photos"))
        rig.served()
        rig.now += 1
    # A check for the user, or for the period, takes the place.
    rig.receive(bucket_event("PutBucketTagging", "photos"), user_event("TagUser", "photos-user"))
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    assert rig.count(Result.COALESCED) > 0
    assert rig.served() == []
    rig.now += 64
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]


@pytest.mark.parametrize("lane", [Lane.RESYNC, Lane.REPAIR])
def test_change_during_a_check_or_a_run_of_its_object_leads_to_another(lane: Lane) -> None:
    """What it has read already is older than the change."""
    rig = Rig()
    rig.work.add(PHOTOS, lane)
    assert rig.work.get(0) == (PHOTOS, lane)
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    assert rig.work.get(0) is None, "never two at once"
    rig.work.postpone(PHOTOS, Lane.RESYNC, WITH_EVENTS_S)
    rig.work.done(PHOTOS)
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]


class Stop(threading.Event):
    """Is set after some waits; ``waits``: those so far."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after
        self.waits: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        if len(self.waits) >= self._after:
            self.set()
        return self.is_set()


def test_no_message_is_received_before_the_objects_are_known() -> None:
    """It would be taken for one about something that no object owns, and deleted."""
    rig = Rig()
    rig.queue.answers = [[bucket_event("PutBucketTagging", "photos")]]
    stop = Stop(3)
    rig.changes.run(stop, lambda: len(stop.waits) == 2)
    assert (rig.count(Result.CHECK), len(stop.waits)) == (1, 3)
    rig.changes.run(Stop(3), lambda: False)
    assert rig.queue.requests == 1


def test_memory_does_not_grow_with_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "_MAX_REMEMBERED", 100)
    rig = Rig()
    for number in range(500):
        rig.receive(bucket_event("PutBucketTagging", "photos"), user_event("TagUser", f"made-up-{number}"))
    assert len(rig.changes._seen) == 100
    assert len(rig.changes._rate._due) <= 2


def with_ready(key: Key, **ready: Any) -> S3Object:
    """An object without a bucket, and with this condition; without any condition if that is empty."""
    found = an_object(key, has_bucket=False)
    return found.with_status({"conditions": [{"type": "Ready", **ready}]} if ready else {})


@pytest.mark.parametrize("ready", [{}, {"status": "False", "reason": "Pending"}], ids=["no-status", "announced"])
def test_change_during_the_first_run_of_an_object_leads_to_a_check(ready: dict[str, str]) -> None:
    """The status does not show yet what the run has created."""
    rig = Rig(with_ready(PHOTOS, **ready))
    rig.work.add(PHOTOS, Lane.FRESH)
    assert rig.work.get(0) == (PHOTOS, Lane.FRESH)
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    rig.work.done(PHOTOS)
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]
    rig.receive(user_event("TagUser", "photos-user"))
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]


def test_object_that_was_refused_is_not_checked_for_the_bucket_any_more() -> None:
    rig = Rig(with_ready(PHOTOS))
    rig.handler.change("MODIFIED", with_ready(PHOTOS, status="False", reason="Conflict"))
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    assert (rig.served(), rig.count(Result.OTHER)) == ([], 1)


def test_object_that_only_asks_for_a_bucket_is_not_checked_for_it() -> None:
    rig = Rig(an_object(PHOTOS), an_object(("attacker", "photos"), has_bucket=False))
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]


def test_message_about_an_object_of_another_replica_is_handed_on_until_it_was_received_too_often() -> None:
    rig = Rig()
    rig.elsewhere = {VIDEOS}
    messages = [bucket_event("PutBucketTagging", name) for name in ("videos", "photos", "not-managed")]
    rig.receive(*messages)
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]
    assert (rig.queue.handed_on, rig.queue.deleted) == (["0"], ["1", "2"])
    assert [name.name for name in rig.dropped] == ["photos"]
    # The shard has come here meanwhile: the message is not taken for a repeated one.
    rig.elsewhere.clear()
    rig.receive(messages[0])
    assert rig.served() == [(VIDEOS, Lane.RESYNC)]
    rig.elsewhere, rig.queue.times = {VIDEOS}, MAX_TIMES
    rig.receive(bucket_event("PutBucketTagging", "videos"))
    assert (rig.queue.handed_on, rig.count(Result.HANDED_ON)) == (["0"], 2)


def test_names_follow_the_object_until_it_is_deleted() -> None:
    rig = Rig(an_object(PHOTOS, user="one"))
    rig.handler.change("MODIFIED", an_object(PHOTOS, user="two"))
    rig.receive(user_event("TagUser", "one"))
    assert rig.served() == []
    rig.receive(user_event("TagUser", "two"))
    assert rig.served() == [(PHOTOS, Lane.RESYNC)]
    rig.handler.change("DELETED", an_object(PHOTOS, user="two"))
    rig.served()
    rig.receive(user_event("TagUser", "two"), bucket_event("PutBucketTagging", "photos"))
    assert rig.served() == []
    assert not rig.names._keys
    assert not rig.names._names


def test_longer_period_begins_with_the_first_answer_of_the_queue() -> None:
    rig = Rig()
    assert (rig.feed.coverage.is_whole, math.isnan(rig.up or 0.0)) == (False, True)
    rig.receive()
    assert (rig.feed.coverage.is_whole, rig.up) == (True, 1)


def test_one_failure_is_tolerated_and_the_second_in_a_row_is_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig()
    rig.receive()
    for _ in range(3):
        assert rig.receive(QueueError("no network")) > 1
        rig.receive()
    assert (rig.feed.coverage.is_whole, rig.served_in(2 * SYNC_S)) == (True, 0)
    caplog.clear()
    for _ in range(10):
        rig.receive(QueueError("the queue does not exist"))
    assert (rig.feed.coverage.is_whole, rig.up) == (False, 0)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert vars(caplog.records[0])["error"] == "the queue does not exist"


def test_failure_has_all_objects_checked_within_a_sync_period_spread_over_it() -> None:
    rig = Rig(*(an_object(("team", f"bucket-{number}")) for number in range(200)))
    rig.receive()
    rig.receive(QueueError("gone"))
    rig.receive(QueueError("gone"))
    assert 50 < rig.served_in(SYNC_S / 2) < 150
    assert rig.served_in(SYNC_S / 2) > 50
    assert rig.served_in(SYNC_S) == 0, "each once"


def test_way_back_is_only_after_a_sync_period_without_failure(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    rig = Rig()
    rig.receive()
    for _ in range(2):
        rig.receive(QueueError("gone"))
    rig.served_in(SYNC_S)
    for _ in range(20):
        # It works and fails in turn: neither log lines nor further checks.
        rig.receive(bucket_event("PutBucketTagging", "not-managed"))
        rig.now += SYNC_S / 2
        rig.receive(QueueError("gone"))
    assert (rig.feed.coverage.is_whole, len(caplog.records), rig.served()) == (False, 2, [])
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    assert rig.served() == [(PHOTOS, Lane.RESYNC)], "changes count in the meantime"
    rig.now += SYNC_S
    rig.receive()
    assert (rig.feed.coverage.is_whole, rig.up, len(caplog.records)) == (True, 1, 3)


def test_messages_that_waited_longer_than_a_sync_period_end_the_longer_one(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.receive()
    rig.now += SYNC_S + 1
    rig.queue.waited_s = SYNC_S
    rig.receive("x")
    assert (rig.feed.coverage.is_whole, rig.wait, caplog.records) == (True, SYNC_S, [])
    rig.queue.waited_s = SYNC_S + 1
    for _ in range(10):
        rig.receive(bucket_event("PutBucketTagging", "not-managed"))
    assert (rig.feed.coverage.is_whole, rig.up, rig.wait) == (False, 0, SYNC_S + 1)
    assert [record.message for record in caplog.records] == [
        "events of AWS arrive late: all objects are checked each sync period"
    ]
    assert vars(caplog.records[0])["waited_s"] == SYNC_S + 1
    assert "EventBridge rule" in vars(caplog.records[0])["remedy"]
    assert rig.served_in(SYNC_S) == 2, "each object is checked within one sync period"
    rig.receive()
    assert (rig.feed.coverage.is_whole, rig.wait) == (False, 0), "the longer period begins again after a sync period"
    rig.now += SYNC_S
    rig.receive()
    assert (rig.feed.coverage.is_whole, rig.up) == (True, 1)


def test_late_messages_in_turns_cost_no_more_checks_than_no_queue() -> None:
    rig = Rig()
    rig.receive()
    rig.now += SYNC_S + 1
    checks = 0
    for number in range(int(4 * SYNC_S / 10)):
        rig.queue.waited_s = (number % 2) * 2 * SYNC_S
        rig.receive(bucket_event("PutBucketTagging", "not-managed"))
        checks += rig.served_in(10)
    assert checks == 2, "those of the first end; the schedule makes the others"
    assert not rig.feed.coverage.is_whole


def test_messages_that_were_there_at_the_start_are_not_late() -> None:
    """Then all objects are checked within a sync period anyway."""
    rig = Rig()
    rig.queue.waited_s = 100 * SYNC_S
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    assert (rig.feed.coverage.is_whole, rig.wait) == (True, 100 * SYNC_S)
    rig.now += SYNC_S + 1
    rig.receive(bucket_event("PutBucketTagging", "photos"))
    assert not rig.feed.coverage.is_whole, "they have become more than the operator receives"


def test_own_change_shows_nothing_where_messages_were_late() -> None:
    """Its event may have been lost, after the queue's retention."""
    rig = Rig()
    rig.receive()
    rig.canary.note(an_object(PHOTOS), replace(READY, changed=("bucket",)), rig.now)
    rig.now += DELAY_S
    rig.queue.waited_s = SYNC_S + 1
    rig.receive("x")
    assert rig.canary.silent == {}


def test_short_sync_period_does_not_make_a_slow_request_late() -> None:
    rig = Rig()
    rig.changes._sync_period_s = 1.0
    rig.receive()
    rig.now += 3600
    rig.queue.waited_s = 60.0
    rig.receive("x")
    assert rig.feed.coverage.is_whole


def test_messages_that_cannot_be_deleted_count_and_the_queue_does_not() -> None:
    rig = Rig()
    rig.receive()
    rig.queue.deletion_error = QueueError("sqs:DeleteMessage")
    body = bucket_event("PutBucketTagging", "photos")
    for _ in range(2):
        rig.receive(body)
    assert (rig.feed.coverage.is_whole, rig.count(Result.CHECK), rig.count(Result.REPEATED)) == (False, 1, 1)


def test_queue_that_does_not_wait_for_messages_is_not_asked_in_a_loop() -> None:
    rig = Rig()
    assert rig.receive() == 1.0
    assert rig.receive("x") > 0


@pytest.mark.parametrize(
    ("outcome", "is_live", "period_s"),
    [
        (READY, True, WITH_EVENTS_S),
        (READY, False, SYNC_S),
        (Outcome(False, Reason.INVALID_SPEC, "no", Retry.SLOW), True, SYNC_S),
        (Outcome(True, Reason.READY, status={"accessKeys": [{"state": "Current"}]}), True, WITH_EVENTS_S),
        (Outcome(True, Reason.READY, status={"accessKeys": [{"state": "Overlap"}]}), True, SYNC_S),
        (Outcome(True, Reason.READY, status={"users": [{"accessKeys": [{"state": "Draining"}]}]}), True, SYNC_S),
        (Outcome(True, Reason.READY, has_old_answers=True), True, SYNC_S),
    ],
    ids=["ready", "no-events", "failed", "key", "rotation", "rotation-of-another-user", "old-answers"],
)
def test_period_is_longer_for_what_only_others_can_change(outcome: Outcome, is_live: bool, period_s: float) -> None:
    periods = Periods(SYNC_S, with_events_s=WITH_EVENTS_S)
    schedule = Schedule(periods, lambda: 0.0, random.Random(1), has_events=lambda key: key == PHOTOS and is_live)
    after = schedule.after_outcome(PHOTOS, outcome)
    assert after is not None
    assert 0.89 * period_s < after.delay_s < 1.11 * period_s


def test_period_with_events_is_never_the_shorter_one() -> None:
    schedule = Schedule(Periods(SYNC_S, with_events_s=1.0), lambda: 0.0, random.Random(1), has_events=lambda _: True)
    after = schedule.after_outcome(PHOTOS, READY)
    assert after is not None
    assert after.delay_s > SYNC_S / 2


def test_metrics_without_a_queue_show_none() -> None:
    shown = generate_latest(Metrics().registry).decode()
    assert "s3_operator_event_queue_up NaN" in shown
    assert "s3_operator_last_event_timestamp_seconds NaN" in shown
    assert "s3_operator_event_wait_seconds NaN" in shown
