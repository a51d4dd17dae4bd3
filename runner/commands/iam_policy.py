"""The least rights that the operator needs in AWS, as an IAM policy for given settings.

One table lists the actions and their resources. ``docs/iam-policy.json`` is this policy for the settings that
docs/install/aws-permissions.md names. ``tests/role/test_iam_policy.py`` runs everything with exactly this policy, and
then without each of its actions in turn.
sts:GetCallerIdentity is requested too, and needs no right:
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

import click

from runner.commands.options import all_matching, matching
from s3bucket.json_types import Json, JsonObject
from s3bucket.settings import ALL as ALL_SETTINGS
from s3bucket.users import BOUNDARY, GROUP, PATH

ACCOUNT = re.compile(r"\d{12}", re.ASCII)
PARTITION = re.compile(r"aws(-[a-z]+)*")
PREFIX = re.compile(r"[a-z0-9][a-z0-9.-]*")

# The actions on the bucket itself and its settings.
_BUCKETS = (
    *sorted({item.action for one in ALL_SETTINGS for item in (one.read.operation, *one.writes)}),
    # Whoever has the bucket's key may enable ABAC. Then tags are written with TagResource and UntagResource.
    "s3:GetBucketAbac",
    "s3:UntagResource",
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:GetBucketTagging",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:PutBucketTagging",
    "s3:TagResource",
)
# The actions that empty a bucket. None of them reads the content of an object.
_OBJECTS = ("s3:AbortMultipartUpload", "s3:DeleteObjectVersion", "s3:GetObjectRetention")
# Actions without a resource.
_ACCOUNT = ("iam:GetAccountAuthorizationDetails", "s3:ListAllMyBuckets")
# Not limited by path: IAM cannot check the path of a user that does not exist yet, and a user with another path must be
# reported as a Conflict.
_ALL_USERS = (
    "iam:GetUser",
    "iam:GetUserPolicy",
    "iam:ListAccessKeys",
    "iam:ListAttachedUserPolicies",
    "iam:ListGroupsForUser",
    "iam:ListUserPolicies",
)
_USERS = (
    "iam:CreateAccessKey",
    "iam:DeleteAccessKey",
    "iam:DeleteUser",
    "iam:DeleteUserPolicy",
    "iam:DetachUserPolicy",
    "iam:GetLoginProfile",
    "iam:ListMFADevices",
    "iam:ListSSHPublicKeys",
    "iam:ListServiceSpecificCredentials",
    "iam:ListSigningCertificates",
    "iam:TagUser",
    "iam:UntagUser",
    "iam:UpdateAccessKey",
)
# The actions that give a user rights. With a boundary, only on users that have it.
_BOUND_USERS = ("iam:CreateUser", "iam:PutUserPolicy")
_BINDING = ("iam:PutUserPermissionsBoundary",)


@dataclass(frozen=True)
class PolicySettings:
    """The limits of the policy. An empty prefix, path or boundary limits nothing."""

    account: str
    bucket_prefix: str = ""
    iam_path: str = ""
    permissions_boundary: str = ""
    partition: str = "aws"
    allowed_groups: tuple[str, ...] = ()


def policy_for(settings: PolicySettings) -> JsonObject:
    """The policy document. It fits into a managed policy (6144 characters without white space)."""
    buckets = f"arn:{settings.partition}:s3:::{settings.bucket_prefix}*"
    users = f"arn:{settings.partition}:iam::{settings.account}:user"
    managed = f"{users}{settings.iam_path or '/'}*"
    # IfExists: a bucket that does not exist yet has no account.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    in_account: dict[str, dict[str, Json]] = {"StringEqualsIfExists": {"s3:ResourceAccount": settings.account}}
    boundary = settings.permissions_boundary
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate
    is_bound: dict[str, dict[str, Json]] = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else {}
    groups = [f"arn:{settings.partition}:iam::{settings.account}:group/{name}" for name in settings.allowed_groups]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("Buckets", _BUCKETS, buckets, in_account),
            _allow("Objects", _OBJECTS, f"{buckets}/*", in_account),
            _allow("Account", _ACCOUNT, "*"),
            _allow("AllUsers", _ALL_USERS, f"{users}/*"),
            _allow("Users", _USERS, managed),
            _allow("UsersWithinTheirBoundary", _BOUND_USERS + (_BINDING if boundary else ()), managed, is_bound),
            # A user can be deleted only when it is in no group.
            *([_allow("Groups", ("iam:RemoveUserFromGroup",), groups)] if groups else []),
        ],
    }


def _allow(
    sid: str,
    actions: tuple[str, ...],
    resource: str | list[str],
    condition: Mapping[str, dict[str, Json]] | None = None,
) -> JsonObject:
    resources: Json = resource if isinstance(resource, str) else [*resource]
    statement: JsonObject = {"Sid": sid, "Effect": "Allow", "Action": [*sorted(actions)], "Resource": resources}
    return {**statement, "Condition": {**condition}} if condition else statement


@click.command("iam-policy")
@click.option("--account", required=True, callback=matching(ACCOUNT), help="The AWS account's number.")
@click.option("--bucket-prefix", default="", callback=matching(PREFIX),
              help="Only buckets whose names begin with it. Default: all of the account.")  # fmt: skip
@click.option("--iam-path", default="", callback=matching(PATH),
              help="Only users of this path: the operator's own --iam-path. Default: all users.")  # fmt: skip
@click.option("--permissions-boundary", default="", callback=matching(BOUNDARY),
              help="Only users with it get rights: the operator's own --permissions-boundary. "
                   "Default: all.")  # fmt: skip
@click.option("--allowed-group", "allowed_groups", multiple=True, callback=all_matching(GROUP),
              help="The operator's own --allowed-group: from these it may remove users that it deletes.")  # fmt: skip
@click.option("--partition", default="aws", show_default=True, callback=matching(PARTITION),
              help="The partition of the account's ARNs, as aws-cn, aws-us-gov or aws-eusc.")  # fmt: skip
def print_iam_policy(
    account: str,
    bucket_prefix: str,
    iam_path: str,
    permissions_boundary: str,
    allowed_groups: tuple[str, ...],
    partition: str,
) -> None:
    """Print the least rights that the operator needs in AWS, as an IAM policy."""
    settings = PolicySettings(account, bucket_prefix, iam_path, permissions_boundary, partition, allowed_groups)
    click.echo(json.dumps(policy_for(settings), indent=2))
