"""An S3 object's status: its conditions with reasons of a closed list, and what differs. Pure.

Ready: what the spec asks for exists and works. Synced: all of it matches the spec; False names the aspects that
differ, Unknown means that the last check or run did not compare them. Reconciling and Stalled are those of kstatus,
which Helm, Flux and others wait for: they exist only while they are True, and at most one of them does.
https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md

Follows the Kubernetes API conventions ("Typical status properties"): lastTransitionTime moves only when
the condition's status does, observedGeneration is that of the spec that was reconciled.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from runner.control.rotations import in_use_message, keys_of
from runner.objects import JsonObject, S3Object
from s3bucket import recent
from s3bucket.key_status import FIELD as ACCESS_KEYS
from s3bucket.outcome import Outcome, Reason, Retry

_WORDS = {Reason.PENDING: "Pending", Reason.CONFLICT: "Conflict", Reason.BUCKET_NAME_TAKEN: "Conflict"}
_TRANSITION = "lastTransitionTime"
_RETRIED_LATER = (Retry.PERMANENT, Retry.SLOW)
# Tried again soon, or after a long time, but it does not pass by itself as a rule.
_NEEDS_A_PERSON = (Reason.ACCESS_DENIED, Reason.CREDENTIALS_INVALID, Reason.RUN_TIMEOUT)


def ready_condition(status: JsonObject) -> JsonObject:
    """The Ready condition of a status; empty when there is none."""
    return condition_in(status, "Ready")


def synced_condition(status: JsonObject) -> JsonObject:
    """The Synced condition of a status; empty when there is none."""
    return condition_in(status, "Synced")


def is_observed(s3: S3Object) -> bool:
    """Whether the object was reconciled in its present generation, with whatever outcome."""
    return bool(ready_condition(s3.status).get("observedGeneration") == s3.generation)


def is_applied(s3: S3Object) -> bool:
    """Whether the object matched its spec in its present generation: what differs now is drift."""
    return bool(s3.status.get("appliedGeneration") == s3.generation)


def reports_drift(s3: S3Object) -> bool:
    """Whether what differs now is to be shown and left as it is."""
    return s3.spec.get("driftPolicy") == "Report" and is_applied(s3)


def is_ready_in_generation(s3: S3Object) -> bool:
    """Whether the object is Ready in its present generation."""
    return ready_condition(s3.status).get("status") == "True" and is_observed(s3)


def condition_in(status: JsonObject, name: str) -> JsonObject:
    """The condition of this type in a status; empty when there is none."""
    return next((item for item in status.get("conditions") or [] if item.get("type") == name), {})


def with_transition(condition: JsonObject, old: JsonObject, now: str) -> JsonObject:
    """A condition with the time of its last transition: that of the old one, if its status is the same."""
    is_same = old.get("status") == condition["status"]
    return {**condition, _TRANSITION: old.get(_TRANSITION, now) if is_same else now}


def status_of(
    s3: S3Object, outcome: Outcome, now: str, more_conditions: Sequence[JsonObject] = ()
) -> JsonObject | None:
    """The status that an outcome leads to, or None when it is what is there already.

    :param s3: the object that the run got
    :param now: RFC 3339 time
    :param more_conditions: conditions that no outcome decides
    """
    old, is_ready = s3.status, outcome.is_done and not s3.is_deleting
    generation = s3.generation or 0
    word = "Ready" if is_ready else "Deleting" if s3.is_deleting else _WORDS.get(outcome.reason, "Failed")
    new = {**old, **outcome.status, "status": word, "observedGeneration": generation}
    if recent.STATUS in outcome.status:
        # What an earlier run wrote may be returned late, too.
        new[recent.STATUS] = recent.merged(old, outcome.status[recent.STATUS], datetime.fromisoformat(now))
    if is_ready and not outcome.drift:
        new["appliedGeneration"] = generation
    # Written as an empty list once it is over: what the old status has is kept.
    if outcome.drift or (is_ready and "drift" in old):
        new["drift"] = list(outcome.drift)
    if is_ready and keys_of(old) and ACCESS_KEYS not in outcome.status:
        new[ACCESS_KEYS] = []
    if "users" in old and outcome.status:
        new["users"] = outcome.status.get("users", [])
    conditions = {
        "Ready": ("True" if is_ready else "False", outcome.reason, outcome.message),
        "Synced": _synced(s3, outcome, is_ready),
        **_kstatus(outcome),
        **_old_key(new),
    }
    new["conditions"] = [
        with_transition(
            {
                "type": name,
                "status": status,
                "reason": reason.value,
                "message": message,
                "observedGeneration": generation,
            },
            condition_in(old, name),
            now,
        )
        for name, (status, reason, message) in conditions.items()
    ] + [*more_conditions]
    if new == old and not outcome.changed:
        return None
    if outcome.changed or (outcome.is_done and "lastSyncTime" not in old):
        new["lastSyncTime"] = now
    return new


def _synced(s3: S3Object, outcome: Outcome, is_ready: bool) -> tuple[str, Reason, str]:
    """Status, reason and message of Synced."""
    if outcome.drift:
        return "False", Reason.DRIFTED, f"differs from the spec: {', '.join(outcome.drift)}"
    if not is_ready:
        return "Unknown", outcome.reason, "not compared with the spec: see Ready"
    if outcome.changed:
        repaired = f"repaired: {', '.join(outcome.changed)}"
        return "True", Reason.IN_SYNC, repaired if is_applied(s3) else ""
    # The message keeps naming the last repair: a check that finds no difference changes nothing.
    old = synced_condition(s3.status)
    is_same = (old.get("status"), old.get("observedGeneration")) == ("True", s3.generation)
    return "True", Reason.IN_SYNC, old["message"] if is_same else ""


def _kstatus(outcome: Outcome) -> dict[str, tuple[str, Reason, str]]:
    """Stalled for what needs a person, Reconciling for what is worked on or tried again soon; empty once it is done."""
    if outcome.is_done:
        return {}
    is_stalled = outcome.retry in _RETRIED_LATER or outcome.reason in _NEEDS_A_PERSON
    return {"Stalled" if is_stalled else "Reconciling": ("True", outcome.reason, outcome.message)}


def _old_key(status: JsonObject) -> dict[str, tuple[str, Reason, str]]:
    """OldKeyInUse, while the old key of a rotation is used after its grace period."""
    message = in_use_message(status)
    return {"OldKeyInUse": ("True", Reason.OLD_KEY_IN_USE, message)} if message else {}
