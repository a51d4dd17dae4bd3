"""An S3 object's status: the Ready condition with one of a closed list of reasons. Pure.

Follows the Kubernetes API conventions ("Typical status properties"): lastTransitionTime moves only when
the condition's status does, observedGeneration is that of the spec that was looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why an object is Ready, or not. The role gives most of them; the last three are the loop's own."""

    READY = "Ready"
    PENDING = "Pending"
    DELETING = "Deleting"
    INVALID_SPEC = "InvalidSpec"
    CONFLICT = "Conflict"
    BUCKET_NAME_TAKEN = "BucketNameTaken"
    BUCKET_NOT_FOUND = "BucketNotFound"
    BUCKET_NOT_EMPTY = "BucketNotEmpty"
    OBJECT_LOCKED = "ObjectLocked"
    WRONG_REGION = "WrongRegion"
    TOO_MANY_KEYS = "TooManyKeys"
    WAITING_FOR_IAM = "WaitingForIAM"
    ACCESS_DENIED = "AccessDenied"
    CREDENTIALS_INVALID = "CredentialsInvalid"
    THROTTLED = "Throttled"
    AWS_UNREACHABLE = "AWSUnreachable"
    AWS_ERROR = "AWSError"
    KUBERNETES_ERROR = "KubernetesError"
    RUN_FAILED = "RunFailed"
    RUN_TIMEOUT = "RunTimeout"
    RUN_CANCELLED = "RunCancelled"


@dataclass(frozen=True)
class Outcome:
    """What one run of the role ended with. ``retry`` is none, transient, permanent or slow."""

    is_done: bool
    reason: Reason
    message: str = ""
    retry: str = "none"
    changed: tuple[str, ...] = ()
    status: dict[str, Any] = field(default_factory=dict)


_WORDS = {Reason.PENDING: "Pending", Reason.CONFLICT: "Conflict", Reason.BUCKET_NAME_TAKEN: "Conflict"}
_TRANSITION = "lastTransitionTime"


def ready_condition(status: dict[str, Any]) -> dict[str, Any]:
    """The Ready condition of a status; empty when there is none."""
    return next((item for item in status.get("conditions") or [] if item.get("type") == "Ready"), {})


def is_settled(item: dict[str, Any]) -> bool:
    """Whether the object is Ready in its present generation."""
    condition = ready_condition(item.get("status") or {})
    generation = item["metadata"].get("generation")
    return condition.get("status") == "True" and condition.get("observedGeneration") == generation


def status_of(item: dict[str, Any], outcome: Outcome, now: str) -> dict[str, Any] | None:
    """The status that an outcome leads to, or None when it is what is there already.

    :param item: the object that the run got
    :param now: RFC 3339 time
    """
    metadata, old = item["metadata"], item.get("status") or {}
    is_deleting = bool(metadata.get("deletionTimestamp"))
    is_ready = outcome.is_done and not is_deleting
    condition = {
        "type": "Ready",
        "status": "True" if is_ready else "False",
        "reason": outcome.reason.value,
        "message": outcome.message,
        "observedGeneration": metadata.get("generation", 0),
    }
    word = "Ready" if is_ready else "Deleting" if is_deleting else _WORDS.get(outcome.reason, "Failed")
    new = {**old, **outcome.status, "status": word, "observedGeneration": metadata.get("generation", 0)}
    new["conditions"] = [_with_transition(condition, ready_condition(old), now)]
    if new == old and not outcome.changed:
        return None
    if outcome.changed or (outcome.is_done and "lastSyncTime" not in old):
        new["lastSyncTime"] = now
    return new


def _with_transition(condition: dict[str, Any], old: dict[str, Any], now: str) -> dict[str, Any]:
    is_same = old.get("status") == condition["status"]
    return {**condition, _TRANSITION: old.get(_TRANSITION, now) if is_same else now}
