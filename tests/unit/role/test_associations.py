"""Changes of several associations: each is tried."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3bucket.associations import try_each
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Reason


def failing(refusals: dict[str, Reason], tried: list[str]) -> Callable[[str], None]:
    def change(name: str) -> None:
        tried.append(name)
        if name in refusals:
            raise ReconcileError(refusals[name], f"{name} was refused")

    return change


def test_change_that_fails_does_not_keep_others_from_being_tried() -> None:
    tried: list[str] = []
    refusals = {"a": Reason.ACCESS_DENIED, "c": Reason.CONFLICT}
    with pytest.raises(ReconcileError, match=r"^a was refused; c was refused$") as caught:
        try_each(failing(refusals, tried), ["a", "b", "c", "d"])
    assert (caught.value.reason, tried) == (Reason.ACCESS_DENIED, ["a", "b", "c", "d"])


def test_nothing_is_tried_after_a_failure_of_all_requests() -> None:
    tried: list[str] = []
    with pytest.raises(ReconcileError, match=r"^b was refused$"):
        try_each(failing({"b": Reason.THROTTLED}, tried), ["a", "b", "c"])
    assert tried == ["a", "b"]
