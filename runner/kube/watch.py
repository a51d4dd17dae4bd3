"""Watching one kind in one namespace (or all): list, then watch, for ever; back-off when it fails.

A watcher only multiplexes: it passes what exists and what changed to its handler, and remembers just the
resourceVersion. 410 (Expired) means list again. A watcher that is not allowed to list (403) is denied: it keeps
trying, and the other watchers do not wait for it. Each watcher is one thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from runner.backoff import Backoff
from runner.kube.client import KubeError, WatchEvent
from runner.objects import KubeObject

_LOG = logging.getLogger(__name__)
_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 30.0
# So many refusals in a row, some seconds apart, count as a right that is missing.
_DENIALS = 3


_Object = TypeVar("_Object", bound=KubeObject)
_Listed = TypeVar("_Listed", bound=KubeObject, covariant=True)
_Handled = TypeVar("_Handled", bound=KubeObject, contravariant=True)


class Listing(Protocol[_Listed]):
    """Objects as they arrive; ``version``, after the last one, is the resourceVersion to watch from."""

    version: str

    def __iter__(self) -> Iterator[_Listed]: ...


class Handler(Protocol[_Handled]):
    """Takes what a watcher sees."""

    def replace_all(self, found: Iterable[_Handled]) -> None:
        """Take a list: no other object exists now."""

    def change(self, kind: str, found: _Handled) -> None:
        """ADDED, MODIFIED or DELETED."""

    def deny(self) -> None:
        """What was seen so far can no longer be relied on: reading it is not allowed any more."""


class Watcher(Generic[_Object]):
    """Watches until ``stopped`` is set. ``name`` is for logs; ``denial``: why it may not watch, or empty."""

    def __init__(
        self,
        name: str,
        lister: Callable[[], Listing[_Object]],
        watch: Callable[[str], Iterator[WatchEvent[_Object]]],
        handler: Handler[_Object],
        stopped: threading.Event,
    ) -> None:
        self._name = name
        self._list = lister
        self._watch = watch
        self._handler = handler
        self._stopped = stopped
        self._backoff = Backoff(_MAX_BACKOFF_S, _FIRST_BACKOFF_S)
        self._turned_at = time.monotonic()
        self.synced = threading.Event()
        self.denial = ""
        self._denials = 0

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
                # What was missed meanwhile is seen by the next list.
                version = ""
                if error.is_denied:
                    self._deny(error)
                else:
                    _LOG.warning("watch failed", extra={"watch": self._name, "error": str(error)})
                self._pause()

    def _relist(self) -> str:
        listing = self._list()
        self._handler.replace_all(self._turning(listing))
        if self._denials >= _DENIALS:
            _LOG.info("watching again", extra={"watch": self._name})
        self.denial, self._denials = "", 0
        self.synced.set()
        return listing.version

    def _deny(self, error: KubeError) -> None:
        self.denial = str(error)
        self._denials += 1
        # An API server that has just started knows no RoleBindings for a moment.
        if self._denials == _DENIALS:
            _LOG.warning("not allowed to watch", extra={"watch": self._name, "error": str(error)})
            self._handler.deny()

    def _turning(self, found: Iterable[_Object]) -> Iterator[_Object]:
        self._turned_at = time.monotonic()
        for one in found:
            self._turned_at = time.monotonic()
            yield one

    def _follow(self, version: str) -> str:
        is_silent = True
        for kind, found in self._watch(version):
            is_silent = False
            self._heard()
            version = found.resource_version
            if kind != "BOOKMARK":
                self._handler.change(kind, found)
            if self._stopped.is_set():
                break
        if is_silent:
            # A server, or a proxy, that ends watches at once must not get requests in a tight loop.
            self._pause()
        return version

    def _heard(self) -> None:
        self._turned_at = time.monotonic()
        self._backoff.reset()

    def _pause(self) -> None:
        self._turned_at = time.monotonic()
        self._stopped.wait(self._backoff.next_s())


class Watched(Protocol):
    """A watcher of whatever kind."""

    synced: threading.Event
    denial: str

    @property
    def idle_s(self) -> float:
        """Seconds since its loop turned last."""

    def run(self) -> None:
        """The thread's body."""


class NamespaceWatch:
    """The watchers of one namespace (None: of all), and whether it is watched: synced, and not denied."""

    def __init__(self, namespace: str | None, watchers: Sequence[Watched]) -> None:
        self.name = namespace or ""
        self.watchers = watchers

    @property
    def is_watched(self) -> bool:
        """Whether all of its watchers have listed, and may go on."""
        return all(watcher.synced.is_set() and not watcher.denial for watcher in self.watchers)

    @property
    def denial(self) -> str:
        """Why it is not watched, where that is for want of rights; empty otherwise."""
        return next((watcher.denial for watcher in self.watchers if watcher.denial), "")
