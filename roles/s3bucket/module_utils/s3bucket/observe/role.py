# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The IAM role of an object, and the annotations of its ServiceAccounts: whether they are owned, and what differs."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from .. import associations, owner, roles, service_accounts
from ..associations import Association, Associations
from ..capabilities import check_has_roles
from ..errors import ForbiddenError, ReconcileError
from ..json_types import ApiObject
from ..outcome import Reason
from ..policy import is_same
from ..read_roles import find_role as read_role
from ..read_roles import read_rights
from ..roles import WantedRole
from ..service_accounts import Annotations
from ..spec import Wanted
from ..state import RoleState
from ..users import policy_name_of
from .sources import Found, Sources


@dataclass
class RoleObservation:
    """What is to be done about the role. ``found``: None for a role that does not exist.

    ``tags``: those that it must have; others set more. ``sets``: tags, trust policy or boundary differ.
    ``accounts``, ``associations``: what is to be done about the annotations of its ServiceAccounts, and about their EKS
    Pod Identity associations.
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
    accounts: Annotations = service_accounts.NONE
    associations: Associations = associations.NONE
    notes: list[str] = field(default_factory=list)
    problems: list[ReconcileError] = field(default_factory=list)

    @property
    def differs(self) -> bool:
        """Whether a run would change the role."""
        of_accounts = self.accounts.differs or self.associations.differs
        return self.found is None or self.sets or self.puts_policy or of_accounts


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
        if not has_bucket or refusal.reason.is_general:
            raise
        return None, refusal


def _find_role(wanted: Wanted, sources: Sources) -> RoleState | None:
    role = wanted.role
    if role is None:
        return None
    check_has_roles(sources.capabilities)
    roles.check(role, sources.role_rules)
    roles.check_sizes(role, _trust_of(wanted, role, sources), wanted.role_policy(role))
    found = read_role(sources.iam, role.name)
    if found is not None:
        _check_ownership(wanted, role, found)
        read_rights(sources.iam, role.name, found, sources.capabilities)
    return found


def _check_ownership(wanted: Wanted, role: WantedRole, found: RoleState) -> None:
    """Roles are never adopted: whoever may name a role would otherwise get the rights that it has."""
    if wanted.identity.is_owner(found.tags):
        return
    other = wanted.identity.owner_of(found.tags)
    owned_by = f"belongs to S3 object {other}" if other else "exists and was not made for this S3 object"
    hint = wanted.identity.cluster_hint(found.tags)
    raise ReconcileError(Reason.CONFLICT, f"IAM role {role.name} {owned_by}: choose another iamRole.name{hint}")


def compare_role(wanted: Wanted, sources: Sources, found: Found) -> tuple[RoleObservation | None, list[ReconcileError]]:
    """The observation of the object's role, and its problems. None where there is no role, or nothing is done about it.

    :raises ReconcileError: for an object without a bucket
    """
    if wanted.role is None or found.role_problem:
        return None, [found.role_problem] if found.role_problem else []
    mine = _compare(wanted, sources, wanted.role, found)
    return mine, mine.problems


def _compare(wanted: Wanted, sources: Sources, role: WantedRole, of_object: Found) -> RoleObservation:
    found, account = of_object.role, of_object.account
    mine = RoleObservation(
        role,
        found,
        found.arn if found else sources.rules.arn_of(wanted.partition, account, role.name, kind="role"),
        policy_name_of(role.name, wanted.bucket),
        _trust_of(wanted, role, sources),
        wanted.role_policy(role),
        {key: value for key, value in wanted.own_tags.items() if wanted.identity.uid or key != owner.UID},
    )
    for compare in (_compare_accounts, _compare_associations):
        try:
            compare(wanted, sources, mine)
        except ReconcileError as refusal:
            if of_object.bucket is None or refusal.reason.is_general:
                raise
            # Who may assume the role, and what it allows, are maintained all the same.
            mine.problems.append(refusal)
    if found is not None:
        boundary = sources.rules.boundary
        is_tagged = all(found.tags.get(key) == value for key, value in mine.tags.items())
        has_boundary = not boundary or found.boundary == boundary
        mine.sets = not (is_tagged and has_boundary and is_same(found.trust, mine.trust))
        mine.puts_policy = not is_same(found.policies.get(mine.policy_name), mine.policy)
        problem = _find_rights_problem(mine, found, sources)
        mine.problems += [problem] if problem else []
    return mine


def _compare_accounts(wanted: Wanted, sources: Sources, mine: RoleObservation) -> None:
    """Compare the annotations. An object that does not use them makes no request for them."""
    role, tags = mine.wanted, mine.found.tags if mine.found else {}
    recorded = owner.recorded_names(owner.SERVICE_ACCOUNTS, tags)
    names = role.service_accounts if role.annotate else ()
    if not names and not recorded:
        return
    if not sources.role_rules.annotates:
        mine.notes.append(_left_alone(recorded))
        return
    namespace, cluster = wanted.identity.namespace, sources.cluster
    there = {
        name: cluster.find_service_account(namespace, name) if cluster is not None else None
        for name in sorted({*names, *recorded})
    }
    # Not before all are read: the record must keep those that are not known.
    mine.tags |= owner.replaced_record(owner.SERVICE_ACCOUNTS, tags, names)
    if cluster is None:
        return
    former = [account for name, account in there.items() if account is not None and name not in names]
    mine.accounts = service_accounts.compare(
        {name: there[name] for name in names}, former, mine.arn, wanted.identity.name
    )
    mine.notes += [
        f"ServiceAccount {name} does not exist: it gets its annotation in the next sync after it was created"
        for name in mine.accounts.missing
    ]
    mine.problems += _problems_of("annotate", mine.accounts.conflicts, "remove the annotation")


def _compare_associations(wanted: Wanted, sources: Sources, mine: RoleObservation) -> None:
    """Compare the EKS Pod Identity associations. An object that does not use them makes no request for them."""
    role, tags = mine.wanted, mine.found.tags if mine.found else {}
    recorded = owner.recorded_names(owner.ASSOCIATIONS, tags)
    names = role.service_accounts if role.pod_identity else ()
    mine.notes += _former_cluster_notes(tags, sources.role_rules.eks_cluster)
    if not names and not recorded:
        return
    if not sources.role_rules.eks_cluster:
        mine.notes.append(_associations_left_alone(recorded))
        return
    _note_former_cluster(mine, sources.role_rules.eks_cluster, recorded)
    found = _find_associations(wanted, sources, {*names, *recorded})
    # Not before they are read, as the record of ServiceAccounts.
    mine.tags |= owner.replaced_record(owner.ASSOCIATIONS, tags, names)
    mine.associations = associations.compare(names, found, mine.arn, wanted.identity)
    mine.problems += _problems_of("podIdentity", mine.associations.conflicts, "delete it")


def _find_former_cluster(found: RoleState | None, cluster: str) -> str:
    """The EKS cluster of which the role still is, where the operator's settings name another one; empty for none."""
    former = roles.eks_cluster_in(found.trust) if found else ""
    return former if former != cluster else ""


