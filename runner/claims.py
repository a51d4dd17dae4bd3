"""Whose bucket name is it: of two S3 objects that ask for one bucket, the one that has it keeps it.

Who holds the key of the first may delete its bucket, or mark it as the second's. If the second then got a bucket of
that name, the first one's key would reach it. The role sees the bucket and its tags, which that key can change; here
the objects are seen, which it cannot. Only what the watches know is asked. Threads: any.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from runner.conditions import Outcome, Reason


class Claims:
    """Runs the role for an object, unless another one has its bucket.

    :param run: runs the role
    :param find_naming: the objects that ask for a bucket of this name, as the watches saw them last
    """

    def __init__(
        self, run: Callable[[dict[str, Any]], Outcome], find_naming: Callable[[str], list[dict[str, Any]]]
    ) -> None:
        self._run = run
        self._find_naming = find_naming

    def run(self, item: dict[str, Any]) -> Outcome:
        """The outcome of the run, or Conflict."""
        return self._refusal(item) or self._run(item)

    def _refusal(self, item: dict[str, Any]) -> Outcome | None:
        bucket = str((item.get("spec") or {}).get("bucketName", ""))
        if item["metadata"].get("deletionTimestamp") or not bucket or _has_bucket(item):
            return None
        uid = item["metadata"]["uid"]
        for other in self._find_naming(bucket):
            if other["metadata"]["uid"] != uid and other["spec"].get("bucketName") == bucket and _has_bucket(other):
                name = f"{other['metadata']['namespace']}/{other['metadata']['name']}"
                message = f"bucket {bucket} is that of S3 object {name}: delete it first, or choose another bucketName"
                return Outcome(False, Reason.CONFLICT, message, "permanent")
        return None


def _has_bucket(item: dict[str, Any]) -> bool:
    # Told when the object was Ready first, and kept whatever becomes of the bucket.
    return bool((item.get("status") or {}).get("bucketARN"))
