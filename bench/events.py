"""Drift that a queue of AWS events reports: how soon it is repaired, what the checks cost meanwhile, and the bill.

A day cannot be measured, so a check is: its requests, and what is read for all objects once a sync period. From both
follows a day, with the periods that are the operator's defaults. The longer period is shorter here, and the measurement
proves that it was used.

A repair counts only where the operator's own metrics show that its message led to the check: in a short period the next
check of an object may come as soon.
"""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench import BenchError
from bench.place import Place
from bench.process import OperatorProcess
from bench.rows import Row, rows_of

NAME = "events"
_REPEATS = 7
# All objects are checked once in the first, and again in the second.
_SYNC_SHARE = 4
_LEAST_SHARE = 0.8
_WAIT_S = 300.0
_POLL_S = 0.02
_DAY_S, _DAYS = 86400, 30
_PERIODS_A_DAY, _WITH_EVENTS_A_DAY = _DAY_S / 300, _DAY_S / 3600
_BILLED_OBJECTS = 10_000
_WAITS_S = 20
# What is read for all objects at once, once a sync period, whatever their own period is.
_BULK = frozenset({"GetAccountAuthorizationDetails", "GetResources", "ListBuckets"})
_QUEUE = frozenset({"ReceiveMessage", "DeleteMessageBatch"})
# https://aws.amazon.com/s3/pricing/ and https://aws.amazon.com/sqs/pricing/, us-east-1: dollars a request. Requests of
# IAM, STS and the Tagging API cost nothing.
_S3_PRICE, _LIST_PRICE, _SQS_PRICE = 0.0004 / 1000, 0.005 / 1000, 0.4 / 1_000_000
_FREE = ("User", "AccessKey", "CallerIdentity", "Account", "Resources")


class Receiver(Protocol):
    """The operator, by its metrics."""

    def events(self) -> Counter[str]:
        """The messages so far by what became of them."""

    def runs(self) -> int:
        """The runs of the role so far."""

    def runs_s(self) -> float:
        """How long they took together."""


class Repair(NamedTuple):
    """Seconds from the message about a change until it is repaired, and how long the run took that repaired it."""

    repaired_s: float
    run_s: float


def measure_events(place: Place, folder: Path, executor: str, names: list[str], period_s: float) -> list[Row]:
    """Rows of an operator with a queue. The objects are in the place already, and Ready.

    :param period_s: the period while the queue works
    """
    sqs = place.aws.client("sqs")
    url = str(sqs.create_queue(QueueName="bench-events")["QueueUrl"])
    more = ("--event-queue-url", url, "--sync-period-with-events", str(period_s))
    with OperatorProcess(place, folder, executor, period_s / _SYNC_SHARE, more=more) as operator:
        # The first answer does not wait for a message.
        sqs.send_message(QueueUrl=url, MessageBody="no event")
        rows = _measure_checks(operator, len(names), period_s)
        s3, region = place.aws.client("s3"), place.aws.region

        def send(bucket: str) -> None:
            sqs.send_message(QueueUrl=url, MessageBody=message(bucket, place.account, region))

        repairs = [measure_repair(operator, s3, send, name) for name in names[:_REPEATS]]
    return [*rows, *(Row(NAME, executor, len(names), metric, value, "s") for metric, value in times_of(repairs))]


def times_of(repairs: Sequence[Repair]) -> list[tuple[str, float]]:
    """The times of some repairs. ``after_run``: without the run of each, which is what the goal is about."""
    found = []
    for name, times in (
        ("repaired", [repair.repaired_s for repair in repairs]),
        ("repaired_after_run", [repair.repaired_s - repair.run_s for repair in repairs]),
    ):
        found += [(f"{name}_median", statistics.median(times)), (f"{name}_most", max(times))]
    return found


