# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secret and Service of an object: whether they are owned, whether they differ, and whether they can be stored."""

from __future__ import annotations

from dataclasses import replace

from .. import children
from ..access import WantedUser
from ..errors import ForbiddenError, NoSuchNamespaceError, ReconcileError
from ..json_types import ApiObject
from ..metadata import read_record
from ..outcome import Reason
from ..spec import Wanted
from ..state import UserState
from .observation import Observation, UserObservation
from .sources import Cluster, Found, FoundUser, Sources

_Child = ApiObject | None


def find_user(wanted: Wanted, sources: Sources, user: WantedUser, found: UserState | None) -> FoundUser:
    """One of the users with its Secret, and with what earlier runs wrote under another name or in another layout.

    :param found: the IAM user
    """
    cluster, namespace = sources.cluster, wanted.identity.namespace
    if cluster is None:
        return FoundUser(user, found)
    name = user.secret.name
    secret = cluster.find_secret(namespace, name, is_wanted=bool(user.username))
    former = None
    former_name = user.secret.former_name(found.tags) if found else name
    # A name that another user has now is not the former Secret's any more: it must not be deleted.
    if former_name not in (name, *(one.secret.name for one in wanted.users)):
        former = owned_only(wanted, cluster.find_secret(namespace, former_name))
    one = FoundUser(user, found, secret, former)
    try:
        config_map, former_config_map = _find_config_maps(wanted, cluster, one, former_name)
    except ForbiddenError as refusal:
        # ConfigMaps are a right of their own, which only one layout needs.
        return replace(one, problem=refusal)
    return replace(one, config_map=config_map, former_config_map=former_config_map)


def _find_config_maps(wanted: Wanted, cluster: Cluster, one: FoundUser, former_name: str) -> tuple[_Child, _Child]:
    namespace, own = wanted.identity.namespace, one.wanted.secret
    has_one = own.has_config_map or _has_config_map(wanted, one.secret)
    former = cluster.find_config_map(namespace, former_name) if _has_config_map(wanted, one.former) else None
    return cluster.find_config_map(namespace, own.name) if has_one else None, owned_only(wanted, former)


def with_strays(wanted: Wanted, sources: Sources, found: Found) -> Found:
    """The users, with the Secrets that an unfinished move or removal has left, for one of the users with it.

    The name of a Secret may be changed again before the first move is complete, and then no record names the Secret in
    between. Nor does one when a user is gone and its Secret is not. Nothing is read unless the tags of a user record
    a move or such a user, nor while one of the users is not known.
    """
    users, cluster = found.users, sources.cluster
    everyone = (*users, *found.removed)
    moving = next((one for one in everyone if one.user and one.wanted.secret.is_moving(one.user.tags)), None)
    holder = moving or next((one for one in found.removed if one.user is None), None)
    if cluster is None or holder is None or any(one.refusal for one in everyone):
        return found
    kept = {one.wanted.secret.name for one in everyone}
    kept |= {one.wanted.secret.former_name(one.user.tags) for one in everyone if one.user}
    strays: list[tuple[str, ApiObject]] = []
    for item in cluster.list_secrets(wanted.identity.namespace, wanted.identity.name):
        if item["metadata"]["name"] in kept or owned_only(wanted, item) is None:
            continue
        strays.append(("Secret", item))
        beside = _find_config_map_of(wanted, cluster, item)
        strays += [("ConfigMap", beside)] if beside else []
    held = [replace(one, strays=tuple(strays)) if one is holder else one for one in everyone]
    return replace(found, users=tuple(held[: len(users)]), removed=tuple(held[len(users) :]))


def _find_config_map_of(wanted: Wanted, cluster: Cluster, secret: ApiObject) -> _Child:
    if not _has_config_map(wanted, secret):
        return None
    try:
        return owned_only(wanted, cluster.find_config_map(wanted.identity.namespace, secret["metadata"]["name"]))
    except ForbiddenError:
        # Then the operator has written none: anyone who may write the Secret may have written its record.
        return None


def owned_only(wanted: Wanted, item: _Child) -> _Child:
    """The item if the S3 object owns it, else None."""
    return item if item is not None and children.is_owned(item, wanted) else None


def _has_config_map(wanted: Wanted, secret: _Child) -> bool:
    """Whether an owned Secret records that an earlier run wrote a ConfigMap beside it."""
    return owned_only(wanted, secret) is not None and read_record(secret).config_map


def find_service(wanted: Wanted, sources: Sources) -> _Child:
    """The Service. None for one that does not exist, and without a cluster."""
    if sources.cluster is None:
        return None
    has_service = bool(children.service_host(wanted, sources.external_name))
    return sources.cluster.find_service(wanted.identity.namespace, wanted.identity.name, is_wanted=has_service)


def find_children_of_deletion(
    wanted: Wanted, sources: Sources, users: list[tuple[WantedUser, UserState | None]]
) -> tuple[list[FoundUser], _Child]:
    """Each user with its Secret, in their order, and the Service.

    In a terminating namespace, the operator's rights may be deleted first. Kubernetes then deletes Secret and Service
    together with the namespace, so they count as absent.
    https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
    """
    try:
        found = [find_user(wanted, sources, *user) for user in users]
        for one in found:
            if one.problem is not None:
                raise one.problem
        return found, find_service(wanted, sources)
    except ForbiddenError:
        if sources.cluster is None or not sources.cluster.is_terminating(wanted.identity.namespace):
            raise
        return [FoundUser(*user) for user in users], None


def check_service(wanted: Wanted, service: _Child) -> None:
    """Return only if the Service may be created or changed.

    :raises ReconcileError: Conflict
    """
    if service is not None and not children.is_owned(service, wanted):
        raise _conflict("Service", wanted.identity.name, "rename the S3 object")


def with_owned_secret(wanted: Wanted, one: FoundUser) -> FoundUser:
    """The user with its Secret and ConfigMap if they may be created or changed; else without, and with the problem."""
    for kind, found in (("Secret", one.secret), ("ConfigMap", one.config_map)):
        # A ConfigMap that is not wanted is only deleted if it is owned.
        is_wanted = kind == "Secret" or one.wanted.secret.has_config_map
        if found is not None and is_wanted and not children.is_owned(found, wanted):
            problem = _conflict(kind, one.wanted.secret.name, f"set another {one.wanted.secret_field}.name")
            secret, config_map = owned_only(wanted, one.secret), owned_only(wanted, one.config_map)
            return replace(one, secret=secret, config_map=config_map, problem=problem)
    return one


def _conflict(kind: str, name: str, remedy: str) -> ReconcileError:
    return ReconcileError(
        Reason.CONFLICT,
        f"{kind} {name} exists and does not belong to this S3 object (no controller ownerReference to it): "
        f"delete or rename the {kind}, or {remedy}",
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
    manifest = children.secret_manifest(wanted, user.wanted.secret, user.secret)
    is_replaced = user.secret is not None and children.is_new(manifest)
    finalizers = (user.secret or {}).get("metadata", {}).get("finalizers")
    if is_replaced and finalizers:
        raise ReconcileError(
            Reason.KUBERNETES_ERROR,
            f"Secret {user.wanted.secret.name} is immutable and cannot be replaced while it has finalizers "
            f"({', '.join(map(str, finalizers))}): remove them",
        )
    if user.keys.create or user.rewrites_data:
        manifest = children.with_example_pair(manifest, user.wanted.secret, user.facts)
    cluster.dry_run(children.beside(manifest) if is_replaced else manifest)
    if user.writes_config_map:
        secret = user.wanted.secret
        cluster.dry_run(children.config_map_manifest(wanted, secret, user.config_map, user.facts))
