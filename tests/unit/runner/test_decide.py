"""When the role runs on an object, and why: one row per case."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from runner.control.decide import Claim, NameClaims, Policy, Step, Trigger, decide
from runner.objects import FINALIZER, OVERSIZED, S3Object
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import READY

NOW = 1000.0
CHANGE, RESYNC = Trigger.CHANGE, Trigger.RESYNC
DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
DIFFERS = replace(READY, drift=("policy",))
DENIED = Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT)
DENIED_AND_DIFFERS = replace(DENIED, drift=("tags",))
OWNS_SOMETHING = Outcome(False, Reason.DELETING)
NONE_CLAIMS = NameClaims()
CHECK = Policy(claims=NONE_CLAIMS)
NO_CHECK = replace(CHECK, drift_check=False)
FULL_SYNC_DUE = replace(CHECK, full_sync_at=NOW)


def new(name: str = "photos", **metadata: Any) -> S3Object:
    """An object that was never reconciled."""
    base = {"namespace": "team", "name": name, "uid": f"uid-{name}", "generation": 1, "finalizers": [FINALIZER]}
    return S3Object({"metadata": {**base, **metadata}, "spec": {"bucketName": "photos"}, "status": {}})


def known(name: str = "photos", *, spec: dict[str, Any] | None = None, applied: int = 1, **metadata: Any) -> S3Object:
    """An object that was reconciled in generation 1."""
    condition = {"type": "Ready", "status": "True", "observedGeneration": 1}
    status = {"conditions": [condition], "appliedGeneration": applied, "bucketARN": "arn:aws:s3:::photos"}
    base = new(name, **metadata)
    return S3Object({**base.item, "spec": {**base.spec, **(spec or {})}, "status": status})


def too_large(s3: S3Object) -> S3Object:
    return S3Object({**s3.item, OVERSIZED: ["bucketPolicy"]})


def with_bucket(s3: S3Object, bucket: str) -> S3Object:
    return S3Object({**s3.item, "spec": {**s3.spec, "bucketName": bucket}})


def claimed(claim: Claim | None, *rivals: S3Object) -> Policy:
    return Policy(claims=NameClaims(claim, rivals))


REPORT = {"driftPolicy": "Report"}
NOT_APPLIED = known(spec=REPORT, applied=0)
NO_NAME = S3Object({**new().item, "spec": {}})
OTHER_BUCKET = with_bucket(known("first"), "photos-2")
OWN, FIRST = Claim("uid-photos", "team", "photos"), Claim("uid-first", "team", "first")
JUST_DELETED, ELSEWHERE = replace(FIRST, is_deleted=True), replace(FIRST, is_deleted=True, namespace="other")
PENDING = "Pending, transient"
CONFLICT = "Conflict, permanent: S3 object team/first already owns bucket photos"
BROKEN_STATUS = S3Object({**new().item, "status": {"conditions": [{"type": "Ready", "observedGeneration": 0}]}})

DECISIONS = {
    # id: object, trigger, comparison, policy; step, and a part of its reason and error
    "new-without-finalizer": (new(finalizers=[]), CHANGE, None, CHECK, Step.ADD_FINALIZER, "go unnoticed"),
    "others-finalizer": (new(finalizers=["other/one"]), CHANGE, None, CHECK, Step.ADD_FINALIZER, "go unnoticed"),
    "known-that-lost-its-finalizer": (known(finalizers=[]), CHANGE, None, CHECK, Step.ADD_FINALIZER, "go unnoticed"),
    "new": (new(), CHANGE, None, CHECK, Step.RUN, "its spec is new"),
    "changed-spec": (known(generation=2), CHANGE, None, CHECK, Step.RUN, "its spec is new"),
    "changed-spec-report": (known(generation=2, spec=REPORT), CHANGE, None, CHECK, Step.RUN, "its spec is new"),
    "observed-in-another-generation": (BROKEN_STATUS, CHANGE, None, CHECK, Step.RUN, "its spec is new"),
    "too-large": (too_large(new()), CHANGE, None, CHECK, Step.REFUSE, "too large"),
    "too-large-and-known": (too_large(known()), CHANGE, None, CHECK, Step.REFUSE, "too large"),
    # The drift check.
    "known": (known(), CHANGE, None, CHECK, Step.COMPARE, "reconciled before"),
    "known-no-drift-check": (known(), CHANGE, None, NO_CHECK, Step.RUN, "no drift check"),
    "report-no-drift-check": (known(spec=REPORT), CHANGE, None, NO_CHECK, Step.COMPARE, "reconciled before"),
    "report-not-applied-no-drift-check": (NOT_APPLIED, CHANGE, None, NO_CHECK, Step.RUN, "no drift check"),
    "nothing-differs": (known(), CHANGE, READY, CHECK, Step.PUBLISH, "nothing differs"),
    "differs": (known(), CHANGE, DIFFERS, CHECK, Step.RUN, "differs from its spec"),
    "comparison-failed": (known(), CHANGE, DENIED, CHECK, Step.PUBLISH, "comparison failed"),
    "comparison-failed-in-part-and-differs": (known(), CHANGE, DENIED_AND_DIFFERS, CHECK, Step.RUN, "differs"),
    "comparison-failed-full-sync-due": (known(), CHANGE, DENIED, FULL_SYNC_DUE, Step.PUBLISH, "comparison failed"),
    "full-sync-due": (known(), CHANGE, READY, FULL_SYNC_DUE, Step.RUN, "full sync"),
    "full-sync-not-due": (known(), CHANGE, READY, replace(CHECK, full_sync_at=NOW + 1), Step.PUBLISH, "nothing"),
    "report-differs": (known(spec=REPORT), CHANGE, DIFFERS, CHECK, Step.PUBLISH, "Report"),
    "report-full-sync-due": (known(spec=REPORT), CHANGE, READY, FULL_SYNC_DUE, Step.PUBLISH, "Report"),
    "report-not-applied-differs": (NOT_APPLIED, CHANGE, DIFFERS, CHECK, Step.RUN, "differs from its spec"),
    # Deletion.
    "deleted-without-finalizer": (known(**DELETED, finalizers=["other"]), CHANGE, None, CHECK, Step.IGNORE, "others'"),
    "deleted-was-ready": (known(**DELETED), CHANGE, None, CHECK, Step.RUN, "was Ready"),
    "deleted-was-ready-no-drift-check": (known(**DELETED), CHANGE, None, NO_CHECK, Step.RUN, "was Ready"),
    "deleted-never-ready": (new(**DELETED), CHANGE, None, CHECK, Step.COMPARE_DELETION, "never Ready"),
    "deleted-never-ready-no-drift-check": (new(**DELETED), CHANGE, None, NO_CHECK, Step.COMPARE_DELETION, "never"),
    "deleted-owns-nothing": (new(**DELETED), CHANGE, READY, CHECK, Step.END_DELETION, "owns nothing"),
    "deleted-owns-something": (new(**DELETED), CHANGE, OWNS_SOMETHING, CHECK, Step.RUN, "may own something"),
    "deleted-too-large": (too_large(known(**DELETED)), CHANGE, None, CHECK, Step.RUN, "was Ready"),
    "deleted-report": (known(**DELETED, spec=REPORT), CHANGE, None, CHECK, Step.RUN, "was Ready"),
    # Resyncs never run the role.
    "resync-known": (known(), RESYNC, None, CHECK, Step.COMPARE, "reconciled before"),
    "resync-nothing-differs": (known(), RESYNC, READY, CHECK, Step.PUBLISH, "nothing differs"),
    "resync-differs": (known(), RESYNC, DIFFERS, CHECK, Step.HAND_ON, "differs from its spec"),
    "resync-comparison-failed": (known(), RESYNC, DENIED, CHECK, Step.PUBLISH, "comparison failed"),
    "resync-full-sync-due": (known(), RESYNC, READY, FULL_SYNC_DUE, Step.HAND_ON, "full sync"),
    "resync-report-differs": (known(spec=REPORT), RESYNC, DIFFERS, CHECK, Step.PUBLISH, "Report"),
    "resync-report-no-drift-check": (known(spec=REPORT), RESYNC, None, NO_CHECK, Step.COMPARE, "reconciled before"),
    "resync-no-drift-check": (known(), RESYNC, None, NO_CHECK, Step.HAND_ON, "can be compared"),
    "resync-new": (new(), RESYNC, None, CHECK, Step.HAND_ON, "can be compared"),
    "resync-changed-spec": (known(generation=2), RESYNC, None, CHECK, Step.HAND_ON, "can be compared"),
    "resync-without-finalizer": (known(finalizers=[]), RESYNC, None, CHECK, Step.HAND_ON, "can be compared"),
    "resync-deleted": (known(**DELETED), RESYNC, None, CHECK, Step.HAND_ON, "can be compared"),
    "resync-too-large": (too_large(known()), RESYNC, None, CHECK, Step.HAND_ON, "can be compared"),
    # Bucket names: claims are read only where the role would run.
    "name-not-asked": (new(), CHANGE, None, replace(CHECK, claims=None), Step.FIND_CLAIMS, "may claim"),
    "name-not-asked-differs": (known(), CHANGE, DIFFERS, replace(CHECK, claims=None), Step.FIND_CLAIMS, "may claim"),
    "name-not-asked-nothing-differs": (known(), CHANGE, READY, replace(CHECK, claims=None), Step.PUBLISH, "nothing"),
    "name-not-asked-resync": (known(), RESYNC, DIFFERS, replace(CHECK, claims=None), Step.HAND_ON, "differs"),
    "name-not-asked-deleted": (known(**DELETED), CHANGE, None, replace(CHECK, claims=None), Step.RUN, "was Ready"),
    "no-bucket-name": (NO_NAME, CHANGE, None, replace(CHECK, claims=None), Step.RUN, "its spec is new"),
    "no-claim": (new(), CHANGE, None, claimed(None), Step.RUN, "its spec is new"),
    "own-claim": (new(), CHANGE, None, claimed(OWN), Step.RUN, "its spec is new"),
    "own-claim-and-forged-status": (new(), CHANGE, None, claimed(OWN, known("first")), Step.RUN, "its spec is new"),
    "own-claim-after-deletion": (new(), CHANGE, None, claimed(replace(OWN, is_deleted=True)), Step.RUN, "new"),
    "first-claims": (new(), CHANGE, None, claimed(FIRST), Step.REFUSE, "S3 object team/first claimed the bucket name"),
    "first-claims-status-forged": (known(generation=2), CHANGE, None, claimed(FIRST), Step.REFUSE, PENDING),
    "first-claims-and-differs": (known(), CHANGE, DIFFERS, claimed(FIRST), Step.REFUSE, PENDING),
    "first-claims-nothing-differs": (known(), CHANGE, READY, claimed(FIRST), Step.PUBLISH, "nothing differs"),
    "first-claims-deleted": (known(**DELETED), CHANGE, None, claimed(FIRST), Step.RUN, "was Ready"),
    "rival-has-it": (new(), CHANGE, None, claimed(None, new("other"), known("first")), Step.REFUSE, CONFLICT),
    "rival-has-it-and-claims": (new(), CHANGE, None, claimed(FIRST, known("first")), Step.REFUSE, CONFLICT),
    "rival-only-asks": (new(), CHANGE, None, claimed(None, new("first")), Step.RUN, "its spec is new"),
    "rival-has-another-bucket": (new(), CHANGE, None, claimed(None, OTHER_BUCKET), Step.RUN, "its spec is new"),
    "both-have-it": (known(generation=2), CHANGE, None, claimed(None, known("first")), Step.RUN, "its spec is new"),
    "itself": (new(), CHANGE, None, claimed(None, known("photos")), Step.RUN, "its spec is new"),
    "deleted-in-the-same-namespace": (new(), CHANGE, None, claimed(JUST_DELETED), Step.RUN, "its spec is new"),
    "deleted-in-another-namespace": (new(), CHANGE, None, claimed(ELSEWHERE), Step.REFUSE, "credentials for"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("s3", "trigger", "comparison", "policy", "step", "text"), DECISIONS.values(), ids=list(DECISIONS)
)
def test_decide(
    s3: S3Object, trigger: Trigger, comparison: Outcome | None, policy: Policy, step: Step, text: str
) -> None:
    decision = decide(s3, trigger, comparison, NOW, policy)
    assert decision.step is step
    refusal = decision.refusal
    assert (refusal is not None) == (step is Step.REFUSE)
    assert text in (
        f"{decision.reason}: {refusal.reason}, {refusal.retry}: {refusal.message}" if refusal else decision.reason
    )


def test_policy_without_a_full_sync_never_runs_one() -> None:
    assert math.isinf(Policy().full_sync_at)
    assert decide(known(), CHANGE, READY, 1e12, CHECK).step is Step.PUBLISH
