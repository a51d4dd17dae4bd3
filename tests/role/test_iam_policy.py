"""The operator's least permissions: docs/iam-policy.json is sufficient, and each action in it is necessary.

The gate evaluates the requests of the operator's key against that policy, with what replication needs in addition. Each
action is removed in turn, and the shortest flow that uses it must then end in AccessDenied. An action that no flow uses
must not be in the policy.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dev.examples import example_fields, make_targets, optional_settings
from runner.commands.iam_policy import PolicySettings, policy_for
from s3bucket import allowed, owner
from s3bucket.errors import ReconcileError
from s3bucket.observe import observe
from s3bucket.read import PerUserReader
from s3bucket.roles import RoleRules, trust_policy
from s3bucket.users import UserRules, policy_name_of
from tests.support.objects import fill
from tests.support.world import (
    EKS_CLUSTER,
    PROJECT,
    PROVIDER,
    NewObject,
    Run,
    World,
    code_of,
    deleting,
    make_operator_key,
    requests_of,
)

ACCOUNT = "123456789012"
TEXT = (PROJECT / "docs" / "iam-policy.json").read_text().replace("111122223333", ACCOUNT)
DOCUMENTED: dict[str, Any] = json.loads(TEXT)
PREFIX, PATH = "team-", "/s3-operator/"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/s3-operator-tenant"
REPLICATION_ROLE = f"arn:aws:iam::{ACCOUNT}:role/s3-operator-example-replication"
POLICY: dict[str, Any] = policy_for(
    PolicySettings(
        ACCOUNT, PREFIX, PATH, BOUNDARY, settings=allowed.FIELDS, replication_roles=(REPLICATION_ROLE,),
        oidc_provider_arn=PROVIDER, eks_cluster_arn=EKS_CLUSTER,
    )
)  # fmt: skip
ACTIONS = sorted({action for statement in POLICY["Statement"] for action in statement["Action"]})
FORCED = {"IAM_PATH": PATH, "PERMISSIONS_BOUNDARY": BOUNDARY}
SETTINGS = {**FORCED, "ALLOWED_SETTINGS": "all", "OIDC_PROVIDER_ARN": PROVIDER, "EKS_CLUSTER_ARN": EKS_CLUSTER}


class Operator:
    """The role with a key of its own that has the permissions of a policy."""

    def __init__(self, world: World, policy: dict[str, Any], folder: Path) -> None:
        self.world = world
        self._file = folder / "credentials"
        self._keys = make_operator_key(world.aws, policy, self._file)

    def client(self, service: str) -> Any:
        return self.world.aws.client(service, **self._keys)

    @property
    def environment(self) -> dict[str, str]:
        """The settings of the role, and its key."""
        return {"AWS_SHARED_CREDENTIALS_FILE": str(self._file), **SETTINGS}

    def reconcile(self, cr: dict[str, Any]) -> Run:
        run = self.world.reconcile(cr, **self.environment)
        assert run.outcome, run.output
        return run

    def compare(self, cr: dict[str, Any]) -> str:
        """The result of the role's comparison: a reason, or the aspects that differ."""
        sources = dataclasses.replace(
            self.world.sources(rules=UserRules(PATH, BOUNDARY)),
            s3=self.client("s3"),
            users=PerUserReader(self.client("iam")),
            sts=self.client("sts"),
            iam=self.client("iam"),
            role_rules=RoleRules(PROVIDER),
        )
        try:
            seen = observe(self.world.wanted(cr), sources)
        except ReconcileError as refusal:
            return refusal.reason
        # A setting that AWS does not let the operator read keeps only itself from being compared.
        return seen.deferred[0].reason if seen.deferred else " ".join(seen.differs)

    def used(self) -> set[str]:
        """The actions that its requests needed."""
        mine = [
            item for item in self.world.aws.gate.requests() if item["access_key"] == self._keys["aws_access_key_id"]
        ]
        return {action for item in mine for action in item["rights"]}


NewOperator = Callable[..., Operator]


