# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The exceptions of the core, and which AWS error leads to which reason."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from .outcome import Outcome, Reason, Retry
from .regions import is_known, partition_of

try:
    from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError
    from botocore.parsers import ResponseParserError
except ImportError:  # reported by AnsibleAWSModule with the usual hint

    class BotoCoreError(Exception):  # type: ignore[no-redef]
        """Stands in where botocore is missing."""

    class ClientError(Exception):  # type: ignore[no-redef]
        """Stands in where botocore is missing."""

    class EndpointConnectionError(BotoCoreError):  # type: ignore[no-redef,misc]
        """Stands in where botocore is missing."""

    class ResponseParserError(Exception):  # type: ignore[no-redef]
        """Stands in where botocore is missing."""


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
    ),
    # Those that botocore takes for it; of HEAD, which has no text, only the status is known.
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
# The field of the spec that an error code speaks of.
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
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/MultiFactorAuthenticationDelete.html: AWS answers AccessDenied,
# "Mfa Authentication must be used for this request".
_MFA_MESSAGE = "mfa authentication must be used"
# What a person can do about a reason, for the message.
_REMEDIES = {
    Reason.ACCESS_POINTS_ATTACHED: "the bucket has access points: delete them first (aws s3control list-access-points "
    "--bucket, delete-access-point), or set deletionPolicy: Retain",
    Reason.MFA_REQUIRED: "MFA Delete is enabled on the bucket: only the account's root user, with the MFA device, can "
    "delete its versions or disable MFA Delete (aws s3api put-bucket-versioning --mfa); or set deletionPolicy: Retain",
    Reason.DELETION_REFUSED: "AWS does not delete the bucket: remove what its answer names, or set deletionPolicy: "
    "Retain",
}
_CLOCK = "the clock of the machine that the operator runs on is wrong: synchronize it"
# The same, where AWS has one code for several causes. What is in the message for one of them.
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
# https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html names no texts: "Cannot exceed quota for
# UsersPerAccount: 5000" is what IAM answers, with the names of GetAccountSummary.
_QUOTA_MESSAGE = re.compile(r"quota for (\w{1,64})")
_KEY_QUOTA = "AccessKeysPerUser"
_CREDENTIALS_MESSAGE = re.compile(r"credential|profile|InvalidIdentityToken|AssumeRole", re.IGNORECASE)
# A bucket's name is in it, and so any word.
_URL = re.compile(r"https?://\S*")
_UNREACHABLE_MESSAGE = re.compile(r"connect|timed? ?out|endpoint|resolve|SSL|proxy|closed|reset by peer", re.IGNORECASE)


class ReconcileError(Exception):
    """The object cannot be reconciled now."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = Reason.parse(reason)
        self.message = message

    @property
    def retry(self) -> Retry:
        """When it is worth trying again."""
        return self.reason.retry

    @property
    def outcome(self) -> Outcome:
        """The outcome of a run or a check that ends with this error."""
        return Outcome.failure(self.reason, self.message)


class UnknownStateError(ReconcileError):
    """AWS did not say what is there: never to be taken as absent."""


class ForbiddenError(ReconcileError):
    """Kubernetes does not let the operator read a Secret, a Service or a namespace (403)."""


class NoSuchNamespaceError(ReconcileError):
    """The object's namespace does not exist, so Kubernetes would store neither its Secret nor its Service."""

    def __init__(self, namespace: str) -> None:
        super().__init__(
            Reason.KUBERNETES_ERROR,
            f"metadata.namespace: namespace {namespace} does not exist: create it (kubectl create namespace "
            f"{namespace}), or correct the field. Nothing was changed",
        )


