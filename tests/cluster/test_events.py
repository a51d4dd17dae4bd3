"""A change in AWS behind the operator's back is repaired at once when a queue brings CloudTrail's events.

The events are written by the test, in the shape that AWS documents: moto has no CloudTrail.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.aws import admin_key_in
from dev.wait import wait_until
from runner.commands.iam_policy import PolicySettings, policy_for
from runner.drift.cloudtrail import MAX_CHARACTERS
from runner.queue_url import QueueURL
from tests.support.cloudtrail import bucket_event, user_event
from tests.support.operator import Operator, StartOperator, delete, get, wait_gone, wait_ready
from tests.support.world import NewObject, World, make_operator_key

_SYNC_S = 5
WORKS = "events of AWS are received, and objects are checked in the longer period"
SILENT = "events of the operator's own changes do not arrive: objects are checked each sync period"
FAILS = "events of AWS are not received: all objects are checked each sync period"


class Queue:
    """An SQS queue as a test writes to it."""

    def __init__(self, sqs: Any, name: str) -> None:
        self._sqs = sqs
        self._name = name
        self.url = self.create()

    def create(self) -> str:
        """Create it, also again. Returns its URL."""
        return str(self._sqs.create_queue(QueueName=self._name)["QueueUrl"])

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self._sqs.send_message(QueueUrl=self.url, MessageBody=body)

    def is_empty(self) -> bool:
        """Whether all messages were received and deleted."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self._sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return all(found[name] == "0" for name in names)

    def set_redrive(self, times: int) -> None:
        """Have messages moved to a dead-letter queue after this number of receives."""
        target = self._sqs.create_queue(QueueName=f"{self.url.rpartition('/')[2]}-dead")["QueueUrl"]
        (arn,) = self._sqs.get_queue_attributes(QueueUrl=target, AttributeNames=["QueueArn"])["Attributes"].values()
        policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": times})
        self._sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"RedrivePolicy": policy})

    def delete(self) -> None:
        self._sqs.delete_queue(QueueUrl=self.url)


@pytest.fixture
def queue(world: World, new_name: Callable[[str], str]) -> Iterator[Queue]:
    made = Queue(world.aws.client("sqs"), new_name("events"))
    yield made
    with contextlib.suppress(ClientError):
        made.delete()


def policy_with(queue: Queue, world: World, *, sharding: bool = False) -> Any:
    account, name = queue.url.split("/")[-2:]
    url = QueueURL(queue.url, world.aws.region, account, name)
    return policy_for(PolicySettings(account, event_queue=url, sharding=sharding))


@pytest.fixture
def environment(world: World, queue: Queue, tmp_path: Path) -> dict[str, str]:
    """That of an operator with the documented permissions, those on the queue included. It names the queue."""
    make_operator_key(world.aws, policy_with(queue, world), tmp_path / "key")
    return world.environment(AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "key"), EVENT_QUEUE_URL=queue.url)


def identity_of(world: World, file: str) -> dict[str, str]:
    """The userIdentity of the events of a user with a key."""
    key_id, secret = admin_key_in(Path(file))
    sts = world.aws.client("sts", aws_access_key_id=key_id, aws_secret_access_key=secret)
    return {"type": "IAMUser", "arn": sts.get_caller_identity()["Arn"]}


def metrics_of(operator: Operator) -> str:
    return get(operator.port("/metrics"), "/metrics")[1]


def counts_of(operator: Operator) -> dict[str, float]:
    """How many messages had each result."""
    found = re.findall(r's3_operator_events_total\{result="(\w+)"\} (\S+)', metrics_of(operator))
    return {result: float(count) for result, count in found if float(count)}


def wait_counts(operator: Operator, expected: dict[str, int]) -> None:
    """Wait until all messages of a test have a result. The page of the metrics is kept for a moment."""
    wait_until(lambda: sum(counts_of(operator).values()) >= sum(expected.values()), "a result of each message")
    assert counts_of(operator) == expected


