# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The reasons an object is not Ready, and which AWS error leads to which.

``retry`` says when it is worth trying again: ``immediate`` at once, as the run made progress and has more to do;
``transient`` soon with back-off, ``slow`` at the next sync, ``permanent`` when the spec changes or at the next sync.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

try:
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
    from botocore.parsers import ResponseParserError
except ImportError:  # reported by AnsibleAWSModule with the usual hint

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Stands in where botocore is missing."""

    class ClientError(Exception):  # type: ignore[no-redef]
        """Stands in where botocore is missing."""

    class EndpointConnectionError(BotoCoreError):  # type: ignore[no-redef]
        """Stands in where botocore is missing."""

    class ResponseParserError(Exception):  # type: ignore[no-redef]
        """Stands in where botocore is missing."""


IMMEDIATE = "immediate"
TRANSIENT = "transient"
SLOW = "slow"
PERMANENT = "permanent"

RETRY = {
    "Pending": TRANSIENT,
    "Emptying": IMMEDIATE,
    "InvalidSpec": PERMANENT,
    "Conflict": PERMANENT,
    "BucketNameTaken": PERMANENT,
    "BucketNotFound": PERMANENT,
    "BucketNotEmpty": SLOW,
    "ObjectLocked": SLOW,
    "WrongRegion": PERMANENT,
    "TooManyKeys": SLOW,
    "WaitingForIAM": TRANSIENT,
    "AccessDenied": TRANSIENT,
    "CredentialsInvalid": TRANSIENT,
    "Throttled": TRANSIENT,
    "AWSUnreachable": TRANSIENT,
    "AWSError": TRANSIENT,
    "KubernetesError": TRANSIENT,
}

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_REASON_OF_CODE = {
    "Conflict": ("BucketAlreadyOwnedByYou", "EntityAlreadyExists"),
    "BucketNameTaken": ("BucketAlreadyExists",),
    "BucketNotEmpty": ("BucketNotEmpty",),
    "InvalidSpec": (
        "MalformedPolicy",
        "MalformedPolicyDocument",
        "InvalidBucketName",
        "InvalidTag",
        "InvalidLocationConstraint",
        "IllegalLocationConstraintException",
        "InvalidBucketState",
        "ValidationError",
        "InvalidArgument",
        "InvalidInput",
    ),
    "WaitingForIAM": ("NoSuchEntity", "ConcurrentModification", "EntityTemporarilyUnmodifiable", "DeleteConflict"),
    "AccessDenied": (
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "UnauthorizedOperation",
        "UnauthorizedAccess",
        "403",
    ),
    "CredentialsInvalid": (
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "RequestTimeTooSkewed",
    ),
    "TooManyKeys": ("LimitExceeded",),
    # Those that botocore takes for it; of HEAD, which has no text, only the status is known.
    "Throttled": (
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequests",
        "TooManyRequestsException",
        "BandwidthLimitExceeded",
        "SlowDown",
        "429",
        "503",
    ),
}
# The field of the spec that an error code speaks of.
_FIELD_OF_CODE = {
    "MalformedPolicy": "spec.bucketPolicy",
    "InvalidBucketName": "spec.bucketName",
    "InvalidTag": "spec.tags",
    "InvalidLocationConstraint": "spec.region",
    "IllegalLocationConstraintException": "spec.region",
}
_REASON = {code: reason for reason, codes in _REASON_OF_CODE.items() for code in codes}
_CLIENT_ERROR_MESSAGE = re.compile(r"An error occurred \((\w+)\) when calling the \w+ operation")
_CREDENTIALS_MESSAGE = re.compile(r"credential|profile|InvalidIdentityToken|AssumeRole", re.IGNORECASE)
_UNREACHABLE_MESSAGE = re.compile(r"connect|timed? ?out|endpoint|resolve|SSL|proxy|closed|reset by peer", re.IGNORECASE)


class Refused(Exception):
    """The object cannot be brought in order now. ``reason`` is one of :data:`RETRY`."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message

    @property
    def retry(self) -> str:
        """When it is worth trying again."""
        return RETRY[self.reason]


class Unknown(Refused):
    """AWS did not say what is there: never to be taken as absent."""


class Forbidden(Refused):
    """Kubernetes does not let the operator read a Secret, a Service or a namespace (403)."""


class NoSuchRegion(Refused):
    """A region that this botocore does not know, and that has no endpoint."""


def code_of(error: BaseException) -> str:
    """The AWS error code of a botocore error, or an empty string."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def code_in(code: str, message: str) -> str:
    """The AWS error code that was told, or else stands in the message; an empty string for none."""
    # amazon.aws.s3_bucket lets errors of PutBucketOwnershipControls through: then the code is only in the traceback.
    found = None if code else _CLIENT_ERROR_MESSAGE.search(message)
    return found[1] if found else code


def with_field(code: str, message: str) -> str:
    """The message, which begins with the field of the spec that AWS refuses, where the code tells it."""
    field = _FIELD_OF_CODE.get(code_in(code, message))
    return f"{field}: AWS refuses it: {message}" if field else message


def reason_of(code: str, message: str) -> str:
    """The reason for an AWS error code; for an error without one, told by botocore's message."""
    code = code_in(code, message)
    if code:
        return _REASON.get(code, "AWSError")
    if _CREDENTIALS_MESSAGE.search(message):
        return "CredentialsInvalid"
    return "AWSUnreachable" if _UNREACHABLE_MESSAGE.search(message) else "AWSError"


def unknown(verb: str, error: BaseException) -> Unknown:
    """A typed error "failed to <verb>" for a botocore error."""
    if isinstance(error, ResponseParserError):
        # Its text holds the answer, which says nothing about the cause and may be anybody's.
        return Unknown("AWSError", f"failed to {verb}: the answer cannot be parsed")
    code = code_of(error)
    return Unknown(reason_of(code, str(error)), with_field(code, f"failed to {verb}: {error}"))


def is_nowhere(region: str, error: BaseException | None, known: Callable[[], set[str]]) -> bool:
    """Whether it is the region that keeps AWS from being reached.

    A region that botocore knows is never blamed, nor one with an endpoint of its own that answers, which a new region
    has before botocore knows it, nor any where another endpoint than AWS's own is set.

    :param known: the regions that botocore knows; asked only when it matters
    """
    if not isinstance(error, EndpointConnectionError):
        return False
    host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).hostname or ""
    is_aws = f".{region}.amazonaws." in f"{host}."
    return is_aws and region not in known()


AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError)