def _measure_checks(operator: OperatorProcess, objects: int, period_s: float) -> list[Row]:
    _wait_until(lambda: operator.checks().total() >= objects, "the first check of each object")
    first = operator.checks().total()
    with operator.meter.measure() as cost:
        _wait_until(lambda: operator.checks().total() >= first + _LEAST_SHARE * objects, "the next check of most")
    checks = operator.checks().total() - first
    if cost.wall_s < period_s / 2 or operator.checks()["failed"] or operator.checks()["differs"]:
        raise BenchError(
            f"{checks} checks after {cost.wall_s:.0f} s in a period of {period_s:g} s: {operator.checks()}"
        )
    periods = cost.wall_s / (period_s / _SYNC_SHARE)
    rows = rows_of(NAME, operator.executor, objects, cost, of=checks)
    for name, value, unit in figures(cost.aws, checks, periods, objects):
        rows.append(Row(NAME, operator.executor, objects, name, value, unit))
    return rows


def figures(calls: Counter[str], checks: int, periods: float, objects: int) -> list[tuple[str, float, str]]:
    """Requests of an object in a day, and the bill of a month, without and with a queue."""
    own = Counter({name: count for name, count in calls.items() if name not in _BULK | _QUEUE})
    bulk = Counter({name: count for name, count in calls.items() if name in _BULK})
    found = []
    for suffix, checks_a_day, polls in (
        ("_without_queue", _PERIODS_A_DAY, 0.0),
        ("", _WITH_EVENTS_A_DAY, _DAY_S / _WAITS_S),
    ):
        share = _PERIODS_A_DAY / periods / objects
        requests = own.total() / checks * checks_a_day + bulk.total() * share + polls / objects
        dollars = _price(own) / checks * checks_a_day + _price(bulk) * share
        month = _DAYS * (_BILLED_OBJECTS * dollars + polls * _SQS_PRICE)
        found.append((f"requests_a_day{suffix}", requests, "requests"))
        found.append((f"dollars_a_month{suffix}", month, f"USD for {_BILLED_OBJECTS:,} objects"))
    return found


def _price(calls: Counter[str]) -> float:
    return sum(count * _price_of(name) for name, count in calls.items())


def _price_of(name: str) -> float:
    if name == "ListBuckets":
        return _LIST_PRICE
    return 0.0 if any(word in name for word in _FREE) else _S3_PRICE


def measure_repair(operator: Receiver, s3: Any, send: Callable[[str], None], bucket: str) -> Repair:
    """Change a bucket, send the message about it, and wait for the repair.

    :param send: sends the message about a change of a bucket
    :raises BenchError: where it is not the message that led to the repair
    """
    events, runs, runs_s = operator.events(), operator.runs(), operator.runs_s()
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    started = time.monotonic()
    send(bucket)
    _wait_until(lambda: s3.get_bucket_versioning(Bucket=bucket).get("Status") != "Enabled", f"the repair of {bucket}")
    repaired_s = time.monotonic() - started
    _wait_until(lambda: operator.runs() > runs, f"the end of the run for {bucket}")
    found = dict(operator.events() - events)
    if found != {"check": 1} or operator.runs() != runs + 1:
        raise BenchError(f"the message about {bucket} led to {found} and {operator.runs() - runs} runs")
    return Repair(repaired_s, operator.runs_s() - runs_s)


def message(bucket: str, account: str, region: str) -> str:
    """An event as EventBridge gets it from CloudTrail."""
    detail = {
        "eventVersion": "1.11",
        "userIdentity": {"type": "IAMUser", "arn": f"arn:aws:iam::{account}:user/somebody"},
        "eventSource": "s3.amazonaws.com",
        "eventName": "PutBucketVersioning",
        "awsRegion": region,
        "requestParameters": {"bucketName": bucket},
        "eventID": str(uuid.uuid4()),
        "readOnly": False,
        "eventType": "AwsApiCall",
        "managementEvent": True,
        "eventCategory": "Management",
        "recipientAccountId": account,
    }
    return json.dumps({"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": detail})


def _wait_until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _WAIT_S
    while not holds():
        if time.monotonic() > deadline:
            raise BenchError(f"not within {_WAIT_S:g} s: {what}")
        time.sleep(_POLL_S)