class NoSuchRegionError(ReconcileError):
    """A region where nothing of ours can be: it has no endpoint, or does not know our credentials.

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


def code_in(code: str, message: str) -> str:
    """The AWS error code that was told, or else stands in the message; an empty string for none."""
    # amazon.aws.s3_bucket lets errors of PutBucketOwnershipControls through: then the code is only in the traceback.
    found = None if code else _CLIENT_ERROR_MESSAGE.search(message)
    return found[1] if found else code


def with_field(code: str, message: str) -> str:
    """The message, which begins with the field of the spec that AWS refuses, or else with what to do, if known."""
    field = _FIELD_OF_CODE.get(code_in(code, message))
    if field:
        return f"{field}: AWS refuses it: {message}"
    return with_remedy(reason_of(code, message), message)


def with_remedy(reason: Reason, message: str) -> str:
    """The message, which begins with what a person can do about the reason, where that is known."""
    if reason == Reason.QUOTA_EXCEEDED:
        quota = _QUOTA_MESSAGE.search(message)
        named = f"AWS quota {quota[1]}" if quota else "a quota of AWS"
        return f"{named} is used up: delete what is not needed, or have AWS raise it: {message}"
    remedy = next((text for part, text in _REMEDIES_OF_MESSAGES.items() if part in message), _REMEDIES.get(reason))
    return f"{remedy}: {message}" if remedy else message


def reason_of(code: str, message: str) -> Reason:
    """The reason for an AWS error code; for an error without one, told by botocore's message."""
    code = code_in(code, message)
    if code:
        reason = _REASON.get(code, Reason.AWS_ERROR)
        if reason == Reason.QUOTA_EXCEEDED and _is_about_keys(code, message):
            return Reason.TOO_MANY_KEYS
        if reason == Reason.WAITING_FOR_IAM and "Scope ARN: " in message:
            # Not what IAM does not show yet, but a policy that nobody created.
            return Reason.AWS_ERROR
        if reason == Reason.ACCESS_DENIED and _MFA_MESSAGE in message.lower():
            return Reason.MFA_REQUIRED
        return Reason.DELETION_REFUSED if reason == Reason.AWS_ERROR and _is_refused_deletion(code, message) else reason
    if _CREDENTIALS_MESSAGE.search(_URL.sub("", message)):
        return Reason.CREDENTIALS_INVALID
    return Reason.AWS_UNREACHABLE if _UNREACHABLE_MESSAGE.search(message) else Reason.AWS_ERROR


def _is_about_keys(code: str, message: str) -> bool:
    """Whether the quota is that of a user's access keys. Of a task that touches a key only the code is known."""
    return code == "LimitExceeded" and (_KEY_QUOTA in message or not message)


def _is_refused_deletion(code: str, message: str) -> bool:
    """Whether AWS refuses to delete a bucket for a reason that has no code here, and will go on to."""
    found = _CLIENT_ERROR_MESSAGE.search(message)
    is_deletion = found is not None and found[2] == "DeleteBucket"
    return is_deletion and code not in _PASSING_CODES and not code.startswith("5")


def unknown(verb: str, error: BaseException) -> UnknownStateError:
    """A typed error "failed to <verb>" for a botocore error."""
    if isinstance(error, ResponseParserError):
        # Its text holds the answer, which says nothing about the cause and may be anybody's.
        return UnknownStateError(Reason.AWS_ERROR, f"failed to {verb}: the answer cannot be parsed")
    if isinstance(error, OSError):
        files = "check the files that AWS_WEB_IDENTITY_TOKEN_FILE, AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE name"
        return UnknownStateError(Reason.CREDENTIALS_INVALID, f"failed to {verb}: {error}: {files}")
    code = code_of(error)
    return UnknownStateError(reason_of(code, str(error)), with_field(code, f"failed to {verb}: {error}"))


def is_nowhere(region: str, error: BaseException | None) -> bool:
    """Whether it is the region that keeps AWS from being reached.

    A region that botocore knows is never blamed, nor one with an endpoint of its own that answers, which a new region
    has before botocore knows it, nor any where another endpoint than AWS's own is set.
    """
    if not isinstance(error, EndpointConnectionError):
        return False
    host = urlsplit(str(error.kwargs.get("endpoint_url", ""))).hostname or ""
    partition = partition_of(region)
    is_aws = host.endswith(tuple(f".{region}.{name}" for name in (partition.dns_suffix, partition.dual_stack_suffix)))
    return is_aws and not is_known(region)


# OSError: botocore lets it through for a file of the credentials that cannot be read, at any request.
AWS_ERRORS = (ClientError, BotoCoreError, ResponseParserError, OSError)
