"""Child processes of the local environment: free ports, logs in files, an end with the parent.

A child that is started as *tied* gets SIGKILL from the kernel when its parent dies, so that nothing is
left behind however a test ends. Nothing is ever found or ended by name.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

from .wait import wait_until

_PR_SET_PDEATHSIG = 1
_STOP_TIMEOUT_S = 15.0
_LIBC = ctypes.CDLL(None)


def get_free_port() -> int:
    """A loopback TCP port that is free now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """One child process with its log file."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str], *, is_tied: bool = True) -> None:
        self.log = log
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=not is_tied,
                preexec_fn=_die_with_parent if is_tied else None,  # noqa: PLW1509 - no threads at start
            )

    def wait_until(self, is_ready: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
        """Wait until ``is_ready``.

        :raises RuntimeError: with the end of the log when the process ends, or time is over
        """

        def check() -> bool:
            if is_ready():
                return True
            if self.process.poll() is not None:
                raise TimeoutError
            return False

        try:
            wait_until(check, what, timeout_s)
        except TimeoutError:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{what} did not become ready (exit {self.process.poll()}):\n{tail}") from None

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not heard in time."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def plain_environment() -> dict[str, str]:
    """An environment without the machine's AWS, proxy, Python and Ansible settings."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
