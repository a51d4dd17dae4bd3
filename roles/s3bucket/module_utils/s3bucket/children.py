# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Secret and the Service of an S3 object: whose they are, what they should hold, and how they are written. Pure.

Objects are plain dicts as the API server sends them. A Secret's values leave this file as fingerprints only.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from ipaddress import ip_address

from .api import API_VERSION, KIND
from .json_types import ApiObject
from .keys import Pair, fingerprint_in, fingerprint_of
from .regions import s3_host_of
from .spec import Wanted

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_NAME = "agill.apps/s3"
MANAGER = "s3-operator"
ANNOTATION_KEY = "agill.apps/key"
ANNOTATION_ISSUED = "agill.apps/key-issued"
KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of the value
# No object has it. The API server replaces it in a creation and refuses a patch with another uid than the object's
# (metadata.uid is immutable), so kubernetes.core.k8s, which patches what it finds, cannot take over what appeared
# after it was read. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
NEW_UID = "00000000-0000-0000-0000-000000000000"
# AWS's own example key pair, as long as a real one, for dry runs.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html
_EXAMPLE = {KEY_ID: "AKIAIOSFODNN7EXAMPLE", SECRET_KEY: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


def labels_of(wanted: Wanted) -> dict[str, str]:
    """The labels of both objects; the operator's watches select on the first."""
    return {LABEL_MANAGED_BY: MANAGER, LABEL_NAME: wanted.identity.name}


def owner_references(wanted: Wanted) -> list[ApiObject]:
    """A controller reference to the S3 object; none for a CR that is only a file."""
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


def is_ours(item: ApiObject, wanted: Wanted) -> bool:
    """Whether the S3 object controls it. For a CR that is only a file: our labels and no controller."""
    metadata = item.get("metadata", {})
    controllers = [ref for ref in metadata.get("ownerReferences") or [] if ref.get("controller")]
    if wanted.is_live:
        return any(ref.get("uid") == wanted.identity.uid for ref in controllers)
    return not controllers and has_labels(item, wanted)


def has_labels(item: ApiObject, wanted: Wanted) -> bool:
    """Whether all our labels are on it."""
    found = item.get("metadata", {}).get("labels") or {}
    return all(found.get(key) == value for key, value in labels_of(wanted).items())


def pair_in(secret: ApiObject | None) -> Pair | None:
    """The key pair that a Secret holds, None when it holds no whole one.

    ``secret`` may have ``digests`` in place of values: the SHA-256 of each, in hex.
    """
    secret = secret or {}
    key_id, value = values_in(secret)
    digest = secret.get("digests", {}).get(SECRET_KEY)
    fingerprint = fingerprint_in(digest) if digest else fingerprint_of(value) if value else ""
    return Pair(key_id, fingerprint) if key_id and fingerprint else None


def values_in(secret: ApiObject) -> tuple[str, str]:
    """The Secret's key id and secret access key themselves, to make a client of: never to be shown."""
    data = secret.get("data") or {}
    return _decoded(data.get(KEY_ID, "")), _decoded(data.get(SECRET_KEY, ""))


def issued_ago_s(secret: ApiObject | None, now: datetime) -> float | None:
    """Seconds since we wrote the pair that the Secret still holds; None when it was changed since."""
    annotations = (secret or {}).get("metadata", {}).get("annotations") or {}
    pair = pair_in(secret)
    if pair is None or annotations.get(ANNOTATION_KEY) != str(pair):
        return None
    try:
        issued = datetime.fromisoformat(annotations.get(ANNOTATION_ISSUED, "").replace("Z", "+00:00"))
    except ValueError:
        return None
    if issued.tzinfo is None:
        issued = issued.replace(tzinfo=UTC)
    return (now - issued).total_seconds()


def service_host(wanted: Wanted, given: str) -> str:
    """The host that the Service points to; empty where there is to be no Service.

    An ExternalName is a DNS name: for an IP address there can be no Service.

    :param given: the operator's setting; empty derives the host from the object's region
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
    """What we say in the Service's spec."""
    return {"type": "ExternalName", "externalName": external_name}


def secret_manifest(wanted: Wanted, existing: ApiObject | None) -> ApiObject:
    """What is written of the Secret, without a key pair."""
    found = existing if existing is not None and not existing.get("immutable") else None
    return _manifest(wanted, "Secret", wanted.secret_name, found, {} if found else {"type": "Opaque"})


def service_manifest(wanted: Wanted, existing: ApiObject | None, external_name: str) -> ApiObject:
    """What is written of the Service."""
    return _manifest(wanted, "Service", wanted.identity.name, existing, {"spec": service_spec(external_name)})


def with_example_pair(manifest: ApiObject) -> ApiObject:
    """A Secret's manifest for a dry run, with AWS's example key pair, which is as long as a real one."""
    pair = Pair(_EXAMPLE[KEY_ID], fingerprint_of(_EXAMPLE[SECRET_KEY]))
    annotations = {ANNOTATION_KEY: str(pair), ANNOTATION_ISSUED: "2006-01-02T15:04:05Z"}
    data = {key: b64encode(value.encode()).decode() for key, value in _EXAMPLE.items()}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}, "data": data}


def beside(manifest: ApiObject) -> ApiObject:
    """The manifest under a name that is free, for the dry run of a creation while another object has the name."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "name"}
    return {**manifest, "metadata": {**metadata, "generateName": f"{manifest['metadata']['name']}-"}}


def is_new(manifest: ApiObject) -> bool:
    """Whether the manifest creates an object."""
    return bool(manifest["metadata"]["uid"] == NEW_UID)


def is_service_same(service: ApiObject, wanted: Wanted, external_name: str) -> bool:
    """Whether our Service is as it should be."""
    spec = service.get("spec", {})
    return has_labels(service, wanted) and all(
        spec.get(key) == value for key, value in service_spec(external_name).items()
    )


def _manifest(wanted: Wanted, kind: str, name: str, existing: ApiObject | None, body: ApiObject) -> ApiObject:
    metadata = {
        "name": name,
        "namespace": wanted.identity.namespace,
        # Of the object that was read: the API server refuses the patch if another one has the name by then.
        "uid": existing["metadata"]["uid"] if existing is not None else NEW_UID,
        "labels": labels_of(wanted),
        "ownerReferences": owner_references(wanted),
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **body}


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return ""
