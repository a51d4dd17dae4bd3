"""The metrics of an object appear with the object, and are removed with it."""

from __future__ import annotations

from dataclasses import replace

from prometheus_client import generate_latest

from runner.control.metrics import Metrics
from runner.control.queue import Lane, WorkQueue
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import READY, make_object

DENIED = Outcome(False, Reason.ACCESS_DENIED, "no", Retry.TRANSIENT)


def text(metrics: Metrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_object_is_shown_until_it_is_deleted() -> None:
    metrics = Metrics()
    metrics.show(make_object(), READY)
    assert 's3_operator_resource_ready{name="photos",namespace="team"} 1.0' in text(metrics)
    assert 's3_operator_resource_synced{name="photos",namespace="team"} 1.0' in text(metrics)
    assert 's3_info{namespace="team",s3="photos"} 1.0' in text(metrics)
    metrics.forget(("team", "photos"))
    metrics.forget(("team", "photos"))
    assert "photos" not in text(metrics)


def test_object_that_differs_is_not_synced_until_it_is_known_to_be_again() -> None:
    metrics = Metrics()
    for outcome, value in ((replace(READY, drift=("policy",)), 0.0), (DENIED, 0.0), (READY, 1.0), (DENIED, 1.0)):
        metrics.show(make_object(), outcome)
        assert f's3_operator_resource_synced{{name="photos",namespace="team"}} {value}' in text(metrics)
        ready = 1.0 if outcome.is_done else 0.0
        assert f's3_operator_resource_ready{{name="photos",namespace="team"}} {ready}' in text(metrics)


def test_drift_and_aws_errors_are_counted() -> None:
    metrics = Metrics()
    metrics.count_run(Outcome(True, Reason.READY, changed=("policy",)), 1.0, is_drift=True)
    metrics.count_run(Outcome(True, Reason.READY, changed=("acl",)), 1.0, is_drift=False)
    metrics.count_run(Outcome(False, Reason.THROTTLED), 1.0, is_drift=False)
    shown = text(metrics)
    assert 's3_operator_drift_corrected_total{aspect="policy"} 1.0' in shown
    assert 'aspect="acl"' not in shown
    assert 's3_operator_aws_errors_total{reason="Throttled",source="run"} 1.0' in shown
    assert 's3_operator_aws_errors_total{reason="Throttled",source="check"} 0.0' in shown
    assert 's3_operator_reconcile_total{reason="Throttled",result="failed"} 1.0' in shown
    metrics.count_run(Outcome(False, Reason.EMPTYING, retry=Retry.IMMEDIATE), 1.0, is_drift=False)
    assert 's3_operator_reconcile_total{reason="Emptying",result="progress"} 1.0' in text(metrics)


def test_queue_depth_is_read_at_each_scrape() -> None:
    metrics, queue = Metrics(), WorkQueue()
    metrics.watch_queue(queue)
    assert 's3_operator_queue_depth{lane="fresh"} 0.0' in text(metrics)
    queue.add(("a", "b"), Lane.FRESH)
    assert 's3_operator_queue_depth{lane="fresh"} 1.0' in text(metrics)


def test_checks_that_aws_makes_fail_are_counted_with_their_reason() -> None:
    metrics = Metrics()
    # Each reason has a series from the start, so that the first error is an increase.
    assert 's3_operator_aws_errors_total{reason="CredentialsInvalid",source="check"} 0.0' in text(metrics)
    for outcome in (Outcome(False, Reason.CREDENTIALS_INVALID), Outcome(False, Reason.CONFLICT), READY):
        metrics.count_check(outcome)
    shown = text(metrics)
    assert 's3_operator_aws_errors_total{reason="CredentialsInvalid",source="check"} 1.0' in shown
    assert 's3_operator_drift_checks_total{result="failed"} 2.0' in shown
    assert 's3_operator_aws_errors_total{reason="Conflict"' not in shown
