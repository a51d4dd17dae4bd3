# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Secret, the Service and the ConfigMap of an S3 object: ownership, wanted content, and manifests. Pure.

Objects are plain dicts as the API server returns them, but a Secret has ``fingerprints`` and ``pairs`` in place of its
values (``secrets.reduced``). Only :func:`values_in` returns values of a Secret.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from ipaddress import ip_address

from . import metadata, secrets
from .api import API_VERSION, KIND
from .json_types import ApiObject
from .keys import Pair, fingerprint_of
from .metadata import LABEL_MANAGED_BY, Metadata, Record
from .regions import s3_host_of
from .secrets import KEY_ID, SECRET_KEY, Facts, WantedSecret
from .spec import Wanted

LABEL_NAME = "agill.apps/s3"
MANAGER = "s3-operator"
ANNOTATION_KEY = "agill.apps/key"
ANNOTATION_ISSUED = "agill.apps/key-issued"
# A uid that no object has. The API server replaces it when it creates an object. It refuses a patch with a uid other
# than the object's, because metadata.uid is immutable. So kubernetes.core.k8s, which patches an object that it finds,
# cannot take over an object that was created after the read.
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
NEW_UID = "00000000-0000-0000-0000-000000000000"
# AWS's example key pair for dry runs. It has the length of a real one.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html
_EXAMPLE_ID, _EXAMPLE_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def labels_of(wanted: Wanted) -> dict[str, str]:
    """The labels of both objects. The operator's watches select on the first one."""
    return {LABEL_MANAGED_BY: MANAGER, LABEL_NAME: wanted.identity.name}


def owner_references(wanted: Wanted) -> list[ApiObject]:
    """A controller reference to the S3 object; none for a CR that exists only as a file."""
    if not wanted.is_live:
        return []
    return [
        {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "name": wanted.identity.name,
            "uid": wanted.identity.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def is_owned(item: ApiObject, wanted: Wanted) -> bool:
    """Whether the S3 object controls the item. For a CR that exists only as a file: the labels, and no controller."""
    if wanted.is_live:
        return is_controlled(item, wanted.identity.uid)
    return not _controllers(item) and has_labels(item, wanted)


def is_controlled(item: ApiObject, uid: str) -> bool:
    """Whether the object of this uid controls the item."""
    return any(ref.get("uid") == uid for ref in _controllers(item))


def _controllers(item: ApiObject) -> list[ApiObject]:
    return [ref for ref in item.get("metadata", {}).get("ownerReferences") or [] if ref.get("controller")]


def has_labels(item: ApiObject, wanted: Wanted) -> bool:
    """Whether the item has all labels of the operator."""
    found = item.get("metadata", {}).get("labels") or {}
    return all(found.get(key) == value for key, value in labels_of(wanted).items())


def pair_in(secret: ApiObject | None, recorded: Pair | None = None) -> Pair | None:
    """The key pair in a Secret; None when the Secret does not hold a complete pair.

    :param recorded: the pair that AWS has on record. It is found in entries of any names
    """
    found = secrets.pair_in(secret, recorded)
    return found if found == recorded and found is not None else secrets.pair_in(secret, _annotated_pair(secret))


def values_in(secret: ApiObject) -> tuple[str, str]:
    """The key id and the secret access key in the Secret, for creating a client. The caller must never show them."""
    data = secret.get("data") or {}
    return _decoded(data.get(KEY_ID, "")), _decoded(data.get(SECRET_KEY, ""))


def issued_ago_s(secret: ApiObject | None, now: datetime) -> float | None:
    """Seconds since the operator wrote the pair in the Secret; None when the pair was changed since."""
    pair = pair_in(secret)
    if pair is None or _annotated_pair(secret) != pair:
        return None
    try:
        issued = datetime.fromisoformat(_annotations(secret).get(ANNOTATION_ISSUED, "").replace("Z", "+00:00"))
    except ValueError:
        return None
    if issued.tzinfo is None:
        issued = issued.replace(tzinfo=UTC)
    return (now - issued).total_seconds()


def service_host(wanted: Wanted, given: str) -> str:
    """The host that the Service points to; empty when there is to be no Service.

    An ExternalName is a DNS name, so there is no Service for an IP address.

    :param given: the operator's setting; empty to derive the host from the object's region
    """
    if not wanted.service:
        return ""
    host = (given or s3_host_of(wanted.region)).lower().rstrip(".")
    return "" if is_address(host) else host


def is_address(host: str) -> bool:
    """Whether a host is an IP address, with brackets or without."""
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def service_spec(external_name: str) -> dict[str, str]:
    """The fields that the operator sets in the Service's spec."""
    return {"type": "ExternalName", "externalName": external_name}


def secret_manifest(wanted: Wanted, own: WantedSecret, existing: ApiObject | None) -> ApiObject:
    """The manifest of a user's Secret, without a key pair. None in it removes what an earlier run has written."""
    found = existing if existing is not None and not existing.get("immutable") else None
    manifest = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(wanted, own.name, found, own.metadata, own.record),
    }
    if found is None:
        return {**manifest, "type": "Opaque"}
    stale = sorted(metadata.read_record(found).entries - set(own.entries))
    # Only what exists: the API server stores an empty entry for a null in a new object.
    stale = [name for name in stale if name in found.get("fingerprints", {})]
    return {**manifest, **({"data": dict.fromkeys(stale)} if stale else {})}


def service_manifest(wanted: Wanted, existing: ApiObject | None, external_name: str) -> ApiObject:
    """The manifest of the Service."""
    record = metadata.record_of(wanted.service_metadata)
    meta = _metadata(wanted, wanted.identity.name, existing, wanted.service_metadata, record)
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service_spec(external_name)}


