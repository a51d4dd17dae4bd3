"""``s3-operator orphans``: what has this cluster's owner tags in AWS, and an S3 object that no longer exists.

These are IAM users and roles, EKS Pod Identity associations, and buckets. Reads only. One thread. Whoever has a key for
a bucket can write its tags, so the tags of a bucket are only a claim. Tags of the others are where no tenant can write.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace

from runner.commands.options import RoleOptions
from runner.control.orphans import is_watched
from runner.drift.check import DriftCheck
from runner.kube.client import Kube, KubeError
from runner.objects import Key, Owned, ReadError, S3Object


class OrphanError(Exception):
    """What could not be read, and the remedy."""


@dataclass(frozen=True)
class Found:
    """The orphans by kind and name, and the buckets that AWS returns no tags of."""

    orphans: list[Owned]
    unread: list[str]


def find_all(kube: Kube, role: RoleOptions) -> Found:
    """All orphans of the watched namespaces, from live reads.

    :raises OrphanError: when something could not be listed
    """
    try:
        cluster = role.settings.cluster_name or kube.get_cluster_id()
        aws = DriftCheck(role.project_dir, replace(role.settings, cluster_name=cluster)).owned
        # Listed before and after: an object that is created or deleted at this time must not be reported.
        objects = _objects(kube)
        users = aws.find_users()
        others = [*aws.find_roles(), *aws.find_associations()]
        buckets, unread = aws.find_buckets()
        objects += _objects(kube)
    except KubeError as error:
        raise OrphanError(str(error)) from error
    except ReadError as error:
        raise OrphanError(f"{error}: orphans are found by the tags of users, roles and buckets") from error
    by_key: dict[Key, list[S3Object]] = defaultdict(list)
    for s3 in objects:
        by_key[s3.key].append(s3)
    owned = [thing for thing in [*(users[1] if users else []), *others, *buckets] if is_watched(thing, kube.namespaces)]
    named = {thing for thing in owned if any(thing.is_named_by(s3) for s3 in by_key.get(thing.key, []))}
    found = [thing for thing in owned if thing not in named]
    return Found(sorted(found, key=lambda thing: (thing.kind, thing.name)), unread)


def _objects(kube: Kube) -> list[S3Object]:
    return [s3 for namespace in kube.namespaces for s3 in kube.list_objects(namespace)[0]]


def text_of(found: Found) -> str:
    """The report for a person."""
    lines = [_line(thing) for thing in found.orphans] or ["Nothing of this cluster is orphaned."]
    if found.unread:
        lines.append(f"Not known, as AWS does not show their tags: {', '.join(found.unread)}")
    return "\n".join(lines)


def json_of(found: Found) -> str:
    """The report for a program."""
    rows = [
        {
            "kind": thing.kind,
            "name": thing.name,
            "namespace": thing.namespace,
            "object": thing.object_name,
            "uid": thing.uid,
            "bucket": thing.bucket,
            **({"serviceAccount": thing.service_account} if thing.service_account else {}),
        }
        for thing in found.orphans
    ]
    return json.dumps({"orphans": rows, "unread": found.unread}, indent=2)


def _line(thing: Owned) -> str:
    claim = f", claims bucket {thing.bucket}" if thing.kind in ("user", "role") and thing.bucket else ""
    of = f" of ServiceAccount {thing.service_account}" if thing.service_account else ""
    s3 = f"{thing.namespace}/{thing.object_name}"
    return f"{thing.kind} {thing.name}{of}: of S3 object {s3}, which no longer exists{claim}"
