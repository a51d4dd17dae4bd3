"""The drift check: it has a time limit, and it distinguishes a missing resource from an unknown state."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket.outcome import Outcome, Reason, Retry
from s3bucket.role_settings import RoleSettings
from tests.support.drift import set_as_operator
from tests.support.world import CLUSTER, PROJECT, NewObject, World, deleting, requests_of

pytestmark = pytest.mark.usefixtures("_as_operator")


@pytest.fixture
def _as_operator(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    set_as_operator(world, monkeypatch)


def make_check(**arguments: Any) -> DriftCheck:
    return DriftCheck(PROJECT, RoleSettings(cluster_name=CLUSTER, iam_settle_s=0), **arguments)


def test_check_that_takes_too_long_is_given_up_and_the_next_one_has_its_own_time(
    world: World, new_object: NewObject
) -> None:
    now, step = [0.0], [40.0]

    def take_time(_: str) -> None:
        now[0] += step[0]

    cr = new_object()
    check = make_check(limit_s=120, count_call=take_time, clock=lambda: now[0])
    with requests_of(world) as requests:
        seen = check.compare(S3Object(cr))
    assert seen == Outcome(False, Reason.RUN_TIMEOUT, "the drift check was given up after 120 s", Retry.SLOW)
    assert len(requests) == 3
    step[0] = 0.0
    # Nothing was created for this object yet.
    assert check.compare(S3Object(cr)).reason is Reason.DRIFTED


def test_check_does_not_wait_for_ever_for_another_one_that_reads_all_users(world: World, new_object: NewObject) -> None:
    reads, goes_on = threading.Event(), threading.Event()

    def hold(operation: str) -> None:
        if operation == "GetAccountAuthorizationDetails":
            reads.set()
            goes_on.wait()

    cr = new_object()
    # This clock stands still. Only the wait for the lock of the other check can end.
    check = make_check(limit_s=0.2, count_call=hold, clock=lambda: 0.0)
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(check.compare, S3Object(cr))
        assert reads.wait(60)
        assert check.compare(S3Object(cr)).reason is Reason.RUN_TIMEOUT
        goes_on.set()
        assert first.result().reason is Reason.DRIFTED


def remove_bucket(world: World, cr: dict[str, Any]) -> None:
    world.s3.delete_bucket(Bucket=cr["spec"]["bucketName"])


def remove_user(world: World, cr: dict[str, Any]) -> None:
    name, wanted = cr["spec"]["iamUser"]["username"], world.wanted(cr)
    for key in world.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]:
        world.iam.delete_access_key(UserName=name, AccessKeyId=key["AccessKeyId"])
    world.iam.delete_user_policy(UserName=name, PolicyName=wanted.policy_name)
    world.iam.delete_user(UserName=name)


def remove_secret(world: World, cr: dict[str, Any]) -> None:
    world.core.delete_namespaced_secret(world.wanted(cr).secret_name, cr["metadata"]["namespace"])


def remove_service(world: World, cr: dict[str, Any]) -> None:
    world.core.delete_namespaced_service(cr["metadata"]["name"], cr["metadata"]["namespace"])


REMOVALS = {"bucket": remove_bucket, "user": remove_user, "secret": remove_secret, "service": remove_service}


@pytest.mark.parametrize("left", list(REMOVALS))
def test_object_that_owns_one_thing_is_never_taken_to_own_nothing(
    world: World, new_object: NewObject, left: str
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    check = make_check()
    for name, remove in REMOVALS.items():
        if name != left:
            remove(world, cr)
    assert check.compare_deletion(S3Object(deleting(cr))) is None
    REMOVALS[left](world, cr)
    with requests_of(world) as requests:
        assert check.compare_deletion(S3Object(deleting(cr))) == Outcome(True, Reason.READY)
    assert [request["action"] for request in requests if request["write"]] == []


def test_object_in_conflict_owns_nothing_and_the_others_things_are_left_alone(
    world: World, new_object: NewObject
) -> None:
    first = new_object()
    assert world.reconcile(first).outcome["done"]
    second = new_object(**{name: first["spec"][name] for name in ("bucketName", "iamUser")})
    seen = make_check().compare_deletion(S3Object(deleting(second)))
    assert seen is not None
    assert seen.is_done
    assert "was left alone" in seen.message
    # A run reports the same message.
    assert seen.message == world.reconcile(deleting(second)).outcome["message"]


@pytest.mark.parametrize(
    ("action", "code", "status"),
    [
        ("GetBucketTagging", "SlowDown", 503),
        ("GetUser", "AccessDenied", 403),
        ("GetCallerIdentity", "ExpiredToken", 403),
    ],
)
def test_unknown_is_not_nothing(world: World, new_object: NewObject, action: str, code: str, status: int) -> None:
    cr = new_object()
    world.aws.gate.add_fault(action, code, status=status)
    try:
        assert make_check().compare_deletion(S3Object(deleting(cr))) is None
    finally:
        world.aws.gate.clear_faults()
    assert make_check().compare_deletion(S3Object(deleting(cr))) is not None


def test_bucket_that_is_denied_is_not_nothing(world: World, new_object: NewObject) -> None:
    cr = new_object(iamUser=None)
    assert world.reconcile(cr).outcome["done"]
    remove_service(world, cr)
    world.aws.gate.add_fault("GetBucketTagging", "AccessDenied", status=403)
    try:
        assert make_check().compare_deletion(S3Object(deleting(cr))) is None
    finally:
        world.aws.gate.clear_faults()


def test_compare_deletion_that_takes_too_long_is_unknown(new_object: NewObject) -> None:
    now, cr = [0.0], deleting(new_object())

    def take_time(_: str) -> None:
        now[0] += 100

    for limit_s, is_known in ((100_000, True), (120, False)):
        check = make_check(limit_s=limit_s, count_call=take_time, clock=lambda: now[0])
        assert (check.compare_deletion(S3Object(cr)) is not None) is is_known