@pytest.fixture(scope="module")
def new_operator(world: World, new_name: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> NewOperator:
    """Creates operators that are limited by a policy."""
    return lambda policy: Operator(world, policy, tmp_path_factory.mktemp("key"))


@pytest.fixture(scope="module")
def make(world: World, new_name: Callable[[str], str]) -> NewObject:
    """Creates S3 objects with the policy's prefix in the bucket's name."""
    namespace = new_name("ns")
    world.make_namespace(namespace)

    def make_one(**spec: Any) -> dict[str, Any]:
        given = {"region": "us-east-1", "bucketName": new_name("team"), "iamUser": {"username": new_name("user")}}
        return world.make_object(namespace, new_name("cr"), {**given, **spec})

    return make_one


def make_owned(world: World, cr: dict[str, Any]) -> None:
    """The resources of a small object in AWS, created without the role."""
    wanted = world.wanted(cr)
    tags = [{"Key": key, "Value": value} for key, value in wanted.bucket_tags.items()]
    world.s3.create_bucket(
        Bucket=wanted.bucket, CreateBucketConfiguration={"Tags": tags}, ObjectLockEnabledForBucket=wanted.object_lock
    )
    if not wanted.username:
        return
    tags = [{"Key": key, "Value": value} for key, value in wanted.tags_of(wanted.users[0]).items()]
    world.iam.create_user(UserName=wanted.username, Path=PATH, PermissionsBoundary=BOUNDARY, Tags=tags)
    world.iam.put_user_policy(
        UserName=wanted.username, PolicyName=wanted.policy_name, PolicyDocument=json.dumps(wanted.user_policy)
    )
    world.iam.create_access_key(UserName=wanted.username)


def make_owned_role(world: World, cr: dict[str, Any]) -> str:
    """The role of an object, created without the role of Ansible. Returns its name."""
    wanted = world.wanted(cr)
    assert wanted.role is not None
    name, trust = wanted.role.name, trust_policy(wanted.role, wanted.identity.namespace, RoleRules(PROVIDER))
    tags = [{"Key": key, "Value": value} for key, value in wanted.own_tags.items()]
    world.iam.create_role(
        RoleName=name, Path=PATH, PermissionsBoundary=BOUNDARY, Tags=tags, AssumeRolePolicyDocument=json.dumps(trust)
    )
    policy = json.dumps(wanted.role_policy(wanted.role))
    world.iam.put_role_policy(RoleName=name, PolicyName=policy_name_of(name, wanted.bucket), PolicyDocument=policy)
    return name


def role_for(cr: dict[str, Any]) -> dict[str, Any]:
    return {"name": f"role-{cr['spec']['bucketName']}", "serviceAccounts": ["web"]}


def open_policy(bucket: str) -> str:
    allow = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def make_metadata_tables(world: World, bucket: str) -> None:
    """Others than those of the example, which are then updated and not created."""
    journal, inventory = {"RecordExpiration": {"Expiration": "DISABLED"}}, {"ConfigurationState": "DISABLED"}
    world.s3.create_bucket_metadata_configuration(
        Bucket=bucket,
        MetadataConfiguration={"JournalTableConfiguration": journal, "InventoryTableConfiguration": inventory},
    )


# The flows: each does one thing as the operator and returns how it ended, "Ready" for success.


def compare(operator: Operator, make: NewObject) -> str:
    # The comparison reads the object lock only of a bucket with versioning.
    cr = make(**{**optional_settings(with_needy=True), "enableObjectLock": True, "enableVersioning": True})
    cr["spec"]["iamRole"] = role_for(cr)
    make_owned(operator.world, cr)
    make_owned_role(operator.world, cr)
    found = operator.compare(cr)
    return "Ready" if found.endswith(" access_key secret service") else found


def write_every_optional_setting(operator: Operator, make: NewObject) -> str:
    make_targets(operator.world.s3, ACCOUNT)
    lock = {"enableObjectLock": True, "enableVersioning": True}
    cr = make(**{**optional_settings(with_needy=True), **lock, "iamUser": None, "tags": {"team": "photos"}})
    make_owned(operator.world, cr)
    # A tag is removed from a bucket with ABAC, which anyone with its key may have enabled.
    del cr["spec"]["tags"]
    abac = {"Status": "Enabled"}
    operator.world.s3.put_bucket_abac(Bucket=cr["spec"]["bucketName"], AbacStatus=abac)
    make_metadata_tables(operator.world, cr["spec"]["bucketName"])
    return str(operator.reconcile(cr).outcome["reason"])


def compare_bucket_of_another_account(operator: Operator, make: NewObject) -> str:
    cr = make(iamUser=None)
    operator.world.aws.gate.make_bucket_elsewhere(cr["spec"]["bucketName"], is_open=True)
    found = operator.compare(cr)
    return "Ready" if found == "BucketNameTaken" else found


def read_all_users(operator: Operator, make: NewObject) -> str:
    iam = operator.client("iam")
    try:
        iam.get_account_authorization_details(Filter=["User"])
    except iam.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"])
    return "Ready"


def read_tags_of_all_buckets(operator: Operator, make: NewObject) -> str:
    client = operator.client("resourcegroupstaggingapi")
    try:
        client.get_resources(ResourceTypeFilters=["s3"])
    except client.exceptions.ClientError as error:
        return str(error.response["Error"]["Code"]).removesuffix("Exception")
    return "Ready"


def read_last_use_of_a_key(operator: Operator, make: NewObject) -> str:
    cr = make()
    make_owned(operator.world, cr)
    user = cr["spec"]["iamUser"]["username"]
    key = operator.world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"][0]["AccessKeyId"]
    found = PerUserReader(operator.client("iam")).find_last_use(key)
    return (
        "AccessDenied" if "iam:GetAccessKeyLastUsed" in found.problem else "Ready" if not found.problem else str(found)
    )


def create_with_every_field(operator: Operator, make: NewObject) -> str:
    cr = make()
    make_targets(operator.world.s3, ACCOUNT)
    bucket = cr["spec"]["bucketName"]
    cr["spec"] |= {
        "bucketACL": "public-read", "bucketPolicy": open_policy(bucket), "tags": {"team": "photos"},
        "enableObjectLock": True, "enableVersioning": True, "enableTransferAcceleration": True,
        "publicAccessBlock": {"ignorePublicACLs": True}, **optional_settings(with_needy=True),
    }  # fmt: skip
    run = operator.reconcile(cr)
    if not run.outcome["done"]:
        return str(run.outcome["reason"])
    assert operator.compare(cr) == "", "the second comparison finds nothing to do"
    user = operator.world.iam.get_user(UserName=cr["spec"]["iamUser"]["username"])["User"]
    assert run.outcome["status"]["userARN"] == user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user{PATH}{user['UserName']}"
    assert user["PermissionsBoundary"]["PermissionsBoundaryArn"] == BOUNDARY
    return "Ready"


def repair_every_aspect(operator: Operator, make: NewObject) -> str:
    """Everything that can differ on an existing bucket and user differs, and a key rotation was left unfinished."""
    cr, world = make(tags={"team": "photos"}), operator.world
    make_owned(world, cr)
    bucket, user = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    tags = [tag for tag in world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"] if tag["Key"] != "team"]
    # Settings that the spec no longer has and that are cleared by an action of their own.
    tags.append({"Key": owner.SETTINGS, "Value": "metadata_tables website"})
    make_metadata_tables(world, bucket)
    website = {"IndexDocument": {"Suffix": "index.html"}}
    world.s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=website)
    world.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    world.s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": "Enabled"})
    world.s3.delete_public_access_block(Bucket=bucket)
    world.s3.put_bucket_policy(Bucket=bucket, Policy=open_policy(bucket))
    rules = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    world.s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    world.s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    world.iam.delete_user_policy(UserName=user, PolicyName=f"{user}-{bucket}-s3-restricted")
    world.iam.delete_user_permissions_boundary(UserName=user)
    world.iam.tag_user(UserName=user, Tags=[{"Key": "agill.apps/foreign-keys", "Value": "-"}])
    run = operator.reconcile(cr)
    if not run.outcome["done"]:
        return str(run.outcome["reason"])
    assert run.changed == [
        "public_access_block", "acl", "versioning", "acceleration", "policy", "metadata_tables", "website", "tags",
        "user", "user_policy", "access_key", "secret", "service",
    ]  # fmt: skip
    assert operator.compare(cr) == ""
    assert len(world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]) == 1
    return "Ready"


