"""The status that each outcome leads to."""

from __future__ import annotations

import pytest

from runner.control.events import event_of
from runner.control.status import is_ready_in_generation, ready_condition, status_of, synced_condition
from runner.objects import S3Object
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import READY, make_item, make_object

NOW, LATER = "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"


def test_status_of_ready_object() -> None:
    status = status_of(make_object(), Outcome(True, Reason.READY, status={"bucketARN": "arn"}), NOW)
    assert status == {
        "bucketARN": "arn", "status": "Ready", "observedGeneration": 1, "appliedGeneration": 1, "lastSyncTime": NOW,
        "conditions": [
            {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1,
             "lastTransitionTime": NOW},
            {"type": "Synced", "status": "True", "reason": "InSync", "message": "", "observedGeneration": 1,
             "lastTransitionTime": NOW},
        ],
    }  # fmt: skip


def test_status_of_drift_moves_only_the_transition_of_synced() -> None:
    item = make_item()
    item["status"] = status_of(S3Object(item), READY, NOW)
    status = status_of(S3Object(item), Outcome(True, Reason.READY, drift=("policy",)), LATER)
    assert status is not None
    assert (status["drift"], status["lastSyncTime"]) == (["policy"], NOW)
    assert ready_condition(status) == ready_condition(item["status"])
    assert synced_condition(status)["lastTransitionTime"] == LATER


def test_status_of_a_new_generation_forgets_what_was_repaired_in_the_old_one() -> None:
    item = make_item()
    for outcome in (READY, Outcome(True, Reason.READY, changed=("policy",))):
        item["status"] = status_of(S3Object(item), outcome, NOW)
    assert synced_condition(item["status"])["message"] == "repaired: policy"
    item["metadata"]["generation"] = 2
    status = status_of(S3Object(item), Outcome(True, Reason.READY, changed=("tags",)), LATER)
    assert status is not None
    assert synced_condition(status)["message"] == ""
    assert status["appliedGeneration"] == 2


def test_status_keeps_the_recent_writes_of_the_run_before() -> None:
    item = make_item()
    for aspect, now in (("cors", NOW), ("lifecycle", "2026-01-01T00:04:00Z")):
        written = [{"aspect": aspect, "replaced": "before", "time": now}]
        outcome = Outcome(True, Reason.READY, changed=(aspect,), status={"recentWrites": written})
        item["status"] = status_of(S3Object(item), outcome, now)
    assert [entry["aspect"] for entry in item["status"]["recentWrites"]] == ["cors", "lifecycle"]


def test_status_of_same_outcome_is_none() -> None:
    item = make_item()
    item["status"] = status_of(S3Object(item), READY, NOW)
    assert status_of(S3Object(item), READY, LATER) is None


def test_status_of_repair_moves_the_sync_time_but_not_the_transition() -> None:
    item = make_item()
    item["status"] = status_of(S3Object(item), READY, NOW)
    status = status_of(S3Object(item), Outcome(True, Reason.READY, changed=("policy",)), LATER)
    assert status is not None
    assert status["lastSyncTime"] == LATER
    assert ready_condition(status)["lastTransitionTime"] == NOW


def test_status_of_failure_moves_the_transition_and_keeps_what_is_known() -> None:
    item = make_item()
    item["status"] = status_of(S3Object(item), Outcome(True, Reason.READY, status={"bucketARN": "arn"}), NOW)
    status = status_of(S3Object(item), Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT), LATER)
    assert status is not None
    assert (status["status"], status["bucketARN"], status["lastSyncTime"]) == ("Failed", "arn", NOW)
    assert ready_condition(status)["lastTransitionTime"] == LATER


@pytest.mark.parametrize(
    ("reason", "word"),
    [(Reason.CONFLICT, "Conflict"), (Reason.BUCKET_NAME_TAKEN, "Conflict"), (Reason.PENDING, "Pending"),
     (Reason.INVALID_SPEC, "Failed")],
)  # fmt: skip
def test_status_of_word(reason: Reason, word: str) -> None:
    status = status_of(make_object(), Outcome(False, reason, "x", Retry.PERMANENT), NOW)
    assert status is not None
    assert status["status"] == word


def test_is_ready_in_generation_needs_ready_in_this_generation() -> None:
    item = make_item()
    assert not is_ready_in_generation(S3Object(item))
    item["status"] = status_of(S3Object(item), READY, NOW)
    assert is_ready_in_generation(S3Object(item))
    item["metadata"]["generation"] = 2
    assert not is_ready_in_generation(S3Object(item))


def test_run_that_deleted_a_part_writes_no_warning() -> None:
    item = make_item(deletionTimestamp=NOW)
    item["status"] = status_of(S3Object(item), Outcome(False, Reason.DELETING), NOW)
    part = Outcome(False, Reason.EMPTYING, "1000 versions deleted", Retry.IMMEDIATE)
    assert event_of(S3Object(item), part) is None
    status = status_of(S3Object(item), part, LATER)
    assert status is not None
    assert (status["status"], ready_condition(status)["reason"]) == ("Deleting", "Emptying")
