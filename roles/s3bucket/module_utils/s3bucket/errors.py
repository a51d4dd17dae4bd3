# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The exceptions of the core, and the mapping of AWS error codes to reasons."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from .json_types import ApiObject
from .outcome import Outcome, Reason, Retry
from .regions import is_known, partition_of

try:
    from botocore.exceptions import BotoCoreError, EndpointConnectionError
    from botocore.exceptions import ClientError as ClientError  # also used by read
    from botocore.parsers import ResponseParserError as ResponseParserError  # also used by capabilities
except ImportError:  # reported by AnsibleAWSModule with the usual hint

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Used when botocore is not installed."""

    class ClientError(Exception):  # type: ignore[no-redef]
        """Used when botocore is not installed."""

    class EndpointConnectionError(BotoCoreError):  # type: ignore[no-redef,misc]
        """Used when botocore is not installed."""

    class ResponseParserError(Exception):  # type: ignore[no-redef]
        """Used when botocore is not installed."""


UNSUPPORTED_CODES = (
    "NotImplemented",
    "XNotImplemented",
    "MethodNotAllowed",
    "UnsupportedArgument",
    "UnsupportedOperation",
)
"""The error codes of endpoints that do not have an operation or a setting (S3-compatible stores, some regions)."""

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_REASON_OF_CODE = {
    Reason.CONFLICT: ("BucketAlreadyOwnedByYou", "EntityAlreadyExists"),
    Reason.BUCKET_NAME_TAKEN: ("BucketAlreadyExists",),
    Reason.BUCKET_NOT_EMPTY: ("BucketNotEmpty",),
    Reason.ACCESS_POINTS_ATTACHED: ("BucketHasAccessPointsAttached",),
    Reason.INVALID_SPEC: (
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
        "InvalidS3DestinationBucket",
    ),
    Reason.WAITING_FOR_IAM: (
        "NoSuchEntity",
        "ConcurrentModification",
        "EntityTemporarilyUnmodifiable",
        "DeleteConflict",
    ),
    Reason.ACCESS_DENIED: (
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "UnauthorizedOperation",
        "UnauthorizedAccess",
        "403",
    ),
    Reason.CREDENTIALS_INVALID: (
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "IncompleteSignature",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "RequestTimeTooSkewed",
    ),
    Reason.QUOTA_EXCEEDED: (
        "LimitExceeded",
        "LimitExceededException",
        "ServiceQuotaExceededException",
        "TooManyBuckets",
        "TooManyConfigurations",
    ),
    # The codes that botocore treats as throttling. A HEAD answer has no body, so only its status is known.
    Reason.THROTTLED: (
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
# The field of the spec that an error code is about.
_FIELD_OF_CODE = {
    "MalformedPolicy": "spec.bucketPolicy",
    "InvalidBucketName": "spec.bucketName",
    "InvalidTag": "spec.tags",
    "InvalidLocationConstraint": "spec.region",
    "IllegalLocationConstraintException": "spec.region",
}
_REASON = {code: reason for reason, codes in _REASON_OF_CODE.items() for code in codes}
# Codes of a deletion that may succeed soon, or has succeeded.
_PASSING_CODES = (
    "InternalError",
    "InternalFailure",
    "InternalServerError",
    "NoSuchBucket",
    "OperationAborted",
    "RequestTimeout",
    "ServiceFailure",
    "ServiceUnavailable",
)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/MultiFactorAuthenticationDelete.html: AWS returns AccessDenied,
# "Mfa Authentication must be used for this request".
_MFA_MESSAGE = "mfa authentication must be used"
# The remedy for a reason, for the message.
_REMEDIES = {
    Reason.ACCESS_POINTS_ATTACHED: "the bucket has access points: delete them first (aws s3control list-access-points "
    "--bucket, delete-access-point), or set deletionPolicy: Retain",
    Reason.MFA_REQUIRED: "MFA Delete is enabled on the bucket: only the account's root user, with the MFA device, can "
    "delete its versions or disable MFA Delete (aws s3api put-bucket-versioning --mfa); or set deletionPolicy: Retain",
    Reason.DELETION_REFUSED: "AWS does not delete the bucket: remove what its answer names, or set deletionPolicy: "
    "Retain",
}
_CLOCK = "the clock of the machine that the operator runs on is wrong: synchronize it"
# Remedies where one AWS code has several causes. The key is the part of the message that identifies the cause.
# https://github.com/boto/boto3/issues/1252, https://github.com/aws/aws-sdk-js/issues/401,
# https://github.com/aws/aws-sdk-js/issues/2565 (clock), https://github.com/hashicorp/boundary/pull/4255 (boundary)
_REMEDIES_OF_MESSAGES = {
    "(RequestTimeTooSkewed)": _CLOCK,
    "Signature expired: ": _CLOCK,
    "Signature not yet current: ": _CLOCK,
    "Scope ARN: ": "the permissions boundary does not exist: create it, or correct --permissions-boundary of the "
    "operator (iam.permissionsBoundary of its chart), or s3bucket_permissions_boundary of the role",
}
_CLIENT_ERROR_MESSAGE = re.compile(r"An error occurred \((\w+)\) when calling the (\w+) operation")
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html documents no message texts. IAM returns "Cannot
# exceed quota for UsersPerAccount: 5000", with the names of GetAccountSummary.
_QUOTA_MESSAGE = re.compile(r"quota for (\w{1,64})")
_KEY_QUOTA = "AccessKeysPerUser"
# Not ArgumentName: S3 also answers headers of the request with it, as Authorization.
_ARGUMENT_NAME = re.compile(r"ArgumentName\d{1,3}")
_MAX_ARGUMENTS = 3
_CREDENTIALS_MESSAGE = re.compile(r"credential|profile|InvalidIdentityToken|AssumeRole", re.IGNORECASE)
# A URL may hold a bucket's name, which may contain any word.
_URL = re.compile(r"https?://\S*")
_UNREACHABLE_MESSAGE = re.compile(r"connect|timed? ?out|endpoint|resolve|SSL|proxy|closed|reset by peer", re.IGNORECASE)


class ReconcileError(Exception):
    """The object cannot be reconciled now.

    :ivar summary: what failed, in this program's own words alone, for where those of AWS must not be shown
    """

    def __init__(self, reason: Reason, message: str, summary: str = "") -> None:
        super().__init__(message)
        self.reason = Reason.parse(reason)
        self.message = message
        self.summary = summary

    @property
    def retry(self) -> Retry:
        """When to try again."""
        return self.reason.retry

    @property
    def outcome(self) -> Outcome:
        """The outcome of a run or a check that ends with this error."""
        return Outcome.failure(self.reason, self.message)

    def to_result(self) -> ApiObject:
        """The result of a module that fails with this error."""
        return {"msg": self.message, "s3bucket_reason": self.reason.value}


class UnknownStateError(ReconcileError):
    """AWS did not return the state of something. The caller must never treat it as absent."""


class ForbiddenError(ReconcileError):
    """Kubernetes does not let the operator read a Secret, a Service or a namespace (403)."""


class RejectedError(ReconcileError):
    """Kubernetes did not write or delete a Secret, a Service or a ConfigMap. The message holds no value of a Secret.

    :ivar status: of its answer
    """

    def __init__(self, reason: Reason, message: str, status: int) -> None:
        super().__init__(reason, message)
        self.status = status

    def to_result(self) -> ApiObject:
        """As above, with the message also where that of a task with ``no_log`` is not used."""
        return {**super().to_result(), "s3bucket_message": self.message, "http_status": self.status}


class NoSuchNamespaceError(ReconcileError):
    """The object's namespace does not exist, so Kubernetes would store neither its Secret nor its Service."""

    def __init__(self, namespace: str) -> None:
        super().__init__(
            Reason.KUBERNETES_ERROR,
            f"metadata.namespace: namespace {namespace} does not exist: create it (kubectl create namespace "
            f"{namespace}), or correct the field. Nothing was changed",
        )


