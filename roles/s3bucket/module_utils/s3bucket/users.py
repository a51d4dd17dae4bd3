# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the cluster requires of every user that the operator creates: an IAM path and a permissions boundary.

No CR can change them. When the operator may give rights only to users with that boundary (docs/iam-policy.json), no CR
can create a user with more rights than the boundary allows.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass

from . import owner
from .errors import ReconcileError
from .outcome import Reason
from .state import UserState

# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html allows more characters in a path. Those that
# are wildcards in a policy are left out.
PATH = re.compile(r"/([A-Za-z0-9+=,.@_-]+/)*")
BOUNDARY = re.compile(r"arn:aws[a-z-]*:iam::(\d{12}|aws):policy/[\w+=,.@/-]+", re.ASCII)
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateGroup.html.
# A comma is not allowed, because it separates the names in lists.
GROUP = re.compile(r"[\w+=.@-]{1,128}", re.ASCII)


# https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCompromisedKeyQuarantineV3.html
_QUARANTINE = re.compile(r"arn:aws[a-z-]*:iam::aws:policy/AWSCompromisedKeyQuarantine(V\d{1,3})?")


def is_quarantine(arn: str) -> bool:
    """Whether the policy is one that AWS attaches to a user after it has found an access key in public."""
    return _QUARANTINE.fullmatch(arn) is not None


def policy_name_of(username: str, bucket: str) -> str:
    """The inline policy's name, as in the Go operator."""
    return f"{username}-{bucket}-s3-restricted"


def bucket_of_policy(username: str, policy_name: str) -> str:
    """The bucket that an inline policy of this name is for; empty for a policy that has no name of the operator's."""
    prefix, suffix = policy_name_of(username, "\0").split("\0")
    is_named = policy_name.startswith(prefix) and policy_name.endswith(suffix)
    return policy_name.removeprefix(prefix).removesuffix(suffix) if is_named else ""


def may_use(name: str, user: UserState, bucket: str) -> bool:
    """Whether a user has the operator's policy for a bucket of this name, whoever owns the bucket."""
    return policy_name_of(name, bucket) in user.policies


def claims(name: str, user: UserState, bucket: str) -> bool:
    """Whether a user claims a bucket name: by the operator's policy, or by the tag that its creation set.

    Both are in IAM, where no tenant's key can write. Users that were created before the tag existed have only the
    policy.
    """
    return may_use(name, user, bucket) or user.tags.get(owner.BUCKET) == bucket


def due_tags(user: UserState, tags: dict[str, str]) -> dict[str, str]:
    """The tags that the user should have. Missing ones must be repaired at once.

    A user from before the tag claims the name by its policy's name. It gets the tag when its tags are written next.
    """
    return {key: value for key, value in tags.items() if key != owner.BUCKET or key in user.tags}


def claim_of(name: str, user: UserState) -> str:
    """The bucket name that a user claims; empty for none."""
    named = (bucket for policy in user.policies if (bucket := bucket_of_policy(name, policy)))
    return user.tags.get(owner.BUCKET) or next(named, "")


@dataclass(frozen=True)
class UserRules:
    """Path and boundary of users. An empty value: users are created without it, and existing users are not changed.

    Others may attach ``allowed_policies`` (ARNs) and ``allowed_groups`` to users, for example as guardrails.
    """

    path: str = ""
    boundary: str = ""
    allowed_policies: frozenset[str] = frozenset()
    allowed_groups: frozenset[str] = frozenset()

    def unmanaged_rights(self, user: UserState, policy_names: Collection[str]) -> list[str]:
        """What, apart from the operator's inline policies, gives or takes rights of a user and is not allowed."""
        found = [f"group {group}" for group in user.groups if group not in self.allowed_groups]
        found += [f"policy {arn}" for arn in user.attached if arn not in self.allowed_policies or is_quarantine(arn)]
        return found + [f"policy {name}" for name in user.policies if name not in policy_names]

    def arn_of(self, partition: str, account: str, name: str, *, kind: str = "user") -> str:
        """The ARN of a user that does not exist yet, or of a role, which has the same path."""
        return f"arn:{partition}:iam::{account}:{kind}{self.path or '/'}{name}"

    @property
    def creation(self) -> dict[str, str]:
        """The arguments that the rules add to the call that creates a user."""
        found = {"Path": self.path, "PermissionsBoundary": self.boundary}
        return {name: value for name, value in found.items() if value}

    def differ(self, user: UserState) -> bool:
        """Whether an owned user must be repaired. Its boundary can be set; its path is never changed."""
        return bool(self.boundary) and user.boundary != self.boundary

    def notes_on(self, name: str, user: UserState) -> list[str]:
        """Notes for a person. Changing a path would change the ARN, which others may name, so the path stays."""
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

    :raises ReconcileError: InvalidSpec for a value that IAM would refuse
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
