"""Where the tags of users are kept in a store that has no tags of users."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3bucket import owner, store_users, user_record
from s3bucket.owner import Identity
from s3bucket.state import UserState
from s3bucket.users import UserRules
from tests.support.store_answers import StoreAnswers, answer_of

UID = "0b2a4f0e-7e0f-4d51-9d2b-0c8f0f0c3f3a"
PHOTOS = Identity("prod", "team", "photos", UID)


@pytest.mark.parametrize("base", ["", "/", "/s3/", "/a/b/c/d/"])
@pytest.mark.parametrize("identity", [PHOTOS, Identity("a/b %", "team", "x.y", UID), Identity("c", "n", "x", "")])
def test_path_records_the_owner(base: str, identity: Identity) -> None:
    path = user_record.path_of(base, identity)
    assert path.startswith(base or "/")
    assert user_record.owner_in(path) == identity.tags


@pytest.mark.parametrize("path", ["/", "/s3/", "/a/b/c/d/", f"/{UID}/", f"/team/photos/{UID}/"])
def test_other_path_records_no_owner(path: str) -> None:
    assert user_record.owner_in(path) == {}


TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=40)


@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=8))
def test_policy_holds_all_tags_and_no_wildcard(tags: dict[str, str]) -> None:
    policy = user_record.document(tags)
    assert user_record.tags_in(policy) == tags
    (statement,) = policy["Statement"]
    assert statement["Effect"] == "Deny"
    assert not set("*?$") & set("".join(statement["Resource"]))
    assert "".join(statement["Resource"]).isascii()


@pytest.mark.parametrize("policy", [{}, {"Statement": []}, {"Statement": [{"Resource": "*"}]}, None])
def test_other_policy_is_no_record(policy: dict[str, object] | None) -> None:
    assert user_record.tags_in(policy) is None


def made(path: str, tags: dict[str, str]) -> UserState:
    return UserState(arn=f"arn:aws:iam::123456789012:user{path}photos", tags=tags)


def test_policy_counts_before_tags_and_these_before_the_path() -> None:
    path = user_record.path_of("/s3/", PHOTOS)
    older = {**PHOTOS.tags, owner.UID: "older"}
    by_policy, by_tags, by_path = made(path, older), made(path, older), made(path, {"team": "photos"})
    user_record.unfold(by_policy, user_record.document({**PHOTOS.tags, owner.KEY: "AKIA:1"}))
    user_record.unfold(by_tags, None)
    user_record.unfold(by_path, None)
    assert by_policy.tags == {**PHOTOS.tags, owner.KEY: "AKIA:1"}
    assert by_tags.tags == older
    assert by_path.tags == {"team": "photos", **PHOTOS.tags}


@pytest.mark.parametrize("shown_by", ["GetUser", "ListUserTags", ""], ids=["GetUser", "ListUserTags", "not shown"])
def test_tags_that_the_store_takes_and_does_not_show_are_in_the_record(shown_by: str) -> None:
    """Otherwise the operator would take its own user for one of others, and never change or delete it again."""
    shown = "<Tags><member><Key>team</Key><Value>a</Value></member></Tags>"
    user = "<User><UserName>u</UserName><Path>/</Path><Arn>arn:aws:iam::1:user/u</Arn>{}</User>"
    writes = {name: answer_of(name, "") for name in ("CreateUser", "TagUser", "PutUserPolicy")}
    reads = {"GetUser": answer_of("GetUser", user.format("")), "ListUserTags": answer_of("ListUserTags", "<Tags/>")}
    tagged = {"GetUser": user.format(shown), "ListUserTags": shown}
    store = StoreAnswers({**writes, **reads})
    iam = store.client("iam")
    if shown_by:
        answer = answer_of(shown_by, tagged[shown_by])
        iam.meta.events.register("before-call.iam.TagUser", lambda **_: store.answer(shown_by, answer))
    store_users.create(iam, "u", {"team": "a"}, UserRules(), has_tags=True)
    assert ("PutUserPolicy" in store.requests) is not bool(shown_by)
