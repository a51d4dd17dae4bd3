"""Making and deleting objects as a user does, and waiting, by a watch, for what the operator makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kubernetes.watch import Watch

from bench import BenchError
from bench.objects import Item, new_object
from bench.place import OBJECT, Place
from runner.control.status import is_ready_in_generation
from runner.objects import S3Object
from s3bucket.api import PLURAL

_THREADS = 8


@dataclass(frozen=True)
class Kind:
    """A kind of objects, and when one of it is ready.

    :param resource: its group, version and plural
    """

    resource: tuple[str, str, str]
    is_ready: Callable[[Item], bool]


S3 = Kind((*OBJECT, PLURAL), lambda item: is_ready_in_generation(S3Object(item)))
_Step = Callable[[str], object]


def make_until_ready(
    place: Place, namespace: str, names: Sequence[str], timeout_s: int, spec: Item | None = None
) -> None:
    """Make new objects, with these fields of the spec, all at once, and wait until each is Ready.

    :raises BenchError: when time is over
    """
    make_all_until_ready(place, S3, {name: new_object(name, namespace, spec) for name in names}, timeout_s)


def make_all_until_ready(place: Place, kind: Kind, bodies: Mapping[str, Item], timeout_s: int) -> None:
    """Make new objects of one namespace, by name, all at once, and wait until each is ready.

    :raises BenchError: when time is over
    """
    group, version, plural = kind.resource
    namespace = next(iter(bodies.values()))["metadata"]["namespace"]

    def make(name: str) -> object:
        return place.custom.create_namespaced_custom_object(group, version, namespace, plural, bodies[name])

    _do_and_wait(_Watched(place, kind, namespace), tuple(bodies), make, lambda _, item: kind.is_ready(item), timeout_s)


def delete_and_wait(place: Place, namespace: str, names: Sequence[str], timeout_s: int, kind: Kind = S3) -> None:
    """Delete objects, all at once, and wait until each is deleted.

    :raises BenchError: when time is over
    """
    group, version, plural = kind.resource

    def delete(name: str) -> object:
        return place.custom.delete_namespaced_custom_object(group, version, namespace, plural, name)

    _do_and_wait(_Watched(place, kind, namespace), names, delete, lambda event, _: event == "DELETED", timeout_s)


@dataclass(frozen=True)
class _Watched:
    """The objects of a kind in a namespace."""

    place: Place
    kind: Kind
    namespace: str

    @property
    def version(self) -> str:
        """The version of the list as it is now."""
        return str(self._list(*self._where, limit=1)["metadata"]["resourceVersion"])

    def events(self, version: str, timeout_s: int, only: dict[str, str]) -> Iterator[tuple[str, Item]]:
        """The type and the object of each event after a version."""
        options = {"resource_version": version, "timeout_seconds": timeout_s, **only}
        # By its docstring the client knows that it lists.
        for event in Watch().stream(self._list, *self._where, **options):
            yield event["type"], event["raw_object"]

    @property
    def _list(self) -> Any:
        return self.place.custom.list_namespaced_custom_object

    @property
    def _where(self) -> tuple[str, str, str, str]:
        group, version, plural = self.kind.resource
        return group, version, self.namespace, plural


def _do_and_wait(
    watched: _Watched, names: Sequence[str], act: _Step, is_done: Callable[[str, Item], bool], timeout_s: int
) -> None:
    # The watch of one object reports no other.
    only = {"field_selector": f"metadata.name={names[0]}"} if len(names) == 1 else {}
    version = watched.version
    waited = set(names)
    with ThreadPoolExecutor(min(_THREADS, len(names))) as pool:
        acts = [pool.submit(act, name) for name in names]
        for event, item in watched.events(version, timeout_s, only):
            if is_done(event, item):
                waited.discard(item["metadata"]["name"])
            if not waited:
                break
        for done in acts:
            done.result()
    if waited:
        raise BenchError(f"not within {timeout_s} s: {', '.join(sorted(waited))}")
