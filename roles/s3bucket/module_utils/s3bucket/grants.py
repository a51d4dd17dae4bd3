# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rights that an access mode gives on a bucket, as the statements of an IAM policy. Pure.

``Full`` on the whole bucket is ``s3:*``, as the Go operator gave it. Every other grant names its actions, and none of
them reads or changes the configuration, the tags or the policy of the bucket, except the bucket's region. So whoever
has such a grant can neither remove the owner tags nor deny the operator the bucket, and cannot give themselves more.

A prefix is text from a CR, and becomes a part of a pattern. It cannot hold a wildcard or a policy variable
(:func:`prefixes_of`), so the only wildcard in the pattern is the one that this file puts behind the prefix.
"""

from __future__ import annotations

import json
import re

from .json_types import ApiObject
from .values import choice_of, invalid, text_of

FULL = "Full"
# Without a prefix, s3:ListBucket of ReadWrite and ReadOnly is the right to use HeadBucket, too.
_LIST = ("s3:ListBucket", "s3:ListBucketVersions")
# Clients find the bucket's region with it. It has no condition, so it works with prefixes and with WriteOnly, too.
_REGION = "s3:GetBucketLocation"
# It returns the keys of all uploads: AWS has no condition for a prefix of it.
# https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazons3.html
_LIST_UPLOADS = "s3:ListBucketMultipartUploads"
_READ = (
    "s3:GetObject",
    "s3:GetObjectAttributes",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionAttributes",
    "s3:GetObjectVersionTagging",
)
# PutObject overwrites. In a bucket with versions it cannot remove what was there.
_WRITE = ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject")
# Not s3:DeleteObjectVersion: whoever steals the key of an application must not be able to remove the versions. Nor
# ACLs, retention and legal holds, which give others access or keep the operator from deleting.
_CHANGE = ("s3:DeleteObject", "s3:DeleteObjectTagging", "s3:PutObjectTagging", "s3:RestoreObject")
# Left out in stores: SeaweedFS refuses a policy that names it.
_ON_AWS_ONLY = ("s3:RestoreObject",)
# By mode: the actions on objects, and those on the bucket that a condition limits to the prefixes.
_ACTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    FULL: (("s3:*",), _LIST),
    "ReadWrite": (tuple(sorted((*_READ, *_WRITE, *_CHANGE))), _LIST),
    "ReadOnly": (_READ, _LIST),
    "WriteOnly": (_WRITE, ()),
}
MODES = tuple(_ACTIONS)
MAX_PREFIXES = 10
MAX_PREFIX = 256
# The characters that S3 calls safe, and those that need only escaping in URLs. Not among them: the wildcards of IAM
# (* and ?), and $, which begins a policy variable.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html#object-key-guidelines,
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
_PREFIX = re.compile(r"[A-Za-z0-9 !'()&@:,=+;._/-]+")
# For all inline policies of one user or role. AWS does not count white space.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
MAX_USER_POLICY = 2048
MAX_ROLE_POLICY = 10240


def mode_of(value: object, field: str) -> str:
    """Read an access mode; Full when it is not given.

    :raises ReconcileError: InvalidSpec
    """
    return FULL if value is None else choice_of(value, field, MODES)


def prefixes_of(value: object, field: str) -> tuple[str, ...]:
    """Read the prefixes that a grant is limited to, sorted; empty for the whole bucket.

    :raises ReconcileError: InvalidSpec for a prefix that is empty, that could match other keys than those below it, or
        that IAM would not take as text
    """
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > MAX_PREFIXES:
        raise invalid(field, f"must be a list of at most {MAX_PREFIXES} prefixes")
    for at, item in enumerate(value):
        _check_prefix(text_of(item, f"{field}[{at}]"), f"{field}[{at}]")
    return tuple(sorted(set(value)))


def _check_prefix(prefix: str, field: str) -> None:
    if not prefix:
        raise invalid(field, "is empty, which would be the whole bucket: leave the field out for that")
    if len(prefix) > MAX_PREFIX:
        raise invalid(field, f"has more than {MAX_PREFIX} characters")
    if not _PREFIX.fullmatch(prefix):
        raise invalid(
            field,
            "may have only A-Z, a-z, 0-9, spaces and !'()&@:,=+;._/-: in a policy, *, ? and $ would stand for other "
            "text",
        )
    if not prefix.endswith("/"):
        raise invalid(field, f"must end with /: {prefix} would also give access to keys such as {prefix}-other")


def statements(bucket_arn: str, mode: str, prefixes: tuple[str, ...], *, is_aws: bool = True) -> list[ApiObject]:
    """The statements that give the rights of a mode on a bucket, or only on what is below the prefixes.

    ``Full`` with prefixes allows every action on the objects below them, and none on the bucket's configuration: with
    the right to write the bucket's policy, the prefixes would limit no one.
    """
    if mode == FULL and not prefixes:
        return [_allow(("s3:*",), [bucket_arn, f"{bucket_arn}/*"])]
    on_objects, on_lists = _ACTIONS[mode]
    on_objects = tuple(action for action in on_objects if is_aws or action not in _ON_AWS_ONLY)
    objects = [f"{bucket_arn}/{prefix}*" for prefix in prefixes or ("",)]
    found = [_allow(on_objects, objects)]
    if not prefixes:
        has_uploads = "s3:AbortMultipartUpload" in on_objects and on_lists
        return [*found, _allow((_REGION, *on_lists, *([_LIST_UPLOADS] if has_uploads else [])), [bucket_arn])]
    if on_lists:
        # A request without a prefix has no such key, and the condition does not hold.
        limit = {"StringLike": {"s3:prefix": [f"{prefix}*" for prefix in prefixes]}}
        found.append({**_allow(on_lists, [bucket_arn]), "Condition": limit})
    return [*found, _allow((_REGION,), [bucket_arn])]


def document(found: list[ApiObject]) -> ApiObject:
    """The policy document with these statements."""
    return {"Version": "2012-10-17", "Statement": found}


def size_of(policy: ApiObject) -> int:
    """How many characters of a policy IAM counts."""
    return len(json.dumps(policy, separators=(",", ":")))


def check_size(policy: ApiObject, most: int, field: str) -> None:
    """Refuse a policy that IAM would refuse for its size.

    :param field: the field that makes it large
    :raises ReconcileError: InvalidSpec
    """
    size = size_of(policy)
    if size > most:
        raise invalid(
            field,
            f"the inline policy would have {size} characters, and IAM allows {most}: give fewer or shorter prefixes, "
            "or one prefix that they all begin with",
        )


def _allow(actions: tuple[str, ...], resources: list[str]) -> ApiObject:
    return {"Effect": "Allow", "Action": list(actions), "Resource": resources}
