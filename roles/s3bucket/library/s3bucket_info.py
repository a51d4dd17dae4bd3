#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_info
short_description: Read all of one S3 object's state and return what differs
description:
  - Reads the bucket and its settings, the IAM user with its policies and keys, the Secret and the Service
    of one S3 object, checks their ownership, and returns the aspects that differ.
  - Changes nothing. When the module fails, it has refused the object with a C(s3bucket_reason).
author: s3-operator contributors
options:
  cr:
    description: The S3 object as JSON text. With C(metadata.deletionTimestamp) the result is what is to be removed.
    type: str
    required: true
  settings:
    description: The role's settings by the names of module_utils/s3bucket/role_settings.py, as JSON text.
    type: str
    default: "{}"
  state:
    description: Whether the object's resources should exist. C(absent) acts like a C(metadata.deletionTimestamp).
    type: str
    choices: [present, absent]
    default: present
  defaults:
    description: A map of values for optional fields of the spec; other fields have the role's default.
    type: raw
    default: {}
  kubernetes:
    description:
      - The options of C(kubernetes.core) that lead to the cluster, as JSON text.
      - Options that are not given come from K8S_AUTH_*.
    type: str
    default: "{}"
  working_directory:
    description: Where a relative path in KUBECONFIG starts. The action plugin sets it to that of C(ansible-playbook).
    type: str
    default: ""
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Read the object's state
  s3bucket_info:
    cr: "{{ lookup('file', 'cr.yaml') | from_yaml | to_json }}"
    defaults: {forceDelete: false}
  register: seen
"""

RETURN = r"""
differs:
  description: The aspects that differ; for a deletion, those that still exist.
  type: list
  elements: str
  returned: success
cr:
  description: The object as JSON text, as it was read, for the tasks that follow.
  type: str
  returned: success
defaults:
  description: A value for each optional field of the spec, and the tags, for the tasks that follow.
  type: dict
  returned: success
written:
  description:
    - The aspects that a run writes. These are the ones that differ, and the policy, access key and Secret that come
      with a new user or a new key.
  type: list
  elements: str
  returned: success
is_deleting:
  description: Whether the object's resources are to be removed.
  type: bool
  returned: success
is_check:
  description: Whether the module ran in check mode, by C(--check) or by the keyword C(check_mode) of a play or task.
  type: bool
  returned: success
plan:
  description: What the role's tasks are to do, with their arguments. Holds no secret.
  type: dict
  returned: success
outcome_status:
  description: The object's status when everything is done.
  type: dict
  returned: success
success:
  description: The outcome record of a run in which no step fails and none is deferred.
  type: dict
  returned: success
settings:
  description: The settings as JSON text, with the cluster's name, for the tasks that follow.
  type: str
  returned: success
iam_key:
  description: The module for access keys, C(amazon.aws.iam_access_key) or C(s3bucket_key).
  type: str
  returned: success
working_directory:
  description: Where a relative path in KUBECONFIG starts.
  type: str
  returned: success
kubernetes:
  description: The options that tasks of C(kubernetes.core) need in addition to the given ones. Holds no secret.
  type: dict
  returned: success
deferred:
  description: Problems that prevent some steps, as outcome records; everything else of the object is maintained.
  type: list
  elements: dict
  returned: success
predicted:
  description:
    - With check mode or diff, the result that a run would have as far as reads can predict it, with C(done), C(reason),
      C(message), C(retry), C(changed) and C(status).
    - Its reason is C(WouldChange) when a run would change something and succeed.
  type: dict
  returned: with check mode or diff
lines:
  description: The changes for a person, one line each.
  type: list
  elements: str
  returned: with check mode or diff
s3bucket_reason:
  description: Why the object is refused.
  type: str
  returned: failure
