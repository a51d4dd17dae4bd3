"""When the role runs on an S3 object, and why. Pure: one function, :func:`decide`, and what it decides on.

A decision names the next step. Some steps only read (compare with AWS, find the claims on the bucket's name): what
they find goes into the next decision about the same object. All others end the reconcile. The reconciler carries the
steps out and decides nothing (:mod:`runner.control.reconcile`); ``tests/unit/runner/test_decide.py`` has a row for each
case.

Bucket names: of two S3 objects that ask for one name, the one that ran first keeps it. :mod:`runner.control.claims`
remembers who ran; an object's status, which its namespace may be able to write, is only a hint for the time after a
restart.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from runner.control.status import is_observed, reports_drift
from runner.kube.projection import oversized_message
from runner.objects import S3Object
from s3bucket.outcome import Outcome, Reason


class Trigger(StrEnum):
    """Why an object is reconciled."""

    CHANGE = "change"
    """It is new, or was changed or deleted, or a resync handed it on. It was read from Kubernetes just now."""

    RESYNC = "resync"
    """Its sync period is over. It is as the watch saw it last, and the role must not run."""


class Step(StrEnum):
    """What is done next."""

    IGNORE = "ignore"
    """Nothing: the operator's finalizer is not on the object."""

    HAND_ON = "hand on"
    """After a resync: a worker that may run the role reads the object and decides again."""

    ADD_FINALIZER = "add the finalizer"
    COMPARE = "compare with AWS"
    COMPARE_DELETION = "find out whether the object owns anything"
    FIND_CLAIMS = "find the claims on the bucket's name"
    RUN = "run the role"
    REFUSE = "publish a refusal without a run"
    PUBLISH = "publish what the comparison found"
    END_DELETION = "remove the finalizer"


@dataclass(frozen=True)
class Claim:
    """Which S3 object has a bucket's name since a run. ``is_deleted``: it was deleted since, with its user and key."""

    uid: str
    namespace: str
    name: str
    is_deleted: bool = False


@dataclass(frozen=True)
class NameClaims:
    """The claims on the name of an object's bucket.

    :param claim: from the runs of the last time; None where no object has run
    :param rivals: other objects with the name in their spec, from the informer cache
    :param is_running: whether a run of the object that claims the name may be under way
    """

    claim: Claim | None = None
    rivals: tuple[S3Object, ...] = ()
    is_running: bool = False


@dataclass(frozen=True)
class Policy:
    """What holds for an object beside its own fields.

    :param drift_check: whether all objects are compared before the role runs; False compares only those that report
        their drift, and runs the role for the others
    :param full_sync_at: when the role runs although nothing differs
    :param claims: None before FIND_CLAIMS
    """

    drift_check: bool = True
    full_sync_at: float = float("inf")
    claims: NameClaims | None = None


@dataclass(frozen=True)
class Decision:
    """The next step, and why. ``refusal``: the outcome that REFUSE publishes."""

    step: Step
    reason: str
    refusal: Outcome | None = None


def decide(s3: S3Object, trigger: Trigger, comparison: Outcome | None, now: float, policy: Policy) -> Decision:
    """Decide what is done next about an object.

    :param comparison: what COMPARE or COMPARE_DELETION found; None before
    :param now: the time on the clock of ``policy.full_sync_at``
    """
    if trigger is Trigger.RESYNC and not _is_comparable(s3, policy):
        return Decision(Step.HAND_ON, "only an object that was reconciled can be compared")
    decision = _decide_to_run(s3, comparison, now, policy)
    if decision.step is not Step.RUN:
        return decision
    if trigger is Trigger.RESYNC:
        return Decision(Step.HAND_ON, decision.reason)
    return _check_claims(s3, policy.claims) or decision


