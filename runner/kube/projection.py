"""What the operator keeps of the objects that it reads: the fields that it uses, each of bounded size. Pure.

Whoever may write a Secret, a Service or an S3 object chooses its size (up to 1.5 MB in etcd), so nothing is kept that
is not needed. Values of Secrets stop here, but for the access key's id: of each entry a fingerprint is kept.
"""

from __future__ import annotations

import json

from runner.objects import FINALIZER as FINALIZER
from runner.objects import OVERSIZED as OVERSIZED
from runner.objects import Child, JsonObject, S3Object
from s3bucket import metadata as own
from s3bucket import secrets
from s3bucket.api import GROUP, KIND

_LABELS = ("app.kubernetes.io/managed-by", "agill.apps/s3")
# A uid of the API server has 36, a name at most 253 characters.
_MAX_UID, _MAX_NAME = 64, 253
_MAX_ANNOTATION, _MAX_ANNOTATIONS = 256, 16
# Characters of the spec as JSON. A bucketPolicy has at most 20,480. Long lists of rules, which the CRD admits, may have
# more than this: 1,000 lifecycle rules have 75,000 at least.
MAX_SPEC = 128 * 1024
_MAX_SUBFIELD = 1024
_MAX_SHOWN = 5
# The CRD admits no more additional users.
_MAX_USERS = 10


def keep_object(item: JsonObject) -> S3Object:
    """An S3 object as it is read by name, without labels, managedFields and other programs' annotations.

    A spec of more than :data:`MAX_SPEC` characters lacks its largest fields, which :data:`OVERSIZED` names.
    """
    metadata = item["metadata"]
    names = ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp")
    kept = {name: metadata[name] for name in (*names, "finalizers") if name in metadata}
    annotations = _own_annotations(metadata)
    if annotations:
        kept["annotations"] = annotations
    spec, oversized = _bounded_spec(item.get("spec"))
    found = {**{name: item[name] for name in ("apiVersion", "kind", "status") if name in item}, "metadata": kept}
    if "spec" in item:
        found["spec"] = spec
    return S3Object({**found, OVERSIZED: oversized} if oversized else found)


def keep_listed_object(item: JsonObject) -> S3Object:
    """An S3 object for a cache: as :func:`keep_object`, and of the finalizers only the operator's."""
    kept = keep_object(item)
    finalizers = [FINALIZER] if kept.has_finalizer else []
    metadata = {name: value for name, value in kept.metadata.items() if name != "finalizers"}
    return S3Object({**kept.item, "metadata": {**metadata, **({"finalizers": finalizers} if finalizers else {})}})


def keep_child(kind: str, item: JsonObject) -> Child | None:
    """A Secret that an S3 object controls, or a Service that it controls and that has its name. None for any other.

    A Secret has what ``s3bucket.secrets.reduced`` leaves of its values.
    """
    metadata = item["metadata"]
    owner = _controller_of(metadata)
    if owner is None or (kind == "Service" and metadata["name"] != owner["name"]):
        return None
    names = ("name", "namespace", "uid", "resourceVersion")
    kept: JsonObject = {name: metadata[name] for name in names if name in metadata}
    record = own.read_record(item)
    kept["labels"] = _parts(metadata.get("labels") or {}, [*_LABELS, *sorted(record.labels)])
    kept["ownerReferences"] = [owner]
    annotations = _own_annotations(metadata) | _parts(metadata.get("annotations") or {}, sorted(record.annotations))
    if annotations:
        kept["annotations"] = annotations
    found: JsonObject = {"metadata": kept}
    if kind == "Secret":
        found |= {name: item[name] for name in ("type", "immutable") if name in item}
        return Child(found | secrets.reduced(item.get("data"), record))
    spec = item.get("spec") or {}
    return Child(found | {"spec": {name: spec[name] for name in ("type", "externalName") if name in spec}})


def reference_to(item: JsonObject) -> JsonObject:
    """Name, namespace and resourceVersion: all that a watch needs of an object that is not kept."""
    names = ("name", "namespace", "resourceVersion")
    return {"metadata": {name: item["metadata"][name] for name in names if name in item["metadata"]}}


def oversized_message(s3: S3Object) -> str:
    """Why an object cannot be reconciled; empty for one that can."""
    if not s3.oversized:
        return ""
    fields = f"spec.{', spec.'.join(s3.oversized)}"
    return f"{fields}: too large: the whole spec may have {MAX_SPEC} characters as JSON. Shorten it"


def _controller_of(metadata: JsonObject) -> JsonObject | None:
    for owner in metadata.get("ownerReferences") or []:
        if owner.get("controller"):
            is_owner = owner.get("kind") == KIND and str(owner.get("apiVersion", "")).partition("/")[0] == GROUP
            is_short = len(owner.get("name", "")) <= _MAX_NAME and len(owner.get("uid", "")) <= _MAX_UID
            names = ("kind", "name", "uid", "controller")
            return {name: owner[name] for name in names if name in owner} if is_owner and is_short else None
    return None


def _own_annotations(metadata: JsonObject) -> dict[str, str]:
    annotations = metadata.get("annotations") or {}
    found = sorted(name for name in annotations if name.startswith(f"{GROUP}/") and name != own.RECORD)
    kept = {name: annotations[name][:_MAX_ANNOTATION] for name in found[:_MAX_ANNOTATIONS]}
    if own.RECORD in annotations:
        kept[own.RECORD] = annotations[own.RECORD][: own.MAX_RECORD + 1]
    return kept


def _parts(texts: dict[str, str], names: list[str]) -> dict[str, str]:
    """The labels or annotations of these names, each cut to more than a spec may give."""
    most = 2 * own.MAX_ITEMS
    return {name: texts[name][: own.MAX_ANNOTATION + 1] for name in names[:most] if name in texts}


def _bounded_spec(spec: object) -> tuple[object, list[str]]:
    if not isinstance(spec, dict):
        return spec, []
    sizes = {name: len(name) + _size(value) for name, value in spec.items()}
    if sum(sizes.values()) <= MAX_SPEC:
        return spec, []
    kept, left, oversized = {}, MAX_SPEC // 2, []
    for name in sorted(sizes, key=lambda name: sizes[name]):
        if sizes[name] <= left:
            kept[name] = spec[name]
            left -= sizes[name]
        else:
            oversized.append(name[:_MAX_NAME])
            kept |= _small_parts(name, spec[name])
    return kept, oversized[-_MAX_SHOWN:]


def _small_parts(name: str, value: object) -> JsonObject:
    """Of a field that is too large what a deletion needs: the names of users."""
    if name == "iamUser":
        found = _small_user(value)
        return {name: found} if found else {}
    if name == "additionalUsers" and isinstance(value, list):
        users = [_small_user(item) for item in value[:_MAX_USERS]]
        return {name: [user for user in users if user]}
    return {}


def _small_user(value: object) -> JsonObject:
    username = value.get("username") if isinstance(value, dict) else None
    return {"username": username} if isinstance(username, str) and len(username) <= _MAX_SUBFIELD else {}


def _size(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False))
