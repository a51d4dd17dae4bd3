"""The IAM role of an S3 object: created with its owner tags, repaired, refused where it is not its own, and deleted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from runner.commands.iam_policy import PolicySettings, policy_for
from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket.errors import ReconcileError
from s3bucket.grants import document, statements
from s3bucket.observe import observe, observe_deletion
from s3bucket.role_settings import RoleSettings
from s3bucket.roles import NO_ROLES, RoleRules, trust_policy
from s3bucket.users import UserRules, policy_name_of
from tests.support.objects import bucket_of, owner_tags, writes_in
from tests.support.world import (
    CLUSTER,
    PROJECT,
    PROVIDER,
    NewObject,
    Run,
    World,
    deleting,
    make_operator_key,
    requests_of,
)

BOUNDARY = "arn:aws:iam::123456789012:policy/s3-operator-tenant"
OTHER_BOUNDARY = "arn:aws:iam::123456789012:policy/other"
RULES, ROLES = UserRules("/s3-operator/", BOUNDARY), RoleRules(PROVIDER)
SETTINGS = {"OIDC_PROVIDER_ARN": PROVIDER, "IAM_PATH": RULES.path, "PERMISSIONS_BOUNDARY": BOUNDARY}
ANYONE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}
MORE = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}


def run(world: World, cr: dict[str, Any]) -> Run:
    """A run with a key that may give rights only within the boundary."""
    file = world.folder / "role-operator"
    if not file.exists():
        limits = PolicySettings(world.account, permissions_boundary=BOUNDARY, oidc_provider_arn=PROVIDER)
        make_operator_key(world.aws, policy_for(limits), file)
    return world.reconcile(cr, **SETTINGS, AWS_SHARED_CREDENTIALS_FILE=str(file))


def differs(world: World, cr: dict[str, Any]) -> list[str]:
    return observe(world.wanted(cr), world.sources(rules=RULES, role_rules=ROLES)).differs


def refusal(world: World, cr: dict[str, Any], roles: RoleRules = ROLES) -> ReconcileError:
    with requests_of(world) as requests, pytest.raises(ReconcileError) as refused:
        observe(world.wanted(cr), world.sources(rules=RULES, role_rules=roles))
    assert writes_in(requests) == []
    return refused.value


def name_of(cr: dict[str, Any]) -> str:
    return str(cr["spec"]["iamRole"]["name"])


def find(world: World, cr: dict[str, Any]) -> dict[str, Any] | None:
    """Everything that IAM has of the role."""
    name = name_of(cr)
    try:
        role = world.iam.get_role(RoleName=name)["Role"]
    except world.iam.exceptions.NoSuchEntityException:
        return None
    names = world.iam.list_role_policies(RoleName=name)["PolicyNames"]
    policies = {one: world.iam.get_role_policy(RoleName=name, PolicyName=one)["PolicyDocument"] for one in names}
    kept = {key: role.get(key) for key in ("Arn", "AssumeRolePolicyDocument", "PermissionsBoundary")}
    return {**kept, "tags": {tag["Key"]: tag["Value"] for tag in role.get("Tags", [])}, "policies": policies}


@pytest.fixture(scope="module")
def new_cr(world: World, new_name: Callable[[str], str]) -> NewObject:
    namespace = new_name("ns")
    world.make_namespace(namespace)

    def make(**spec: Any) -> dict[str, Any]:
        given = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
        given["iamRole"] = {"name": new_name("role"), "serviceAccounts": ["web", "batch"]}
        kept = {name: value for name, value in {**given, **spec}.items() if value is not None}
        return world.make_object(namespace, new_name("cr"), kept)

    return make


@pytest.fixture(scope="module")
def shared(world: World, new_cr: NewObject) -> dict[str, Any]:
    """A Ready object with user and role. Each test that uses it restores it."""
    cr = new_cr()
    with requests_of(world) as requests:
        made = run(world, cr)
    assert made.outcome["done"], made.output
    of_roles = [name for name in writes_in(requests) if "Role" in name]
    assert of_roles == ["CreateRole", "PutRolePolicy"], "the call that creates it sets tags, trust policy and boundary"
    assert made.outcome["status"]["roleARN"] == (find(world, cr) or {})["Arn"]
    return cr


def test_role_has_the_path_the_boundary_the_owner_tags_and_exactly_its_rights(
    world: World, shared: dict[str, Any]
) -> None:
    found, wanted = find(world, shared) or {}, world.wanted(shared)
    assert wanted.role is not None
    assert found["Arn"] == f"arn:aws:iam::{world.account}:role/s3-operator/{name_of(shared)}"
    assert found["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    assert found["tags"] == wanted.own_tags
    assert found["AssumeRolePolicyDocument"] == trust_policy(wanted.role, wanted.identity.namespace, ROLES)
    assert found["policies"] == {policy_name_of(name_of(shared), wanted.bucket): wanted.role_policy(wanted.role)}
    assert differs(world, shared) == []


def test_object_without_a_role_makes_no_request_about_roles(world: World, new_cr: NewObject) -> None:
    cr = new_cr(iamRole=None)
    with requests_of(world) as requests:
        assert "role" not in differs(world, cr)
    assert [item["action"] for item in requests if "Role" in item["action"]] == []


Break = Callable[[World, str, str], Any]
ROWS: dict[str, tuple[str, Break]] = {
    "trust-widened": ("iamRole.trustPolicy", lambda world, role, _: world.iam.update_assume_role_policy(
        RoleName=role, PolicyDocument=json.dumps(ANYONE))),
    "policy-widened": ("iamRole.policy", lambda world, role, policy: world.iam.put_role_policy(
        RoleName=role, PolicyName=policy, PolicyDocument=json.dumps(MORE))),
    "policy-deleted": ("iamRole.policy", lambda world, role, policy: world.iam.delete_role_policy(
        RoleName=role, PolicyName=policy)),
    "uid-tag-edited": ("iamRole.tags.agill.apps/uid", lambda world, role, _: world.iam.tag_role(
        RoleName=role, Tags=[{"Key": "agill.apps/uid", "Value": "another"}])),
    "boundary-replaced": ("iamRole.permissionsBoundary", lambda world, role, _: world.iam.put_role_permissions_boundary(
        RoleName=role, PermissionsBoundary=OTHER_BOUNDARY)),
    "deleted": ("iamRole", lambda world, role, policy: (
        world.iam.delete_role_policy(RoleName=role, PolicyName=policy), world.iam.delete_role(RoleName=role))),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_drift_of_the_role_is_shown_field_by_field_and_repaired(
    world: World, shared: dict[str, Any], row: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**world.aws.env(), "KUBECONFIG": str(world.kubeconfig)}.items():
        monkeypatch.setenv(name, value)
    settings = RoleSettings(
        CLUSTER, iam_settle_s=0, iam_path=RULES.path, permissions_boundary=BOUNDARY, oidc_provider_arn=PROVIDER
    )
    check, before, keys = DriftCheck(PROJECT, settings), find(world, shared), world.credentials(shared)
    field, break_it = ROWS[row]
    break_it(world, name_of(shared), policy_name_of(name_of(shared), bucket_of(shared)))
    assert check.compare(S3Object(shared)).drift == ("role",)
    planned = check.plan(S3Object(shared)).changes
    assert {change.aspect for change in planned} == {"role"}
    assert field in {change.field for change in planned}
    repaired = run(world, shared)
    assert (repaired.outcome["done"], repaired.changed) == (True, ["role"]), repaired.output
    assert find(world, shared) == before
    assert check.compare(S3Object(shared)).drift == ()
    assert world.credentials(shared) == keys, "the user's key is untouched"


def test_rights_that_others_gave_are_reported_and_left_alone(world: World, shared: dict[str, Any]) -> None:
    name = name_of(shared)
    world.iam.put_role_policy(RoleName=name, PolicyName="more", PolicyDocument=json.dumps(MORE))
    world.iam.tag_role(RoleName=name, Tags=[{"Key": "others", "Value": "1"}])
    outcome = run(world, shared).outcome
    assert (outcome["reason"], f"IAM role {name} has rights" in outcome["message"]) == ("Conflict", True)
    assert "more" in (find(world, shared) or {})["policies"]
    world.iam.delete_role_policy(RoleName=name, PolicyName="more")
    assert differs(world, shared) == [], "a tag of others is no drift"
    world.iam.untag_role(RoleName=name, TagKeys=["others"])


# What the account may have under the name: nothing of it may be reached or changed.
@pytest.mark.parametrize(
    ("tags", "owned_by"),
    [
        pytest.param([], "exists and was not made for this S3 object", id="role-of-the-account"),
        pytest.param(owner_tags("team-b", "photos"), "belongs to S3 object test-cluster/team-b/photos", id="namespace"),
        pytest.param(owner_tags("team-b", "photos", "another"), "belongs to S3 object another/", id="cluster"),
    ],
)
def test_role_of_somebody_else_is_a_conflict_and_is_not_touched(
    world: World, new_cr: NewObject, tags: list[dict[str, str]], owned_by: str
) -> None:
    cr = new_cr()
    world.iam.create_role(RoleName=name_of(cr), AssumeRolePolicyDocument=json.dumps(ANYONE), Tags=tags)
    before = find(world, cr)
    refused = refusal(world, cr)
    assert (refused.reason, owned_by in refused.message) == ("Conflict", True), refused.message
    assert "choose another iamRole.name" in refused.message
    outcome = run(world, cr).outcome
    assert (outcome["reason"], find(world, cr)) == ("Conflict", before)
    gone = observe_deletion(world.wanted(deleting(cr)), world.sources(role_rules=ROLES))
    assert gone.role == ""
    assert "was left alone" in " ".join(gone.notes)


def test_name_that_is_taken_does_not_keep_an_existing_object_from_being_maintained(
    world: World, new_cr: NewObject
) -> None:
    """The field can neither be changed nor taken out again."""
    cr = new_cr()
    before = {**cr, "spec": {name: value for name, value in cr["spec"].items() if name != "iamRole"}}
    assert run(world, before).outcome["done"]
    world.iam.create_role(RoleName=name_of(cr), AssumeRolePolicyDocument=json.dumps(ANYONE))
    role = find(world, cr)
    world.core.delete_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"])
    made = run(world, cr)
    assert (made.outcome["reason"], "access_key" in made.changed) == ("Conflict", True), made.output
    assert (world.secret(cr) is not None, find(world, cr)) == (True, role)


@pytest.mark.parametrize(("hidden", "reason"), [(1, "Conflict"), (None, "WaitingForIAM")])
def test_role_that_iam_did_not_show_is_never_taken_over(
    world: World, new_cr: NewObject, hidden: int | None, reason: str
) -> None:
    """Somebody created it in the meantime, or with a name that differs only in case."""
    cr = new_cr(iamUser=None)
    world.iam.create_role(RoleName=name_of(cr), AssumeRolePolicyDocument=json.dumps(ANYONE))
    before = find(world, cr)
    world.aws.gate.add_fault("GetRole", "NoSuchEntity", status=404, times=hidden)
    try:
        outcome = run(world, cr).outcome
    finally:
        world.aws.gate.clear_faults()
    assert (outcome["reason"], find(world, cr)) == (reason, before)


def test_bucket_name_that_another_objects_role_may_use_is_a_conflict(world: World, new_cr: NewObject) -> None:
    """Its Pods would reach what the tenant of the new object stores, after the bucket was deleted by its own key."""
    cr = new_cr(iamUser=None)
    assert run(world, cr).outcome["done"]
    world.s3.delete_bucket(Bucket=bucket_of(cr))
    later = new_cr(bucketName=bucket_of(cr), iamRole=None)
    refused = refusal(world, later)
    assert (refused.reason, f"claimed by IAM role {name_of(cr)}" in refused.message) == ("Conflict", True)


def test_role_works_instead_of_a_user_and_is_deleted_with_its_object(world: World, new_cr: NewObject) -> None:
    cr = new_cr(iamUser=None)
    cr["spec"]["iamRole"]["accessMode"] = "ReadWrite"
    made = run(world, cr)
    assert (made.outcome["done"], made.changed) == (True, ["bucket", "service", "role"]), made.output
    assert world.secret(cr) is None
    found, wanted = find(world, cr) or {}, world.wanted(cr)
    arn = wanted.bucket_arn
    assert found["Arn"] == made.outcome["status"]["roleARN"]
    assert list(found["policies"].values()) == [document(statements(arn, "ReadWrite", ()))]
    # What others attached does not keep it.
    world.iam.put_role_policy(RoleName=name_of(cr), PolicyName="more", PolicyDocument=json.dumps(MORE))
    gone = run(world, deleting(cr))
    assert (gone.outcome["done"], gone.changed) == (True, ["bucket", "service", "role"]), gone.output
    assert find(world, cr) is None


def test_role_of_a_later_object_of_the_name_is_left_alone(world: World, shared: dict[str, Any]) -> None:
    earlier = {**shared, "metadata": {**shared["metadata"], "uid": "another"}}
    gone = observe_deletion(world.wanted(deleting(earlier)), world.sources(role_rules=ROLES))
    assert gone.role == ""
    assert f"IAM role {name_of(shared)} is not this object's and was left alone" in " ".join(gone.notes)


def test_without_a_provider_nothing_is_created_and_an_object_can_still_be_deleted(
    world: World, new_cr: NewObject
) -> None:
    cr = new_cr()
    refused = refusal(world, cr, NO_ROLES)
    assert refused.reason == "InvalidSpec"
    assert "iam.oidcProviderARN" in refused.message
    world.aws.gate.add_fault("GetRole", "AccessDenied", status=403)
    try:
        gone = observe_deletion(world.wanted(deleting(cr)), world.sources())
    finally:
        world.aws.gate.clear_faults()
    assert gone.role == ""
    assert "the operator's settings allow no roles any more" in " ".join(gone.notes)


def test_role_of_an_earlier_provider_is_deleted_with_its_object(world: World, shared: dict[str, Any]) -> None:
    """Otherwise its Pods would reach the next bucket of this name."""
    gone = observe_deletion(world.wanted(deleting(shared)), world.sources())
    assert (gone.role, "left alone" in " ".join(gone.notes)) == (name_of(shared), False)
