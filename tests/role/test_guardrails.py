"""Rules of the AWS account: tags that every bucket and user must have, and policies that others attach to users."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runner.commands.iam_policy import PolicySettings, policy_for
from s3bucket.errors import ReconcileError
from s3bucket.observe import Observation, observe, observe_deletion
from s3bucket.spec import wanted_of
from s3bucket.users import UserRules
from tests.support.objects import bucket_of, owner_tags, tags_of, user_of, user_tags
from tests.support.world import CLUSTER, DEFAULTS, NewObject, World, deleting, make_operator_key

QUARANTINE = "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"
TAGS = {"team": "platform", "cost center": "42"}


def attach(world: World, user: str, kind: str, name: str) -> str:
    """Attach additional permissions to a user. Returns the operator's settings that would allow them."""
    document = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})
    if kind == "group":
        world.iam.create_group(GroupName=name)
        world.iam.add_user_to_group(GroupName=name, UserName=user)
        return name
    if kind == "inline":
        world.iam.put_user_policy(UserName=user, PolicyName=name, PolicyDocument=document)
        return name
    arn = str(world.iam.create_policy(PolicyName=name, PolicyDocument=document)["Policy"]["Arn"])
    world.iam.attach_user_policy(UserName=user, PolicyArn=arn)
    return arn


def seen(world: World, cr: dict[str, Any], rules: UserRules | None = None) -> Observation:
    sources = world.sources()
    return observe(world.wanted(cr), dataclasses.replace(sources, rules=rules) if rules else sources)


@pytest.mark.parametrize("kind", ["group", "managed", "inline"])
def test_user_with_other_rights_gets_no_key_and_everything_else_is_done(
    world: World, new_object: NewObject, new_name: Callable[[str], str], kind: str
) -> None:
    cr, name = new_object(), new_name("admins")
    metadata = cr["metadata"]
    world.iam.create_user(UserName=user_of(cr), Tags=owner_tags(metadata["namespace"], metadata["name"]))
    allowed = attach(world, user_of(cr), kind, name)
    found = seen(world, cr)
    assert [problem.reason for problem in found.deferred] == ["Conflict"]
    assert name in found.deferred[0].message
    assert {"bucket", "service"} <= set(found.differs)
    assert not {"access_key", "secret"} & set(found.differs)
    assert not found.users[0].keys.create
    if kind == "inline":
        return
    rules = UserRules(allowed_policies=frozenset({allowed}), allowed_groups=frozenset({allowed}))
    found = seen(world, cr, rules)
    assert (found.deferred, "access_key" in found.differs) == ([], True)


@pytest.mark.parametrize("version", ["", "V2", "V3", "V4"])
def test_quarantined_key_is_reported_as_leaked_and_none_is_issued(
    world: World, new_object: NewObject, version: str
) -> None:
    cr = new_object()
    metadata = cr["metadata"]
    world.iam.create_user(UserName=user_of(cr), Tags=owner_tags(metadata["namespace"], metadata["name"]))
    arn = f"arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantine{version}"
    world.iam.attach_user_policy(UserName=user_of(cr), PolicyArn=arn)
    # No setting can allow this policy.
    found = seen(world, cr, UserRules(allowed_policies=frozenset({arn})))
    assert [(problem.reason, problem.retry) for problem in found.deferred] == [("KeyLeaked", "slow")]
    assert arn in found.deferred[0].message
    assert not found.users[0].keys.create


