"""AWS denies or throttles each action of a comparison and a creation, one after the other.

An unknown state never counts as a missing resource: nothing is created again, no second access key is issued, and
nothing but the object's own bucket and user is written to. The object continues where it stopped once AWS answers
normally.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.config import Config

from s3bucket.errors import ReconcileError
from s3bucket.observe import Sources, observe, observe_deletion
from s3bucket.read import PerUserReader, read_all_users
from s3bucket.spec import Wanted
from tests.role.hasty import HastyWorld
from tests.support.world import NewObject, World, deleting, requests_of

_ONCE = Config(retries={"total_max_attempts": 1})
# The errors of AWS for requests to S3, IAM and STS. A HEAD response has only the status, and no error code.
DENIED = {"s3": ("AccessDenied", 403), "iam": ("AccessDenied", 403), "sts": ("AccessDenied", 403)}
THROTTLED = {"s3": ("SlowDown", 503), "iam": ("Throttling", 400), "sts": ("Throttling", 400)}
CODES = pytest.mark.parametrize(
    ("codes", "reason"), [(DENIED, "AccessDenied"), (THROTTLED, "Throttled")], ids=["denied", "throttled"]
)


@pytest.fixture(scope="module")
def hasty(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HastyWorld]:
    made = HastyWorld(world.kubeconfig, world.aws, tmp_path_factory.mktemp("hasty"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def make(world: World, new_name: Callable[[str], str]) -> NewObject:
    """Creates objects that need every write that exists."""
    namespace = new_name("ns")
    world.make_namespace(namespace)

    def make_one(**spec: Any) -> dict[str, Any]:
        bucket = new_name("bucket")
        allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        given = {
            "region": "us-east-1", "bucketName": bucket, "iamUser": {"username": new_name("user")},
            "bucketACL": "public-read", "bucketPolicy": json.dumps({"Version": "2012-10-17", "Statement": [allow]}),
            "enableObjectLock": True, "enableVersioning": True, "enableTransferAcceleration": True,
        }  # fmt: skip
        return world.make_object(namespace, new_name("cr"), {**given, **spec})

    return make_one


@pytest.fixture(scope="module")
def created(hasty: HastyWorld, make: NewObject) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """An object that was created without errors, and the writes of its creation in order."""
    cr = make()
    with requests_of(hasty) as requests:
        run = hasty.reconcile(cr)
    assert run.outcome["done"], run.output
    return cr, [request for request in requests if request["write"]]


def fail(world: World, cr: dict[str, Any], request: dict[str, Any], codes: dict[str, tuple[str, int]]) -> None:
    """Let AWS reject one action on the object."""
    code, status = codes[request["service"]]
    match = {"user": cr["spec"]["iamUser"]["username"]} if request["service"] == "iam" else {}
    match = {"bucket": cr["spec"]["bucketName"]} if request["bucket"] else match
    world.aws.gate.add_fault(request["action"], code, status=status, **match)


def keys_of(world: World, cr: dict[str, Any]) -> list[str]:
    try:
        listed = world.iam.list_access_keys(UserName=cr["spec"]["iamUser"]["username"])["AccessKeyMetadata"]
    except world.iam.exceptions.NoSuchEntityException:
        return []
    return [key["AccessKeyId"] for key in listed]


def refusal_of(compare: Callable[..., Any], wanted: Wanted, sources: Sources, action: str) -> tuple[str, str]:
    """The reason and the retry of a comparison for which AWS rejects an action."""
    try:
        seen = compare(wanted, sources)
        if seen.deferred:
            raise seen.deferred[0]
    except ReconcileError as refusal:
        is_named = action.replace("HeadBucket", "s3:ListBucket") in refusal.message
        return refusal.reason, refusal.retry if is_named else f"does not name {action}"
    return "not refused", f"differs: {seen.differs}"


@pytest.mark.parametrize(("compare", "minimum"), [(observe, 15), (observe_deletion, 3)], ids=["present", "deletion"])
@CODES
def test_read_that_fails_is_reported_and_nothing_is_taken_as_absent(
    world: World,
    created: tuple[dict[str, Any], list[Any]],
    compare: Callable[..., Any],
    minimum: int,
    codes: dict[str, tuple[str, int]],
    reason: str,
) -> None:
    cr = created[0]
    s3, iam, sts = (world.aws.client(service, config=_ONCE) for service in ("s3", "iam", "sts"))
    sources = dataclasses.replace(world.sources(), s3=s3, users=PerUserReader(iam), sts=sts)
    wanted = world.wanted(cr if compare is observe else deleting(cr))
    with requests_of(world) as requests:
        compare(wanted, sources)
    reads = {request["action"]: request for request in requests}
    assert len(reads) >= minimum, sorted(reads)
    reasons: dict[str, tuple[str, str]] = {}
    with requests_of(world) as requests:
        for action, request in reads.items():
            fail(world, cr, request, codes)
            reasons[action] = refusal_of(compare, wanted, sources, action)
            world.aws.gate.clear_faults()
    assert reasons == dict.fromkeys(reads, (reason, "transient"))
    assert [request["action"] for request in requests if request["write"]] == []


@CODES
def test_read_of_all_users_that_fails_is_reported(world: World, codes: dict[str, tuple[str, int]], reason: str) -> None:
    code, status = codes["iam"]
    world.aws.gate.add_fault("GetAccountAuthorizationDetails", code, status=status)
    try:
        with pytest.raises(ReconcileError) as refused:
            read_all_users(world.aws.client("iam", config=_ONCE))
    finally:
        world.aws.gate.clear_faults()
    assert (refused.value.reason, refused.value.retry) == (reason, "transient")


@CODES
def test_write_that_fails_is_reported_and_the_next_run_goes_on_from_there(
    hasty: HastyWorld,
    make: NewObject,
    created: tuple[dict[str, Any], list[dict[str, Any]]],
    codes: dict[str, tuple[str, int]],
    reason: str,
) -> None:
    """One object: each run gets past the action that failed in the run before, and fails at the next one.

    The access key does not depend on the bucket's settings, so CreateAccessKey fails together with them.
    """
    cr, writes = make(), {request["action"]: request for request in created[1]}
    assert len(writes) > 10
    reasons: dict[str, tuple[str, str]] = {}
    with requests_of(hasty) as requests:
        for action, request in writes.items():
            failing = {action, "CreateAccessKey"} if request["service"] == "s3" else {action}
            for failed in failing:
                fail(hasty, cr, writes[failed], codes)
            try:
                outcome = hasty.reconcile(cr).outcome
            finally:
                hasty.aws.gate.clear_faults()
            reasons[action] = outcome["reason"], outcome["retry"]
            # The message names an action that failed. Where a response could contain a key, it may name the task.
            is_named = any(failed in outcome["message"] for failed in failing)
            assert is_named or outcome["message"].startswith("Ensure"), (action, outcome)
            assert len(keys_of(hasty, cr)) <= 1
        assert reasons == dict.fromkeys(writes, (reason, "transient"))
        healed = hasty.reconcile(cr)
    assert healed.outcome["done"], healed.output
    assert hasty.differs(cr) == []
    assert keys_of(hasty, cr) == [hasty.credentials(cr)[0]]
    hasty.tenant(cr).put_object(Bucket=cr["spec"]["bucketName"], Key="a", Body=b"x")
    mine = (cr["spec"]["bucketName"], ""), ("", cr["spec"]["iamUser"]["username"])
    assert {(request["bucket"], request["user"]) for request in requests if request["write"]} <= set(mine)
    done = [request["action"] for request in requests if request["write"] and request["status"] < 300]
    assert [done.count(action) for action in ("CreateBucket", "CreateUser", "CreateAccessKey")] == [1, 1, 2]
