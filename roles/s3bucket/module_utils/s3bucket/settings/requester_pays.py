# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Requester Pays: ``requesterPays``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/RequesterPaysBuckets.html
"""

from __future__ import annotations

from ..setting import Call, Operation, Read, Setting, Value
from ..values import flag_of

_PUT = Operation("put_bucket_request_payment", "s3:PutBucketRequestPayment")


class RequesterPays(Setting):
    """A new bucket has BucketOwner, and AWS has no call that clears it."""

    name = "requester_pays"
    field = "requesterPays"
    is_optional = True
    is_in_status = False
    new_bucket = False
    read = Read(
        Operation("get_bucket_request_payment", "s3:GetBucketRequestPayment"),
        lambda answer: answer.get("Payer") == "Requester",
    )
    writes = (_PUT,)

    def parse(self, value: object) -> bool:
        return flag_of(value, f"spec.{self.field}")

    def calls(self, value: Value) -> list[Call]:
        payer = "Requester" if value else "BucketOwner"
        return [Call(_PUT, {"RequestPaymentConfiguration": {"Payer": payer}})]


SETTING = RequesterPays()
