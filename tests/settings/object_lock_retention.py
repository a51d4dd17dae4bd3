"""objectLockRetention."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_ENABLED = {"ObjectLockEnabled": "Enabled"}


def _answer(**retention: Any) -> dict[str, Any]:
    return {"ObjectLockConfiguration": {**_ENABLED, "Rule": {"DefaultRetention": retention}}}


CASES = {
    "example": Case(_answer(Mode="GOVERNANCE", Days=30)),
    "years": Case(_answer(Mode="COMPLIANCE", Years=2), {"objectLockRetention": {"mode": "COMPLIANCE", "years": 2}}),
}
CLEARED = {"ObjectLockConfiguration": _ENABLED}


def _put(subject: Subject, **retention: Any) -> None:
    rule = {"Rule": {"DefaultRetention": retention}} if retention else {}
    configuration = {**_ENABLED, **rule}
    subject.world.s3.put_object_lock_configuration(Bucket=subject.bucket, ObjectLockConfiguration=configuration)


def _with_hold(_: Subject, before: dict[str, Any], after: dict[str, Any]) -> None:
    """The repair keeps what the spec cannot request."""
    found = after["bucket"]["settings"]["object_lock_retention"]
    assert found == {"mode": "GOVERNANCE", "days": 30, "kept": {"DefaultEventHold": {"Days": 3}}}
    before["bucket"]["settings"]["object_lock_retention"] = found


_NAMES = ("object_lock_retention", "objectLockRetention")
ROWS = {
    "retention-removed": Row(*_NAMES, _put),
    "retention-shorter": Row(*_NAMES, lambda s: _put(s, Mode="GOVERNANCE", Days=1)),
    "retention-in-years": Row(*_NAMES, lambda s: _put(s, Mode="GOVERNANCE", Years=30)),
    "retention-compliance": Row(*_NAMES, lambda s: _put(s, Mode="COMPLIANCE", Days=30)),
    # The last one, because the repair leaves it as it is.
    "retention-beside-an-event-hold": Row(*_NAMES, lambda s: _put(s, DefaultEventHold={"Days": 3}), expect=_with_hold),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "retention-without-lock": (
        {"enableObjectLock": False, "objectLockRetention": {"mode": "GOVERNANCE", "days": 1}},
        "spec.objectLockRetention: needs enableObjectLock: true",
    ),
    **{
        f"retention-{name}": (
            {"enableObjectLock": True, "objectLockRetention": value}, f"spec.objectLockRetention{message}"
        )
        for name, value, message in (
            ("number", 30, ": must be an object"),
            ("without-mode", {"days": 1}, ".mode: is missing"),
            ("mode", {"mode": "Legal", "days": 1}, ".mode: must be one of GOVERNANCE, COMPLIANCE"),
            ("no-period", {"mode": "GOVERNANCE"}, ": must have either days or years"),
            ("both", {"mode": "GOVERNANCE", "days": 1, "years": 1}, ": must have either days or years"),
            ("days", {"mode": "GOVERNANCE", "days": 36501}, ".days: must be a number of 1 to 36500"),
            ("years", {"mode": "GOVERNANCE", "years": True}, ".years: must be a number of 1 to 100"),
            ("typo", {"mode": "GOVERNANCE", "day": 1}, ".day: there is no such field: it must be one of mode, days"),
        )
    },
}  # fmt: skip
