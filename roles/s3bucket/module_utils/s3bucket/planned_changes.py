# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a run of the role would change, field by field, computed from an observation. Pure.

Every aspect that differs has at least one change; an aspect that does not differ has none. A change never holds a value
from a Secret. Any value there may be secret, even one that someone else wrote.
"""

from __future__ import annotations

from . import aspects, children, owner, secrets, service_accounts
from .change import Change
from .json_types import ApiObject, Json
from .keys import KeyPlan, Pair
from .observe import Deletion, Observation, RoleObservation, Sources, UserDeletion, UserObservation
from .policy import is_same
from .rotation import OldKey, Phase
from .settings import BY_NAME
from .spec import Wanted
from .state import UserState
from .users import due_tags, policy_name_of

_MISSING, _CREATED, _THERE = "missing", "created", "there"
_STRAYS = {"Secret": "secret", "ConfigMap": "configMap"}


def changes_of(wanted: Wanted, seen: Observation, sources: Sources) -> list[Change]:
    """The changes of an object that should be present, from the result of :func:`observe.observe`."""
    found = _of_bucket(wanted, seen)
    for mine in seen.users:
        found += _of_user(wanted, mine, mine.found, sources) if mine.found else _of_new_user(mine, sources)
    found += _of_removed(seen.removed)
    if seen.service_differs:
        found += _of_service(wanted, seen)
    if seen.role:
        found += _of_role(seen.role, sources)
    return found


def changes_of_deletion(wanted: Wanted, deletion: Deletion) -> list[Change]:
    """The changes of an object that is being deleted, from the result of :func:`observe.observe_deletion`."""
    deleted = "emptied and deleted" if wanted.force_delete else "deleted, if it is empty"
    of_bucket = "retained, no longer managed" if deletion.retained_tags is not None else deleted
    found = [Change(aspect, aspect, _THERE, of_bucket) for aspect in deletion.differs if aspect == "bucket"]
    found += _of_removed(deletion.users)
    found += [Change("role", _annotation_of(item), _THERE, "removed") for item in deletion.accounts]
    found += [
        Change("role", f"iamRole.podIdentityAssociations[{id_}]", _THERE, "deleted") for id_ in deletion.associations
    ]
    found += [Change("role", "iamRole", _THERE, "deleted, with its policy")] if deletion.role else []
    return found + [Change(aspect, aspect, _THERE, "deleted") for aspect in deletion.differs if aspect == "service"]


def _of_removed(users: list[UserDeletion]) -> list[Change]:
    becomes = "deleted, with its keys and policy"
    found = [Change("user", user.field, _THERE, becomes) for user in users if user.is_deleted]
    with_secret = [user for user in users if "secret" in user.differs]
    return found + [Change("secret", f"{user.in_plan}secret", _THERE, "deleted") for user in with_secret]


def _of_bucket(wanted: Wanted, seen: Observation) -> list[Change]:
    found = [] if seen.bucket_exists else [Change("bucket", "bucket", _MISSING, _CREATED)]
    if not seen.bucket_exists and wanted.object_lock:
        found.append(Change("bucket", "enableObjectLock", False, True))
    case = seen.comparison_with(wanted)
    for aspect in aspects.differing(case, seen.unmanaged, seen.recorded):
        if seen.bucket_exists and aspect not in seen.differs:
            # Deferred: this run does not change it.
            continue
        values = BY_NAME[aspect].plan(case)
        found += _differing(aspect if seen.bucket_exists else "bucket", "", values)
    is_now, would_be = seen.tags
    return found + _differing("tags" if seen.bucket_exists else "bucket", "tags.", _paired(is_now, would_be))


def _of_new_user(mine: UserObservation, sources: Sources) -> list[Change]:
    found = [Change("user", mine.wanted.field, _MISSING, _CREATED), *_of_shared(mine)]
    if not mine.keys.create:
        return found
    issued = Change("user", f"{mine.wanted.in_plan}accessKey", _MISSING, "issued")
    return [*found, issued, *_of_rewritten_secret("user", mine, sources)]


def _of_user(wanted: Wanted, mine: UserObservation, user: UserState, sources: Sources) -> list[Change]:
    field = mine.wanted.field
    due = due_tags(user, wanted.tags_of(mine.wanted))
    names = dict.fromkeys([*due, *owner.replaced_users_record(mine.tags, []), *mine.stale_tags])
    tags = {key: mine.tags.get(key) for key in names}
    found = _differing("user", f"{field}.tags.", {key: (user.tags.get(key), value) for key, value in tags.items()})
    if sources.rules.differ(user):
        boundary = user.boundary or None
        found.append(Change("user", f"{field}.permissionsBoundary", boundary, sources.rules.boundary))
    if mine.puts_policy:
        policy = user.policies.get(policy_name_of(mine.wanted.username, wanted.bucket))
        found.append(Change("user_policy", f"{field}.policy", policy, wanted.policy_of(mine.wanted)))
    found += _of_shared(mine)
    found += _of_keys(mine, user)
    # A new key replaces the one in the Secret, so both values change together.
    aspect = "secret" if "secret" in mine.differs else "access_key"
    if mine.keys.create:
        found += _of_rewritten_secret(aspect, mine, sources)
    if "secret" in mine.differs:
        found += _of_secret(wanted, mine)
    return found


def _of_secret(wanted: Wanted, mine: UserObservation) -> list[Change]:
    """The changes of the Secret beside those of a new key."""
    own, prefix, found = mine.wanted.secret, f"{mine.wanted.in_plan}secret", []
    if mine.former is not None:
        found.append(Change("secret", f"{prefix}.name", mine.former["metadata"]["name"], own.name))
    elif mine.moves:
        found.append(Change("secret", f"{prefix}.name", "not on record", own.name))
    elif mine.secret is None and not mine.keys.create:
        found.append(Change("secret", prefix, _MISSING, _CREATED))
    elif mine.secret is not None and mine.secret.get("immutable") and mine.kept_in is not None:
        found.append(Change("secret", prefix, "immutable", "replaced"))
    if mine.secret is not None:
        manifest = children.secret_manifest(wanted, own, mine.secret)
        found += _of_metadata("secret", prefix, mine.secret, manifest)
        found += _of_entries(prefix, mine, manifest)
    found += [
        Change("secret", f"{mine.wanted.in_plan}{_STRAYS[kind]}[{item['metadata']['name']}]", _THERE, "deleted")
        for kind, item in mine.strays
    ]
    return found + _of_config_map(mine)


def _of_entries(prefix: str, mine: UserObservation, manifest: ApiObject) -> list[Change]:
    """The entries that are written without a new key, and those that are removed. Without any value."""
    now, own = (mine.secret or {}).get("fingerprints", {}), mine.wanted.secret
    wanted = secrets.wanted_fingerprints(own.entries, mine.facts, mine.recorded) if mine.recorded else {}
    words = [
        (name, "differs" if name in now else _MISSING, "written")
        for name, fingerprint in ({} if mine.keys.create else wanted).items()
        if now.get(name) != fingerprint
    ]
    words += [(name, _THERE, "removed") for name in manifest.get("data", {})]
    return [Change("secret", f"{prefix}.data.{name}", is_now, would_be) for name, is_now, would_be in words]


def _of_config_map(mine: UserObservation) -> list[Change]:
    if not mine.config_map_differs:
        return []
    field = f"{mine.wanted.in_plan}configMap"
    if not mine.wanted.secret.has_config_map:
        return [Change("secret", field, _THERE, "deleted")]
    return [Change("secret", field, _MISSING if mine.config_map is None else "differs", "written")]


def _of_shared(mine: UserObservation) -> list[Change]:
    """The changes of the policies for the buckets of other objects."""
    user, policies = mine.wanted, mine.found.policies if mine.found else {}
    return [
        Change(
            "user_policy", f"{user.field}.alsoUses.policy[{bucket}]",
            policies.get(policy_name_of(user.username, bucket)), policy,
        )
        for bucket, policy in mine.policies.items()
    ]  # fmt: skip


def _of_keys(mine: UserObservation, user: UserState) -> list[Change]:
    aspect = "access_key" if "access_key" in mine.differs else "secret"
    found, keys, field = [], mine.keys, f"{mine.wanted.in_plan}accessKey"
    recorded = Pair.parse(user.tags.get(owner.KEY, ""))
    if keys.replaces:
        found.append(Change(aspect, field, f"{keys.replaces} (Active)", "rotated: a new one in the Secret"))
        return found + [Change(aspect, f"{field}.{key}", user.keys[key], "deleted") for key in keys.delete_first]
    found += _of_old_key(aspect, mine, keys, user)
    if keys.create:
        status = user.keys.get(recorded.id) if recorded else None
        is_now = f"{recorded.id} ({status})" if recorded and status else _MISSING
        found.append(Change(aspect, field, is_now, "replaced by a new one" if status else "issued"))
    elif keys.rotation_in_progress:
        found.append(Change(aspect, field, "rotation left unfinished", keys.live))
    goes = [*keys.delete_first, *keys.delete_after]
    return found + [
        Change(aspect, f"{field}.{key}", user.keys[key], "deleted")
        for key in goes
        if recorded is None or key != recorded.id
    ]


def _of_old_key(aspect: str, mine: UserObservation, keys: KeyPlan, user: UserState) -> list[Change]:
    """What a rotation does next about the old key; its deletion is listed with the others."""
    field = f"{mine.wanted.in_plan}accessKey"
    if keys.is_restored:
        return [Change(aspect, field, "another one than the Secret holds", keys.live)]
    old, was = keys.old, OldKey.parse(user.tags.get(owner.OLD_KEY, ""))
    if keys.create or old is None or old == was:
        is_only_tag = bool(keys.removed_tags) and not keys.delete_after and not keys.create
        tag = f"{mine.wanted.field}.tags.{owner.OLD_KEY}"
        return [Change(aspect, tag, str(was or ""), None)] if is_only_tag else []
    status = "Inactive" if old.phase is Phase.DRAINING else "Active"
    return [Change(aspect, f"{field}.{old.id}", user.keys[old.id], f"{status}, the old key of a rotation")]


def _of_rewritten_secret(aspect: str, mine: UserObservation, sources: Sources) -> list[Change]:
    if sources.cluster is None:
        return []
    field = f"{mine.wanted.in_plan}secret"
    if mine.secret is None:
        return [Change(aspect, field, _MISSING, _CREATED)]
    is_now = "holds the recorded key" if mine.has_key else "does not hold a key that works"
    return [Change(aspect, field, is_now, "holds the new key")]


def _of_role(role: RoleObservation, sources: Sources) -> list[Change]:
    found = role.found
    if found is None:
        created = Change("role", "iamRole", _MISSING, _CREATED)
        documents: dict[str, tuple[Json, Json]] = {"trustPolicy": (None, role.trust), "policy": (None, role.policy)}
        return [created, *_differing("role", "iamRole.", documents), *_of_accounts(role)]
    tags: dict[str, tuple[Json, Json]] = {key: (found.tags.get(key), value) for key, value in role.tags.items()}
    changes = _differing("role", "iamRole.tags.", tags)
    if sources.rules.boundary and found.boundary != sources.rules.boundary:
        changes.append(Change("role", "iamRole.permissionsBoundary", found.boundary or None, sources.rules.boundary))
    if not is_same(found.trust, role.trust):
        changes.append(Change("role", "iamRole.trustPolicy", found.trust, role.trust))
    if role.puts_policy:
        changes.append(Change("role", "iamRole.policy", found.policies.get(role.policy_name), role.policy))
    return changes + _of_accounts(role)


def _of_accounts(role: RoleObservation) -> list[Change]:
    """The changes of ServiceAccounts' annotations."""
    states = [(item, role.arn) for item in role.accounts.added] + [(item, None) for item in role.accounts.removed]
    annotated = [
        Change("role", _annotation_of(item), service_accounts.role_arn_of(item) or None, becomes)
        for item, becomes in states
    ]
    return annotated + _of_associations(role)


