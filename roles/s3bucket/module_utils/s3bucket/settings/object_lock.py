# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Object lock: ``enableObjectLock``. AWS cannot disable it.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-configure.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_types import ApiObject
from ..setting import Call, Comparison, Operation, Read, Setting, Value
from ..state import UNSUPPORTED
from ..values import flag_of
from .versioning import SETTING as VERSIONING

if TYPE_CHECKING:
    from ..spec import Wanted

GET = Operation("get_object_lock_configuration", "s3:GetBucketObjectLockConfiguration")
PUT = Operation("put_object_lock_configuration", "s3:PutBucketObjectLockConfiguration")
UNSET_CODES = ("ObjectLockConfigurationNotFoundError",)
# Every document must have it, or AWS returns MalformedXML.
ENABLED = {"ObjectLockEnabled": "Enabled"}


def has_versions(found: ApiObject) -> bool:
    """Whether the bucket may have object lock: a bucket that has it always has versioning enabled.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html
    """
    # Versioning that is not managed is not read.
    return found.get(VERSIONING.name, UNSUPPORTED) in ("Enabled", UNSUPPORTED)


class ObjectLock(Setting):
    """A bucket that has object lock keeps it, whatever the spec has."""

    name = "object_lock"
    field = "enableObjectLock"
    order = 50
    default = False
    new_bucket = False
    # Versioning may have been enabled just before.
    lag_texts = ("InvalidBucketState",)
    read = Read(
        GET,
        lambda answer: answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") == "Enabled",
        UNSET_CODES,
        unset=False,
        is_needed=has_versions,
    )
    # CreateBucket requires it: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html (Permissions)
    writes = (PUT,)

    @property
    def may_be_unmanaged(self) -> bool:
        """False: without the field nothing is written."""
        return False

    def parse(self, value: object) -> bool:
        return flag_of(value, f"spec.{self.field}")

    def is_unmanaged(self, wanted: Wanted, fields: frozenset[str]) -> bool:
        # Without the field, only the comparison of versioning depends on it.
        return VERSIONING.field in fields and not wanted.object_lock

    def of_new_bucket(self, wanted: Wanted) -> bool:
        return wanted.object_lock

    def target(self, case: Comparison) -> bool:
        return case.wanted.object_lock or case.found[self.name] is True

    def calls(self, value: Value) -> list[Call]:
        return [Call(PUT, {"ObjectLockConfiguration": ENABLED})]


SETTING = ObjectLock()
