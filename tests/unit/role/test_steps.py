"""Which steps of a run are skipped because one failed."""

from __future__ import annotations

import pytest

from s3bucket.aspects import ASPECTS
from s3bucket.outcome import Reason
from s3bucket.steps import STEPS, STOPS, aspects_of, skipped_after


def test_every_aspect_belongs_to_one_step() -> None:
    assert sorted(aspects_of(list(STEPS))) == sorted(ASPECTS)


@pytest.mark.parametrize(
    ("step", "skipped"),
    [("settings", ["settings"]), ("service", ["service"]), ("access", ["access"]), ("rights", ["rights", "access"])],
)
def test_failed_step_skips_only_what_depends_on_it(step: str, skipped: list[str]) -> None:
    assert skipped_after(step, Reason.ACCESS_DENIED, has_bucket=True) == skipped


def test_bucket_that_could_not_be_created_has_no_settings() -> None:
    assert skipped_after("rights", Reason.ACCESS_DENIED, has_bucket=False) == ["rights", "settings", "access"]


@pytest.mark.parametrize("reason", STOPS)
def test_reason_that_stops_skips_all_later_steps(reason: Reason) -> None:
    assert skipped_after("rights", reason, has_bucket=True) == list(STEPS)
    assert skipped_after("service", reason, has_bucket=True) == ["service", "access"]