"""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from ansible.module_utils.s3bucket.requirements import ensure_present

# Before the other imports, which would fail with a traceback.
ensure_present()

from ansible.module_utils.s3bucket import children, owner, recent, service_accounts
from ansible.module_utils.s3bucket.capabilities import AWS
from ansible.module_utils.s3bucket.clients import refuse
from ansible.module_utils.s3bucket.connection import CONNECTION_ARGUMENTS, connect
from ansible.module_utils.s3bucket.defaults import defaults_of
from ansible.module_utils.s3bucket.errors import NoSuchRegionError, ReconcileError
from ansible.module_utils.s3bucket.module import make_module, read_cr, read_settings
from ansible.module_utils.s3bucket.module_sources import make_sources, probe_store, with_capabilities
from ansible.module_utils.s3bucket.observe import (
    Deletion,
    Observation,
    Sources,
    UserDeletion,
    UserObservation,
    observe,
    observe_deletion,
    outcome_status,
    user_status,
)
from ansible.module_utils.s3bucket.outcome import Outcome, OutcomeRecord, Reason
from ansible.module_utils.s3bucket.prediction import Prediction, diff_of, predict, predict_deletion, result_of
from ansible.module_utils.s3bucket.regions import region_of_iam
from ansible.module_utils.s3bucket.spec import Wanted, metadata_defaults, wanted_of
from ansible.module_utils.s3bucket.users import policy_name_of
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

# The role's variables without their prefix. Where Ansible's own errors would not name the field, the type is raw.
VARIABLES: dict[str, Any] = {
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "defaults": {"type": "raw", "default": {}},
    **CONNECTION_ARGUMENTS,
}


def main() -> None:
    """Run the module."""
    module = make_module(**VARIABLES)
    given = module.params
    try:
        settings = read_settings(given["settings"])
        defaults = defaults_of(given["defaults"], settings.deletion_policy, settings.tags, settings.allowed_settings)
        defaults |= metadata_defaults(settings.resource_labels, settings.resource_annotations)
        cr = read_cr(given["cr"], given["state"])
        wanted = wanted_of(cr, settings.cluster_name, defaults, is_aws=settings.is_aws)
        sources = make_sources(module, settings)
        cluster, options = connect(module, given["kubernetes"])
        # The first request. Invalid values and old versions have been refused before.
        if not settings.cluster_name:
            settings = replace(settings, cluster_name=cluster.get_cluster_id())
            wanted = wanted_of(cr, settings.cluster_name, defaults, is_aws=settings.is_aws)
        settings = probe_store(sources, settings)
        sources = with_capabilities(replace(sources, cluster=cluster), settings.known_capabilities or AWS)
        answer = (compare_deletion if wanted.is_deleting else compare_present)(module, wanted, sources)
    except ReconcileError as refusal:
        refuse(module, refusal)
    # The next tasks get the values that were read here, because Ansible evaluates a variable of a play for each task.
    read = {
        "cr": json.dumps(cr),
        "settings": json.dumps(settings.to_record()),
        "defaults": defaults,
        "is_deleting": wanted.is_deleting,
        "is_check": module.check_mode,
        "working_directory": given["working_directory"],
        "iam_key": "amazon.aws.iam_access_key" if settings.is_aws else "s3bucket_key",
    }
    module.exit_json(changed=False, **read, kubernetes=options, **answer)


def compare_present(module: AnsibleAWSModule, wanted: Wanted, sources: Sources) -> dict[str, Any]:
    """The module's result for an object that should exist."""
    seen = observe(wanted, sources)
    return answer_present(wanted, seen, sources) | preview(module, wanted, lambda: predict(wanted, seen, sources))


def compare_deletion(module: AnsibleAWSModule, wanted: Wanted, sources: Sources) -> dict[str, Any]:
    """The module's result for an object that is being deleted."""
    # The clients are created again when the region does not exist.
    deletion, sources = read_deletion(module, wanted, sources)
    return answer_deletion(wanted, deletion, sources) | preview(
        module, wanted, lambda: predict_deletion(wanted, deletion, sources)
    )