def _note_former_cluster(mine: RoleObservation, cluster: str, recorded: list[str]) -> None:
    """Record the cluster in which associations are left, before the trust policy that shows it is replaced."""
    former = _find_former_cluster(mine.found, cluster)
    if former and recorded:
        mine.tags[owner.FORMER_CLUSTER] = former
        mine.notes.append(_left_in(former))
    elif mine.found and mine.found.tags.get(owner.FORMER_CLUSTER) == cluster:
        mine.tags[owner.FORMER_CLUSTER] = ""


def _former_cluster_notes(tags: dict[str, str], cluster: str) -> list[str]:
    left = tags.get(owner.FORMER_CLUSTER, "")
    return [_left_in(left)] if left and left != cluster else []


def _left_in(cluster: str) -> str:
    return (
        f"EKS Pod Identity associations with the role were left in {cluster}, as the operator's settings name another "
        "EKS cluster now. They give no one the role. Delete them there (aws eks delete-pod-identity-association), and "
        f"then the role's tag {owner.FORMER_CLUSTER}"
    )


def _problems_of(field: str, conflicts: tuple[str, ...], remedy: str) -> list[ReconcileError]:
    or_else = f"{remedy}, or take the ServiceAccount out of iamRole.serviceAccounts"
    return [ReconcileError(Reason.CONFLICT, f"spec.iamRole.{field}: {conflict}: {or_else}") for conflict in conflicts]


