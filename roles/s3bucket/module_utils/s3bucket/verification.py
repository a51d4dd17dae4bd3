# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Verifies an access key: signs requests for its bucket with the key itself, and returns what AWS answers.

A denial is not an invalid key: AWS authenticates a request before it authorizes it, so a key whose requests are denied
is valid. The caller makes the client with the key pair. Nothing in here has a secret, and no result has one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from .errors import AWS_ERRORS, code_of, reason_of, unknown
from .json_types import AwsClient
from .outcome import Reason

_MAX_MESSAGE = 600
_FIRST_PAUSE_S, _MAX_PAUSE_S = 0.25, 4.0
# AWS answers them only after it has found out whom the key belongs to. A store may have its own codes.
_DENIALS = (Reason.ACCESS_DENIED,)


class KeyState(Enum):
    """What an answer shows about the key itself."""

    VALID = "valid"
    """AWS knows the key and its secret, whether it allows the request or not."""
    UNKNOWN_KEY = "unknown key"
    """AWS does not know the key, or not its secret: the key is wrong, inactive or deleted, or too new."""
    UNANSWERED = "unanswered"
    """The answer, or its absence, shows nothing about the key."""


@dataclass(frozen=True)
class Verification:
    """What AWS answered to a key's requests.

    :ivar ok: whether AWS allowed all of them
    :ivar reason: Verified, or the reason of the first request that failed
    :ivar message: AWS's own words; never a secret
    """

    ok: bool
    reason: Reason
    message: str
    key: KeyState


@dataclass(frozen=True)
class Target:
    """Where a key is verified. ``prefix``: of the objects that it may list; empty for all."""

    bucket: str
    account: str
    prefix: str = ""


def verify_access(s3: AwsClient, target: Target) -> Verification:
    """Verify that the key may list the bucket. Reads no object, and writes nothing.

    :param s3: a client with the key pair
    """
    owned = {"Bucket": target.bucket, "ExpectedBucketOwner": target.account}
    try:
        if not target.prefix:
            s3.head_bucket(**owned)
            return verified()
    except AWS_ERRORS as error:
        if not code_of(error).isdigit():
            return failed("s3:HeadBucket", error)
        # The answer to a HEAD request has only a status: a request with the same permission returns code and message.
    try:
        s3.list_objects_v2(**owned, Prefix=target.prefix, MaxKeys=1)
    except AWS_ERRORS as error:
        return failed("s3:ListBucket", error)
    return verified()


def verified() -> Verification:
    """The result for a key whose requests AWS allows."""
    return Verification(True, Reason.VERIFIED, "", KeyState.VALID)


def failed(action: str, error: BaseException) -> Verification:
    """The result for a request that failed.

    :param action: the IAM action that the key needs for the request
    """
    reason = reason_of(code_of(error), str(error))
    if reason in _DENIALS:
        key = KeyState.VALID
    elif reason is Reason.CREDENTIALS_INVALID and code_of(error) != "RequestTimeTooSkewed":
        key = KeyState.UNKNOWN_KEY
    else:
        key = KeyState.UNANSWERED
    # The message of an error of botocore has no credentials. unknown() adds remedies that are about the operator's own.
    text = str(error) if code_of(error) else unknown(f"verify the access key ({action})", error).message
    return Verification(False, reason, text[:_MAX_MESSAGE], key)


def wait_until_valid(
    probe: Callable[[], Verification], limit_s: float, clock: Callable[[], float], sleep: Callable[[float], None]
) -> Verification:
    """Verify a new key again and again, until the answer shows that it is valid, or the time is over.

    S3 may not know a key yet that IAM has just created:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    """
    deadline, pause_s = clock() + limit_s, _FIRST_PAUSE_S
    found = probe()
    while found.key is not KeyState.VALID and clock() + pause_s <= deadline:
        sleep(pause_s)
        pause_s = min(2 * pause_s, _MAX_PAUSE_S)
        found = probe()
    return found
