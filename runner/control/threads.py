"""The operator's threads, by name. All are daemons: a watch that waits for the API server must not keep the process."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Threads:
    """Starts threads, and finds those that have ended."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def start(self, name: str, body: Callable[..., object], *arguments: object) -> None:
        """Start a thread."""
        thread = threading.Thread(target=body, args=arguments, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def named(self, prefix: str) -> list[threading.Thread]:
        """The threads with this prefix."""
        return [thread for thread in self._threads if thread.name.startswith(prefix)]

    def find_ended(self) -> list[str]:
        """The names of threads that have ended."""
        return [thread.name for thread in self._threads if not thread.is_alive()]
