# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Ownership: the tags that name the S3 object that owns a bucket or user, and how far they can be trusted.

The identity of an object is (cluster, namespace, name). A bucket or user without owner tags, or with those of another
object, is never changed and never deleted. The uid distinguishes a re-created object from its predecessor: a run for a
present object updates the tag, and a run for a deletion requires it to be equal or empty.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass

PREFIX = "agill.apps/"
CLUSTER = PREFIX + "cluster"
NAMESPACE = PREFIX + "namespace"
NAME = PREFIX + "name"
UID = PREFIX + "uid"
ADOPT = PREFIX + "adopt"
ADOPTED = PREFIX + "adopted"
RETAINED_FROM = PREFIX + "retained-from"
TAG_RECORD = PREFIX + "tags"
KEY = PREFIX + "key"
UNMANAGED_KEYS = PREFIX + "foreign-keys"
# On users: the record of the key that a rotation has replaced and not deleted yet (rotation.OldKey).
OLD_KEY = PREFIX + "old-key"
# On users: a digest of the annotation rotate-key that was answered last.
ROTATED = PREFIX + "rotated"
# On users: the bucket name that the user claims. No key that the operator creates can write tags in IAM.
BUCKET = PREFIX + "bucket"
# On users: whether the operator created the bucket or adopted it, and the bucket's name (see origin_record).
ORIGIN = PREFIX + "origin"
# The record of what AWS made of the bucket's policy (policy.record_of). On the user; on the bucket of an object without
# a user.
POLICY = PREFIX + "policy"
# On a bucket: the fields of spec.unmanagedFields that the creation has not applied yet.
INITIAL = PREFIX + "initial"
# On a bucket: the optional settings that were written. A setting that is later removed from the spec is cleared.
SETTINGS = PREFIX + "settings"
# On the first user of an object: the names of its other users. Tags with a number after this key have further names.
USERS = PREFIX + "users"

# On roles: the ServiceAccounts that the operator annotates. Tags with a number after this key have further names.
SERVICE_ACCOUNTS = PREFIX + "service-accounts"

# On roles: the ServiceAccounts with an EKS Pod Identity association, in the same way.
ASSOCIATIONS = PREFIX + "associations"
# On roles: the ARN of an EKS cluster in which associations were left, as the operator's settings name another one now.
FORMER_CLUSTER = PREFIX + "former-eks-cluster"

# On users: the name of the Secret, where it is not the default one. It is changed after the Secret was moved. In the
# meantime a colon follows it (secrets.WantedSecret.moving_tags).
SECRET = PREFIX + "secret"

# The values of the tag ORIGIN for the origin of a bucket.
CREATED_ORIGIN = "created"
ADOPTED_ORIGIN = "adopted"

# https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules_creating
MAX_TAG_VALUE = 256

_OWNER_TAGS = (CLUSTER, NAMESPACE, NAME, UID)


@dataclass(frozen=True)
class Identity:
    """Identifies an S3 object. ``cluster`` is a configured name; Kubernetes sets namespace, name and uid."""

    cluster: str
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return f"{self.cluster}/{self.namespace}/{self.name}"

    @property
    def tags(self) -> dict[str, str]:
        """The owner tags. The uid is empty for a CR that exists only as a file."""
        return {CLUSTER: self.cluster, NAMESPACE: self.namespace, NAME: self.name, UID: self.uid}

    def is_owner(self, tags: dict[str, str]) -> bool:
        """Whether the tags name this object. The uid is not compared."""
        return self.owner_of(tags) == str(self)

    def is_same_object(self, tags: dict[str, str]) -> bool:
        """Whether the tags name exactly this object, not an earlier object of the same name."""
        return self.is_owner(tags) and tags.get(UID, "") in ("", self.uid)

    @staticmethod
    def owner_of(tags: dict[str, str]) -> str:
        """``cluster/namespace/name`` from the tags; an empty string when one of the three is missing."""
        parts = [tags.get(key, "") for key in (CLUSTER, NAMESPACE, NAME)]
        return "/".join(parts) if all(parts) else ""

    def cluster_hint(self, tags: dict[str, str]) -> str:
        """Explain tags that differ from this object's only in the cluster or the uid, for an error message.

        Empty for tags of another object. The text is appended to a sentence.
        """
        if (tags.get(NAMESPACE), tags.get(NAME)) != (self.namespace, self.name):
            return ""
        cluster = tags.get(CLUSTER, "")
        if cluster and cluster != self.cluster:
            return (
                f". The tags differ only in the cluster: if this cluster replaces {cluster} (rebuilt, restored or "
                f"renamed), and no operator works there any more, start this one with --cluster-name={cluster}, or "
                f"run the role with s3bucket_cluster_name={cluster}"
            )
        if tags.get(UID, "") in ("", self.uid):
            return ""
        return (
            ". The tags differ only in the uid: they are of an earlier object of this name, or of a second cluster "
            f"with the cluster name {self.cluster}: then start its operator with another --cluster-name, or "
            "run the role for it with another s3bucket_cluster_name"
        )

    def consents_to_adoption(self, tags: dict[str, str]) -> bool:
        """Whether the bucket's tag consents to an adoption by this object."""
        return tags.get(ADOPT) == str(self)


