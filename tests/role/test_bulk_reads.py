"""Checks that rely on what requests for many buckets returned: what that saves, and what it never hides."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from runner.drift import bucket_cache
from runner.drift.check import DriftCheck
from runner.kube.shard_leases import SHARDS, shard_of
from runner.objects import S3Object
from s3bucket import owner
from s3bucket.outcome import Outcome, Reason
from s3bucket.read import listed
from s3bucket.role_settings import RoleSettings
from tests.support.drift import set_as_operator
from tests.support.world import CLUSTER, PROJECT, NewObject, World

PERIOD_S = 300
SETTINGS = RoleSettings(cluster_name=CLUSTER, iam_settle_s=0)
SAVED = {"HeadBucket", "GetBucketTagging"}


class Checked:
    """An object with a bucket and nothing else, and its check. ``calls``: the requests of the last check."""

    def __init__(self, world: World, cr: dict[str, Any]) -> None:
        self.world = world
        self.cr = cr
        self.bucket = str(cr["spec"]["bucketName"])
        self.calls: list[str] = []
        self.now = 1000.0
        self.check = DriftCheck(
            PROJECT,
            SETTINGS,
            has_cluster=False,
            period_s=PERIOD_S,
            count_call=self.calls.append,
            clock=lambda: self.now,
        )
        self.create(world.wanted(cr).bucket_tags)

    def create(self, tags: dict[str, str], region: str = "us-east-1") -> None:
        client = self.world.aws.client("s3", region_name=region)
        place = {"LocationConstraint": region} if region != "us-east-1" else {}
        client.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={**place, "Tags": listed(tags)})

    def compare(self) -> Outcome:
        self.calls.clear()
        return self.check.compare(S3Object(self.cr))

    def retag(self, tags: dict[str, str]) -> None:
        self.world.s3.put_bucket_tagging(Bucket=self.bucket, Tagging={"TagSet": listed(tags)})

    @property
    def tags(self) -> dict[str, str]:
        return self.world.wanted(self.cr).bucket_tags


@pytest.fixture
def checked(world: World, new_object: NewObject, monkeypatch: pytest.MonkeyPatch) -> Checked:
    set_as_operator(world, monkeypatch)
    return Checked(world, new_object(iamUser=None, service={"enabled": False}, tags={"team": "photos"}))


@contextmanager
def denied(world: World, *actions: str) -> Iterator[None]:
    for action in actions:
        world.aws.gate.add_fault(action, "AccessDenied", status=403)
    try:
        yield
    finally:
        world.aws.gate.clear_faults()


def test_bucket_in_order_is_not_read_by_itself(checked: Checked) -> None:
    assert checked.compare().reason == Reason.READY
    assert "GetResources" in checked.calls
    checked.now += 10
    assert checked.compare().reason == Reason.READY
    assert not SAVED & {*checked.calls}
    assert len(checked.calls) == 5


def test_without_the_right_to_read_tags_of_many_the_list_saves_one_request(
    checked: Checked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bucket_cache, "_LIST_PRICE", 1)
    with denied(checked.world, "GetResources"), caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert checked.compare().reason == Reason.READY
            checked.now += 10
    assert SAVED & {*checked.calls} == {"GetBucketTagging"}
    assert not {"GetResources", "ListBuckets"} & {*checked.calls}
    assert [record.getMessage() for record in caplog.records] == ["buckets are read one by one"]


def test_without_both_rights_everything_is_as_with_requests_for_one_bucket(
    checked: Checked, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(bucket_cache, "_LIST_PRICE", 1)
    with denied(checked.world, "GetResources", "ListBuckets"), caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert checked.compare().reason == Reason.READY
            assert {*checked.calls} >= SAVED
    assert len(caplog.records) == 2


def test_changed_tags_are_found_within_one_sync_period(checked: Checked) -> None:
    assert checked.compare().reason == Reason.READY
    checked.retag({**checked.tags, "team": "music"})
    checked.now += PERIOD_S
    assert checked.compare().drift == ("tags",)


def test_object_that_was_written_is_not_compared_with_an_older_answer(checked: Checked) -> None:
    assert checked.compare().reason == Reason.READY
    checked.retag({**checked.tags, "team": "music"})
    assert checked.compare().reason == Reason.READY
    checked.check.forget(S3Object(checked.cr))
    assert checked.compare().drift == ("tags",)
    # The Tagging API may not show the change yet.
    checked.now += 50
    checked.check.forget(S3Object(checked.cr))
    checked.now += 55
    assert checked.compare().drift == ("tags",)
    assert {*checked.calls} >= SAVED


def test_object_of_a_shard_that_was_gained_is_not_compared_with_an_answer_from_before(checked: Checked) -> None:
    """Another replica may have written it meanwhile. The answers for other shards stay."""
    mine = shard_of(str(checked.cr["metadata"]["uid"]))
    assert checked.compare().reason == Reason.READY
    checked.retag({**checked.tags, "team": "music"})
    checked.check.begin_shard((mine + 1) % SHARDS)
    assert checked.compare().reason == Reason.READY
    checked.check.begin_shard(mine)
    assert checked.compare().drift == ("tags",)
    assert {*checked.calls} >= SAVED
    assert "GetResources" not in checked.calls


def test_users_are_read_again_once_for_all_shards_that_were_gained(
    world: World, new_object: NewObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_as_operator(world, monkeypatch)
    checked = Checked(world, new_object(service={"enabled": False}, tags={"team": "photos"}))
    name, read_all = str(checked.cr["spec"]["iamUser"]["username"]), "GetAccountAuthorizationDetails"
    world.iam.create_user(UserName=name)
    try:
        assert checked.compare().reason == Reason.CONFLICT
        assert read_all in checked.calls
        # As the replica that had the shard may have done.
        world.iam.tag_user(UserName=name, Tags=listed(world.wanted(checked.cr).identity.tags))
        for shard in range(SHARDS):
            checked.check.begin_shard(shard)
            checked.now += 0.5
            is_mine = shard >= shard_of(str(checked.cr["metadata"]["uid"]))
            assert (checked.compare().reason == Reason.CONFLICT) != is_mine
            assert read_all not in checked.calls
        checked.now += 10
        assert "access_key" in checked.compare().drift
        assert read_all in checked.calls
        assert "access_key" in checked.compare().drift
        assert read_all not in checked.calls
    finally:
        world.iam.delete_user(UserName=name)


def test_difference_that_only_the_tagging_api_shows_is_none(checked: Checked) -> None:
    checked.retag({**checked.tags, "team": "music"})
    with checked.world.aws.gate.marked("frozen-tags", checked.bucket):
        checked.retag(checked.tags)
        assert checked.compare().reason == Reason.READY
    assert SAVED & {*checked.calls} == {"GetBucketTagging"}


def test_bucket_that_the_tagging_api_does_not_show_is_read(checked: Checked) -> None:
    tags = checked.tags
    checked.retag({})
    with checked.world.aws.gate.marked("frozen-tags", checked.bucket):
        checked.retag(tags)
        assert checked.compare().reason == Reason.READY
    assert {*checked.calls} >= SAVED


@pytest.mark.parametrize("is_listed", [False, True], ids=["tags", "list"])
def test_bucket_that_another_account_made_anew_is_taken(
    checked: Checked, monkeypatch: pytest.MonkeyPatch, is_listed: bool
) -> None:
    monkeypatch.setattr(bucket_cache, "_LIST_PRICE", 1)
    with denied(checked.world, *(["GetResources"] if is_listed else [])):
        assert checked.compare().reason == Reason.READY
        tags = checked.tags
        checked.world.s3.delete_bucket(Bucket=checked.bucket)
        checked.world.aws.gate.make_bucket_elsewhere(checked.bucket, tags=tags)
        assert checked.compare().reason == Reason.BUCKET_NAME_TAKEN


@pytest.mark.parametrize("is_listed", [False, True], ids=["tags", "list"])
def test_bucket_that_was_deleted_is_missed_at_once(
    checked: Checked, monkeypatch: pytest.MonkeyPatch, is_listed: bool
) -> None:
    monkeypatch.setattr(bucket_cache, "_LIST_PRICE", 1)
    with denied(checked.world, *(["GetResources"] if is_listed else [])):
        assert checked.compare().reason == Reason.READY
        checked.world.s3.delete_bucket(Bucket=checked.bucket)
        assert checked.compare().drift == ("bucket",)


def test_bucket_made_anew_in_another_region_is_found_within_one_sync_period(checked: Checked) -> None:
    assert checked.compare().reason == Reason.READY
    checked.world.s3.delete_bucket(Bucket=checked.bucket)
    checked.create(checked.tags, "eu-west-1")
    checked.now += PERIOD_S
    assert checked.compare().reason == Reason.WRONG_REGION


def test_bucket_that_fails_is_read_by_itself_until_it_does_not(checked: Checked) -> None:
    assert checked.compare().reason == Reason.READY
    with denied(checked.world, "GetBucketAcl"):
        assert checked.compare().reason == Reason.ACCESS_DENIED
        assert checked.calls.count("GetBucketAcl") == 2
        assert checked.compare().reason == Reason.ACCESS_DENIED
        assert checked.calls.count("GetBucketAcl") == 1
    assert checked.compare().reason == Reason.READY
    assert checked.compare().reason == Reason.READY
    assert not SAVED & {*checked.calls}


def test_bucket_of_another_cluster_costs_no_further_request(checked: Checked) -> None:
    checked.retag({**checked.tags, owner.CLUSTER: "another"})
    assert checked.compare().reason == Reason.CONFLICT
    assert checked.compare().reason == Reason.CONFLICT
    assert checked.calls == ["HeadBucket", "GetBucketTagging"]


def test_deletion_and_plan_read_everything_themselves(checked: Checked) -> None:
    assert checked.compare().reason == Reason.READY
    checked.calls.clear()
    assert checked.check.plan(S3Object(checked.cr)).changes == ()
    assert {*checked.calls} >= SAVED
    checked.calls.clear()
    deleting = {**checked.cr, "metadata": {**checked.cr["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    assert checked.check.compare_deletion(S3Object(deleting)) is None
    # What was found without asking S3 itself is not enough to delete. Its region is not needed.
    assert "GetBucketTagging" in checked.calls
