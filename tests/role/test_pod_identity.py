"""iamRole.podIdentity: the EKS Pod Identity associations of a role follow the spec; those of others stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.commands.iam_policy import PolicySettings, policy_for
from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket.observe import observe, observe_deletion
from s3bucket.owner import ASSOCIATIONS, FORMER_CLUSTER
from s3bucket.role_settings import RoleSettings
from s3bucket.roles import RoleRules, trust_policy
from tests.support.objects import writes_in
from tests.support.world import (
    CLUSTER,
    EKS_CLUSTER,
    PROJECT,
    PROVIDER,
    Run,
    World,
    deleting,
    make_operator_key,
    requests_of,
)

SETTINGS = {"OIDC_PROVIDER_ARN": PROVIDER, "EKS_CLUSTER_ARN": EKS_CLUSTER}
RULES, WITHOUT = RoleRules(PROVIDER, eks_cluster=EKS_CLUSTER), RoleRules(PROVIDER)
OTHER = "arn:aws:iam::123456789012:role/other"


class Team:
    """A namespace and an S3 object with a role."""

    def __init__(self, world: World, new_name: Callable[[str], str]) -> None:
        self.world, self.namespace = world, new_name("ns")
        self.eks = world.aws.client("eks", region_name="us-west-2")
        world.make_namespace(self.namespace)
        self.web, self.batch, self.third = (new_name(name) for name in ("web", "batch", "third"))
        role = {"name": new_name("role"), "serviceAccounts": [self.web, self.batch, self.third], "podIdentity": True}
        spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamRole": role}
        self.cr = world.make_object(self.namespace, new_name("cr"), spec)
        self.arn = f"arn:aws:iam::{world.account}:role/{role['name']}"

    def give(self, **role: Any) -> None:
        self.cr = {**self.cr, "spec": {**self.cr["spec"], "iamRole": {**self.cr["spec"]["iamRole"], **role}}}

    def create(self, name: str, namespace: str = "") -> None:
        self.eks.create_pod_identity_association(
            clusterName="production", namespace=namespace or self.namespace, serviceAccount=name, roleArn=OTHER
        )

    def ids(self) -> dict[str, str]:
        found = self.eks.get_paginator("list_pod_identity_associations").paginate(
            clusterName="production", namespace=self.namespace
        )
        return {item["serviceAccount"]: item["associationId"] for page in found for item in page["associations"]}

    def delete(self, name: str) -> None:
        self.eks.delete_pod_identity_association(clusterName="production", associationId=self.ids()[name])

    def roles(self) -> dict[str, str]:
        """The role of each ServiceAccount with an association."""
        return {name: self.describe(id_)["roleArn"] for name, id_ in self.ids().items()}

    def describe(self, id_: str) -> dict[str, Any]:
        found = self.eks.describe_pod_identity_association(clusterName="production", associationId=id_)
        return dict(found["association"])

    def recorded(self) -> str | None:
        tags = self.world.iam.list_role_tags(RoleName=self.cr["spec"]["iamRole"]["name"])["Tags"]
        return next((tag["Value"] for tag in tags if tag["Key"] == ASSOCIATIONS), None)

    def run(self) -> Run:
        return self.world.reconcile(self.cr, **SETTINGS)


@pytest.fixture(scope="module")
def team(world: World, new_name: Callable[[str], str]) -> Team:
    """The tests of this file are steps in the life of one object, in their order."""
    return Team(world, new_name)


@pytest.fixture
def check(world: World, monkeypatch: pytest.MonkeyPatch) -> DriftCheck:
    for name, value in {**world.aws.env(), "KUBECONFIG": str(world.kubeconfig)}.items():
        monkeypatch.setenv(name, value)
    return DriftCheck(
        PROJECT, RoleSettings(CLUSTER, iam_settle_s=0, oidc_provider_arn=PROVIDER, eks_cluster_arn=EKS_CLUSTER)
    )


def planned(check: DriftCheck, team: Team) -> dict[str, tuple[Any, Any]]:
    """The changes of associations in a plan."""
    changes = check.plan(S3Object(team.cr)).changes
    assert {change.aspect for change in changes} <= {"role"}
    return {
        change.field.removeprefix("iamRole.serviceAccounts[").removesuffix("].podIdentityAssociation"): (
            change.is_now,
            change.would_be,
        )
        for change in changes
        if "podIdentityAssociation" in change.field
    }


def test_association_of_others_is_a_conflict_and_the_others_are_created(team: Team, check: DriftCheck) -> None:
    team.create(team.batch)
    team.create(team.web, namespace=f"{team.namespace}-b")
    with requests_of(team.world) as requests:
        outcome = team.run().outcome
    assert outcome["reason"] == "Conflict"
    words = f"spec.iamRole.podIdentity: EKS Pod Identity association {team.ids()[team.batch]} of ServiceAccount"
    assert outcome["message"].startswith(words), outcome["message"]
    assert writes_in(requests).count("CreatePodIdentityAssociation") == 2
    assert not [name for name in writes_in(requests) if name.startswith("DeletePod")]
    assert team.roles() == {team.web: team.arn, team.third: team.arn, team.batch: OTHER}
    wanted = team.world.wanted(team.cr)
    assert wanted.role is not None
    assert team.describe(team.ids()[team.web])["tags"] == wanted.own_tags, "the call that creates it sets owner tags"
    trust = team.world.iam.get_role(RoleName=wanted.role.name)["Role"]["AssumeRolePolicyDocument"]
    assert trust == trust_policy(wanted.role, team.namespace, RULES)
    assert trust["Statement"][0]["Principal"] == {"Service": "pods.eks.amazonaws.com"}
    team.delete(team.batch)
    assert planned(check, team) == {team.batch: (None, team.arn)}
    run = team.run()
    assert (run.outcome["done"], run.changed) == (True, ["role"]), run.output
    assert check.compare(S3Object(team.cr)).drift == ()


def test_drift_is_repaired_and_the_association_of_a_former_service_account_deleted(
    team: Team, check: DriftCheck
) -> None:
    team.world.aws.gate.change_association(team.web, OTHER)
    team.delete(team.third)
    assert check.compare(S3Object(team.cr)).drift == ("role",)
    team.give(serviceAccounts=[team.web, team.third])
    assert planned(check, team) == {
        team.web: (OTHER, team.arn), team.third: (None, team.arn), team.batch: (team.arn, None),
    }  # fmt: skip
    assert team.run().changed == ["role"]
    assert team.roles() == {team.web: team.arn, team.third: team.arn}
    assert team.recorded() == " ".join(sorted([team.web, team.third]))
    assert check.compare(S3Object(team.cr)).drift == ()


def test_associations_in_an_earlier_cluster_are_reported_until_they_are_cleaned_up(
    team: Team, check: DriftCheck, tmp_path: Path
) -> None:
    other = EKS_CLUSTER.replace("production", "second")
    rules = RoleRules(PROVIDER, eks_cluster=other)
    words = f"EKS Pod Identity associations with the role were left in {EKS_CLUSTER}, as the operator's settings name"
    deleted = observe_deletion(team.world.wanted(deleting(team.cr)), team.world.sources(role_rules=rules))
    assert words in " ".join(deleted.notes)
    # The rights of the operator are on the associations of its cluster.
    make_operator_key(
        team.world.aws, policy_for(PolicySettings(team.world.account, eks_cluster_arn=other)), tmp_path / "key"
    )
    environment = {**SETTINGS, "EKS_CLUSTER_ARN": other, "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "key")}
    moved = team.world.reconcile(team.cr, **environment).outcome
    assert (moved["done"], words in moved["message"]) == (True, True), moved
    assert team.roles() == {team.web: team.arn, team.third: team.arn}, "those of the earlier cluster"
    # The trust policy does not show it any more.
    later = observe(team.world.wanted(team.cr), team.world.sources(role_rules=rules))
    assert (later.differs, words in " ".join(later.notes)) == ([], True)
    deleted = observe_deletion(team.world.wanted(deleting(team.cr)), team.world.sources(role_rules=rules))
    assert words in " ".join(deleted.notes)
    role = team.cr["spec"]["iamRole"]["name"]
    team.world.iam.untag_role(RoleName=role, TagKeys=[FORMER_CLUSTER])
    assert observe(team.world.wanted(team.cr), team.world.sources(role_rules=rules)).notes == []
    # Back again: nothing is left in the earlier cluster, and what is left in the other one is reported.
    team.world.iam.tag_role(RoleName=role, Tags=[{"Key": FORMER_CLUSTER, "Value": EKS_CLUSTER}])
    back = team.run().outcome
    assert (back["done"], f"were left in {other}" in back["message"], words in back["message"]) == (True, True, False)
    assert check.compare(S3Object(team.cr)).drift == ()
    team.world.iam.untag_role(RoleName=role, TagKeys=[FORMER_CLUSTER])


def test_associations_are_deleted_when_pod_identity_is_turned_off(team: Team, check: DriftCheck) -> None:
    team.give(podIdentity=False)
    unable = observe(team.world.wanted(team.cr), team.world.sources(role_rules=WITHOUT))
    assert "were left alone: the operator's settings name no EKS cluster any more" in " ".join(unable.notes)
    assert planned(check, team) == {team.web: (team.arn, None), team.third: (team.arn, None)}
    assert team.run().changed == ["role"]
    assert (team.roles(), team.recorded()) == ({}, "")
    with requests_of(team.world) as requests:
        assert observe(team.world.wanted(team.cr), team.world.sources(role_rules=RULES)).differs == []
    assert [item["action"] for item in requests if item["service"] == "eks"] == []


def test_associations_are_deleted_with_the_object(team: Team) -> None:
    team.give(podIdentity=True, serviceAccounts=[team.web, team.third, team.batch])
    assert team.run().outcome["done"]
    # The spec no longer names two of them, and no run has been since: the role's tags have them.
    team.give(serviceAccounts=[team.web])
    team.delete(team.batch)
    team.create(team.batch)
    team.cr = deleting(team.cr)
    unable = observe_deletion(team.world.wanted(team.cr), team.world.sources(role_rules=WITHOUT))
    assert "were left alone: the operator's settings name no EKS cluster" in " ".join(unable.notes)
    assert len(observe_deletion(team.world.wanted(team.cr), team.world.sources(role_rules=RULES)).associations) == 2
    gone = team.run()
    assert (gone.outcome["done"], gone.changed) == (True, ["bucket", "service", "role"]), gone.output
    assert team.roles() == {team.batch: OTHER}
    again = observe_deletion(team.world.wanted(team.cr), team.world.sources(role_rules=RULES))
    assert again.differs == []
