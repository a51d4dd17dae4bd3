"""Watching one kind in one namespace (or all): list, then watch, for ever; back-off when it fails.

A watcher only multiplexes: it tells its handler what is there and what changed, and remembers just the
resourceVersion. 410 Gone means list again. Each watcher is one thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

from runner.backoff import Backoff
from runner.kube import KubeError, WatchEvent

_LOG = logging.getLogger(__name__)
_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 30.0


class Listing(Protocol):
    """Items as they arrive; ``version``, after the last one, is the resourceVersion to watch from."""

    version: str

    def __iter__(self) -> Iterator[dict[str, Any]]: ...


Lister = Callable[[], Listing]
Watch = Callable[[str], Iterator[WatchEvent]]


class Handler(Protocol):
    """Takes what a watcher sees."""

    def replace_all(self, items: Iterable[dict[str, Any]]) -> None:
        """This is all there is now."""

    def change(self, kind: str, item: dict[str, Any]) -> None:
        """ADDED, MODIFIED or DELETED."""


class Watcher:
    """Watches until ``stopped`` is set. ``name`` is for logs."""

    def __init__(self, name: str, lister: Lister, watch: Watch, handler: Handler, stopped: threading.Event) -> None:
        self._name = name
        self._list = lister
        self._watch = watch
        self._handler = handler
        self._stopped = stopped
        self._backoff = Backoff(_MAX_BACKOFF_S, _FIRST_BACKOFF_S)
        self._turned_at = time.monotonic()
        self.synced = threading.Event()

    @property
    def idle_s(self) -> float:
        """Seconds since the loop turned last: large only when it is stuck, not while the API server is away."""
        return time.monotonic() - self._turned_at

    def run(self) -> None:
        """The thread's body."""
        version = ""
        while not self._stopped.is_set():
            try:
                version = self._follow(version or self._relist())
            except KubeError as error:
                if error.is_expired:
                    _LOG.debug("watch expired, listing again", extra={"watch": self._name})
                    version = ""
                    continue
                _LOG.warning("watch failed", extra={"watch": self._name, "error": str(error)})
                # What was missed meanwhile is seen by the next list.
                version = ""
                self._pause()

    def _relist(self) -> str:
        listing = self._list()
        self._handler.replace_all(self._turning(listing))
        self.synced.set()
        return listing.version

    def _turning(self, items: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        self._turned_at = time.monotonic()
        for item in items:
            self._turned_at = time.monotonic()
            yield item

    def _follow(self, version: str) -> str:
        is_silent = True
        for kind, item in self._watch(version):
            is_silent = False
            self._heard()
            version = item["metadata"]["resourceVersion"]
            if kind != "BOOKMARK":
                self._handler.change(kind, item)
            if self._stopped.is_set():
                break
        if is_silent:
            # A server, or a proxy, that ends watches at once must not be asked in a tight loop.
            self._pause()
        return version

    def _heard(self) -> None:
        self._turned_at = time.monotonic()
        self._backoff.reset()

    def _pause(self) -> None:
        self._turned_at = time.monotonic()
        self._stopped.wait(self._backoff.next_s())
