"""The operator's threads, by name. All are daemons: a watch that waits for the API server must not keep the process."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

# A thread that waited for AWS or for a run gets the interpreter when another one has had it for so long. With 7 checks
# under way and Python's default of 5 ms, 200 short waits of one thread took 4.7 s, with 1 ms they took 0.3 s.
_SWITCH_S = 0.001


class Threads:
    """Starts threads, and finds those that have ended."""

    def __init__(self) -> None:
        sys.setswitchinterval(_SWITCH_S)
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
