# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Object ownership: ``objectOwnership``. Without it, a ``bucketACL`` other than private needs one that honors ACLs.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_types import ApiObject, Json
from ..setting import Call, Comparison, Operation, Read, Setting, Value
from ..values import choice_of, invalid
from .acl import PUBLIC_ACLS
from .acl import SETTING as ACL

if TYPE_CHECKING:
    from ..spec import Wanted

_PUT = Operation("put_bucket_ownership_controls", "s3:PutBucketOwnershipControls")
_WITHOUT_ACLS = "BucketOwnerEnforced"
_WITH_ACLS = "BucketOwnerPreferred"
_AFTER_ACL = ACL.order + 1
_OF_NO_CONTROLS = "ObjectWriter"
_CHOICES = (_WITHOUT_ACLS, _WITH_ACLS, _OF_NO_CONTROLS)


def _take(answer: ApiObject) -> str | None:
    rules = answer.get("OwnershipControls", {}).get("Rules", [])
    return rules[0].get("ObjectOwnership") if rules else None


class Ownership(Setting):
    """While the spec gives no value, it is changed only where the current one does not allow the ACL."""

    name = "ownership"
    field = "objectOwnership"
    order = 10
    is_optional = True
    is_derived = True
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    new_bucket = _WITHOUT_ACLS
    is_in_status = False
    read = Read(
        Operation("get_bucket_ownership_controls", "s3:GetBucketOwnershipControls"),
        _take,
        ("OwnershipControlsNotFoundError",),
    )
    writes = (_PUT,)

    def parse(self, value: object) -> str:
        return choice_of(value, f"spec.{self.field}", _CHOICES)

    def check(self, wanted: Wanted) -> None:
        acl = wanted.settings["acl"]
        if wanted.settings[self.name] == _WITHOUT_ACLS and acl in PUBLIC_ACLS:
            message = f"AWS would refuse bucketACL {acl} with {_WITHOUT_ACLS}, which disables ACLs"
            raise invalid(f"spec.{self.field}", message)

    def is_managed(self, wanted: Wanted, is_adopted: bool) -> bool:
        return super().is_managed(wanted, is_adopted) or (_needs_acls(wanted) and ACL.is_managed(wanted, is_adopted))

    def is_unmanaged(self, wanted: Wanted, fields: frozenset[str]) -> bool:
        # What an ACL that others manage needs is not managed, either. A value that is no longer given is reset.
        is_derived = wanted.settings[self.name] is None and _needs_acls(wanted)
        return super().is_unmanaged(wanted, fields) or (is_derived and ACL.field in fields)

    def target(self, case: Comparison) -> Value:
        value, found = case.wanted.settings[self.name], case.found[self.name]
        if value is None and _needs_acls(case.wanted):
            return _WITH_ACLS if found == _WITHOUT_ACLS else found
        return super().target(case)

    def canonical(self, value: Value) -> Value:
        # A bucket without ownership controls behaves as with this value.
        return value or _OF_NO_CONTROLS

    def write_order(self, value: Value) -> int:
        # AWS refuses this value while the ACL gives access to others.
        return _AFTER_ACL if value == _WITHOUT_ACLS else self.order

    def calls(self, value: Value) -> list[Call]:
        return [Call(_PUT, {"OwnershipControls": {"Rules": [{"ObjectOwnership": value}]}})]

    def plan(self, case: Comparison) -> dict[str, tuple[Json, Json]]:
        return {self.field: (case.found[self.name], self.target(case))}


def _needs_acls(wanted: Wanted) -> bool:
    return wanted.settings["acl"] in PUBLIC_ACLS


SETTING = Ownership()
