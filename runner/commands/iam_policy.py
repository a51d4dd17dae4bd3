"""The least rights that the operator needs in AWS, as an IAM policy for given settings.

One table lists the actions and their resources. ``docs/iam-policy.json`` is this policy for the settings that
docs/install/aws-permissions.md names. ``tests/role/test_iam_policy.py`` runs everything with exactly this policy and
that of replication, and then without each of the actions in turn. A policy that does not fit into a managed policy is
printed as several, which together give the same rights.
sts:GetCallerIdentity is requested too, and needs no right:
https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import click

from runner.commands.options import EVENT_QUEUE, SHARDING, all_matching, matching, with_options
from runner.queue_url import QueueURL
from s3bucket import allowed
from s3bucket.capabilities import PROVIDERS
from s3bucket.json_types import Json, JsonObject
from s3bucket.roles import CLUSTER, POD_IDENTITY_SERVICE, PROVIDER
from s3bucket.settings import ALL as ALL_SETTINGS
from s3bucket.users import BOUNDARY, GROUP, PATH

Limit = Any  # of a field of PolicySettings, as click returns it
ACCOUNT = re.compile(r"\d{12}", re.ASCII)
PARTITION = re.compile(r"aws(-[a-z]+)*")
PREFIX = re.compile(r"[a-z0-9][a-z0-9.-]*")

# The actions on the bucket itself; those of its settings come in addition.
_BUCKETS = (
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
# A store may have no request for all users at once.
_ACCOUNT_OF_STORE = ("iam:ListUsers",)
# Saves two requests for each check. Only AWS has it.
_ACCOUNT_OF_AWS = ("tag:GetResources",)
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
    "iam:TagUser",
    "iam:UntagUser",
    "iam:UpdateAccessKey",
)
# The last use of an old key, which a rotation waits for. AWS finds the user of the key.
_ROTATION = ("iam:GetAccessKeyLastUsed",)
# The actions that give a user rights. With a boundary, only on users that have it.
_BOUND_USERS = ("iam:CreateUser", "iam:PutUserPolicy")
_BINDING = ("iam:PutUserPermissionsBoundary",)
# The same for the roles of spec.iamRole, where the operator's settings allow them.
_ALL_ROLES = ("iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies")
_ROLES = (
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:DetachRolePolicy",
    "iam:ListInstanceProfilesForRole",
    "iam:TagRole",
    "iam:UpdateAssumeRolePolicy",
)
_BOUND_ROLES = ("iam:CreateRole", "iam:PutRolePolicy")
_BINDING_ROLES = ("iam:PutRolePermissionsBoundary",)

_OF_CLUSTER = ("eks:CreatePodIdentityAssociation", "eks:ListPodIdentityAssociations")
_ASSOCIATIONS = ("eks:DeletePodIdentityAssociation", "eks:DescribePodIdentityAssociation", "eks:TagResource")

# ChangeMessageVisibility: with shards, a replica hands a message on to another one.
_HAND_ON = "sqs:ChangeMessageVisibility"
_EVENT_QUEUE = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")

# AWS does not count white space: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MAX_SIZE = 6144
_REPLICATION, _METADATA_TABLES = "replication", "metadataTables"
# What S3 does with the operator's rights when it creates metadata tables. Not kms:DescribeKey, which is for a key that
# the request names: the operator names none.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/metadata-tables-permissions.html
_TABLES = (
    "s3tables:CreateNamespace",
    "s3tables:CreateTable",
    "s3tables:CreateTableBucket",
    "s3tables:GetTable",
    "s3tables:PutTableBucketPolicy",
    "s3tables:PutTableEncryption",
    "s3tables:PutTablePolicy",
)
# A wildcard may stand for the rest of a name.
ROLE = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=.@/-]+\*?", re.ASCII)


@dataclass(frozen=True)
class PolicySettings:
    """The limits of the policy. An empty prefix, path or boundary limits nothing.

    :param settings: the fields of the optional bucket settings that the operator may manage
    :param replication_roles: the ARNs of the roles that the operator may give to S3, for ``replication``
    :param oidc_provider_arn: the cluster's OIDC provider: with one the operator may create roles
    :param eks_cluster_arn: the EKS cluster: with one the operator may create roles and associate them
    :param key_rotation: whether keys are rotated without downtime
    :param event_queue: the SQS queue of the events that the operator receives
    :param sharding: whether several replicas work, which hand messages of that queue on
    :param provider: one of ``capabilities.PROVIDERS``: a store needs other reads
    """

    account: str
    bucket_prefix: str = ""
    iam_path: str = ""
    permissions_boundary: str = ""
    partition: str = "aws"
    allowed_groups: tuple[str, ...] = ()
    settings: tuple[str, ...] = allowed.DEFAULT
    replication_roles: tuple[str, ...] = ()
    oidc_provider_arn: str = ""
    eks_cluster_arn: str = ""
    key_rotation: bool = True
    provider: str = PROVIDERS[0]
    event_queue: QueueURL | None = None
    sharding: bool = False


def policy_for(settings: PolicySettings) -> JsonObject:
    """The whole policy, which may be larger than a managed policy."""
    buckets = f"arn:{settings.partition}:s3:::{settings.bucket_prefix}*"
    users = f"arn:{settings.partition}:iam::{settings.account}:user"
    managed = f"{users}{settings.iam_path or '/'}*"
    # IfExists: a bucket that does not exist yet has no account.
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/amazon-s3-policy-keys.html
    in_account: dict[str, dict[str, Json]] = {"StringEqualsIfExists": {"s3:ResourceAccount": settings.account}}
    boundary = settings.permissions_boundary
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html#access_policies_boundaries-delegate
    is_bound: dict[str, dict[str, Json]] = {"StringEquals": {"iam:PermissionsBoundary": boundary}} if boundary else {}
    of_provider = _ACCOUNT_OF_AWS if settings.provider == PROVIDERS[0] else _ACCOUNT_OF_STORE
    groups = [f"arn:{settings.partition}:iam::{settings.account}:group/{name}" for name in settings.allowed_groups]
    return _document(
        [
            _allow("Buckets", (*_BUCKETS, *_setting_actions(settings.settings)), buckets, in_account),
            _allow("Objects", _OBJECTS, f"{buckets}/*", in_account),
            _allow("Account", _ACCOUNT + of_provider, "*"),
            _allow("AllUsers", _ALL_USERS, f"{users}/*"),
            _allow("Users", _USERS + (_ROTATION if settings.key_rotation else ()), managed),
            _allow("UsersWithinTheirBoundary", _BOUND_USERS + (_BINDING if boundary else ()), managed, is_bound),
            # A user can be deleted only when it is in no group.
            *([_allow("Groups", ("iam:RemoveUserFromGroup",), groups)] if groups else []),
            *_roles(settings, is_bound),
            *_metadata_tables(settings),
            *_pass_role(settings),
            *_event_queue(settings),
        ]
    )


def _roles(settings: PolicySettings, is_bound: dict[str, dict[str, Json]]) -> list[JsonObject]:
    """The rights on the roles of S3 objects, as those on their users."""
    if not settings.oidc_provider_arn and not settings.eks_cluster_arn:
        return []
    roles = f"arn:{settings.partition}:iam::{settings.account}:role"
    managed = f"{roles}{settings.iam_path or '/'}*"
    return [
        _allow("AllRoles", _ALL_ROLES, f"{roles}/*"),
        _allow("Roles", _ROLES, managed),
        _allow("RolesWithinTheirBoundary", _BOUND_ROLES + (_BINDING_ROLES if is_bound else ()), managed, is_bound),
        *_associations(settings.eks_cluster_arn, managed),
    ]


def _associations(cluster: str, roles: str) -> list[JsonObject]:
    """The rights on the EKS Pod Identity associations of one cluster, and to give EKS the roles of S3 objects.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelastickubernetesservice.html
    """
    if not cluster:
        return []
    associations = f"{cluster.replace(':cluster/', ':podidentityassociation/')}/*"
    for_pods: dict[str, dict[str, Json]] = {"StringEquals": {"iam:PassedToService": POD_IDENTITY_SERVICE}}
    return [
        _allow("PodIdentityOfTheCluster", _OF_CLUSTER, cluster),
        _allow("PodIdentityAssociations", _ASSOCIATIONS, associations),
        _allow("RolesOfPods", ("iam:PassRole",), roles, for_pods),
    ]


def documents_for(settings: PolicySettings) -> list[JsonObject]:
    """The policy as documents that fit into a managed policy each."""
    whole = policy_for(settings)
    groups: list[list[JsonObject]] = []
    for statement in (part for item in _list(whole["Statement"]) for part in _parts_of(cast("JsonObject", item))):
        fitting = next((group for group in groups if size_of(_document([*group, statement])) <= MAX_SIZE), None)
        if fitting is None:
            groups.append([statement])
        else:
            fitting.append(statement)
    return [_document(group) for group in groups]


def _document(statements: list[JsonObject]) -> JsonObject:
    return {"Version": "2012-10-17", "Statement": [*statements]}


def size_of(document: JsonObject) -> int:
    """The number of characters as AWS counts them: without white space."""
    return len(json.dumps(document, separators=(",", ":")))


def _parts_of(statement: JsonObject) -> list[JsonObject]:
    """A statement in parts that fit into a document each: its longest list is divided."""
    if size_of(_document([statement])) <= MAX_SIZE:
        return [statement]
    name = max(("Action", "Resource"), key=lambda key: len(json.dumps(statement[key])))
    items = _list(statement[name])
    half = len(items) // 2
    halves = [
        {**statement, "Sid": f"{statement['Sid']}{letter}", name: part}
        for letter, part in (("A", items[:half]), ("B", items[half:]))
    ]
    return [part for item in halves for part in _parts_of(item)]


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else [value]


def _setting_actions(fields: tuple[str, ...]) -> tuple[str, ...]:
    """The actions that read and write the bucket settings: those that each object has, and the given optional ones."""
    due = [one for one in ALL_SETTINGS if not one.is_optional or one.is_derived or one.field in fields]
    return tuple({item.action for one in due for item in (one.read.operation, *one.writes)} - set(_BUCKETS))


def _metadata_tables(settings: PolicySettings) -> list[JsonObject]:
    """The rights on the table bucket of each region that AWS manages, and on its tables."""
    if _METADATA_TABLES not in settings.settings:
        return []
    bucket = f"arn:{settings.partition}:s3tables:*:{settings.account}:bucket/aws-s3"
    return [_allow("MetadataTables", _TABLES, [bucket, f"{bucket}/table/*"])]


def _pass_role(settings: PolicySettings) -> list[JsonObject]:
    """The right to name a role in a replication configuration: only these, and only for S3.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_passrole.html
    """
    if _REPLICATION not in settings.settings:
        return []
    for_s3: dict[str, dict[str, Json]] = {"StringEquals": {"iam:PassedToService": "s3.amazonaws.com"}}
    return [_allow("ReplicationRoles", ("iam:PassRole",), [*settings.replication_roles], for_s3)]


def _event_queue(settings: PolicySettings) -> list[JsonObject]:
    """The rights on the queue of events. ``s3-operator check`` reads its attributes."""
    queue = settings.event_queue
    actions = (_HAND_ON, *_EVENT_QUEUE) if settings.sharding else _EVENT_QUEUE
    return [_allow("EventQueue", actions, queue.arn(settings.partition))] if queue else []


def _allow(
    sid: str,
    actions: tuple[str, ...],
    resource: str | list[str],
    condition: Mapping[str, dict[str, Json]] | None = None,
) -> JsonObject:
    resources: Json = resource if isinstance(resource, str) else [*resource]
    statement: JsonObject = {"Sid": sid, "Effect": "Allow", "Action": [*sorted(actions)], "Resource": resources}
    return {**statement, "Condition": {**condition}} if condition else statement


def _settings(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    names = [name.strip() for value in values for name in value.split(",") if name.strip()]
    try:
        return tuple(allowed.fields_of(names)) if names else allowed.DEFAULT
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


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
@click.option("--settings", multiple=True, callback=_settings, envvar="ALLOWED_SETTINGS", show_envvar=True,
              help="Only the optional bucket settings with these fields of the spec; all, or none. It can be given "
                   "again, or as a list with commas: the operator's own --allowed-settings. "
                   "Default: all except replication.")  # fmt: skip
@click.option("--replication-role", "replication_roles", multiple=True, callback=all_matching(ROLE),
              help="The ARN of a role that S3 objects may name in spec.replication; it may end with *. It can be given "
                   "again. Required for the setting replication.")  # fmt: skip
@click.option("--oidc-provider-arn", default="", callback=matching(PROVIDER), envvar="OIDC_PROVIDER_ARN",
              show_envvar=True,
              help="The operator's own --oidc-provider-arn: with it, the policy lets it create the roles of "
                   "spec.iamRole. Default: none.")  # fmt: skip
@click.option("--eks-cluster-arn", default="", callback=matching(CLUSTER), envvar="EKS_CLUSTER_ARN", show_envvar=True,
              help="The operator's own --eks-cluster-arn: with it, the policy lets it create roles, and associate them "
                   "with ServiceAccounts of this cluster (spec.iamRole.podIdentity). Default: none.")  # fmt: skip
@click.option("--key-rotation/--no-key-rotation", default=True, show_default=True,
              help="Whether keys are rotated without downtime (spec.iamUser.keyRotation and the annotation "
                   "agill.apps/rotate-key).")  # fmt: skip
@with_options([EVENT_QUEUE, SHARDING])
@click.option("--provider", type=click.Choice(PROVIDERS), default=PROVIDERS[0], show_default=True, envvar="PROVIDER",
              show_envvar=True, help="The operator's own --provider: Other for an S3-compatible store.")  # fmt: skip
@click.option("--part", type=click.IntRange(min=1), default=None,
              help="Print only this one of the policies, where several are needed. Default: all of them.")  # fmt: skip
@click.option("--partition", default="aws", show_default=True, callback=matching(PARTITION),
              help="The partition of the account's ARNs, as aws-cn, aws-us-gov or aws-eusc.")  # fmt: skip
def print_iam_policy(*, part: int | None, **limits: Limit) -> None:
    """Print the least rights that the operator needs in AWS, as an IAM policy.

    A policy that does not fit into a managed policy of AWS (6,144 characters without white space) is printed as
    several JSON documents, one after the other. Attach all of them. --part prints one of them.
    """
    settings = PolicySettings(**limits)
    if (_REPLICATION in settings.settings) != bool(settings.replication_roles):
        raise click.UsageError(f"--settings {_REPLICATION} and --replication-role need each other.")
    if settings.event_queue and not settings.event_queue.region:
        raise click.UsageError(
            "--event-queue-url: the policy names the queue's region, and this host does not show it: give the URL with "
            "https://sqs.REGION.amazonaws.com/."
        )
    own = f"arn:{settings.partition}:iam::{settings.account}:"
    for role in settings.replication_roles:
        if not role.startswith(own):
            raise click.UsageError(
                f"--replication-role {role}: it must begin with {own}, as --partition and --account are."
            )
    documents = documents_for(settings)
    if part is not None and part > len(documents):
        raise click.BadParameter(f"there are only {len(documents)}.", param_hint="--part")
    if part is None and len(documents) > 1:
        click.echo(f"{len(documents)} policies: print one with --part 1 to --part {len(documents)}.", err=True)
    for document in documents if part is None else [documents[part - 1]]:
        click.echo(json.dumps(document, indent=2))