def preview(module: AnsibleAWSModule, wanted: Wanted, foretell: Callable[[], Prediction]) -> dict[str, Any]:
    """The changes that a person sees before a run, or in place of one. It may need reads that a run does not make."""
    if not module.check_mode and not module._diff:
        return {}
    prediction = foretell()
    found = {"predicted": result_of(wanted, prediction).to_record(), "lines": prediction.lines}
    return {**found, "diff": diff_of(wanted, prediction)} if module._diff else found


def answer_present(wanted: Wanted, seen: Observation, sources: Sources) -> dict[str, Any]:
    """The module's result for an object that should exist: what differs, and the data of each task."""
    owner_id = sources.owner_of(seen.account)
    users = [plan_user(wanted, user, sources, owner_id) for user in seen.users]
    removed = plan_removed(wanted, seen)
    plan = {
        "creates": not seen.bucket_exists or any(creates_user(user) for user in seen.users[:1]),
        "bucket_exists": seen.bucket_exists,
        "bucket_arguments": seen.bucket_arguments,
        "users": users,
        "role": plan_role(wanted, seen, sources),
        "removed": removed,
        "access_tasks": access_tasks(users, removed),
        "users_record": record_before(seen),
        "service": plan_service(wanted, seen),
        "namespace": wanted.identity.namespace,
        "unwanted": unwanted_service(wanted, seen),
        "bucket": wanted.bucket,
        "region": wanted.region,
        "iam_region": region_of_iam(wanted.region, is_aws=sources.capabilities.is_aws),
        "bucket_owner": owner_id,
    }
    plan["tasks"] = present_tasks(plan)
    return {
        "differs": seen.differs,
        "written": seen.written,
        "plan": plan,
        "outcome_status": {
            # With several users, the role adds each new key when its Secret has it.
            **outcome_status(wanted, seen, hides_new_keys=len(seen.users) > 1, is_after=True),
            **({recent.STATUS: recent.record(seen.digests, sources.now)} if seen.digests else {}),
        },
        "success": success(seen.notes),
        "deferred": [problem.outcome.to_record() for problem in seen.deferred],
    }


def present_tasks(plan: dict[str, Any]) -> str:
    """The file with the tasks for an object that should exist: one for a new object with a user, or one for all."""
    users = plan["users"]
    is_new = not plan["bucket_exists"] and len(users) == 1 and users[0]["is_created"]
    has_more = plan["removed"] or plan["role"]["differs"] or plan["unwanted"]
    is_plain = is_new and not has_more and plan["access_tasks"] == "access_new.yml"
    return "present_new.yml" if is_plain else "present.yml"


def success(notes: list[str]) -> OutcomeRecord:
    """The outcome record of a successful run."""
    return Outcome(True, Reason.READY, "; ".join(notes)).to_record()


