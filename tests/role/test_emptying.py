"""Emptying a bucket: objects that AWS refuses to delete do not stop the rest. They become one reason at the end."""

from __future__ import annotations

import itertools
import json
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.aws import Aws
from dev.awsgate.calls import ACCOUNT
from dev.awsgate.client import OTHER_ACCOUNT
from tests.support.world import code_of  # also puts the core on the path

from s3bucket.closing import Closing  # isort: skip
from s3bucket.emptying import Emptying  # isort: skip
from s3bucket.errors import AWS_ERRORS, ReconcileError, unknown  # isort: skip

# Any tenant can upload objects with these keys. XML 1.0 can represent only those in IN_XML.
NOT_IN_XML = ("\x01", "a/\x10\x1fb", "\ufffe", "\x0b + %41")
IN_XML = ("a", "a b+c%41&<>\"'", "tab\tnew\r\nline", "ordner/\u00e4\U0001f600", "\x7f\x85\u2028")


@pytest.fixture
def bucket(s3: Any, new_name: Callable[[str], str]) -> str:
    name = new_name("emptying")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def empty(s3: Any, bucket: str, is_over: Callable[[], bool] = lambda: False) -> tuple[int, str, str, str]:
    """The number of deleted objects, and the reason, retry and message of the error."""
    emptying = Emptying(s3, bucket, ACCOUNT, is_over)
    try:
        emptying.run()
    except ReconcileError as refusal:
        return emptying.deleted, refusal.reason, refusal.retry, refusal.message
    return emptying.deleted, "", "", ""


def left_in(s3: Any, bucket: str) -> list[str]:
    """The keys that still exist, including those of uploads."""
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
    # The marker of the second page is a key that XML cannot represent. A page has ten keys.
    keys = [f"upload/{number:03}" for number in range(9)]
    gate.fill_bucket(bucket, uploads=[*keys, f"{keys[-1]}\x01 +", f"{keys[-1]}\x02"])
    assert empty(s3, bucket) == (11, "", "", "")
    assert left_in(s3, bucket) == []


def test_thousands_of_versions_are_deleted_although_a_listing_skips_some(gate: Any, s3: Any, bucket: str) -> None:
    # The second page of this endpoint is empty when the last version of the first page was deleted (dev/awsgate).
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
    # Not a code that botocore retries, because the retries take seconds.
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


def write_policy(s3: Any, bucket: str, *statements: dict[str, Any]) -> None:
    arn = f"arn:aws:s3:::{bucket}"
    whole = [{"Effect": "Allow", "Principal": "*", "Action": "s3:*", "Resource": [arn, f"{arn}/*"], **item}
             for item in statements]  # fmt: skip
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": whole}))


class Writer(threading.Thread):
    """Writes objects as fast as it can, until AWS refuses one or the test ends."""

    def __init__(self, s3: Any, bucket: str) -> None:
        super().__init__(daemon=True)
        self._s3, self._bucket = s3, bucket
        self._is_ended = threading.Event()
        self.has_begun = threading.Event()
        self.refusal = ""

    def run(self) -> None:
        """Write objects."""
        for number in itertools.count():
            try:
                self._s3.put_object(Bucket=self._bucket, Key=f"written/{number}", Body=b"x")
            except ClientError as error:
                self.refusal = error.response["Error"]["Code"]
                return
            self.has_begun.set()
            if self._is_ended.is_set():
                return

    def end(self) -> None:
        """Wait for its last write."""
        self._is_ended.set()
        self.join()


@pytest.fixture(params=["let-in-by-the-policy", "of-the-account"])
def other(request: pytest.FixtureRequest, aws: Aws, s3: Any, bucket: str, new_name: Callable[[str], str]) -> Any:
    """A client of another user who may write into the bucket."""
    if request.param == "of-the-account":
        return aws.client("s3")
    key = aws.gate.make_user_elsewhere(new_name("writer"))
    write_policy(s3, bucket, {"Principal": {"AWS": OTHER_ACCOUNT}})
    return aws.client("s3", **key)


