"""Which IAM users count as orphans, and when their access keys are deactivated."""

from __future__ import annotations

import logging
import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest

from runner.control.metrics import Metrics
from runner.control.orphans import GRACE_S, Orphans
from runner.kube.client import KubeError
from runner.objects import Key, Owned, ReadError, S3Object
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import READY, FakeWork, kube_error

PERIOD_S = 300.0
USER = Owned("user", "reader", "team", "photos", "u1", "photos-bucket", "us-east-1")


def item(username: str = "reader", **metadata: Any) -> S3Object:
    return S3Object({"metadata": {"uid": "u2", **metadata}, "spec": {"iamUser": {"username": username}}})


class Place:
    """Users in AWS and S3 objects in Kubernetes. Each step reads both again."""

    namespaces: tuple[str | None, ...] = (None,)

    def __init__(self, *users: Owned, policy: str = "Deactivate") -> None:
        self.now = 0.0
        self.users: list[Owned] | None = list(users)
        self.error: Exception | None = None
        self.objects: dict[Key, S3Object] = {}
        self.seen: dict[Key, S3Object] | None = None
        self.kube_error: KubeError | None = None
        self.inactive: set[str] = set()
        self.deactivated: list[str] = []
        self.outcomes: list[Outcome] = []
        self.metrics = Metrics()
        deactivate = self._deactivate if policy == "Deactivate" else None
        self.orphans = Orphans(self, self, self.metrics, self._find_seen, deactivate, clock=lambda: self.now)

    def _find_seen(self, key: Key) -> S3Object | None:
        return (self.objects if self.seen is None else self.seen).get(key)

    def find_object(self, namespace: str, name: str) -> S3Object | None:
        if self.kube_error:
            raise self.kube_error
        return self.objects.get((namespace, name))

    def find_users(self) -> tuple[float, list[Owned]] | None:
        if self.error:
            raise self.error
        return None if self.users is None else (self.now, self.users)

    def has_active_key(self, user: Owned) -> bool:
        return user.name not in self.inactive

    def _deactivate(self, user: Owned) -> Outcome:
        self.deactivated.append(user.name)
        return self.outcomes.pop(0) if self.outcomes else READY

    def step(self, number: int = 1) -> None:
        for _ in range(number):
            self.orphans.search()
            self.now += PERIOD_S

    def metric(self, kind: str = "user") -> float:
        mark = f's3_operator_orphans{{kind="{kind}"}} '
        lines = generate_latest(self.metrics.registry).decode().splitlines()
        return next(float(line.removeprefix(mark)) for line in lines if line.startswith(mark))


def test_key_of_an_orphan_is_deactivated_once_after_the_grace_period(caplog: pytest.LogCaptureFixture) -> None:
    place = Place(USER)
    place.step(2)
    assert (place.metric(), place.metric("bucket"), place.deactivated) == (1, 1, [])
    assert place.now == GRACE_S
    place.step(5)
    assert place.deactivated == ["reader"]
    assert place.metric() == 1, "the user is still there"
    lines = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert lines == [
        "IAM user is orphaned: its S3 object no longer exists",
        "keys of an orphaned IAM user were deactivated",
    ]


def test_orphan_that_is_deleted_is_no_longer_counted() -> None:
    place = Place(USER)
    place.step(2)
    place.users = []
    place.step()
    assert (place.metric(), place.metric("bucket")) == (0, 0)


def test_report_policy_only_reports() -> None:
    place = Place(USER, policy="Report")
    place.step(10)
    assert (place.metric(), place.deactivated) == (1, [])


@pytest.mark.parametrize(
    "found",
    [item(), item(deletionTimestamp="now"), item(uid="another")],
    ids=["there", "being-deleted", "created-again"],
)
def test_user_that_an_object_names_is_no_orphan(found: S3Object) -> None:
    place = Place(USER)
    place.objects[USER.key] = found
    place.step(10)
    assert (place.metric(), place.deactivated) == (0, [])


def test_object_that_was_created_again_with_another_user_leaves_an_orphan() -> None:
    place = Place(USER)
    place.objects[USER.key] = item("another")
    place.step(10)
    assert place.deactivated == ["reader"]


def test_orderly_deletion_between_two_reads_is_no_orphan(caplog: pytest.LogCaptureFixture) -> None:
    place = Place(USER)
    place.step()
    place.users = []
    place.step(5)
    assert place.metric() == 0
    assert caplog.records == []


def test_reads_of_one_time_count_once() -> None:
    place = Place(USER)
    for _ in range(5):
        place.orphans.search()
    assert place.metric() == 0


@pytest.mark.parametrize("status", [403, 500, 0])
def test_object_that_kubernetes_does_not_show_is_not_taken_as_missing(status: int) -> None:
    place = Place(USER)
    place.kube_error = kube_error(status)
    place.step(10)
    assert (place.metric(), place.deactivated) == (0, [])


