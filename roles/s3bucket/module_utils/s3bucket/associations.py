# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The EKS Pod Identity associations of an S3 object's IAM role: reads them, and finds what differs.

A ServiceAccount of a cluster has at most one association. Its owner tags, which the call that creates it sets, show
whether it is the object's own. The role's tags record the ServiceAccounts, so that those that the spec no longer has
are found: a list of associations shows neither tags nor roles, and each of them is another request.
https://docs.aws.amazon.com/eks/latest/userguide/pod-id-association.html
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

from .errors import AWS_ERRORS, ReconcileError, code_of, failing_to, unknown
from .json_types import ApiObject, AwsClient
from .outcome import Reason
from .owner import Identity

_NOT_FOUND = "ResourceNotFoundException"


@dataclass(frozen=True)
class Association:
    """An association as EKS has it."""

    id: str
    service_account: str
    role_arn: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Associations:
    """What is to be done.

    ``created``: names of ServiceAccounts. ``deleted``: of former ServiceAccounts, or with another role.
    ``conflicts``: those that others made, in words.
    """

    created: tuple[str, ...] = ()
    deleted: tuple[Association, ...] = ()
    conflicts: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether a run would change an association."""
        return bool(self.created or self.deleted)


NONE = Associations()


def compare(wanted: Sequence[str], found: Sequence[Association], arn: str, identity: Identity) -> Associations:
    """Find what differs.

    :param wanted: the names of the ServiceAccounts that are to have an association
    :param found: the associations of these and of others that earlier runs may have created
    :param arn: the ARN of the role
    """
    by_name = {item.service_account: item for item in found}
    own = [item for item in found if identity.is_owner(item.tags)]
    deleted = tuple(item for item in own if item.service_account not in wanted or item.role_arn != arn)
    others = [by_name[name] for name in wanted if name in by_name and by_name[name] not in own]
    return Associations(
        tuple(name for name in wanted if name not in by_name or by_name[name] in deleted),
        deleted,
        tuple(_conflict_of(item, identity) for item in others),
    )


def _conflict_of(item: Association, identity: Identity) -> str:
    other = identity.owner_of(item.tags)
    by = f"belongs to S3 object {other}" if other else "was not made for this S3 object"
    return f"EKS Pod Identity association {item.id} of ServiceAccount {item.service_account} {by}"


def find_associations(eks: AwsClient, cluster: str, namespace: str, names: Collection[str]) -> list[Association]:
    """The associations of these ServiceAccounts of a namespace.

    :raises UnknownStateError: when AWS does not return the state
    """
    listed = _list(eks, cluster, namespace=namespace)
    found = [_find(eks, cluster, item["associationId"]) for item in listed if item["serviceAccount"] in names]
    return [item for item in found if item is not None]


def find_all_associations(eks: AwsClient, cluster: str) -> list[Association]:
    """Every association of the cluster: a request for each.

    :raises UnknownStateError: when AWS does not return the state
    """
    found = [_find(eks, cluster, item["associationId"]) for item in _list(eks, cluster)]
    return [item for item in found if item is not None]


def _list(eks: AwsClient, cluster: str, **of: str) -> list[ApiObject]:
    with failing_to(f"list the associations of EKS cluster {cluster} (eks:ListPodIdentityAssociations)"):
        pages = eks.get_paginator("list_pod_identity_associations").paginate(clusterName=cluster, **of)
        return [item for page in pages for item in page["associations"]]


def _find(eks: AwsClient, cluster: str, id_: str) -> Association | None:
    try:
        item = eks.describe_pod_identity_association(clusterName=cluster, associationId=id_)["association"]
    except AWS_ERRORS as error:
        if code_of(error) == _NOT_FOUND:
            return None
        raise unknown(f"read association {id_} (eks:DescribePodIdentityAssociation)", error) from error
    return Association(id_, item["serviceAccount"], item["roleArn"], dict(item.get("tags") or {}))


def create_association(
    eks: AwsClient, cluster: str, namespace: str, name: str, *, arn: str, tags: dict[str, str]
) -> None:
    """Create the association of a ServiceAccount with its owner tags.

    https://docs.aws.amazon.com/eks/latest/APIReference/API_CreatePodIdentityAssociation.html
    :raises ReconcileError: with the reason; Conflict for one that was created since it was read
    """
    try:
        eks.create_pod_identity_association(
            clusterName=cluster, namespace=namespace, serviceAccount=name, roleArn=arn, tags=tags
        )
    except AWS_ERRORS as error:
        if code_of(error) == "ResourceInUseException":
            message = f"ServiceAccount {name} has got an EKS Pod Identity association from someone else meanwhile"
            raise ReconcileError(Reason.CONFLICT, f"spec.iamRole.podIdentity: {message}: it was left alone") from error
        verb = f"associate ServiceAccount {name} (eks:CreatePodIdentityAssociation, eks:TagResource, iam:PassRole)"
        raise unknown(verb, error) from error


def try_each(change: Callable[[str], None], names: Iterable[str]) -> None:
    """Make a change for each of these, also after one that failed.

    :raises ReconcileError: with the reason of the first failure, and the messages of all. After one that is about no
        single resource the rest is not tried
    """
    failed: list[ReconcileError] = []
    for name in names:
        try:
            change(name)
        except ReconcileError as refusal:
            failed.append(refusal)
            if refusal.reason.is_general:
                break
    if failed:
        raise ReconcileError(failed[0].reason, "; ".join(refusal.message for refusal in failed)) from failed[0]


def delete_association(eks: AwsClient, cluster: str, id_: str) -> None:
    """Delete an association.

    :raises UnknownStateError: when AWS does not do it
    """
    try:
        eks.delete_pod_identity_association(clusterName=cluster, associationId=id_)
    except AWS_ERRORS as error:
        if code_of(error) != _NOT_FOUND:
            raise unknown(f"delete association {id_} (eks:DeletePodIdentityAssociation)", error) from error
