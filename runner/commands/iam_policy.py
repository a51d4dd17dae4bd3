"""The least rights that the operator needs in AWS, as an IAM policy for given settings.

One table: what is asked of AWS, on what. ``docs/iam-policy.json`` is this policy for the settings that
docs/install/aws-permissions.md names; ``tests/role/test_iam_policy.py`` runs everything with exactly it, and takes each
action out of it in turn.
sts:GetCallerIdentity is asked too, and needs no right:
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from s3bucket.settings import ALL as ALL_SETTINGS

ACCOUNT = re.compile(r"\d{12}", re.ASCII)
PARTITION = re.compile(r"aws(-[a-z]+)*")
PREFIX = re.compile(r"[a-z0-9][a-z0-9.-]*")
# As the role's users.py has them: AWS allows more in a path; what is a pattern in a policy is left out.
PATH = re.compile(r"/([A-Za-z0-9+=,.@_-]+/)*")
BOUNDARY = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", re.ASCII)
GROUP = re.compile(r"[\w+=.@-]{1,128}", re.ASCII)
# As the role's spec.py has them: what both S3 and IAM take in a tag.
TAG_KEY = re.compile(r"(?!aws:|agill\.apps/|__ansible)[\w .:/=+@-]{1,128}", re.IGNORECASE)
TAG_VALUE = re.compile(r"[\w .:/=+@-]{0,256}")
MAX_TAGS = 20

# What the bucket itself takes, and its settings.
_BUCKETS = (
    *sorted({item.action for one in ALL_SETTINGS for item in (one.read.operation, *one.writes)}),
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:GetBucketTagging",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:PutBucketTagging",
    "s3:TagResource",
)
# What empties a bucket. None of it reads what is in an object.
_OBJECTS = ("s3:AbortMultipartUpload", "s3:DeleteObjectVersion", "s3:GetObjectRetention")
# These know no resource.
_ACCOUNT = ("iam:GetAccountAuthorizationDetails", "s3:ListAllMyBuckets")
# A user that is not there yet has no path by which IAM could tell that it would be ours; and one of another
# path is to be told as a Conflict.
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
# What gives a user rights: with a boundary, only to users that have it.
_BOUND_USERS = ("iam:CreateUser", "iam:PutUserPolicy")
_BINDING = ("iam:PutUserPermissionsBoundary",)


@dataclass(frozen=True)
class PolicySettings:
    """What the policy is limited to. An empty prefix, path or boundary limits nothing."""

    account: str
    bucket_prefix: str = ""
    iam_path: str = ""
    permissions_boundary: str = ""
    partition: str = "aws"
    allowed_groups: tuple[str, ...] = ()


def policy_for(settings: PolicySettings) -> dict[str, Any]:
    """The policy document. It fits into a managed policy (6144 characters without white space)."""
    buckets = f"arn:{settings.partition}:s3:::{settings.bucket_prefix}*"
    users = f"arn:{settings.partition}:iam::{settings.account}:user"
    ours = f"{users}{settings.iam_path or '/'}*"
    # IfExists: of a bucket that is yet to be made there is no account.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    in_account = {"StringEqualsIfExists": {"s3:ResourceAccount": settings.account}}
    boundary = settings.permissions_boundary
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate
    is_bound = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else {}
    groups = [f"arn:{settings.partition}:iam::{settings.account}:group/{name}" for name in settings.allowed_groups]
    return {
        "Version": "2012-10-17",
        "Statement": [
            _allow("Buckets", _BUCKETS, buckets, in_account),
            _allow("Objects", _OBJECTS, f"{buckets}/*", in_account),
            _allow("Account", _ACCOUNT, "*"),
            _allow("AllUsers", _ALL_USERS, f"{users}/*"),
            _allow("Users", _USERS, ours),
            _allow("UsersWithinTheirBoundary", _BOUND_USERS + (_BINDING if boundary else ()), ours, is_bound),
            # A user is deleted only when it is in no group.
            *([_allow("Groups", ("iam:RemoveUserFromGroup",), groups)] if groups else []),
        ],
    }


def _allow(
    sid: str, actions: tuple[str, ...], resource: str | list[str], condition: dict[str, Any] | None = None
) -> Any:
    statement = {"Sid": sid, "Effect": "Allow", "Action": sorted(actions), "Resource": resource}
    return {**statement, "Condition": condition} if condition else statement
