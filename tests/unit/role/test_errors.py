"""The reason and the message that each AWS error leads to."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from s3bucket.errors import reason_of, unknown, with_field


def answer(code: str, operation: str, text: str = "no") -> str:
    """The error that amazon.aws reports for a response of AWS."""
    return f"Failed to do it: An error occurred ({code}) when calling the {operation} operation: {text}"


@pytest.mark.parametrize(
    ("code", "operation", "reason"),
    [
        ("BucketHasAccessPointsAttached", "DeleteBucket", "AccessPointsAttached"),
        ("SomethingNew", "DeleteBucket", "DeletionRefused"),
        ("InvalidRequest", "DeleteBucket", "DeletionRefused"),
        ("SomethingNew", "PutBucketAcl", "AWSError"),
        ("AccessDenied", "DeleteBucket", "AccessDenied"),
        ("BucketNotEmpty", "DeleteBucket", "BucketNotEmpty"),
        ("OperationAborted", "DeleteBucket", "AWSError"),
        ("InternalError", "DeleteBucket", "AWSError"),
        ("503", "DeleteBucket", "Throttled"),
        ("500", "DeleteBucket", "AWSError"),
        ("NoSuchBucket", "DeleteBucket", "AWSError"),
    ],
)
@pytest.mark.parametrize("is_code_given", [True, False], ids=["code", "code-in-the-message"])
def test_refused_deletion_has_its_own_reason(code: str, operation: str, reason: str, is_code_given: bool) -> None:
    assert reason_of(code if is_code_given else "", answer(code, operation)) == reason


def test_mfa_delete_is_no_missing_right() -> None:
    text = answer("AccessDenied", "PutBucketVersioning", "Mfa Authentication must be used for this request")
    assert reason_of("AccessDenied", text) == "MFARequired"
    assert "root user" in with_field("AccessDenied", text)


def test_every_slow_reason_of_a_deletion_has_a_remedy() -> None:
    for code in ("BucketHasAccessPointsAttached", "SomethingNew"):
        text = answer(code, "DeleteBucket")
        assert "deletionPolicy: Retain" in with_field(code, text)
        assert with_field(code, text).endswith(text)


def test_answer_that_cannot_be_parsed_is_an_error_whose_text_is_not_read() -> None:
    refusal = unknown("read", ResponseParserError("invalid XML: b'credential endpoint <Secret>'"))
    assert (refusal.reason, refusal.message) == ("AWSError", "failed to read: the answer cannot be parsed")


def test_name_of_a_bucket_is_not_taken_for_the_cause() -> None:
    url = "https://team-credential-profile.s3.amazonaws.com/"
    assert reason_of("", f'Could not connect to the endpoint URL: "{url}"') == "AWSUnreachable"
    assert reason_of("", f'Error when retrieving credentials from container-role: "{url}"') == "CredentialsInvalid"


def test_unknown_keeps_the_code() -> None:
    error = ClientError({"Error": {"Code": "BucketHasAccessPointsAttached", "Message": "no"}}, "DeleteBucket")
    assert (unknown("delete", error).reason, unknown("delete", error).retry) == ("AccessPointsAttached", "slow")


def client_error(code: str, message: str, operation: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        ("SignatureDoesNotMatch", "Signature expired: 20261126T000000Z is now earlier than 20261126T010000Z"),
        ("InvalidSignatureException", "Signature not yet current: 20261126T010000Z is still later than 2026"),
    ],
)
def test_wrong_clock_is_named_as_the_cause(code: str, message: str) -> None:
    found = unknown("read", client_error(code, message, "HeadBucket"))
    assert found.reason == "CredentialsInvalid"
    assert found.message.startswith("the clock of the machine that the operator runs on is wrong")


def test_boundary_that_does_not_exist_is_named_and_not_waited_for() -> None:
    text = "Scope ARN: arn:aws:iam::1:policy/tenants does not exist or is not attachable."
    found = unknown("create IAM user a", client_error("NoSuchEntity", text, "CreateUser"))
    assert found.reason == "AWSError"
    assert "the permissions boundary does not exist: create it, or correct --permissions-boundary" in found.message


def test_file_of_the_credentials_that_cannot_be_read_is_named() -> None:
    found = unknown("ask", FileNotFoundError(2, "No such file or directory", "/var/run/secrets/token"))
    assert found.reason == "CredentialsInvalid"
    assert "/var/run/secrets/token" in found.message
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" in found.message


def test_targets_that_s3_refuses_are_named_and_headers_of_the_request_are_not() -> None:
    details = {
        "ArgumentName1": "arn:aws:sqs:us-east-1:1:a, null", "ArgumentValue1": "The destination queue does not exist",
        "ArgumentName2": "arn:aws:sns:us-east-1:1:b, null", "ArgumentName": "Authorization", "ArgumentValue": "AKIA",
    }  # fmt: skip
    found = unknown("write", ClientError({"Error": {"Code": "InvalidArgument", "Message": "no", **details}}, "Put"))
    assert found.message.endswith(
        "operation: no; arn:aws:sqs:us-east-1:1:a: The destination queue does not exist; arn:aws:sns:us-east-1:1:b: "
    )
    assert "AKIA" not in found.message
