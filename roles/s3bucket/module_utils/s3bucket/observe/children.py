# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secret and Service of an object: whether they are owned, whether they differ, and whether they can be stored."""

from __future__ import annotations

from .. import children
from ..errors import ForbiddenError, NoSuchNamespaceError, ReconcileError
from ..json_types import ApiObject
from ..outcome import Reason
from ..spec import Wanted
from .observation import Observation, writes_secret
from .sources import Cluster, Sources

_Child = ApiObject | None


def find_children(wanted: Wanted, sources: Sources) -> tuple[_Child, _Child]:
    """The Secret and the Service. None for one that does not exist; None for both without a cluster."""
    if sources.cluster is None:
        return None, None
    namespace, name = wanted.identity.namespace, wanted.identity.name
    secret = sources.cluster.find_secret(namespace, wanted.secret_name, is_wanted=bool(wanted.username))
    has_service = bool(children.service_host(wanted, sources.external_name))
    return secret, sources.cluster.find_service(namespace, name, is_wanted=has_service)


def find_children_of_deletion(wanted: Wanted, sources: Sources) -> tuple[_Child, _Child]:
    """As :func:`find_children`. In a terminating namespace, the operator's rights may be deleted first.

    Kubernetes then deletes Secret and Service together with the namespace, so they count as absent.
    https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
    """
    try:
        return find_children(wanted, sources)
    except ForbiddenError:
        if sources.cluster is None or not sources.cluster.is_terminating(wanted.identity.namespace):
            raise
        return None, None


def check_ownership(wanted: Wanted, secret: _Child, service: _Child) -> None:
    """Return only if Secret and Service may be created or changed.

    :raises ReconcileError: Conflict
    """
    if secret is not None and wanted.username and not children.is_owned(secret, wanted):
        raise _conflict("Secret", wanted.secret_name)
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
            seen.differs.append("service")
    elif service is None or not children.is_service_same(service, wanted, seen.service_host):
        seen.differs.append("service")


def check_namespace_lives(wanted: Wanted, sources: Sources, seen: Observation) -> None:
    """Refuse to create anything in a namespace that is being deleted.

    :raises ReconcileError: Pending
    """
    creates_secret = "secret" in seen.differs and seen.secret is None
    creates_service = "service" in seen.differs and bool(seen.service_host)
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
    if "service" in seen.differs and seen.service_host:
        try:
            cluster.dry_run(children.service_manifest(wanted, seen.service, seen.service_host))
        except NoSuchNamespaceError:
            raise
        except ReconcileError as rejection:
            seen.defer(rejection, "service")
    if writes_secret(wanted, seen):
        try:
            _try_secret(wanted, cluster, seen)
        except NoSuchNamespaceError:
            raise
        except ReconcileError as rejection:
            seen.defer_key(rejection)


def _try_secret(wanted: Wanted, cluster: Cluster, seen: Observation) -> None:
    manifest = children.secret_manifest(wanted, seen.secret)
    is_replaced = seen.secret is not None and children.is_new(manifest)
    finalizers = (seen.secret or {}).get("metadata", {}).get("finalizers")
    if is_replaced and finalizers:
        raise ReconcileError(
            Reason.KUBERNETES_ERROR,
            f"Secret {wanted.secret_name} is immutable and cannot be replaced while it has finalizers "
            f"({', '.join(map(str, finalizers))}): remove them",
        )
    if seen.keys.create:
        manifest = children.with_example_pair(manifest)
    cluster.dry_run(children.beside(manifest) if is_replaced else manifest)
