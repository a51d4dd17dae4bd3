# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Secret and the Service of an S3 object: ownership, wanted content, and manifests. Pure.

Objects are plain dicts as the API server returns them. Only :func:`values_in` returns values of a Secret. All other
functions return fingerprints.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from datetime import UTC, datetime
from ipaddress import ip_address

from .access import WantedUser
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
# A uid that no object has. The API server replaces it when it creates an object. It refuses a patch with a uid other
# than the object's, because metadata.uid is immutable. So kubernetes.core.k8s, which patches an object that it finds,
# cannot take over an object that was created after the read.
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/object-meta/
NEW_UID = "00000000-0000-0000-0000-000000000000"
# AWS's example key pair for dry runs. It has the length of a real one.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html
_EXAMPLE = {KEY_ID: "AKIAIOSFODNN7EXAMPLE", SECRET_KEY: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}


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
    metadata = item.get("metadata", {})
    controllers = [ref for ref in metadata.get("ownerReferences") or [] if ref.get("controller")]
    if wanted.is_live:
        return any(ref.get("uid") == wanted.identity.uid for ref in controllers)
    return not controllers and has_labels(item, wanted)


def has_labels(item: ApiObject, wanted: Wanted) -> bool:
    """Whether the item has all labels of the operator."""
    found = item.get("metadata", {}).get("labels") or {}
    return all(found.get(key) == value for key, value in labels_of(wanted).items())


def pair_in(secret: ApiObject | None) -> Pair | None:
    """The key pair in a Secret; None when the Secret does not hold a complete pair.

    ``secret`` may have ``digests`` in place of values: the SHA-256 of each, in hex.
    """
    secret = secret or {}
    key_id, value = values_in(secret)
    digest = secret.get("digests", {}).get(SECRET_KEY)
    fingerprint = fingerprint_in(digest) if digest else fingerprint_of(value) if value else ""
    return Pair(key_id, fingerprint) if key_id and fingerprint else None


def values_in(secret: ApiObject) -> tuple[str, str]:
    """The key id and the secret access key in the Secret, for creating a client. The caller must never show them."""
    data = secret.get("data") or {}
    return _decoded(data.get(KEY_ID, "")), _decoded(data.get(SECRET_KEY, ""))


def issued_ago_s(secret: ApiObject | None, now: datetime) -> float | None:
    """Seconds since the operator wrote the pair in the Secret; None when the pair was changed since."""
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


def secret_manifest(wanted: Wanted, user: WantedUser, existing: ApiObject | None) -> ApiObject:
    """The manifest of a user's Secret, without a key pair."""
    found = existing if existing is not None and not existing.get("immutable") else None
    return _manifest(wanted, "Secret", user.secret.name, found, {} if found else {"type": "Opaque"})


def service_manifest(wanted: Wanted, existing: ApiObject | None, external_name: str) -> ApiObject:
    """The manifest of the Service."""
    return _manifest(wanted, "Service", wanted.identity.name, existing, {"spec": service_spec(external_name)})


def with_example_pair(manifest: ApiObject) -> ApiObject:
    """Return a Secret's manifest for a dry run: with AWS's example key pair, which has the length of a real one."""
    pair = Pair(_EXAMPLE[KEY_ID], fingerprint_of(_EXAMPLE[SECRET_KEY]))
    annotations = {ANNOTATION_KEY: str(pair), ANNOTATION_ISSUED: "2006-01-02T15:04:05Z"}
    data = {key: b64encode(value.encode()).decode() for key, value in _EXAMPLE.items()}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": annotations}, "data": data}


def beside(manifest: ApiObject) -> ApiObject:
    """Return the manifest under an unused name, for the dry run of a creation while another object has the name."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "name"}
    return {**manifest, "metadata": {**metadata, "generateName": f"{manifest['metadata']['name']}-"}}


def is_new(manifest: ApiObject) -> bool:
    """Whether the manifest creates an object."""
    return bool(manifest["metadata"]["uid"] == NEW_UID)


def is_service_same(service: ApiObject, wanted: Wanted, external_name: str) -> bool:
    """Whether the owned Service has the wanted content."""
    spec = service.get("spec", {})
    return has_labels(service, wanted) and all(
        spec.get(key) == value for key, value in service_spec(external_name).items()
    )


def _manifest(wanted: Wanted, kind: str, name: str, existing: ApiObject | None, body: ApiObject) -> ApiObject:
    metadata = {
        "name": name,
        "namespace": wanted.identity.namespace,
        # The uid of the object that was read: if another object has the name by then, the API server refuses the patch.
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
