"""Which Events an outcome calls for: on change only, with the Go operator's names. Pure."""

from __future__ import annotations

from runner.control.rotations import is_only_rotation
from runner.control.status import is_applied, ready_condition, synced_condition
from runner.kube.events import Event
from runner.objects import S3Object
from s3bucket.outcome import Outcome, Reason

_CONFLICTS = (Reason.CONFLICT, Reason.BUCKET_NAME_TAKEN)
_PROGRESS = (Reason.PENDING, Reason.EMPTYING)


def event_at_start(s3: S3Object) -> Event | None:
    """Before the first run for a new object, or for one that was just deleted."""
    condition = ready_condition(s3.status)
    if s3.is_deleting:
        if s3.status.get("status") == "Deleting":
            return None
        return Event("Normal", "DELETING", "deleting what the object owns")
    if not condition:
        return Event("Normal", "CREATING", "creating the bucket and what belongs to it")
    return None


def event_of(s3: S3Object, outcome: Outcome) -> Event | None:
    """After a run; None when it brought nothing new."""
    condition = ready_condition(s3.status)
    aspects = ", ".join(outcome.changed)
    if outcome.drift and (outcome.is_done or outcome.reason is Reason.DRIFTED):
        return _drifted(s3, outcome)
    if not outcome.is_done:
        is_known = (condition.get("reason"), condition.get("message")) == (outcome.reason.value, outcome.message)
        name = "Conflict" if outcome.reason in _CONFLICTS else "FAILED"
        return None if is_known or outcome.reason in _PROGRESS else Event("Warning", name, _text(outcome))
    if s3.is_deleting:
        return Event("Normal", "DELETED", outcome.message or "everything that the object owned is deleted")
    if outcome.changed and is_only_rotation(s3, outcome):
        # It has an Event of its own.
        return None
    if outcome.changed and is_applied(s3):
        return Event("Normal", "DriftCorrected", f"differed from the spec and was repaired: {aspects}")
    if condition.get("status") != "True":
        return Event("Normal", "CREATED", outcome.message or "everything matches the spec")
    if not outcome.changed:
        return None
    return Event("Normal", "COMPLETED", f"the changed spec was applied: {aspects}")


def _drifted(s3: S3Object, outcome: Outcome) -> Event | None:
    old = s3.status
    is_known = synced_condition(old).get("status") == "False" and old.get("drift") == list(outcome.drift)
    aspects = ", ".join(outcome.drift)
    message = f"differs from the spec and is left as it is (driftPolicy: Report): {aspects}"
    return None if is_known else Event("Warning", "Drifted", message)


def _text(outcome: Outcome) -> str:
    return f"{outcome.reason}: {outcome.message}"
