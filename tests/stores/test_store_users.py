"""Users of versitygw, and of stores that lack a part of it: where their tags are kept, and what is refused.

A store that lacks something is versitygw with a client that answers in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest

from dev.store import Store
from s3bucket import owner, read, store_users, user_deletion, user_record
from s3bucket.capabilities import Capabilities, probe
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Reason
from s3bucket.users import UserRules
from tests.support.store import STORE

pytestmark = pytest.mark.skipif(STORE != "versitygw", reason="it is versitygw to which something is denied here")
UID = "0b2a4f0e-7e0f-4d51-9d2b-0c8f0f0c3f3a"
PHOTOS = owner.Identity("prod", "team", "photos", UID)
BOUNDARY = "arn:aws:iam::000000000000:policy/boundary"
NO_BOUNDARIES = "s3bucket_permissions_boundary: the store has no permissions boundaries of users"
# Stores by what they do not have.
FULL, NO_TAG_USER, IGNORES_TAGS, NO_TAGS = "nothing", "TagUser", "tags in CreateUser", "tags of users"
STORES = (FULL, NO_TAG_USER, IGNORES_TAGS, NO_TAGS)


def refuse(**_: object) -> tuple[Any, dict[str, Any]]:
    """Answer as a store that does not know the action (a handler for botocore's event ``before-call``)."""
    error = {"Error": {"Code": "InvalidAction", "Message": "Could not find operation"}}
    return SimpleNamespace(status_code=HTTPStatus.BAD_REQUEST), error


def drop_tags(params: dict[str, Any], **_: object) -> None:
    """Leave the tags out of a request (a handler for botocore's event ``before-call``)."""
    params["body"] = {key: text for key, text in params["body"].items() if not key.startswith("Tags.")}


def iam_of(store: Store, lack: str) -> tuple[Any, Capabilities]:
    iam = store.client("iam")
    if lack in (NO_TAG_USER, NO_TAGS):
        for action in ("TagUser", "UntagUser"):
            iam.meta.events.register(f"before-call.iam.{action}", refuse)
    if lack in (IGNORES_TAGS, NO_TAGS):
        iam.meta.events.register("before-call.iam.CreateUser", drop_tags)
    if lack == NO_TAGS:
        iam.meta.events.register("before-call.iam.ListUserTags", refuse)
    return iam, probe(store.client(), iam, store.client("sts"))


@pytest.mark.parametrize("lack", STORES)
def test_tags_are_kept_where_the_store_can(store: Store, new_name: Callable[[str], str], lack: str) -> None:
    name, (iam, capabilities) = new_name("user"), iam_of(store, lack)
    assert capabilities.user_tags == (lack != NO_TAGS)
    rules = user_record.rules_for(UserRules(path="/s3/"), capabilities, PHOTOS)
    tags = {**PHOTOS.tags, owner.BUCKET: "photos", "team": "a b"}
    store_users.create(iam, name, tags, rules, has_tags=capabilities.user_tags)

    def found() -> dict[str, str]:
        user = read.find_user(iam, name, capabilities)
        assert user is not None
        read.read_rights(iam, name, user, capabilities)
        # The policy that may hold the tags is none of the user's rights.
        assert user.policies == {}
        assert read.read_all_users(iam, capabilities)[name].tags == user.tags
        return user.tags

    def write(tags: dict[str, str], *, purges: bool) -> bool:
        return store_users.write_tags(iam, name, tags, purges=purges, has_tags=capabilities.user_tags)

    assert found() == tags
    assert write({owner.KEY: "AKIA:1"}, purges=False)
    assert not write({owner.KEY: "AKIA:1"}, purges=False)
    assert found() == {**tags, owner.KEY: "AKIA:1"}
    assert write({**PHOTOS.tags, "team": "b"}, purges=True)
    assert found() == {**PHOTOS.tags, "team": "b"}
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == (
        [user_record.POLICY] if lack in (NO_TAG_USER, NO_TAGS) else []
    )
    iam.create_access_key(UserName=name)
    assert user_deletion.delete(iam, name, capabilities)
    assert read.find_user(iam, name, capabilities) is None
    assert not user_deletion.delete(iam, name, capabilities)


def test_owner_is_known_before_the_first_tag_where_users_have_none(
    store: Store, new_name: Callable[[str], str]
) -> None:
    """A run that is killed between the two requests leaves a user that is the object's."""
    name, (iam, capabilities) = new_name("user"), iam_of(store, NO_TAGS)
    rules = user_record.rules_for(UserRules(), capabilities, PHOTOS)
    iam.create_user(UserName=name, **rules.creation)
    user = read.find_user(iam, name, capabilities)
    assert user is not None
    assert PHOTOS.is_same_object(user.tags)
    user_deletion.delete(iam, name, capabilities)


def test_tags_are_used_once_the_store_has_them(store: Store, new_name: Callable[[str], str]) -> None:
    name, (iam, capabilities) = new_name("user"), iam_of(store, NO_TAG_USER)
    store_users.create(iam, name, PHOTOS.tags, UserRules(), has_tags=True)
    store_users.write_tags(iam, name, {"team": "a"}, purges=False, has_tags=True)
    iam, capabilities = iam_of(store, FULL)
    store_users.write_tags(iam, name, {"team": "b"}, purges=False, has_tags=True)
    assert iam.list_user_policies(UserName=name)["PolicyNames"] == []
    user = read.find_user(iam, name, capabilities)
    assert user is not None
    assert user.tags == {**PHOTOS.tags, "team": "b"}


def test_boundary_that_the_store_ignores_is_an_error(store: Store, new_name: Callable[[str], str]) -> None:
    name, (iam, capabilities) = new_name("user"), iam_of(store, FULL)
    with pytest.raises(ReconcileError, match=NO_BOUNDARIES) as refused:
        store_users.create(iam, name, PHOTOS.tags, UserRules(boundary=BOUNDARY), has_tags=True)
    assert refused.value.reason == Reason.INVALID_SPEC
    assert read.find_user(iam, name, capabilities) is None
    store_users.create(iam, name, PHOTOS.tags, UserRules(), has_tags=True)
    with pytest.raises(ReconcileError, match=NO_BOUNDARIES):
        store_users.set_boundary(iam, name, BOUNDARY)


def test_user_that_could_not_be_marked_is_refused() -> None:
    without = Capabilities(is_aws=False, user_tags=False, user_paths=False)
    with pytest.raises(ReconcileError, match=r"spec.iamUser: .* neither tags nor paths"):
        user_record.rules_for(UserRules(), without, PHOTOS)
    long = Capabilities(is_aws=False, user_tags=False)
    with pytest.raises(ReconcileError, match=r"spec.iamUser: .* is too long"):
        user_record.rules_for(UserRules(path=f"/{'a' * 500}/"), long, PHOTOS)
