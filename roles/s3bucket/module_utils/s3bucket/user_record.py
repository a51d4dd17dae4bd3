# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the tags of an IAM user are kept in a store that has no tags of users, or cannot change them. Pure.

Two places take their part, and no key that the operator creates can write to either:

- the path that the call sets which creates the user: ``/<iam path>/<cluster>/<namespace>/<name>/<uid>/``. So the user
  never exists without its owner;
- an inline policy with the name :data:`POLICY`, which holds all tags. It denies what does not exist, so it neither
  gives nor takes a right. It is written in one request, and it counts instead of all other places.

Everything else of this package sees tags only. On AWS neither place is used or read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote, unquote

from . import owner
from .capabilities import Capabilities
from .errors import ReconcileError
from .json_types import ApiObject
from .outcome import Reason
from .owner import Identity
from .state import UserState
from .users import UserRules

POLICY = "s3-operator-record"
# No bucket can have this name: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_PREFIX = "arn:aws:s3:::S3-OPERATOR-RECORD/"
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html
MAX_PATH = 512
# An object that exists only as a file has no uid.
_NO_UID = "-"
_UID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|-")
_OWNER_PARTS = 4
# The characters of a path and of a policy that mean themselves everywhere.
_SAFE = ".:@+-_~"


def path_of(base: str, identity: Identity) -> str:
    """The path of a user that records its owner.

    :param base: the role's setting for the path; empty for none
    """
    parts = (identity.cluster, identity.namespace, identity.name, identity.uid or _NO_UID)
    return (base or "/") + "".join(f"{quote(part, safe=_SAFE)}/" for part in parts)


def rules_for(rules: UserRules, capabilities: Capabilities, identity: Identity) -> UserRules:
    """The rules for new users of an object: their path names the object where the store's users have no tags.

    :raises ReconcileError: InvalidSpec where a user could not be marked as the object's
    """
    if capabilities.is_aws or capabilities.user_tags:
        return rules
    path = path_of(rules.path, identity)
    if capabilities.user_paths and len(path) <= MAX_PATH:
        return replace(rules, path=path)
    why = f"the path {path} is too long" if capabilities.user_paths else "its users have neither tags nor paths"
    raise ReconcileError(
        Reason.INVALID_SPEC, f"spec.iamUser: the store cannot record which S3 object a user belongs to: {why}"
    )


def owner_in(path: str) -> dict[str, str]:
    """The owner tags that a path records; empty for a path that records none."""
    parts = [unquote(part) for part in path.split("/") if part][-_OWNER_PARTS:]
    if len(parts) < _OWNER_PARTS or not _UID.fullmatch(parts[-1]):
        return {}
    cluster, namespace, name, uid = parts
    return Identity(cluster, namespace, name, "" if uid == _NO_UID else uid).tags


def document(tags: Mapping[str, str]) -> ApiObject:
    """The inline policy that holds the tags."""
    lines = [f"{_PREFIX}{quote(key, safe=_SAFE + '/')}={quote(text, safe=_SAFE + '/=')}" for key, text in tags.items()]
    # A policy needs a resource: that without a tag is in it also where there are tags.
    statement = {"Effect": "Deny", "Action": ["s3:GetObject"], "Resource": [_PREFIX, *sorted(lines)]}
    return {"Version": "2012-10-17", "Statement": [statement]}


def tags_in(policy: ApiObject | None) -> dict[str, str] | None:
    """The tags that an inline policy of :func:`document` holds; None for another policy, and for none."""
    statements = (policy or {}).get("Statement") or []
    resources = statements[0].get("Resource") if isinstance(statements, list) and statements else []
    lines = [resources] if isinstance(resources, str) else list(resources or [])
    if _PREFIX not in lines:
        return None
    found = (line.removeprefix(_PREFIX).partition("=") for line in lines)
    return {unquote(key): unquote(text) for key, mark, text in found if mark}


def path_in(arn: str) -> str:
    """The path of a user, from its ARN."""
    return arn.partition(":user")[2].rpartition("/")[0] + "/"


def unfold(user: UserState, policy: ApiObject | None) -> None:
    """Fill in the tags of a user from where the store keeps them.

    :param policy: the inline policy :data:`POLICY`; None for none
    """
    recorded = tags_in(policy)
    if recorded is not None:
        user.tags = recorded
    elif not owner.has_owner_tag(user.tags):
        user.tags = {**user.tags, **owner_in(path_in(user.arn))}
