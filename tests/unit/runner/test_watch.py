"""Watches: 410, dropped connections and relists; and how changes enter the queue."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest

from runner.control.handlers import REQUESTED_AT, ChildHandler, ObjectHandler
from runner.control.queue import Lane, WorkQueue
from runner.kube.cache import Cache, Caches
from runner.kube.watch import NamespaceWatch, Watcher
from runner.objects import Child, KubeObject, S3Object
from s3bucket.rotation import KEEP_OLD_KEY, ROTATE_KEY
from tests.support.fakes import FakeApi, kube_error, make_object

KEY = ("team", "photos")


class Recorder:
    """Stops the watcher at the change of the object with the name ``last``."""

    def __init__(self, stopped: threading.Event) -> None:
        self.seen: list[str] = []
        self._stopped = stopped

    def replace_all(self, found: Iterable[KubeObject]) -> None:
        self.seen.append(f"all:{len(list(found))}")

    def change(self, kind: str, found: KubeObject) -> None:
        self.seen.append(f"{kind}:{found.name}")
        if found.name == "last":
            self._stopped.set()


class StopEvent(threading.Event):
    """A stop event. Its waits return at once and are recorded. They are the pauses of the one watcher that has it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None, "a wait without a time-out would never end"
        self.waits.append(timeout)
        return self.is_set()


def follow(api: FakeApi, stopped: threading.Event | None = None) -> list[str]:
    stopped = stopped or threading.Event()
    recorder = Recorder(stopped)
    Watcher("test", api.list, api.watch, recorder, stopped).run()
    return recorder.seen


def at(version: str, name: str = "x") -> S3Object:
    return make_object(name=name, resourceVersion=version)


def test_watch_that_ends_goes_on_from_the_last_version() -> None:
    api = FakeApi([([], "1")], [[("ADDED", at("5")), ("BOOKMARK", at("9"))], [("ADDED", at("10", "last"))]])
    assert follow(api) == ["all:0", "ADDED:x", "ADDED:last"]
    assert api.watched_from == ["1", "9"]


def test_watch_that_expired_lists_again() -> None:
    api = FakeApi([([], "1"), ([at("20")], "20")], [[kube_error(410)], [("ADDED", at("21", "last"))]])
    assert follow(api) == ["all:0", "all:1", "ADDED:last"]
    assert api.watched_from == ["1", "20"]


def test_watch_that_breaks_waits_longer_each_time_and_lists_again() -> None:
    api = FakeApi([([], "1"), *[kube_error(0)] * 3, ([], "2")], [[kube_error(0)], [("ADDED", at("3", "last"))]])
    stopped = StopEvent()
    assert follow(api, stopped) == ["all:0", "all:0", "ADDED:last"]
    first, second, third, fourth = stopped.waits
    assert 0 < first < second < third < fourth


def test_watch_that_ends_at_once_is_not_asked_in_a_tight_loop() -> None:
    api = FakeApi([([], "1")], [[], [], [("ADDED", at("3", "last"))]])
    stopped = StopEvent()
    assert follow(api, stopped) == ["all:0", "ADDED:last"]
    assert len(stopped.waits) == 2
    assert min(stopped.waits) > 0


def ready_object(**metadata: Any) -> S3Object:
    condition = {"type": "Ready", "status": "True", "observedGeneration": 1}
    return make_object(**metadata).with_status({"conditions": [condition]})


def objects(cache: Cache[S3Object] | None = None) -> tuple[ObjectHandler, WorkQueue]:
    queue = WorkQueue()
    return ObjectHandler(queue, 300, cache or Cache(S3Object.from_item)), queue


def test_object_ready_before_a_restart_waits_for_its_turn_and_a_new_one_does_not() -> None:
    handler, queue = objects()
    handler.replace_all([ready_object(), make_object(name="new"), ready_object(name="going", deletionTimestamp="now")])
    served = {queue.get(0), queue.get(0), queue.get(0)}
    assert served == {(("team", "new"), Lane.FRESH), (("team", "going"), Lane.FRESH), None}


def test_own_status_write_is_ignored_and_a_generation_is_not() -> None:
    handler, queue = objects()
    handler.change("ADDED", make_object())
    assert queue.get(0) == (KEY, Lane.FRESH)
    queue.done(KEY)
    handler.change("MODIFIED", ready_object(resourceVersion="2"))
    assert queue.get(0) is None
    handler.change("MODIFIED", ready_object(generation=2))
    assert queue.get(0) == (KEY, Lane.FRESH)


