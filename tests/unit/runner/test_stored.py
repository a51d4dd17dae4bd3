"""A CRD that is older than the operator: fields that it cannot store are reported once, and no action repeats."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest

from runner.control.queue import Lane
from runner.control.reconcile import Reconciler
from runner.control.stored import StoredObjects
from runner.kube.schema import fields_of, lost_fields, missing_fields, without
from runner.objects import FINALIZER, JsonObject, S3Object
from runner.yaml_file import read_yaml
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import READY, FakeCheck, FakeJob, FakeKube, FakeParts, make_item
from tests.support.world import PROJECT

KEY = ("team", "photos")
WITH_FINALIZER = {"finalizers": [FINALIZER]}
KNOWN = fields_of(read_yaml(PROJECT / "crds" / "s3s.agill.apps.yaml"))
GO = fields_of(read_yaml(PROJECT / "tests" / "chart" / "go-operator" / "templates" / "crd.yaml"))
DIFFERS = replace(READY, drift=("tags",))


class PruningKube(FakeKube):
    """An API server with a CRD that lacks fields of the status."""

    def __init__(self, item: dict[str, Any], missing: tuple[str, ...]) -> None:
        super().__init__(item)
        self._pruned = frozenset(missing)

    def write_status(self, s3: S3Object, status: JsonObject) -> JsonObject | None:
        super().write_status(s3, without(status, self._pruned, "status"))
        return copy.deepcopy((self.item or {}).get("status"))


def make(
    kube: PruningKube, check: Outcome, *runs: Outcome, missing: tuple[str, ...] = ()
) -> tuple[Reconciler, FakeJob]:
    job = FakeJob(kube, *runs)
    objects = StoredObjects(kube, kube.find_seen, missing)
    return FakeParts(FakeCheck(check)).make_reconciler(objects, job), job


def test_fields_that_an_older_crd_lacks_are_named() -> None:
    missing = missing_fields(KNOWN, GO)
    assert {"spec.driftPolicy", "spec.tags", "status.conditions", "status.appliedGeneration"} <= set(missing)
    # Of an object that is missing, only the object is listed, and not its fields.
    assert not any(name.startswith(("spec.publicAccessBlock.", "status.conditions[")) for name in missing)
    assert "spec.iamUser.username" not in missing
    assert "status.status" not in missing


def test_crd_of_this_version_lacks_nothing_and_a_newer_one_neither() -> None:
    assert missing_fields(KNOWN, KNOWN) == ()
    assert missing_fields(KNOWN, KNOWN | {"spec.future"}) == ()
    assert missing_fields(KNOWN, frozenset({"*"})) == ()


def test_fields_that_do_not_come_back_are_found() -> None:
    sent = {"status": "Ready", "drift": [], "conditions": [{"type": "Ready", "observedGeneration": 1}], "none": None}
    kept = {"status": "Ready", "conditions": [{"type": "Ready"}]}
    assert set(lost_fields(sent, kept, "status")) == {"status.drift", "status.conditions[].observedGeneration"}
    assert lost_fields(sent, {**sent, "more": 1}, "status") == ()


@pytest.mark.parametrize("is_known", [True, False], ids=["crd-read", "crd-not-read"])
def test_nothing_repeats_with_the_go_operators_crd(is_known: bool, caplog: pytest.LogCaptureFixture) -> None:
    missing = missing_fields(KNOWN, GO)
    kube = PruningKube(make_item(), missing)
    reconciler, job = make(kube, READY, READY, missing=missing if is_known else ())
    reconciler.reconcile(KEY)
    assert kube.item is not None
    assert set(kube.item["status"]) == {"status"}
    events, writes = [event.reason for event in kube.events], list(kube.writes)
    assert events == ["CREATING", "CREATED"]
    for _ in range(3):
        lane = reconciler.resync(KEY)
        assert lane is not None
        assert lane[0] is Lane.RESYNC
    assert ([event.reason for event in kube.events], kube.writes, len(job.runs)) == (events, writes, 1)
    reports = [record for record in caplog.records if record.message.startswith("the CRD does not have all fields")]
    assert len(reports) == (1 if is_known else 2)


def report_object(status: dict[str, Any]) -> dict[str, Any]:
    item = make_item(**WITH_FINALIZER)
    item["spec"]["driftPolicy"] = "Report"
    return {**item, "status": status}


def was_ready() -> dict[str, Any]:
    condition = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "observedGeneration": 1}
    return {"status": "Ready", "bucketARN": "arn:aws:s3:::photos", "conditions": [condition]}


def test_report_does_not_repair_after_a_restart_where_the_applied_generation_cannot_be_stored() -> None:
    missing = ("status.appliedGeneration",)
    kube = PruningKube(report_object(was_ready()), missing)
    reconciler, job = make(kube, DIFFERS, READY, missing=missing)
    assert reconciler.resync(KEY) is not None
    reconciler.reconcile(KEY)
    assert job.runs == []
    assert kube.item is not None
    assert kube.item["status"]["drift"] == ["tags"]
    writes = list(kube.writes)
    reconciler.resync(KEY)
    assert (job.runs, kube.writes) == ([], writes)
    assert [event.reason for event in kube.events] == ["Drifted"]


def test_report_still_creates_what_was_never_there() -> None:
    missing = ("status.appliedGeneration",)
    kube = PruningKube(report_object({"status": "Failed"}), missing)
    reconciler, job = make(kube, DIFFERS, READY, missing=missing)
    reconciler.reconcile(KEY)
    assert len(job.runs) == 1


def test_status_that_somebody_else_changed_is_what_counts() -> None:
    missing = ("status.drift",)
    kube = PruningKube(make_item(), missing)
    reconciler, job = make(kube, READY, READY, missing=missing)
    reconciler.reconcile(KEY)
    assert kube.item is not None
    kube.item["status"] = {}
    reconciler.reconcile(KEY)
    assert len(job.runs) == 2


def test_object_that_was_made_anew_has_no_status_of_the_former_one() -> None:
    missing = missing_fields(KNOWN, GO)
    kube = PruningKube(make_item(), missing)
    reconciler, job = make(kube, READY, READY, missing=missing)
    reconciler.reconcile(KEY)
    kube.item = make_item(uid="u2")
    kube.item["status"] = {"status": "Ready"}
    reconciler.reconcile(KEY)
    assert len(job.runs) == 2
    assert job.runs[1].uid == "u2"


def test_failure_is_reported_once_too() -> None:
    missing = missing_fields(KNOWN, GO)
    kube = PruningKube(make_item(), missing)
    denied = Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT)
    reconciler, _ = make(kube, denied, denied, missing=missing)
    for _ in range(3):
        reconciler.reconcile(KEY)
    assert [event.reason for event in kube.events] == ["CREATING", "FAILED"]
