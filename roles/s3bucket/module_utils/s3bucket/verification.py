# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Verifies an access key: signs requests for its bucket with the key itself, and returns what AWS answers.

A denial is not an invalid key: AWS authenticates a request before it authorizes it, so a key with denied requests is
valid. The caller makes the client with the key pair. Nothing in here has a secret, and no result has one.

``Access`` only reads: the list of the objects, or, for a user that may not list them, the bucket's region.
``ReadWrite`` writes one object, reads and deletes it, as far as the user's access mode allows that. In a bucket with
versions, the user's deletion adds a delete marker. Then the operator deletes both versions with its own key, which may
list and delete versions to empty buckets, and also those that an operator has left that was killed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from http import HTTPStatus

from .capabilities import bucket_arguments
from .errors import AWS_ERRORS, UNSUPPORTED_CODES, ClientError, ReconcileError, code_of, reason_of, unknown
from .json_types import ApiObject, AwsClient
from .outcome import Reason

NEVER, ACCESS, READ_WRITE = "Never", "Access", "ReadWrite"
MODES = (NEVER, ACCESS, READ_WRITE)
FOLDER = ".s3-operator/"
"""Where the object is written, below the user's prefix."""
_MAX_MESSAGE = 600
# The access modes of a user that may do more or less than list, read, write and delete objects.
_MAY_NOT_LIST, _MAY_NOT_WRITE, _MAY_NOT_DELETE = ("WriteOnly",), ("ReadOnly",), ("WriteOnly",)
_NO_LOCK_CODES = ("ObjectLockConfigurationNotFoundError", *UNSUPPORTED_CODES)
# The id of an object's only version in a bucket without versions.
_NULL_VERSION = "null"
# The versions of killed verifications that one verification deletes.
_MAX_LEFT = 20
_CONTENT = b"written by s3-operator to verify an access key\n"
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
    :ivar is_answer: False where AWS did not answer, or could not: then nothing is known
    :ivar leaves_object: whether the object that was written could not be deleted
    """

    ok: bool
    reason: Reason
    message: str
    key: KeyState
    is_answer: bool = True
    leaves_object: bool = False


@dataclass(frozen=True)
class Target:
    """Where a key is verified, and as what.

    :ivar owner: the value of ExpectedBucketOwner (``Capabilities.owner_of``); empty to leave it out
    :ivar prefix: of the objects that the user has access to; empty for all
    :ivar access_mode: of the user
    :ivar object_name: of the object that is written, unique to the S3 object: no application has one of this name
    """

    bucket: str
    owner: str
    prefix: str = ""
    access_mode: str = "Full"
    object_name: str = ""

    @property
    def owned(self) -> dict[str, str]:
        """The arguments of each request that name the bucket."""
        return bucket_arguments(self.bucket, self.owner)

    @property
    def of_object(self) -> dict[str, str]:
        """The arguments of each request for the object that is written."""
        return {**self.owned, "Key": f"{self.prefix}{FOLDER}{self.object_name}"}


def verify_access(s3: AwsClient, target: Target) -> Verification:
    """Verify that the key has access to the bucket. Reads no object, and writes nothing.

    :param s3: a client with the key pair
    """
    if target.access_mode in _MAY_NOT_LIST:
        return _try(lambda: s3.get_bucket_location(**target.owned), "s3:GetBucketLocation")
    if not target.prefix:
        try:
            s3.head_bucket(**target.owned)
        except AWS_ERRORS as error:
            if not code_of(error).isdigit():
                return failed("s3:ListBucket", error)
            # The answer to a HEAD request has only a status: one with the same permission returns code and message.
        else:
            return verified()
    return _try(lambda: s3.list_objects_v2(**target.owned, Prefix=target.prefix, MaxKeys=1), "s3:ListBucket")


def verify_writing(s3: AwsClient, operator: AwsClient, target: Target) -> Verification:
    """Verify access, and then that the key may write, read and delete an object, where its access mode allows that.

    :param s3: a client with the key pair
    :param operator: a client with the operator's own key
    """
    found = verify_access(s3, target)
    if not found.ok or target.access_mode in _MAY_NOT_WRITE:
        return found
    problem = _find_obstacle(operator, target)
    if problem is not None:
        return problem
    try:
        written = s3.put_object(**target.of_object, Body=_CONTENT)
    except AWS_ERRORS as error:
        return failed("s3:PutObject", error)
    has_versions = "VersionId" in written
    left = {str(written.get("VersionId") or _NULL_VERSION)}
    found = _use_object(s3, target, left, has_versions=has_versions)
    left |= _find_versions(operator, target) if has_versions else set()
    return _delete_versions(operator, target, left) or found


def _find_versions(operator: AwsClient, target: Target) -> set[str]:
    """The versions of the object that a killed operator has left; none where AWS does not list them.

    Without this, each of them would stay, and a bucket with one of them is not empty. At most a few at a time: whoever
    has the key may write any number of them.
    """
    key = target.of_object["Key"]
    try:
        listed = operator.list_object_versions(**target.owned, Prefix=key, MaxKeys=_MAX_LEFT)
    except AWS_ERRORS:
        return set()
    items = [*listed.get("Versions", []), *listed.get("DeleteMarkers", [])]
    return {str(item["VersionId"]) for item in items if item["Key"] == key}


def _find_obstacle(operator: AwsClient, target: Target) -> Verification | None:
    """Why nothing is written: with object lock, the object could not be deleted. None where there is no object lock."""
    try:
        answer = operator.get_object_lock_configuration(**target.owned)
    except AWS_ERRORS as error:
        if code_of(error) in _NO_LOCK_CODES:
            return None
        return failed("s3:GetBucketObjectLockConfiguration", error)
    if answer.get("ObjectLockConfiguration", {}).get("ObjectLockEnabled") != "Enabled":
        return None
    message = "the bucket has object lock: no object was written, since it might never be deleted"
    return Verification(True, Reason.VERIFIED, message, KeyState.VALID)


def _use_object(s3: AwsClient, target: Target, left: set[str], *, has_versions: bool) -> Verification:
    """Read and delete the object that was written.

    :param left: the versions that the operator still has to delete; changed by this function
    """
    if target.access_mode in _MAY_NOT_DELETE:
        return verified()
    found = _try(lambda: s3.get_object(**target.of_object)["Body"].read(len(_CONTENT)), "s3:GetObject")
    try:
        deleted: ApiObject = s3.delete_object(**target.of_object)
    except AWS_ERRORS as error:
        return found if not found.ok else failed("s3:DeleteObject", error)
    if deleted.get("DeleteMarker"):
        left.add(str(deleted.get("VersionId") or _NULL_VERSION))
    elif not has_versions:
        left.clear()
    return found


def _delete_versions(operator: AwsClient, target: Target, versions: set[str]) -> Verification | None:
    """Delete what the user's deletion left. Return the problem; None when nothing is left."""
    for version in sorted(versions):
        try:
            operator.delete_object(**target.of_object, VersionId=version)
        except AWS_ERRORS as error:
            problem = failed("s3:DeleteObjectVersion", error)
            key = target.of_object["Key"]
            message = f"the operator could not delete the object {key} that it wrote with the access key: delete it. "
            return replace(problem, message=f"{message}{problem.message}", leaves_object=True)
    return None