def plan_user(wanted: Wanted, user: UserObservation, sources: Sources, owner_id: str) -> dict[str, Any]:
    """The data of the tasks for one IAM user with its key and Secret.

    :param owner_id: the account that must own the bucket
    """
    in_secret = plan_secret(wanted, user)
    origin, found = user.tags.get(owner.ORIGIN, ""), user.found.tags if user.found else {}
    # The record of an unfinished rotation may be of another kind of rotation.
    starts_rotation = user.keys.create and found.get(owner.UNMANAGED_KEYS) != user.keys.unmanaged_tag
    rotation_tags = {owner.UNMANAGED_KEYS: user.keys.unmanaged_tag} if starts_rotation else {}
    is_changed = (
        "user" in user.differs or starts_rotation or owner.BUCKET not in found or found.get(owner.ORIGIN, "") != origin
    )
    plan = {
        "name": user.wanted.username,
        "is_first": user.wanted.is_first,
        "is_created": creates_user(user),
        # The call that creates a user sets all its tags.
        "sets_tags": user.found is not None and is_changed,
        "origin": origin,
        "tags": {**user.tags, **rotation_tags},
        # Read again by the module: a tag that someone else sets at this moment would be removed, too.
        "purges_tags": bool(user.stale_tags),
        "boundary": sources.rules.boundary,
        "tags_after_rotation": {
            key: value
            for key, value in {
                **wanted.identity.tags,
                **user.tags,
                **in_secret["moving_tags"],
                **user.keys.record,
            }.items()
            if key not in (owner.UNMANAGED_KEYS, *user.keys.removed_tags)
        },
        "key_tag": owner.KEY,
        "keys": user.keys.to_record(),
        "step": "access" if user.wanted.is_first else "users",
        "policy_name": policy_name_of(user.wanted.username, wanted.bucket),
        "policy": wanted.policy_of(user.wanted),
        # A new user gets its policy from s3bucket_create.
        "puts_policy": user.puts_policy and not creates_user(user),
        "policies": plan_policies(user),
        "needs_access": user.writes_secret
        or user.keys.differs
        or bool(user.policies)
        or not (user.wanted.is_first or user.differs == user.written == []),
        "status": user_status(user, shows_key=True, is_after=True),
        **in_secret,
        "tasks": tasks_for(wanted, user, in_secret),
    }
    if plan["tasks"] == "access_new.yml":
        plan["access"] = {"bucket": wanted.bucket, "bucket_owner": owner_id, **plan_access(plan)}
    return plan


def plan_access(user: dict[str, Any]) -> dict[str, Any]:
    """The data of the only task for the first key of a user and its Secret, without that about the bucket."""
    return {
        "user": user["name"],
        "record": user["keys"]["record"],
        "secret": user["secret"],
        "entries": user["secret_source"]["entries"],
        "facts": user["secret_source"]["facts"],
        "tags": user["tags_after_rotation"],
        "is_new": user["is_created"],
    }


def tasks_for(wanted: Wanted, user: UserObservation, in_secret: dict[str, Any]) -> str:
    """The file with the tasks for the key and the Secret of one IAM user."""
    if len(wanted.users) > 1 or in_secret["has_more"] or user.policies:
        return "access_of_several.yml"
    keys = user.keys
    has_old = keys.delete_first or keys.delete_after or keys.activate or keys.deactivate
    is_first = keys.create and in_secret["secret"] and not has_old and not in_secret["recreated"]
    return "access_new.yml" if is_first else "access.yml"


def plan_secret(wanted: Wanted, user: UserObservation) -> dict[str, Any]:
    """The data of the tasks for the Secret of one IAM user, and for the ConfigMap beside it."""
    own, kept = user.wanted.secret, user.kept_in
    manifest = children.secret_manifest(wanted, own, user.secret) if user.writes_secret else {}
    if kept is not None and children.is_new(manifest):
        manifest = children.with_issue_of(manifest, kept)
    config_map = (
        children.config_map_manifest(wanted, own, user.config_map, user.facts) if user.writes_config_map else {}
    )
    more = {
        "kept_in": kept["metadata"]["name"] if kept else "",
        "config_map": config_map,
        "unwanted": [
            child_of(wanted, kind, item["metadata"]["name"], item["metadata"]["uid"]) for kind, item in user.unwanted
        ],
        "moving_tags": own.moving_tags(user.found.tags) if user.moves and user.writes_secret and user.found else {},
        "secret_tags": {owner.SECRET: own.name} if user.moves and user.writes_secret else {},
    }
    source = {
        "entries": own.entries,
        "facts": asdict(user.facts),
        "pair": str(user.recorded or ""),
        "kept_uid": kept["metadata"]["uid"] if kept else "",
    }
    return {
        "secret": manifest,
        "secret_source": source,
        "recreated": immutable_secret(wanted, user),
        "has_more": any(more.values()),
        **more,
    }