class NoSuchRegionError(ReconcileError):
    """The operator can use nothing in the region: it has no endpoint, or does not accept the operator's credentials.

    :param elsewhere: a region that a deletion can ask instead
    """

    def __init__(self, message: str, elsewhere: str) -> None:
        super().__init__(Reason.INVALID_SPEC, message)
        self.elsewhere = elsewhere


def code_of(error: BaseException) -> str:
    """The AWS error code of a botocore error, or an empty string."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    return ""


def not_implemented(operation: str, message: str) -> ClientError:
    """Make the error of an endpoint that does not have an operation, for one that answers 200 nevertheless."""
    return ClientError({"Error": {"Code": "NotImplemented", "Message": message}}, operation)


def code_in(code: str, message: str) -> str:
    """The given AWS error code, or else the one in the message; an empty string for none."""
    # amazon.aws.s3_bucket does not catch errors of PutBucketOwnershipControls. Then only the traceback has the code.
    found = None if code else _CLIENT_ERROR_MESSAGE.search(message)
    return found[1] if found else code


def with_field(code: str, message: str) -> str:
    """The message after the spec field that AWS refuses, or else after the remedy, where one is known."""
    field = _FIELD_OF_CODE.get(code_in(code, message))
    if field:
        return f"{field}: AWS refuses it: {message}"
    return with_remedy(reason_of(code, message), message)


def with_remedy(reason: Reason, message: str) -> str:
    """The message after the remedy for the reason, where one is known."""
    if reason == Reason.QUOTA_EXCEEDED:
        quota = _QUOTA_MESSAGE.search(message)
        named = f"AWS quota {quota[1]}" if quota else "a quota of AWS"
        return f"{named} is used up: delete what is not needed, or have AWS raise it: {message}"
    remedy = next((text for part, text in _REMEDIES_OF_MESSAGES.items() if part in message), _REMEDIES.get(reason))
    return f"{remedy}: {message}" if remedy else message


def reason_of(code: str, message: str) -> Reason:
    """The reason for an AWS error code. Without a code, botocore's message decides."""
    code = code_in(code, message)
    if code:
        reason = _REASON.get(code, Reason.AWS_ERROR)
        if reason == Reason.QUOTA_EXCEEDED and _is_about_keys(code, message):
            return Reason.TOO_MANY_KEYS
        if reason == Reason.WAITING_FOR_IAM and "Scope ARN: " in message:
            # IAM's eventual consistency is not the cause: the policy does not exist.
            return Reason.AWS_ERROR
        if reason == Reason.ACCESS_DENIED and _MFA_MESSAGE in message.lower():
            return Reason.MFA_REQUIRED
        return Reason.DELETION_REFUSED if reason == Reason.AWS_ERROR and _is_refused_deletion(code, message) else reason
    if _CREDENTIALS_MESSAGE.search(_URL.sub("", message)):
        return Reason.CREDENTIALS_INVALID
    return Reason.AWS_UNREACHABLE if _UNREACHABLE_MESSAGE.search(message) else Reason.AWS_ERROR


