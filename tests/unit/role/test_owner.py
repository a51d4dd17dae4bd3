"""What owner tags prove."""

from __future__ import annotations

import re

import pytest
import yaml

from s3bucket import owner
from s3bucket.access import MAX_ADDITIONAL
from s3bucket.owner import Identity
from s3bucket.roles import MAX_SERVICE_ACCOUNTS
from s3bucket.spec import MAX_BUCKET_TAGS, MAX_OPERATOR_TAGS, MAX_TAGS
from tests.support.world import PROJECT

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
    assert len(owner.encode_tag_record([f"key-{n}" for n in range(MAX_TAGS)])) <= 256


# The operator's own tags that a bucket can have at once. INITIAL is only on a bucket that the operator created, which
# has no tags of an adoption.
OF_ADOPTED_BUCKET = {*ME.tags, owner.TAG_RECORD, owner.SETTINGS, owner.POLICY, owner.ADOPT, owner.ADOPTED}
OF_NEW_BUCKET = {*ME.tags, owner.TAG_RECORD, owner.SETTINGS, owner.POLICY, owner.INITIAL}
OF_RETAINED_BUCKET = {owner.ADOPT, owner.RETAINED_FROM}
OF_USER = {
    *ME.tags,
    owner.BUCKET,
    owner.ORIGIN,
    owner.POLICY,
    owner.KEY,
    owner.UNMANAGED_KEYS,
    owner.USERS,
    owner.SECRET,
    owner.OLD_KEY,
    owner.ROTATED,
    owner.USERS,
}
# The same names are never in both records: annotate and podIdentity exclude each other.
OF_ROLE = {*ME.tags, owner.BUCKET, owner.SERVICE_ACCOUNTS, owner.ASSOCIATIONS, owner.FORMER_CLUSTER}


def test_most_tags_fit_beside_the_operators_own_with_one_to_spare() -> None:
    """A new tag of the operator belongs into one of the sets above, and then leaves none to spare."""
    crd = yaml.safe_load((PROJECT / "crds" / "s3s.agill.apps.yaml").read_text())
    spec = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    own = [OF_ADOPTED_BUCKET, OF_NEW_BUCKET, OF_RETAINED_BUCKET]
    known = {value for value in vars(owner).values() if str(value).startswith(owner.PREFIX)} - {owner.PREFIX}
    assert set.union(*own, OF_USER, OF_ROLE) == known
    assert spec["tags"]["maxProperties"] + max(map(len, own)) + 1 == MAX_BUCKET_TAGS
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    most = [f"{number}{'x' * 63}" for number in range(MAX_ADDITIONAL)]
    assert MAX_OPERATOR_TAGS + len(OF_USER) + len(owner.users_record(most)) < 50
    longest = [f"{number}{'x' * 252}" for number in range(MAX_SERVICE_ACCOUNTS)]
    record = owner.names_record(owner.SERVICE_ACCOUNTS, longest)
    assert MAX_OPERATOR_TAGS + len(OF_ROLE) + len(record) < 50


@pytest.mark.parametrize("count", [0, 1, 3, 20], ids=str)
def test_record_of_users_has_all_of_them_in_tags_that_iam_admits(count: int) -> None:
    names = sorted(f"{number:02d}-{'x' * 40}+=,.@" for number in range(count))
    record = owner.users_record(names)
    assert owner.recorded_users({**record, "team": "a", owner.UID: "u"}) == names
    assert all(re.fullmatch(r"[\w .:/=+@-]{1,256}", text) for text in record.values())


def test_shorter_record_of_users_leaves_no_name_behind() -> None:
    before = owner.users_record([f"{number}{'x' * 63}" for number in range(MAX_ADDITIONAL)])
    assert owner.recorded_users({**before, **owner.replaced_users_record(before, ["bob"])}) == ["bob"]


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
