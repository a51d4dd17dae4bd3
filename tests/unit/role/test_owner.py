"""What owner tags prove."""

from __future__ import annotations

import pytest

from s3bucket import owner
from s3bucket.owner import Identity

ME = Identity("cluster", "team", "photos", "u2")


@pytest.mark.parametrize(
    ("tags", "is_owner", "is_same_object"),
    [
        pytest.param(ME.tags, True, True, id="owned"),
        pytest.param({**ME.tags, owner.UID: "u1"}, True, False, id="predecessor"),
        pytest.param({**ME.tags, owner.UID: ""}, True, True, id="made-from-a-file"),
        pytest.param({**ME.tags, owner.NAME: "other"}, False, False, id="other-object"),
        pytest.param({**ME.tags, owner.CLUSTER: "other"}, False, False, id="other-cluster"),
        pytest.param({k: v for k, v in ME.tags.items() if k != owner.NAMESPACE}, False, False, id="incomplete"),
        pytest.param({}, False, False, id="none"),
    ],
)
def test_identity_of_tags(tags: dict[str, str], is_owner: bool, is_same_object: bool) -> None:
    assert (ME.is_owner(tags), ME.is_same_object(tags)) == (is_owner, is_same_object)


def test_stale_tags_are_recorded_ones_only() -> None:
    tags = {"team": "a", "cost": "1", "unmanaged": "x", owner.TAG_RECORD: owner.encode_tag_record(["team", "cost"])}
    assert owner.stale_tags(tags, {"cost": "1"}) == ["team"]


def test_record_of_the_most_tags_fits_a_tag_value() -> None:
    assert len(owner.encode_tag_record([f"key-{n}" for n in range(42)])) <= 256


def test_without_owner_tags_keeps_other_tags_and_consent() -> None:
    tags = {**ME.tags, owner.ADOPT: "c/n/x", owner.ADOPTED: "true", "team": "a"}
    assert owner.without_owner_tags(tags) == {owner.ADOPT: "c/n/x", "team": "a"}


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        pytest.param({**ME.tags, owner.CLUSTER: "old"}, "start this one with --cluster-name=old", id="other-cluster"),
        pytest.param({**ME.tags, owner.CLUSTER: "old", owner.UID: "u1"}, "--cluster-name=old", id="rebuilt-cluster"),
        pytest.param({**ME.tags, owner.UID: "u1"}, "a second cluster with the cluster name cluster", id="other-uid"),
        pytest.param(ME.tags, "", id="owned"),
        pytest.param({**ME.tags, owner.UID: ""}, "", id="made-from-a-file"),
        pytest.param({**ME.tags, owner.CLUSTER: "old", owner.NAME: "x"}, "", id="other-object"),
        pytest.param({}, "", id="none"),
    ],
)
def test_hint_names_the_setting_where_only_cluster_or_uid_differ(tags: dict[str, str], text: str) -> None:
    assert text in ME.cluster_hint(tags)
    assert bool(ME.cluster_hint(tags)) is bool(text)
