"""A Lease of an operator, as Kubernetes stores it. Pure.

Beside the fields of every Lease it has a scope: which namespaces its operator watches. The Leases that the replicas of
one release share have a group.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from runner.objects import JsonObject

# By this label, people and operators find the Leases of all operators; the annotation names what they watch.
_LABEL, _KIND, _SCOPE = "agill.apps/lease", "operator", "agill.apps/watch-namespaces"
_GROUP, _LEAVING, _SILENT = "agill.apps/lease-group", "agill.apps/leaving", "agill.apps/silent-regions"
LEASE_SELECTOR = f"{_LABEL}={_KIND}"
# Any tenant may write a Lease.
_MAX_TEXT, _MAX_SCOPE, _MAX_SILENT = 253, 64 * 1024, 4096


@dataclass(frozen=True)
class Lease:
    """A Lease.

    :param holder: the operator's identity; empty when the Lease is released
    :param scope: the namespaces that the operator watches; empty where that is not known
    :param renewed: when it was renewed last; None where that is no time
    :param group: the Leases that the replicas of one release share; empty for a Lease that one replica has alone
    :param is_leaving: whether its holder does not work yet, or is about to stop
    :param silent: the regions from which its holder gets no events of its own changes
    """

    namespace: str
    name: str
    holder: str
    duration_s: int
    scope: str
    renewed: datetime | None = None
    transitions: int = 0
    version: str = ""
    group: str = ""
    is_leaving: bool = False
    silent: tuple[str, ...] = ()


def keep_lease(item: JsonObject) -> Lease:
    """What is kept of a Lease."""
    metadata, spec = item["metadata"], item.get("spec") or {}
    annotations = metadata.get("annotations") or {}
    scope = annotations.get(_SCOPE, "")
    return Lease(
        namespace=metadata["namespace"],
        name=metadata["name"],
        holder=(spec.get("holderIdentity") or "")[:_MAX_TEXT],
        duration_s=spec.get("leaseDurationSeconds") or 0,
        # What is too long to be kept may be any namespaces.
        scope=scope if len(scope) <= _MAX_SCOPE else "",
        renewed=_datetime(spec.get("renewTime")),
        transitions=spec.get("leaseTransitions") or 0,
        version=metadata["resourceVersion"],
        group=annotations.get(_GROUP, "")[:_MAX_TEXT],
        is_leaving=_LEAVING in annotations,
        silent=tuple(filter(None, annotations.get(_SILENT, "")[:_MAX_SILENT].split(","))),
    )


def lease_body(lease: Lease, old: Lease | None, now: datetime) -> JsonObject:
    """What is written to have a Lease in place of ``old``, which must still be the one that is stored."""
    is_taken_over = old is not None and old.holder != lease.holder and bool(lease.holder)
    optional = {_GROUP: lease.group, _LEAVING: "true" if lease.is_leaving else "", _SILENT: ",".join(lease.silent)}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": lease.name,
            "namespace": lease.namespace,
            "labels": {_LABEL: _KIND},
            "annotations": {_SCOPE: lease.scope, **{name: text for name, text in optional.items() if text}},
            **({"resourceVersion": old.version} if old else {}),
        },
        "spec": {
            "holderIdentity": lease.holder,
            "leaseDurationSeconds": lease.duration_s,
            "renewTime": timestamp(now),
            "leaseTransitions": (old.transitions if old else 0) + is_taken_over,
        },
    }


def timestamp(moment: datetime) -> str:
    """A time as Kubernetes writes it, with microseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _datetime(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
    except ValueError:
        # The API server stores the year 0, and more digits: one such Lease must not hide all others.
        return None
