"""Whether events arrive, as the events of the operator's own changes show it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from runner.control import canary
from runner.control.canary import Canary, CanaryRole
from runner.control.changes import Result
from runner.control.queue import Lane
from runner.drift.cloudtrail import Kind, Name
from runner.drift.event_queue import BATCH, Caller, Message, QueueError, delay_s_of
from runner.objects import S3Object
from s3bucket.outcome import Outcome, Reason
from tests.support.cloudtrail import bucket_event, role_session, user_event
from tests.support.fakes import READY
from tests.unit.runner.test_changes import DELAY_S, OPERATOR, PHOTOS, SYNC_S, VIDEOS, Queue, Rig, an_object

CHANGED = replace(READY, changed=("bucket", "user"))
OWN = role_session("operator", "any")
SILENT = "events of the operator's own changes do not arrive: objects are checked each sync period"


def in_region(s3: S3Object, region: str) -> S3Object:
    return S3Object({**s3.item, "spec": {**s3.spec, "region": region}})


PHOTO = in_region(an_object(PHOTOS), "us-east-1")
VIDEO = in_region(an_object(VIDEOS), "eu-central-1")


def a_rig() -> Rig:
    rig = Rig(PHOTO, VIDEO)
    rig.receive()
    return rig


def change(rig: Rig, s3: S3Object = PHOTO, outcome: Outcome = CHANGED) -> None:
    rig.canary.note(s3, outcome, rig.now)


def is_live_later(rig: Rig) -> bool:
    """Whether the longer period holds after the limit, with a request for messages each minute."""
    end = rig.now + DELAY_S
    while rig.now < end:
        rig.now += 60
        rig.receive()
    return rig.feed.coverage.is_whole


def test_own_change_without_an_event_within_the_limit_ends_the_longer_period(caplog: pytest.LogCaptureFixture) -> None:
    rig = a_rig()
    caplog.clear()
    change(rig)
    rig.now += DELAY_S - 1
    rig.receive()
    assert (rig.feed.coverage.is_whole, rig.up, caplog.records) == (True, 1, [])
    rig.now += 1
    rig.receive()
    rig.receive()
    assert (rig.feed.coverage.is_whole, rig.up) == (False, 0)
    assert [record.message for record in caplog.records] == [SILENT]
    fields = vars(caplog.records[0])
    assert (fields["region"], fields["bucket"]) == ("us-east-1", "photos")
    for remedy in ("trail", "EventBridge rule", "queue"):
        assert remedy in fields["remedy"]
    assert rig.served_in(SYNC_S) == 2, "each object is checked within one sync period"


@pytest.mark.parametrize(
    "body",
    [
        bucket_event("PutBucketPolicy", "photos", userIdentity=OWN),
        bucket_event("PutBucketPolicy", "photos"),
        bucket_event("PutBucketPolicy", "not-managed"),
        bucket_event("CreateBucket", "photos", awsRegion="aws-global"),
    ],
    ids=["own", "of-others", "other-bucket-of-the-region", "region-of-another-name"],
)
def test_event_of_a_bucket_of_the_region_shows_that_events_arrive(body: str) -> None:
    rig = a_rig()
    change(rig)
    rig.receive(body)
    assert is_live_later(rig)


@pytest.mark.parametrize(
    "body",
    [
        user_event("PutUserPolicy", "photos-user", userIdentity=OWN),
        bucket_event("PutBucketPolicy", "videos", awsRegion="eu-central-1"),
        bucket_event("GetBucketPolicy", "photos", readOnly=True),
        bucket_event("PutBucketPolicy", "photos", errorCode="AccessDenied"),
        bucket_event("PutObject", "photos", managementEvent=False, eventCategory="Data"),
        bucket_event("PutBucketPolicy", "photos", recipientAccountId="210987654321"),
        "x",
    ],
    ids=["iam", "other-region", "read", "failed", "data-event", "other-account", "malformed"],
)
def test_what_does_not_come_the_same_way_shows_nothing(body: str) -> None:
    rig = a_rig()
    change(rig)
    rig.receive(body)
    assert not is_live_later(rig)


def test_s3_event_without_a_bucket_shows_nothing() -> None:
    heard = Canary(DELAY_S, lambda *_: True, lambda: 0.0)
    heard.note(PHOTO, CHANGED, 0.0)
    heard.hear("us-east-1", [Name.of(Kind.USER, "photos-user")])
    assert heard.find_silent(DELAY_S)


def test_event_that_comes_before_the_run_ends_counts() -> None:
    rig = a_rig()
    started = rig.now
    rig.now += 10
    rig.receive(bucket_event("CreateBucket", "photos", userIdentity=OWN))
    rig.now += 10
    rig.canary.note(PHOTO, CHANGED, started)
    assert is_live_later(rig)


def test_event_of_before_the_run_does_not_count() -> None:
    rig = a_rig()
    rig.receive(bucket_event("CreateBucket", "photos", userIdentity=OWN))
    rig.now += 1
    change(rig)
    assert not is_live_later(rig)


@pytest.mark.parametrize(
    ("s3", "outcome"),
    [
        (PHOTO, READY),
        (PHOTO, replace(READY, changed=("user", "user_policy", "access_key", "secret", "service", "role"))),
        (PHOTO, replace(Outcome.failure(Reason.ACCESS_DENIED, "no"), changed=("bucket",))),
        (S3Object({**PHOTO.item, "metadata": {**PHOTO.metadata, "deletionTimestamp": "now"}}), CHANGED),
    ],
    ids=["no-change", "no-change-of-a-bucket", "failed", "deletion"],
)
def test_run_that_changed_no_bucket_shows_nothing(s3: S3Object, outcome: Outcome) -> None:
    rig = a_rig()
    change(rig, s3, outcome)
    assert is_live_later(rig)


def test_nothing_is_concluded_without_an_own_change_or_where_it_is_turned_off() -> None:
    rig = a_rig()
    rig.now += 100 * DELAY_S
    rig.receive()
    assert rig.feed.coverage.is_whole
    off = Canary(0.0, lambda *_: True, lambda: 0.0)
    off.note(PHOTO, CHANGED, 0.0)
    assert off.find_silent(1e9) == []
    assert not off._changed


def test_object_that_was_deleted_or_is_another_replicas_shows_nothing() -> None:
    rig = a_rig()
    change(rig)
    change(rig, VIDEO)
    rig.handler.change("DELETED", PHOTO)
    rig.elsewhere = {VIDEOS}
    assert is_live_later(rig)


def test_region_that_reports_does_not_hide_one_that_does_not_and_only_that_one_ends_it() -> None:
    rig = a_rig()
    change(rig)
    change(rig, VIDEO)
    rig.receive(bucket_event("PutBucketPolicy", "photos"))
    assert not is_live_later(rig)
    rig.receive(bucket_event("PutBucketPolicy", "photos"), user_event("PutUserPolicy", "videos-user"))
    assert (rig.feed.coverage.is_whole, rig.up) == (False, 0)
    rig.receive(bucket_event("PutBucketPolicy", "not-managed", awsRegion="eu-central-1"))
    assert (rig.feed.coverage.is_whole, rig.up) == (True, 1), "at once, as the queue works"


def test_silence_of_a_region_ends_the_longer_period_of_its_objects_only(caplog: pytest.LogCaptureFixture) -> None:
    """Whoever may create objects may choose a region that has no rule."""
    rig = a_rig()
    change(rig, VIDEO)
    rig.now += DELAY_S
    rig.receive()
    assert (rig.up, rig.feed.coverage.has("eu-central-1"), rig.feed.coverage.has("us-east-1")) == (0, False, True)
    assert vars(caplog.records[-1])["objects"] == "those of the region"
    due = set()
    for _ in range(int(SYNC_S)):
        rig.now += 1
        due |= {key for key, _ in rig.served()}
    assert due == {VIDEOS}
    change(rig, PHOTO)
    rig.now += DELAY_S
    rig.receive()
    assert not rig.feed.coverage.has("ap-south-1"), "the events of IAM come from us-east-1"
    assert vars(caplog.records[-1])["objects"] == "all"
    rig.receive(bucket_event("PutBucketPolicy", "photos"))
    assert (rig.feed.coverage.has("eu-central-1"), rig.feed.coverage.has("us-east-1")) == (False, True)


def test_region_of_an_object_is_read_only_where_one_is_silent() -> None:
    """The question is asked after each check, and the answer is in the informer cache."""
    rig = Rig(PHOTO, VIDEO)
    assert not rig.feed.has(VIDEOS)
    rig.receive()
    assert rig.feed.has(VIDEOS)
    assert rig.asked == []
    change(rig, VIDEO)
    rig.now += DELAY_S
    rig.receive()
    rig.asked.clear()
    assert (rig.feed.has(VIDEOS), rig.feed.has(PHOTOS)) == (False, True)
    assert rig.asked == [VIDEOS, PHOTOS]


@pytest.mark.parametrize("region", ["us-gov-west-1", "cn-north-1"])
def test_silence_of_the_region_with_the_events_of_iam_concerns_all_objects(region: str) -> None:
    rig = Rig(
        in_region(PHOTO, region), in_region(VIDEO, region.replace("west", "east").replace("north-1", "northwest-1"))
    )
    rig.receive()
    change(rig, in_region(PHOTO, region))
    rig.now += DELAY_S
    rig.receive()
    assert rig.served_in(SYNC_S) == 2


def test_region_stays_silent_when_the_object_that_showed_it_is_deleted() -> None:
    rig = a_rig()
    change(rig)
    assert not is_live_later(rig)
    rig.handler.change("DELETED", PHOTO)
    assert not is_live_later(rig)
    rig.receive(bucket_event("DeleteBucket", "photos", userIdentity=OWN))
    assert rig.feed.coverage.is_whole


def test_backlog_is_received_before_anything_is_concluded() -> None:
    rig = a_rig()
    change(rig)
    rig.now += 2 * DELAY_S
    rig.receive(*(user_event("TagUser", f"one-{number}") for number in range(BATCH)))
    assert rig.feed.coverage.is_whole
    rig.receive(bucket_event("CreateBucket", "photos", userIdentity=OWN))
    assert is_live_later(rig)


class SleepyQueue(Queue):
    """The process is stopped while it waits for an answer, which was given before."""

    def __init__(self, rig: Rig) -> None:
        super().__init__()
        self.rig = rig

    def receive(self) -> list[Message]:
        self.rig.now += 2 * DELAY_S
        return []


def test_process_that_was_stopped_asks_again_before_anything_is_concluded() -> None:
    rig = a_rig()
    change(rig)
    queue, rig.changes._queue = rig.changes._queue, SleepyQueue(rig)
    rig.receive()
    assert rig.feed.coverage.is_whole
    rig.changes._queue = queue
    rig.receive(bucket_event("CreateBucket", "photos", userIdentity=OWN))
    assert is_live_later(rig)


def test_queue_that_failed_shows_nothing_about_changes_of_before(caplog: pytest.LogCaptureFixture) -> None:
    rig = a_rig()
    change(rig)
    for _ in range(2):
        rig.receive(QueueError("gone"))
    rig.receive()
    assert is_live_later(rig)
    assert SILENT not in caplog.messages


def test_queue_that_fails_in_a_silent_region_is_reported_and_both_must_end(caplog: pytest.LogCaptureFixture) -> None:
    rig = a_rig()
    change(rig)
    assert not is_live_later(rig)
    caplog.clear()
    for _ in range(3):
        rig.receive(QueueError("gone"))
    assert [vars(record)["error"] for record in caplog.records] == ["gone"]
    rig.receive(bucket_event("PutBucketPolicy", "photos"))
    assert not rig.feed.coverage.is_whole, "the queue has not worked for a sync period"
    rig.now += SYNC_S
    rig.receive()
    assert rig.feed.coverage.is_whole


def test_own_event_is_handed_on_to_the_replica_that_waits_for_it() -> None:
    rig = a_rig()
    rig.elsewhere = {VIDEOS}
    rig.receive(
        bucket_event("CreateBucket", "videos", userIdentity=OWN),
        bucket_event("CreateBucket", "photos", userIdentity=OWN),
        user_event("CreateUser", "videos-user", userIdentity=OWN),
    )
    assert (rig.queue.handed_on, rig.queue.deleted) == (["0"], ["1", "2"])
    assert (rig.count(Result.HANDED_ON), rig.count(Result.OWN)) == (1, 2)
    assert rig.served() == []


def test_memory_does_not_grow_with_regions_in_messages_or_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(canary, "_MAX_CHANGES", 50)
    rig = a_rig()
    for number in range(500):
        rig.receive(bucket_event("PutBucketPolicy", "not-managed", awsRegion=f"made-up-{number}"))
        change(rig, in_region(an_object(("team", f"bucket-{number}")), "eu-west-1"))
    assert len(rig.canary._heard) == 100
    assert len(rig.canary._changed["eu-west-1"]) == 50


def test_event_without_a_region_is_a_change_of_its_bucket() -> None:
    rig = a_rig()
    change(rig, PHOTO)
    rig.receive(bucket_event("PutBucketPolicy", "photos", awsRegion=None))
    assert (rig.count(Result.CHECK), rig.served()) == (1, [(PHOTOS, Lane.RESYNC)])
    assert is_live_later(rig)
    assert rig.canary._heard == {}


class Job:
    """Takes ten seconds."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig

    def run(self, s3: S3Object) -> Outcome:
        self.rig.receive(bucket_event("CreateBucket", s3.bucket_name, userIdentity=OWN))
        self.rig.now += 10
        return CHANGED


