"""Who may assume a role: exactly the Pods of the named ServiceAccounts, in the object's own namespace."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3bucket.errors import ReconcileError
from s3bucket.grants import MAX_ROLE_POLICY
from s3bucket.observe.deletion import Deletion, _plan_role, _plan_role_if_shown
from s3bucket.observe.role import find_role
from s3bucket.observe.sources import Sources
from s3bucket.read import listed
from s3bucket.roles import (
    NO_ROLES,
    RoleRules,
    WantedRole,
    check,
    check_sizes,
    role_of,
    role_rules_of,
    trust_policy,
)
from s3bucket.spec import Wanted, wanted_of

ISSUER = "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE"
PROVIDER = f"arn:aws:iam::111122223333:oidc-provider/{ISSUER}"
CLUSTER = "arn:aws:eks:eu-west-1:111122223333:cluster/production"
RULES = RoleRules(PROVIDER)
WITH_EKS = role_rules_of(PROVIDER, CLUSTER, annotates=True)


def read(**given: Any) -> WantedRole:
    role = role_of({"iamRole": {"name": "photos", "serviceAccounts": ["web"], **given}}, is_deleting=False)
    assert role is not None
    return role


def test_trust_policy_names_the_provider_the_subjects_and_the_audience() -> None:
    """As in https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html."""
    assert trust_policy(read(serviceAccounts=["web", "batch"]), "team", RULES) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": PROVIDER},
                "Action": "sts:AssumeRoleWithWebIdentity",
                "Condition": {
                    "StringEquals": {
                        f"{ISSUER}:aud": "sts.amazonaws.com",
                        f"{ISSUER}:sub": ["system:serviceaccount:team:batch", "system:serviceaccount:team:web"],
                    }
                },
            }
        ],
    }


def test_trust_policy_of_pod_identity_names_the_cluster_the_namespace_and_the_service_accounts() -> None:
    """As in https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html, with the tags of pod-id-abac.html."""
    (statement,) = trust_policy(read(podIdentity=True), "team", WITH_EKS)["Statement"]
    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": "pods.eks.amazonaws.com"},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {
            "StringEquals": {
                "aws:RequestTag/eks-cluster-arn": CLUSTER,
                "aws:RequestTag/kubernetes-namespace": "team",
                "aws:RequestTag/kubernetes-service-account": ["web"],
            }
        },
    }


# Text that would name Pods of another namespace, or more than one ServiceAccount.
@pytest.mark.parametrize(
    "name", ["other:web", "*", "we?", "${aws:username}", "", "web/", "Web", "-web", "web\n", "a" * 254, 1]
)
def test_service_account_that_could_be_another_one_is_refused(name: Any) -> None:
    with pytest.raises(ReconcileError, match=r"spec.iamRole.serviceAccounts\[1\]: ") as refused:
        read(serviceAccounts=["web", name])
    assert refused.value.reason == "InvalidSpec"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"serviceAccounts": []}, "spec.iamRole.serviceAccounts: must be a list of 1 to 10"),
        ({"serviceAccounts": None}, "spec.iamRole.serviceAccounts: must be a list of 1 to 10"),
        ({"serviceAccounts": "web"}, "spec.iamRole.serviceAccounts: must be a list of 1 to 10"),
        ({"serviceAccounts": [f"web{at}" for at in range(11)]}, "spec.iamRole.serviceAccounts: must be a list of 1"),
        ({"name": "a/b"}, "spec.iamRole.name: is not a name that IAM allows"),
        ({"name": None}, "spec.iamRole.name: is not a name that IAM allows"),
        ({"name": "a" * 65}, "spec.iamRole.name: is not a name that IAM allows"),
        ({"namespace": "other"}, "spec.iamRole.namespace: there is no such field"),
        ({"annotate": "yes"}, "spec.iamRole.annotate: must be true or false"),
        ({"podIdentity": "yes"}, "spec.iamRole.podIdentity: must be true or false"),
        ({"accessMode": "Admin"}, "spec.iamRole.accessMode: must be one of"),
        ({"prefixes": ["*"]}, r"spec.iamRole.prefixes[0]: may have only"),
    ],
)
def test_invalid_role_names_the_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ReconcileError) as refused:
        read(**given)
    assert refused.value.message.startswith(field)


@pytest.mark.parametrize("value", [{"name": "photos", "serviceAccounts": "x"}, {"name": "a/b"}, "photos", None])
def test_deletion_reads_only_a_name_that_can_exist(value: Any) -> None:
    found = role_of({"iamRole": value}, is_deleting=True)
    assert (found.name if found else None) == (
        "photos" if isinstance(value, dict) and value["name"] == "photos" else None
    )


@pytest.mark.parametrize("value", ["production", f"{CLUSTER}/*", CLUSTER.replace(":eks:", ":ecs:")])
def test_setting_that_is_no_arn_of_an_eks_cluster_is_refused(value: str) -> None:
    with pytest.raises(ReconcileError, match=r"s3bucket_eks_cluster_arn: .* is not the ARN of an EKS cluster"):
        role_rules_of(eks_cluster=value)


def test_deletion_reads_the_names_of_service_accounts_that_can_exist() -> None:
    spec = {"iamRole": {"name": "photos", "serviceAccounts": ["web", "a/b", 1, "web"], "annotate": True, "prefixes": 1}}
    assert role_of(spec, is_deleting=True) == WantedRole("photos", ("web",), annotate=True)


@pytest.mark.parametrize(
    ("given", "rules", "message"),
    [
        ({}, RoleRules(), r"spec.iamRole: .* set iam.oidcProviderARN"),
        (
            {"annotate": True},
            RULES,
            r"spec.iamRole.annotate: .* set iam.annotateServiceAccounts of its chart \(--annot",
        ),
    ],
)
def test_role_that_the_settings_do_not_allow_names_the_setting(
    given: dict[str, Any], rules: RoleRules, message: str
) -> None:
    with pytest.raises(ReconcileError, match=message):
        check(read(**given), rules)
    check(read(annotate=False), RULES)
    check(read(**given), WITH_EKS)


def test_annotation_is_refused_with_pod_identity_and_a_cluster_alone_allows_roles() -> None:
    with pytest.raises(ReconcileError, match=r"spec.iamRole.annotate: must not be true with podIdentity"):
        check(read(annotate=True, podIdentity=True), WITH_EKS)
    alone = role_rules_of(eks_cluster=CLUSTER)
    check(read(podIdentity=True), alone)
    assert (alone.is_enabled, alone.eks_region, alone.eks_name) == (True, "eu-west-1", "production")


def test_trust_policy_that_iam_would_refuse_for_its_size_names_the_field() -> None:
    role = read(serviceAccounts=[f"{at}{'x' * 240}" for at in range(9)])
    trust = trust_policy(role, "team", RULES)
    with pytest.raises(ReconcileError, match=r"spec.iamRole.serviceAccounts: the trust policy .* allows 2048"):
        check_sizes(role, trust, {})
    assert len(json.dumps(trust)) < MAX_ROLE_POLICY


@pytest.mark.parametrize(
    "value", ["oidc.eks.eu-west-1.amazonaws.com/id/X", "arn:aws:iam::111122223333:role/x", f"{PROVIDER}*"]
)
def test_setting_that_is_no_arn_of_a_provider_is_refused(value: str) -> None:
    with pytest.raises(ReconcileError, match=r"s3bucket_oidc_provider_arn: .* is not the ARN"):
        role_rules_of(value)


class Iam:
    """An account with one role, of somebody else; or one that denies the operator to read roles."""

    def __init__(self, error: str = "", tags: dict[str, str] | None = None) -> None:
        self._error = error
        self._tags = listed(tags or {})

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803 - as in boto3
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": ""}}, "GetRole")
        return {"Role": {"Arn": f"arn:aws:iam::111122223333:role/{RoleName}", "Tags": self._tags}}


def wanted_role(defaults: dict[str, Any]) -> Wanted:
    role = {"name": "photos", "serviceAccounts": ["web"]}
    spec = {"region": "eu-west-1", "bucketName": "photos", "iamRole": role}
    return wanted_of({"metadata": {"name": "photos", "uid": "u1"}, "spec": spec}, "cluster", defaults)


def sources_of(iam: Iam, rules: RoleRules) -> Sources:
    none: Any = None
    return Sources(none, none, none, None, none, datetime.now(UTC), 0, "", iam=iam, role_rules=rules)


@pytest.mark.parametrize(
    ("iam", "rules", "reason"),
    [
        pytest.param(Iam(), RULES, "Conflict", id="of-somebody-else"),
        pytest.param(Iam(), NO_ROLES, "InvalidSpec", id="no-provider"),
        pytest.param(Iam("AccessDenied"), RULES, "AccessDenied", id="not-allowed-to-read"),
        pytest.param(Iam("Throttling"), RULES, "Throttled", id="throttled"),
    ],
)
def test_role_that_cannot_be_had_is_no_obstacle_to_a_bucket_that_exists(
    defaults: dict[str, Any], iam: Iam, rules: RoleRules, reason: str
) -> None:
    """The name can be neither changed nor removed from the object, which would have to be deleted with its bucket."""
    wanted, sources = wanted_role(defaults), sources_of(iam, rules)
    if reason == "Throttled":
        with pytest.raises(ReconcileError) as unknown:
            find_role(wanted, sources, has_bucket=True)
        assert unknown.value.reason == reason
        return
    found, problem = find_role(wanted, sources, has_bucket=True)
    assert (found, problem and problem.reason) == (None, reason)
    with pytest.raises(ReconcileError) as refused:
        find_role(wanted, sources, has_bucket=False)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("code", "rules", "becomes"),
    [
        pytest.param("AccessDenied", NO_ROLES, "noted", id="not-allowed-to-read"),
        pytest.param("NotImplemented", NO_ROLES, "noted", id="store-without-roles"),
        pytest.param("Throttling", NO_ROLES, "refused", id="throttled"),
        pytest.param("AccessDenied", RULES, "deferred", id="roles-are-allowed"),
        pytest.param("InternalFailure", RULES, "deferred", id="passing"),
    ],
)
def test_deletion_waits_for_the_role_unless_roles_are_not_allowed_any_more(
    defaults: dict[str, Any], code: str, rules: RoleRules, becomes: str
) -> None:
    """It does not wait with the users: their keys go at once. The bucket keeps its name while the role is there."""
    deletion = Deletion("111122223333", deletes_bucket=True)
    sources, wanted = sources_of(Iam(code), rules), wanted_role(defaults)
    if becomes == "refused":
        with pytest.raises(ReconcileError):
            _plan_role_if_shown(wanted, deletion, sources)
        return
    _plan_role_if_shown(wanted, deletion, sources)
    assert [("left alone" in note) for note in deletion.notes] == [True] * (becomes == "noted")
    assert (len(deletion.deferred), deletion.deletes_bucket) == ((1, False) if becomes == "deferred" else (0, True))


@pytest.mark.parametrize("rules", [RULES, NO_ROLES], ids=["allowed", "not-any-more"])
def test_role_is_deleted_with_its_object(defaults: dict[str, Any], rules: RoleRules) -> None:
    """Also where no roles are allowed any more: its Pods would reach the next bucket of this name."""
    deletion, wanted = Deletion("111122223333"), wanted_role(defaults)
    _plan_role(wanted, deletion, sources_of(Iam(tags=wanted.identity.tags), rules))
    assert (deletion.role, deletion.notes) == ("photos", [])