@pytest.mark.parametrize("name", [REQUESTED_AT, ROTATE_KEY, KEEP_OLD_KEY])
def test_annotation_requests_a_reconcile(name: str) -> None:
    handler, queue = objects()
    handler.replace_all([ready_object()])
    handler.change("MODIFIED", ready_object(annotations={name: "now"}))
    assert queue.get(0) == (KEY, Lane.FRESH)


def test_recreated_object_is_fresh() -> None:
    handler, queue = objects()
    handler.replace_all([ready_object()])
    handler.replace_all([ready_object(uid="u2")])
    assert queue.get(0) == (KEY, Lane.FRESH)


def test_deleted_object_leaves_the_queue_and_the_cache() -> None:
    cache = Cache(S3Object.from_item)
    handler, queue = objects(cache)
    handler.change("ADDED", make_object())
    handler.change("DELETED", make_object())
    # The object is queued once more for a check that finds nothing and drops its metrics and back-offs.
    assert queue.get(0) == (KEY, Lane.RESYNC)
    queue.done(KEY)
    assert queue.get(0) is None
    assert cache.keys() == []


def test_resync_sees_the_object_as_the_watch_saw_it_last() -> None:
    caches = Caches()
    caches.add_objects()
    handler, _ = objects(caches.add_objects())
    handler.replace_all([ready_object(), ready_object(name="other")])
    handler.change("MODIFIED", ready_object(resourceVersion="7"))
    assert caches.find_object(KEY) == ready_object(resourceVersion="7")
    handler.replace_all([ready_object(name="other")])
    assert caches.find_object(KEY) is None


def child(value: str, version: str = "1") -> Child:
    owner = {"controller": True, "kind": "S3", "name": "photos"}
    metadata = {
        "namespace": "team",
        "name": "photos-iam-secret",
        "ownerReferences": [owner],
        "resourceVersion": version,
    }
    return Child({"metadata": metadata, "digests": {"AWS_SECRET_ACCESS_KEY": value}})


def children(cache: Cache[Child] | None = None) -> tuple[ChildHandler, WorkQueue]:
    queue = WorkQueue()
    handler = ChildHandler(queue, cache or Cache(Child.from_item))
    handler.replace_all([child("a")])
    return handler, queue


def test_child_is_reconciled_when_edited_or_deleted_not_when_touched() -> None:
    handler, queue = children()
    handler.change("MODIFIED", child("a", version="2"))
    assert queue.get(0) is None
    handler.change("MODIFIED", child("b"))
    # By a worker that compares it and may run the role: no worker that only checks compares it before.
    assert queue.get(0) == (KEY, Lane.REPAIR)
    queue.done(KEY)
    handler.change("DELETED", child("b"))
    assert queue.get(0) == (KEY, Lane.REPAIR)


def test_child_that_the_operator_made_is_ignored() -> None:
    handler, queue = children()
    handler.change("DELETED", child("a"))
    queue.get(0)
    queue.done(KEY)
    handler.change("ADDED", child("c"))
    assert queue.get(0) is None


def test_child_edited_without_a_watch_is_found_by_the_list() -> None:
    handler, queue = children()
    handler.replace_all([child("b")])
    assert queue.get(0) == (KEY, Lane.REPAIR)


def test_child_deleted_without_a_watch_is_found_by_the_list() -> None:
    cache = Cache(Child.from_item)
    handler, queue = children(cache)
    handler.replace_all([])
    assert queue.get(0) == (KEY, Lane.REPAIR)
    assert cache.keys() == []


class DeniedRecorder(Recorder):
    def deny(self) -> None:
        self.seen.append("denied")


def test_watch_that_is_not_allowed_goes_on_trying_and_recovers() -> None:
    # An API server that has just started also returns 403 for a moment. That is no missing permission.
    lists = [kube_error(403), ([], "1"), *[kube_error(403)] * 4, ([], "2")]
    api = FakeApi(lists, [[kube_error(403)], [("ADDED", at("3", "last"))]])
    stopped = StopEvent()
    recorder = DeniedRecorder(stopped)
    watcher = Watcher("test", api.list, api.watch, recorder, stopped)
    namespace = NamespaceWatch("team", [watcher])
    assert (namespace.is_watched, namespace.denial) == (False, "")
    watcher.run()
    assert recorder.seen == ["all:0", "denied", "all:0", "ADDED:last"]
    assert len(stopped.waits) == 6, "it pauses after each refusal"
    assert (namespace.is_watched, namespace.denial) == (True, "")


def test_child_that_may_no_longer_be_watched_is_asked_for_by_name() -> None:
    cache = Cache(Child.from_item)
    handler, queue = children(cache)
    handler.deny()
    assert cache.keys() == []
    # The objects of all children at once: the workers for runs stay free.
    assert queue.get(0) == (KEY, Lane.RESYNC)
