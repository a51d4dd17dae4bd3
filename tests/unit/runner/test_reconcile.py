"""The cases of one reconcile of one object, with fakes."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest

from runner.backoff import FIRST_S
from runner.control.queue import Lane, Standing
from runner.control.reconcile import Reconciler
from runner.control.schedule import Next
from runner.kube.client import KubeError
from runner.objects import FINALIZER, OVERSIZED, S3Object
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import READY, FakeCheck, FakeJob, FakeKube, FakeParts, FakeWork, kube_error, make_item

KEY = ("team", "photos")
WITH_FINALIZER = {"finalizers": [FINALIZER]}
DELETED = {**WITH_FINALIZER, "deletionTimestamp": "2026-01-01T00:00:00Z"}
DENIED = Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT)
CONFLICT = Outcome(False, Reason.CONFLICT, "another object has it", Retry.PERMANENT)
DIFFERS = replace(READY, drift=("policy", "tags"))
UNUSABLE = Outcome(False, Reason.DRIFTED, "there is no bucket", Retry.SLOW, drift=("bucket",))
REPAIRED = replace(READY, changed=("policy", "tags"))


def make(item: dict[str, Any] | None, *outcomes: Outcome) -> tuple[Reconciler, FakeKube, FakeJob]:
    kube = FakeKube(item)
    job = FakeJob(kube, *outcomes)
    return FakeParts(drift_check=False).make_reconciler(kube, job), kube, job


def reasons(kube: FakeKube) -> list[str]:
    return [event.reason for event in kube.events]


def delay_of(after: Next | None) -> float:
    assert after is not None
    return after.delay_s


def test_new_object_gets_its_finalizer_before_the_first_run() -> None:
    reconciler, kube, job = make(make_item(), READY)
    wait_s = delay_of(reconciler.reconcile(KEY))
    assert kube.writes == ["add_finalizer", "write_status", "run", "write_status"]
    assert reasons(kube) == ["CREATING", "CREATED"]
    assert 270 <= wait_s <= 330
    assert job.runs[0].finalizers == (FINALIZER,)


def test_second_reconcile_without_change_writes_nothing() -> None:
    reconciler, kube, _ = make(make_item(), READY)
    reconciler.reconcile(KEY)
    kube.writes.clear()
    kube.events.clear()
    reconciler.reconcile(KEY)
    assert (kube.writes, kube.events) == (["run"], [])


def test_other_finalizers_stay_when_one_is_added() -> None:
    reconciler, kube, _ = make(make_item(finalizers=["other/one"]), READY)
    reconciler.reconcile(KEY)
    assert kube.item is not None
    assert kube.item["metadata"]["finalizers"] == ["other/one", FINALIZER]


def test_object_that_does_not_exist_is_dropped() -> None:
    reconciler, kube, job = make(None)
    assert reconciler.reconcile(KEY) is None
    assert (kube.writes, job.runs) == ([], [])


def test_deletion_removes_the_finalizer_when_nothing_is_left() -> None:
    reconciler, kube, _ = make(make_item(**DELETED), READY)
    assert reconciler.reconcile(KEY) is None
    assert kube.writes == ["write_status", "run", "remove_finalizer"]
    assert reasons(kube) == ["DELETING", "DELETED"]


def test_deletion_reads_the_object_once() -> None:
    reconciler, kube, _ = make(make_item(**DELETED), READY)
    reconciler.reconcile(KEY)
    assert kube.reads == ["find_object"]


@pytest.mark.parametrize("status", [404, 409, 422])
def test_finalizer_of_an_object_that_has_changed_is_removed_after_a_read(status: int) -> None:
    reconciler, kube, _ = make(make_item(**DELETED), READY)
    stock = kube.remove_finalizer

    def fail_once(s3: S3Object) -> None:
        kube.remove_finalizer = stock  # type: ignore[method-assign]
        raise kube_error(status)

    kube.remove_finalizer = fail_once  # type: ignore[method-assign]
    assert reconciler.reconcile(KEY) is None
    assert (kube.reads, kube.item) == (["find_object"] * 2, None)


def test_finalizer_that_may_not_be_removed_is_an_error() -> None:
    reconciler, kube, _ = make(make_item(**DELETED), READY)
    kube.errors["remove_finalizer"] = kube_error(403)
    with pytest.raises(KubeError):
        reconciler.reconcile(KEY)
    assert kube.reads == ["find_object"]


def test_deletion_that_failed_keeps_the_finalizer_and_is_published() -> None:
    reconciler, kube, _ = make(make_item(**DELETED), DENIED)
    wait_s = delay_of(reconciler.reconcile(KEY))
    assert "remove_finalizer" not in kube.writes
    assert kube.item is not None
    assert kube.item["status"]["status"] == "Deleting"
    assert reasons(kube) == ["DELETING", "FAILED"]
    assert wait_s <= FIRST_S


def test_deletion_without_the_finalizer_runs_nothing() -> None:
    reconciler, _, job = make(make_item(deletionTimestamp="2026-01-01T00:00:00Z", finalizers=["other/one"]))
    assert reconciler.reconcile(KEY) is None
    assert job.runs == []


def test_object_recreated_during_its_deletion_keeps_its_finalizer() -> None:
    item = make_item(**DELETED)
    reconciler, kube, job = make(item, READY)
    run = job.run

    def run_and_recreate(given: S3Object) -> Outcome:
        kube.item = make_item(uid="u2", **WITH_FINALIZER)
        return run(given)

    job.run = run_and_recreate  # type: ignore[method-assign]
    reconciler.reconcile(KEY)
    assert "remove_finalizer" not in kube.writes


def test_finalizer_that_others_added_during_a_deletion_is_read_before_the_own_one_is_removed() -> None:
    item = make_item(**DELETED)
    reconciler, kube, job = make(item, READY)
    run, removed = job.run, kube.remove_finalizer
    given_to: list[tuple[str, ...]] = []

    def run_and_add(given: S3Object) -> Outcome:
        item["metadata"]["finalizers"] = [FINALIZER, "other/one"]
        return run(given)

    def remove(s3: S3Object) -> None:
        given_to.append(s3.finalizers)
        removed(s3)

    job.run, kube.remove_finalizer = run_and_add, remove  # type: ignore[method-assign]
    reconciler.reconcile(KEY)
    assert given_to == [(FINALIZER,), (FINALIZER, "other/one")]


def test_failures_back_off_exponentially_and_success_resets() -> None:
    reconciler, _, _ = make(make_item(**WITH_FINALIZER), DENIED, DENIED, DENIED, READY, DENIED)
    waits = [delay_of(reconciler.reconcile(KEY)) for _ in range(5)]
    for wait_s, base in zip(waits, (5, 10, 20, 300, 5), strict=True):
        assert base * 0.7 <= wait_s <= base * 1.1


def test_wait_for_iam_is_retried_every_few_seconds_for_a_minute() -> None:
    waiting = Outcome(False, Reason.WAITING_FOR_IAM, "not yet", Retry.TRANSIENT)
    reconciler, _, _ = make(make_item(**WITH_FINALIZER), *[waiting] * 15)
    waits = [delay_of(reconciler.reconcile(KEY)) for _ in range(15)]
    assert max(waits[:12]) <= 5
    assert sum(waits[:12]) >= 40
    assert waits[14] > 10, "then less and less often"


def test_permanent_refusal_waits_for_the_next_sync() -> None:
    reconciler, kube, _ = make(make_item(**WITH_FINALIZER), CONFLICT)
    assert delay_of(reconciler.reconcile(KEY)) >= 270
    assert kube.item is not None
    assert kube.item["status"]["status"] == "Conflict"
    assert reasons(kube) == ["CREATING", "Conflict"]


def test_same_failure_again_is_published_once() -> None:
    reconciler, kube, _ = make(make_item(**WITH_FINALIZER), DENIED)
    for _ in range(3):
        reconciler.reconcile(KEY)
    assert reasons(kube).count("FAILED") == 1
    assert kube.writes.count("write_status") == 2


def test_cancelled_run_publishes_nothing() -> None:
    reconciler, kube, _ = make(
        make_item(**WITH_FINALIZER), READY, Outcome(False, Reason.RUN_CANCELLED, "stopping", Retry.TRANSIENT)
    )
    reconciler.reconcile(KEY)
    kube.writes.clear()
    reconciler.reconcile(KEY)
    assert kube.writes == ["run"]


def test_repair_in_the_same_generation_is_drift_and_in_a_new_one_is_not() -> None:
    repaired = Outcome(True, Reason.READY, changed=("policy",))
    reconciler, kube, _ = make(make_item(**WITH_FINALIZER), READY, repaired, repaired)
    reconciler.reconcile(KEY)
    reconciler.reconcile(KEY)
    assert kube.item is not None
    kube.item["metadata"]["generation"] = 2
    reconciler.reconcile(KEY)
    assert reasons(kube) == ["CREATING", "CREATED", "DriftCorrected", "COMPLETED"]
    assert "policy" in kube.events[2].message


def test_event_that_cannot_be_written_does_not_stop_the_work() -> None:
    reconciler, kube, job = make(make_item(**WITH_FINALIZER), READY)
    kube.errors["write_event"] = kube_error(403)
    reconciler.reconcile(KEY)
    assert len(job.runs) == 1


@pytest.mark.parametrize("name", ["find_object", "add_finalizer"])
def test_kubernetes_error_before_the_run_means_no_run(name: str) -> None:
    reconciler, kube, job = make(make_item(), READY)
    kube.errors[name] = kube_error(409)
    with pytest.raises(KubeError):
        reconciler.reconcile(KEY)
    assert job.runs == []


class Checked:
    """An object that a first run made Ready, and a Reconciler that checks it."""

    def __init__(
        self, *comparisons: Outcome, runs: tuple[Outcome, ...] = (READY,), policy: str = "", drift_check: bool = True
    ) -> None:
        self.check = FakeCheck(*comparisons)
        self.parts = FakeParts(self.check, drift_check=drift_check, full_sync_period_s=86400)
        self.metrics = self.parts.metrics
        item = make_item(**WITH_FINALIZER)
        if policy:
            item["spec"]["driftPolicy"] = policy
        self.kube = FakeKube(item)
        self.job = FakeJob(self.kube, READY, *runs)
        self.reconciler = self.parts.make_reconciler(self.kube, self.job)
        self.reconciler.reconcile(KEY)
        self.kube.writes.clear()
        self.kube.events.clear()
        self.kube.reads.clear()

    @property
    def status(self) -> dict[str, Any]:
        assert self.kube.item is not None
        return dict(self.kube.item["status"])

    def condition(self, name: str) -> tuple[str, str, str]:
        found = next(item for item in self.status["conditions"] if item["type"] == name)
        return found["status"], found["reason"], found["message"]

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def test_new_object_is_run_without_a_check() -> None:
    checked = Checked(READY)
    assert (checked.check.comparisons, len(checked.job.runs)) == (0, 1)


def test_check_that_finds_nothing_means_no_run_and_no_write() -> None:
    checked = Checked(READY)
    wait_s = delay_of(checked.reconciler.reconcile(KEY))
    assert (checked.check.comparisons, checked.kube.writes) == (1, [])
    assert wait_s >= 270
    assert checked.value("s3_operator_drift_checks_total", result="in_sync") == 1


def test_check_that_finds_a_difference_means_a_run_and_counts_it_as_drift() -> None:
    checked = Checked(DIFFERS, runs=(REPAIRED,))
    checked.reconciler.reconcile(KEY)
    assert checked.kube.writes == ["run", "write_status"]
    assert checked.value("s3_operator_drift_corrected_total", aspect="policy") == 1
    assert checked.value("s3_operator_drift_missed_total", aspect="policy") == 0


OLD_KEY, NEW_KEY = {"id": "A", "state": "Current"}, {"id": "B", "state": "Current"}
ROTATED = {"accessKeyID": "B", "accessKeys": [NEW_KEY, {"id": "A", "state": "Overlap"}]}


@pytest.mark.parametrize(
    ("run", "result", "event"),
    [
        (replace(READY, changed=("access_key", "secret"), status=ROTATED), "rotated", "KeyRotated"),
        (DENIED, "failed", "FAILED"),
    ],
    ids=["rotated", "failed"],
)
def test_rotation_that_is_due_is_run_and_counted_and_is_no_drift(run: Outcome, result: str, event: str) -> None:
    due = replace(READY, drift=("access_key",), status={"accessKeyID": "A", "accessKeys": [OLD_KEY]})
    checked = Checked(due, runs=(run,))
    assert checked.kube.item is not None
    checked.kube.item["status"] |= dict(due.status)
    checked.reconciler.reconcile(KEY)
    assert checked.value("s3_operator_key_rotation_total", result=result) == 1
    assert checked.value("s3_operator_drift_corrected_total", aspect="access_key") == 0
    assert reasons(checked.kube)[-1] == event


def test_check_that_fails_is_published_without_a_run() -> None:
    checked = Checked(DENIED)
    wait_s = delay_of(checked.reconciler.reconcile(KEY))
    assert checked.kube.writes == ["write_status"]
    assert checked.kube.item is not None
    assert checked.kube.item["status"]["conditions"][0]["reason"] == "AccessDenied"
    assert wait_s <= FIRST_S


def test_changed_spec_is_run_without_a_check() -> None:
    checked = Checked(READY)
    assert checked.kube.item is not None
    checked.kube.item["metadata"]["generation"] = 2
    checked.reconciler.reconcile(KEY)
    assert (checked.check.comparisons, len(checked.job.runs)) == (0, 2)


def test_object_that_is_being_deleted_is_run_without_a_check() -> None:
    checked = Checked(READY)
    assert checked.kube.item is not None
    checked.kube.item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert checked.reconciler.reconcile(KEY) is None
    assert (checked.check.comparisons, len(checked.job.runs)) == (0, 2)


def test_full_sync_comes_once_a_period_and_counts_what_the_check_missed() -> None:
    checked = Checked(READY, runs=(Outcome(True, Reason.READY, changed=("tags",)), READY))
    # The first full sync after a restart is at a random time within the period, so that not all objects are due at
    # once.
    checked.reconciler.reconcile(KEY)
    checked.parts.time_s = 86400
    checked.reconciler.reconcile(KEY)
    assert len(checked.job.runs) == 2
    assert checked.value("s3_operator_drift_missed_total", aspect="tags") == 1
    checked.reconciler.reconcile(KEY)
    assert len(checked.job.runs) == 2
    checked.parts.time_s = 3 * 86400
    checked.reconciler.reconcile(KEY)
    assert len(checked.job.runs) == 3
    assert checked.value("s3_operator_drift_missed_total", aspect="tags") == 1


def test_resync_that_finds_nothing_writes_nothing_and_comes_again_in_a_period() -> None:
    checked = Checked(READY)
    again = checked.reconciler.resync(KEY)
    assert again is not None
    assert again[0] is Lane.RESYNC
    assert 270 <= again[1] <= 330
    assert (checked.kube.reads, checked.kube.writes) == ([], [])


def test_resync_that_finds_a_difference_leaves_the_run_to_the_workers_for_runs() -> None:
    checked = Checked(DIFFERS)
    assert checked.reconciler.resync(KEY) == Next(Lane.REPAIR, 0.0)
    assert len(checked.job.runs) == 1


def test_resync_that_fails_is_published_and_never_leads_to_a_run() -> None:
    checked = Checked(DENIED)
    again = checked.reconciler.resync(KEY)
    assert again is not None
    assert again[0] is Lane.RESYNC
    assert again[1] <= FIRST_S
    assert checked.kube.writes == ["write_status"]


@pytest.mark.parametrize(
    "change", [{"generation": 2}, {"finalizers": []}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}]
)
def test_resync_of_a_changed_object_compares_nothing(change: dict[str, Any]) -> None:
    checked = Checked(READY)
    assert checked.kube.item is not None
    checked.kube.item["metadata"] |= change
    assert checked.reconciler.resync(KEY) == Next(Lane.REPAIR, 0.0)
    assert checked.check.comparisons == 0


def test_resync_leads_to_a_full_run_once_a_period() -> None:
    checked = Checked(READY)
    checked.reconciler.resync(KEY)
    checked.parts.time_s = 86400
    assert checked.reconciler.resync(KEY) == Next(Lane.REPAIR, 0.0)
    checked.reconciler.reconcile(KEY)
    assert len(checked.job.runs) == 2
    again = checked.reconciler.resync(KEY)
    assert again is not None
    assert again[0] is Lane.RESYNC


@pytest.mark.parametrize("change", [{"generation": 2}, {"uid": "u2"}, {"deletionTimestamp": "2026-01-01T00:00:00Z"}])
def test_resync_of_an_outdated_object_publishes_nothing(change: dict[str, Any]) -> None:
    checked = Checked(DENIED)
    assert checked.kube.item is not None
    outdated = copy.deepcopy(checked.kube.item)
    checked.kube.find_seen = lambda key: S3Object.from_item(outdated)  # type: ignore[method-assign]
    checked.kube.item["metadata"] |= change
    assert checked.reconciler.resync(KEY) == Next(Lane.FRESH, 0.0)
    assert checked.kube.writes == []


def test_resync_of_an_object_that_does_not_exist_ends() -> None:
    checked = Checked(READY)
    checked.kube.item = None
    assert checked.reconciler.resync(KEY) is None


def test_run_makes_the_check_forget_what_it_read_before() -> None:
    checked = Checked(DIFFERS)
    checked.reconciler.reconcile(KEY)
    assert checked.check.changed_by_runs == ["photos", "photos"]


@pytest.mark.parametrize("drift_check", [True, False], ids=["drift-check", "no-drift-check"])
@pytest.mark.parametrize("way", ["reconcile", "resync"])
def test_report_shows_what_differs_and_changes_nothing(way: str, drift_check: bool) -> None:
    checked = Checked(DIFFERS, policy="Report", drift_check=drift_check)
    act = getattr(checked.reconciler, way)
    act(KEY)
    assert len(checked.job.runs) == 1
    assert checked.condition("Ready")[:2] == ("True", "Ready")
    assert checked.condition("Synced") == ("False", "Drifted", "differs from the spec: policy, tags")
    assert (checked.status["drift"], checked.status["status"]) == (["policy", "tags"], "Ready")
    assert reasons(checked.kube) == ["Drifted"]
    assert "policy, tags" in checked.kube.events[0].message
    # Neither the next comparisons nor a due full sync repair the drift or publish it again.
    checked.parts.time_s = 10 * 86400
    act(KEY)
    assert (len(checked.job.runs), checked.kube.writes, len(checked.kube.events)) == (1, ["write_status"], 1)
    assert checked.value("s3_operator_drift_corrected_total", aspect="policy") == 0


def test_report_publishes_again_only_what_is_new_and_what_is_over() -> None:
    checked = Checked(DIFFERS, replace(READY, drift=("tags",)), READY, READY, policy="Report")
    for _ in range(4):
        checked.reconciler.reconcile(KEY)
    assert reasons(checked.kube) == ["Drifted", "Drifted"]
    assert checked.kube.writes == ["write_status"] * 3
    assert checked.condition("Synced") == ("True", "InSync", "")
    assert checked.status["drift"] == []


def test_run_that_fails_in_one_step_reports_only_what_it_left_as_drift() -> None:
    left = Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT, changed=("tags",))
    checked = Checked(DIFFERS, runs=(left,))
    checked.reconciler.reconcile(KEY)
    assert checked.status["drift"] == ["policy"]


def test_deferred_problem_starts_no_run_once_nothing_else_differs() -> None:
    rejected = Outcome(False, Reason.KUBERNETES_ERROR, "exceeded quota", Retry.TRANSIENT)
    checked = Checked(replace(rejected, drift=("tags",)), *[rejected] * 3, runs=(rejected,))
    for _ in range(4):
        checked.reconciler.reconcile(KEY)
    assert len(checked.job.runs) == 2, "the first one, and one for the tags"


def test_report_of_what_cannot_be_used_is_not_ready_and_waits_for_the_next_sync() -> None:
    checked = Checked(UNUSABLE, policy="Report")
    wait_s = delay_of(checked.reconciler.reconcile(KEY))
    assert wait_s >= 270
    assert len(checked.job.runs) == 1
    assert checked.condition("Ready") == ("False", "Drifted", "there is no bucket")
    assert checked.condition("Synced")[:2] == ("False", "Drifted")
    assert reasons(checked.kube) == ["Drifted"]


def test_report_acts_on_a_changed_spec_and_a_return_to_correct_repairs() -> None:
    checked = Checked(DIFFERS, policy="Report", runs=(REPAIRED,))
    checked.reconciler.reconcile(KEY)
    assert checked.kube.item is not None
    checked.kube.item["metadata"]["generation"] = 2
    checked.kube.item["spec"]["driftPolicy"] = "Correct"
    checked.reconciler.reconcile(KEY)
    assert len(checked.job.runs) == 2
    assert checked.condition("Synced")[:2] == ("True", "InSync")
    assert checked.status["drift"] == []
    assert reasons(checked.kube) == ["Drifted", "COMPLETED"]


def test_report_acts_on_a_deletion() -> None:
    checked = Checked(DIFFERS, policy="Report", runs=(REPAIRED,))
    assert checked.kube.item is not None
    checked.kube.item["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert checked.reconciler.reconcile(KEY) is None
    assert len(checked.job.runs) == 2
    assert checked.value("s3_operator_drift_corrected_total", aspect="policy") == 0


@pytest.mark.parametrize("drift_check", [True, False], ids=["drift-check", "no-drift-check"])
def test_report_of_a_spec_that_was_never_in_order_goes_on_with_it(drift_check: bool) -> None:
    item = make_item(**WITH_FINALIZER)
    item["spec"]["driftPolicy"] = "Report"
    kube = FakeKube(item)
    job = FakeJob(kube, DENIED, READY)
    reconciler = FakeParts(FakeCheck(DIFFERS), drift_check=drift_check).make_reconciler(kube, job)
    reconciler.reconcile(KEY)
    reconciler.reconcile(KEY)
    assert len(job.runs) == 2
    assert kube.item is not None
    assert kube.item["status"]["appliedGeneration"] == 1


def test_report_that_could_not_compare_keeps_what_was_known() -> None:
    checked = Checked(DIFFERS, DENIED, DIFFERS, policy="Report")
    checked.reconciler.reconcile(KEY)
    checked.reconciler.reconcile(KEY)
    assert checked.condition("Synced")[:2] == ("Unknown", "AccessDenied")
    assert checked.status["drift"] == ["policy", "tags"]
    checked.reconciler.reconcile(KEY)
    assert checked.condition("Ready")[0] == "True"
    assert checked.condition("Synced")[:2] == ("False", "Drifted")
    assert len(checked.job.runs) == 1


def test_without_drift_check_objects_that_repair_are_not_checked() -> None:
    checked = Checked(DIFFERS, runs=(REPAIRED,), drift_check=False)
    assert checked.reconciler.resync(KEY) == Next(Lane.REPAIR, 0.0)
    checked.reconciler.reconcile(KEY)
    assert (checked.check.comparisons, len(checked.job.runs)) == (0, 2)


def test_repair_is_published_in_one_write_and_stays_in_the_message() -> None:
    checked = Checked(DIFFERS, READY, READY, runs=(REPAIRED,))
    checked.reconciler.reconcile(KEY)
    checked.reconciler.reconcile(KEY)
    checked.reconciler.resync(KEY)
    assert checked.kube.writes == ["run", "write_status"]
    assert checked.condition("Synced") == ("True", "InSync", "repaired: policy, tags")
    assert reasons(checked.kube) == ["DriftCorrected"]


def test_repair_that_fails_shows_what_still_differs() -> None:
    checked = Checked(DIFFERS, runs=(DENIED, DENIED, REPAIRED))
    checked.reconciler.reconcile(KEY)
    assert checked.condition("Ready")[:2] == ("False", "AccessDenied")
    assert checked.condition("Synced") == ("False", "Drifted", "differs from the spec: policy, tags")
    checked.reconciler.reconcile(KEY)
    checked.reconciler.reconcile(KEY)
    assert checked.kube.writes == ["run", "write_status", "run", "run", "write_status"]
    assert reasons(checked.kube) == ["FAILED", "DriftCorrected"]
    assert checked.condition("Synced") == ("True", "InSync", "repaired: policy, tags")
    assert checked.status["drift"] == []
    assert checked.value("s3_operator_drift_corrected_total", aspect="policy") == 1


TOO_LARGE = {OVERSIZED: ["bucketPolicy"]}


def test_object_that_is_too_large_is_refused_once_without_a_run() -> None:
    reconciler, kube, job = make({**make_item(**WITH_FINALIZER), **TOO_LARGE}, READY)
    reconciler.reconcile(KEY)
    assert job.runs == []
    assert kube.item is not None
    ready = kube.item["status"]["conditions"][0]
    assert (ready["reason"], "spec.bucketPolicy: too large" in ready["message"]) == ("InvalidSpec", True)
    kube.writes.clear()
    assert reconciler.resync(KEY) == Next(Lane.REPAIR, 0.0)
    reconciler.reconcile(KEY)
    assert (job.runs, kube.writes) == ([], [])


def test_object_that_is_too_large_can_be_deleted() -> None:
    reconciler, kube, job = make({**make_item(**DELETED), **TOO_LARGE}, READY)
    assert reconciler.reconcile(KEY) is None
    assert len(job.runs) == 1
    assert kube.item is None


def test_deletion_of_what_owns_nothing_needs_no_run() -> None:
    checked = Checked(READY)
    checked.kube.item = make_item(**DELETED, name="conflicting")
    checked.check.deletion = replace(READY, message="bucket photos is not this object's and was left alone")
    assert checked.reconciler.reconcile(KEY) is None
    assert (len(checked.job.runs), checked.kube.writes, checked.kube.item) == (1, ["remove_finalizer"], None)
    assert reasons(checked.kube) == ["DELETED"]


@pytest.mark.parametrize(
    ("status", "nothing"), [({}, None), ({"appliedGeneration": 1}, READY)], ids=["unknown", "was-ready"]
)
def test_deletion_of_what_may_own_something_runs_the_role(status: dict[str, Any], nothing: Outcome | None) -> None:
    checked = Checked(READY)
    checked.kube.item = {**make_item(**DELETED), "status": status}
    checked.check.deletion = nothing
    assert checked.reconciler.reconcile(KEY) is None
    assert len(checked.job.runs) == 2


def test_emptying_is_no_event_and_no_failure_and_goes_on_at_once() -> None:
    emptying = Outcome(False, Reason.EMPTYING, "1000 of the bucket's versions are deleted", Retry.IMMEDIATE)
    reconciler, kube, _ = make(make_item(**DELETED), emptying)
    for _ in range(3):
        assert reconciler.reconcile(KEY) == Next(Lane.REPAIR, 0.0, Standing.GOOD)
    assert reasons(kube) == ["DELETING"]
    # One write for DELETING, and one for the status that the bucket is being emptied.
    assert kube.writes.count("write_status") == 2


def test_object_that_no_longer_exists_leaves_nothing_behind() -> None:
    checked = Checked(DENIED)
    checked.reconciler.resync(KEY)
    assert "photos" in generate_latest(checked.metrics.registry).decode()
    assert delay_of(checked.reconciler.resync(KEY)) > FIRST_S
    checked.kube.item = None
    assert checked.reconciler.resync(KEY) is None
    assert "photos" not in generate_latest(checked.metrics.registry).decode()
    checked.kube.item = make_item()
    checked.job.run = lambda s3: DENIED  # type: ignore[method-assign]
    assert delay_of(checked.reconciler.reconcile(KEY)) <= FIRST_S


@pytest.mark.parametrize("way", ["reconcile", "resync"])
def test_object_of_another_replica_is_neither_compared_nor_run_and_what_is_kept_of_it_is_dropped(way: str) -> None:
    kube, work = FakeKube(make_item(**WITH_FINALIZER)), FakeWork()
    parts = FakeParts(drift_check=False, work=work)
    job = FakeJob(kube)
    reconciler = parts.make_reconciler(kube, job)
    reconciler.reconcile(KEY)
    assert "s3_operator_resource_ready{" in generate_latest(parts.metrics.registry).decode()
    kube.writes.clear()
    work.is_begun = False
    assert getattr(reconciler, way)(KEY) is None
    assert kube.writes == []
    assert parts.check.comparisons == 0
    assert "s3_operator_resource_ready{" not in generate_latest(parts.metrics.registry).decode()


def test_work_on_an_object_ends_when_its_outcome_is_published() -> None:
    kube, work = FakeKube(make_item(**WITH_FINALIZER)), FakeWork()
    work.writes = kube.writes
    FakeParts(drift_check=False, work=work).make_reconciler(kube, FakeJob(kube)).reconcile(KEY)
    assert work.order == [f"begin {make_item()['metadata']['uid']}", "end after write_status"]


def test_outcome_is_not_published_by_a_replica_that_has_lost_the_object_meanwhile() -> None:
    kube, work = FakeKube(make_item(**WITH_FINALIZER)), FakeWork()
    job = FakeJob(kube)
    job.run = lambda s3: work.lose() or READY  # type: ignore[method-assign]
    reconciler = FakeParts(drift_check=False, work=work).make_reconciler(kube, job)
    reconciler.reconcile(KEY)
    # The one status from before the run, and no Event of its end.
    assert kube.writes == ["write_status"]
    assert reasons(kube) == ["CREATING"]


@pytest.mark.parametrize("way", ["reconcile", "resync"])
@pytest.mark.parametrize("found", [DIFFERS, UNUSABLE, READY], ids=["differs", "unusable", "ready"])
def test_comparison_that_ends_after_the_object_was_given_to_another_replica_is_dropped(
    way: str, found: Outcome
) -> None:
    """The move does not wait for it, and what it found may be older than what the other replica has done."""
    checked, work = Checked(READY), FakeWork()
    checked.reconciler._work = work
    checked.job.runs.clear()
    checked.check.compare = lambda s3: work.lose() or found  # type: ignore[method-assign, func-returns-value]
    assert getattr(checked.reconciler, way)(KEY) is None
    assert work.order[:2] == ["begin u1", "reading u1"]
    assert (checked.kube.writes, checked.kube.events, checked.job.runs) == ([], [], [])
    assert "photos" not in generate_latest(checked.metrics.registry).decode()


def test_finalizer_stays_when_a_deletion_was_given_to_another_replica_meanwhile() -> None:
    kube, work = FakeKube(make_item(**DELETED)), FakeWork()
    parts = FakeParts(work=work)
    parts.check.compare_deletion = lambda s3: work.lose() or READY  # type: ignore[method-assign, func-returns-value]
    assert parts.make_reconciler(kube, FakeJob(kube)).reconcile(KEY) is None
    assert (kube.writes, kube.events) == ([], [])


def test_claim_is_left_as_it_is_by_a_replica_that_has_lost_the_object_meanwhile() -> None:
    """The one that has the object now may be in a run, with the same claim."""
    kube, work = FakeKube(make_item(**WITH_FINALIZER)), FakeWork()
    job, parts = FakeJob(kube), FakeParts(drift_check=False, work=work)
    reconciler = parts.make_reconciler(kube, job)
    run = job.run
    job.run = lambda s3: work.lose() or run(s3)  # type: ignore[method-assign]
    reconciler.reconcile(KEY)
    name = make_item()["spec"]["bucketName"]
    found = parts.claims._records.find(name)
    assert found is not None
    assert found.is_running
    work.is_certain = True
    job.run = run  # type: ignore[method-assign]
    reconciler.reconcile(KEY)
    found = parts.claims._records.find(name)
    assert found is None or not found.is_running
