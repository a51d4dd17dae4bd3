"""Additional users: each has its own key in its own Secret, under the rules of the first user."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from s3bucket import children, owner
from s3bucket.observe import observe, observe_deletion
from s3bucket.planned_changes import changes_of
from tests.support.objects import bucket_of, user_of, user_tags, writes_in
from tests.support.world import NewObject, World, code_of, deleting, requests_of

Cr = dict[str, Any]
NewName = Callable[[str], str]


def with_users(cr: Cr, *names: str) -> Cr:
    """The object with these additional users."""
    return {**cr, "spec": {**cr["spec"], "additionalUsers": [{"username": name} for name in names]}}


def secret_name(cr: Cr, user: str) -> str:
    return f"{cr['metadata']['name']}-{user}-iam-secret"


def secrets(world: World, cr: Cr) -> list[str]:
    """The names of the object's Secrets."""
    label = f"agill.apps/s3={cr['metadata']['name']}"
    found = world.core.list_namespaced_secret(cr["metadata"]["namespace"], label_selector=label)
    return sorted(item.metadata.name for item in found.items)


def key_of(world: World, cr: Cr, user: str) -> tuple[str, str]:
    data = world.core.read_namespaced_secret(secret_name(cr, user), cr["metadata"]["namespace"]).data
    return tuple(base64.b64decode(data[name]).decode() for name in (children.KEY_ID, children.SECRET_KEY))  # type: ignore[return-value]


def list_with_key(world: World, cr: Cr, user: str) -> None:
    key_id, secret = key_of(world, cr, user)
    s3 = world.aws.client("s3", aws_access_key_id=key_id, aws_secret_access_key=secret)
    s3.list_objects_v2(Bucket=bucket_of(cr))


def users(world: World) -> list[str]:
    return [user["UserName"] for user in world.iam.list_users()["Users"]]


def plan(world: World, cr: Cr) -> list[str]:
    wanted, sources = world.wanted(cr), world.sources()
    return [change.line for change in changes_of(wanted, observe(wanted, sources), sources)]


def test_each_user_has_a_key_and_a_secret_until_it_is_removed(
    world: World, new_object: NewObject, new_name: NewName
) -> None:
    bob, carol = new_name("bob"), new_name("carol")
    cr = with_users(new_object(), bob, carol)
    first = world.reconcile(cr)
    assert first.outcome["done"], first.output
    status = first.outcome["status"]
    assert [user["username"] for user in status["users"]] == [bob, carol]
    for shown in status["users"]:
        name = shown["username"]
        list_with_key(world, cr, name)
        assert (shown["accessKeyID"], shown["secretName"]) == (key_of(world, cr, name)[0], secret_name(cr, name))
        assert user_tags(world, name)[owner.BUCKET] == bucket_of(cr)
    assert status["accessKeyID"] == world.credentials(cr)[0]
    assert owner.recorded_users(user_tags(world, user_of(cr))) == [bob, carol]
    assert world.differs(cr) == []

    # Drift of one of them concerns that one only.
    before = world.credentials(cr), key_of(world, cr, bob)
    world.core.delete_namespaced_secret(secret_name(cr, carol), cr["metadata"]["namespace"])
    world.iam.delete_user_policy(UserName=carol, PolicyName=f"{carol}-{bucket_of(cr)}-s3-restricted")
    assert [line.partition(":")[0] for line in plan(world, cr)] == [
        f"additionalUsers[{carol}].{name}" for name in ("policy", "accessKey", "secret")
    ]
    healed = world.reconcile(cr)
    assert healed.changed == ["user_policy", "access_key", "secret"], healed.output
    assert (world.credentials(cr), key_of(world, cr, bob)) == before
    assert {user["username"]: user["accessKeyID"] for user in healed.outcome["status"]["users"]} == {
        name: key_of(world, cr, name)[0] for name in (bob, carol)
    }
    list_with_key(world, cr, carol)

    less = with_users(cr, carol)
    assert plan(world, less) == [
        f"additionalUsers[{bob}]: there -> deleted, with its keys and policy",
        f"additionalUsers[{bob}].secret: there -> deleted",
    ]
    run = world.reconcile(less)
    assert (run.outcome["done"], run.changed) == (True, ["user", "secret"]), run.output
    assert bob not in users(world)
    assert secrets(world, cr) == sorted([f"{cr['metadata']['name']}-iam-secret", secret_name(cr, carol)])
    assert owner.recorded_users(user_tags(world, user_of(cr))) == [carol]
    assert [user["username"] for user in run.outcome["status"]["users"]] == [carol]
    assert world.differs(less) == []
    with requests_of(world) as requests:
        assert world.reconcile(less).changed == []
    assert writes_in(requests) == []

    # The deletion finds also a user that the spec no longer has.
    gone = world.reconcile(deleting(with_users(cr)))
    assert gone.outcome["done"], gone.output
    assert {carol, user_of(cr)}.isdisjoint(users(world))
    assert secrets(world, cr) == []