def _is_about_keys(code: str, message: str) -> bool:
    """Whether the quota is that of a user's access keys. For a task that handles a key, only the code is known."""
    return code == "LimitExceeded" and (_KEY_QUOTA in message or not message)


def _is_refused_deletion(code: str, message: str) -> bool:
    """Whether AWS refuses to delete a bucket for a permanent reason that has no code in the tables above."""
    found = _CLIENT_ERROR_MESSAGE.search(message)
    is_deletion = found is not None and found[2] == "DeleteBucket"
    return is_deletion and code not in _PASSING_CODES and not code.startswith("5")


def unknown(verb: str, error: BaseException) -> UnknownStateError:
    """A typed error "failed to <verb>" for a botocore error."""
    failed = f"failed to {verb}"
    if isinstance(error, ResponseParserError):
        # botocore's message quotes the answer, which does not show the cause and may come from any server.
        return UnknownStateError(Reason.AWS_ERROR, f"{failed}: the answer cannot be parsed", failed)
    if isinstance(error, OSError):
        files = "check the files that AWS_WEB_IDENTITY_TOKEN_FILE, AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name"
        return UnknownStateError(Reason.CREDENTIALS_INVALID, f"{failed}: {error}: {files}", failed)
    code, text = code_of(error), f"{error}{_arguments_of(error)}"
    return UnknownStateError(reason_of(code, text), with_field(code, f"{failed}: {text}"), failed)


def content_of(answer: ApiObject, name: str, verb: str) -> list[ApiObject]:
    """A list that each answer to a request has. botocore leaves it out of an answer that was empty, as of a proxy.

    :raises UnknownStateError: for an answer without it
    """
    if name not in answer:
        raise UnknownStateError(Reason.AWS_ERROR, f"failed to {verb}: the answer has no {name}")
    found: list[ApiObject] = answer[name]
    return found


@contextmanager
def failing_to(verb: str) -> Iterator[None]:
    """A context that turns errors of AWS into errors with a reason.

    :raises ReconcileError: for an error of AWS
    """
    try:
        yield
    except AWS_ERRORS as error:
        raise unknown(verb, error) from error


def _arguments_of(error: BaseException) -> str:
    """The targets of notifications that S3 refuses, each with the cause: S3 answers them beside its message."""
    answer = error.response.get("Error", {}) if isinstance(error, ClientError) else {}
    names = sorted(str(key) for key in answer if _ARGUMENT_NAME.fullmatch(str(key)))
    values = [(answer[name], answer.get(name.replace("Name", "Value", 1), "")) for name in names[:_MAX_ARGUMENTS]]
    # The name is "ARN, null".
    return "".join(f"; {str(name).removesuffix(', null')}: {value}" for name, value in values)


def is_nowhere(region: str, error: BaseException | None) -> bool:
    """Whether AWS cannot be reached because the region does not exist.

    False for a region that botocore knows. False also where the endpoint of the region answers: a new region has one
    before botocore knows it. False also where another endpoint than AWS's own is set.
    """
    if not isinstance(error, EndpointConnectionError):
        return False
    host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).hostname or ""
    partition = partition_of(region)
    is_aws = host.endswith(tuple(f".{region}.{name}" for name in (partition.dns_suffix, partition.dual_stack_suffix)))
    return is_aws and not is_known(region)


# OSError: when a credentials file cannot be read, botocore does not catch the error. Any request may raise it.
AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError, OSError)
