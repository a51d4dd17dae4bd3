"""What AWS's answer to a request that a key signed shows about the key."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from s3bucket.outcome import Reason
from s3bucket.verification import KeyState, Target, Verification, verified, verify_access, wait_until_valid

BUCKET = Target("photos", "123456789012")


class S3:
    """Answers the two requests of a verification, each with an error code or, for an empty one, with success."""

    def __init__(self, head: str = "", listing: str = "", message: str = "refused") -> None:
        self._head, self._listing, self._message = head, listing, message
        self.requests: list[dict[str, Any]] = []

    def head_bucket(self, **request: Any) -> None:
        self._answer("HeadBucket", self._head, request)

    def list_objects_v2(self, **request: Any) -> None:
        self._answer("ListObjectsV2", self._listing, request)

    def _answer(self, operation: str, code: str, request: dict[str, Any]) -> None:
        self.requests.append({"operation": operation, **request})
        if code == "unreachable":
            raise EndpointConnectionError(endpoint_url="https://s3.amazonaws.com")
        if code:
            raise ClientError({"Error": {"Code": code, "Message": self._message}}, operation)


@pytest.mark.parametrize(
    ("head", "listing", "expected"),
    [
        ("", "unused", (True, Reason.VERIFIED, KeyState.VALID)),
        # A HEAD answer has only a status. The policy of a user with prefixes allows the second request only.
        ("403", "", (True, Reason.VERIFIED, KeyState.VALID)),
        ("403", "AccessDenied", (False, Reason.ACCESS_DENIED, KeyState.VALID)),
        ("403", "InvalidAccessKeyId", (False, Reason.CREDENTIALS_INVALID, KeyState.UNKNOWN_KEY)),
        ("403", "SignatureDoesNotMatch", (False, Reason.CREDENTIALS_INVALID, KeyState.UNKNOWN_KEY)),
        # The clock of the machine shows nothing about the key.
        ("403", "RequestTimeTooSkewed", (False, Reason.CREDENTIALS_INVALID, KeyState.UNANSWERED)),
        ("404", "NoSuchBucket", (False, Reason.AWS_ERROR, KeyState.UNANSWERED)),
        ("503", "SlowDown", (False, Reason.THROTTLED, KeyState.UNANSWERED)),
        ("unreachable", "unused", (False, Reason.AWS_UNREACHABLE, KeyState.UNANSWERED)),
    ],
)
def test_answer_shows_whether_the_key_is_valid(
    head: str, listing: str, expected: tuple[bool, Reason, KeyState]
) -> None:
    found = verify_access(S3(head, listing), BUCKET)
    assert (found.ok, found.reason, found.key) == expected


def test_denial_has_the_words_of_aws() -> None:
    message = "User: arn:aws:iam::1:user/x is not authorized to perform: s3:ListBucket with an explicit deny in a service control policy"  # noqa: E501
    found = verify_access(S3("403", "AccessDenied", message), BUCKET)
    assert message in found.message


def test_requests_name_the_account_and_stay_below_the_prefix() -> None:
    s3 = S3()
    verify_access(s3, Target("photos", "123456789012", "team/"))
    assert s3.requests == [
        {
            "operation": "ListObjectsV2", "Bucket": "photos", "ExpectedBucketOwner": "123456789012",
            "Prefix": "team/", "MaxKeys": 1,
        }
    ]  # fmt: skip


def answers(*states: KeyState) -> list[Verification]:
    return [Verification(False, Reason.CREDENTIALS_INVALID, "", state) for state in states]


@pytest.mark.parametrize(
    ("given", "limit_s", "requests"),
    [
        ([verified()], 60, 1),
        (answers(KeyState.UNKNOWN_KEY, KeyState.UNANSWERED, KeyState.VALID), 60, 3),
        (answers(*[KeyState.UNKNOWN_KEY] * 100), 0, 1),
        # After 0.25, 0.5, 1, 2 and 4 s: 7.75 s. The next pause would end after the limit.
        (answers(*[KeyState.UNKNOWN_KEY] * 100), 10, 6),
    ],
    ids=["valid", "valid-later", "no-time", "never"],
)
def test_new_key_is_tried_until_it_is_valid_or_the_time_is_over(
    given: list[Verification], limit_s: float, requests: int
) -> None:
    now, tried = [0.0], []

    def probe() -> Verification:
        tried.append(given[len(tried)])
        return tried[-1]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert wait_until_valid(probe, limit_s, lambda: now[0], sleep) is tried[-1]
    assert len(tried) == requests
    assert now[0] <= limit_s
