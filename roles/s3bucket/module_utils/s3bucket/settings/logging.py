# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Server access logs: ``logging``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/ServerLogs.html
"""

from __future__ import annotations

from ..json_types import ApiObject
from ..setting import Call, Operation, Read, Setting, Value
from ..values import choice_of, fields_of, invalid, text_of

_PUT = Operation("put_bucket_logging", "s3:PutBucketLogging")
_SIMPLE = "Simple"
_PARTITIONED = "PartitionedBy"
# Of boto3's PartitionDateSource.
_DATES = ("EventTime", "DeliveryTime")
_FORMATS = (_SIMPLE, *(_PARTITIONED + date for date in _DATES))
_FIELDS = ("targetBucket", "targetPrefix", "keyFormat")
_MAX_BUCKET, _MAX_PREFIX = 63, 1024


def _take(answer: ApiObject) -> ApiObject | None:
    found = answer.get("LoggingEnabled")
    if not found:
        return None
    # AWS documents EventTime as the default. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PartitionedPrefix.html
    partitioned = found.get("TargetObjectKeyFormat", {}).get("PartitionedPrefix")
    is_simple = partitioned is None
    date = "" if is_simple else partitioned.get("PartitionDateSource") or _DATES[0]
    taken = {
        "targetBucket": found["TargetBucket"],
        "targetPrefix": found.get("TargetPrefix", ""),
        "keyFormat": _SIMPLE if is_simple else _PARTITIONED + date,
    }
    # The spec cannot request them: others than the owner of the target bucket could read the logs.
    return {**taken, "targetGrants": found["TargetGrants"]} if found.get("TargetGrants") else taken


class Logging(Setting):
    """AWS has no call that deletes it: an empty document clears it."""

    name = "logging"
    field = "logging"
    is_optional = True
    is_in_status = False
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html. The target may be another object of the same
    # release, which is created at the same time.
    passing = {
        "InvalidTargetBucketForLogging": "create the target bucket in this account, without object lock, and let "
        "logging.s3.amazonaws.com put objects in its policy"
    }
    read = Read(Operation("get_bucket_logging", "s3:GetBucketLogging"), _take)
    writes = (_PUT,)

    def parse(self, value: object) -> ApiObject:
        field = f"spec.{self.field}"
        given = fields_of(value, field, _FIELDS)
        if not text_of(given.get("targetBucket", ""), f"{field}.targetBucket"):
            raise invalid(f"{field}.targetBucket", "is missing")
        if len(given["targetBucket"]) > _MAX_BUCKET:
            raise invalid(f"{field}.targetBucket", f"may have at most {_MAX_BUCKET} characters")
        if len(text_of(given.get("targetPrefix", ""), f"{field}.targetPrefix")) > _MAX_PREFIX:
            raise invalid(f"{field}.targetPrefix", f"may have at most {_MAX_PREFIX} characters")
        choice_of(given.get("keyFormat", _SIMPLE), f"{field}.keyFormat", _FORMATS)
        return given

    def canonical(self, value: Value) -> Value:
        return {"targetPrefix": "", "keyFormat": _SIMPLE, **value} if value else None

    def calls(self, value: Value) -> list[Call]:
        enabled: ApiObject = {}
        if value:
            enabled = {"TargetBucket": value["targetBucket"], "TargetPrefix": value.get("targetPrefix", "")}
            date = value.get("keyFormat", _SIMPLE).removeprefix(_PARTITIONED)
            if date in _DATES:
                enabled["TargetObjectKeyFormat"] = {"PartitionedPrefix": {"PartitionDateSource": date}}
        return [Call(_PUT, {"BucketLoggingStatus": {"LoggingEnabled": enabled} if enabled else {}})]


SETTING = Logging()
