"""The informer cache: each object as its watch saw it last, so that a resync sends Kubernetes no request.

Objects are kept as compact JSON in UTF-8: thousands of dicts would take several times the memory, and escaped or as
Python's strings a tenant's text could take four times what it is in Kubernetes. One cache a watcher, which alone writes
it; threads that read: any.
"""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable
from typing import Generic, TypeVar

from runner.objects import Child, JsonObject, Key, KubeObject, S3Object

_Object = TypeVar("_Object", bound=KubeObject)


class Cache(Generic[_Object]):
    """The objects of one watch, by namespace and name.

    :param view: makes the view of an object
    :param mark: a number by which objects are found again without parsing any
    """

    def __init__(self, view: Callable[[JsonObject], _Object], mark: Callable[[_Object], int] | None = None) -> None:
        self._view = view
        self._mark = mark
        self.marks: dict[Key, int] = {}
        self._texts: dict[Key, bytes] = {}

    def put(self, found: _Object) -> bool:
        """Keep an object. Whether it is another than the one that was kept; False when there was none."""
        text = _text_of(found.item)
        before = self._texts.get(found.key)
        self._texts[found.key] = text
        if self._mark:
            self.marks[found.key] = self._mark(found)
        return before is not None and before != text

    def find(self, key: Key) -> _Object | None:
        """The object, a copy of its own; None when there is none."""
        text = self._texts.get(key)
        return None if text is None else self._view(_item_of(text))

    def find_all(self, field: str, text: str) -> list[_Object]:
        """The objects that have this text in a field of this name, wherever that is."""
        part = _text_of(field) + b":" + _text_of(text)
        return [self._view(_item_of(found)) for found in list(self._texts.values()) if part in found]

    def remove(self, key: Key) -> None:
        """The object no longer exists."""
        self._texts.pop(key, None)
        self.marks.pop(key, None)

    def keys(self) -> list[Key]:
        """All objects there are."""
        return list(self._texts)


def _text_of(value: object) -> bytes:
    text = json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    # The API server lets no half of a surrogate pair in, but this must not be the place that depends on it.
    return text.encode(errors="surrogatepass")


def _item_of(text: bytes) -> JsonObject:
    return dict(json.loads(text.decode(errors="surrogatepass")))


class Caches:
    """The caches of all watches, by kind; of each kind one a namespace that is watched.

    :param mark: the mark of an S3 object; None where none is asked for
    """

    def __init__(self, mark: Callable[[S3Object], int] | None = None) -> None:
        self._mark = mark
        self._objects: list[Cache[S3Object]] = []
        self._children: dict[str, list[Cache[Child]]] = defaultdict(list)

    def add_objects(self) -> Cache[S3Object]:
        """The cache of one more watch of S3 objects."""
        self._objects.append(Cache(S3Object.from_item, self._mark))
        return self._objects[-1]

    def add_children(self, kind: str) -> Cache[Child]:
        """The cache of one more watch of Secrets or Services."""
        self._children[kind].append(Cache(Child.from_item))
        return self._children[kind][-1]

    def find_object(self, key: Key) -> S3Object | None:
        """An S3 object; None when there is none."""
        found = (cache.find(key) for cache in self._objects)
        return next((s3 for s3 in found if s3 is not None), None)

    def find_mark(self, key: Key) -> int | None:
        """The mark of an S3 object; None for one that is not known."""
        return next((cache.marks[key] for cache in self._objects if key in cache.marks), None)

    def find_marked(self, mark: int) -> list[Key]:
        """The S3 objects with a mark."""
        return [key for cache in self._objects for key, found in list(cache.marks.items()) if found == mark]

    def count_marked(self, mark: int) -> int:
        """How many S3 objects have a mark."""
        return sum(list(cache.marks.values()).count(mark) for cache in self._objects)

    def find_keys(self) -> list[Key]:
        """All S3 objects."""
        return list(itertools.chain.from_iterable(cache.keys() for cache in self._objects))

    def find_child(self, kind: str, namespace: str, name: str) -> JsonObject | None:
        """A Secret, a Service or an S3 object, as the role's code reads it; None when there is none."""
        if kind == "S3":
            s3 = self.find_object((namespace, name))
            return None if s3 is None else s3.item
        found = (cache.find((namespace, name)) for cache in self._children[kind])
        return next((child.item for child in found if child is not None), None)

    def find_naming(self, bucket: str) -> list[S3Object]:
        """The S3 objects that name this bucket."""
        return [s3 for cache in self._objects for s3 in cache.find_all("bucketName", bucket)]