def delete_with_versions_and_uploads(operator: Operator, make: NewObject) -> str:
    cr, world = make(), operator.world
    make_owned(world, cr)
    fill(world, cr["spec"]["bucketName"])
    run = operator.reconcile(deleting(cr))
    if not run.outcome["done"]:
        return str(run.outcome["reason"])
    assert not any(world.snapshot(cr).values())
    return "Ready"


def delete_with_retain(operator: Operator, make: NewObject) -> str:
    cr, world = make(deletionPolicy="Retain"), operator.world
    make_owned(world, cr)
    # A policy that others attached is detached when the user is deleted.
    quarantine = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
    world.iam.attach_user_policy(UserName=cr["spec"]["iamUser"]["username"], PolicyArn=quarantine)
    run = operator.reconcile(deleting(cr))
    assert not run.outcome["done"] or world.snapshot(cr)["user"] is None
    return str(run.outcome["reason"])


def delete_locked_versions(operator: Operator, make: NewObject) -> str:
    cr, world = make(iamUser=None, enableObjectLock=True), operator.world
    make_owned(world, cr)
    until = datetime.now(UTC) + timedelta(days=1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    world.s3.put_object(Bucket=cr["spec"]["bucketName"], Key="locked", Body=b"x", **lock)
    outcome = operator.reconcile(deleting(cr)).outcome
    has_date = until.strftime("%Y-%m-%dT") in outcome["message"]
    return "Ready" if outcome["reason"] == "ObjectLocked" and has_date else f"{outcome['reason']} without a date"


def repair_a_role(operator: Operator, make: NewObject) -> str:
    cr, world = make(iamUser=None), operator.world
    cr["spec"]["iamRole"] = role_for(cr)
    make_owned(world, cr)
    name = make_owned_role(world, cr)
    (policy,) = world.iam.list_role_policies(RoleName=name)["PolicyNames"]
    world.iam.delete_role_policy(RoleName=name, PolicyName=policy)
    anyone = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    world.iam.update_assume_role_policy(
        RoleName=name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [anyone]})
    )
    world.iam.untag_role(RoleName=name, TagKeys=[owner.BUCKET])
    world.iam.delete_role_permissions_boundary(RoleName=name)
    run = operator.reconcile(cr)
    if not run.outcome["done"]:
        return str(run.outcome["reason"])
    assert operator.compare(cr) == ""
    return "Ready"


