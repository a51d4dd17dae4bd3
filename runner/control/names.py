"""Which S3 objects own a bucket, an IAM user or an IAM role of a name in AWS, as the informer cache shows it.

An object counts while its status shows that it owns something, and until its first run has ended: an event may be here
before the status that shows the new bucket. So one that only asks for a bucket of another object is not checked for its
changes. Threads: any; the watches write.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator

from runner.control.status import ready_condition
from runner.drift.cloudtrail import Kind, Name
from runner.objects import JsonObject, Key, S3Object
from s3bucket.outcome import Reason


class Names:
    """The index. A lookup does not depend on the number of objects."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # Tuples, not sets: nearly all have one item, and a set takes four times the memory.
        self._keys: dict[Name, tuple[Key, ...]] = {}
        self._names: dict[Key, tuple[Name, ...]] = {}

    def put(self, s3: S3Object) -> None:
        """Keep what an object owns now."""
        self._set(s3.key, tuple(sorted(set(_names_of(s3)))))

    def remove(self, key: Key) -> None:
        """The object no longer exists."""
        self._set(key, ())

    def find(self, name: Name) -> tuple[Key, ...]:
        """The objects that own it: one, as a rule."""
        return self._keys.get(name, ())

    def _set(self, key: Key, names: tuple[Name, ...]) -> None:
        with self._lock:
            before = self._names.get(key, ())
            if names == before:
                return
            for name in set(before) - set(names):
                rest = tuple(other for other in self._keys[name] if other != key)
                if rest:
                    self._keys[name] = rest
                else:
                    del self._keys[name]
            for name in set(names) - set(before):
                self._keys[name] = (*self._keys.get(name, ()), key)
            if names:
                self._names[key] = names
            else:
                del self._names[key]


def _names_of(s3: S3Object) -> Iterator[Name]:
    status = s3.status
    if not _is_new(status) and not any(status.get(field) for field in ("bucketARN", "userARN", "roleARN")):
        return
    yield Name.of(Kind.BUCKET, s3.bucket_name)
    yield from (Name.of(Kind.USER, name) for name in (*s3.usernames, *_users_in(status)))
    # An ARN has the path, too.
    for role in (s3.role_name, str(status.get("roleARN") or "").rpartition("/")[2]):
        if role:
            yield Name.of(Kind.ROLE, role)


def _is_new(status: JsonObject) -> bool:
    """Whether the first run of the object has not ended yet."""
    return ready_condition(status).get("reason") in (None, Reason.PENDING)


def _users_in(status: JsonObject) -> Iterator[str]:
    """The users that the status shows: also those that the spec does not name any more."""
    listed = status.get("users")
    items = listed if isinstance(listed, list) else []
    parts = [status, *(item for item in items if isinstance(item, dict))]
    arns = (str(part.get("userARN") or "") for part in parts)
    yield from (name for arn in arns if (name := arn.rpartition("/")[2]))
