"""The annotation of ServiceAccounts with a role's ARN: what is the object's own, and what is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from s3bucket import owner
from s3bucket.service_accounts import ROLE_ARN, SET_BY, compare, manifest_of, removal_of

ARN, OTHER = "arn:aws:iam::111122223333:role/photos", "arn:aws:iam::111122223333:role/other"
OWN = {ROLE_ARN: ARN, SET_BY: "photos"}
# Annotations of a ServiceAccount that the spec names, and what becomes of it.
WANTED: dict[str, tuple[dict[str, str] | None, str]] = {
    "none": (None, "added"),
    "without-value": ({ROLE_ARN: ""}, "added"),
    "own": (OWN, "same"),
    "own-value-edited": ({**OWN, ROLE_ARN: OTHER}, "added"),
    "own-value-deleted": ({SET_BY: "photos"}, "added"),
    "same-value-set-by-a-person": ({ROLE_ARN: ARN}, "same"),
    "same-value-set-by-another-object": ({ROLE_ARN: ARN, SET_BY: "videos"}, "same"),
    "another-role-set-by-a-person": ({ROLE_ARN: OTHER}, "conflict"),
    "another-role-set-by-another-object": ({ROLE_ARN: OTHER, SET_BY: "videos"}, "conflict"),
    "another-object-left-its-mark": ({SET_BY: "videos"}, "conflict"),
}


def account(annotations: dict[str, str] | None, name: str = "web") -> dict[str, Any]:
    metadata = {"name": name, "namespace": "team", "uid": "1", "resourceVersion": "7"}
    return {"metadata": {**metadata, **({} if annotations is None else {"annotations": annotations})}}


@pytest.mark.parametrize(("annotations", "becomes"), WANTED.values(), ids=WANTED)
def test_annotation_of_others_is_never_overwritten(annotations: dict[str, str] | None, becomes: str) -> None:
    item = account(annotations)
    found = compare({"web": item, "later": None}, [], ARN, "photos")
    assert found.added == ((item,) if becomes == "added" else ())
    assert [text.split()[:2] for text in found.conflicts] == (
        [["ServiceAccount", "web"]] if becomes == "conflict" else []
    )
    assert (found.removed, found.missing) == ((), ("later",))
    assert found.differs == (becomes == "added")


def test_conflict_names_the_value_and_the_object_that_set_it() -> None:
    by_person, by_object = (
        compare({"web": account(item)}, [], ARN, "photos").conflicts[0]
        for item in ({ROLE_ARN: OTHER}, {ROLE_ARN: OTHER, SET_BY: "videos"})
    )
    assert by_person == f"ServiceAccount web has the annotation {ROLE_ARN}: {OTHER}, which this S3 object did not set"
    assert by_object == f"ServiceAccount web has the annotation {ROLE_ARN}: {OTHER}, which S3 object videos set"


@pytest.mark.parametrize(
    ("annotations", "removed"),
    [
        pytest.param(OWN, {ROLE_ARN: None, SET_BY: None}, id="own"),
        pytest.param({SET_BY: "photos"}, {ROLE_ARN: None, SET_BY: None}, id="only-the-mark"),
        pytest.param({**OWN, ROLE_ARN: OTHER}, {SET_BY: None}, id="value-that-others-set-since"),
        pytest.param({ROLE_ARN: ARN}, None, id="set-by-a-person"),
        pytest.param({ROLE_ARN: ARN, SET_BY: "videos"}, None, id="set-by-another-object"),
        pytest.param(None, None, id="none"),
    ],
)
def test_only_an_own_annotation_is_removed(annotations: dict[str, str] | None, removed: dict[str, None] | None) -> None:
    found = compare({}, [account(annotations)], ARN, "photos").removed
    assert [removal_of(item, ARN)["metadata"]["annotations"] for item in found] == ([removed] if removed else [])


def test_patch_is_for_the_service_account_that_was_read() -> None:
    assert manifest_of(account({"a": "b"}), ARN, "photos") == {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {**account(None)["metadata"], "annotations": OWN},
    }


def test_record_in_tags_of_the_role_holds_the_longest_names_and_shrinks() -> None:
    names = [f"{'a' * 251}{at}" for at in range(10, 20)]
    record = owner.names_record(owner.SERVICE_ACCOUNTS, names)
    assert len(record) == 10
    assert all(len(value) <= owner.MAX_TAG_VALUE for value in record.values())
    assert owner.recorded_names(owner.SERVICE_ACCOUNTS, {**record, owner.USERS: "x"}) == names
    shorter = owner.replaced_record(owner.SERVICE_ACCOUNTS, record, ["web"])
    assert owner.recorded_names(owner.SERVICE_ACCOUNTS, {**record, **shorter}) == ["web"]
