"""The path and the permissions boundary that the operator sets on users."""

from __future__ import annotations

import pytest

from s3bucket.errors import ReconcileError
from s3bucket.state import UserState
from s3bucket.users import NO_RULES, UserRules, rules_of

BOUNDARY = "arn:aws:iam::123456789012:policy/tenant"
RULES = UserRules("/s3-operator/", BOUNDARY)


def user(path: str = "/s3-operator/", boundary: str = BOUNDARY) -> UserState:
    return UserState(f"arn:aws:iam::123456789012:user{path}photos", {}, boundary=boundary)


def test_arn_of_a_user_to_be_made_has_the_path() -> None:
    assert RULES.arn_of("aws", "123456789012", "photos") == "arn:aws:iam::123456789012:user/s3-operator/photos"
    assert NO_RULES.arn_of("aws-cn", "123456789012", "photos") == "arn:aws-cn:iam::123456789012:user/photos"


def test_creation_has_what_is_forced_and_nothing_else() -> None:
    assert RULES.creation == {"Path": "/s3-operator/", "PermissionsBoundary": BOUNDARY}
    assert NO_RULES.creation == {}


@pytest.mark.parametrize(
    ("rules", "found", "differs"),
    [(RULES, BOUNDARY, False), (RULES, "", True), (RULES, f"{BOUNDARY}2", True), (NO_RULES, BOUNDARY, False),
     (NO_RULES, "", False)],
    ids=["same", "missing", "other", "not-forced", "none"],
)  # fmt: skip
def test_boundary_that_is_not_the_forced_one_differs(rules: UserRules, found: str, differs: bool) -> None:
    assert rules.differ(user(boundary=found)) is differs


@pytest.mark.parametrize("path", ["/", "/other/", "/s3-operator/deeper/"])
def test_other_path_is_a_note_and_no_difference(path: str) -> None:
    assert not RULES.differ(user(path))
    [note] = RULES.notes_on("photos", user(path))
    assert f"path {path}, not /s3-operator/" in note


def test_same_path_or_none_forced_is_no_note() -> None:
    assert RULES.notes_on("photos", user()) == []
    assert NO_RULES.notes_on("photos", user("/other/")) == []


@pytest.mark.parametrize(
    "settings",
    [{"iam_path": "team"}, {"iam_path": "/team"}, {"iam_path": "/*/"}, {"permissions_boundary": "tenant"}],
    ids=str,
)
def test_setting_that_iam_would_not_take_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(ReconcileError) as refused:
        rules_of(**settings)
    assert next(iter(settings)) in refused.value.message


def test_settings_are_taken() -> None:
    assert rules_of(RULES.path, RULES.boundary) == RULES
    assert rules_of() == NO_RULES
