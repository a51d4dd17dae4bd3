"""S3 objects by name, and what carries their owner tags in AWS. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Key = tuple[str, str]
"""Namespace and name of an S3 object."""


class ReadError(Exception):
    """AWS does not say what is there."""


@dataclass(frozen=True)
class Owned:
    """``kind``: user or bucket; ``bucket``: the name that a user claims; ``region``: one in which to ask."""

    kind: str
    name: str
    namespace: str
    object_name: str
    uid: str
    bucket: str
    region: str

    @property
    def key(self) -> Key:
        """The S3 object that it was made for."""
        return self.namespace, self.object_name

    def is_named_by(self, item: dict[str, Any] | None) -> bool:
        """Whether an S3 object asks for it. One that was created again with other names does not."""
        spec = (item or {}).get("spec") or {}
        asked = (spec.get("iamUser") or {}).get("username") if self.kind == "user" else spec.get("bucketName")
        return asked == self.name
