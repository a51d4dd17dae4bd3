# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads IAM roles. Only for S3 objects that have a role, and where the operator's settings allow roles."""

from __future__ import annotations

from collections.abc import Collection

from .capabilities import AWS, Capabilities
from .errors import AWS_ERRORS, code_of, unknown
from .json_types import ApiObject, AwsClient
from .read import boundary_of, pages_of, tags_in
from .read_account import iterate_account
from .state import RoleState


def find_role(iam: AwsClient, name: str) -> RoleState | None:
    """The role with its tags and its trust policy; None when there is none. :func:`read_rights` reads its rights.

    :raises UnknownStateError: when AWS does not return the state
    """
    try:
        found = iam.get_role(RoleName=name)["Role"]
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchEntity":
            return None
        raise unknown(f"read IAM role {name} (iam:GetRole)", error) from error
    return _role_in(found)


def read_rights(iam: AwsClient, name: str, role: RoleState, capabilities: Capabilities = AWS) -> None:
    """Fill in a role's policies. NoSuchEntity means here that IAM is not yet consistent.

    In a store that does not know the managed policies of a role there are none.

    :raises UnknownStateError: when AWS does not return the state
    """
    try:
        if not capabilities.lacks("ListAttachedRolePolicies"):
            attached = pages_of(iam, "list_attached_role_policies", "AttachedPolicies", RoleName=name)
            role.attached = [item["PolicyArn"] for item in attached]
        role.policies = {
            policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"]
            for policy in pages_of(iam, "list_role_policies", "PolicyNames", RoleName=name)
        }
    except AWS_ERRORS as error:
        raise unknown(f"read the rights of IAM role {name} (its policies)", error) from error


def read_all_roles(
    iam: AwsClient, capabilities: Capabilities = AWS, naming: Collection[str] = ()
) -> dict[str, RoleState]:
    """Every role of the account with tags and policies.

    :param naming: as in :func:`read_account.iterate_account`

    :raises UnknownStateError: when AWS does not return the state
    """
    if capabilities.lacks("GetAccountAuthorizationDetails"):
        return _read_each_role(iam, capabilities)
    return {item["RoleName"]: _role_in(item) for item in iterate_account(iam, "Role", naming)}


def _read_each_role(iam: AwsClient, capabilities: Capabilities) -> dict[str, RoleState]:
    try:
        names = [item["RoleName"] for item in pages_of(iam, "list_roles", "Roles")]
    except AWS_ERRORS as error:
        raise unknown("list the IAM roles (iam:ListRoles)", error) from error
    roles = {name: role for name in names if (role := find_role(iam, name)) is not None}
    for name, role in roles.items():
        read_rights(iam, name, role, capabilities)
    return roles


def _role_in(found: ApiObject) -> RoleState:
    """A role as GetRole or GetAccountAuthorizationDetails returns it. Only the latter has its policies."""
    trust = found.get("AssumeRolePolicyDocument")
    return RoleState(
        arn=found["Arn"],
        tags=tags_in(found.get("Tags", [])),
        trust=trust if isinstance(trust, dict) else {},
        policies={item["PolicyName"]: item["PolicyDocument"] for item in found.get("RolePolicyList", [])},
        attached=[item["PolicyArn"] for item in found.get("AttachedManagedPolicies", [])],
        boundary=boundary_of(found),
    )
