"""Which rights a request needs: its IAM actions, the resource of each, and the condition keys that come with it.

From the Service Authorization Reference:
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsidentityandaccessmanagementiam.html,
and https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html.
A request that is in no table here needs a right that no policy gives, so that a new call is noticed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from moto.iam.models import iam_backends

from s3bucket.settings import ALL as ALL_SETTINGS

from .calls import ACCOUNT, Call
from .rules import find_bucket, is_xml

_S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"
UNKNOWN = "gate:UnknownRequest"

# API operation -> IAM action, where they differ or where it is an object's.
_BUCKET_ACTIONS = {
    "HeadBucket": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "DeleteBucket": "s3:DeleteBucket",
    "TagResource": "s3:TagResource",
    "UntagResource": "s3:UntagResource",
    "GetBucketTagging": "s3:GetBucketTagging",
    "PutBucketTagging": "s3:PutBucketTagging",
    "DeleteBucketTagging": "s3:PutBucketTagging",
    # What tests use to break a bucket.
    "DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls",
    "DeletePublicAccessBlock": "s3:PutBucketPublicAccessBlock",
    # What amazon.aws.s3_bucket asks for.
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
    "GetBucketRequestPayment": "s3:GetBucketRequestPayment",
    "ListBucketInventoryConfigurations": "s3:GetInventoryConfiguration",
    "GetBucketLocation": "s3:GetBucketLocation",
    **{item.name: item.action for one in ALL_SETTINGS for item in (one.read.operation, *one.writes)},
}
_OBJECT_ACTIONS = {
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
    "ListParts": "s3:ListMultipartUploadParts",
    "RestoreObject": "s3:RestoreObject",
    "GetObjectRetention": "s3:GetObjectRetention",
    "PutObjectRetention": "s3:PutObjectRetention",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
}
_OBJECT_ACTIONS_OF_VERSION = {
    "GetObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "HeadObject": ("s3:GetObject", "s3:GetObjectVersion"),
    "DeleteObject": ("s3:DeleteObject", "s3:DeleteObjectVersion"),
    "GetObjectAcl": ("s3:GetObjectAcl", "s3:GetObjectVersionAcl"),
    "PutObjectAcl": ("s3:PutObjectAcl", "s3:PutObjectVersionAcl"),
    "GetObjectTagging": ("s3:GetObjectTagging", "s3:GetObjectVersionTagging"),
    "PutObjectTagging": ("s3:PutObjectTagging", "s3:PutObjectVersionTagging"),
    "DeleteObjectTagging": ("s3:DeleteObjectTagging", "s3:DeleteObjectVersionTagging"),
}
# What a header of PutObject and CreateMultipartUpload needs in addition.
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (Permissions)
_OBJECT_HEADERS = {
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-tagging": "s3:PutObjectTagging",
    "x-amz-object-lock-mode": "s3:PutObjectRetention",
    "x-amz-object-lock-legal-hold": "s3:PutObjectLegalHold",
}
# The actions on a bucket that know s3:prefix: those that list uploads do not.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
_WITH_PREFIX = ("ListObjects", "ListObjectVersions")
# What creates metadata tables, in the table bucket that AWS manages, and in its tables.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/metadata-tables-permissions.html,
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html. kms:DescribeKey is only for a
# key that the request names.
_TABLE_BUCKET_ACTIONS = {
    "CreateBucketMetadataConfiguration": ("CreateTableBucket", "CreateNamespace", "PutTableBucketPolicy"),
    "UpdateBucketMetadataInventoryTableConfiguration": ("CreateTableBucket", "CreateNamespace"),
}
_TABLE_ACTIONS = ("CreateTable", "GetTable", "PutTablePolicy", "PutTableEncryption")
_ON_EVERYTHING = ("iam:GetAccountAuthorizationDetails", "iam:ListUsers", "iam:ListPolicies")
# Actions that know iam:PermissionsBoundary: what the request sets, or else what the user has.
_BOUND_ACTIONS = (
    "iam:CreateUser",
    "iam:PutUserPermissionsBoundary",
    "iam:DeleteUserPermissionsBoundary",
    "iam:PutUserPolicy",
    "iam:DeleteUserPolicy",
    "iam:AttachUserPolicy",
    "iam:DetachUserPolicy",
)

_BOUND_ROLE_ACTIONS = tuple(action.removeprefix("iam:").replace("User", "Role") for action in _BOUND_ACTIONS)


@dataclass(frozen=True)
class Right:
    """One action on one resource. ``context``: condition key to its values; no key for what AWS does not send."""

    action: str
    resource: str
    context: dict[str, list[str]] = field(default_factory=dict)


def rights_for(call: Call) -> list[Right]:
    """The rights that a request needs, all of them."""
    if call.service == "iam":
        return list(_iam_rights(call))
    if call.service == "s3":
        return list(_s3_rights(call))
    if call.service == "eks" and call.action:
        return list(_eks_rights(call))
    if call.service == "sqs":
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsqs.html: a batch has no action.
        action = call.action.removesuffix("Batch")
        return [Right(f"sqs:{action}", f"arn:aws:sqs:{call.region}:{ACCOUNT}:{call.query['QueueName']}")]
    if call.service == "tagging":
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonresourcegrouptaggingapi.html
        return [Right(f"tag:{call.action}", "*")]
    # sts:GetCallerIdentity needs no permission, and cannot even be denied:
    # https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
    return [] if call.action == "GetCallerIdentity" else [Right(UNKNOWN, call.action)]


def _s3_rights(call: Call) -> Iterator[Right]:
    if call.action == "ListBuckets":
        yield Right("s3:ListAllMyBuckets", "*")
        return
    bucket, context = f"arn:aws:s3:::{call.bucket}", _owner_of(call.bucket)
    if call.action == "CreateBucket":
        for action in _creation_actions(call):
            yield Right(action, bucket, {**context, **_request_tags(_tags_in_body(call))})
    elif call.action == "DeleteObjects":
        # Each object on its own: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
        for key, version in objects_to_delete(call):
            yield Right(deletion_action(version), f"{bucket}/{key}", context)
    elif call.action in _BUCKET_ACTIONS:
        yield Right(_BUCKET_ACTIONS[call.action], bucket, {**context, **_prefix(call)})
        if call.action == "PutBucketReplication":
            yield _pass_role(call)
        yield from _table_rights(call)
    else:
        yield from _object_rights(call, context)


def _object_rights(call: Call, context: dict[str, list[str]]) -> Iterator[Right]:
    resource, is_of_version = f"arn:aws:s3:::{call.bucket}/{call.key}", "versionId" in call.query
    if call.action == "GetObjectAttributes":
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html (Permissions): both
        for name in ("", "Attributes"):
            yield Right(f"s3:GetObject{'Version' if is_of_version else ''}{name}", resource, context)
    elif call.action in _OBJECT_ACTIONS:
        yield Right(_OBJECT_ACTIONS[call.action], resource, context)
        yield from _rights_for_headers(call, context)
    elif call.action in _OBJECT_ACTIONS_OF_VERSION:
        plain, of_version = _OBJECT_ACTIONS_OF_VERSION[call.action]
        yield Right(of_version if is_of_version else plain, resource, context)
    else:
        yield Right(UNKNOWN, call.action)


def _prefix(call: Call) -> dict[str, list[str]]:
    """A request without a prefix has no such key.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    """
    has_prefix = call.action in _WITH_PREFIX and "prefix" in call.query
    return {"s3:prefix": [call.query["prefix"]]} if has_prefix else {}


def _rights_for_headers(call: Call, context: dict[str, list[str]]) -> Iterator[Right]:
    if call.action in ("PutObject", "CreateMultipartUpload"):
        for header in _OBJECT_HEADERS.keys() & call.headers.keys():
            yield Right(_OBJECT_HEADERS[header], f"arn:aws:s3:::{call.bucket}/{call.key}", context)
    source, _, version = unquote(call.headers.get("x-amz-copy-source", "")).lstrip("/").partition("?versionId=")
    if source:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html (Permissions)
        yield Right("s3:GetObjectVersion" if version else "s3:GetObject", f"arn:aws:s3:::{source}")


def _table_rights(call: Call) -> Iterator[Right]:
    if call.action not in _TABLE_BUCKET_ACTIONS:
        return
    bucket = f"arn:aws:s3tables:{call.region}:{ACCOUNT}:bucket/aws-s3"
    for name in _TABLE_BUCKET_ACTIONS[call.action]:
        yield Right(f"s3tables:{name}", bucket)
    for name in _TABLE_ACTIONS:
        yield Right(f"s3tables:{name}", f"{bucket}/table/{call.bucket}")


def _eks_rights(call: Call) -> Iterator[Right]:
    """The rights on an EKS Pod Identity association.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html: tags in
    the call that creates it need eks:TagResource, and a role that is given to EKS needs iam:PassRole and iam:GetRole.
    """
    prefix, cluster = f"arn:aws:eks:{call.region}:{ACCOUNT}", call.query["clusterName"]
    own = f"{prefix}:podidentityassociation/{cluster}/{call.query['associationId'] or '*'}"
    yield Right(f"eks:{call.action}", own if call.query["associationId"] else f"{prefix}:cluster/{cluster}")
    if call.action == "CreatePodIdentityAssociation":
        given = json.loads(call.body)
        if given.get("tags"):
            yield Right("eks:TagResource", own)
        yield Right("iam:GetRole", given["roleArn"])
        yield Right("iam:PassRole", given["roleArn"], {"iam:PassedToService": ["pods.eks.amazonaws.com"]})


def _pass_role(call: Call) -> Right:
    """The right to give S3 a role.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_iam-condition-keys.html
    """
    role = ElementTree.fromstring(call.body).findtext(f"{_S3}Role", "") if is_xml(call.body) else ""
    return Right("iam:PassRole", role, {"iam:PassedToService": ["s3.amazonaws.com"]})


def _creation_actions(call: Call) -> Iterator[str]:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html (Permissions)
    yield "s3:CreateBucket"
    if _tags_in_body(call):
        yield "s3:TagResource"
    if call.headers.get("x-amz-bucket-object-lock-enabled", "").lower() == "true":
        yield "s3:PutBucketObjectLockConfiguration"
        yield "s3:PutBucketVersioning"
    if call.headers.get("x-amz-acl", "private") != "private":
        yield "s3:PutBucketAcl"
    if "x-amz-object-ownership" in call.headers:
        yield "s3:PutBucketOwnershipControls"


def deletion_action(version: str) -> str:
    """What deleting an object, or one version of it, needs."""
    return "s3:DeleteObjectVersion" if version else "s3:DeleteObject"


def objects_to_delete(call: Call) -> list[tuple[str, str]]:
    """Key and version id of each object that a DeleteObjects names; none of one that cannot be read."""
    if not is_xml(call.body):
        return []
    items = ElementTree.fromstring(call.body).iter(f"{_S3}Object")
    return [(item.findtext(f"{_S3}Key", ""), item.findtext(f"{_S3}VersionId", "")) for item in items]


def _owner_of(bucket: str) -> dict[str, list[str]]:
    # A bucket that is yet to be made has no account; a policy must not depend on AWS sending one.
    found = find_bucket(bucket)
    return {"s3:ResourceAccount": [found[0]]} if found else {}


def _tags_in_body(call: Call) -> dict[str, str]:
    if not call.body:
        return {}
    found = ElementTree.fromstring(call.body).iter(f"{_S3}Tag")
    return {tag.findtext(f"{_S3}Key", ""): tag.findtext(f"{_S3}Value", "") for tag in found}


def _iam_rights(call: Call) -> Iterator[Right]:
    action = f"iam:{call.action}"
    if action in _ON_EVERYTHING:
        yield Right(action, "*")
        return
    if call.query.get("RoleName"):
        yield from _role_rights(call)
        return
    if not call.user:
        yield Right(UNKNOWN, call.action)
        return
    resource, tags = _user_arn(call), _tags_in_form(call)
    if action in ("iam:AddUserToGroup", "iam:RemoveUserFromGroup"):
        yield Right(action, f"arn:aws:iam::{ACCOUNT}:group/{call.query.get('GroupName', '')}")
        return
    context = {**_request_tags(tags), **(_boundary(call) if action in _BOUND_ACTIONS else {})}
    yield Right(action, resource, context)
    if action == "iam:CreateUser" and tags:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags_users.html
        yield Right("iam:TagUser", resource, _request_tags(tags))


def _role_rights(call: Call) -> Iterator[Right]:
    name, tags = call.query["RoleName"], _tags_in_form(call)
    found = next((role for role in iam_backends[ACCOUNT]["aws"].roles.values() if role.name == name), None)
    resource = f"arn:aws:iam::{ACCOUNT}:role{call.query.get('Path', '/')}{name}"
    if found is not None and call.action != "CreateRole":
        resource = str(found.arn)
    asked, had = call.query.get("PermissionsBoundary"), getattr(found, "permissions_boundary_arn", None)
    bound = asked if call.action in ("CreateRole", "PutRolePermissionsBoundary") else had
    context = _request_tags(tags)
    if bound and call.action in _BOUND_ROLE_ACTIONS:
        context["iam:PermissionsBoundary"] = [bound]
    yield Right(f"iam:{call.action}", resource, context)
    if call.action == "CreateRole" and tags:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags_roles.html
        yield Right("iam:TagRole", resource, _request_tags(tags))


def _user_arn(call: Call) -> str:
    # Of a user that is there IAM knows the path. Of one that is not, the request's path counts, which only
    # CreateUser has: so reading a user that does not exist yet is judged as user/<name>.
    user = iam_backends[ACCOUNT]["aws"].users.get(call.user)
    if user is not None and call.action != "CreateUser":
        return str(user.arn)
    return f"arn:aws:iam::{ACCOUNT}:user{call.query.get('Path', '/')}{call.user}"


def _boundary(call: Call) -> dict[str, list[str]]:
    asked = call.query.get("PermissionsBoundary")
    user = iam_backends[ACCOUNT]["aws"].users.get(call.user)
    had = (getattr(user, "permissions_boundary", None) or {}).get("PermissionsBoundaryArn")
    sets = call.action in ("CreateUser", "PutUserPermissionsBoundary")
    found = asked if sets else had
    return {"iam:PermissionsBoundary": [found]} if found else {}


def _tags_in_form(call: Call) -> dict[str, str]:
    numbers = [name.split(".")[2] for name in call.query if name.startswith("Tags.member.") and name.endswith(".Key")]
    form: dict[str, Any] = call.query
    return {form[f"Tags.member.{at}.Key"]: form.get(f"Tags.member.{at}.Value", "") for at in numbers}


def _request_tags(tags: dict[str, str]) -> dict[str, list[str]]:
    if not tags:
        return {}
    return {"aws:TagKeys": list(tags), **{f"aws:RequestTag/{key}": [value] for key, value in tags.items()}}
