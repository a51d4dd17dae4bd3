"""An S3-compatible store as answers over HTTP, without a socket: boto3's clients sign, send and parse as always.

For what no store on this machine shows. ``dev/versitygw.py`` is a real one.
"""

from __future__ import annotations

import io
from typing import Any

import boto3
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config

ENDPOINT = "https://store.example"
IAM_ENDPOINT = "https://iam.store.example"
Answer = tuple[int, str]


def denied_by(code: str, status: int) -> Answer:
    """The answer of IAM and STS for an error."""
    return status, f"<ErrorResponse><Error><Code>{code}</Code><Message>m</Message></Error></ErrorResponse>"


def answer_of(operation: str, content: str) -> Answer:
    """An answer of IAM or STS with this content."""
    return 200, f"<{operation}Response><{operation}Result>{content}</{operation}Result></{operation}Response>"


NO_SUCH_ENTITY = denied_by("NoSuchEntity", 404)
INVALID_ACTION = denied_by("InvalidAction", 400)


def identity(account: str) -> Answer:
    """The answer of GetCallerIdentity."""
    return answer_of("GetCallerIdentity", f"<Account>{account}</Account><Arn>a</Arn>")


def buckets(owner: str, *names: str) -> Answer:
    """The answer of ListBuckets."""
    listed = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names)
    shown = f"<Owner><ID>{owner}</ID></Owner>" if owner else ""
    return 200, f"<ListAllMyBucketsResult>{shown}<Buckets>{listed}</Buckets></ListAllMyBucketsResult>"


class StoreAnswers:
    """A store. By default it has all of IAM, no user and no bucket.

    :param answers: the answer by the operation's name
    :param compared: the owner that each bucket compares ExpectedBucketOwner with; empty for a store that ignores it
    :ivar requests: the names of the operations that were requested, in order
    """

    def __init__(self, answers: dict[str, Answer] | None = None, *, compared: str = "") -> None:
        own = {
            "ListBuckets": buckets("owner"),
            "GetCallerIdentity": identity("000000000000"),
            "ListUsers": answer_of("ListUsers", "<Users/>"),
        }
        self._answers = {**own, **(answers or {})}
        self._compared = compared
        self.requests: list[str] = []

    def client(self, service: str, endpoint_url: str | None = ENDPOINT) -> Any:
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        client = boto3.client(
            service, "us-east-1", endpoint_url=endpoint_url, config=config,
            aws_access_key_id="id", aws_secret_access_key="key",
        )  # fmt: skip
        self.serve(client)
        return client

    def answer(self, operation: str, answer: Answer) -> None:
        """From now on, answer an operation in this way."""
        self._answers[operation] = answer

    def serve(self, client: Any) -> None:
        """Answer the requests of this client."""
        client.meta.events.register("before-send", self._answer)

    def _answer(self, request: AWSPreparedRequest, event_name: str, **_: Any) -> AWSResponse:
        operation = event_name.rpartition(".")[2]
        self.requests.append(operation)
        status, body = self._answers.get(operation) or self._default(request, operation)
        raw = io.BytesIO(body.encode())
        raw.stream = lambda size=None, **_: iter([body.encode()])  # type: ignore[attr-defined]
        return AWSResponse(request.url, status, {}, raw)

    def _default(self, request: AWSPreparedRequest, operation: str) -> Answer:
        if operation != "HeadBucket":
            return NO_SUCH_ENTITY
        given = request.headers.get("x-amz-expected-bucket-owner", "")
        given = given.decode() if isinstance(given, bytes) else given
        return (403, "") if self._compared and given and given != self._compared else (200, "")