def test_name_of_another_objects_user_is_refused_and_all_else_maintained(
    world: World, new_object: NewObject, new_name: NewName
) -> None:
    bob, carol = new_name("bob"), new_name("carol")
    cr = with_users(new_object(), bob)
    assert world.reconcile(cr).outcome["done"]
    key = key_of(world, cr, bob)
    other = with_users(new_object(), bob, carol)
    run = world.reconcile(other)
    assert run.outcome["reason"] == "Conflict", run.output
    assert f"IAM user {bob} belongs to S3 object" in run.outcome["message"]
    assert f"additionalUsers[{bob}].username" in run.outcome["message"]
    world.tenant(other).list_objects_v2(Bucket=bucket_of(other))
    list_with_key(world, other, carol)
    assert (key_of(world, cr, bob), world.differs(cr)) == (key, [])
    # Nor is it deleted when the other object no longer names it, or is deleted.
    assert world.reconcile(with_users(other, carol)).outcome["done"]
    assert world.reconcile(deleting(other)).outcome["done"]
    list_with_key(world, cr, bob)


def test_secret_of_another_owner_is_refused_before_the_user_gets_a_key(
    world: World, new_object: NewObject, new_name: NewName
) -> None:
    bob = new_name("bob")
    cr = with_users(new_object(), bob)
    body = {"metadata": {"name": secret_name(cr, bob)}, "stringData": {"password": "x"}}
    world.core.create_namespaced_secret(cr["metadata"]["namespace"], body)
    run = world.reconcile(cr)
    assert (run.outcome["reason"], bob in users(world)) == ("Conflict", False), run.output
    world.tenant(cr).list_objects_v2(Bucket=bucket_of(cr))


@pytest.mark.parametrize("action", ["CreateUser", "CreateAccessKey", "TagUser"])
def test_failure_for_one_user_heals_at_the_next_run(
    world: World, new_object: NewObject, new_name: NewName, action: str
) -> None:
    bob, carol = new_name("bob"), new_name("carol")
    cr = with_users(new_object(), bob, carol)
    world.aws.gate.add_fault(action, "AccessDenied", status=403, user=bob)
    try:
        failed = world.reconcile(cr)
    finally:
        world.aws.gate.clear_faults()
    assert failed.outcome["reason"] == "AccessDenied", failed.output
    # The first user and the users after it have their keys.
    world.tenant(cr).list_objects_v2(Bucket=bucket_of(cr))
    list_with_key(world, cr, carol)
    assert [user.get("accessKeyID") for user in failed.outcome["status"]["users"]] == [
        None, key_of(world, cr, carol)[0],
    ]  # fmt: skip
    assert owner.recorded_users(user_tags(world, user_of(cr))) == [bob, carol]
    healed = world.reconcile(cr)
    assert healed.outcome["done"], healed.output
    for name in (bob, carol):
        list_with_key(world, cr, name)
        listed = world.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        assert [key["AccessKeyId"] for key in listed] == [key_of(world, cr, name)[0]]
    assert world.differs(cr) == []


def problem_of(world: World, cr: Cr) -> tuple[str, str, list[str]]:
    """The reason and the message of the problem, and what is maintained all the same."""
    seen = observe(world.wanted(cr), world.sources())
    assert len(seen.deferred) == 1
    return seen.deferred[0].reason, seen.deferred[0].message, seen.differs


