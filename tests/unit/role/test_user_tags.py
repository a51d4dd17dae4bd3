"""The tags of an IAM user: IAM does not distinguish their keys by case, so neither may these functions."""

from __future__ import annotations

from typing import Any

import pytest

from s3bucket import owner, user_tags
from s3bucket.errors import ReconcileError
from s3bucket.spec import OPERATOR_TAGS, Wanted, wanted_of

FIELD = "spec.iamUser.tags"


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"agill.apps/name": "x"}, r"[agill.apps/name]: the prefixes aws:, agill.apps/, __ansible are reserved"),
        ({"AGILL.apps/Name": "x"}, r"[AGILL.apps/Name]: the prefixes"),
        ({"AWS:x": "x"}, r"[AWS:x]: the prefixes"),
        ({"__Ansible_unsafe": "x"}, r"[__Ansible_unsafe]: the prefixes"),
        ({"team": "a", "Team": "b"}, r"[Team]: IAM takes it for team"),
        ({"team": 1}, r"[team]: must be a string"),
        ({"team": "a*"}, r"[team]: is not a tag that IAM allows"),
        ({"": "a"}, r"[]: is not a tag that IAM allows"),
        ({"t" * 129: "a"}, "is not a tag that IAM allows"),
        ({"team": "a" * 257}, r"[team]: is not a tag that IAM allows"),
        ({"team\n": "a"}, r"[team\n]: is not a tag that IAM allows"),
        ({f"k{at}": "" for at in range(user_tags.MAX_GIVEN + 1)}, ": has 21 tags: at most 20 fit"),
        (["team"], ": must be an object"),
    ],
)
def test_tag_that_iam_or_the_operator_would_not_take_is_refused(tags: Any, problem: str) -> None:
    with pytest.raises(ReconcileError) as refused:
        user_tags.tags_of(tags, FIELD)
    assert refused.value.reason == "InvalidSpec"
    assert refused.value.message.startswith(FIELD)
    assert problem in refused.value.message


def test_operators_tag_wins_also_in_another_case() -> None:
    assert user_tags.in_force({"Team": "a", "stage": "b"}, {"team": "ops"}) == {"stage": "b"}


def test_tag_that_left_the_spec_is_removed_and_those_of_others_are_kept() -> None:
    before = {"other": "1", owner.KEY: "k", **user_tags.with_record({"team": "a", "stage": "b"})}
    wanted = {owner.NAME: "photos", **user_tags.with_record({"stage": "c"})}
    assert user_tags.merged(before, wanted) == {"other": "1", owner.KEY: "k", **wanted}
    assert user_tags.stale(before, wanted) == ["team"]
    none = {owner.NAME: "photos"}
    assert user_tags.merged(before, none) == {"other": "1", owner.KEY: "k", **none}


def test_tag_of_others_that_iam_takes_for_the_same_is_replaced() -> None:
    wanted = user_tags.with_record({"team": "a"})
    assert user_tags.merged({"TEAM": "b"}, wanted) == wanted
    assert user_tags.stale({"TEAM": "b", **user_tags.with_record({"TEAM": "b"})}, wanted) == []


def test_object_without_tags_has_no_record() -> None:
    """An upgrade must not write to users whose object gives no tags."""
    assert user_tags.with_record({}) == {}


@pytest.mark.parametrize("count", [user_tags.MAX_TAGS, user_tags.MAX_TAGS + 1])
def test_more_tags_than_iam_allows_are_found_before_a_write(count: int) -> None:
    problem = user_tags.find_excess("IAM user photos", {f"k{at}": "" for at in range(count)}, FIELD)
    assert (problem is None) == (count <= user_tags.MAX_TAGS)
    if problem:
        assert problem.message.startswith(f"{FIELD}: IAM user photos would have 51 tags, and AWS allows 50")


@pytest.mark.parametrize(("operators", "most"), [(0, 20), (15, 20), (20, 16)])
def test_tags_leave_room_for_those_of_the_operator(defaults: dict[str, Any], operators: int, most: int) -> None:
    """The operator could not record a new key otherwise, and each run would create one and delete it again."""
    given = {**defaults, OPERATOR_TAGS: {f"o{at}": "" for at in range(operators)}}
    names = [{"username": f"{at:a<64}"} for at in range(3)]

    def read(count: int) -> Wanted:
        user = {"username": "photos", "tags": {f"k{at}": "" for at in range(count)}}
        spec = {"region": "eu-west-1", "bucketName": "abc", "iamUser": user, "additionalUsers": names}
        return wanted_of({"metadata": {"name": "photos"}, "spec": spec}, "cluster", given)

    assert len(read(most).users[0].tags) == most
    if most < user_tags.MAX_GIVEN:
        with pytest.raises(ReconcileError, match=f"^spec.iamUser.tags: has {most + 1} tags: at most {most} fit beside"):
            read(most + 1)
