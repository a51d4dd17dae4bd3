# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Answers that are none of the store's: of a proxy, of a maintenance page, or of an endpoint that redirects elsewhere.

botocore takes a web page with status 200 for an answer without content, as of a bucket without tags. To a redirect
without a region it sends HeadBucket, and to its redirect another one, until Python's stack is full. So both are errors,
for every client of an endpoint that is not AWS's own.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from .capabilities import is_aws_endpoint
from .errors import ClientError, ResponseParserError
from .json_types import ApiObject, AwsClient

_PAGES = (b"<!doctype html", b"<html")
# Where the name of the answer is, after a declaration.
_HEAD = 1024
_MAX_LOCATION = 200


def check_answers(client: AwsClient) -> AwsClient:
    """Let a client of a store refuse answers that are none. Returns it."""
    if not is_aws_endpoint(client):
        # The modules of a run share their clients. With an id, a second registration changes nothing.
        client.meta.events.register("before-parse", _check, unique_id="s3bucket-answers")
    return client


def _check(response_dict: ApiObject, operation_model: Any, **_: object) -> None:
    """Refuse an answer (a handler for botocore's event ``before-parse``).

    :raises ClientError: for a redirect without a region, with the status as its code
    :raises ResponseParserError: for a web page, or the answer to another request
    """
    status, body = int(response_dict["status_code"]), response_dict["body"]
    text = body if isinstance(body, bytes) else b""
    if _is_redirect(status) and "x-amz-bucket-region" not in response_dict["headers"] and b"<Region>" not in text:
        raise _redirected(status, str(response_dict["headers"].get("location", "")), operation_model.name)
    if status != HTTPStatus.OK or not text or operation_model.has_streaming_output:
        return
    head = text[:_HEAD].lstrip().lower()
    if head.startswith(_PAGES):
        raise ResponseParserError("the answer is a web page")
    is_query = operation_model.service_model.metadata.get("protocol") == "query"
    if is_query and f"<{operation_model.name}Response".lower().encode() not in head:
        raise ResponseParserError("the answer is not of this request")


def _is_redirect(status: int) -> bool:
    return HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and status != HTTPStatus.NOT_MODIFIED


def _redirected(status: int, location: str, operation: str) -> ClientError:
    message = (
        f"the endpoint redirects to {location[:_MAX_LOCATION] or 'no address'}: set the URL of the store "
        "itself (AWS_ENDPOINT_URL, aws.endpointURL of the chart), or in spec.region the region that it has for it"
    )
    answer = {"Error": {"Code": str(status), "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, operation)