def test_object_with_a_quarantined_user_is_maintained_and_can_be_deleted(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    key = world.credentials(cr)
    world.iam.attach_user_policy(UserName=user_of(cr), PolicyArn=QUARANTINE)
    world.s3.put_bucket_versioning(Bucket=bucket_of(cr), VersioningConfiguration={"Status": "Enabled"})
    world.core.delete_namespaced_service(cr["metadata"]["name"], cr["metadata"]["namespace"])
    run = world.reconcile(cr)
    assert (run.outcome["done"], run.outcome["reason"], run.outcome["retry"]) == (False, "KeyLeaked", "slow")
    assert run.changed == ["versioning", "service"], run.output
    assert (world.credentials(cr), world.service(cr) is not None) == (key, True)
    # Do what the message asks for.
    for listed in world.iam.list_access_keys(UserName=user_of(cr))["AccessKeyMetadata"]:
        world.iam.delete_access_key(UserName=user_of(cr), AccessKeyId=listed["AccessKeyId"])
    assert seen(world, cr).users[0].keys.create is False, "not while it is attached"
    world.iam.detach_user_policy(UserName=user_of(cr), PolicyArn=QUARANTINE)
    assert "access_key" in world.differs(cr)
    world.iam.attach_user_policy(UserName=user_of(cr), PolicyArn=QUARANTINE)
    assert world.reconcile(deleting(cr)).outcome["done"]
    assert observe_deletion(world.wanted(deleting(cr)), world.sources()).differs == []


def test_required_tags_are_in_the_calls_that_create_and_are_kept(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    """An SCP denies the creation of a user, or of a bucket, without the tag."""
    policy = copy.deepcopy(policy_for(PolicySettings(world.account)))
    condition = {"StringEquals": {"aws:RequestTag/team": "platform"}}
    for statement in policy["Statement"]:
        for action in ("iam:CreateUser", "s3:CreateBucket"):
            if action in statement["Action"]:
                statement["Action"] = [name for name in statement["Action"] if name != action]
    for action in ("iam:CreateUser", "s3:CreateBucket"):
        policy["Statement"].append(
            {
                "Sid": action.replace(":", ""),
                "Effect": "Allow",
                "Action": [action],
                "Resource": "*",
                "Condition": condition,
            }
        )
    make_operator_key(world.aws, policy, tmp_path / "key")
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "key")}
    cr = new_object(tags={"team": "photos", "own": "1"})
    cr["spec"]["iamUser"]["tags"] = {"Team": "photos", "stage": "test"}
    refused = world.reconcile(cr, **environment)
    assert (refused.outcome["reason"], "iam:CreateUser" in refused.outcome["message"]) == ("AccessDenied", True)

    environment["TAGS"] = json.dumps(TAGS)
    run = world.reconcile(cr, **environment)
    assert run.outcome["done"], run.output
    assert "spec.tags[team]" in run.outcome["message"], "the operator's own tag wins, and a note reports that"
    assert {**TAGS, "own": "1"}.items() <= tags_of(world, cr).items()
    assert "spec.iamUser.tags[Team]" in run.outcome["message"]
    found = user_tags(world, user_of(cr))
    assert {**TAGS, "stage": "test"}.items() <= found.items()
    assert "Team" not in found, "IAM would take it for team"

    wanted = wanted_of(cr, CLUSTER, {**DEFAULTS, "operatorTags": TAGS})
    assert observe(wanted, world.sources()).differs == []
    world.iam.untag_user(UserName=user_of(cr), TagKeys=["team"])
    world.tenant(cr).put_bucket_tagging(
        Bucket=bucket_of(cr),
        Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in tags_of(world, cr).items() if k != "team"]},
    )
    assert observe(wanted, world.sources()).differs == ["tags", "user"]
    # Without the setting, the bucket's tags are removed as tags are that the CR no longer has.
    assert "tags" in world.differs(cr)


@pytest.mark.parametrize(
    "tags",
    [
        {"aws:x": "1"},
        {"agill.apps/name": "1"},
        {"a": 1},
        {"a,b": "1"},
        {"a": "x" * 257},
        {str(n): "" for n in range(21)},
    ],
    ids=["aws", "owner", "number", "comma", "long", "many"],
)
def test_tags_that_aws_would_not_take_are_refused(tags: dict[str, Any]) -> None:
    with pytest.raises(ReconcileError) as refused:
        wanted_of({"metadata": {"name": "a"}, "spec": {}}, CLUSTER, {**DEFAULTS, "operatorTags": tags})
    assert refused.value.reason == "InvalidSpec"
    assert "s3bucket_tags" in refused.value.message


def test_tags_of_cr_and_operator_together_fit_aws_limit() -> None:
    cr = {"metadata": {"name": "a"}, "spec": {"region": "us-east-1", "bucketName": "abc"}}
    cr["spec"]["tags"] = {str(number): "" for number in range(41)}
    wanted_of(cr, CLUSTER, {**DEFAULTS, "operatorTags": {"a": "1"}})
    with pytest.raises(ReconcileError) as refused:
        wanted_of(cr, CLUSTER, {**DEFAULTS, "operatorTags": TAGS})
    assert "at most 40" in refused.value.message
