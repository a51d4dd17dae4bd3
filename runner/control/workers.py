"""The workers: each takes an object from the queue, has it reconciled, and puts it back for its next time.

Run workers may run the role; check workers only compare, and hand on what differs. One namespace has at most all
workers of a kind but a number that is reserved for others, so that no namespace waits for another one's long runs.
Errors are caught here and nowhere else. Threads: one for each worker; :meth:`Workers.find_stuck` is called by any.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from runner.control.decide import Trigger
from runner.control.queue import Lane, Pool, Standing, WorkQueue
from runner.control.reconcile import Reconciler
from runner.control.schedule import Next
from runner.kube.client import KubeError
from runner.objects import Key

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Worker:
    """What one worker does: ``lanes`` in its order of preference. ``trigger``: RESYNC for one that only compares."""

    name: str
    lanes: tuple[Lane, ...]
    pool: Pool
    trigger: Trigger = Trigger.CHANGE


def run_workers(count: int, *, reserved: int, has_checkers: bool) -> list[Worker]:
    """The workers that may run the role.

    Each serves every lane, so that what a namespace may have at most is the same in each. All but one prefer new and
    changed objects; one prefers repairs, which therefore never wait for all that is new.

    :param reserved: the workers that one namespace may not have; it may have one in any case
    :param has_checkers: False gives these workers the resyncs as well
    """
    resyncs = () if has_checkers else (Lane.RESYNC,)
    fresh_first, repairs_first = (Lane.FRESH, Lane.REPAIR, *resyncs), (Lane.REPAIR, Lane.FRESH, *resyncs)
    pool = Pool(fresh_first, max(1, count - reserved), count)
    return [Worker(f"worker-{number}", repairs_first if number == 1 else fresh_first, pool) for number in range(count)]


def check_workers(count: int, *, reserved: int) -> list[Worker]:
    """The workers that compare objects that were not changed.

    None of their pool rests: checks mostly wait for AWS, and there is always a backlog where a period is short.
    """
    pool = Pool((Lane.RESYNC,), max(1, count - reserved))
    return [Worker(f"worker-resync-{number}", (Lane.RESYNC,), pool, Trigger.RESYNC) for number in range(count)]


class Workers:
    """What all workers share.

    :param stopping: set when no more work is to be taken
    """

    def __init__(
        self,
        queue: WorkQueue,
        reconciler: Reconciler,
        *,
        stopping: threading.Event,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._stopping = stopping
        self._clock = clock
        self._busy_since: dict[str, float] = {}

    def work(self, worker: Worker) -> None:
        """The thread's body."""
        while not self._stopping.is_set():
            found = self._queue.get(lanes=worker.lanes)
            if found is None:
                return
            self._busy_since[worker.name] = self._clock()
            try:
                self._serve(worker, found[0])
            finally:
                del self._busy_since[worker.name]

    def find_stuck(self, limit_s: float) -> list[str]:
        """The names of workers that have been busy with one object for longer than ``limit_s``."""
        now = self._clock()
        return sorted(name for name, since in list(self._busy_since.items()) if now - since > limit_s)

    def _serve(self, worker: Worker, key: Key) -> None:
        after: Next | None = None
        try:
            after = self._reconcile(key, worker.trigger)
            if after is None:
                self._queue.rank(key, Standing.GOOD)
        except KubeError as error:
            after = self._reconciler.after_error(key, is_conflict=error.is_conflict)
            _LOG.warning("not reconciled", extra={"namespace": key[0], "name_": key[1], "error": str(error)})
        except Exception:
            after = self._reconciler.after_error(key)
            _LOG.exception("not reconciled", extra={"namespace": key[0], "name_": key[1]})
        finally:
            if after is not None:
                if after.standing is not None:
                    self._queue.rank(key, after.standing)
                self._queue.postpone(key, after.lane, after.delay_s)
            self._queue.done(key)

    def _reconcile(self, key: Key, trigger: Trigger) -> Next | None:
        return self._reconciler.resync(key) if trigger is Trigger.RESYNC else self._reconciler.reconcile(key)
