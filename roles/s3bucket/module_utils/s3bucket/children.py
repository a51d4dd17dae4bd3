# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The Secret and the Service of an S3 object: whose they are and what they should hold. Pure.

Objects are plain dicts as the API server sends them. A Secret's values leave this file as fingerprints only.
"""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime
from typing import Any

from .keys import Pair, fingerprint_in, fingerprint_of
from .spec import Wanted

LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
LABEL_NAME = "agill.apps/s3"
MANAGER = "s3-operator"
ANNOTATION_KEY = "agill.apps/key"
ANNOTATION_ISSUED = "agill.apps/key-issued"
KEY_ID = "AWS_ACCESS_KEY_ID"
SECRET_KEY = "AWS_SECRET_ACCESS_KEY"  # noqa: S105 - the name of the value


def labels_of(wanted: Wanted) -> dict[str, str]:
    """The labels of both objects; the operator's watches select on the first."""
    return {LABEL_MANAGED_BY: MANAGER, LABEL_NAME: wanted.identity.name}


def owner_references(wanted: Wanted) -> list[dict[str, Any]]:
    """A controller reference to the S3 object; none for a CR that is only a file."""
    if not wanted.is_live:
        return []
    return [
        {
            "apiVersion": "agill.apps/v1alpha1",
            "kind": "S3",
            "name": wanted.identity.name,
            "uid": wanted.identity.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


def is_ours(item: dict[str, Any], wanted: Wanted) -> bool:
    """Whether the S3 object controls it. For a CR that is only a file: our labels and no controller."""
    metadata = item.get("metadata", {})
    controllers = [ref for ref in metadata.get("ownerReferences") or [] if ref.get("controller")]
    if wanted.is_live:
        return any(ref.get("uid") == wanted.identity.uid for ref in controllers)
    return not controllers and has_labels(item, wanted)


def has_labels(item: dict[str, Any], wanted: Wanted) -> bool:
    """Whether all our labels are on it."""
    found = item.get("metadata", {}).get("labels") or {}
    return all(found.get(key) == value for key, value in labels_of(wanted).items())


def pair_in(secret: dict[str, Any] | None) -> Pair | None:
    """The key pair that a Secret holds, None when it holds no whole one.

    ``secret`` may have ``digests`` in place of values: the SHA-256 of each, in hex.
    """
    secret = secret or {}
    key_id, value = values_in(secret)
    digest = secret.get("digests", {}).get(SECRET_KEY)
    fingerprint = fingerprint_in(digest) if digest else fingerprint_of(value) if value else ""
    return Pair(key_id, fingerprint) if key_id and fingerprint else None


def values_in(secret: dict[str, Any]) -> tuple[str, str]:
    """The Secret's key id and secret access key themselves, to make a client of: never to be shown."""
    data = secret.get("data") or {}
    return _decoded(data.get(KEY_ID, "")), _decoded(data.get(SECRET_KEY, ""))


def issued_ago_s(secret: dict[str, Any] | None, now: datetime) -> float | None:
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


def service_spec(external_name: str) -> dict[str, str]:
    """What we say in the Service's spec."""
    return {"type": "ExternalName", "externalName": external_name}


def is_service_same(service: dict[str, Any], wanted: Wanted, external_name: str) -> bool:
    """Whether our Service is as it should be."""
    spec = service.get("spec", {})
    return has_labels(service, wanted) and all(
        spec.get(key) == value for key, value in service_spec(external_name).items()
    )


def _decoded(text: str) -> str:
    try:
        return b64decode(text, validate=True).decode()
    except (ValueError, UnicodeDecodeError):
        return ""