def create_and_delete_a_role(operator: Operator, make: NewObject) -> str:
    cr, world = make(iamUser=None), operator.world
    # Another flow, which has failed, may have left the association of a name that all objects have.
    cr["spec"]["iamRole"] = {**role_for(cr), "serviceAccounts": [cr["metadata"]["name"]], "podIdentity": True}
    make_owned(world, cr)
    run = operator.reconcile(cr)
    if not run.outcome["done"]:
        return str(run.outcome["reason"])
    # What others attached is taken away when the role is deleted.
    world.iam.attach_role_policy(RoleName=role_for(cr)["name"], PolicyArn="arn:aws:iam::aws:policy/AWSDenyAll")
    return str(operator.reconcile(deleting(cr)).outcome["reason"])


def deactivate_keys_of_an_orphan(operator: Operator, make: NewObject) -> str:
    cr, world = make(), operator.world
    make_owned(world, cr)
    user = cr["spec"]["iamUser"]["username"]
    run = world.deactivate(user, cr, **operator.environment)
    if not run.outcome["done"]:
        return str(run.outcome["reason"])
    found = world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    return "Ready" if [key["Status"] for key in found] == ["Inactive"] else str(found)


# Flows that start no Ansible come first: an action is tested with the first flow that uses it.
FLOWS = (
    compare, compare_bucket_of_another_account, read_all_users, read_tags_of_all_buckets, read_last_use_of_a_key,
    delete_with_retain, deactivate_keys_of_an_orphan, repair_a_role, create_and_delete_a_role,
    write_every_optional_setting, repair_every_aspect, create_with_every_field,
    # The last ones: a bucket that cannot be closed to writers is emptied nevertheless.
    delete_with_versions_and_uploads, delete_locked_versions,
)  # fmt: skip


@pytest.fixture(scope="module")
def flows(new_operator: NewOperator, make: NewObject) -> dict[str, tuple[str, set[str]]]:
    """Each flow with exactly the documented policy: how it ended, and which actions it used."""
    found = {}
    for flow in FLOWS:
        operator = new_operator(POLICY)
        found[flow.__name__] = flow(operator, make), operator.used()
    return found


