# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The canned ACL: ``bucketACL``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..json_types import ApiObject, Json
from ..setting import Call, Comparison, Operation, Read, Setting, Value
from ..values import choice_of

if TYPE_CHECKING:
    from ..spec import Wanted

PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read")
_ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
_PUT = Operation("put_bucket_acl", "s3:PutBucketAcl")


def _take(answer: ApiObject) -> str | None:
    # Imported here, because the operator must start without the collections to report which ones are missing.
    from ansible_collections.amazon.aws.plugins.module_utils.s3 import s3_acl_to_name

    grants = [{**grant, "Grantee": _with_uri(grant.get("Grantee", {}))} for grant in answer.get("Grants", [])]
    name: str | None = s3_acl_to_name({**answer, "Grants": grants})
    return name


def _with_uri(grantee: ApiObject) -> ApiObject:
    """Return the grantee as AWS has it. versitygw names the group of all users by an ID; AWS, always by a URI."""
    is_everyone = grantee.get("Type") == "Group" and grantee.get("ID") == "all-users"
    return {"URI": _ALL_USERS} if is_everyone else grantee


class Acl(Setting):
    """The value that was read is the name of a canned ACL; None for any other list of grants."""

    name = "acl"
    field = "bucketACL"
    order = 30
    default = "private"
    new_bucket = "private"
    read = Read(Operation("get_bucket_acl", "s3:GetBucketAcl"), _take)
    writes = (_PUT,)

    def parse(self, value: object) -> str:
        return choice_of(value, f"spec.{self.field}", ("private", *PUBLIC_ACLS))

    def is_asked(self, wanted: Wanted) -> bool:
        return wanted.settings[self.name] in PUBLIC_ACLS

    def calls(self, value: Value) -> list[Call]:
        return [Call(_PUT, {"ACL": value})]

    def plan(self, case: Comparison) -> dict[str, tuple[Json, Json]]:
        return {self.field: (case.found[self.name] or "grants of its own", self.target(case))}


SETTING = Acl()
