# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Object ownership. It follows from ``bucketACL``: an ACL other than private needs an ownership that honors ACLs.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_types import ApiObject, Json
from ..setting import Call, Comparison, Operation, Read, Setting, Value
from .acl import PUBLIC_ACLS

if TYPE_CHECKING:
    from ..spec import Wanted

_PUT = Operation("put_bucket_ownership_controls", "s3:PutBucketOwnershipControls")
_WITHOUT_ACLS = "BucketOwnerEnforced"
_WITH_ACLS = "BucketOwnerPreferred"


def _take(answer: ApiObject) -> str | None:
    rules = answer.get("OwnershipControls", {}).get("Rules", [])
    return rules[0].get("ObjectOwnership") if rules else None


class Ownership(Setting):
    """Changed only where the current value does not allow the ACL."""

    name = "ownership"
    field = "bucketACL"
    order = 10
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    new_bucket = _WITHOUT_ACLS
    is_in_status = False
    read = Read(
        Operation("get_bucket_ownership_controls", "s3:GetBucketOwnershipControls"),
        _take,
        ("OwnershipControlsNotFoundError",),
    )
    writes = (_PUT,)

    def parse(self, value: object) -> None:
        """The field belongs to the ACL. The wanted value follows from it, and from the bucket's current value."""

    def is_asked(self, wanted: Wanted) -> bool:
        return wanted.settings["acl"] in PUBLIC_ACLS

    def target(self, case: Comparison) -> Value:
        found = case.found[self.name]
        return _WITH_ACLS if self.is_asked(case.wanted) and found == _WITHOUT_ACLS else found

    def calls(self, value: Value) -> list[Call]:
        return [Call(_PUT, {"OwnershipControls": {"Rules": [{"ObjectOwnership": value}]}})]

    def plan(self, case: Comparison) -> dict[str, tuple[Json, Json]]:
        return {"objectOwnership": (case.found[self.name], self.target(case))}


SETTING = Ownership()
