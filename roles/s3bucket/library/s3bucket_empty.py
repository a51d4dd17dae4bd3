#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_empty
short_description: Delete everything in a bucket, for as long as a run may take
description:
  - Deletes multipart uploads, object versions, C(null) versions and delete markers, a thousand at a time.
  - Stops after C(time_s) seconds with reason Pending; the next run goes on where it stopped.
  - Never bypasses governance retention. A bucket with nothing left to delete but locked versions fails
    with reason ObjectLocked and the latest date.
  - C(amazon.aws.s3_bucket) with C(force) leaves out the version id C(null) and so never ends on a bucket
    that had objects before its versioning.
author: s3-operator contributors
options:
  name:
    description: The bucket.
    type: str
    required: true
  account:
    description: The account that the bucket must be in.
    type: str
    required: true
  time_s:
    description: For how many seconds to go on.
    type: int
    default: 300
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Empty the bucket
  s3bucket_empty:
    name: my-bucket
    account: "123456789012"
"""

RETURN = r"""
deleted:
  description: How many versions, delete markers and uploads were deleted.
  type: int
  returned: success
"""

import time
from collections.abc import Callable
from typing import Any

from ansible.module_utils.s3bucket.errors import AWS_ERRORS, Refused, code_of
from ansible.module_utils.s3bucket.module import refuse, refuse_aws
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

_LOCKED_SHOWN = 100


def main() -> None:
    module = AnsibleAWSModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "account": {"type": "str", "required": True},
            "time_s": {"type": "int", "default": 300},
        },
        supports_check_mode=True,
    )
    if module.check_mode:
        module.exit_json(changed=True, deleted=0)
    deadline = time.monotonic() + module.params["time_s"]
    emptying = Emptying(
        module.client("s3"), module.params["name"], module.params["account"], lambda: time.monotonic() > deadline
    )
    try:
        emptying.run()
    except Refused as refusal:
        refuse(module, refusal)
    except AWS_ERRORS as error:
        if code_of(error) != "NoSuchBucket":
            refuse_aws(module, f"empty bucket {module.params['name']}", error)
    module.exit_json(changed=emptying.deleted > 0, deleted=emptying.deleted)


class Emptying:
    """Empties one bucket, page by page."""

    def __init__(self, s3: Any, name: str, account: str, is_over: Callable[[], bool]) -> None:
        self._s3 = s3
        self._of = {"Bucket": name, "ExpectedBucketOwner": account}
        self._is_over = is_over
        self.deleted = 0
        # AWS says AccessDenied for a locked version and for one that we may not delete.
        self._kept: list[dict[str, str]] = []
        self._is_lock_named = False

    def run(self) -> None:
        """Delete all there is.

        :raises Refused: Pending when time is over, ObjectLocked when only locked versions are left, AccessDenied
            when versions are left that are not known to be locked
        """
        self._abort_uploads()
        for page in self._s3.get_paginator("list_object_versions").paginate(**self._of):
            found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
            # The id "null" must be sent: without it S3 adds a delete marker instead of deleting.
            self._delete([{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found])
            self._check_time()
        if self._kept:
            raise self._refusal()

    def _abort_uploads(self) -> None:
        for page in self._s3.get_paginator("list_multipart_uploads").paginate(**self._of):
            for upload in page.get("Uploads", []):
                self._abort(upload)
                self._check_time()

    def _abort(self, upload: dict[str, Any]) -> None:
        try:
            self._s3.abort_multipart_upload(**self._of, Key=upload["Key"], UploadId=upload["UploadId"])
        except AWS_ERRORS as error:
            if code_of(error) != "NoSuchUpload":
                raise
        self.deleted += 1

    def _delete(self, items: list[dict[str, str]]) -> None:
        if not items:
            return
        answer = self._s3.delete_objects(**self._of, Delete={"Objects": items, "Quiet": True})
        failed = answer.get("Errors", [])
        self.deleted += len(items) - len(failed)
        for error in failed:
            if error.get("Code") != "AccessDenied":
                raise Refused(
                    "AWSError", f"failed to delete an object of bucket {self._of['Bucket']}: {error.get('Code')}"
                )
            self._kept.append({"Key": error["Key"], "VersionId": error.get("VersionId", "null")})
            self._is_lock_named |= "object lock" in error.get("Message", "").lower()

    def _check_time(self) -> None:
        if self._is_over():
            raise Refused(
                "Pending", f"emptying bucket {self._of['Bucket']}: {self.deleted} versions deleted in this run"
            )

    def _refusal(self) -> Refused:
        dates = [date for item in self._kept[:_LOCKED_SHOWN] if (date := self._locked_until(item))]
        has = f"bucket {self._of['Bucket']} has {len(self._kept)} object versions that"
        if dates:
            return Refused("ObjectLocked", f"{has} are locked until {max(dates)}")
        if self._is_lock_named:
            return Refused("ObjectLocked", f"{has} are locked, by a legal hold or to a date that AWS does not tell")
        return Refused("AccessDenied", f"{has} AWS does not let the operator delete (s3:DeleteObjectVersion)")

    def _locked_until(self, item: dict[str, str]) -> str:
        # Not HeadObject, which tells it too: that needs the right to read the object.
        try:
            answer = self._s3.get_object_retention(**self._of, **item)
        except AWS_ERRORS:
            # None, or no right to see it: the message then says so in general.
            return ""
        date = answer.get("Retention", {}).get("RetainUntilDate")
        return date.strftime("%Y-%m-%dT%H:%M:%SZ") if date else ""


if __name__ == "__main__":
    main()
