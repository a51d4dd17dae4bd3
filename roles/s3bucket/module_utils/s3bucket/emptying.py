# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Deletes everything in one bucket, within the time limit of a run.

An item that AWS refuses to delete never stops the rest: such items are counted, and become one reason at the end.
Before the first deletion the bucket is closed to writers (closing.py); an empty bucket needs no such call. Nothing here
bypasses governance retention. Memory is limited by the size of a page, whatever a bucket holds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any
from urllib.parse import unquote_plus

from .capabilities import bucket_arguments
from .closing import STOPPING, Closing
from .errors import AWS_ERRORS, ReconcileError, code_of, reason_of, with_remedy
from .json_types import AwsClient
from .outcome import Reason

# A character that XML 1.0 cannot represent, not even as a reference. So DeleteObjects cannot name the key:
# https://www.w3.org/TR/xml/#charsets, https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html,
# https://github.com/boto/boto3/issues/2005
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ABSENT = ("NoSuchKey", "NoSuchVersion", "NoSuchUpload")
# Of several reasons, the one that takes the longest to end decides when to try again.
_ORDER = {Reason.OBJECT_LOCKED: 0, Reason.MFA_REQUIRED: 1, Reason.ACCESS_DENIED: 2}
_LOCKED_SHOWN = 100
# How many deleted items are remembered, to notice a listing that keeps showing them.
_REMEMBERED = 1000

Item = dict[str, str]


class Left:
    """The items that AWS refused to delete in one pass: the number by error code, and some of the items.

    :param what: for messages, in the plural
    :param right: the IAM action that allows their deletion
    """

    def __init__(self, what: str, right: str) -> None:
        self.what = what
        self.right = right
        # The number by reason and error code.
        self.codes: Counter[tuple[Reason, str]] = Counter()
        # AWS returns AccessDenied both for a locked version and for one that the operator may not delete.
        self.denied: list[Item] = []
        self.is_lock_named = False

    def add(self, item: Item, code: str, message: str) -> None:
        """Count an item that was not deleted."""
        reason = reason_of(code, message)
        self.codes[reason, code] += 1
        if reason == Reason.ACCESS_DENIED and len(self.denied) < _LOCKED_SHOWN:
            self.denied.append(item)
        self.is_lock_named |= "object lock" in message.lower()

    def refusal(self, bucket: str, locked_until: Callable[[Item], str]) -> ReconcileError | None:
        """Why the bucket cannot become empty; None when nothing is left.

        :param locked_until: the date until which an item is locked, or an empty string
        """
        if not self.codes:
            return None
        dates = [date for item in self.denied if (date := locked_until(item))]
        if dates or self.is_lock_named:
            until = f"until {max(dates)}" if dates else "by a legal hold or to a date that AWS does not return"
            return self._refused(Reason.OBJECT_LOCKED, bucket, f"are locked {until}")
        if self.denied:
            return self._refused(Reason.ACCESS_DENIED, bucket, f"AWS does not let the operator delete ({self.right})")
        reason, code = self.codes.most_common(1)[0][0]
        return self._refused(reason, bucket, with_remedy(reason, f"AWS did not delete ({code})"))

    def _refused(self, reason: Reason, bucket: str, why: str) -> ReconcileError:
        return ReconcileError(reason, f"bucket {bucket} has {self.codes.total()} {self.what} that {why}")


