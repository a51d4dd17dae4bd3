# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Object lock: ``enableObjectLock``. Only the creation of the bucket sets it."""

from __future__ import annotations

from ..json_types import ApiObject
from ..setting import Comparison, Operation, Read, Setting
from ..state import UNSUPPORTED
from ..values import flag_of


def _has_versions(found: ApiObject) -> bool:
    # A bucket with object lock always has versioning enabled. Without versioning, the request is not needed.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
    return found["versioning"] in ("Enabled", UNSUPPORTED)


class ObjectLock(Setting):
    """A bucket that has object lock keeps it, whatever the spec has."""

    name = "object_lock"
    field = "enableObjectLock"
    order = 50
    default = False
    new_bucket = False
    creation_only = "the bucket exists without object lock, which is set at creation only"
    read = Read(
        Operation("get_object_lock_configuration", "s3:GetBucketObjectLockConfiguration"),
        lambda answer: answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled",
        ("ObjectLockConfigurationNotFoundError",),
        unset=False,
        is_needed=_has_versions,
    )
    # CreateBucket requires it: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html (Permissions)
    writes = (Operation("put_object_lock_configuration", "s3:PutBucketObjectLockConfiguration"),)

    def parse(self, value: object) -> bool:
        return flag_of(value, f"spec.{self.field}")

    def target(self, case: Comparison) -> bool:
        return case.wanted.object_lock or case.found[self.name] is True


SETTING = ObjectLock()
