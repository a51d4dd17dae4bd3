"""The capabilities of an S3-compatible store as a table, for ``s3-operator check``; and whether an endpoint is no AWS.

Reads only. One thread. Which settings a bucket can have shows only a bucket: one of the operator's is read, if there is
one.
"""

from __future__ import annotations

from collections.abc import Iterator

from runner.drift.aws_clients import Client
from s3bucket import owner, read
from s3bucket.capabilities import Capabilities, accepts_owner, probe
from s3bucket.errors import AWS_ERRORS, ReconcileError
from s3bucket.settings import ALL
from s3bucket.state import UNSUPPORTED

Row = tuple[str, str]
# The number of buckets that have their tags read, to find one of the operator's.
_MAX_BUCKETS = 100
_MAX_TRIED = 5
_CONSEQUENCES = {
    "GetAccessKeyLastUsed": "after a rotation, the grace period alone decides when the old key is deleted",
    "GetAccountAuthorizationDetails": "each user is read by itself",
    "GetRole": "there are no roles (spec.iamRole)",
    "ListAttachedRolePolicies": "roles have no managed policies",
    "ListAttachedUserPolicies": "users have no managed policies",
    "ListGroupsForUser": "users are in no groups",
    "ListUserTags": "users have no tags",
}


def rows_of(found: Capabilities) -> Iterator[Row]:
    """What the store has, one row a capability."""
    owner_id = found.bucket_owner or "not sent: the store ignores it, or compares an unknown id"
    yield "ExpectedBucketOwner", owner_id if found.is_owner_tried else f"{owner_id} (not tried: there is no bucket)"
    yield "IAM", "yes" if found.has_iam else "no: objects with spec.iamUser are refused"
    yield "STS", "yes" if found.has_sts else "no: the account is a setting (--account-id)"
    if not found.has_iam:
        return
    yield "tags of users", "yes" if found.user_tags else "no"
    yield "paths of users", "yes" if found.user_paths else "no"
    for action, consequence in _CONSEQUENCES.items():
        yield f"iam:{action}", f"no: {consequence}" if found.lacks(action) else "yes"


def rows_of_settings(s3: Client, found: Capabilities) -> Iterator[Row]:
    """Which settings a bucket can have, one row a setting; or one row for why that is not known."""
    bucket = _find_bucket(s3, found)
    if not bucket:
        yield "settings of buckets", "not known before the operator has a bucket; a setting that lacks is refused"
        return
    for setting in ALL:
        try:
            value = read.read_settings(s3, bucket, found.owner_of(found.account), [setting])[setting.name]
        except ReconcileError as refusal:
            yield f"spec.{setting.field}", f"not known: {refusal.message}"
            continue
        yield f"spec.{setting.field}", "no" if value is UNSUPPORTED else "yes"


def text_of(rows: list[Row], indent: str) -> str:
    """The rows as the lines of a table."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{indent}{name:<{width}}  {text}" for name, text in rows)


def find_contradiction(s3: Client, iam: Client, sts: Client, account: str) -> str:
    """How an endpoint that is not AWS's own differs from AWS; empty for one that behaves as AWS does.

    :param account: as STS shows it
    :raises ReconcileError: when the endpoint does not answer
    """
    found = probe(s3, iam, sts)
    if not found.has_iam:
        return "it has no IAM"
    if found.lacking_actions:
        return f"it does not have iam:{', iam:'.join(sorted(found.lacking_actions))}"
    names = [bucket["Name"] for bucket in s3.list_buckets().get("Buckets", [])][:_MAX_TRIED]
    if names and not any(accepts_owner(s3, name, account) for name in names):
        return "it does not compare ExpectedBucketOwner with the account"
    return ""


def _find_bucket(s3: Client, found: Capabilities) -> str:
    """A bucket with the owner tags of an operator; empty for none."""
    try:
        names = [bucket["Name"] for bucket in s3.list_buckets().get("Buckets", [])]
    except AWS_ERRORS:
        return ""
    for name in names[:_MAX_BUCKETS]:
        try:
            tags = read.get_bucket_tags(s3, name, found.owner_of(found.account)) or {}
        except ReconcileError:
            continue
        if owner.Identity.owner_of(tags):
            return str(name)
    return ""
