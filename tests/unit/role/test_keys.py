"""The plan for the access keys: which one stays active, which are deleted, and when a new one is issued.

There is a test for each state that a kill or a user can leave.
"""

from __future__ import annotations

import pytest

from s3bucket.errors import ReconcileError
from s3bucket.keys import Pair, fingerprint_of, plan_keys

OURS, OLD, ALIEN, ALIEN2 = "AKIAOURS", "AKIAOLD", "AKIAALIEN", "AKIAALIEN2"
PAIR = Pair(OURS, fingerprint_of("secret"))
OLD_PAIR = Pair(OLD, fingerprint_of("old"))


def test_plan_keys_live_key_in_secret_does_nothing() -> None:
    plan = plan_keys({OURS: "Active"}, PAIR, None, PAIR)
    assert (plan.live, plan.differs, plan.foreign) == (OURS, False, [])


def test_plan_keys_foreign_key_is_kept_and_reported() -> None:
    plan = plan_keys({OURS: "Active", ALIEN: "Active"}, PAIR, None, PAIR)
    assert (plan.differs, plan.foreign) == (False, [ALIEN])


@pytest.mark.parametrize(
    ("listed", "recorded", "in_secret"),
    [
        pytest.param({OURS: "Active"}, PAIR, None, id="secret-deleted"),
        pytest.param({OURS: "Active"}, PAIR, Pair(OURS, "0" * 32), id="value-edited"),
        pytest.param({OURS: "Active"}, PAIR, Pair("AKIAEDITED", PAIR.fingerprint), id="id-edited"),
        pytest.param({OURS: "Inactive"}, PAIR, PAIR, id="key-inactive"),
    ],
)
def test_plan_keys_broken_pair_is_replaced_before_the_old_key_goes(
    listed: dict[str, str], recorded: Pair, in_secret: Pair | None
) -> None:
    plan = plan_keys(listed, recorded, None, in_secret)
    assert (plan.issue, plan.delete_first, plan.delete_after) == (True, [], [OURS])


def test_plan_keys_key_deleted_in_iam_is_replaced() -> None:
    plan = plan_keys({}, PAIR, None, PAIR)
    assert (plan.issue, plan.delete_first, plan.delete_after) == (True, [], [])


def test_plan_keys_killed_after_create_deletes_the_unrecorded_key() -> None:
    # State: the foreign-keys tag is set and the new key exists, but the run was killed before it wrote the key tag. So
    # neither tag has the new key.
    plan = plan_keys({OLD: "Active", OURS: "Active"}, OLD_PAIR, "-", OLD_PAIR)
    assert (plan.issue, plan.live, plan.delete_after, plan.is_issuing) == (False, OLD, [OURS], True)


def test_plan_keys_killed_before_secret_write_keeps_the_key_in_use_to_the_last() -> None:
    # The record has the new key. The Secret still has the old one, which applications use.
    plan = plan_keys({OLD: "Active", OURS: "Active"}, PAIR, "-", OLD_PAIR)
    assert (plan.issue, plan.delete_first, plan.delete_after) == (True, [OURS], [OLD])


def test_plan_keys_killed_before_old_key_deleted_finishes() -> None:
    plan = plan_keys({OLD: "Active", OURS: "Active"}, PAIR, "-", PAIR)
    assert (plan.issue, plan.delete_after, plan.is_issuing) == (False, [OLD], True)


def test_plan_keys_killed_before_tag_removed_only_removes_it() -> None:
    plan = plan_keys({OURS: "Active"}, PAIR, "-", PAIR)
    assert (plan.issue, plan.delete_after, plan.is_issuing, plan.differs) == (False, [], True, True)


def test_plan_keys_foreign_key_while_issuing_is_never_deleted() -> None:
    plan = plan_keys({ALIEN: "Active", OURS: "Active"}, None, ALIEN, None)
    assert (plan.delete_first, plan.delete_after, plan.foreign_tag) == ([OURS], [], ALIEN)


def test_plan_keys_one_foreign_key_and_a_broken_pair_makes_room_first() -> None:
    plan = plan_keys({ALIEN: "Active", OURS: "Inactive"}, PAIR, None, PAIR)
    assert (plan.issue, plan.delete_first, plan.foreign_tag) == (True, [OURS], ALIEN)


def test_plan_keys_two_foreign_keys_are_refused_by_name() -> None:
    with pytest.raises(ReconcileError, match=f"{ALIEN}, {ALIEN2}") as refused:
        plan_keys({ALIEN: "Active", ALIEN2: "Active"}, None, None, None)
    assert refused.value.reason == "TooManyKeys"


@pytest.mark.parametrize("text", ["", "AKIA", ":", "AKIA:", ":abc"])
def test_pair_parse_of_no_pair_is_none(text: str) -> None:
    assert Pair.parse(text) is None


def test_pair_parse_reads_what_str_wrote() -> None:
    assert Pair.parse(str(PAIR)) == PAIR
