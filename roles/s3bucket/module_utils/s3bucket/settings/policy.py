# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bucket policy: ``bucketPolicy``. ``s3bucket.policy`` interprets the documents.

The module s3bucket_settings writes it separately: it explains AWS's errors, and records what AWS made of the document.
"""

from __future__ import annotations

import json

from ..closing import is_closing
from ..json_types import ApiObject, Json
from ..policy import PolicyError, is_applied, parse, shown
from ..setting import Call, Comparison, Operation, Read, Setting, Value
from ..values import invalid

_PUT = Operation("put_bucket_policy", "s3:PutBucketPolicy")
_DELETE = Operation("delete_bucket_policy", "s3:DeleteBucketPolicy")


class Policy(Setting):
    """The value read is a tenant's text, parsed within limits; None for no policy. The wanted one is a document."""

    name = "policy"
    field = "bucketPolicy"
    order = 70
    default = ""
    may_be_left_over = True
    is_in_status = False
    read = Read(
        Operation("get_bucket_policy", "s3:GetBucketPolicy"),
        lambda answer: str(answer["Policy"]),
        ("NoSuchBucketPolicy",),
    )
    writes = (_PUT, _DELETE)

    def parse(self, value: object) -> ApiObject | None:
        if not isinstance(value, str):
            raise invalid(f"spec.{self.field}", "must be a string that holds a JSON object")
        try:
            return parse(value) or None
        except PolicyError as error:
            raise invalid(f"spec.{self.field}", str(error)) from error

    def differs(self, case: Comparison) -> bool:
        wanted, record = case.wanted, case.found.get("policy_record", "")
        # For an object with a user the record is a tag in IAM, which no key that the operator creates can write.
        return not is_applied(case.found[self.name], wanted.policy, record, is_record_safe=bool(wanted.username))

    def is_leftover(self, case: Comparison) -> bool:
        """Whether an unfinished deletion has left its policy, which denies all writes."""
        return is_closing(case.found[self.name], case.wanted.bucket_arn)

    def argument(self, case: Comparison) -> ApiObject:
        return case.wanted.policy or {}

    def calls(self, value: Value) -> list[Call]:
        return [Call(_PUT, {"Policy": json.dumps(value)}) if value else Call(_DELETE, {})]

    def plan(self, case: Comparison) -> dict[str, tuple[Json, Json]]:
        return {self.field: (shown(case.found[self.name]), case.wanted.policy)}


SETTING = Policy()
