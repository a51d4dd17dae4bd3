"""Making and deleting S3 objects as a user does, and waiting, by a watch, for what the operator makes of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes.watch import Watch

from bench import BenchError
from bench.objects import Item, new_object
from bench.place import OBJECT, Place
from runner.control.status import is_ready_in_generation
from runner.objects import S3Object
from s3bucket.api import PLURAL

_THREADS = 8


def make_until_ready(
    place: Place, namespace: str, names: Sequence[str], timeout_s: int, spec: Item | None = None
) -> None:
    """Make new objects, with these fields of the spec, all at once, and wait until each is Ready.

    :raises BenchError: when time is over
    """

    def make(name: str) -> None:
        place.custom.create_namespaced_custom_object(*OBJECT, namespace, PLURAL, new_object(name, namespace, spec))

    _do_and_wait(place, namespace, names, make, lambda _, item: is_ready_in_generation(S3Object(item)), timeout_s)


def delete_and_wait(place: Place, namespace: str, names: Sequence[str], timeout_s: int) -> None:
    """Delete objects, all at once, and wait until each is deleted.

    :raises BenchError: when time is over
    """

    def delete(name: str) -> None:
        place.custom.delete_namespaced_custom_object(*OBJECT, namespace, PLURAL, name)

    _do_and_wait(place, namespace, names, delete, lambda kind, _: kind == "DELETED", timeout_s)


def _do_and_wait(
    place: Place,
    namespace: str,
    names: Sequence[str],
    act: Callable[[str], None],
    is_done: Callable[[str, Item], bool],
    timeout_s: int,
) -> None:
    lister = place.custom.list_namespaced_custom_object
    # The watch of one object reports no other.
    only = {"field_selector": f"metadata.name={names[0]}"} if len(names) == 1 else {}
    version = lister(*OBJECT, namespace, PLURAL, limit=1)["metadata"]["resourceVersion"]
    waited = set(names)
    with ThreadPoolExecutor(min(_THREADS, len(names))) as pool:
        acts = [pool.submit(act, name) for name in names]
        for kind, item in _watch(lister, namespace, version, timeout_s, only):
            if is_done(kind, item):
                waited.discard(item["metadata"]["name"])
            if not waited:
                break
        for done in acts:
            done.result()
    if waited:
        raise BenchError(f"not within {timeout_s} s: {', '.join(sorted(waited))}")


def _watch(lister: Any, namespace: str, version: str, timeout_s: int, only: dict[str, str]) -> Any:
    stream = Watch().stream(
        lister, *OBJECT, namespace, PLURAL, resource_version=version, timeout_seconds=timeout_s, **only
    )
    for event in stream:
        yield event["type"], event["raw_object"]
