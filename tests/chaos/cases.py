"""The cases: which flow, what is killed, under which executor, and at which moment. Pure functions."""

from __future__ import annotations

import random
from dataclasses import dataclass

AWS, KUBERNETES = "aws", "kubernetes"

# Every write of one role run, in order, under the names that the gates use. A test compares the list with a run.
WRITES = {
    "create": (
        "aws:CreateUser#1",
        "aws:CreateBucket#1",
        "aws:PutUserPolicy#1",
        "aws:PutBucketVersioning#1",
        "kubernetes:POST services#1",
        "aws:CreateAccessKey#1",
        "aws:TagUser#1",
        "kubernetes:POST secrets#1",
        "aws:UntagUser#1",
    ),
    "rotate": (
        "aws:TagUser#1",
        "aws:CreateAccessKey#1",
        "aws:TagUser#2",
        "kubernetes:POST secrets#1",
        "aws:DeleteAccessKey#1",
        "aws:UntagUser#1",
    ),
    # A rotation without downtime, in its three runs: a new key beside the old one, the old one inactive, and deleted.
    "overlap": (
        "aws:TagUser#1",
        "aws:CreateAccessKey#1",
        "aws:TagUser#2",
        "kubernetes:PATCH secrets#1",
        "aws:UntagUser#1",
    ),
    "drain": ("aws:UpdateAccessKey#1", "aws:TagUser#1"),
    "drained": ("aws:DeleteAccessKey#1", "aws:UntagUser#1"),
    # An additional user is added, and taken out again.
    "user-added": (
        "aws:TagUser#1",
        "aws:TagUser#2",
        "aws:CreateUser#1",
        "aws:PutUserPolicy#1",
        "aws:CreateAccessKey#1",
        "aws:TagUser#3",
        "kubernetes:POST secrets#1",
        "aws:UntagUser#1",
    ),
    "user-removed": (
        "aws:DeleteAccessKey#1",
        "aws:DeleteUserPolicy#1",
        "aws:DeleteUser#1",
        "kubernetes:DELETE secrets#1",
        "aws:TagUser#1",
    ),
    # The Secret gets another name, and a ConfigMap beside it.
    "move": (
        "aws:TagUser#1",
        "kubernetes:POST secrets#1",
        "kubernetes:POST configmaps#1",
        "kubernetes:DELETE secrets#1",
        "aws:TagUser#2",
    ),
    "role-added": ("aws:CreateRole#1", "aws:PutRolePolicy#1"),
    "role-repaired": ("aws:UpdateAssumeRolePolicy#1", "aws:PutRolePolicy#1"),
    "repair": (
        "aws:PutUserPolicy#1",
        "aws:PutBucketVersioning#1",
        "kubernetes:POST services#1",
        "kubernetes:PATCH secrets#1",
    ),
    # Every optional setting at once, and those that they need.
    # With abac, AWS refuses the second PutBucketTagging.
    "settings": (
        "aws:PutBucketTagging#1",
        "aws:PutBucketOwnershipControls#1",
        "aws:PutObjectLockConfiguration#1",
        "aws:PutObjectLockConfiguration#2",
        "aws:PutBucketReplication#1",
        "aws:PutBucketAbac#1",
        "aws:PutBucketAnalyticsConfiguration#1",
        "aws:PutBucketCors#1",
        "aws:PutBucketEncryption#1",
        "aws:PutBucketIntelligentTieringConfiguration#1",
        "aws:PutBucketInventoryConfiguration#1",
        "aws:PutBucketLifecycleConfiguration#1",
        "aws:PutBucketLogging#1",
        "aws:CreateBucketMetadataConfiguration#1",
        "aws:PutBucketMetricsConfiguration#1",
        "aws:PutBucketMetricsConfiguration#2",
        "aws:PutBucketNotificationConfiguration#1",
        "aws:PutBucketRequestPayment#1",
        "aws:PutBucketWebsite#1",
        "aws:PutBucketTagging#2",
        "aws:TagResource#1",
    ),
    # With a role, and with an object in the bucket, for which S3 refuses the first DeleteBucket.
    "delete": (
        "aws:DeleteAccessKey#1",
        "aws:DeleteUserPolicy#1",
        "aws:DeleteUser#1",
        "aws:DeleteRolePolicy#1",
        "aws:DeleteRole#1",
        "aws:DeleteBucket#1",
        "aws:PutBucketPolicy#1",
        "aws:PutPublicAccessBlock#1",
        "aws:DeleteObjects#1",
        "aws:DeleteBucket#2",
        "kubernetes:DELETE secrets#1",
        "kubernetes:DELETE services#1",
    ),
    # With neither: one task deletes everything.
    "delete-plain": (
        "aws:DeleteAccessKey#1",
        "aws:DeleteUserPolicy#1",
        "aws:DeleteUser#1",
        "aws:DeleteBucket#1",
        "kubernetes:DELETE secrets#1",
        "kubernetes:DELETE services#1",
    ),
}
# The operator's own writes before and after the run: finalizer and status.
OPERATOR_WRITES = {
    "create": ("kubernetes:PATCH s3s#1", "kubernetes:PATCH s3s/status#1", "kubernetes:PATCH s3s/status#2"),
    "delete": ("kubernetes:PATCH s3s/status#1", "kubernetes:PATCH s3s#1"),
}
# Under warm, the worker is the process of the task. Under stock, each module runs in another process, the worker.
TARGETS = {"warm": ("run", "task", "warm", "operator"), "stock": ("run", "task", "worker", "operator")}
# The approximate duration of one run per flow. Most random moments are within it, and some are after it.
_LASTS_S = {"warm": 1.6, "stock": 8.0}
# A stock run takes five times as long as a warm one.
_STOCK_SHARE = 0.15
_OPERATOR_SHARE = 0.15


