"""The tags of an IAM user that the spec gives: set, repaired, removed, and never those of others or of the operator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3bucket import owner
from s3bucket.observe import observe
from s3bucket.planned_changes import changes_of
from s3bucket.user_tags import MAX_TAGS
from tests.support.objects import user_of, user_tags, writes_in
from tests.support.world import World, requests_of


@pytest.fixture(scope="module")
def cr(world: World, new_name: Callable[[str], str]) -> dict[str, Any]:
    namespace = new_name("ns")
    world.make_namespace(namespace)
    user = {"username": new_name("user"), "tags": {"team": "photos", "stage": "test"}}
    spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": user}
    cr = world.make_object(namespace, new_name("cr"), spec)
    run = world.reconcile(cr)
    assert run.outcome["done"], run.output
    return cr


def with_tags(cr: dict[str, Any], tags: dict[str, str]) -> dict[str, Any]:
    return {**cr, "spec": {**cr["spec"], "iamUser": {**cr["spec"]["iamUser"], "tags": tags}}}


def test_tags_come_with_the_call_that_creates_the_user(world: World, cr: dict[str, Any]) -> None:
    found = user_tags(world, user_of(cr))
    assert {"team": "photos", "stage": "test"}.items() <= found.items()
    assert owner.UNMANAGED_KEYS not in found, "the end of the rotation keeps them"
    assert world.differs(cr) == []


def test_tag_that_leaves_the_spec_is_removed_and_those_of_others_stay(world: World, cr: dict[str, Any]) -> None:
    world.iam.tag_user(UserName=user_of(cr), Tags=[{"Key": "others", "Value": "1"}])
    assert world.differs(cr) == []
    before, without = user_tags(world, user_of(cr)), with_tags(cr, {"team": "photos"})
    seen = observe(world.wanted(without), world.sources())
    assert seen.differs == ["user"]
    changes = changes_of(world.wanted(without), seen, world.sources())
    assert ("iamUser.tags.stage", "test", None) in [(one.field, one.is_now, one.would_be) for one in changes]
    with requests_of(world) as requests:
        run = world.reconcile(without)
    assert (run.outcome["done"], run.changed) == (True, ["user"]), run.output
    assert writes_in(requests) == ["UntagUser", "TagUser"] or writes_in(requests) == ["TagUser", "UntagUser"]
    after = user_tags(world, user_of(cr))
    assert after == {name: value for name, value in before.items() if name != "stage"} | {
        owner.TAG_RECORD: after[owner.TAG_RECORD]
    }
    assert world.differs(without) == []
    # The record goes with the last tag.
    run = world.reconcile(with_tags(cr, {}))
    left = {name: value for name, value in after.items() if name not in ("team", owner.TAG_RECORD)}
    assert (run.changed, user_tags(world, user_of(cr))) == (["user"], left)
    assert world.reconcile(cr).changed == ["user"]


def test_tags_that_would_exceed_the_limit_are_not_written_and_the_rest_is_maintained(
    world: World, cr: dict[str, Any]
) -> None:
    user, found = user_of(cr), user_tags(world, user_of(cr))
    others = [f"others-{at}" for at in range(MAX_TAGS - len(found))]
    world.iam.tag_user(UserName=user, Tags=[{"Key": name, "Value": ""} for name in others])
    more = with_tags(cr, {"team": "photos", "stage": "test", "more": "1"})
    world.iam.untag_user(UserName=user, TagKeys=[owner.UID])
    world.iam.tag_user(UserName=user, Tags=[{"Key": "others", "Value": ""}])
    seen = observe(world.wanted(more), world.sources())
    assert seen.differs == ["user"], "an owner tag is missing, and is put back"
    (problem,) = seen.deferred
    assert problem.message.startswith(f"spec.iamUser.tags: IAM user {user} would have {MAX_TAGS + 1} tags")
    run = world.reconcile(more)
    assert (run.outcome["reason"], run.changed) == ("InvalidSpec", ["user"]), run.output
    assert user_tags(world, user)[owner.UID] == cr["metadata"]["uid"]
    world.iam.untag_user(UserName=user, TagKeys=others)
    assert world.differs(cr) == []