class Emptying:
    """Empties one bucket, page by page.

    :param is_over: whether the time limit of this run is reached
    :param partition: of the bucket's ARN
    :ivar deleted: the number of deleted versions, delete markers and uploads
    :ivar writers: why others may still write into the bucket; empty when no reason is known
    """

    def __init__(
        self, s3: AwsClient, name: str, owner: str, is_over: Callable[[], bool], partition: str = "aws"
    ) -> None:
        self._s3 = s3
        self._name = name
        self._of = bucket_arguments(name, owner)
        self._is_over = is_over
        self._closing: Closing | None = Closing(s3, name, owner, f"arn:{partition}:s3:::{name}")
        self.deleted = 0
        self.writers = ""
        self._left: dict[str, Left] = {}
        self._now: set[tuple[str, ...]] = set()

    def run(self) -> None:
        """Delete everything in the bucket.

        :raises ReconcileError: Emptying when time ran out and something was deleted; Pending when nothing was;
            ObjectLocked, AccessDenied or another reason when AWS refuses to delete all that is left
        :raises botocore.exceptions.ClientError: when AWS refuses the request itself, not single objects
        """
        try:
            self._repeat(self._abort_uploads)
        except AWS_ERRORS:
            # When uploads cannot be listed, the versions are still deleted.
            self._repeat(self._delete_versions)
            raise
        self._repeat(self._delete_versions)
        refusal = self._refusal()
        if refusal:
            raise refusal

    def abort_uploads(self) -> bool:
        """Abort the multipart uploads; return whether none is left. Otherwise :meth:`run` raises why.

        :raises ReconcileError: as :meth:`run`, when time ran out
        """
        try:
            self._repeat(self._abort_uploads)
        except AWS_ERRORS:
            return False
        return not self._left["uploads"].codes

    def close(self) -> None:
        """Close the bucket to writers, once a run."""
        if self._closing is None:
            return
        closing, self._closing = self._closing, None
        closing.run()
        self.writers = closing.problem

    def _repeat(self, delete_listed: Callable[[], None]) -> None:
        """List and delete until a listing shows nothing that can be deleted.

        A page may start after the last deleted item, and so skip items that are left. Only a new listing shows all.
        """
        seen: set[tuple[str, ...]] = set()
        while True:
            before, self._now = self.deleted, set()
            delete_listed()
            if self.deleted == before:
                return
            if self._now == seen:
                raise ReconcileError(
                    Reason.PENDING, f"emptying bucket {self._name}: it still lists versions that were deleted"
                )
            seen = self._now

    def _abort_uploads(self) -> None:
        left = self._left["uploads"] = Left("multipart uploads", "s3:AbortMultipartUpload")
        for page in self._pages_of_uploads():
            for upload in page:
                self.close()
                self._try(self._s3.abort_multipart_upload, upload, left)
                self._check_time()

    def _pages_of_uploads(self) -> Iterator[list[Item]]:
        # Without botocore's paginator: botocore does not decode this listing, and the paginator would send the marker
        # as it came.
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html (encoding-type)
        marker: dict[str, str] = {}
        while True:
            page = self._s3.list_multipart_uploads(**self._of, EncodingType="url", **marker)
            decode = unquote_plus if page.get("EncodingType") == "url" else str
            yield [{"Key": decode(item["Key"]), "UploadId": item["UploadId"]} for item in page.get("Uploads", [])]
            if not page.get("IsTruncated"):
                return
            marker = {"KeyMarker": decode(page["NextKeyMarker"]), "UploadIdMarker": page["NextUploadIdMarker"]}

    def _delete_versions(self) -> None:
        left = self._left["versions"] = Left("object versions", "s3:DeleteObjectVersion")
        # For this listing botocore asks for URL-encoded keys, and decodes them.
        for page in self._s3.get_paginator("list_object_versions").paginate(**self._of):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            # The version id "null" must be sent. Without it S3 adds a delete marker instead of deleting the version.
            items = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
            if items:
                self.close()
            self._delete([item for item in items if not _NOT_IN_XML.search(item["Key"])], left)
            for item in items:
                if _NOT_IN_XML.search(item["Key"]):
                    self._try(self._s3.delete_object, item, left)
                    self._check_time()
            self._check_time()

    def _delete(self, items: list[Item], left: Left) -> None:
        """Delete a batch. One that AWS cannot parse is halved until the keys that cause it are deleted one by one."""
        if not items:
            return
        try:
            answer = self._s3.delete_objects(**self._of, Delete={"Objects": items, "Quiet": True})
        except AWS_ERRORS as error:
            if code_of(error) != "MalformedXML":
                raise
            self._delete_in_parts(items, left)
            return
        failed = {(one["Key"], one.get("VersionId", "null")): one for one in answer.get("Errors", [])}
        for (key, version), one in failed.items():
            self._count({"Key": key, "VersionId": version}, left, one.get("Code", "unknown"), one.get("Message", ""))
        self.deleted += len(items) - len(failed)
        self._remember(item for item in items if tuple(item.values()) not in failed)

    def _delete_in_parts(self, items: list[Item], left: Left) -> None:
        if len(items) == 1:
            self._try(self._s3.delete_object, items[0], left)
            return
        for half in (items[: len(items) // 2], items[len(items) // 2 :]):
            self._delete(half, left)
            self._check_time()

    def _try(self, delete: Callable[..., Any], item: Item, left: Left) -> None:
        """Delete one item by itself."""
        code = message = ""
        try:
            delete(**self._of, **item)
        except AWS_ERRORS as error:
            code, message = code_of(error), str(error)
            if not code or code == "NoSuchBucket" or reason_of(code, message) in STOPPING:
                raise
        self._count(item, left, code, message)

    def _count(self, item: Item, left: Left, code: str, message: str) -> None:
        if code in _ABSENT:
            # Deleted by someone else: it is not counted as progress, and not as left.
            return
        if code:
            left.add(item, code, message)
            return
        self.deleted += 1
        self._remember([item])

    def _remember(self, items: Iterable[Item]) -> None:
        self._now.update(tuple(item.values()) for item in islice(items, _REMEMBERED - len(self._now)))

    def _check_time(self) -> None:
        if not self._is_over():
            return
        message = f"emptying bucket {self._name}: {self.deleted} versions and uploads deleted in this run"
        if self.writers:
            message += f"; {self.writers}"
        if self.deleted:
            raise ReconcileError(Reason.EMPTYING, message)
        raise self._refusal() or ReconcileError(Reason.PENDING, message)

    def _refusal(self) -> ReconcileError | None:
        found = [refusal for left in self._left.values() if (refusal := left.refusal(self._name, self._locked_until))]
        if not found:
            return None
        slowest = min(found, key=lambda refusal: _ORDER.get(refusal.reason, len(_ORDER)))
        return ReconcileError(slowest.reason, "; ".join(refusal.message for refusal in found))

    def _locked_until(self, item: Item) -> str:
        if "VersionId" not in item:
            return ""
        # Not HeadObject, which returns it too, because that needs the right to read the object.
        try:
            answer = self._s3.get_object_retention(**self._of, **item)
        except AWS_ERRORS:
            # No retention, or no right to read it: the message is then a general one.
            return ""
        date = answer.get("Retention", {}).get("RetainUntilDate")
        return date.strftime("%Y-%m-%dT%H:%M:%SZ") if date else ""