def _of_associations(role: RoleObservation) -> list[Change]:
    """The changes of EKS Pod Identity associations: one to another role is deleted and created again."""
    is_now = {item.service_account: item.role_arn for item in role.associations.deleted}
    becomes = dict.fromkeys(role.associations.created, role.arn)
    return [
        Change("role", f"iamRole.serviceAccounts[{name}].podIdentityAssociation", is_now.get(name), becomes.get(name))
        for name in sorted({*is_now, *becomes})
    ]


def _annotation_of(account: ApiObject) -> str:
    return f"iamRole.serviceAccounts[{account['metadata']['name']}].annotations.{service_accounts.ROLE_ARN}"


def _of_service(wanted: Wanted, seen: Observation) -> list[Change]:
    service = seen.service
    if service is None:
        return [Change("service", "service", _MISSING, _CREATED)]
    if not seen.service_host:
        return [Change("service", "service", _THERE, "deleted")]
    spec = _paired(service.get("spec", {}), children.service_spec(seen.service_host), keeps=True)
    manifest = children.service_manifest(wanted, service, seen.service_host)
    return _differing("service", "service.", spec) + _of_metadata("service", "service", service, manifest)


def _of_metadata(aspect: str, field: str, item: ApiObject, manifest: ApiObject) -> list[Change]:
    """The labels and annotations that a manifest sets, or removes by None."""
    found = []
    for name in ("labels", "annotations"):
        is_now, would_be = item.get("metadata", {}).get(name) or {}, manifest["metadata"][name]
        found += _differing(aspect, f"{field}.{name}.", _paired(is_now, would_be, keeps=True))
    return found


def _paired(is_now: ApiObject, would_be: ApiObject, *, keeps: bool = False) -> dict[str, tuple[Json, Json]]:
    """Map each key to (current value, future value). ``keeps``: a key that ``would_be`` does not have stays."""
    keys = [*would_be, *(() if keeps else (key for key in is_now if key not in would_be))]
    return {key: (is_now.get(key), would_be.get(key)) for key in keys}


def _differing(aspect: str, prefix: str, values: dict[str, tuple[Json, Json]]) -> list[Change]:
    return [
        Change(aspect, prefix + name, is_now, would_be)
        for name, (is_now, would_be) in values.items()
        if is_now != would_be
    ]
