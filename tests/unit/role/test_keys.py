"""The plan for the access keys: which one stays active, which are deleted, and when a new one is issued.

There is a test for each state that a kill or a user can leave.
"""

from __future__ import annotations

import pytest

from s3bucket.errors import ReconcileError
from s3bucket.keys import Pair, fingerprint_of, plan_keys

OWN, OLD, OTHER, OTHER2 = "AKIAOWN", "AKIAOLD", "AKIAOTHER", "AKIAOTHER2"
PAIR = Pair(OWN, fingerprint_of("secret"))
OLD_PAIR = Pair(OLD, fingerprint_of("old"))


def test_plan_keys_live_key_in_secret_does_nothing() -> None:
    plan = plan_keys({OWN: "Active"}, PAIR, None, PAIR)
    assert (plan.live, plan.differs, plan.unmanaged) == (OWN, False, [])


def test_plan_keys_unmanaged_key_is_kept_and_reported() -> None:
    plan = plan_keys({OWN: "Active", OTHER: "Active"}, PAIR, None, PAIR)
    assert (plan.differs, plan.unmanaged) == (False, [OTHER])


@pytest.mark.parametrize(
    ("listed", "recorded", "in_secret"),
    [
        pytest.param({OWN: "Active"}, PAIR, None, id="secret-deleted"),
        pytest.param({OWN: "Active"}, PAIR, Pair(OWN, "0" * 32), id="value-edited"),
        pytest.param({OWN: "Active"}, PAIR, Pair("AKIAEDITED", PAIR.fingerprint), id="id-edited"),
        pytest.param({OWN: "Inactive"}, PAIR, PAIR, id="key-inactive"),
    ],
)
def test_plan_keys_broken_pair_is_replaced_before_the_old_key_goes(
    listed: dict[str, str], recorded: Pair, in_secret: Pair | None
) -> None:
    plan = plan_keys(listed, recorded, None, in_secret)
    assert (plan.create, plan.delete_first, plan.delete_after) == (True, [], [OWN])


def test_plan_keys_key_deleted_in_iam_is_replaced() -> None:
    plan = plan_keys({}, PAIR, None, PAIR)
    assert (plan.create, plan.delete_first, plan.delete_after) == (True, [], [])


def test_plan_keys_killed_after_create_deletes_the_unrecorded_key() -> None:
    # State: the foreign-keys tag is set and the new key exists, but the run was killed before it wrote the key tag. So
    # neither tag has the new key.
    plan = plan_keys({OLD: "Active", OWN: "Active"}, OLD_PAIR, "-", OLD_PAIR)
    assert (plan.create, plan.live, plan.delete_after, plan.rotation_in_progress) == (False, OLD, [OWN], True)


def test_plan_keys_killed_before_secret_write_keeps_the_key_in_use_to_the_last() -> None:
    # The record has the new key. The Secret still has the old one, which applications use.
    plan = plan_keys({OLD: "Active", OWN: "Active"}, PAIR, "-", OLD_PAIR)
    assert (plan.create, plan.delete_first, plan.delete_after) == (True, [OWN], [OLD])


def test_plan_keys_killed_before_old_key_deleted_finishes() -> None:
    plan = plan_keys({OLD: "Active", OWN: "Active"}, PAIR, "-", PAIR)
    assert (plan.create, plan.delete_after, plan.rotation_in_progress) == (False, [OLD], True)


def test_plan_keys_killed_before_tag_removed_only_removes_it() -> None:
    plan = plan_keys({OWN: "Active"}, PAIR, "-", PAIR)
    assert (plan.create, plan.delete_after, plan.rotation_in_progress, plan.differs) == (False, [], True, True)


def test_plan_keys_unmanaged_key_while_issuing_is_never_deleted() -> None:
    plan = plan_keys({OTHER: "Active", OWN: "Active"}, None, OTHER, None)
    assert (plan.delete_first, plan.delete_after, plan.unmanaged_tag) == ([OWN], [], OTHER)


def test_plan_keys_one_unmanaged_key_and_a_broken_pair_makes_room_first() -> None:
    plan = plan_keys({OTHER: "Active", OWN: "Inactive"}, PAIR, None, PAIR)
    assert (plan.create, plan.delete_first, plan.unmanaged_tag) == (True, [OWN], OTHER)


def test_plan_keys_two_unmanaged_keys_are_refused_by_name() -> None:
    with pytest.raises(ReconcileError, match=f"{OTHER}, {OTHER2}") as refused:
        plan_keys({OTHER: "Active", OTHER2: "Active"}, None, None, None)
    assert refused.value.reason == "TooManyKeys"


@pytest.mark.parametrize("text", ["", "AKIA", ":", "AKIA:", ":abc"])
def test_pair_parse_of_no_pair_is_none(text: str) -> None:
    assert Pair.parse(text) is None


def test_pair_parse_reads_what_str_wrote() -> None:
    assert Pair.parse(str(PAIR)) == PAIR