def origin_record(origin: str, bucket: str) -> str:
    """The value of the tag ORIGIN; empty for no origin. It names the bucket, so it is valid for no other one."""
    return f"{origin}:{bucket}" if origin else ""


def origin_in(tags: dict[str, str], bucket: str) -> str:
    """The origin of a bucket according to the tags of an IAM user; an empty string when they do not record it."""
    origins = (CREATED_ORIGIN, ADOPTED_ORIGIN)
    return next((origin for origin in origins if tags.get(ORIGIN) == origin_record(origin, bucket)), "")


def users_record(names: Iterable[str]) -> dict[str, str]:
    """The tags that record names of users: none for no names."""
    return names_record(USERS, names)


def recorded_users(tags: dict[str, str]) -> list[str]:
    """The names of users that the tags record."""
    return recorded_names(USERS, tags)


def replaced_users_record(tags: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    """The record of these users, for a user with these tags."""
    return replaced_record(USERS, tags, names)


def names_record(first: str, names: Iterable[str]) -> dict[str, str]:
    """The tags that record names of users or ServiceAccounts: none for no names.

    A tag's value may have 256 characters, and no comma. No name has a colon.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules_creating

    :param first: the key of the first tag
    """
    lines: list[str] = []
    for name in sorted(set(names)):
        text = name.replace(",", ":")
        if lines and len(lines[-1]) + 1 + len(text) <= MAX_TAG_VALUE:
            lines[-1] += f" {text}"
        else:
            lines.append(text)
    return {f"{first}-{at}" if at else first: line for at, line in enumerate(lines)}


def recorded_names(first: str, tags: dict[str, str]) -> list[str]:
    """The names that the tags record."""
    found = [text for key, text in tags.items() if _is_record(first, key)]
    return sorted(name.replace(":", ",") for text in found for name in text.split())


def replaced_record(first: str, tags: dict[str, str], names: Iterable[str]) -> dict[str, str]:
    """The record of these names. Tags of a longer one that is there become empty: what is left out is not removed."""
    return {**{key: "" for key in tags if _is_record(first, key)}, **names_record(first, names)}


def _is_record(first: str, key: str) -> bool:
    return key == first or key.startswith(f"{first}-")


def has_owner_tag(tags: dict[str, str]) -> bool:
    """Whether any owner tag is set, even if the set is not complete."""
    return any(key in tags for key in _OWNER_TAGS)


def without_owner_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags without those that mark ownership or hold the operator's records."""
    return {key: value for key, value in tags.items() if not key.startswith(PREFIX) or key == ADOPT}


def encode_tag_record(keys: list[str]) -> str:
    """Record the keys of the CR's tags that the operator sets. A tag that is later removed from the CR is removed.

    30 bits of SHA-256 a key and at most spec.MAX_TAGS keys: the record fits the 256 characters of a tag value.
    """
    return " ".join(sorted(_short(key) for key in keys))


def recorded_settings(tags: dict[str, str]) -> frozenset[str]:
    """The names of the optional settings that were written to the bucket, according to its tags."""
    return frozenset(tags.get(SETTINGS, "").split())


def stale_tags(tags: dict[str, str], wanted: dict[str, str]) -> list[str]:
    """The keys that an earlier run set for the CR and that the CR no longer names."""
    record = set(tags.get(TAG_RECORD, "").split())
    return [key for key in tags if key not in wanted and not key.startswith(PREFIX) and _short(key) in record]


def _short(key: str) -> str:
    return urlsafe_b64encode(hashlib.sha256(key.encode()).digest())[:5].decode()