def access_tasks(users: list[dict[str, Any]], removed: list[dict[str, Any]]) -> str:
    """The file with the tasks for keys, Secrets, and users but the first one; empty when there is nothing to do."""
    due = [user for user in users if user["needs_access"]]
    if removed or len(users) > 1:
        return "users.yml" if removed or due else ""
    return str(due[0]["tasks"]) if due else ""


def plan_policies(user: UserObservation) -> list[dict[str, Any]]:
    """The data of the tasks for the policies of one IAM user for the buckets of other objects. None: it is deleted."""
    name = user.wanted.username
    return [{"name": policy_name_of(name, bucket), "policy": policy} for bucket, policy in user.policies.items()]


def plan_role(wanted: Wanted, seen: Observation, sources: Sources) -> dict[str, Any]:
    """The data of the tasks for the IAM role, and for the annotations of its ServiceAccounts."""
    role, s3 = seen.role, wanted.identity.name
    if role is None:
        return {"differs": False}
    return {
        "differs": role.differs,
        "name": role.wanted.name,
        "is_created": role.found is None,
        "sets": role.sets,
        "trust": role.trust,
        "tags": role.tags,
        "boundary": sources.rules.boundary,
        "policy_name": role.policy_name,
        "policy": role.policy,
        "puts_policy": role.puts_policy,
        "arn": role.arn,
        "associated": list(role.associations.created),
        "no_longer_associated": [item.id for item in role.associations.deleted],
        "annotated": [service_accounts.manifest_of(item, role.arn, s3) for item in role.accounts.added],
        "no_longer_annotated": [service_accounts.removal_of(item, role.arn) for item in role.accounts.removed],
    }


def creates_user(user: UserObservation) -> bool:
    """Whether the user is to be created."""
    return user.found is None and "user" in user.differs


def plan_removed(wanted: Wanted, seen: Observation) -> list[dict[str, Any]]:
    """The data of the tasks for users that the spec no longer has.

    The last one has the record of the remaining users, and the name of the first user, which the record is a tag of.
    """
    plans = [
        {
            **asdict(user),
            "step": "removal",
            "tasks": "removed_user.yml",
            "record": {},
            "deleted_users": [deleted_user(wanted, user)] if user.is_deleted else [],
            "children": secrets_of(wanted, user),
        }
        for user in seen.removed
    ]
    if plans:
        first = seen.users[0]
        plans[-1] |= {"record": owner.replaced_users_record(first.tags, [*wanted.additional_names, *seen.unread])}
        plans[-1] |= {"first": first.wanted.username}
    return plans


def record_before(seen: Observation) -> dict[str, str]:
    """The record of users for an existing first user, where another user is to be created; empty for no change."""
    first = seen.users[0].found if seen.users else None
    if first is None or not any(creates_user(user) for user in seen.users):
        return {}
    record = owner.replaced_users_record(seen.users[0].tags, owner.recorded_users(seen.users[0].tags))
    return record if any(first.tags.get(key) != value for key, value in record.items()) else {}


def plan_service(wanted: Wanted, seen: Observation) -> dict[str, Any]:
    """The manifest of the Service; empty when it is not written."""
    if not seen.service_differs or not seen.service_host:
        return {}
    return children.service_manifest(wanted, seen.service, seen.service_host)


def unwanted_service(wanted: Wanted, seen: Observation) -> list[dict[str, str]]:
    """The Service that must be deleted, if there is one."""
    if not seen.service_differs or seen.service_host or seen.service is None:
        return []
    return [child_of(wanted, "Service", wanted.identity.name, seen.service["metadata"]["uid"])]


def immutable_secret(wanted: Wanted, user: UserObservation) -> list[dict[str, str]]:
    """The immutable Secret that must be deleted before it is written, if there is one."""
    if user.secret is None or not user.secret.get("immutable") or not user.writes_secret:
        return []
    return [child_of(wanted, "Secret", user.wanted.secret.name, user.secret["metadata"]["uid"])]


