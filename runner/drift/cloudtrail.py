"""CloudTrail's management events, as EventBridge puts them into an SQS queue: what was changed, and by whom. Pure.

A message is text that others can influence: tenants choose names and policies that are in it. It is read within a size,
only the fields that are needed are taken, each within a length, and anything else is MALFORMED, never an error.
https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-service-event-cloudtrail.html
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from runner.objects import JsonObject

# CloudTrail makes no larger event.
MAX_CHARACTERS = 256 * 1024
# The longest names are those of IAM users with 64 characters, and of buckets with 63.
_MAX_NAME = 255
_MAX_ID = 128
_MAX_ARN = 2048
# AWS lists the bucket, and for some operations a few more.
_MAX_RESOURCES = 10
_S3, _IAM = "s3.amazonaws.com", "iam.amazonaws.com"
_BUCKET_ARN = ":s3:::"


class Kind(StrEnum):
    """What an event is about."""

    BUCKET = "bucket"
    USER = "user"
    ROLE = "role"


class Name(NamedTuple):
    """A bucket, an IAM user or an IAM role of the account. IAM does not distinguish names by case."""

    kind: Kind
    name: str

    @classmethod
    def of(cls, kind: Kind, name: str) -> Name:
        """The name in the form in which two spellings of one are equal."""
        return cls(kind, name if kind is Kind.BUCKET else name.lower())


class Ignored(StrEnum):
    """Why a message is no change of anything."""

    MALFORMED = "malformed"
    """It is not what EventBridge makes of a CloudTrail event."""
    OTHER = "other"
    """It is about another service or account, or about objects in a bucket."""
    READ_ONLY = "read_only"
    FAILED = "failed_call"


@dataclass(frozen=True)
class Change:
    """A call that AWS carried out.

    ``event_id`` is unique; ``principal``: who called, as :func:`principal_of` has it; ``region``: where. Both
    are empty where the event does not have them.
    """

    event_id: str
    principal: str
    region: str
    names: frozenset[Name]


class _MalformedError(Exception):
    """A field is missing, or is not what AWS documents."""


def change_in(body: str, account: str) -> Change | Ignored:
    """The change that a message reports.

    :param account: that of the operator; empty where it is not known, and any account is taken
    """
    try:
        detail = _detail_of(body)
        source = _text(detail, "eventSource", _MAX_NAME)
        if source not in (_S3, _IAM) or not _is_management(detail):
            return Ignored.OTHER
        if account and _text(detail, "recipientAccountId", _MAX_NAME) != account:
            return Ignored.OTHER
        if detail.get("readOnly") in (True, "true"):
            return Ignored.READ_ONLY
        if detail.get("errorCode"):
            return Ignored.FAILED
        names = frozenset(_buckets_of(detail) if source == _S3 else _iam_names_of(detail))
        # The region shows only whether events arrive. A change without it is one, too.
        region = _text(detail, "awsRegion", _MAX_NAME, is_needed=False)
        return Change(_text(detail, "eventID", _MAX_ID), _principal_in(detail), region, names)
    except _MalformedError:
        return Ignored.MALFORMED


def principal_of(arn: str) -> str:
    """The principal of an ARN. All sessions of an assumed role are one principal: each process has its own session.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
    """
    parts = arn.split(":", 5)
    if len(parts) == 6 and parts[5].startswith("assumed-role/"):
        return ":".join([*parts[:5], "/".join(parts[5].split("/")[:2])])
    return arn


def _detail_of(body: str) -> JsonObject:
    if len(body) > MAX_CHARACTERS:
        raise _MalformedError
    try:
        event = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _MalformedError from error
    if not isinstance(event, dict):
        raise _MalformedError
    return _mapping(event, "detail")


def _is_management(detail: JsonObject) -> bool:
    """False for a data event: an operation on an object in a bucket, which a trail may record too."""
    return detail.get("managementEvent") is not False and detail.get("eventCategory") in (None, "Management")


def _buckets_of(detail: JsonObject) -> Iterator[Name]:
    parameters = _mapping(detail, "requestParameters", is_needed=False)
    if "bucketName" in parameters:
        yield Name.of(Kind.BUCKET, _text(parameters, "bucketName", _MAX_NAME))
    listed = detail.get("resources")
    resources = listed[:_MAX_RESOURCES] if isinstance(listed, list) else []
    # s3:TagResource names its bucket by ARN alone.
    arns = [item.get("ARN") for item in resources if isinstance(item, dict)] + [parameters.get("resourceArn")]
    for arn in arns:
        if isinstance(arn, str) and len(arn) <= _MAX_ARN and _BUCKET_ARN in arn:
            yield Name.of(Kind.BUCKET, arn.partition(_BUCKET_ARN)[2].partition("/")[0][:_MAX_NAME])


def _iam_names_of(detail: JsonObject) -> Iterator[Name]:
    parameters = _mapping(detail, "requestParameters", is_needed=False)
    # UpdateUser has both.
    users = [_text(parameters, name, _MAX_NAME) for name in ("userName", "newUserName") if name in parameters]
    if not users and not parameters.keys() & {"roleName", "groupName", "policyArn"}:
        users = _own_name(detail)
    yield from (Name.of(Kind.USER, name) for name in users)
    if "roleName" in parameters:
        yield Name.of(Kind.ROLE, _text(parameters, "roleName", _MAX_NAME))


def _own_name(detail: JsonObject) -> list[str]:
    """The user of a call that names none, as CreateAccessKey without userName: the caller's own."""
    name = _mapping(detail, "userIdentity").get("userName")
    return [name[:_MAX_NAME]] if isinstance(name, str) and name else []


def _principal_in(detail: JsonObject) -> str:
    # Absent where a service of AWS calls.
    arn = _mapping(detail, "userIdentity").get("arn")
    return principal_of(arn) if isinstance(arn, str) and len(arn) <= _MAX_ARN else ""


def _mapping(parent: JsonObject, name: str, *, is_needed: bool = True) -> JsonObject:
    found = parent.get(name)
    if isinstance(found, dict):
        return found
    if found is None and not is_needed:
        return {}
    raise _MalformedError


def _text(parent: JsonObject, name: str, most: int, *, is_needed: bool = True) -> str:
    found = parent.get(name)
    if found is None and not is_needed:
        return ""
    if not isinstance(found, str) or not found or len(found) > most:
        raise _MalformedError
    return found