def with_example_pair(manifest: ApiObject, own: WantedSecret, facts: Facts) -> ApiObject:
    """Return a Secret's manifest for a dry run: with AWS's example key pair, which has the length of a real one."""
    pair, issued = Pair(_EXAMPLE_ID, fingerprint_of(_EXAMPLE_KEY)), datetime(2006, 1, 2, 15, 4, 5, tzinfo=UTC)
    return with_pair(manifest, pair, issued, secrets.data_of(own.entries, facts, _EXAMPLE_ID, _EXAMPLE_KEY))


def with_pair(manifest: ApiObject, pair: Pair, issued: datetime, data: dict[str, str]) -> ApiObject:
    """Return a Secret's manifest with a key pair. The caller must never show it.

    :param issued: when the pair was created; in UTC
    :param data: the values, of ``secrets.data_of``
    """
    record = {ANNOTATION_KEY: str(pair), ANNOTATION_ISSUED: issued.strftime("%Y-%m-%dT%H:%M:%SZ")}
    meta = {**manifest["metadata"], "annotations": {**manifest["metadata"]["annotations"], **record}}
    return {**manifest, "metadata": meta, "data": {**manifest.get("data", {}), **data}}


def with_issue_of(manifest: ApiObject, secret: ApiObject) -> ApiObject:
    """Return a Secret's manifest with the record of when its key was issued, from the Secret that holds the key now."""
    found = _annotations(secret)
    kept = {name: found[name] for name in (ANNOTATION_KEY, ANNOTATION_ISSUED) if name in found}
    annotations = {**manifest["metadata"]["annotations"], **kept}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}}


def beside(manifest: ApiObject) -> ApiObject:
    """Return the manifest under an unused name, for the dry run of a creation while another object has the name."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "name"}
    return {**manifest, "metadata": {**metadata, "generateName": f"{manifest['metadata']['name']}-"}}


def is_new(manifest: ApiObject) -> bool:
    """Whether the manifest creates an object."""
    return bool(manifest["metadata"]["uid"] == NEW_UID)


def has_secret_metadata(secret: ApiObject, wanted: Wanted, own: WantedSecret) -> bool:
    """Whether the owned Secret has the wanted labels and annotations, and the record of what is written into it."""
    return has_labels(secret, wanted) and metadata.is_same(secret, own.metadata, own.record)


def has_secret_data(secret: ApiObject, own: WantedSecret, facts: Facts, pair: Pair) -> bool:
    """Whether the owned Secret has the wanted entries."""
    return secrets.is_data_same(secret, secrets.wanted_fingerprints(own.entries, facts, pair))


def config_map_manifest(wanted: Wanted, own: WantedSecret, existing: ApiObject | None, facts: Facts) -> ApiObject:
    """The manifest of the ConfigMap beside a user's Secret."""
    record = metadata.record_of(own.metadata)
    meta = _metadata(wanted, own.name, existing, own.metadata, record)
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": secrets.config_map_data(facts)}


def is_config_map_same(config_map: ApiObject, wanted: Wanted, own: WantedSecret, facts: Facts) -> bool:
    """Whether the owned ConfigMap has the wanted content."""
    data = config_map.get("data") or {}
    return (
        has_labels(config_map, wanted)
        and metadata.is_same(config_map, own.metadata, metadata.record_of(own.metadata))
        and all(data.get(name) == text for name, text in secrets.config_map_data(facts).items())
    )


def is_service_same(service: ApiObject, wanted: Wanted, external_name: str) -> bool:
    """Whether the owned Service has the wanted content."""
    spec, record = service.get("spec", {}), metadata.record_of(wanted.service_metadata)
    return (
        has_labels(service, wanted)
        and metadata.is_same(service, wanted.service_metadata, record)
        and all(spec.get(key) == value for key, value in service_spec(external_name).items())
    )


def _metadata(wanted: Wanted, name: str, existing: ApiObject | None, own: Metadata, record: Record) -> ApiObject:
    given = metadata.patch_of(existing, own, record)
    return {
        "name": name,
        "namespace": wanted.identity.namespace,
        # The uid of the object that was read: if another object has the name by then, the API server refuses the patch.
        "uid": existing["metadata"]["uid"] if existing is not None else NEW_UID,
        "labels": {**given["labels"], **labels_of(wanted)},
        "annotations": given["annotations"],
        "ownerReferences": owner_references(wanted),
    }


def _annotations(item: ApiObject | None) -> dict[str, str]:
    return (item or {}).get("metadata", {}).get("annotations") or {}


def _annotated_pair(secret: ApiObject | None) -> Pair | None:
    return Pair.parse(_annotations(secret).get(ANNOTATION_KEY, ""))


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return ""
