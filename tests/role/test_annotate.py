"""iamRole.annotate: the annotation of ServiceAccounts with the role's ARN follows the spec; those of others stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException

from dev.apigate import ApiGate
from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket.errors import ReconcileError
from s3bucket.observe import observe, observe_deletion
from s3bucket.owner import SERVICE_ACCOUNTS
from s3bucket.role_settings import RoleSettings
from s3bucket.roles import RoleRules
from s3bucket.service_accounts import ROLE_ARN, SET_BY, manifest_of
from tests.support.world import CLUSTER, PROJECT, PROVIDER, Run, World, deleting

SETTINGS = {"OIDC_PROVIDER_ARN": PROVIDER, "ANNOTATE_SERVICE_ACCOUNTS": "true"}
ROLES, WITHOUT = RoleRules(PROVIDER, annotates=True), RoleRules(PROVIDER)
OTHER = "arn:aws:iam::123456789012:role/other"
Annotations = dict[str, str | None]


class Team:
    """A namespace with ServiceAccounts, and an S3 object with a role."""

    def __init__(self, world: World, new_name: Callable[[str], str]) -> None:
        self.world, self.namespace = world, new_name("ns")
        world.make_namespace(self.namespace)
        role = {"name": new_name("role"), "serviceAccounts": ["web", "batch", "late"], "annotate": True}
        spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamRole": role}
        self.cr = world.make_object(self.namespace, new_name("cr"), spec)
        self.arn = f"arn:aws:iam::{world.account}:role/{role['name']}"
        self.own = {ROLE_ARN: self.arn, SET_BY: self.cr["metadata"]["name"]}

    def give(self, **role: Any) -> dict[str, Any]:
        self.cr = {**self.cr, "spec": {**self.cr["spec"], "iamRole": {**self.cr["spec"]["iamRole"], **role}}}
        return self.cr

    def create(self, name: str, annotations: Annotations) -> None:
        self.world.core.create_namespaced_service_account(
            self.namespace, {"metadata": {"name": name, "annotations": annotations}}
        )

    def annotate(self, name: str, annotations: Annotations) -> None:
        body = {"metadata": {"annotations": annotations}}
        self.world.core.patch_namespaced_service_account(name, self.namespace, body)

    def read(self, name: str) -> dict[str, str] | None:
        found = self.world.core.list_namespaced_service_account(self.namespace, field_selector=f"metadata.name={name}")
        return next((dict(item.metadata.annotations or {}) for item in found.items), None)

    def recorded(self) -> str | None:
        tags = self.world.iam.list_role_tags(RoleName=self.cr["spec"]["iamRole"]["name"])["Tags"]
        return next((tag["Value"] for tag in tags if tag["Key"] == SERVICE_ACCOUNTS), None)

    def run(self) -> Run:
        return self.world.reconcile(self.cr, **SETTINGS)


@pytest.fixture(scope="module")
def team(world: World, new_name: Callable[[str], str]) -> Team:
    """The tests of this file are steps in the life of one object, in their order."""
    made = Team(world, new_name)
    made.create("web", {"others": "1"})
    made.create("batch", {ROLE_ARN: OTHER})
    return made


@pytest.fixture
def check(world: World, monkeypatch: pytest.MonkeyPatch) -> DriftCheck:
    for name, value in {**world.aws.env(), "KUBECONFIG": str(world.kubeconfig)}.items():
        monkeypatch.setenv(name, value)
    settings = RoleSettings(CLUSTER, iam_settle_s=0, oidc_provider_arn=PROVIDER, annotate_service_accounts=True)
    return DriftCheck(PROJECT, settings)


def planned(check: DriftCheck, team: Team) -> dict[str, tuple[Any, Any]]:
    """The changes of a plan, without those of tags."""
    changes = check.plan(S3Object(team.cr)).changes
    assert {change.aspect for change in changes} <= {"role"}
    prefix = "iamRole.serviceAccounts"
    return {
        change.field.removeprefix(prefix): (change.is_now, change.would_be)
        for change in changes
        if change.field.startswith(prefix)
    }


def field(name: str) -> str:
    return f"[{name}].annotations.{ROLE_ARN}"


def test_annotation_of_others_is_a_conflict_and_the_others_are_set(team: Team, check: DriftCheck) -> None:
    with pytest.raises(ReconcileError, match=r"spec.iamRole.annotate: .* set iam.annotateServiceAccounts"):
        observe(team.world.wanted(team.cr), team.world.sources(role_rules=WITHOUT))
    outcome = team.run().outcome
    assert outcome["reason"] == "Conflict"
    words = f"spec.iamRole.annotate: ServiceAccount batch has the annotation {ROLE_ARN}: {OTHER}, which this S3 object"
    assert outcome["message"].startswith(words), outcome["message"]
    assert team.read("web") == {"others": "1", **team.own}
    assert team.read("batch") == {ROLE_ARN: OTHER}
    assert team.read("late") is None, "no ServiceAccount is created"
    assert team.recorded() == "batch late web", "the call that creates the role records what will be annotated"
    team.annotate("batch", {ROLE_ARN: None})
    assert planned(check, team) == {field("batch"): (None, team.arn)}
    assert team.run().outcome["done"]
    assert team.read("batch") == team.own


def test_missing_service_account_is_a_note_and_is_annotated_when_it_exists(team: Team, check: DriftCheck) -> None:
    found = check.compare(S3Object(team.cr))
    assert (found.is_done, found.drift) == (True, ()), found
    assert "ServiceAccount late does not exist: it gets its annotation in the next sync" in found.message
    team.create("late", {})
    assert check.compare(S3Object(team.cr)).drift == ("role",)
    run = team.run()
    assert (run.outcome["done"], run.changed) == (True, ["role"]), run.output
    assert (team.read("late"), check.compare(S3Object(team.cr)).message) == (team.own, "")


def test_drift_is_repaired_and_the_annotation_of_a_former_service_account_removed(
    team: Team, check: DriftCheck
) -> None:
    team.annotate("web", {ROLE_ARN: OTHER})
    assert check.compare(S3Object(team.cr)).drift == ("role",)
    team.annotate("batch", {"others": "1"})
    team.give(serviceAccounts=["web", "late"])
    assert planned(check, team) == {field("web"): (OTHER, team.arn), field("batch"): (team.arn, None)}
    assert team.run().changed == ["role"]
    assert (team.read("web"), team.read("batch")) == ({"others": "1", **team.own}, {"others": "1"})
    assert team.recorded() == "late web"
    assert check.compare(S3Object(team.cr)).drift == ()


def test_annotations_are_removed_when_annotate_is_turned_off(team: Team, check: DriftCheck) -> None:
    # A person gave the ServiceAccount the same value: it is not the operator's to remove.
    team.create("own", {ROLE_ARN: team.arn})
    team.give(serviceAccounts=["web", "late", "own"])
    assert team.run().outcome["done"]
    team.give(annotate=False)
    assert planned(check, team) == {field("web"): (team.arn, None), field("late"): (team.arn, None)}
    unable = observe(team.world.wanted(team.cr), team.world.sources(role_rules=WITHOUT))
    assert unable.differs == []
    assert "the annotations of ServiceAccounts late, own, web were left alone" in " ".join(unable.notes)
    assert team.run().changed == ["role"]
    assert (team.read("web"), team.read("late"), team.read("own")) == ({"others": "1"}, {}, {ROLE_ARN: team.arn})
    assert (team.recorded(), check.compare(S3Object(team.cr)).drift) == ("", ())


def test_object_that_does_not_annotate_makes_no_request_for_service_accounts(team: Team, tmp_path: Path) -> None:
    requested: dict[bool, list[str]] = {}
    with ApiGate(team.world.kubeconfig, tmp_path) as gate:
        world = World(gate.kubeconfig, team.world.aws, tmp_path)
        try:
            for annotate in (False, True):
                seen = len(gate.requests())
                observe(world.wanted(team.give(annotate=annotate)), world.sources(role_rules=ROLES))
                requested[annotate] = [
                    item.action for item in gate.requests()[seen:] if "serviceaccounts" in item.action
                ]
            team.give(serviceAccounts=["web", "late"])
            seen = len(gate.requests())
            assert world.reconcile(team.cr, **SETTINGS).outcome["done"]
            of_run = {item.action for item in gate.requests()[seen:] if "serviceaccounts" in item.action}
        finally:
            world.close()
    assert requested == {False: [], True: ["GET serviceaccounts"] * 3}
    assert of_run == {"GET serviceaccounts", "PATCH serviceaccounts"}, "the chart gives no other rights"


def test_service_accounts_that_refuse_the_annotation_are_named_and_the_others_get_it(
    team: Team, check: DriftCheck
) -> None:
    for name in ("full", "fuller"):
        # The API server allows no more for all annotations together.
        team.create(name, {"others": "x" * (256 * 1024 - len("others"))})
    team.create("more", {})
    team.give(serviceAccounts=["full", "more", "fuller", "web", "late"])
    run = team.run()
    assert (run.outcome["done"], run.outcome["reason"]) == (False, "KubernetesError"), run.output
    assert "Ensure the ServiceAccounts name the role failed for full, fuller: " in run.outcome["message"]
    assert "Too long" in run.outcome["message"]
    assert [team.read(name) for name in ("more", "late")] == [team.own, team.own]
    team.give(serviceAccounts=["web", "late"])
    assert team.run().outcome["done"]
    assert (team.read("more"), check.compare(S3Object(team.cr)).drift) == ({}, ())


def test_patch_of_a_service_account_that_was_changed_since_is_refused(team: Team) -> None:
    read = team.world.sources().cluster
    assert read is not None
    account = read.find_service_account(team.namespace, "late")
    assert account is not None
    team.annotate("late", {"others": "1"})
    with pytest.raises(ApiException, match="the object has been modified"):
        team.world.core.patch_namespaced_service_account("late", team.namespace, manifest_of(account, OTHER, "videos"))
    team.annotate("late", {"others": None})
    assert team.read("late") == team.own


def test_annotations_are_removed_with_the_object(team: Team) -> None:
    team.annotate("late", {ROLE_ARN: OTHER})
    # The spec no longer names it, and no run has been since: the role's tags have it.
    team.give(serviceAccounts=["web"])
    team.cr = deleting(team.cr)
    unable = observe_deletion(team.world.wanted(team.cr), team.world.sources(role_rules=WITHOUT))
    assert "ServiceAccounts late, web were left alone" in " ".join(unable.notes)
    gone = team.run()
    assert (gone.outcome["done"], gone.changed) == (True, ["bucket", "service", "role"]), gone.output
    assert (team.read("web"), team.read("late")) == ({"others": "1"}, {ROLE_ARN: OTHER})
    again = observe_deletion(team.world.wanted(team.cr), team.world.sources(role_rules=ROLES))
    assert again.differs == []
