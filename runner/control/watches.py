"""The watches of all namespaces: of S3 objects, and of their Secrets and Services, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial

from runner.control.handlers import ChildHandler, ObjectHandler, Requests
from runner.control.names import Names
from runner.control.threads import Threads
from runner.kube.cache import Caches
from runner.kube.client import Kube
from runner.kube.watch import NamespaceWatch, Watcher
from runner.objects import Child, S3Object

_CHILD_KINDS = ("Secret", "Service")
# Longer than a watch may be silent, with its back-off.
_MAX_IDLE_S = 600.0


class Watches:
    """Starts the watches.

    :param caches: where they keep what they see
    :param queue: gets the objects that are to be reconciled
    :param sync_period_s: objects that were Ready before are spread over it
    :param names: gets what the objects own in AWS; None where no events of AWS are received
    """

    def __init__(
        self, kube: Kube, caches: Caches, queue: Requests, sync_period_s: float, names: Names | None = None
    ) -> None:
        self._kube = kube
        self._caches = caches
        self._queue = queue
        self._sync_period_s = sync_period_s
        self._names = names
        self.namespaces: list[NamespaceWatch] = []
        self._objects: list[Watcher[S3Object]] = []

    def start(self, threads: Threads, stopping: threading.Event, publish: Callable[[NamespaceWatch], None]) -> None:
        """Watch all namespaces until ``stopping`` is set.

        :param publish: gets each namespace, for the metrics
        """
        for namespace in self._kube.namespaces:
            objects = self._watch_objects(namespace, stopping)
            self._objects.append(objects)
            children = [self._watch_children(kind, namespace, stopping) for kind in _CHILD_KINDS]
            watched = NamespaceWatch(namespace, [objects, *children])
            self.namespaces.append(watched)
            publish(watched)
            for watcher in watched.watchers:
                threads.start("watch", watcher.run)

    def is_synced(self) -> bool:
        """Whether all S3 objects are known."""
        return all(watcher.synced.is_set() for watcher in self._objects)

    def is_stuck(self) -> bool:
        """Whether a watch hangs. One that waits for the API server does not."""
        return any(watcher.idle_s > _MAX_IDLE_S for watched in self.namespaces for watcher in watched.watchers)

    def find_problem(self) -> str:
        """Why no object can be reconciled; empty when some can.

        One namespace without rights is reported in the metrics, and does not keep the others from being served.
        """
        if any(not (namespace.is_watched or namespace.denial) for namespace in self.namespaces):
            return "waiting for the first list"
        if self.namespaces and not any(namespace.is_watched for namespace in self.namespaces):
            return f"no namespace can be watched: {self.namespaces[0].denial}"
        return ""

    def _watch_objects(self, namespace: str | None, stopping: threading.Event) -> Watcher[S3Object]:
        return Watcher(
            f"S3 in {namespace or 'all namespaces'}",
            partial(self._kube.iterate_objects, namespace),
            partial(self._kube.watch_objects, namespace),
            ObjectHandler(self._queue, self._sync_period_s, self._caches.add_objects(), names=self._names),
            stopping,
        )

    def _watch_children(self, kind: str, namespace: str | None, stopping: threading.Event) -> Watcher[Child]:
        return Watcher(
            f"{kind} in {namespace or 'all namespaces'}",
            partial(self._kube.iterate_children, kind, namespace),
            partial(self._kube.watch_children, kind, namespace),
            ChildHandler(self._queue, self._caches.add_children(kind)),
            stopping,
        )
