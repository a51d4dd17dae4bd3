# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Deletes IAM users with everything that they have. Whoever calls it has checked the ownership.

IAM deletes no user that has anything left (DeleteConflict). So on AWS nothing is read before: what the caller knows of
the user is deleted, and then the user. Only after a DeleteConflict is everything that the user has read and deleted.
IAM is eventually consistent, so the conflict may also be about what has just been deleted. A store may delete users
that have keys, which then keep working, so there everything is read first.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from . import user_record
from .capabilities import AWS, Capabilities
from .errors import AWS_ERRORS, ReconcileError, code_of, failing_to, reason_of
from .json_types import AwsClient
from .outcome import Reason
from .read import list_keys, pages_of

# The credentials beside access keys that keep a user from being deleted: the request that lists them, its result, the
# field with the id, which is also the argument of the second request, and that request. The operator creates none.
_CREDENTIALS = (
    ("list_ssh_public_keys", "SSHPublicKeys", "SSHPublicKeyId", "delete_ssh_public_key"),
    (
        "list_service_specific_credentials",
        "ServiceSpecificCredentials",
        "ServiceSpecificCredentialId",
        "delete_service_specific_credential",
    ),
    ("list_signing_certificates", "Certificates", "CertificateId", "delete_signing_certificate"),
    ("list_mfa_devices", "MFADevices", "SerialNumber", "deactivate_mfa_device"),
)

# What AWS names in its answer: "Cannot delete entity, must delete MFA device first." No document has these texts.
_GIVEN_BY_OTHERS = ("login profile", "mfa device", "certificate")
_READ_BEFORE = ("access key", "polic", "group")


class _Answer(NamedTuple):
    """The answer to DeleteUser: whether there was a user, which is deleted now, or the error that it has something."""

    existed: bool
    conflict: Exception | None = None


def delete(
    iam: AwsClient,
    name: str,
    capabilities: Capabilities = AWS,
    *,
    keys: Iterable[str] = (),
    policies: Iterable[str] = (),
) -> bool:
    """Delete a user; return whether there was one.

    :param keys: the ids of access keys that it may have
    :param policies: the names of inline policies that it may have
    :raises ReconcileError: for an error of AWS; when the user still has something: WaitingForIAM, or AccessDenied where
        others have given it something that the operator has no right to delete
    """
    with failing_to(f"delete IAM user {name} (iam:DeleteUser)"):
        if not capabilities.is_aws:
            return _delete_in_store(iam, name, capabilities)
        # Keys first, because after this no one can write any more.
        found = [_ensure_absent(iam.delete_access_key, UserName=name, AccessKeyId=key) for key in keys]
        found += [_ensure_absent(iam.delete_user_policy, UserName=name, PolicyName=policy) for policy in policies]
        answer = _try_delete(iam, name)
        if answer.conflict is None:
            return answer.existed
    with failing_to(f"delete what IAM user {name} still has ({answer.conflict})"):
        found += _empty(iam, name, AWS)
        answer = _try_delete(iam, name)
        if answer.conflict is None:
            return answer.existed
        denied = _delete_credentials(iam, name)
        answer = _try_delete(iam, name)
    if answer.conflict is not None:
        raise _refusal(name, answer.conflict, denied, has_deleted=any(found)) from answer.conflict
    return answer.existed


def _delete_in_store(iam: AwsClient, name: str, capabilities: Capabilities) -> bool:
    try:
        iam.get_user(UserName=name)
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchEntity":
            return False
        raise
    _empty(iam, name, capabilities)
    iam.delete_user(UserName=name)
    return True


def _empty(iam: AwsClient, name: str, capabilities: Capabilities) -> list[bool]:
    """Delete everything that a user of the operator can have. Returns of each thing whether it existed."""
    user = {"UserName": name}
    found = [_ensure_absent(iam.delete_access_key, **user, AccessKeyId=key) for key in list_keys(iam, name)]
    if not capabilities.lacks("ListAttachedUserPolicies"):
        for policy in pages_of(iam, "list_attached_user_policies", "AttachedPolicies", **user):
            found.append(_ensure_absent(iam.detach_user_policy, **user, PolicyArn=policy["PolicyArn"]))
    if not capabilities.lacks("ListGroupsForUser"):
        for group in pages_of(iam, "list_groups_for_user", "Groups", **user):
            found.append(_ensure_absent(iam.remove_user_from_group, **user, GroupName=group["GroupName"]))
    # The record is the last one: it may be what shows the user's owner.
    for policy_name in sorted(pages_of(iam, "list_user_policies", "PolicyNames", **user), key=_is_record):
        found.append(_ensure_absent(iam.delete_user_policy, **user, PolicyName=policy_name))
    return found


def _is_record(policy_name: str) -> bool:
    return policy_name == user_record.POLICY


def _delete_credentials(iam: AwsClient, name: str) -> list[str]:
    """Delete what others may have given the user. Returns the actions that AWS denies: the operator needs no right."""
    denied = []
    for listing, field, id_field, deletion in _CREDENTIALS:
        try:
            for item in pages_of(iam, listing, field, UserName=name):
                _ensure_absent(getattr(iam, deletion), UserName=name, **{id_field: item[id_field]})
        except AWS_ERRORS as error:
            denied.append(_denied_in(error))
    try:
        _ensure_absent(iam.delete_login_profile, UserName=name)
    except AWS_ERRORS as error:
        denied.append(_denied_in(error))
    return denied


def _denied_in(error: Exception) -> str:
    """The action that AWS denied. Raises any other error."""
    if reason_of(code_of(error), str(error)) != Reason.ACCESS_DENIED:
        raise error
    return f"iam:{getattr(error, 'operation_name', '')}"


def _refusal(name: str, conflict: Exception, denied: list[str], *, has_deleted: bool) -> ReconcileError:
    """Why a user cannot be deleted now. Its keys, policies and groups were read, and are deleted."""
    message = f"failed to delete IAM user {name}: {conflict}. It has no key, policy or group any more"
    if not denied or _is_passing(str(conflict).lower(), has_deleted=has_deleted):
        return ReconcileError(Reason.WAITING_FOR_IAM, f"{message}, which AWS may not know yet: it is tried again")
    return ReconcileError(
        Reason.ACCESS_DENIED,
        f"{message}. If others gave it something else, such as a password or an MFA device, delete that: the operator "
        f"has no right to ({', '.join(denied)})",
    )


def _is_passing(conflict: str, *, has_deleted: bool) -> bool:
    """Whether a conflict is about what the operator has deleted, so that it ends when AWS knows that."""
    if any(text in conflict for text in _GIVEN_BY_OTHERS):
        return False
    return has_deleted or any(text in conflict for text in _READ_BEFORE)


def _try_delete(iam: AwsClient, name: str) -> _Answer:
    try:
        iam.delete_user(UserName=name)
    except AWS_ERRORS as error:
        code = code_of(error)
        if code not in ("NoSuchEntity", "DeleteConflict"):
            raise
        return _Answer(False, error if code == "DeleteConflict" else None)
    return _Answer(True)


def _ensure_absent(request: Callable[..., object], **arguments: str) -> bool:
    """Delete something; return whether it existed."""
    try:
        request(**arguments)
    except AWS_ERRORS as error:
        if code_of(error) != "NoSuchEntity":
            raise
        return False
    return True