def test_changes_are_repaired_at_once_and_without_the_queue_within_the_sync_period(
    world: World, queue: Queue, environment: dict[str, str], new_object: NewObject, start_operator: StartOperator
) -> None:
    # The first answer of the queue does not wait for a message.
    queue.send("no event")
    periods = ["--sync-period", str(_SYNC_S), "--sync-period-with-events", "3600"]
    operator = start_operator(*periods, environment=environment)
    wait_until(lambda: operator.lines(WORKS), "the queue")
    cr = new_object(iamUser={"username": "events"})
    wait_ready(world, cr)
    bucket, user = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]

    # A change of each that others make is repaired after its message, and the operator's own lead to nothing.
    before = len(operator.reconciles_of(cr))
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    queue.send(bucket_event("PutBucketVersioning", bucket))
    wait_until(lambda: "versioning" not in world.differs(cr), "the repair of the bucket")
    policy = world.iam.list_user_policies(UserName=user)["PolicyNames"][0]
    world.iam.delete_user_policy(UserName=user, PolicyName=policy)
    queue.send(user_event("DeleteUserPolicy", user, {"policyName": policy}))
    wait_until(lambda: world.differs(cr) == [], "the repair of the user")
    own = identity_of(world, environment["AWS_SHARED_CREDENTIALS_FILE"])
    queue.send(bucket_event("PutBucketVersioning", bucket, userIdentity=own), "x" * 1000)
    queue.send(bucket_event("PutBucketPolicy", "not-managed"), bucket_event("GetBucketAcl", bucket, readOnly=True))
    wait_counts(operator, {"check": 2, "own": 1, "malformed": 2, "other": 1, "read_only": 1})
    # A check and a run for each change; a check that a period asks for would be one more.
    wait_until(lambda: len(operator.reconciles_of(cr)) >= before + 4, "the log")
    assert len(operator.reconciles_of(cr)) == before + 4

    queue.delete()
    wait_until(lambda: operator.lines(FAILS), "the end of the queue")
    assert "NonExistentQueue" in operator.lines(FAILS)[0]["error"]
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    wait_until(lambda: world.differs(cr) == [], "a repair without a message")


def hostile_messages(bucket: str, user: str) -> dict[str, list[str]]:
    """Messages that concern no object, by what they are counted as."""
    change = bucket_event("PutBucketVersioning", bucket)
    return {
        "malformed": [
            "x", "[" * 50_000, "9" * 50_000, '{"detail": null}', json.dumps(change), "\ud7ff\u2028" * 100,
            # Several events in one message; a log file of CloudTrail; what SNS makes of an event.
            json.dumps([json.loads(change)] * 3), json.dumps({"Records": [json.loads(change)["detail"]]}),
            json.dumps({"Type": "Notification", "Message": change}),
            bucket_event("PutBucketVersioning", bucket, requestParameters={"bucketName": ["x"] * 1000}),
            bucket_event("PutBucketVersioning", "x" * 10_000),
        ],
        "other": [
            bucket_event("PutBucketVersioning", bucket, recipientAccountId="210987654321"),
            bucket_event("PutBucketVersioning", bucket, eventSource="s3.example.com"),
            bucket_event("PutObject", bucket, managementEvent=False, eventCategory="Data"),
            bucket_event("PutBucketVersioning", f"{bucket}-not-managed"), user_event("TagUser", f"{user}-not-managed"),
        ],
        "read_only": [bucket_event("GetBucketAcl", bucket, readOnly=True)],
        "failed_call": [user_event("DeleteUser", user, errorCode="AccessDenied")],
    }  # fmt: skip


def test_hostile_messages_are_only_counted(
    world: World, queue: Queue, environment: dict[str, str], new_object: NewObject, start_operator: StartOperator
) -> None:
    queue.send("no event")
    periods = ["--sync-period", "3600", "--sync-period-with-events", "3600", "--log-level", "debug"]
    operator = start_operator(*periods, environment=environment)
    cr = new_object(iamUser={"username": "hostile"})
    wait_ready(world, cr)
    bucket, user = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    hostile = hostile_messages(bucket, user)
    for bodies in hostile.values():
        queue.send(*bodies)
    expected = {result: len(bodies) for result, bodies in hostile.items()}
    expected["malformed"] += 1
    wait_counts(operator, expected)
    before = len(operator.reconciles_of(cr))

    # The largest message that SQS took for long. The one that is sent again and again is one change.
    padding = "x" * (MAX_CHARACTERS - len(bucket_event("PutBucketPolicy", bucket, {"policy": ""})))
    large = bucket_event("PutBucketPolicy", bucket, {"policy": padding})
    assert len(large) == MAX_CHARACTERS
    queue.send(large, *[user_event("TagUser", user, eventID="replayed")] * 12)
    wait_counts(operator, {**expected, "check": 2, "repeated": 11})
    wait_until(lambda: len(operator.reconciles_of(cr)) > before, "the check")

    # The object is deleted while events of its bucket and its user arrive.
    queue.send(bucket_event("PutBucketVersioning", bucket), user_event("TagUser", user))
    delete(world, cr)
    queue.send(bucket_event("DeleteBucket", bucket), user_event("DeleteUser", user))
    wait_gone(world, cr)
    queue.send(bucket_event("PutBucketVersioning", bucket), user_event("TagUser", user))
    wait_until(queue.is_empty, "the end of the messages")
    for problem in ("events were not received", "not reconciled"):
        assert operator.lines(problem) == []
    after = new_object()
    wait_ready(world, after)


