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
    """The old key is inactive, and no use of it after the grace period was seen. AWS may not show the latest uses."""
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
    Result.DRAINED: "the old access key {old} is inactive, and no use of it was seen; it is deleted later",
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


def parts_of(status: Mapping[str, object]) -> dict[str, Mapping[str, object]]:
    """The part of a status for each IAM user, by its name; without a name all of it, which shows the first user."""
    others = status.get("users")
    listed = [item for item in others if isinstance(item, dict)] if isinstance(others, list) else []
    return {"": status, **{str(item.get("username", "")): item for item in listed}}


def keys_of(part: Mapping[str, object]) -> list[JsonObject]:
    """The access keys in a user's part of a status; empty where it has none."""
    found = part.get(FIELD)
    return [key for key in found if isinstance(key, dict)] if isinstance(found, list) else []


def has_keys(status: Mapping[str, object]) -> bool:
    """Whether a status shows the keys of any user."""
    return any(keys_of(part) for part in parts_of(status).values())


def is_rotating(status: Mapping[str, object]) -> bool:
    """Whether the rotation of a key of any user is unfinished."""
    return any(_old(keys_of(part)) for part in parts_of(status).values())


def results_of(s3: S3Object, outcome: Outcome) -> list[tuple[str, Result]]:
    """What the outcome has moved on: the users, by name, and what became of the rotation of each.

    :param s3: the object with its status from before
    """
    before = parts_of(s3.status)
    found = [(name, _result_of(before.get(name, {}), part)) for name, part in parts_of(outcome.status).items()]
    return [(name, result) for name, result in found if result is not None]


def _result_of(before: Mapping[str, object], after: Mapping[str, object]) -> Result | None:
    if FIELD not in after:
        return None
    was, is_now = _old(keys_of(before)), _old(keys_of(after))
    if is_now is None:
        # Where the key in the Secret is another one too, all keys were replaced, and no rotation was completed.
        is_same = before.get("accessKeyID") == after.get("accessKeyID")
        return Result.COMPLETED if was is not None and is_same else None
    if was is None or was.get("id") != is_now.get("id"):
        return Result.ROTATED if is_now.get("id") == before.get("accessKeyID") else None
    moved = str(was.get("state")), str(is_now.get("state"))
    if moved[1] == DRAINING and moved[0] != DRAINING:
        # At the end of maxGracePeriod, the last use is not read any more.
        return Result.FORCED if moved[0] == IN_USE and "lastUsed" not in is_now else Result.DRAINED
    return Result.KEPT if moved[0] == DRAINING and moved[1] != DRAINING else None


def _old(keys: list[JsonObject]) -> JsonObject | None:
    return next((key for key in keys if key.get("state") in (OVERLAP, IN_USE, DRAINING)), None)


def events_of_rotation(s3: S3Object, outcome: Outcome) -> list[Event]:
    """The Events about rotations."""
    before, after = parts_of(s3.status), parts_of(outcome.status)
    found = [_event_of(result, name, before.get(name, {}), after[name]) for name, result in results_of(s3, outcome)]
    message = in_use_message(outcome.status)
    is_new = bool(message) and not in_use_message(s3.status)
    return [*found, *([Event("Warning", "OldKeyInUse", message)] if is_new else [])]


def _event_of(result: Result, name: str, before: Mapping[str, object], after: Mapping[str, object]) -> Event:
    old = _old(keys_of(after)) or _old(keys_of(before)) or {}
    text = _TEXTS[result].format(current=after.get("accessKeyID", ""), old=old.get("id", ""))
    user = f"IAM user {name}: " if name else ""
    return Event("Warning" if result is Result.FORCED else "Normal", _NAMES[result], f"{user}{text}")


def is_only_rotation(s3: S3Object, outcome: Outcome) -> bool:
    """Whether all that a run changed was a step of a rotation, so that it repaired nothing."""
    return set(outcome.changed) <= ASPECTS and bool(results_of(s3, outcome))


def in_use_message(status: Mapping[str, object]) -> str:
    """Which old keys are in use, since when and by what; empty for none."""
    keys = [key for part in parts_of(status).values() for key in keys_of(part)]
    return ". ".join(_use_of(key) for key in keys if key.get("state") == IN_USE)


def _use_of(key: JsonObject) -> str:
    service, region = key.get("lastUsedService") or "an unknown service", key.get("lastUsedRegion") or "unknown region"
    return (
        f"the old access key {key.get('id')} was used at {key.get('lastUsed')} ({service}, {region}), after the Secret"
        f" got a new one: it stays active until it is unused for gracePeriod, at the latest until {key.get('expires')}."
        " Restart what still uses it"
    )


def current_key(keys: list[JsonObject]) -> JsonObject | None:
    """The key in the Secret."""
    return next((key for key in keys if key.get("state") == CURRENT), None)


def is_in_use(keys: list[JsonObject]) -> bool:
    """Whether the old key is used after its grace period."""
    return any(key.get("state") == IN_USE for key in keys)
