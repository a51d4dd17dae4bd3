# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secret and Service of an object: whether they are owned, whether they differ, and whether they can be stored."""

from __future__ import annotations

from .. import children
from ..access import WantedUser
from ..errors import ForbiddenError, NoSuchNamespaceError, ReconcileError
from ..json_types import ApiObject
from ..outcome import Reason
from ..spec import Wanted
from .observation import Observation, UserObservation
from .sources import Cluster, FoundUser, Sources

_Child = ApiObject | None


def find_secret(wanted: Wanted, sources: Sources, user: WantedUser) -> _Child:
    """The Secret of one of the users. None for one that does not exist, and without a cluster."""
    if sources.cluster is None:
        return None
    name = user.secret.name
    return sources.cluster.find_secret(wanted.identity.namespace, name, is_wanted=bool(user.username))


def find_service(wanted: Wanted, sources: Sources) -> _Child:
    """The Service. None for one that does not exist, and without a cluster."""
    if sources.cluster is None:
        return None
    has_service = bool(children.service_host(wanted, sources.external_name))
    return sources.cluster.find_service(wanted.identity.namespace, wanted.identity.name, is_wanted=has_service)


def find_children_of_deletion(
    wanted: Wanted, sources: Sources, users: tuple[WantedUser, ...]
) -> tuple[list[_Child], _Child]:
    """The Secret of each user, in their order, and the Service.

    In a terminating namespace, the operator's rights may be deleted first. Kubernetes then deletes Secret and Service
    together with the namespace, so they count as absent.
    https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
    """
    try:
        return [find_secret(wanted, sources, user) for user in users], find_service(wanted, sources)
    except ForbiddenError:
        if sources.cluster is None or not sources.cluster.is_terminating(wanted.identity.namespace):
            raise
        return [None for _ in users], None


def check_ownership(wanted: Wanted, users: tuple[FoundUser, ...], service: _Child) -> None:
    """Return only if the Secrets and the Service may be created or changed.

    :raises ReconcileError: Conflict
    """
    for one in users:
        if one.secret is not None and not children.is_owned(one.secret, wanted):
            raise _conflict("Secret", one.wanted.secret.name)
    if service is not None and not children.is_owned(service, wanted):
        raise _conflict("Service", wanted.identity.name)


def _conflict(kind: str, name: str) -> ReconcileError:
    return ReconcileError(
        Reason.CONFLICT,
        f"{kind} {name} exists and does not belong to this S3 object (no controller ownerReference to it): "
        f"delete or rename the {kind}, or rename the S3 object",
    )


def compare_service(wanted: Wanted, sources: Sources, seen: Observation) -> None:
    """Fill in whether the Service differs."""
    service = seen.service
    if wanted.service and not seen.service_host:
        seen.notes.append(
            f"there is no Service: the endpoint {sources.external_name} is an IP address, which no Service of type "
            "ExternalName can point to"
        )
    if sources.cluster is None:
        return
    if not seen.service_host:
        if service is not None and children.is_owned(service, wanted):
            seen.service_differs = True
    elif service is None or not children.is_service_same(service, wanted, seen.service_host):
        seen.service_differs = True


def check_namespace_lives(wanted: Wanted, sources: Sources, seen: Observation) -> None:
    """Refuse to create anything in a namespace that is being deleted.

    :raises ReconcileError: Pending
    """
    creates_secret = any("secret" in user.differs and user.secret is None for user in seen.users)
    creates_service = seen.service_differs and bool(seen.service_host)
    if not (creates_secret or creates_service) or sources.cluster is None:
        return
    if sources.cluster.is_terminating(wanted.identity.namespace):
        message = f"namespace {wanted.identity.namespace} is being deleted: nothing is made in it"
        raise ReconcileError(Reason.PENDING, message)


def try_children(wanted: Wanted, cluster: Cluster, seen: Observation) -> None:
    """Ask the API server, before any write, whether it would store what this run would write.

    If the Secret cannot be stored, its key would be lost, and every retry would create another key.

    :raises NoSuchNamespaceError: before bucket and user are created for a namespace that does not exist
    """
    if seen.service_differs and seen.service_host:
        try:
            cluster.dry_run(children.service_manifest(wanted, seen.service, seen.service_host))
        except NoSuchNamespaceError:
            raise
        except ReconcileError as rejection:
            seen.defer(rejection, "service")
    for user in seen.users:
        if not user.writes_secret:
            continue
        try:
            _try_secret(wanted, cluster, user)
        except NoSuchNamespaceError:
            raise
        except ReconcileError as rejection:
            seen.defer_key(user, rejection)


def _try_secret(wanted: Wanted, cluster: Cluster, user: UserObservation) -> None:
    manifest = children.secret_manifest(wanted, user.wanted, user.secret)
    is_replaced = user.secret is not None and children.is_new(manifest)
    finalizers = (user.secret or {}).get("metadata", {}).get("finalizers")
    if is_replaced and finalizers:
        raise ReconcileError(
            Reason.KUBERNETES_ERROR,
            f"Secret {user.wanted.secret.name} is immutable and cannot be replaced while it has finalizers "
            f"({', '.join(map(str, finalizers))}): remove them",
        )
    if user.keys.create:
        manifest = children.with_example_pair(manifest)
    cluster.dry_run(children.beside(manifest) if is_replaced else manifest)
