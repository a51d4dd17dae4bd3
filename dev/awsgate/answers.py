"""Answers that the gate gives itself, in the form of the service that was asked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

from .calls import Call


@dataclass
class Answer:
    """An HTTP answer."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def error(call: Call, status: int, code: str, message: str = "", details: Mapping[str, str] | None = None) -> Answer:
    """An error document. HEAD answers have no body, so clients only see the status.

    :param details: further elements of S3's document
    """
    if call.action.startswith("Head"):
        return Answer(status)
    text, name = escape(message or code), escape(code)
    if call.service == "eks":
        # https://docs.aws.amazon.com/eks/latest/APIReference/CommonErrors.html
        headers = {"Content-Type": "application/json", "x-amzn-ErrorType": code}
        return Answer(status, json.dumps({"message": message or code}).encode(), headers)
    if call.service == "sqs":
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
        headers = {"Content-Type": "application/x-amz-json-1.0"}
        return Answer(status, json.dumps({"__type": code, "message": message or code}).encode(), headers)
    if call.service == "tagging":
        # https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/CommonErrors.html
        code = f"{code}Exception" if code == "AccessDenied" else code
        body = json.dumps({"__type": code, "message": message or code})
        return Answer(status, body.encode(), {"Content-Type": "application/x-amz-json-1.1"})
    if call.service == "s3":
        more = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in (details or {}).items())
        body = f"<Error><Code>{name}</Code><Message>{text}</Message>{more}<RequestId>gate</RequestId></Error>"
    else:
        body = (
            f"<ErrorResponse><Error><Type>Sender</Type><Code>{name}</Code><Message>{text}</Message></Error>"
            "<RequestId>gate</RequestId></ErrorResponse>"
        )
    return Answer(status, body.encode(), {"Content-Type": "text/xml"})


def iam_result(action: str, result: str) -> Answer:
    """A good answer of IAM's query protocol."""
    body = (
        f'<{action}Response xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><{action}Result>{result}</{action}Result>'
        f"<ResponseMetadata><RequestId>gate</RequestId></ResponseMetadata></{action}Response>"
    )
    return Answer(200, body.encode(), {"Content-Type": "text/xml"})
