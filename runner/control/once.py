"""``s3-operator once``: one pass over all objects, each reconciled as the operator does it.

Threads: as many workers as the operator has, and one that ends runs after a request to stop.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Protocol

from runner.control.shutdown import WORKERS_S, Shutdown
from runner.control.threads import Threads
from runner.kube.client import Kube, KubeError
from runner.objects import Key, S3Object
from s3bucket.outcome import Outcome, Retry

_LOG = logging.getLogger(__name__)
_POLL_S = 0.5


class ObjectReconciler(Protocol):
    """Reconciles one object."""

    def reconcile_object(self, key: Key) -> Outcome | None:
        """The outcome; None when there is nothing (more) to do."""


def list_objects(kube: Kube, *, needs_cluster_id: bool) -> tuple[list[S3Object], bool]:
    """The objects of all namespaces, and whether all namespaces exist.

    :param needs_cluster_id: whether an unknown cluster id is an error; an operator would wait for it
    :raises KubeError: when Kubernetes does not answer
    """
    if needs_cluster_id:
        kube.get_cluster_id()
    missing = kube.find_missing_namespaces()
    for name in missing:
        _LOG.error("the namespace does not exist (--watch-namespace)", extra={"namespace": name})
    found = [name for name in kube.namespaces if name not in missing]
    return [s3 for name in found for s3 in kube.list_objects(name)[0]], not missing


class OnePass:
    """Reconciles objects once.

    :param cancel_runs: ends all runs of the role
    """

    def __init__(
        self, reconciler: ObjectReconciler, threads: Threads, shutdown: Shutdown, cancel_runs: Callable[[], None]
    ) -> None:
        self._reconciler = reconciler
        self._threads = threads
        self._shutdown = shutdown
        self._cancel_runs = cancel_runs

    def reconcile_all(self, objects: list[S3Object], workers: int) -> bool:
        """Reconcile each object, until a stop is requested. Whether all are Ready, or deleted."""
        keys: SimpleQueue[Key] = SimpleQueue()
        for s3 in objects:
            keys.put(s3.key)
        results: list[bool] = []
        for number in range(workers):
            self._threads.start(f"worker-{number}", self._drain, keys, results)
        is_late = threading.Event()
        self._threads.start("stop", self._cancel_when_stopped, is_late)
        for thread in self._threads.named("worker-"):
            while thread.is_alive() and not is_late.is_set():
                thread.join(_POLL_S)
        self._shutdown.begin(is_graceful=False)
        is_late.set()
        return len(results) == len(objects) and all(results)

    def reconcile(self, key: Key) -> bool:
        """Reconcile an object as long as that makes progress. Whether it is Ready, or deleted."""
        try:
            outcome = self._reconciler.reconcile_object(key)
            # It made progress, and another pass may be hours away.
            while outcome is not None and outcome.retry == Retry.IMMEDIATE and not self._shutdown.stopping.is_set():
                outcome = self._reconciler.reconcile_object(key)
        except KubeError as error:
            _LOG.error("not reconciled", extra={"namespace": key[0], "name_": key[1], "error": str(error)})
            return False
        return outcome is None or outcome.is_done

    def _drain(self, keys: SimpleQueue[Key], results: list[bool]) -> None:
        with contextlib.suppress(Empty):
            while not self._shutdown.stopping.is_set():
                results.append(self.reconcile(keys.get_nowait()))

    def _cancel_when_stopped(self, is_late: threading.Event) -> None:
        """Let runs end for the grace period, cancel them then, and give up what still waits for AWS."""
        self._shutdown.stopping.wait()
        is_late.wait(self._shutdown.left_s(0))
        self._cancel_runs()
        is_late.wait(self._shutdown.left_s(WORKERS_S))
        is_late.set()
