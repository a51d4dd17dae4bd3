"""Emptying a bucket: what AWS refuses to delete never stops the rest, and becomes one reason at the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.aws import Aws
from tests.awsgate.calls import ACCOUNT
from tests.world import ROLE  # noqa: F401 - puts the core on the path

from s3bucket.emptying import Emptying  # isort: skip
from s3bucket.errors import AWS_ERRORS, Refused, unknown  # isort: skip

# Any tenant can upload these; XML 1.0 carries the second half.
NOT_IN_XML = ("\x01", "a/\x10\x1fb", "\ufffe", "\x0b + %41")
IN_XML = ("a", "a b+c%41&<>\"'", "tab\tnew\r\nline", "ordner/\u00e4\U0001f600", "\x7f\x85\u2028")


@pytest.fixture
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture
def bucket(s3: Any, new_name: Callable[[str], str]) -> str:
    name = new_name("emptying")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def gate(aws: Aws) -> Iterator[Any]:
    aws.gate.clear_requests()
    yield aws.gate
    aws.gate.clear_faults()


def empty(s3: Any, bucket: str, is_over: Callable[[], bool] = lambda: False) -> tuple[int, str, str, str]:
    """How many were deleted, and the reason, retry and message of the refusal."""
    emptying = Emptying(s3, bucket, ACCOUNT, is_over)
    try:
        emptying.run()
    except Refused as refusal:
        return emptying.deleted, refusal.reason, refusal.retry, refusal.message
    return emptying.deleted, "", "", ""


def left_in(s3: Any, bucket: str) -> list[str]:
    """The keys that there still are, of uploads too."""
    page = s3.list_object_versions(Bucket=bucket)
    uploads = s3.list_multipart_uploads(Bucket=bucket, EncodingType="url").get("Uploads", [])
    return sorted(item["Key"] for item in [*page.get("Versions", []), *page.get("DeleteMarkers", []), *uploads])


def put(s3: Any, bucket: str, *keys: str) -> None:
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")


def deletions(gate: Any) -> Counter[str]:
    return Counter(item["action"] for item in gate.requests() if item["action"].startswith("Delete"))


def test_keys_that_xml_cannot_carry_are_deleted_one_by_one_and_the_rest_in_a_batch(
    gate: Any, s3: Any, bucket: str
) -> None:
    gate.fill_bucket(bucket, keys=[*NOT_IN_XML, *IN_XML], uploads=[*NOT_IN_XML, IN_XML[1]])
    for key in (NOT_IN_XML[0], IN_XML[1]):
        s3.delete_object(Bucket=bucket, Key=key)
    gate.clear_requests()
    assert empty(s3, bucket) == (16, "", "", "")
    assert deletions(gate) == {"DeleteObject": 5, "DeleteObjects": 1}
    s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("times", [1, None], ids=["once", "always"])
def test_batch_that_aws_calls_malformed_is_deleted_in_parts(gate: Any, s3: Any, bucket: str, times: int | None) -> None:
    gate.fill_bucket(bucket, keys=IN_XML[:2] + IN_XML[3:])
    gate.add_fault("DeleteObjects", "MalformedXML", times=times)
    assert empty(s3, bucket) == (4, "", "", "")
    assert left_in(s3, bucket) == []
    assert deletions(gate)["DeleteObject"] == (0 if times else 4)


def test_uploads_of_more_than_a_page_are_aborted(gate: Any, s3: Any, bucket: str) -> None:
    # The marker of the next page is such a key.
    # Ten a page.
    keys = [f"upload/{number:03}" for number in range(9)]
    gate.fill_bucket(bucket, uploads=[*keys, f"{keys[-1]}\x01 +", f"{keys[-1]}\x02"])
    assert empty(s3, bucket) == (11, "", "", "")
    assert left_in(s3, bucket) == []


def test_thousands_of_versions_are_deleted_although_a_listing_skips_some(gate: Any, s3: Any, bucket: str) -> None:
    # The endpoint's second page is empty where the first one's last version was deleted (tests/awsgate).
    gate.fill_bucket(bucket, versions=2500, markers=400)
    assert empty(s3, bucket) == (2900, "", "", "")
    s3.delete_bucket(Bucket=bucket)


def test_locked_versions_do_not_keep_the_rest(s3: Any, new_name: Callable[[str], str]) -> None:
    name, until = new_name("emptying"), datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    for key in ("b", "\x01"):
        s3.put_object(Bucket=name, Key=key, Body=b"x", **lock)
    put(s3, name, "a", "c", "\x02", "\x00")
    deleted, reason, retry, message = empty(s3, name)
    assert (deleted, reason, retry, left_in(s3, name)) == (4, "ObjectLocked", "slow", ["\x01", "b"])
    assert "2 object versions that are locked until " + until.strftime("%Y-%m-%dT%H:%M:%SZ") in message


@pytest.mark.parametrize(
    ("action", "code", "reason", "left"),
    [
        ("DeleteObject", "AccessDenied", "AccessDenied", ["\x01"]),
        ("DeleteObject", "InternalError", "AWSError", ["\x01"]),
        ("AbortMultipartUpload", "AccessDenied", "AccessDenied", ["u", "v"]),
        ("ListMultipartUploads", "AccessDenied", "AccessDenied", ["u", "v"]),
    ],
)
def test_what_is_refused_does_not_keep_the_rest(
    gate: Any, s3: Any, bucket: str, action: str, code: str, reason: str, left: list[str]
) -> None:
    put(s3, bucket, "a", "\x01", "b")
    for key in ("u", "v"):
        s3.create_multipart_upload(Bucket=bucket, Key=key)
    # Not one that botocore tries again: those that it does take seconds.
    gate.add_fault(action, code, status=403)
    try:
        found = empty(s3, bucket)[1]
    except AWS_ERRORS as error:
        found = error.response["Error"]["Code"]
    gate.clear_faults()
    assert (found, left_in(s3, bucket)) == (reason, left)


def test_mfa_delete_names_who_can_delete_and_uploads_are_aborted(gate: Any, s3: Any, bucket: str) -> None:
    put(s3, bucket, "a", "b", "\x01")
    s3.create_multipart_upload(Bucket=bucket, Key="u")
    with gate.marked("mfa-delete", bucket):
        try:
            found = empty(s3, bucket)[1:]
        except AWS_ERRORS as error:
            refusal = unknown("empty the bucket", error)
            found = refusal.reason, refusal.retry, refusal.message
        assert found[:2] == ("MFARequired", "slow")
        assert "root user, with the MFA device" in found[2]
        assert left_in(s3, bucket) == ["\x01", "a", "b"]


def test_mfa_delete_of_single_keys_has_the_same_reason(gate: Any, s3: Any, bucket: str) -> None:
    put(s3, bucket, "\x01")
    with gate.marked("mfa-delete", bucket):
        reason, retry, message = empty(s3, bucket)[1:]
    assert (reason, retry) == ("MFARequired", "slow")
    assert "1 object versions" in message
    assert "root user, with the MFA device" in message


def test_version_that_somebody_else_deleted_is_no_refusal(gate: Any, s3: Any, bucket: str) -> None:
    put(s3, bucket, "\x01")
    gate.add_fault("DeleteObject", "NoSuchVersion", status=404, times=1)
    assert empty(s3, bucket) == (0, "", "", "")


def test_time_that_is_over_after_progress_asks_for_the_next_run_at_once(gate: Any, s3: Any, bucket: str) -> None:
    gate.fill_bucket(bucket, versions=1001)
    deleted, reason, retry, message = empty(s3, bucket, lambda: True)
    assert (deleted, reason, retry) == (1000, "Emptying", "immediate")
    assert "1000 versions and uploads deleted" in message


@pytest.mark.parametrize(("code", "reason"), [("NoSuchVersion", "Pending"), ("AccessDenied", "AccessDenied")])
def test_time_that_is_over_without_progress_asks_for_a_later_run(
    gate: Any, s3: Any, bucket: str, code: str, reason: str
) -> None:
    put(s3, bucket, "\x01")
    gate.add_fault("DeleteObject", code, status=403)
    assert empty(s3, bucket, lambda: True)[:3] == (0, reason, "transient")


def test_listing_that_keeps_showing_deleted_versions_is_not_progress(gate: Any, s3: Any, bucket: str) -> None:
    put(s3, bucket, "a")
    gate.add_fault("DeleteObjects", body="<DeleteResult/>")
    assert empty(s3, bucket)[1:3] == ("Pending", "transient")


def test_throttled_deletion_stops(gate: Any, s3: Any, bucket: str) -> None:
    put(s3, bucket, "\x01", "\x02")
    gate.add_fault("DeleteObject", "TooManyRequests", status=400)
    with pytest.raises(AWS_ERRORS):
        empty(s3, bucket)
    assert deletions(gate)["DeleteObject"] <= 5
