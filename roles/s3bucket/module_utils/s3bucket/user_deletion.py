# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Deletes IAM users with everything that they have. Whoever calls it has checked the ownership.

IAM deletes no user that has anything left (DeleteConflict). So on AWS nothing is read before: what the caller knows of
the user is deleted, and then the user. Only after a DeleteConflict is everything that the user has read and deleted. A
store may delete users that have keys, which then keep working, so there everything is read first.
https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

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
    :raises ReconcileError: for an error of AWS; WaitingForIAM or AccessDenied when the user still has something
    """
    with failing_to(f"delete IAM user {name} (iam:DeleteUser)"):
        if not capabilities.is_aws:
            return _delete_in_store(iam, name, capabilities)
        # Keys first, because after this no one can write any more.
        for key in keys:
            _ensure_absent(iam.delete_access_key, UserName=name, AccessKeyId=key)
        for policy in policies:
            _ensure_absent(iam.delete_user_policy, UserName=name, PolicyName=policy)
        if (is_deleted := _try_delete(iam, name)) is not None:
            return is_deleted
        _empty(iam, name, AWS)
        if (is_deleted := _try_delete(iam, name)) is not None:
            return is_deleted
        denied = _delete_credentials(iam, name)
        return _delete_last(iam, name, denied)


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


def _empty(iam: AwsClient, name: str, capabilities: Capabilities) -> None:
    """Delete everything that a user of the operator can have."""
    user = {"UserName": name}
    for key in list_keys(iam, name):
        _ensure_absent(iam.delete_access_key, **user, AccessKeyId=key)
    if not capabilities.lacks("ListAttachedUserPolicies"):
        for policy in pages_of(iam, "list_attached_user_policies", "AttachedPolicies", **user):
            _ensure_absent(iam.detach_user_policy, **user, PolicyArn=policy["PolicyArn"])
    if not capabilities.lacks("ListGroupsForUser"):
        for group in pages_of(iam, "list_groups_for_user", "Groups", **user):
            _ensure_absent(iam.remove_user_from_group, **user, GroupName=group["GroupName"])
    # The record is the last one: it may be what shows the user's owner.
    for policy_name in sorted(pages_of(iam, "list_user_policies", "PolicyNames", **user), key=_is_record):
        _ensure_absent(iam.delete_user_policy, **user, PolicyName=policy_name)


def _is_record(policy_name: str) -> bool:
    return policy_name == user_record.POLICY


def _delete_credentials(iam: AwsClient, name: str) -> list[str]:
    """Delete what others may have given the user. Returns the requests that AWS denies: the operator needs no right."""
    denied = []
    for listing, field, id_field, deletion in _CREDENTIALS:
        try:
            for item in pages_of(iam, listing, field, UserName=name):
                _ensure_absent(getattr(iam, deletion), UserName=name, **{id_field: item[id_field]})
        except AWS_ERRORS as error:
            _check_denied(error)
            denied.append(listing)
    try:
        _ensure_absent(iam.delete_login_profile, UserName=name)
    except AWS_ERRORS as error:
        _check_denied(error)
        denied.append("delete_login_profile")
    return denied


def _check_denied(error: Exception) -> None:
    if reason_of(code_of(error), str(error)) != Reason.ACCESS_DENIED:
        raise error


def _delete_last(iam: AwsClient, name: str, denied: list[str]) -> bool:
    try:
        iam.delete_user(UserName=name)
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchEntity":
            return False
        if code_of(error) != "DeleteConflict" or not denied:
            raise
        raise ReconcileError(
            Reason.ACCESS_DENIED,
            f"IAM user {name} has something that others gave it, such as a password or an MFA device, and the operator "
            f"has no right to delete that: delete it: {error}",
        ) from error
    return True


def _try_delete(iam: AwsClient, name: str) -> bool | None:
    """Whether there was a user, which is deleted now; None for one that has anything left."""
    try:
        iam.delete_user(UserName=name)
    except AWS_ERRORS as error:
        code = code_of(error)
        if code in ("NoSuchEntity", "DeleteConflict"):
            return False if code == "NoSuchEntity" else None
        raise
    return True


def _ensure_absent(request: Callable[..., object], **arguments: str) -> None:
    try:
        request(**arguments)
    except AWS_ERRORS as error:
        if code_of(error) != "NoSuchEntity":
            raise
