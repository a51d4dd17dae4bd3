# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the cluster forces on every user that the operator makes: an IAM path and a permissions boundary.

No CR has a word in it. With an operator that may give rights only to users within that boundary
(docs/iam-policy.json), no CR can make a user that outgrows it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from . import owner
from .errors import ReconcileError
from .outcome import Reason
from .state import UserState

# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html allows more in a path; what is a pattern in
# a policy is left out.
PATH = re.compile(r"/([A-Za-z0-9+=,.@_-]+/)*")
BOUNDARY = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", re.ASCII)
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateGroup.html; no comma, as lists are written with commas.
GROUP = re.compile(r"[\w+=.@-]{1,128}", re.ASCII)


# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCompromisedKeyQuarantineV3.html
_QUARANTINE = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/AWSCompromisedKeyQuarantine(V\d{1,3})?")


def is_quarantine(arn: str) -> bool:
    """Whether AWS attaches this policy to a user whose access key it has found in public."""
    return _QUARANTINE.fullmatch(arn) is not None


def policy_name_of(username: str, bucket: str) -> str:
    """The inline policy's name, as the Go operator made it."""
    return f"{username}-{bucket}-s3-restricted"


def may_use(name: str, user: UserState, bucket: str) -> bool:
    """Whether a user has the operator's policy for a bucket of this name, whoever its owner is."""
    return policy_name_of(name, bucket) in user.policies


def claims(name: str, user: UserState, bucket: str) -> bool:
    """Whether a user claims a bucket name: by the operator's policy, or by the tag that it was created with.

    Both are in IAM, where no key of a tenant can write. Users made before the tag existed have the policy only.
    """
    return may_use(name, user, bucket) or user.tags.get(owner.BUCKET) == bucket


def due_tags(user: UserState, tags: dict[str, str]) -> dict[str, str]:
    """Of the tags that a user should have those whose absence is to be repaired at once.

    A user from before the claim's tag claims by its policy's name, and gets the tag when its tags are written next.
    """
    return {key: value for key, value in tags.items() if key != owner.BUCKET or key in user.tags}


def claim_of(name: str, user: UserState) -> str:
    """The bucket name that a user claims; empty for none."""
    prefix, suffix = policy_name_of(name, "\0").split("\0")
    policies = (policy for policy in user.policies if policy.startswith(prefix) and policy.endswith(suffix))
    named = (policy.removeprefix(prefix).removesuffix(suffix) for policy in policies)
    return user.tags.get(owner.BUCKET) or next(named, "")


@dataclass(frozen=True)
class UserRules:
    """Path and boundary of users; empty: users are made without, and those there are keep theirs.

    ``allowed_policies`` (ARNs) and ``allowed_groups`` may be attached to users by others, as guard-rails are.
    """

    path: str = ""
    boundary: str = ""
    allowed_policies: frozenset[str] = frozenset()
    allowed_groups: frozenset[str] = frozenset()

    def foreign_rights(self, user: UserState, policy_name: str) -> list[str]:
        """What gives or takes a user rights, beside its inline policy, and is not allowed."""
        found = [f"group {group}" for group in user.groups if group not in self.allowed_groups]
        found += [f"policy {arn}" for arn in user.attached if arn not in self.allowed_policies or is_quarantine(arn)]
        return found + [f"policy {name}" for name in user.policies if name != policy_name]

    def arn_of(self, partition: str, account: str, name: str) -> str:
        """The ARN of a user that is yet to be made."""
        return f"arn:{partition}:iam::{account}:user{self.path or '/'}{name}"

    @property
    def creation(self) -> dict[str, str]:
        """What they add to the call that creates a user."""
        found = {"Path": self.path, "PermissionsBoundary": self.boundary}
        return {name: value for name, value in found.items() if value}

    def differ(self, user: UserState) -> bool:
        """Whether a user of ours must be mended: its boundary can be put, its path stays what it is."""
        return bool(self.boundary) and user.boundary != self.boundary

    def notes_on(self, name: str, user: UserState) -> list[str]:
        """What a person should know: a path is changed only by a change of the ARN, which others may name."""
        path = user.arn.partition(":user")[2].removesuffix(name)
        if not self.path or path == self.path:
            return []
        return [f"IAM user {name} has the path {path}, not {self.path}: it was left as it is"]


NO_RULES = UserRules()


def rules_of(
    iam_path: str = "",
    permissions_boundary: str = "",
    allowed_policies: Collection[str] = (),
    allowed_groups: Collection[str] = (),
) -> UserRules:
    """The rules that the role's settings give.

    :raises ReconcileError: InvalidSpec for what IAM would not take
    """
    if iam_path and not PATH.fullmatch(iam_path):
        raise _invalid("iam_path", f"{iam_path} does not begin and end with /")
    if permissions_boundary and not BOUNDARY.fullmatch(permissions_boundary):
        raise _invalid("permissions_boundary", f"{permissions_boundary} is not the ARN of a managed policy")
    for arn in allowed_policies:
        if not BOUNDARY.fullmatch(arn):
            raise _invalid("allowed_policies", f"{arn} is not the ARN of a managed policy")
    for group in allowed_groups:
        if not GROUP.fullmatch(group):
            raise _invalid("allowed_groups", f"{group} is not the name of an IAM group")
    return UserRules(iam_path, permissions_boundary, frozenset(allowed_policies), frozenset(allowed_groups))


def _invalid(setting: str, message: str) -> ReconcileError:
    return ReconcileError(Reason.INVALID_SPEC, f"s3bucket_{setting}: {message}")