def _decide_to_run(s3: S3Object, comparison: Outcome | None, now: float, policy: Policy) -> Decision:
    """The decision without regard to the trigger and to claims on the bucket's name."""
    if s3.is_deleting:
        return _decide_on_deletion(s3, comparison)
    if not s3.has_finalizer:
        return Decision(Step.ADD_FINALIZER, "without it a deletion could go unnoticed")
    if s3.oversized:
        refusal = Outcome.failure(Reason.INVALID_SPEC, oversized_message(s3))
        return Decision(Step.REFUSE, "its spec is too large to be kept", refusal)
    if not is_observed(s3):
        return Decision(Step.RUN, "its spec is new")
    if not _is_comparable(s3, policy):
        return Decision(Step.RUN, "there is no drift check")
    if comparison is None:
        return Decision(Step.COMPARE, "its spec was reconciled before")
    if reports_drift(s3):
        return Decision(Step.PUBLISH, "its driftPolicy is Report")
    if comparison.drift:
        return Decision(Step.RUN, "it differs from its spec")
    if comparison.is_done and now >= policy.full_sync_at:
        return Decision(Step.RUN, "a full sync is due")
    return Decision(Step.PUBLISH, "nothing differs" if comparison.is_done else "the comparison failed")


def _decide_on_deletion(s3: S3Object, comparison: Outcome | None) -> Decision:
    if not s3.has_finalizer:
        return Decision(Step.IGNORE, "it is deleted, and others' finalizers are left")
    if s3.status.get("appliedGeneration"):
        # It owns something, as a rule: the role reads all of it anyway.
        return Decision(Step.RUN, "it is deleted, and was Ready")
    if comparison is None:
        return Decision(Step.COMPARE_DELETION, "it is deleted, and was never Ready")
    if comparison.is_done:
        return Decision(Step.END_DELETION, "it is deleted, and owns nothing")
    return Decision(Step.RUN, "it is deleted, and may own something")


def _is_comparable(s3: S3Object, policy: Policy) -> bool:
    """Whether the comparison with AWS can do instead of a run."""
    is_reconciled = is_observed(s3) and s3.has_finalizer and not s3.is_deleting and not s3.oversized
    return is_reconciled and (policy.drift_check or reports_drift(s3))


def _check_claims(s3: S3Object, claims: NameClaims | None) -> Decision | None:
    """Why the role must not run as long as another object has the bucket's name; None when none has it."""
    if s3.is_deleting or not s3.bucket_name:
        return None
    if claims is None:
        return Decision(Step.FIND_CLAIMS, "another object may claim the bucket's name")
    claim = claims.claim
    if claim is not None and claim.uid == s3.uid:
        return None
    # A cleared status hides an object only after a restart, and then IAM still shows its claim.
    owner = None if s3.has_bucket else next((rival for rival in claims.rivals if _has_name(rival, s3)), None)
    if owner is not None:
        return Decision(Step.REFUSE, "another object has a bucket of this name", _conflict(s3, owner))
    if claim is None or _is_inherited(s3, claim, is_running=claims.is_running):
        return None
    return Decision(Step.REFUSE, "another object claims the bucket's name", _pending(s3, claim))


def _is_inherited(s3: S3Object, claim: Claim, *, is_running: bool) -> bool:
    """Whether the claim of an object that no longer exists passes on to this one, in the same namespace.

    Whoever has the key of the former one may have the new one. A former object of this one's name no longer exists. It
    was not deleted in good order where a person has removed its finalizer.
    """
    is_gone = claim.is_deleted or (claim.name == s3.name and not is_running)
    return claim.namespace == s3.namespace and is_gone


def _has_name(rival: S3Object, s3: S3Object) -> bool:
    return rival.uid != s3.uid and rival.bucket_name == s3.bucket_name and rival.has_bucket


def _conflict(s3: S3Object, owner: S3Object) -> Outcome:
    message = (
        f"S3 object {owner.namespace}/{owner.name} already owns bucket {s3.bucket_name}: delete that object first, or"
        " choose another bucketName"
    )
    return Outcome.failure(Reason.CONFLICT, message)


def _pending(s3: S3Object, claim: Claim) -> Outcome:
    name, bucket = f"{claim.namespace}/{claim.name}", s3.bucket_name
    if claim.is_deleted:
        message = (
            f"S3 object {name}, which owned a bucket of the name {bucket}, was just deleted, and AWS may accept its"
            " credentials for a short time yet: waiting for the end of that time"
        )
    else:
        message = f"S3 object {name} claimed the bucket name {bucket} first: waiting until it owns the bucket or fails"
    return Outcome.failure(Reason.PENDING, message)