def read_deletion(module: AnsibleAWSModule, wanted: Wanted, sources: Sources) -> tuple[Deletion, Sources]:
    """Read what exists of an object that is being deleted."""
    try:
        return observe_deletion(wanted, sources), sources
    except NoSuchRegionError as refusal:
        # Bucket names are unique in a partition, and IAM has no regions. So another region can be asked.
        module.params["region"] = refusal.elsewhere
        made = make_sources(module, read_settings(module.params["settings"]))
        sources = with_capabilities(replace(made, cluster=sources.cluster), sources.capabilities)
        return observe_deletion(wanted, sources), sources


def answer_deletion(wanted: Wanted, deletion: Deletion, sources: Sources) -> dict[str, Any]:
    """The module's result for a deletion: what exists, and the data of each task."""
    retained = {} if deletion.retained_tags is None else {"tags": deletion.retained_tags, "purge_tags": True}
    plan = {
        **asdict(replace(deletion, deferred=[], accounts=[])),
        "accounts": [service_accounts.removal_of(item, deletion.role_arn) for item in deletion.accounts],
        "kept_arguments": {**({"policy": {}} if deletion.reopens_bucket else {}), **retained},
        "bucket": wanted.bucket,
        "bucket_owner": sources.owner_of(deletion.account),
        "region": wanted.region,
        "iam_region": region_of_iam(wanted.region, is_aws=sources.capabilities.is_aws),
        "namespace": wanted.identity.namespace,
        "children": children_of(wanted, deletion),
        "deleted_users": deleted_users(wanted, deletion),
        "deleted_bucket": deleted_bucket(wanted, deletion, sources),
    }
    has_more = any(plan[name] for name in ("accounts", "associations", "role", "kept_arguments", "bucket_tags"))
    has_more = has_more or any(user.tags for user in deletion.users)
    plan["tasks"] = "absent.yml" if has_more else "absent_plain.yml"
    return {
        "differs": deletion.differs,
        "written": deletion.differs,
        "plan": plan,
        "outcome_status": {},
        "success": success(deletion.notes),
        "deferred": [problem.outcome.to_record() for problem in deletion.deferred],
    }


def children_of(wanted: Wanted, deletion: Deletion) -> list[dict[str, str]]:
    """The Secrets, ConfigMaps and the Service that are deleted."""
    found = [child for user in deletion.users for child in secrets_of(wanted, user)]
    found.append(child_of(wanted, "Service", wanted.identity.name, deletion.service_uid))
    return [child for child in found if child["uid"]]


def secrets_of(wanted: Wanted, user: UserDeletion) -> list[dict[str, str]]:
    """The Secrets and ConfigMaps of one user that are deleted."""
    found = [{"kind": "Secret", "name": user.secret_name, "uid": user.secret_uid}, *user.more]
    return [child_of(wanted, **child) for child in found if child["uid"]]


def child_of(wanted: Wanted, kind: str, name: str, uid: str) -> dict[str, str]:
    """What the task needs to delete an object in Kubernetes."""
    return {"kind": kind, "namespace": wanted.identity.namespace, "name": name, "uid": uid}


def deleted_users(wanted: Wanted, deletion: Deletion) -> list[dict[str, Any]]:
    """The users that are deleted, with what they may have. The first one is the last: its tags record the others."""
    return [deleted_user(wanted, user) for user in reversed(deletion.users) if user.is_deleted]


def deleted_user(wanted: Wanted, user: UserDeletion) -> dict[str, Any]:
    """What the task needs to delete a user."""
    return {"name": user.name, "keys": user.recorded_keys, "policies": [policy_name_of(user.name, wanted.bucket)]}


def deleted_bucket(wanted: Wanted, deletion: Deletion, sources: Sources) -> dict[str, Any] | None:
    """The bucket that is deleted; None where it is kept."""
    if not deletion.deletes_bucket:
        return None
    owner_id = sources.owner_of(deletion.account)
    return {"name": wanted.bucket, "owner": owner_id, "empties": wanted.force_delete}


if __name__ == "__main__":
    main()