def _find_associations(wanted: Wanted, sources: Sources, names: Collection[str]) -> list[Association]:
    rules = sources.role_rules
    if sources.eks_of is None:
        return []
    eks = sources.eks_of(rules.eks_region)
    return associations.find_associations(eks, rules.eks_name, wanted.identity.namespace, names)


def former_associations(wanted: Wanted, sources: Sources, found: RoleState | None) -> tuple[list[str], list[str]]:
    """The ids of the associations that the deletion of the object deletes, and notes.

    :param found: the object's own role; None for none
    """
    role = wanted.role
    names = _former_names(owner.ASSOCIATIONS, found, role.service_accounts if role and role.pod_identity else ())
    cluster = sources.role_rules.eks_cluster
    notes = _former_cluster_notes(found.tags if found else {}, cluster)
    if not names:
        return [], notes
    if not cluster:
        return [], [_associations_left_alone(names)]
    former = _find_former_cluster(found, cluster)
    notes += [_left_in(former)] if former else []
    there = _find_associations(wanted, sources, names)
    return [item.id for item in there if _is_own(wanted, item, found)], notes


def _former_names(record: str, found: RoleState | None, given: tuple[str, ...]) -> list[str]:
    """The ServiceAccounts that the role's tags record, and those that the spec gives."""
    return sorted({*(owner.recorded_names(record, found.tags) if found else ()), *given})


def _is_own(wanted: Wanted, item: Association, role: RoleState | None) -> bool:
    """Whether an association is the object's own.

    Nothing refreshes the uid in its tags: one with the object's own role stays as an earlier object of the name made
    it.
    """
    is_of_role = role is not None and item.role_arn == role.arn and wanted.identity.is_owner(item.tags)
    return is_of_role or wanted.identity.is_same_object(item.tags)


def _associations_left_alone(names: list[str]) -> str:
    return (
        f"the EKS Pod Identity associations of ServiceAccounts {', '.join(names)} were left alone: the operator's "
        "settings name no EKS cluster any more"
    )


def former_accounts(wanted: Wanted, sources: Sources, found: RoleState | None) -> tuple[list[ApiObject], list[str]]:
    """The ServiceAccounts with an annotation that the deletion of the object removes, and notes.

    :param found: the object's own role; None for none
    """
    role, cluster = wanted.role, sources.cluster
    names = _former_names(owner.SERVICE_ACCOUNTS, found, role.service_accounts if role and role.annotate else ())
    if not names or cluster is None:
        return [], []
    if not sources.role_rules.annotates:
        return [], [_left_alone(names)]
    try:
        accounts = [cluster.find_service_account(wanted.identity.namespace, name) for name in names]
    except ForbiddenError:
        # As for Secrets: the namespace's deletion may delete the operator's rights first, and deletes ServiceAccounts.
        if not cluster.is_terminating(wanted.identity.namespace):
            raise
        return [], []
    own = [item for item in accounts if item is not None and service_accounts.is_set_by(item, wanted.identity.name)]
    return own, []


def _left_alone(names: list[str]) -> str:
    return (
        f"the annotations of ServiceAccounts {', '.join(names)} were left alone: the operator may not annotate "
        "ServiceAccounts any more"
    )


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
