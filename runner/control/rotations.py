"""The rotations of access keys, as an object's status shows them: what an outcome moved on, and the Events. Pure.

The status has the access keys of an object with keyRotation, and of one with an unfinished rotation. A rotation has
moved on where the keys of an outcome differ from those of the status before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from runner.kube.events import Event
from runner.objects import JsonObject, S3Object
from s3bucket.key_status import CURRENT, DRAINING, FIELD, IN_USE, OVERLAP
from s3bucket.outcome import Outcome

ASPECTS = frozenset({"access_key", "secret"})
"""What a step of a rotation changes."""


class Result(StrEnum):
    """What became of a rotation; the label of the metric."""

    ROTATED = "rotated"
    """The Secret has a new key, and the old one is active."""
    DRAINED = "drained"
    """The old key was not used any more and is inactive."""
    FORCED = "forced"
    """The old key was still used and is inactive, because maxGracePeriod is over."""
    KEPT = "kept"
    """The old key is active again."""
    COMPLETED = "completed"
    """The old key is deleted."""
    FAILED = "failed"
    """A run could not do the step that was due."""


_TEXTS = {
    Result.ROTATED: "the Secret has the new access key {current}; the old one, {old}, stays active for now",
    Result.DRAINED: "the old access key {old} was not used any more and is inactive; it is deleted later",
    Result.FORCED: "the old access key {old} was still used and is inactive, because maxGracePeriod is over",
    Result.KEPT: "the old access key {old} is active again",
    Result.COMPLETED: "the old access key {old} is deleted",
}
_NAMES = {
    Result.ROTATED: "KeyRotated",
    Result.DRAINED: "OldKeyInactive",
    Result.FORCED: "OldKeyInactive",
    Result.KEPT: "OldKeyActive",
    Result.COMPLETED: "OldKeyDeleted",
}


def keys_of(status: Mapping[str, object]) -> list[JsonObject]:
    """The access keys in a status; empty where it has none."""
    found = status.get(FIELD)
    return [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []


def find_result(s3: S3Object, outcome: Outcome) -> Result | None:
    """What the outcome has moved on; None for an outcome that moved on nothing.

    :param s3: the object with its status from before
    """
    if FIELD not in outcome.status:
        return None
    before, after = _old(keys_of(s3.status)), _old(keys_of(outcome.status))
    if after is None:
        return Result.COMPLETED if before is not None and _is_same(s3, outcome) else None
    if before is None or before.get("id") != after.get("id"):
        return Result.ROTATED if after.get("id") == s3.status.get("accessKeyID") else None
    moved = str(before.get("state")), str(after.get("state"))
    if moved[1] == DRAINING and moved[0] != DRAINING:
        # At the end of maxGracePeriod, the last use is not read any more.
        return Result.FORCED if moved[0] == IN_USE and "lastUsed" not in after else Result.DRAINED
    return Result.KEPT if moved[0] == DRAINING and moved[1] != DRAINING else None


def _is_same(s3: S3Object, outcome: Outcome) -> bool:
    """Whether the key in the Secret is as before: otherwise all keys were replaced, and no rotation was completed."""
    return outcome.status.get("accessKeyID") == s3.status.get("accessKeyID")


def _old(keys: list[JsonObject]) -> JsonObject | None:
    return next((key for key in keys if key.get("state") in (OVERLAP, IN_USE, DRAINING)), None)


def event_of_rotation(s3: S3Object, outcome: Outcome) -> Event | None:
    """The Event about a rotation; None where nothing is new."""
    result = find_result(s3, outcome)
    if result is not None:
        old = _old(keys_of(outcome.status)) or _old(keys_of(s3.status)) or {}
        text = _TEXTS[result].format(current=outcome.status.get("accessKeyID", ""), old=old.get("id", ""))
        return Event("Warning" if result is Result.FORCED else "Normal", _NAMES[result], text)
    message = in_use_message(keys_of(outcome.status))
    is_new = bool(message) and not in_use_message(keys_of(s3.status))
    return Event("Warning", "OldKeyInUse", message) if is_new else None


def is_only_rotation(s3: S3Object, outcome: Outcome) -> bool:
    """Whether all that a run changed was a step of a rotation, so that it repaired nothing."""
    return set(outcome.changed) <= ASPECTS and find_result(s3, outcome) is not None


def in_use_message(keys: list[JsonObject]) -> str:
    """Which old key is in use, since when and by what; empty for none."""
    key = next((key for key in keys if key.get("state") == IN_USE), None)
    if key is None:
        return ""
    service, region = key.get("lastUsedService") or "an unknown service", key.get("lastUsedRegion") or "unknown region"
    return (
        f"the old access key {key.get('id')} was used at {key.get('lastUsed')} ({service}, {region}), after the Secret"
        f" got a new one: it stays active until it is unused for gracePeriod, at the latest until {key.get('expires')}."
        " Restart what still uses it"
    )


def current_key(keys: list[JsonObject]) -> JsonObject | None:
    """The key in the Secret."""
    return next((key for key in keys if key.get("state") == CURRENT), None)