@dataclass(frozen=True)
class Write:
    """The n-th write with a name, before or after it took effect."""

    gate: str
    action: str
    number: int
    when: str

    def __str__(self) -> str:
        return f"{self.gate}:{self.action}#{self.number}:{self.when}"

    @classmethod
    def parse(cls, text: str) -> Write:
        gate, name, when = text.split(":")
        action, _, number = name.partition("#")
        return cls(gate, action, int(number), when)


@dataclass(frozen=True)
class Case:
    """One kill. Its text form replays it.

    :param moment: a write, or the number of seconds after the start of the run
    :param has_unmanaged_key: the user has a second access key, which the operator does not own
    """

    flow: str
    target: str
    executor: str
    moment: Write | float
    has_unmanaged_key: bool = False

    def __str__(self) -> str:
        moment = f"{self.moment:.3f}" if isinstance(self.moment, float) else str(self.moment)
        return ",".join((self.flow, self.target, self.executor, moment, *["unmanaged-key"] * self.has_unmanaged_key))

    @classmethod
    def parse(cls, text: str) -> Case:
        flow, target, executor, moment, *more = text.split(",")
        when = Write.parse(moment) if ":" in moment else float(moment)
        return cls(flow, target, executor, when, bool(more))


def every_write(
    executor: str, flow: str, *, targets: tuple[str, ...] = (), whens: tuple[str, ...] = ("before", "after")
) -> list[Case]:
    """A kill before and after each write of a run. The targets take turns."""
    targets = targets or TARGETS[executor]
    writes = [Write.parse(f"{text}:{when}") for text in WRITES[flow] for when in whens]
    return [Case(flow, targets[turn % len(targets)], executor, write) for turn, write in enumerate(writes)]


def every_own_write(executor: str, flow: str) -> list[Case]:
    """A kill of the operator before and after each write that the operator itself makes."""
    writes = [Write.parse(f"{text}:{when}") for text in OPERATOR_WRITES[flow] for when in ("before", "after")]
    return [Case(flow, "operator", executor, write) for write in writes]


def at_random(seed: int, count: int) -> list[Case]:
    """A number of kills at random moments. The same seed gives the same kills."""
    chance = random.Random(seed)
    return [_random_case(chance) for _ in range(count)]


def _random_case(chance: random.Random) -> Case:
    executor = "stock" if chance.random() < _STOCK_SHARE else "warm"
    others = [target for target in TARGETS[executor] if target != "operator"]
    target = "operator" if chance.random() < _OPERATOR_SHARE else chance.choice(others)
    flow = chance.choice(list(WRITES))
    moment = round(chance.uniform(0, _LASTS_S[executor]), 3)
    return Case(flow, target, executor, moment, flow in ("rotate", "repair") and chance.random() < 0.5)
