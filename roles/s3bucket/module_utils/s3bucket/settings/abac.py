# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attribute-based access control: ``abac``. Then IAM policies may refer to the bucket's tags.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/buckets-tagging-enable-abac.html
AWS then refuses PutBucketTagging. The module s3bucket_settings writes the tags with TagResource and UntagResource.
"""

from __future__ import annotations

from ..setting import Call, Operation, Read, Setting, Value
from ..values import flag_of

_PUT = Operation("put_bucket_abac", "s3:PutBucketAbac")


class Abac(Setting):
    """A new bucket has it disabled, and AWS has no call that clears it."""

    name = "abac"
    field = "abac"
    is_optional = True
    is_in_status = False
    new_bucket = False
    read = Read(
        Operation("get_bucket_abac", "s3:GetBucketAbac"),
        lambda answer: answer.get("AbacStatus", {}).get("Status") == "Enabled",
    )
    writes = (_PUT,)

    def parse(self, value: object) -> bool:
        return flag_of(value, f"spec.{self.field}")

    def calls(self, value: Value) -> list[Call]:
        return [Call(_PUT, {"AbacStatus": {"Status": "Enabled" if value else "Disabled"}})]


SETTING = Abac()