def _try(request: Callable[[], object], action: str) -> Verification:
    try:
        request()
    except AWS_ERRORS as error:
        return failed(action, error)
    return verified()


def verified() -> Verification:
    """The result for a key with requests that AWS allows."""
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
    is_answer = key is not KeyState.UNANSWERED or _is_refusal(reason, error)
    return Verification(False, reason, text[:_MAX_MESSAGE], key, is_answer)


def _is_refusal(reason: Reason, error: BaseException) -> bool:
    """Whether the request would fail again: not where AWS could not answer, or the machine's clock is wrong."""
    if not isinstance(error, ClientError) or reason in (Reason.THROTTLED, Reason.CREDENTIALS_INVALID):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return int(status) < HTTPStatus.INTERNAL_SERVER_ERROR


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


def check_is_valid(found: Verification) -> None:
    """Refuse to use a new key that AWS does not know. That is a matter of IAM, not of the operator's credentials.

    :raises ReconcileError: WaitingForIAM, or the reason why AWS did not answer
    """
    if found.key is not KeyState.VALID:
        reason = Reason.WAITING_FOR_IAM if found.key is KeyState.UNKNOWN_KEY else found.reason
        summary = "the new access key does not work yet"
        raise ReconcileError(reason, f"{summary}: {found.message}", summary)
