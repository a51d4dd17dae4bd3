"""A user may also use the buckets of other S3 objects of its namespace, as long as those objects have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from s3bucket import owner
from s3bucket.api import GROUP, PLURAL, VERSION
from s3bucket.observe import observe
from s3bucket.planned_changes import changes_of
from tests.support.objects import bucket_of, refusal, tags_of, user_of
from tests.support.world import NewObject, World, code_of, deleting, requests_of

Cr = dict[str, Any]
NewName = Callable[[str], str]
NAMESPACE = "also-uses"


def using(cr: Cr, *others: Cr, mode: str = "ReadOnly") -> Cr:
    """The object with a user that may also use the buckets of these."""
    also = [{"name": other["metadata"]["name"], "accessMode": mode} for other in others]
    return {**cr, "spec": {**cr["spec"], "iamUser": {**cr["spec"]["iamUser"], "alsoUses": also}}}


def publish(world: World, cr: Cr, ready: str, bucket: str = "") -> None:
    """Write a status as the operator does, or as someone with rights on the status."""
    condition = {
        "type": "Ready", "status": ready, "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    status = {"conditions": [condition], "bucketARN": f"arn:aws:s3:::{bucket or bucket_of(cr)}"}
    metadata = cr["metadata"]
    world.custom.patch_namespaced_custom_object_status(
        GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"], {"status": status}
    )


def delete(world: World, cr: Cr) -> None:
    metadata = cr["metadata"]
    world.custom.delete_namespaced_custom_object(GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"])


def policies(world: World, cr: Cr) -> list[str]:
    names = world.iam.list_user_policies(UserName=user_of(cr))["PolicyNames"]
    prefix, suffix = f"{user_of(cr)}-", "-s3-restricted"
    return sorted(name.removeprefix(prefix).removesuffix(suffix) for name in names)


def notes(world: World, cr: Cr) -> list[str]:
    return observe(world.wanted(cr), world.sources()).notes


@pytest.fixture
def new_object(world: World, new_name: NewName) -> NewObject:
    """Makes S3 objects in the namespace of the pair."""

    def make(**spec: Any) -> Cr:
        defaults = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
        given = {name: value for name, value in {**defaults, **spec}.items() if value is not None}
        return world.make_object(NAMESPACE, new_name("cr"), given)

    return make


@pytest.fixture(scope="module")
def pair(world: World) -> Iterator[tuple[Cr, Cr]]:
    """Two objects of one namespace, both reconciled: the user of the first one is to use the bucket of the second."""
    made = []
    world.make_namespace(NAMESPACE)
    for name in ("also-app", "also-logs"):
        names = {"bucketName": f"{name}-bucket", "iamUser": {"username": f"{name}-user"}}
        cr = world.make_object(NAMESPACE, name, {"region": "us-east-1", **names})
        run = world.reconcile(cr)
        assert run.outcome["done"], run.output
        made.append(cr)
    yield made[0], made[1]
    for cr in made:
        world.reconcile(deleting(cr))
        delete(world, cr)


def test_grant_follows_the_other_object(world: World, pair: tuple[Cr, Cr]) -> None:
    app, logs = using(pair[0], pair[1]), pair[1]
    publish(world, logs, "False")
    assert world.differs(app) == []
    assert notes(world, app) == ["spec.iamUser.alsoUses[also-logs] is not in force: S3 object also-logs is not Ready"]

    publish(world, logs, "True")
    sources, wanted = world.sources(), world.wanted(app)
    changes = changes_of(wanted, observe(wanted, sources), sources)
    assert [(change.aspect, change.field, change.is_now) for change in changes] == [
        ("user_policy", f"iamUser.alsoUses.policy[{bucket_of(logs)}]", None)
    ]
    # A grant that cannot be given does not keep the key from being issued again.
    world.core.delete_namespaced_secret("also-app-iam-secret", NAMESPACE)
    world.aws.gate.add_fault("PutUserPolicy", "AccessDenied", status=403, user=user_of(app))
    try:
        run = world.reconcile(app)
    finally:
        world.aws.gate.clear_faults()
    assert (run.outcome["reason"], run.changed) == ("AccessDenied", ["access_key", "secret"]), run.output
    tenant = world.tenant(app)
    tenant.list_objects_v2(Bucket=bucket_of(app))
    run = world.reconcile(app)
    assert (run.outcome["done"], run.changed) == (True, ["user_policy"]), run.output
    tenant.list_objects_v2(Bucket=bucket_of(logs))
    assert code_of(lambda: tenant.put_object(Bucket=bucket_of(logs), Key="a", Body=b"")) == "AccessDenied"
    tenant.put_object(Bucket=bucket_of(app), Key="a", Body=b"")
    assert (world.differs(app), notes(world, app)) == ([], [])

    # A failure of the other object that passes takes nothing away, and the other object still has its own bucket.
    publish(world, logs, "False")
    assert world.differs(app) == []
    assert world.differs(logs) == []

    # A widened policy is restored; another mode replaces it.
    run = world.reconcile(using(pair[0], pair[1], mode="ReadWrite"))
    assert run.changed == ["user_policy"], run.output
    tenant.put_object(Bucket=bucket_of(logs), Key="a", Body=b"")

    # Without the field the policy is deleted, and nothing else.
    run = world.reconcile(pair[0])
    assert (run.outcome["done"], run.changed) == (True, ["user_policy"]), run.output
    assert policies(world, app) == [bucket_of(app)]
    assert code_of(lambda: tenant.list_objects_v2(Bucket=bucket_of(logs))) == "AccessDenied"


def test_status_alone_gives_no_bucket_of_another_namespace(
    world: World, pair: tuple[Cr, Cr], new_object: NewObject, new_name: NewName
) -> None:
    """A tenant makes an object that names a bucket of another namespace, and a status that claims it."""
    namespace = new_name("ns")
    world.make_namespace(namespace)
    names = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
    victim = world.make_object(namespace, "victim", names)
    assert world.reconcile(victim).outcome["done"]
    publish(world, victim, "True")
    forged = new_object(bucketName=bucket_of(victim), iamUser=None)
    publish(world, forged, "True")
    app = using(pair[0], forged)
    assert world.differs(app) == []
    assert "does not belong to S3 object" in notes(world, app)[0]
    # Nor does the name of an object of that namespace lead there.
    assert "does not exist" in notes(world, using(pair[0], victim))[0]
    # An object of the name that the tags have, but with another uid, is another object.
    tags = {**tags_of(world, victim), owner.NAMESPACE: forged["metadata"]["namespace"]}
    tags[owner.NAME] = forged["metadata"]["name"]
    for uid, differs in (("another", []), (forged["metadata"]["uid"], ["user_policy"])):
        tag_set = [{"Key": key, "Value": value} for key, value in {**tags, owner.UID: uid}.items()]
        world.s3.put_bucket_tagging(Bucket=bucket_of(victim), Tagging={"TagSet": tag_set})
        assert world.differs(app) == differs


def test_name_of_a_granted_bucket_goes_to_no_other_namespace(
    world: World, pair: tuple[Cr, Cr], new_object: NewObject, new_name: NewName
) -> None:
    logs = new_object()
    assert world.reconcile(logs).outcome["done"]
    publish(world, logs, "True")
    app = using(pair[0], logs)
    assert world.reconcile(app).changed == ["user_policy"]
    assert world.reconcile(deleting(logs)).outcome["done"]
    delete(world, logs)
    namespace = new_name("ns")
    world.make_namespace(namespace)
    spec = {"region": "us-east-1", "bucketName": bucket_of(logs), "iamUser": {"username": new_name("user")}}
    next_one = world.make_object(namespace, "next", spec)
    refused = refusal(world, next_one)
    assert (refused.reason, user_of(app) in refused.message) == ("Conflict", True)
    # In the same namespace it does not stand in the way.
    again = new_object(bucketName=bucket_of(logs))
    assert "bucket" in world.differs(again)
    # The object's end takes the grant away, and then the name is free.
    assert world.reconcile(app).changed == ["user_policy"]
    assert policies(world, app) == [bucket_of(app)]
    assert "bucket" in world.differs(next_one)


def test_bucket_with_unknown_tags_keeps_its_grant_and_gets_no_new_one(
    world: World, pair: tuple[Cr, Cr], new_object: NewObject
) -> None:
    logs = new_object()
    assert world.reconcile(logs).outcome["done"]
    publish(world, logs, "True")
    app = using(pair[0], logs)
    world.aws.gate.add_fault("GetBucketTagging", "AccessDenied", status=403, bucket=bucket_of(logs))
    try:
        assert world.differs(app) == []
        assert "is not in force" in notes(world, app)[0]
    finally:
        world.aws.gate.clear_faults()
    assert world.reconcile(app).changed == ["user_policy"]
    world.aws.gate.add_fault("GetBucketTagging", "AccessDenied", status=403, bucket=bucket_of(logs))
    try:
        assert world.differs(app) == []
    finally:
        world.aws.gate.clear_faults()
    with requests_of(world) as requests:
        assert world.reconcile(pair[0]).changed == ["user_policy"]
    assert [request["action"] for request in requests if request["write"]] == ["DeleteUserPolicy"]


def test_more_buckets_than_the_policies_of_a_user_have_room_for_are_refused(
    world: World, pair: tuple[Cr, Cr], new_object: NewObject
) -> None:
    others = [new_object(iamUser=None) for _ in range(6)]
    for other in others:
        identity = world.wanted(other).identity
        tag_set = [{"Key": key, "Value": value} for key, value in identity.tags.items()]
        world.s3.create_bucket(Bucket=bucket_of(other))
        world.s3.put_bucket_tagging(Bucket=bucket_of(other), Tagging={"TagSet": tag_set})
        publish(world, other, "True")
    app = using(pair[0], *others, mode="ReadWrite")
    seen = observe(world.wanted(app), world.sources())
    assert seen.deferred[0].reason == "InvalidSpec"
    assert "spec.iamUser.alsoUses[" in seen.deferred[0].message
    assert 0 < len(seen.users[0].policies) < len(others)
