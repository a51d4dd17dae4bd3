# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Deletes one bucket, with its contents where the spec asks for it. Whoever calls it has checked the ownership.

S3 deletes no bucket that has a version of an object (BucketNotEmpty). So on AWS the versions are listed only after that
answer. Uploads are always aborted before: S3 does not document what becomes of them. A store may delete a bucket with
everything in it, also with versions that are locked, as SeaweedFS does by default. So there a bucket is emptied first.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html
"""

from __future__ import annotations

from .capabilities import bucket_arguments
from .emptying import Emptying
from .errors import AWS_ERRORS, ReconcileError, code_of, reason_of, unknown
from .json_types import AwsClient
from .outcome import Reason


def delete(s3: AwsClient, name: str, owner: str, emptying: Emptying | None, *, is_aws: bool) -> bool:
    """Delete a bucket; return whether there was one.

    :param owner: the account that must own the bucket; empty for a store that compares none
    :param emptying: of this bucket; None for a bucket that is deleted only if it is empty
    :raises ReconcileError: BucketNotEmpty, Emptying, or another reason
    """
    try:
        try:
            _delete(s3, name, owner, emptying, is_aws=is_aws)
        except AWS_ERRORS as error:
            # The bucket's policy may deny it to everyone, and closing the bucket replaces that policy.
            if emptying is None or reason_of(code_of(error), str(error)) != Reason.ACCESS_DENIED:
                raise
            emptying.close()
            _delete(s3, name, owner, emptying, is_aws=is_aws)
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchBucket":
            return False
        raise _explain(unknown(f"delete bucket {name} (s3:DeleteBucket)", error), emptying) from error
    return True


def _delete(s3: AwsClient, name: str, owner: str, emptying: Emptying | None, *, is_aws: bool) -> None:
    if emptying is None:
        s3.delete_bucket(**bucket_arguments(name, owner))
    elif not (is_aws and emptying.abort_uploads() and _try_delete(s3, name, owner)):
        emptying.run()
        s3.delete_bucket(**bucket_arguments(name, owner))


def _try_delete(s3: AwsClient, name: str, owner: str) -> bool:
    """Whether the bucket is deleted now; False for one that is not empty."""
    try:
        s3.delete_bucket(**bucket_arguments(name, owner))
    except AWS_ERRORS as error:
        if code_of(error) != "BucketNotEmpty":
            raise
        return False
    return True


def _explain(refusal: ReconcileError, emptying: Emptying | None) -> ReconcileError:
    if refusal.reason != Reason.BUCKET_NOT_EMPTY or emptying is None:
        return refusal
    if emptying.writers:
        # The next run would not make progress.
        return ReconcileError(Reason.ACCESS_DENIED, f"{emptying.writers}: {refusal.message}")
    # Something was written in the meantime, or the listing was not current. The run made progress, so the next may,
    # too.
    return ReconcileError(Reason.EMPTYING, refusal.message) if emptying.deleted else refusal