def test_role_notes_its_changes_from_the_start_of_the_run() -> None:
    rig = a_rig()
    assert CanaryRole(Job(rig), rig.canary).run(PHOTO) is CHANGED
    assert is_live_later(rig)
    assert CanaryRole(Job(rig), rig.canary).run(VIDEO) is CHANGED
    assert not is_live_later(rig)


class Network:
    """A queue, and replicas that ask in any order. One object of each, and nothing else happens in the account."""

    def __init__(self, count: int, seed: int) -> None:
        self.now, self.chance = 1000.0, random.Random(seed)
        self.objects = [in_region(an_object(("team", f"bucket-{number}")), "us-east-1") for number in range(count)]
        self.replicas: list[Rig] = []
        # When each message becomes visible, its text, and how often it was received.
        self.messages: list[tuple[float, str, int]] = []
        self.paused: set[Rig] = set()
        for s3 in self.objects:
            self.replicas.append(self._make(s3))

    def _make(self, s3: S3Object) -> Rig:
        rig = Rig(*self.objects)
        rig.elsewhere = {other.key for other in self.objects} - {s3.key}
        rig.canary._has = lambda key: key not in rig.elsewhere
        rig.canary._clock = rig.changes._clock = lambda: self.now
        rig.changes._queue = Asked(self)
        return rig

    def pass_time(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            # A request waits for a message: each replica asks all the time.
            is_busy = any(visible_at <= self.now for visible_at, _, _ in self.messages)
            self.now += 0.1 if is_busy else min(20.0, end - self.now)
            for rig in self.chance.sample(self.replicas, len(self.replicas)):
                if rig not in self.paused:
                    others = (other for other in self.replicas if other is not rig)
                    rig.canary.note_others({region for other in others for region in other.canary.own_regions()})
                    rig.changes.receive()

    def silent(self) -> list[bool]:
        return [bool(rig.canary.silent) for rig in self.replicas]


class Asked:
    """The queue of a network, as one replica sees it."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def get_caller(self) -> Caller:
        return OPERATOR

    def receive(self) -> list[Message]:
        found = [one for one in self.network.messages if one[0] <= self.network.now]
        self.network.messages = [one for one in self.network.messages if one not in found]
        return [Message(body, body, times + 1) for _, body, times in found]

    def delete(self, messages: Sequence[Message]) -> None:
        pass

    def hand_on(self, messages: Sequence[Message]) -> None:
        now = self.network.now
        self.network.messages += [(now + delay_s_of(one.times), one.body, one.times) for one in messages]


@pytest.mark.parametrize("count", [1, 4, 16])
@pytest.mark.parametrize("seed", range(3))
def test_rule_that_works_is_never_silent_for_any_of_several_replicas(count: int, seed: int) -> None:
    """Most messages about a replica's changes arrive at others first."""
    network = Network(count, seed)
    network.pass_time(60)
    for rig, s3 in zip(network.replicas, network.objects, strict=True):
        rig.canary.note(s3, CHANGED, network.now)
        network.messages.append((network.now + 300, bucket_event("CreateBucket", s3.key[1], userIdentity=OWN), 0))
    network.pass_time(DELAY_S + 60)
    assert network.messages == []
    assert network.silent() == [False] * count


def test_event_waits_for_a_replica_that_does_not_ask_for_some_minutes() -> None:
    """The others receive it again and again meanwhile, and must not use up its attempts."""
    network = Network(4, 1)
    rig, s3 = network.replicas[0], network.objects[0]
    rig.canary.note(s3, CHANGED, network.now)
    network.messages.append((network.now, bucket_event("CreateBucket", s3.key[1], userIdentity=OWN), 0))
    network.paused = {rig}
    network.pass_time(600)
    network.paused.clear()
    network.pass_time(DELAY_S)
    assert network.messages == []
    assert network.silent() == [False] * 4


def test_disabled_rule_that_one_replica_finds_concerns_the_objects_of_all() -> None:
    """Also those of a replica that changes nothing."""
    network = Network(4, 1)
    network.replicas[0].canary.note(network.objects[0], CHANGED, network.now)
    network.pass_time(DELAY_S + 60)
    assert network.silent() == [True, False, False, False]
    assert [rig.feed.coverage.is_whole for rig in network.replicas] == [False] * 4
    assert [rig.up for rig in network.replicas] == [0] * 4
    # The rule works again.
    heard = ("us-east-1", [Name.of(Kind.BUCKET, "not-managed")])
    network.replicas[1].canary.hear(*heard)
    network.pass_time(60)
    assert [rig.feed.coverage.is_whole for rig in network.replicas] == [False, True, False, False]
    network.replicas[0].canary.hear(*heard)
    network.pass_time(60)
    assert [rig.feed.coverage.is_whole for rig in network.replicas] == [True] * 4


def test_region_that_another_replica_finds_silent_again_after_an_event_is_silent() -> None:
    rig = a_rig()
    for _ in range(2):
        rig.canary.note_others(["eu-west-1"])
        rig.now += 1
        rig.receive()
        assert rig.feed.coverage.silent == {"eu-west-1"}
        rig.receive(bucket_event("PutBucketPolicy", "not-managed", awsRegion="eu-west-1"))
        rig.canary.note_others(["eu-west-1"])
        rig.receive()
        assert rig.feed.coverage.is_whole, "it had an event since"
        rig.canary.note_others([])
        rig.now += 1


def test_object_that_another_replica_had_meanwhile_shows_nothing() -> None:
    """Its event went there, and was counted as an own one."""
    network = Network(2, 1)
    rig, other, s3 = network.replicas[0], network.replicas[1], network.objects[0]
    rig.canary.note(s3, CHANGED, network.now)
    rig.elsewhere.add(s3.key)
    other.elsewhere.remove(s3.key)
    network.messages.append((network.now + 30, bucket_event("CreateBucket", s3.key[1], userIdentity=OWN), 0))
    network.pass_time(60)
    rig.elsewhere.remove(s3.key)
    other.elsewhere.add(s3.key)
    network.pass_time(DELAY_S + 60)
    assert network.silent() == [False, False]


def test_own_event_that_comes_before_the_status_of_a_new_bucket_is_handed_on() -> None:
    rig = a_rig()
    new = an_object(("team", "new"), has_bucket=False)
    rig.elsewhere = {new.key}
    rig.changes._find_naming = lambda bucket: [new] if bucket == "new" else []
    rig.receive(*(bucket_event("CreateBucket", name, userIdentity=OWN) for name in ("new", "not-managed")))
    assert (rig.queue.handed_on, rig.queue.deleted) == (["0"], ["1"])
