"""EKS Pod Identity associations: what is the object's own, and what is left alone."""

from __future__ import annotations

import pytest

from s3bucket.associations import Association, compare
from s3bucket.owner import Identity

ARN, OTHER = "arn:aws:iam::111122223333:role/photos", "arn:aws:iam::111122223333:role/other"
ME = Identity("prod", "team", "photos", "1")
OWN, OF_OBJECT = ME.tags, Identity("prod", "team", "videos", "2").tags
# The role and the tags of the association of a ServiceAccount that the spec names, and what becomes of it.
WANTED: dict[str, tuple[str, dict[str, str], str]] = {
    "own": (ARN, OWN, "same"),
    "own-with-another-role": (OTHER, OWN, "replaced"),
    "own-of-an-earlier-object-of-the-name": (ARN, {**OWN, "agill.apps/uid": "0"}, "same"),
    "with-the-same-role-made-by-a-person": (ARN, {}, "conflict"),
    "with-another-role-made-by-a-person": (OTHER, {"team": "a"}, "conflict"),
    "of-another-object": (ARN, OF_OBJECT, "conflict"),
    "of-another-cluster": (ARN, {**OWN, "agill.apps/cluster": "test"}, "conflict"),
}


@pytest.mark.parametrize(("arn", "tags", "becomes"), WANTED.values(), ids=WANTED)
def test_association_of_others_is_never_replaced(arn: str, tags: dict[str, str], becomes: str) -> None:
    item = Association("a-1", "web", arn, tags)
    found = compare(("new", "web"), [item], ARN, ME)
    is_replaced = becomes == "replaced"
    assert found.created == (("new", "web") if is_replaced else ("new",))
    assert found.deleted == ((item,) if is_replaced else ())
    assert len(found.conflicts) == (becomes == "conflict")
    assert all("association a-1 of ServiceAccount web" in text for text in found.conflicts)


@pytest.mark.parametrize(("tags", "is_deleted"), [(OWN, True), ({}, False), (OF_OBJECT, False)])
def test_only_an_own_association_of_a_former_service_account_is_deleted(tags: dict[str, str], is_deleted: bool) -> None:
    item = Association("a-1", "former", ARN, tags)
    found = compare((), [item], ARN, ME)
    assert (found.created, found.deleted, found.conflicts) == ((), (item,) if is_deleted else (), ())


def test_conflict_names_the_object_that_has_the_association() -> None:
    (words,) = compare(("web",), [Association("a-1", "web", ARN, OF_OBJECT)], ARN, ME).conflicts
    assert words == "EKS Pod Identity association a-1 of ServiceAccount web belongs to S3 object prod/team/videos"