@pytest.mark.parametrize("flow", [flow.__name__ for flow in FLOWS])
def test_flow_passes_with_exactly_the_documented_policy(flows: dict[str, tuple[str, set[str]]], flow: str) -> None:
    assert flows[flow][0] == "Ready"


def test_documented_policy_is_sufficient_for_all_settings_but_replication(
    new_operator: NewOperator, make: NewObject
) -> None:
    operator = new_operator(DOCUMENTED)
    make_targets(operator.world.s3, ACCOUNT)
    given = {name: value for name, value in optional_settings(with_needy=True).items() if name != "replication"}
    cr = make(**{**given, "enableVersioning": True, "enableObjectLock": True})
    assert operator.reconcile(cr).outcome["reason"] == "Ready"
    documented = {action for statement in DOCUMENTED["Statement"] for action in statement["Action"]}
    roles = {name for name in ACTIONS if name.startswith("iam:") and "Role" in name}
    assert len(roles) == 14, "the policy has the actions on roles only with --oidc-provider-arn"
    of_eks = {name for name in ACTIONS if name.startswith("eks:")}
    assert len(of_eks) == 5, "the policy has the actions of EKS only with --eks-cluster-arn"
    assert set(ACTIONS) - documented == {
        *roles,
        *of_eks,
        "s3:GetReplicationConfiguration",
        "s3:PutReplicationConfiguration",
    }
    assert documented < set(ACTIONS)


@pytest.mark.parametrize(("suffix", "service"), [("-of-others", "s3"), ("", "ec2")], ids=["role", "service"])
def test_only_the_roles_of_the_policy_can_be_given_and_only_to_s3(
    new_operator: NewOperator, make: NewObject, suffix: str, service: str
) -> None:
    policy = copy.deepcopy(POLICY)
    policy["Statement"][-1]["Condition"] = {"StringEquals": {"iam:PassedToService": f"{service}.amazonaws.com"}}
    operator, given = new_operator(policy), copy.deepcopy(example_fields("replication"))
    make_targets(operator.world.s3, ACCOUNT)
    given["replication"]["role"] += suffix
    outcome = operator.reconcile(make(iamUser=None, **given)).outcome
    assert (outcome["reason"], "s3:PutReplicationConfiguration" in outcome["message"]) == ("AccessDenied", True)


def test_every_action_of_the_policy_is_used(flows: dict[str, tuple[str, set[str]]]) -> None:
    assert set().union(*(used for _, used in flows.values())) >= set(ACTIONS)


@pytest.mark.parametrize("action", ACTIONS)
def test_action_taken_out_of_the_policy_is_missed(
    flows: dict[str, tuple[str, set[str]]], new_operator: NewOperator, make: NewObject, action: str
) -> None:
    flow = next(flow for flow in FLOWS if action in flows[flow.__name__][1])
    less = copy.deepcopy(POLICY)
    for statement in less["Statement"]:
        statement["Action"] = [name for name in statement["Action"] if name != action]
    # Without this action, the deletion still waits for the lock, but it cannot report until when.
    wanted = "ObjectLocked without a date" if action == "s3:GetObjectRetention" else "AccessDenied"
    assert flow(new_operator(less), make) == wanted


# What the policy does not allow, whatever a CR or a changed role requests.


def test_bucket_outside_the_prefix_is_denied_and_its_user_gets_no_rights(
    new_operator: NewOperator, make: NewObject, world: World, new_name: Callable[[str], str]
) -> None:
    cr = make(bucketName=new_name("other"))
    outcome = new_operator(POLICY).reconcile(cr).outcome
    assert (outcome["done"], outcome["reason"]) == (False, "AccessDenied")
    assert "s3:CreateBucket" in outcome["message"]
    found = world.snapshot(cr)
    user = found.pop("user")
    assert (user["policies"], user["keys"]) == ({}, {}), "it only claims the bucket's name"
    assert (found["bucket"], found["secret"]) == (None, None)
    assert world.reconcile(deleting(cr)).outcome["done"]
    assert world.snapshot(cr)["user"] is None