def test_queue_that_was_away_or_denied_by_its_key_works_again(
    world: World,
    queue: Queue,
    environment: dict[str, str],
    new_object: NewObject,
    start_operator: StartOperator,
) -> None:
    key_id, _ = admin_key_in(Path(environment["AWS_SHARED_CREDENTIALS_FILE"]))
    queue.send("no event")
    periods = ["--sync-period", str(_SYNC_S), "--sync-period-with-events", "3600"]
    operator = start_operator(*periods, environment=environment)
    cr = new_object()
    wait_ready(world, cr)
    bucket = cr["spec"]["bucketName"]

    def is_received_again(times: int) -> bool:
        # A message ends the request that waits for one.
        queue.send("no event")
        return len(operator.lines(WORKS)) == times

    def change_bucket() -> None:
        world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})

    wait_until(lambda: is_received_again(1), "the queue")
    gate = world.aws.gate
    gate.add_fault("ReceiveMessage", "KMS.AccessDeniedException", service="sqs", access_key=key_id)
    try:
        queue.send("no event")
        wait_until(lambda: operator.lines(FAILS), "the key that denies")
        error = operator.lines(FAILS)[0]["error"]
        assert "KMS.AccessDeniedException" in error
        assert "kms:Decrypt" in error
        assert "kms:Decrypt" in check_queue(environment)
        change_bucket()
        wait_until(lambda: world.differs(cr) == [], "a repair without a message")
    finally:
        gate.clear_faults()
    wait_until(lambda: is_received_again(2), "the queue that can be decrypted")

    queue.delete()
    wait_until(lambda: len(operator.lines(FAILS)) == 2, "the end of the queue")
    change_bucket()
    wait_until(lambda: world.differs(cr) == [], "a repair without a message")
    queue.create()
    wait_until(lambda: is_received_again(3), "the queue that was created again")
    change_bucket()
    queue.send(bucket_event("PutBucketVersioning", bucket))
    wait_until(lambda: world.differs(cr) == [], "a repair after a message")
    wait_until(lambda: counts_of(operator).get("check") == 1, "the count")


def test_own_changes_without_an_event_end_the_longer_period_until_one_arrives(
    world: World, queue: Queue, environment: dict[str, str], new_object: NewObject, start_operator: StartOperator
) -> None:
    queue.send("no event")
    periods = ["--sync-period", str(_SYNC_S), "--sync-period-with-events", "3600", "--event-delay", "1"]
    operator = start_operator(*periods, environment=environment)
    wait_until(lambda: operator.lines(WORKS), "the queue")
    cr = new_object()
    wait_ready(world, cr)
    bucket = cr["spec"]["bucketName"]

    def is_silent() -> bool:
        # A message ends the request that waits for one.
        queue.send(user_event("TagUser", "not-managed"))
        return bool(operator.lines(SILENT))

    wait_until(is_silent, "the events that do not arrive")
    (line,) = operator.lines(SILENT)
    assert (line["region"], line["bucket"]) == (cr["spec"]["region"], bucket)
    assert "EventBridge rule" in line["remedy"]
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    wait_until(lambda: "versioning" not in world.differs(cr), "a repair without a message")
    # The repair has no event either.
    wait_until(lambda: "s3_operator_event_queue_up 0.0" in metrics_of(operator), "the metric")
    own = identity_of(world, environment["AWS_SHARED_CREDENTIALS_FILE"])
    queue.send(bucket_event("PutBucketVersioning", bucket, userIdentity=own, awsRegion=cr["spec"]["region"]))
    wait_until(lambda: len(operator.lines(WORKS)) == 2, "the longer period")


@pytest.fixture
def start_replicas(
    world: World, queue: Queue, environment: dict[str, str], start_operator: StartOperator, tmp_path: Path
) -> Callable[..., list[Operator]]:
    """Starts two replicas with shards, with the rights on the queue that they need."""

    def start(*flags: str) -> list[Operator]:
        make_operator_key(world.aws, policy_with(queue, world, sharding=True), tmp_path / "key")
        sharded = ["--sharding", "--retry-period", "0.5", "--sync-period", "300", *flags]
        return [start_operator(*sharded, environment=environment) for _ in range(2)]

    return start


