"""The Events, the condition and the metrics of a key rotation, from the keys in the status before and after."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import generate_latest

from runner.control.events import event_of
from runner.control.metrics import Metrics
from runner.control.rotations import Result, events_of_rotation, results_of
from runner.control.status import status_of
from runner.objects import S3Object
from s3bucket.outcome import Outcome, Reason
from tests.support.fakes import READY, make_item, make_object

NOW = "2026-11-26T12:00:00Z"


def key(key_id: str, state: str, **fields: str) -> dict[str, Any]:
    return {"id": key_id, "state": state, "created": "2026-01-01T00:00:00Z", **fields}


USED = {"lastUsed": NOW, "lastUsedService": "s3", "lastUsedRegion": "eu-west-1", "expires": "2026-12-01T00:00:00Z"}
SINGLE = [key("A", "Current")]
OVERLAP = [key("B", "Current"), key("A", "Overlap")]
IN_USE = [key("B", "Current"), key("A", "InUse", **USED)]
DRAINING = [key("B", "Current"), key("A", "Draining")]
UNUSED = [key("B", "Current"), key("A", "Draining", lastUsed=NOW)]
DONE = [key("B", "Current")]
FRESH = [key("C", "Current")]


def status_with(keys: list[dict[str, Any]]) -> dict[str, Any]:
    return {"accessKeyID": keys[0]["id"], "accessKeys": keys} if keys else {}


def outcome_with(keys: list[dict[str, Any]], *changed: str) -> Outcome:
    return Outcome(True, Reason.READY, changed=changed, status=status_with(keys))


def object_with(keys: list[dict[str, Any]]) -> S3Object:
    item = make_item()
    item["status"] = status_of(S3Object(item), outcome_with(keys), NOW)
    return S3Object(item)


@pytest.mark.parametrize(
    ("before", "after", "result", "event"),
    [
        pytest.param(SINGLE, OVERLAP, Result.ROTATED, "KeyRotated", id="rotated"),
        pytest.param(OVERLAP, OVERLAP, None, None, id="nothing"),
        pytest.param(OVERLAP, IN_USE, None, "OldKeyInUse", id="in-use"),
        pytest.param(IN_USE, IN_USE, None, None, id="still-in-use"),
        pytest.param(OVERLAP, DRAINING, Result.DRAINED, "OldKeyInactive", id="drained"),
        pytest.param(IN_USE, UNUSED, Result.DRAINED, "OldKeyInactive", id="unused-at-last"),
        pytest.param(IN_USE, DRAINING, Result.FORCED, "OldKeyInactive", id="forced"),
        pytest.param(DRAINING, OVERLAP, Result.KEPT, "OldKeyActive", id="kept"),
        pytest.param(DRAINING, DONE, Result.COMPLETED, "OldKeyDeleted", id="completed"),
        pytest.param(OVERLAP, FRESH, None, None, id="all-replaced-because-the-secret-was-deleted"),
        pytest.param(OVERLAP, [], None, None, id="not-known"),
    ],
)
def test_step_of_a_rotation_and_its_event(
    before: list[dict[str, Any]], after: list[dict[str, Any]], result: Result | None, event: str | None
) -> None:
    s3, outcome = object_with(before), outcome_with(after)
    assert [found for _, found in results_of(s3, outcome)] == ([result] if result else [])
    assert [found.reason for found in events_of_rotation(s3, outcome)] == ([event] if event else [])


def test_rotation_of_an_object_that_shows_no_keys_yet() -> None:
    item = make_item()
    item["status"] = status_of(S3Object(item), Outcome(True, Reason.READY, status={"accessKeyID": "A"}), NOW)
    assert results_of(S3Object(item), outcome_with(OVERLAP)) == [("", Result.ROTATED)]


def test_each_user_has_a_rotation_of_its_own() -> None:
    def outcome_of(first: list[dict[str, Any]], other: list[dict[str, Any]]) -> Outcome:
        users = [{"username": "reader", **status_with(other)}]
        return Outcome(True, Reason.READY, status={**status_with(first), "users": users})

    item, metrics = make_item(), Metrics()
    item["status"] = status_of(S3Object(item), outcome_of(SINGLE, SINGLE), NOW)
    s3, outcome = S3Object(item), outcome_of(SINGLE, OVERLAP)
    assert results_of(s3, outcome) == [("reader", Result.ROTATED)]
    (event,) = events_of_rotation(s3, outcome)
    assert event.message.startswith("IAM user reader: ")
    metrics.show(s3, outcome_of(SINGLE, IN_USE))
    text = generate_latest(metrics.registry).decode()
    in_use = [line.split("username=")[1] for line in text.splitlines() if line.startswith("s3_operator_old_access_key")]
    assert in_use == [f'"{s3.username}"}} 0.0', '"reader"} 1.0']
    metrics.show(s3, outcome_with(SINGLE))
    assert "reader" not in generate_latest(metrics.registry).decode()


def test_event_of_an_old_key_in_use_names_service_region_and_time() -> None:
    (found,) = events_of_rotation(object_with(OVERLAP), outcome_with(IN_USE))
    assert (found.type, all(text in found.message for text in ("s3", "eu-west-1", NOW, "A"))) == ("Warning", True)


@pytest.mark.parametrize(
    ("changed", "event"),
    [(("access_key", "secret"), None), (("access_key", "policy"), "DriftCorrected")],
    ids=["only", "beside-a-repair"],
)
def test_rotation_is_no_repair_of_drift(changed: tuple[str, ...], event: str | None) -> None:
    found = event_of(object_with(SINGLE), outcome_with(OVERLAP, *changed))
    assert (found.reason if found else None) == event


def test_replaced_keys_are_a_repair() -> None:
    found = event_of(object_with(OVERLAP), outcome_with(FRESH, "access_key", "secret"))
    assert found is not None
    assert found.reason == "DriftCorrected"


def test_condition_exists_while_the_old_key_is_in_use() -> None:
    s3 = object_with(IN_USE)
    (condition,) = [item for item in s3.status["conditions"] if item["type"] == "OldKeyInUse"]
    assert (condition["status"], condition["reason"]) == ("True", "OldKeyInUse")
    assert "eu-west-1" in condition["message"]
    # Unknown is not over.
    failed = status_of(s3, Outcome.failure(Reason.AWS_UNREACHABLE, "no"), NOW)
    over = status_of(s3, outcome_with(DRAINING), NOW)
    assert [[item["type"] for item in (found or {})["conditions"]] for found in (failed, over)] == [
        ["Ready", "Synced", "Reconciling", "OldKeyInUse"], ["Ready", "Synced"],
    ]  # fmt: skip


def test_keys_leave_the_status_with_the_rotation() -> None:
    found = status_of(object_with(DONE), Outcome(True, Reason.READY, status={"accessKeyID": "B"}), NOW)
    assert (found or {})["accessKeys"] == []
    assert status_of(make_object(), READY, NOW) is not None
    assert "accessKeys" not in (status_of(make_object(), READY, NOW) or {})


def test_metrics_of_keys_appear_and_leave_with_the_keys() -> None:
    metrics, s3 = Metrics(), make_object()
    metrics.show(s3, outcome_with([key("B", "Current", expires="2026-04-01T00:00:00Z"), IN_USE[1]]))
    text = generate_latest(metrics.registry).decode()
    labels = f'{{name="{s3.name}",namespace="{s3.namespace}",username="{s3.username}"}}'
    assert f"s3_operator_access_key_due_timestamp_seconds{labels} 1.7750016e+09" in text
    assert f"s3_operator_old_access_key_in_use{labels} 1.0" in text
    age = next(line for line in text.splitlines() if line.startswith("s3_operator_access_key_age_seconds{"))
    assert float(age.split()[-1]) > 300 * 86_400
    metrics.show(s3, READY)
    assert "s3_operator_access_key_age_seconds{" not in generate_latest(metrics.registry).decode()
    metrics.show(s3, outcome_with(DONE))
    metrics.forget(s3.key)
    assert s3.name not in generate_latest(metrics.registry).decode()


def test_steps_are_counted() -> None:
    metrics = Metrics()
    metrics.count_rotation(Result.ROTATED)
    text = generate_latest(metrics.registry).decode()
    assert 's3_operator_key_rotation_total{result="rotated"} 1.0' in text
    assert 's3_operator_key_rotation_total{result="failed"} 0.0' in text
