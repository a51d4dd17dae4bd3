"""When access keys are verified, and what of it is published, with fakes for AWS and Kubernetes."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import generate_latest

from runner.control.metrics import Metrics
from runner.control.queue import Lane
from runner.control.verifier import THREADS, Times, Verifier, make_queue
from runner.objects import FINALIZER, S3Object
from s3bucket.outcome import Outcome, Reason, Retry
from s3bucket.verification import KeyState, Verification, verified
from tests.support.fakes import READY, FakeCheck, FakeJob, FakeKube, FakeParts, FakeWork, kube_error, make_item

KEY = ("team", "photos")
OK = verified()
DENIED = Verification(False, Reason.ACCESS_DENIED, "iamUser: explicit deny", KeyState.VALID)
SILENT = Verification(False, Reason.AWS_UNREACHABLE, "no answer", KeyState.UNANSWERED, is_answer=False)
HAS_KEY = {"accessKeyID": "AKIA1", "bucketARN": "arn:aws:s3:::photos"}
ISSUED = replace(READY, changed=("access_key", "secret"), status=HAS_KEY)
TIMES = Times(period_s=3600, first_s=5, confirm_s=60)


class Keys:
    """Answers each verification with the next of the given results. The last one is repeated."""

    def __init__(self, *found: Verification | None) -> None:
        self._found = list(found)
        self.asked: list[bool] = []

    def verify(self, s3: S3Object, *, may_write: bool) -> Verification | None:
        self.asked.append(may_write)
        return self._found.pop(0) if len(self._found) > 1 else self._found[0]


class Rig:
    """A verifier with one object. ``time_s`` is the time on the clock of its queue."""

    def __init__(self, *found: Verification | None, seed: int = 1) -> None:
        self.time_s = 0.0
        self.keys, self.metrics = Keys(*found), Metrics()
        item = make_item(finalizers=[FINALIZER])
        item["spec"]["iamUser"] = {"username": "photos"}
        item["status"] = dict(HAS_KEY)
        self.kube = FakeKube(item)
        self.queue = make_queue(lambda: self.time_s)
        self.verifier = Verifier(
            self.keys, self.kube, self.metrics, lambda: "now", TIMES, queue=self.queue, chance=random.Random(seed)
        )

    @property
    def item(self) -> dict[str, Any]:
        assert self.kube.item is not None
        return self.kube.item

    def see(self, outcome: Outcome = READY, *, is_change: bool = False) -> None:
        self.verifier.see(S3Object.from_item(self.item), outcome, is_change=is_change)

    def pass_time(self, seconds: float) -> int:
        """Let time pass. Returns how many verifications were due in it."""
        before, end = len(self.keys.asked), self.time_s + seconds
        while self.time_s < end:
            self.time_s += 1
            while found := self.queue.get(0, (Lane.RESYNC,)):
                self.verifier.verify(found[0])
        return len(self.keys.asked) - before

    @property
    def condition(self) -> tuple[str, str, str] | None:
        found = [one for one in self.item["status"].get("conditions", []) if one["type"] == "CredentialsVerified"]
        return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None

    def observe(self) -> None:
        """The object was reconciled in its generation before."""
        ready = {"type": "Ready", "status": "True", "observedGeneration": self.item["metadata"]["generation"]}
        self.item["status"]["conditions"] = [ready, *self.item["status"].get("conditions", [])]


def test_key_is_verified_soon_after_it_was_issued_and_then_once_a_period() -> None:
    rig = Rig(OK)
    rig.see(ISSUED, is_change=True)
    assert rig.pass_time(4) == 0
    assert rig.pass_time(7) == 1
    assert rig.condition == ("True", "Verified", "")
    rig.kube.writes.clear()
    rig.observe()
    rig.see()
    assert rig.pass_time(3200) == 0
    assert rig.pass_time(800) == 1
    assert rig.kube.writes == [], "nothing is new"


def test_objects_are_spread_over_the_period_after_a_start() -> None:
    quarters = []
    for seed in range(50):
        rig = Rig(OK, seed=seed)
        rig.observe()
        rig.see()
        quarters.append(next(number for number in range(4) if rig.pass_time(900)))
    assert all(quarters.count(number) >= 5 for number in range(4)), quarters


@pytest.mark.parametrize(("result", "status"), [(DENIED, "False"), (SILENT, "Unknown")], ids=["denied", "silent"])
def test_failure_is_published_when_a_second_verification_confirms_it(result: Verification, status: str) -> None:
    rig = Rig(result)
    rig.see(ISSUED)
    assert rig.pass_time(12) == 1
    assert rig.condition is None, "a new policy may not be known everywhere"
    assert rig.pass_time(62) == 1
    assert rig.condition == (status, result.reason.value, result.message)
    assert rig.pass_time(3000) == 0, "a failure is not repeated more often"


def test_failure_that_passes_is_not_published() -> None:
    rig = Rig(DENIED, OK)
    rig.see(ISSUED)
    rig.pass_time(80)
    assert rig.condition == ("True", "Verified", "")


def test_success_after_a_failure_is_published_at_once() -> None:
    rig = Rig(DENIED, DENIED, OK)
    rig.see(ISSUED)
    rig.pass_time(80)
    assert rig.condition is not None
    assert rig.condition[0] == "False"
    rig.observe()
    rig.see(is_change=True)
    rig.pass_time(12)
    assert rig.condition[0] == "True", "a person who repaired it requested a reconcile"


@pytest.mark.parametrize(
    "change",
    [
        {"spec": {"verify": "Never"}},
        {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
        {"spec": {"iamUser": None}},
        {"status": {"accessKeyID": ""}},
    ],
    ids=["never", "deleting", "no-user", "no-key"],
)
def test_object_without_a_key_to_verify_is_left_alone(change: dict[str, dict[str, Any]]) -> None:
    rig = Rig(OK)
    rig.see(ISSUED)
    for part, fields in change.items():
        rig.item[part] |= fields
    rig.see()
    assert rig.pass_time(4000) == 0
    # Also one that is changed while it waits in the queue.
    rig = Rig(OK)
    rig.see(ISSUED)
    for part, fields in change.items():
        rig.item[part] |= fields
    assert rig.pass_time(4000) == 0
    assert b"credentials_verified{" not in generate_latest(rig.metrics.registry)


def test_new_spec_is_verified_soon() -> None:
    rig = Rig(OK)
    rig.observe()
    rig.see()
    rig.pass_time(3600)
    rig.item["metadata"]["generation"] = 2
    rig.see(READY, is_change=True)
    assert rig.pass_time(12) == 1


def test_object_that_could_not_be_deleted_is_the_last_that_is_written() -> None:
    left = replace(DENIED, leaves_object=True)
    rig = Rig(left, left, OK)
    rig.see(ISSUED)
    rig.pass_time(80)
    rig.pass_time(4000)
    assert rig.keys.asked[:3] == [True, False, False]
    rig.item["metadata"]["generation"] = 2
    rig.see(READY, is_change=True)
    rig.pass_time(12)
    assert rig.keys.asked[-1] is True, "a changed spec is tried again"


def test_conflict_with_another_writer_is_tried_again() -> None:
    rig = Rig(OK)
    rig.kube.errors["write_conditions"] = kube_error(409)
    rig.see(ISSUED)
    rig.pass_time(12)
    assert rig.condition is None
    rig.kube.errors.clear()
    rig.pass_time(16)
    assert rig.condition is not None


def test_error_of_one_object_does_not_end_the_thread(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(OK)
    rig.kube.errors["write_conditions"] = ValueError("a bug")  # type: ignore[assignment]
    rig.see(ISSUED)
    rig.pass_time(12)
    assert "not verified" in caplog.text


def test_status_of_a_run_keeps_the_condition_also_when_the_run_began_before_it() -> None:
    rig = Rig(OK)
    del rig.item["status"]
    denied = Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT, status=HAS_KEY)
    job = FakeJob(rig.kube, ISSUED, denied)
    parts = FakeParts(check=FakeCheck(READY), drift_check=False, verifier=rig.verifier, metrics=rig.metrics)
    reconciler = parts.make_reconciler(rig.kube, job)
    reconciler.reconcile(KEY)
    rig.pass_time(12)
    assert rig.condition == ("True", "Verified", "")
    # The object as it was read before the verification.
    before = dict(rig.item["status"], conditions=[])
    rig.item["status"] = before
    reconciler.reconcile(KEY)
    assert rig.condition == ("True", "Verified", "")
    ready = next(one for one in rig.item["status"]["conditions"] if one["type"] == "Ready")
    assert ready["status"] == "False", "Ready and CredentialsVerified do not depend on each other"


def test_condition_goes_when_keys_are_not_verified_any_more() -> None:
    rig = Rig(OK)
    rig.see(ISSUED)
    rig.pass_time(12)
    rig.item["spec"]["verify"] = "Never"
    parts = FakeParts(check=FakeCheck(READY), drift_check=False, verifier=rig.verifier)
    parts.make_reconciler(rig.kube, FakeJob(rig.kube, READY)).reconcile(KEY)
    assert rig.condition is None


def test_metric_shows_the_condition_also_after_a_start() -> None:
    rig = Rig(DENIED)
    rig.see(ISSUED)
    rig.pass_time(80)
    again = Rig(DENIED)
    again.kube.item = rig.item
    again.observe()
    again.see()
    sample = 's3_operator_credentials_verified{name="photos",namespace="team"} 0.0'
    for metrics in (rig.metrics, again.metrics):
        assert sample in generate_latest(metrics.registry).decode()
    assert 's3_operator_verifications_total{result="refused"} 2.0' in generate_latest(rig.metrics.registry).decode()


def test_namespace_with_endpoints_that_do_not_answer_leaves_a_thread_to_others() -> None:
    queue = make_queue(lambda: 0.0)
    for number in range(10):
        queue.add(("noisy", f"o{number}"), Lane.RESYNC)
    held = [queue.get(0, (Lane.RESYNC,)) for _ in range(THREADS)]
    assert [found and found[0][0] for found in held] == ["noisy"] * (THREADS - 1) + [None]
    queue.add(("quiet", "a"), Lane.RESYNC)
    assert queue.get(0, (Lane.RESYNC,)) == (("quiet", "a"), Lane.RESYNC)


@pytest.mark.parametrize(("verify", "is_dropped"), [("Access", True), ("ReadWrite", False)])
def test_result_of_a_verification_that_only_reads_is_dropped_by_a_replica_without_the_object(
    verify: str, is_dropped: bool
) -> None:
    """A move does not wait for it. It waits for one that writes an object, which must be deleted by then."""
    rig, work = Rig(OK), FakeWork()
    rig.item["spec"]["verify"] = verify
    rig.verifier._work = work
    asked = rig.keys.verify
    rig.keys.verify = lambda s3, **more: work.lose() or asked(s3, **more)  # type: ignore[method-assign, func-returns-value]
    rig.see(ISSUED)
    assert rig.pass_time(10) == 1
    assert ("reading u1" in work.order) == is_dropped
    assert (rig.kube.writes == []) == is_dropped