def test_replicas_hand_messages_on_to_the_one_that_has_the_object(
    world: World, queue: Queue, new_object: NewObject, start_replicas: Callable[..., list[Operator]]
) -> None:
    queue.send("no event", "no event")
    operators = start_replicas()
    for operator in operators:
        wait_until(lambda operator=operator: len(operator.lines("shard taken")) >= 8, "its shards")
    objects = [new_object() for _ in range(2)]
    for cr in objects:
        wait_ready(world, cr)
    buckets, sent = [cr["spec"]["bucketName"] for cr in objects], 0

    def totals() -> Counter[str]:
        return sum((Counter(counts_of(operator)) for operator in operators), Counter())

    def is_handed_on() -> bool:
        nonlocal sent
        queue.send(*(bucket_event("PutBucketTagging", bucket) for bucket in buckets))
        sent += len(buckets)
        return totals()["handed_on"] > 0

    wait_until(is_handed_on, "a message that the other replica is to get")
    world.s3.put_bucket_versioning(Bucket=buckets[0], VersioningConfiguration={"Status": "Enabled"})
    queue.send(bucket_event("PutBucketVersioning", buckets[0]))
    wait_until(lambda: totals()["check"] + totals()["coalesced"] == sent + 1, "each message where its object is")
    wait_until(queue.is_empty, "the end of the messages")
    wait_until(lambda: world.differs(objects[0]) == [], "the repair")


def test_rule_that_one_replica_finds_disabled_is_disabled_for_all(
    world: World, queue: Queue, new_object: NewObject, start_replicas: Callable[..., list[Operator]]
) -> None:
    operators = start_replicas("--event-delay", "1")

    def is_each(has: Callable[[Operator], object]) -> bool:
        # A message ends a request that waits for one.
        queue.send("no event", "no event")
        return all(map(has, operators))

    wait_until(lambda: is_each(lambda one: len(one.lines("shard taken")) >= 8 and one.lines(WORKS)), "its shards")
    wait_ready(world, new_object())
    wait_until(lambda: is_each(lambda one: "s3_operator_event_queue_up 0.0" in metrics_of(one)), "the metric of each")
    assert sum(len(one.lines(SILENT)) for one in operators) == 1, "only one has changed something"


@pytest.mark.parametrize("is_sharded", [False, True], ids=["alone", "sharded"])
def test_check_proves_each_right_on_the_queue(
    world: World, queue: Queue, environment: dict[str, str], tmp_path: Path, is_sharded: bool
) -> None:
    environment = {**environment, "SHARDING": str(is_sharded).lower()}
    policy = policy_with(queue, world, sharding=is_sharded)
    make_operator_key(world.aws, policy, tmp_path / "all")
    environment["AWS_SHARED_CREDENTIALS_FILE"] = str(tmp_path / "all")
    queue.send(bucket_event("PutBucketPolicy", "photos"))
    assert "messages can be received and deleted; 1 wait, each is kept for 4 days" in check_queue(environment)
    assert not queue.is_empty(), "the message is left for the operator"
    statement = next(item for item in policy["Statement"] if item["Sid"] == "EventQueue")
    actions = statement["Action"]
    assert ("sqs:ChangeMessageVisibility" in actions) is is_sharded
    for action in actions:
        statement["Action"] = [other for other in actions if other != action]
        make_operator_key(world.aws, policy, tmp_path / "less")
        found = check_queue({**environment, "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "less")})
        assert found.startswith("FAILED"), action
        assert "s3-operator iam-policy --event-queue-url" in found
    queue.delete()
    assert "create the queue, or correct --event-queue-url" in check_queue(environment)


@pytest.mark.parametrize(
    ("times", "sharding", "is_well"), [(149, "true", False), (150, "true", True), (149, "false", True)]
)
def test_check_refuses_a_redrive_policy_that_loses_messages_between_replicas(
    world: World, queue: Queue, environment: dict[str, str], tmp_path: Path, times: int, sharding: str, is_well: bool
) -> None:
    make_operator_key(world.aws, policy_with(queue, world, sharding=True), tmp_path / "key")
    queue.set_redrive(times)
    found = check_queue({**environment, "SHARDING": sharding})
    assert found.startswith("ok") is is_well, found
    assert ("maxReceiveCount" in found and "at least 150" in found) is not is_well


def check_queue(environment: dict[str, str]) -> str:
    """The line about the queue that the command prints."""
    command = [str(Path(sys.executable).parent / "s3-operator"), "check", "--wait", "0"]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120
    )
    return next(line for line in done.stdout.splitlines() if "event queue" in line)
