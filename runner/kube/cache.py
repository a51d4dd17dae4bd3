"""What the watches have seen last of each object, so that a resync asks Kubernetes nothing.

Objects are kept as compact JSON in UTF-8: thousands of dicts would take several times the memory, and escaped or as
Python's strings a tenant's text could take four times what it is in Kubernetes. One cache a watcher, which alone writes
it; threads that read: any.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

from runner.objects import Key


class Cache:
    """The objects of one watch, by namespace and name."""

    def __init__(self) -> None:
        self._texts: dict[Key, bytes] = {}

    def put(self, key: Key, item: dict[str, Any]) -> bool:
        """Keep an object. Whether it is another than the one that was kept; False when there was none."""
        text = _text_of(item)
        before = self._texts.get(key)
        self._texts[key] = text
        return before is not None and before != text

    def find(self, key: Key) -> dict[str, Any] | None:
        """The object, a copy of its own; None when there is none."""
        text = self._texts.get(key)
        return None if text is None else _item_of(text)

    def find_all(self, field: str, text: str) -> list[dict[str, Any]]:
        """The objects that have this text in a field of this name, wherever that is."""
        part = _text_of(field) + b":" + _text_of(text)
        return [_item_of(found) for found in list(self._texts.values()) if part in found]

    def remove(self, key: Key) -> None:
        """The object is gone."""
        self._texts.pop(key, None)

    def keys(self) -> list[Key]:
        """All objects there are."""
        return list(self._texts)


def _text_of(value: Any) -> bytes:
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    # The API server lets no half of a surrogate pair in, but this must not be the place that depends on it.
    return text.encode(errors="surrogatepass")


def _item_of(text: bytes) -> dict[str, Any]:
    return dict(json.loads(text.decode(errors="surrogatepass")))


class Caches:
    """The caches of all watches, by kind; of each kind one a namespace that is watched."""

    def __init__(self) -> None:
        self._of_kind: dict[str, list[Cache]] = defaultdict(list)

    def add(self, kind: str) -> Cache:
        """The cache of one more watch."""
        self._of_kind[kind].append(Cache())
        return self._of_kind[kind][-1]

    def find(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """An object; None when there is none."""
        found = (cache.find((namespace, name)) for cache in self._of_kind[kind])
        return next((item for item in found if item is not None), None)

    def find_naming(self, bucket: str) -> list[dict[str, Any]]:
        """The S3 objects that name this bucket."""
        return [item for cache in self._of_kind["S3"] for item in cache.find_all("bucketName", bucket)]