def test_object_that_kubernetes_stops_showing_starts_the_grace_period_anew() -> None:
    place = Place(USER)
    place.step(2)
    place.kube_error = kube_error(403)
    place.step()
    place.kube_error = None
    place.step()
    assert place.deactivated == []
    place.step(2)
    assert place.deactivated == ["reader"]


def test_object_that_only_the_cache_lacks_keeps_its_key() -> None:
    place = Place(USER)
    place.seen = {}
    place.objects[USER.key] = item()
    place.step(10)
    assert (place.metric(), place.deactivated) == (0, [])


def test_user_of_a_namespace_that_is_not_watched_is_left_alone() -> None:
    place = Place(USER, replace(USER, name="other", namespace="elsewhere"))
    place.namespaces = ("elsewhere", "third")
    place.step(10)
    assert place.deactivated == ["other"]


def test_users_that_are_not_read_change_nothing_and_are_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    place = Place(USER)
    place.step(2)
    place.error = ReadError("AccessDenied: iam:GetAccountAuthorizationDetails")
    place.step(3)
    assert math.isnan(place.metric())
    assert place.deactivated == []
    reports = [record for record in caplog.records if record.message == "orphans are not known"]
    assert len(reports) == 1
    place.error = None
    place.step()
    assert (place.metric(), place.deactivated) == (1, ["reader"])


def test_period_in_which_all_users_are_not_read_changes_nothing() -> None:
    place = Place(USER)
    place.step(2)
    users, place.users = place.users, None
    place.step()
    assert (place.metric(), place.deactivated) == (1, [])
    place.users = users
    place.step()
    assert place.deactivated == ["reader"]


def test_orphan_without_an_active_key_needs_no_run() -> None:
    place = Place(USER)
    place.inactive = {"reader"}
    place.step(10)
    assert (place.metric(), place.deactivated) == (1, [])


def test_deactivation_that_fails_is_tried_again() -> None:
    place = Place(USER)
    place.outcomes = [Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT)]
    place.step(10)
    assert place.deactivated == ["reader", "reader"]


def users_in(count: int, served: int) -> list[Owned]:
    """Orphans in the first ``count`` of the ``served`` namespaces. The other namespaces have objects."""
    return [replace(USER, name=f"user-{number}", namespace=f"ns-{number}") for number in range(served)][:count]


@pytest.mark.parametrize(
    ("missing", "served", "is_held"), [(1, 1, False), (3, 3, False), (4, 8, False), (4, 4, True), (5, 8, True)]
)
def test_keys_stay_active_when_objects_are_missing_in_most_namespaces(
    caplog: pytest.LogCaptureFixture, missing: int, served: int, is_held: bool
) -> None:
    """During a restore, or with another cluster's name, the cluster lacks the objects of users that are in use."""
    place = Place(*users_in(served, served))
    for user in users_in(served, served)[missing:]:
        place.objects[user.key] = item(user.name)
    place.step(10)
    assert place.metric() == missing
    assert len(place.deactivated) == (0 if is_held else missing)
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == is_held


def test_many_orphans_of_one_namespace_hold_back_nothing() -> None:
    users = [replace(USER, name=f"user-{number}") for number in range(50)]
    place = Place(*users)
    place.step(4)
    assert len(place.deactivated) == 50


def test_search_waits_until_the_caches_are_filled_and_survives_any_error() -> None:
    place, turns = Place(USER), iter([False, True, True])
    calls: list[str] = []

    class Stopped:
        def wait(self, period_s: float) -> bool:
            calls.append("wait")
            return len(calls) > 3

    def fail() -> Any:
        raise RuntimeError("unforeseen")

    place.find_users = fail  # type: ignore[method-assign]
    place.orphans.run(Stopped(), lambda: next(turns), PERIOD_S)  # type: ignore[arg-type]
    assert calls == ["wait"] * 4


def test_replica_without_the_common_shard_searches_nothing_and_shows_nothing() -> None:
    place, searches, work = Place(USER), [True, False], FakeWork()
    work.working = lambda uid: nullcontext(enter_result=searches.pop(0) and not uid)  # type: ignore[method-assign]
    place.orphans._work = work

    class Stopped:
        def wait(self, period_s: float) -> bool:
            return not searches

    place.orphans.run(Stopped(), lambda: True, PERIOD_S)  # type: ignore[arg-type]
    assert "s3_operator_orphans{" not in generate_latest(place.metrics.registry).decode()
    place.error = AssertionError("nothing is read")
    searches.append(False)
    place.orphans.run(Stopped(), lambda: True, PERIOD_S)  # type: ignore[arg-type]


def test_what_was_read_while_the_common_shard_was_given_up_is_dropped() -> None:
    """A search that waits for AWS does not keep the shard. The replica that has it now searches by itself."""
    place, work = Place(USER), FakeWork()
    place.orphans._work = work
    find_users = place.find_users
    place.find_users = lambda: work.lose() or find_users()  # type: ignore[method-assign, func-returns-value]
    place.step(4)
    assert place.deactivated == []
    assert "s3_operator_orphans{" not in generate_latest(place.metrics.registry).decode()
    assert work.order.count("reading ") == 4
