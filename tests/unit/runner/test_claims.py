"""Of two objects that ask for one bucket, the one that has it keeps it."""

from __future__ import annotations

from typing import Any

import pytest

from runner.cache import Cache
from runner.claims import Claims
from runner.conditions import Reason
from tests.fakes import READY


def item(name: str, *, bucket: str = "photos", has_bucket: bool = False, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "team", "name": name, "uid": f"uid-{name}", **metadata},
        "spec": {"bucketName": bucket},
        "status": {"bucketARN": f"arn:aws:s3:::{bucket}"} if has_bucket else {},
    }


def run(new: dict[str, Any], *others: dict[str, Any]) -> Any:
    cache = Cache()
    for other in others:
        cache.put((other["metadata"]["namespace"], other["metadata"]["name"]), other)
    return Claims(lambda _: READY, lambda bucket: cache.find_all("bucketName", bucket)).run(new)


def test_new_object_waits_for_the_one_that_has_the_bucket() -> None:
    outcome = run(item("second"), item("first", has_bucket=True), item("third"))
    assert (outcome.is_done, outcome.reason, outcome.retry) == (False, Reason.CONFLICT, "permanent")
    assert "team/first" in outcome.message


@pytest.mark.parametrize(
    ("new", "other"),
    [
        pytest.param(item("second"), item("first"), id="neither-has-it"),
        pytest.param(item("second", has_bucket=True), item("first", has_bucket=True), id="has-it-too"),
        pytest.param(item("second"), item("first", bucket="photos-2", has_bucket=True), id="another-bucket"),
        pytest.param(item("second", deletionTimestamp="now"), item("first", has_bucket=True), id="deleted"),
        pytest.param(item("first"), item("first", has_bucket=True), id="itself"),
    ],
)
def test_role_runs_for_an_object(new: dict[str, Any], other: dict[str, Any]) -> None:
    assert run(new, other) is READY


def test_object_without_a_spec_is_left_to_the_role() -> None:
    assert run({"metadata": {"name": "a", "uid": "a"}}, item("first", has_bucket=True)) is READY