def test_user_of_another_path_is_a_conflict_and_cannot_be_touched(
    new_operator: NewOperator, make: NewObject, world: World
) -> None:
    cr, operator = make(), new_operator(POLICY)
    user = cr["spec"]["iamUser"]["username"]
    world.iam.create_user(UserName=user, PermissionsBoundary=BOUNDARY)
    assert operator.compare(cr) == "Conflict"
    iam, tag = operator.client("iam"), {"Key": "a", "Value": "b"}
    for call in (
        lambda: iam.create_access_key(UserName=user),
        lambda: iam.tag_user(UserName=user, Tags=[tag]),
        lambda: iam.put_user_policy(UserName=user, PolicyName="a", PolicyDocument=TEXT),
        lambda: iam.delete_user(UserName=user),
    ):
        assert code_of(call) == "AccessDenied"


@pytest.mark.parametrize("name", FORCED)
def test_user_without_path_or_boundary_cannot_be_made(
    new_operator: NewOperator, make: NewObject, world: World, name: str
) -> None:
    cr, operator = make(), new_operator(POLICY)
    run = world.reconcile(cr, **{**operator.environment, name: ""})
    assert run.outcome["reason"] == "AccessDenied", run.output
    assert world.snapshot(cr)["user"] is None


def test_rights_are_given_only_to_a_user_with_the_boundary(
    new_operator: NewOperator, make: NewObject, world: World
) -> None:
    cr, iam = make(), new_operator(POLICY).client("iam")
    make_owned(world, cr)
    user, other = cr["spec"]["iamUser"]["username"], BOUNDARY.replace("tenant", "admin")
    put = {"UserName": user, "PolicyName": "a", "PolicyDocument": TEXT}
    assert code_of(lambda: iam.put_user_policy(**put)) == "allowed"
    arguments = {"UserName": user, "PermissionsBoundary": other}
    assert code_of(lambda: iam.put_user_permissions_boundary(**arguments)) == "AccessDenied"
    assert code_of(lambda: iam.delete_user_permissions_boundary(UserName=user)) == "AccessDenied"
    world.iam.put_user_permissions_boundary(**arguments)
    assert code_of(lambda: iam.put_user_policy(**put)) == "AccessDenied"


def test_objects_cannot_be_read_and_other_accounts_buckets_stay_untouched(
    new_operator: NewOperator, make: NewObject, world: World
) -> None:
    cr, s3 = make(iamUser=None), new_operator(POLICY).client("s3")
    make_owned(world, cr)
    bucket = cr["spec"]["bucketName"]
    world.s3.put_object(Bucket=bucket, Key="private", Body=b"x")
    assert code_of(lambda: s3.get_object(Bucket=bucket, Key="private")) == "AccessDenied"
    assert code_of(lambda: s3.get_object(Bucket=bucket, Key="private", VersionId="null")) == "AccessDenied"
    elsewhere = f"{bucket}-elsewhere"
    world.aws.gate.make_bucket_elsewhere(elsewhere, is_open=True)
    # amazon.aws.s3_bucket does not send ExpectedBucketOwner.
    tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
    assert code_of(lambda: s3.put_bucket_tagging(Bucket=elsewhere, Tagging=tagging)) == "AccessDenied"
    assert code_of(lambda: world.s3.put_bucket_tagging(Bucket=elsewhere, Tagging=tagging)) == "allowed"


def test_all_tests_of_the_role_work_with_no_more_than_the_policy_for_an_account(
    world: World, new_object: NewObject
) -> None:
    whole = policy_for(PolicySettings(ACCOUNT))
    allowed = {action for statement in whole["Statement"] for action in statement["Action"]}
    with requests_of(world) as requests:
        assert world.reconcile(new_object()).outcome["done"]
    # The new key is verified with a request that it signs itself.
    own = [item for item in requests if item["service"] != "sts" and item["rights"]]
    verified = [item["action"] for item in requests if item["service"] != "sts" and not item["rights"]]
    assert (bool(own), verified) == (True, ["HeadBucket"])
    # In all tests, a request is denied exactly if it needs a right outside the policy. amazon.aws requests more than
    # the policy allows, and handles the denial.
    for item in own:
        assert (item["status"] == 403) == (not set(item["rights"]) <= allowed), item
