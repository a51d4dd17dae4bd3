"""The optional settings that S3 objects may use, as the administrator allows them (s3bucket_allowed_settings)."""

from __future__ import annotations

from typing import Any

import pytest

from dev.examples import example_fields
from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket import owner, read
from s3bucket.outcome import Reason
from s3bucket.role_settings import RoleSettings
from tests.support.drift import set_as_operator
from tests.support.world import CLUSTER, PROJECT, NewObject, World, requests_of

REMEDY = (
    "the operator does not allow this setting. Remove the field, or ask the administrator to add it to "
    "--allowed-settings of the operator (allowedSettings of its chart), or s3bucket_allowed_settings of the role"
)


@pytest.fixture
def _as_operator(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    set_as_operator(world, monkeypatch)


def rules_of(world: World, cr: dict[str, Any]) -> Any:
    return world.s3.get_bucket_cors(Bucket=cr["spec"]["bucketName"])["CORSRules"]


@pytest.mark.usefixtures("_as_operator")
def test_setting_that_is_not_allowed_is_an_error_and_nothing_is_changed(world: World, new_object: NewObject) -> None:
    """Also of an object that had the setting before: nothing is cleared, and a corrected spec is applied at once."""
    cr = new_object(**example_fields("cors"))
    strict = {"ALLOWED_SETTINGS": "requesterPays"}
    with requests_of(world) as requests:
        outcome = world.reconcile(cr, **strict).outcome
    assert (outcome["reason"], outcome["message"][: len(REMEDY) + 16]) == ("InvalidSpec", f"spec.corsRules: {REMEDY}")
    assert requests == [], "refused before any request"
    assert world.reconcile(cr, ALLOWED_SETTINGS="corsRules").outcome["reason"] == "Ready"

    before, rules = world.snapshot(cr), rules_of(world, cr)
    cr["spec"]["tags"] = {"team": "photos"}
    run = world.reconcile(cr, **strict)
    settings = RoleSettings(cluster_name=CLUSTER, iam_settle_s=0, allowed_settings=("requesterPays",))
    checked = DriftCheck(PROJECT, settings, has_cluster=False).compare(S3Object(cr))
    for reason, message in ((run.outcome["reason"], run.outcome["message"]), (checked.reason, checked.message)):
        assert (reason, message.startswith("spec.corsRules: the operator")) == (Reason.INVALID_SPEC, True), message
    assert (world.snapshot(cr), rules_of(world, cr)) == (before, rules)

    del cr["spec"]["corsRules"]
    cr["spec"]["requesterPays"] = True
    run = world.reconcile(cr, **strict)
    assert (run.outcome["reason"], run.changed) == ("Ready", ["cors", "requester_pays", "tags"]), run.output
    tags = read.get_bucket_tags(world.s3, cr["spec"]["bucketName"], world.account) or {}
    assert owner.recorded_settings(tags) == {"requester_pays"}


def test_default_of_the_role_that_is_not_allowed_names_the_defaults(world: World, new_object: NewObject) -> None:
    cr = new_object()
    run = world.reconcile(cr, "-e", '{"s3bucket_defaults": {"requesterPays": true}}', ALLOWED_SETTINGS="none")
    assert run.outcome["reason"] == "InvalidSpec", run.output
    assert run.outcome["message"].startswith(f"s3bucket_defaults.requesterPays: {REMEDY}")