def test_problem_of_one_user_or_its_secret_keeps_no_other_from_being_maintained(
    world: World, new_object: NewObject, new_name: NewName
) -> None:
    bob, carol = new_name("bob"), new_name("carol")
    cr = with_users(new_object(), bob)
    namespace, first_secret = cr["metadata"]["namespace"], f"{cr['metadata']['name']}-iam-secret"
    assert world.reconcile(cr).outcome["done"]
    world.s3.put_bucket_versioning(Bucket=bucket_of(cr), VersioningConfiguration={"Status": "Enabled"})

    # A user that the operator may not read, as one with another path, in place of bob or beside it.
    for action in ("GetUser", "ListAccessKeys"):
        world.aws.gate.add_fault(action, "AccessDenied", status=403, user=bob)
        try:
            reason, message, differs = problem_of(world, cr)
        finally:
            world.aws.gate.clear_faults()
        assert (reason, differs, bob in message) == ("AccessDenied", ["versioning"], True)
    # A name that IAM takes for that of another user.
    world.iam.create_user(UserName=carol.upper())
    reason, message, differs = problem_of(world, with_users(cr, bob, carol))
    assert (reason, differs) == ("Conflict", ["versioning", "user"]), "the new name is recorded, and not created"
    assert f"choose another additionalUsers[{carol}].username" in message

    # The first user's Secret is another one's, and bob's is missing.
    key = world.credentials(cr)[0]
    for name in (first_secret, secret_name(cr, bob)):
        world.core.delete_namespaced_secret(name, namespace)
    world.core.create_namespaced_secret(namespace, {"metadata": {"name": first_secret}, "stringData": {"a": "b"}})
    run = world.reconcile(cr)
    assert run.outcome["reason"] == "Conflict", run.output
    assert f"Secret {first_secret} exists and does not belong to this S3 object" in run.outcome["message"]
    assert run.changed == ["versioning", "access_key", "secret"]
    list_with_key(world, cr, bob)
    assert list((world.secret(cr) or {})["data"]) == ["a"]
    listed = world.iam.list_access_keys(UserName=user_of(cr))["AccessKeyMetadata"]
    assert [item["AccessKeyId"] for item in listed] == [key], "no key without a place for it"

    # The first user's policy cannot be written, and bob's Secret is missing again.
    world.core.delete_namespaced_secret(first_secret, namespace)
    world.core.delete_namespaced_secret(secret_name(cr, bob), namespace)
    world.iam.delete_user_policy(UserName=user_of(cr), PolicyName=f"{user_of(cr)}-{bucket_of(cr)}-s3-restricted")
    world.aws.gate.add_fault("PutUserPolicy", "AccessDenied", status=403, user=user_of(cr))
    try:
        run = world.reconcile(cr)
    finally:
        world.aws.gate.clear_faults()
    assert run.outcome["reason"] == "AccessDenied", run.output
    list_with_key(world, cr, bob)
    assert world.secret(cr) is None
    healed = world.reconcile(cr)
    assert healed.outcome["done"], healed.output
    world.tenant(cr).list_objects_v2(Bucket=bucket_of(cr))
    world.iam.delete_user(UserName=carol.upper())


def test_recorded_name_deletes_no_user_of_another_owner(world: World, new_object: NewObject, new_name: NewName) -> None:
    cr, admin, bob = new_object(), new_name("admin"), new_name("bob")
    assert world.reconcile(with_users(cr, bob)).outcome["done"]
    world.iam.create_user(UserName=admin)
    world.iam.tag_user(UserName=user_of(cr), Tags=[{"Key": owner.USERS, "Value": f"{admin} {bob}"}])
    world.aws.gate.add_fault("DeleteUser", "AccessDenied", status=403, user=bob)
    try:
        failed = world.reconcile(cr)
    finally:
        world.aws.gate.clear_faults()
    assert failed.outcome["reason"] == "AccessDenied", failed.output
    # What was not deleted stays on record.
    assert bob in owner.recorded_users(user_tags(world, user_of(cr)))
    assert world.reconcile(cr).outcome["done"]
    assert admin in users(world)
    assert bob not in users(world)
    assert owner.recorded_users(user_tags(world, user_of(cr))) == []
    assert world.differs(cr) == []


def test_object_without_additional_users_reads_no_more(world: World, new_object: NewObject, new_name: NewName) -> None:
    cr, bob = new_object(), new_name("bob")
    assert world.reconcile(cr).outcome["done"]
    with requests_of(world) as one:
        observe(world.wanted(cr), world.sources())
    actions = [request["action"] for request in one]
    assert (actions.count("GetUser"), actions.count("ListAccessKeys")) == (1, 1)
    # A deletion with names that IAM would refuse reads nothing of them.
    seen = observe_deletion(world.wanted(deleting(with_users(cr, "a b", bob))), world.sources())
    assert [user.name for user in seen.users] == [user_of(cr), bob]
    assert code_of(lambda: world.iam.get_user(UserName=bob)) == "NoSuchEntity"
