"""What every package of the runner knows of an S3 object: views of its JSON, its finalizer, what it owns in AWS. Pure.

The views are of S3 objects, Secrets and Services. Beside them are the type of what AWS has with the owner tags of an
object, and the error of a read of AWS that failed. What is done with an object is decided in ``runner.control``.

A view reads an object as Kubernetes' JSON has it, and nothing changes that JSON afterwards. A file may hold anything
in place of an object: a view answers with empty values where it finds something else than a mapping.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

FINALIZER = "agill.apps.s3"
OVERSIZED = "oversized"
"""Names of the spec's fields that were too large to be kept (or kept in part), at the top level of an object."""

JsonObject = dict[str, Any]
"""A JSON object, as Kubernetes' API has it."""

Key = tuple[str, str]
"""Namespace and name of an object."""


class ReadError(Exception):
    """AWS does not return what is there."""


@dataclass(frozen=True)
class KubeObject:
    """An object of any kind.

    :ivar item: the JSON that it reads
    """

    item: JsonObject

    @classmethod
    def from_item(cls, item: JsonObject) -> Self:
        """The view of an object."""
        return cls(item)

    @property
    def metadata(self) -> JsonObject:
        """The object's ``metadata``."""
        return _mapping(self.item, "metadata")

    @property
    def namespace(self) -> str:
        """The object's namespace; empty where a file names none."""
        return str(self.metadata.get("namespace") or "")

    @property
    def name(self) -> str:
        """The object's name; empty where a file names none."""
        return str(self.metadata.get("name") or "")

    @property
    def key(self) -> Key:
        """Namespace and name."""
        return self.namespace, self.name

    @property
    def uid(self) -> str:
        """The object's uid; empty where it is only a file."""
        return str(self.metadata.get("uid") or "")

    @property
    def resource_version(self) -> str:
        """The version of the object that was read."""
        return str(self.metadata.get("resourceVersion") or "")

    @property
    def finalizers(self) -> tuple[str, ...]:
        """All finalizers that were kept."""
        return tuple(self.metadata.get("finalizers") or ())

    @property
    def annotations(self) -> Mapping[str, str]:
        """The annotations that were kept."""
        return _mapping(self.metadata, "annotations")


class S3Object(KubeObject):
    """An S3 object."""

    @property
    def generation(self) -> int | None:
        """The generation of the spec; None where the object is only a file."""
        found = self.metadata.get("generation")
        return found if isinstance(found, int) else None

    @property
    def deletion_timestamp(self) -> str:
        """When it was deleted; empty for an object that is not being deleted."""
        return str(self.metadata.get("deletionTimestamp") or "")

    @property
    def is_deleting(self) -> bool:
        """Whether it is being deleted."""
        return bool(self.deletion_timestamp)

    @property
    def has_finalizer(self) -> bool:
        """Whether the operator's finalizer is on it."""
        return FINALIZER in self.finalizers

    @property
    def spec(self) -> JsonObject:
        """What is asked for."""
        return _mapping(self.item, "spec")

    @property
    def status(self) -> JsonObject:
        """What was published."""
        return _mapping(self.item, "status")

    @property
    def oversized(self) -> tuple[str, ...]:
        """The fields of the spec that were too large to be kept."""
        return tuple(self.item.get(OVERSIZED) or ())

    @property
    def bucket_name(self) -> str:
        """The bucket that it asks for; empty where the spec names none."""
        return str(self.spec.get("bucketName", ""))

    @property
    def region(self) -> str:
        """The region that it asks for; S3's default where the spec names none."""
        return str(self.spec.get("region") or "us-east-1")

    @property
    def username(self) -> str:
        """The IAM user that it asks for; empty where the spec names none."""
        return str(_mapping(self.spec, "iamUser").get("username", ""))

    @property
    def usernames(self) -> tuple[str, ...]:
        """All IAM users that it asks for."""
        listed = self.spec.get("additionalUsers")
        items = listed if isinstance(listed, list) else ()
        names = [self.username, *(str(item.get("username", "")) for item in items if isinstance(item, dict))]
        return tuple(name for name in names if name)

    @property
    def role_name(self) -> str:
        """The IAM role that it asks for; empty where the spec names none."""
        return str(_mapping(self.spec, "iamRole").get("name", ""))

    @property
    def associated_accounts(self) -> tuple[str, ...]:
        """The ServiceAccounts for which it asks for an EKS Pod Identity association."""
        role = _mapping(self.spec, "iamRole")
        listed = role.get("serviceAccounts") if role.get("podIdentity") else ()
        return tuple(map(str, listed)) if isinstance(listed, list) else ()

    @property
    def also_used(self) -> frozenset[Key]:
        """The S3 objects with buckets that its user may use, too."""
        listed = _mapping(self.spec, "iamUser").get("alsoUses")
        items = listed if isinstance(listed, list) else ()
        return frozenset((self.namespace, str(item.get("name", ""))) for item in items if isinstance(item, dict))

    @property
    def has_user(self) -> bool:
        """Whether it asks for an IAM user."""
        return bool(self.spec.get("iamUser"))

    @property
    def has_credentials(self) -> bool:
        """Whether it asks for an IAM user or a role, so that someone has credentials for its bucket."""
        return self.has_user or bool(self.spec.get("iamRole"))

    @property
    def has_bucket(self) -> bool:
        """Whether its status shows a bucket."""
        return bool(self.status.get("bucketARN"))

    def with_status(self, status: JsonObject) -> S3Object:
        """The same object with another status."""
        return S3Object({**self.item, "status": status})

    def is_same_object(self, other: S3Object) -> bool:
        """Whether the other has the same uid and spec, and is as deleted: what was compared of one holds for it."""
        return (self.uid, self.generation, self.deletion_timestamp) == (
            other.uid,
            other.generation,
            other.deletion_timestamp,
        )


class Child(KubeObject):
    """A Secret or Service of an S3 object."""

    @property
    def controllers(self) -> tuple[Key, ...]:
        """The S3 objects that control it: at most one, as the API server admits no second controller."""
        owners = self.metadata.get("ownerReferences") or ()
        return tuple(
            (self.namespace, owner["name"]) for owner in owners if owner.get("controller") and owner.get("kind") == "S3"
        )

    def without_version(self) -> Child:
        """The same object without the version that any write changes."""
        metadata = {name: value for name, value in self.metadata.items() if name != "resourceVersion"}
        return Child({**self.item, "metadata": metadata})


@dataclass(frozen=True)
class Owned:
    """Something in AWS with owner tags.

    ``kind``: user, bucket, role or association (of EKS Pod Identity, with its id as the name). ``bucket``: the name
    that a user or role claims. ``region``: one to send requests to. ``service_account``: that of an association.
    """

    kind: str
    name: str
    namespace: str
    object_name: str
    uid: str
    bucket: str
    region: str
    service_account: str = ""

    @property
    def key(self) -> Key:
        """The S3 object that it was made for."""
        return self.namespace, self.object_name

    def is_named_by(self, s3: S3Object | None) -> bool:
        """Whether an S3 object asks for it. One that was created again with other names does not."""
        if s3 is None:
            return False
        named: dict[str, Iterable[str]] = {
            "user": s3.usernames,
            "bucket": (s3.bucket_name,),
            "role": (s3.role_name,),
            "association": s3.associated_accounts,
        }
        return (self.service_account or self.name) in named[self.kind]


def _mapping(parent: JsonObject, name: str) -> JsonObject:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}
