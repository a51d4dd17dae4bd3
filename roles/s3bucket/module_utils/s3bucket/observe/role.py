# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The IAM role of an object: whether it is owned, and what differs."""

from __future__ import annotations

from dataclasses import dataclass, field

from .. import owner, roles
from ..errors import ReconcileError
from ..json_types import ApiObject
from ..outcome import Reason
from ..policy import is_same
from ..read_roles import find_role as read_role
from ..read_roles import read_rights
from ..roles import WantedRole
from ..spec import Wanted
from ..state import RoleState
from ..users import policy_name_of
from .sources import Sources


@dataclass
class RoleObservation:
    """What is to be done about the role. ``found``: None for a role that does not exist.

    ``tags``: those that it must have; others set more. ``sets``: tags, trust policy or boundary differ.
    """

    wanted: WantedRole
    found: RoleState | None
    arn: str
    policy_name: str
    trust: ApiObject
    policy: ApiObject
    tags: dict[str, str] = field(default_factory=dict)
    sets: bool = False
    puts_policy: bool = True
    problem: ReconcileError | None = None

    @property
    def differs(self) -> bool:
        """Whether a run would change the role."""
        return self.found is None or self.sets or self.puts_policy


# Why nothing can be done about the role of an object, while its bucket, users and keys can be maintained.
_DEFERRED = (Reason.CONFLICT, Reason.INVALID_SPEC, Reason.ACCESS_DENIED)


def find_role(wanted: Wanted, sources: Sources, *, has_bucket: bool) -> tuple[RoleState | None, ReconcileError | None]:
    """The role that the object requests, or why nothing is done about it.

    A role can be added to an object that has a bucket, and then its name can be neither changed nor taken out. So what
    is wrong with it must not keep everything else from being maintained.

    :param has_bucket: whether the bucket exists. Without it, nothing is created for an object that cannot be completed
    :raises ReconcileError: InvalidSpec; Conflict for a role that is not the object's own
    """
    try:
        return _find_role(wanted, sources), None
    except ReconcileError as refusal:
        if not has_bucket or refusal.reason not in _DEFERRED:
            raise
        return None, refusal


def _find_role(wanted: Wanted, sources: Sources) -> RoleState | None:
    role = wanted.role
    if role is None:
        return None
    roles.check(sources.role_rules)
    roles.check_sizes(role, _trust_of(wanted, role, sources), wanted.role_policy(role))
    found = read_role(sources.iam, role.name)
    if found is not None:
        _check_ownership(wanted, role, found)
        read_rights(sources.iam, role.name, found)
    return found


def _check_ownership(wanted: Wanted, role: WantedRole, found: RoleState) -> None:
    """Roles are never adopted: whoever may name a role would otherwise get the rights that it has."""
    if wanted.identity.is_owner(found.tags):
        return
    other = wanted.identity.owner_of(found.tags)
    owned_by = f"belongs to S3 object {other}" if other else "exists and was not made for this S3 object"
    hint = wanted.identity.cluster_hint(found.tags)
    raise ReconcileError(Reason.CONFLICT, f"IAM role {role.name} {owned_by}: choose another iamRole.name{hint}")


def compare_role(wanted: Wanted, sources: Sources, account: str, found: RoleState | None) -> RoleObservation | None:
    """The observation of the object's role; None for an object without one."""
    role = wanted.role
    if role is None:
        return None
    mine = RoleObservation(
        role,
        found,
        found.arn if found else f"arn:{wanted.partition}:iam::{account}:role{sources.rules.path or '/'}{role.name}",
        policy_name_of(role.name, wanted.bucket),
        _trust_of(wanted, role, sources),
        wanted.role_policy(role),
        {key: value for key, value in wanted.own_tags.items() if wanted.identity.uid or key != owner.UID},
    )
    if found is not None:
        boundary = sources.rules.boundary
        is_tagged = all(found.tags.get(key) == value for key, value in mine.tags.items())
        has_boundary = not boundary or found.boundary == boundary
        mine.sets = not (is_tagged and has_boundary and is_same(found.trust, mine.trust))
        mine.puts_policy = not is_same(found.policies.get(mine.policy_name), mine.policy)
        mine.problem = _find_rights_problem(mine, found, sources)
    return mine


def _trust_of(wanted: Wanted, role: WantedRole, sources: Sources) -> ApiObject:
    return roles.trust_policy(role, wanted.identity.namespace, sources.role_rules)


def _find_rights_problem(mine: RoleObservation, found: RoleState, sources: Sources) -> ReconcileError | None:
    """What others have attached: the operator does not remove it, and does not call the object Ready with it."""
    unmanaged = [f"policy {arn}" for arn in found.attached if arn not in sources.rules.allowed_policies]
    unmanaged += [f"policy {name}" for name in found.policies if name != mine.policy_name]
    if not unmanaged:
        return None
    return ReconcileError(
        Reason.CONFLICT,
        f"IAM role {mine.wanted.name} has rights that the operator did not give ({', '.join(unmanaged)}): remove them, "
        "or allow them with --allowed-policy of the operator (iam.allowedPolicies of its chart), or "
        "s3bucket_allowed_policies of the role",
    )
