"""A bucket is deleted with the fewest requests, never one of another account, and never with locked versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.awsgate.calls import ACCOUNT
from dev.awsgate.client import OTHER_ACCOUNT
from tests.support.world import code_of  # also puts the core on the path

from s3bucket import bucket_deletion  # isort: skip
from s3bucket.emptying import Emptying  # isort: skip
from s3bucket.errors import ReconcileError  # isort: skip


@pytest.fixture
def bucket(s3: Any, new_name: Callable[[str], str]) -> str:
    name = new_name("deletion")
    s3.create_bucket(Bucket=name)
    return name


def delete(s3: Any, bucket: str, *, empties: bool = True, is_aws: bool = True, owner: str = ACCOUNT) -> bool:
    emptying = Emptying(s3, bucket, owner, lambda: False) if empties else None
    return bucket_deletion.delete(s3, bucket, owner, emptying, is_aws=is_aws)


def requests_in(gate: Any) -> list[str]:
    return [item["action"] for item in gate.requests()]


def test_empty_bucket_takes_two_requests(gate: Any, s3: Any, bucket: str) -> None:
    gate.clear_requests()
    assert delete(s3, bucket)
    assert requests_in(gate) == ["ListMultipartUploads", "DeleteBucket"]
    assert code_of(lambda: s3.head_bucket(Bucket=bucket)) == "404"


def test_bucket_that_is_not_to_be_emptied_takes_one_request(gate: Any, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="precious", Body=b"x")
    gate.clear_requests()
    with pytest.raises(ReconcileError) as refused:
        delete(s3, bucket, empties=False)
    assert (refused.value.reason, requests_in(gate)) == ("BucketNotEmpty", ["DeleteBucket"])
    s3.delete_object(Bucket=bucket, Key="precious")
    assert delete(s3, bucket, empties=False)


def test_contents_are_deleted_once_s3_refuses_the_deletion(gate: Any, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.create_multipart_upload(Bucket=bucket, Key="b")
    gate.clear_requests()
    assert delete(s3, bucket)
    found = requests_in(gate)
    assert found.index("AbortMultipartUpload") < found.index("DeleteBucket") < found.index("DeleteObjects")
    assert found[-1] == "DeleteBucket"


@pytest.mark.parametrize("is_aws", [True, False])
@pytest.mark.parametrize("keys", [(), ("a",)], ids=["empty", "with an object"])
@pytest.mark.parametrize("action", ["s3:DeleteBucket", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions"])
def test_policy_that_denies_the_deletion_is_replaced(
    s3: Any, bucket: str, action: str, keys: tuple[str, ...], is_aws: bool
) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    deny = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{bucket}"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    assert delete(s3, bucket, is_aws=is_aws)


def test_policy_that_denies_the_deletion_stays_where_the_bucket_is_not_to_be_emptied(s3: Any, bucket: str) -> None:
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket", "Resource": f"arn:aws:s3:::{bucket}"}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    with pytest.raises(ReconcileError) as refused:
        delete(s3, bucket, empties=False)
    assert refused.value.reason == "AccessDenied"
    assert json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"] == [deny]


@pytest.mark.parametrize("empties", [True, False])
def test_bucket_that_is_gone_is_no_change(s3: Any, bucket: str, empties: bool) -> None:
    s3.delete_bucket(Bucket=bucket)
    assert not delete(s3, bucket, empties=empties)


@pytest.mark.parametrize("empties", [True, False])
def test_bucket_of_another_account_is_left_alone(s3: Any, bucket: str, empties: bool) -> None:
    """Somebody else may have got the name since it was read."""
    with pytest.raises(ReconcileError) as refused:
        delete(s3, bucket, empties=empties, owner=OTHER_ACCOUNT)
    assert refused.value.reason == "AccessDenied"
    s3.head_bucket(Bucket=bucket)


def test_bucket_of_a_store_is_emptied_before_it_is_deleted(gate: Any, s3: Any, bucket: str) -> None:
    """SeaweedFS deletes a bucket with all that is in it."""
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    gate.clear_requests()
    assert delete(s3, bucket, is_aws=False)
    found = requests_in(gate)
    assert (found.count("DeleteBucket"), found[-1]) == (1, "DeleteBucket")


def test_locked_version_keeps_the_bucket(s3: Any, new_name: Callable[[str], str]) -> None:
    bucket, until = new_name("deletion"), datetime.now(UTC) + timedelta(days=1)
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    s3.put_object(Bucket=bucket, Key="locked", Body=b"x", **lock)
    with pytest.raises(ReconcileError) as refused:
        delete(s3, bucket)
    assert refused.value.reason == "ObjectLocked"
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


@pytest.mark.parametrize("action", ["ListMultipartUploads", "AbortMultipartUpload"])
def test_uploads_that_cannot_be_aborted_keep_the_bucket(gate: Any, s3: Any, bucket: str, action: str) -> None:
    s3.create_multipart_upload(Bucket=bucket, Key="b")
    gate.add_fault(action, "AccessDenied", status=403, bucket=bucket)
    with pytest.raises(ReconcileError) as refused:
        delete(s3, bucket)
    assert (refused.value.reason, "DeleteBucket" in requests_in(gate)) == ("AccessDenied", False)


def test_bucket_with_a_new_object_after_it_was_emptied_is_emptied_in_the_next_run(
    gate: Any, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    gate.add_fault("DeleteBucket", "BucketNotEmpty", status=409, times=2, bucket=bucket)
    with pytest.raises(ReconcileError) as refused:
        delete(s3, bucket)
    assert (refused.value.reason, refused.value.retry) == ("Emptying", "immediate")
    assert delete(s3, bucket)