def test_bucket_that_another_writer_keeps_filling_becomes_empty(s3: Any, bucket: str, other: Any) -> None:
    checks = itertools.count()
    writer = Writer(other, bucket)
    writer.start()
    assert writer.has_begun.wait(30)
    found = empty(s3, bucket, lambda: next(checks) > 60)
    writer.end()
    assert (found[1], writer.refusal) == ("", "AccessDenied")
    # A write that AWS had already accepted may finish after the last listing. The next run deletes that object.
    assert empty(s3, bucket)[1] == ""
    s3.delete_bucket(Bucket=bucket)


def test_closed_bucket_accepts_no_object_by_any_way(aws: Aws, s3: Any, bucket: str, other: Any) -> None:
    put(s3, bucket, "a")
    upload = {
        "Bucket": bucket,
        "Key": "u",
        "UploadId": other.create_multipart_upload(Bucket=bucket, Key="u")["UploadId"],
    }
    part = other.upload_part(**upload, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    Closing(s3, bucket, ACCOUNT, f"arn:aws:s3:::{bucket}").run()
    ways: dict[str, Callable[[], Any]] = {
        "put": lambda: other.put_object(Bucket=bucket, Key="b", Body=b"x"),
        "begin": lambda: other.create_multipart_upload(Bucket=bucket, Key="v"),
        "part": lambda: other.upload_part(**upload, PartNumber=2, Body=b"x"),
        "complete": lambda: other.complete_multipart_upload(**upload, MultipartUpload=parts),
    }
    assert {name: code_of(way) for name, way in ways.items()} == dict.fromkeys(ways, "AccessDenied")
    assert left_in(s3, bucket) == ["a", "u"]
    assert empty(s3, bucket) == (2, "", "", "")
    s3.delete_bucket(Bucket=bucket)


def test_public_access_is_blocked_and_the_operator_can_do_everything_again(s3: Any, bucket: str) -> None:
    Closing(s3, bucket, ACCOUNT, f"arn:aws:s3:::{bucket}").run()
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    s3.delete_bucket_policy(Bucket=bucket)
    put(s3, bucket, "a")


def test_empty_bucket_is_not_changed(gate: Any, s3: Any, bucket: str) -> None:
    gate.clear_requests()
    assert empty(s3, bucket) == (0, "", "", "")
    assert gate.writes() == []


def test_bucket_whose_policy_cannot_be_written_is_closed_by_other_calls(gate: Any, s3: Any, bucket: str) -> None:
    put(s3, bucket, "a")
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    write_policy(s3, bucket, {}, {"Effect": "Deny", "Action": "s3:PutBucketPolicy"})
    emptying = Emptying(s3, bucket, ACCOUNT, lambda: False)
    emptying.run()
    assert emptying.writers == ""
    assert code_of(lambda: s3.get_bucket_policy(Bucket=bucket)) == "NoSuchBucketPolicy"
    assert [grant["Permission"] for grant in s3.get_bucket_acl(Bucket=bucket)["Grants"]] == ["FULL_CONTROL"]
    assert set(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values()) == {True}


def test_policy_that_denies_its_removal_is_named_and_does_not_keep_the_rest(gate: Any, s3: Any, bucket: str) -> None:
    put(s3, bucket, "a")
    write_policy(s3, bucket, {"Effect": "Deny", "Action": ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"]})
    emptying = Emptying(s3, bucket, ACCOUNT, lambda: False)
    emptying.run()
    assert "s3:PutBucketPolicy" in emptying.writers
    assert left_in(s3, bucket) == []
    put(s3, bucket, "a")
    assert "others may be writing into it" in empty(s3, bucket, lambda: True)[3]


def test_store_without_the_calls_that_close_a_bucket_is_emptied(gate: Any, s3: Any, bucket: str) -> None:
    put(s3, bucket, "a")
    for action in ("PutBucketPolicy", "DeleteBucketPolicy", "PutBucketAcl", "PutPublicAccessBlock"):
        gate.add_fault(action, "NotImplemented", status=400)
    emptying = Emptying(s3, bucket, ACCOUNT, lambda: False)
    emptying.run()
    assert (emptying.deleted, emptying.writers) == (1, "")
