"""Which steps of a run are skipped after another step failed."""

from __future__ import annotations

import pytest
import yaml

from s3bucket.aspects import ASPECTS
from s3bucket.outcome import Reason
from s3bucket.steps import DELETION_STEPS, STEPS, STOPS, aspects_of, is_stopping, removed_before, skipped_after
from tests.support.world import ROLE


def test_every_aspect_belongs_to_a_step() -> None:
    assert sorted(aspects_of(list(STEPS))) == sorted(ASPECTS)


@pytest.mark.parametrize(
    ("step", "skipped"),
    [
        ("settings", ["settings"]),
        ("service", ["service"]),
        ("removal", ["removal"]),
        ("users", ["users"]),
        ("also_uses", ["also_uses"]),
        ("access", ["access"]),
        ("role", ["role"]),
        ("rights", ["rights", "access"]),
    ],
)
def test_failed_step_skips_only_what_depends_on_it(step: str, skipped: list[str]) -> None:
    assert skipped_after(step, Reason.ACCESS_DENIED, has_bucket=True) == skipped


def test_bucket_that_could_not_be_created_has_no_settings() -> None:
    skipped = skipped_after("rights", Reason.ACCESS_DENIED, has_bucket=False)
    assert skipped == ["rights", "settings", "users", "access", "role"]


@pytest.mark.parametrize("reason", STOPS)
def test_reason_that_stops_skips_all_later_steps(reason: Reason) -> None:
    assert skipped_after("rights", reason, has_bucket=True) == list(STEPS)
    later = ["service", "removal", "users", "also_uses", "access", "role"]
    assert skipped_after("service", reason, has_bucket=True) == later
    assert is_stopping("service", reason)


@pytest.mark.parametrize("step", ["removal", "users", "also_uses", "access", "role"])
def test_conflict_of_one_user_or_of_the_role_stops_nothing_else(step: str) -> None:
    assert skipped_after(step, Reason.CONFLICT, has_bucket=True) == [step]
    assert not is_stopping(step, Reason.CONFLICT)
    assert is_stopping(step, Reason.THROTTLED)


def test_steps_of_a_deletion_are_its_tasks() -> None:
    tasks = yaml.safe_load((ROLE / "tasks" / "absent.yml").read_text())
    assert [task["name"] for task in tasks] == list(DELETION_STEPS)


@pytest.mark.parametrize(
    ("task", "removed"),
    [
        ("Ensure the users are gone", []),
        ("Ensure the role is gone", ["user"]),
        ("Ensure bucket, Secrets and Service are gone", ["user", "role"]),
        ("Ensure users, bucket, Secrets and Service are gone", []),
        ("Ensure the Service", []),
    ],
)
def test_failed_deletion_has_removed_what_earlier_tasks_remove(task: str, removed: list[str]) -> None:
    assert removed_before(task) == removed
