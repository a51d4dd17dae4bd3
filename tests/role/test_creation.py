"""Creation with the behavior of the real AWS: reads that lag behind a write, and quotas."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from dev.apigate import ApiGate
from s3bucket.errors import ReconcileError
from s3bucket.observe import observe
from tests.support.objects import bucket_of, writes_in
from tests.support.world import NewObject, World, requests_of


def test_creation_of_a_simple_object_makes_few_requests(world: World, new_object: NewObject, tmp_path: Path) -> None:
    """To Kubernetes: three reads, and for Secret and Service a dry run and the write."""
    cr = new_object()
    with requests_of(world) as requests, ApiGate(world.kubeconfig, tmp_path) as gate:
        run = world.reconcile(cr, KUBECONFIG=str(gate.kubeconfig))
        of_kubernetes = Counter(item.action for item in gate.requests())
    assert run.outcome["done"], run.output
    assert world.differs(cr) == []
    # One of them is made with the new key.
    assert len(requests) <= 17, Counter(item["action"] for item in requests)
    assert of_kubernetes.total() <= 7, of_kubernetes


def test_stale_first_reads_after_a_creation_are_read_again(world: World, new_object: NewObject) -> None:
    cr = new_object()
    with world.aws.gate.marked("late-bucket", bucket_of(cr)), requests_of(world) as requests:
        run = world.reconcile(cr)
    assert run.outcome["done"], run.output
    reads = Counter(item["action"] for item in requests if item["bucket"] == bucket_of(cr) and item["status"] == 404)
    assert (reads["GetBucketTagging"], reads["GetBucketVersioning"]) == (2, 1), "they were stale"
    assert world.differs(cr) == []


def test_creation_that_s3_does_not_show_ends_as_pending_and_never_as_a_conflict(
    world: World, new_object: NewObject
) -> None:
    cr = new_object()
    with world.aws.gate.marked("unshown-bucket", bucket_of(cr)):
        outcome = world.reconcile(cr).outcome
        assert (outcome["reason"], outcome["retry"]) == ("Pending", "transient")
        # The reads of the next run lag as well, so it waits too.
        with pytest.raises(ReconcileError) as refused:
            observe(world.wanted(cr), world.sources())
        assert (refused.value.reason, refused.value.retry) == ("Pending", "transient")
    assert world.reconcile(cr).outcome["done"]


def test_bucket_that_only_the_first_read_did_not_show_is_no_conflict(world: World, new_object: NewObject) -> None:
    """In this region, creating one's own bucket again is an error."""
    cr = new_object(region="eu-west-1")
    tags = [{"Key": key, "Value": value} for key, value in world.wanted(cr).bucket_tags.items()]
    where = {"LocationConstraint": "eu-west-1", "Tags": tags}
    world.s3.create_bucket(Bucket=bucket_of(cr), CreateBucketConfiguration=where)
    with world.aws.gate.marked("late-bucket", bucket_of(cr)):
        run = world.reconcile(cr)
    assert run.outcome["done"], run.output


def test_users_quota_has_a_reason_of_its_own_and_no_bucket_is_created(world: World, new_object: NewObject) -> None:
    cr = new_object()
    with world.aws.gate.marked("used-quota", "UsersPerAccount"), requests_of(world) as requests:
        outcome = world.reconcile(cr).outcome
    assert (outcome["reason"], outcome["retry"]) == ("QuotaExceeded", "slow")
    assert "AWS quota UsersPerAccount is used up" in outcome["message"]
    assert writes_in(requests) == ["CreateUser"]
    found = world.snapshot(cr)
    assert (found["user"], found["bucket"], found["secret"]) == (None, None, None)


@pytest.mark.parametrize(
    ("quota", "named"),
    [
        ("BucketsPerAccount", "a quota of AWS"),
        ("UserPolicySizeQuota", "AWS quota UserPolicySizeQuota"),
        ("AccessKeysPerUser", ""),
    ],
)
def test_quota_is_named(world: World, new_object: NewObject, quota: str, named: str) -> None:
    cr = new_object()
    with world.aws.gate.marked("used-quota", quota):
        outcome = world.reconcile(cr).outcome
    assert (outcome["reason"], outcome["retry"]) == ("QuotaExceeded" if named else "TooManyKeys", "slow")
    assert named in outcome["message"]
