"""The times until which this process may have runs. Another process, the watchdog, kills both when one is missed.

One thread keeps the watchdog alive; any sets a deadline. Linux only (memfd_create).
"""

from __future__ import annotations

import contextlib
import logging
import math
import mmap
import os
import subprocess
import sys
import threading
from pathlib import Path

from runner.execution import processes

_LOG = logging.getLogger(__name__)
_RESTART_S = 0.5
_STOP_S = 5.0
_SIZE = 8


class Deadlines:
    """The deadlines, by number; at first there is none.

    :param count: how many there are
    """

    def __init__(self, count: int) -> None:
        self._descriptor = os.memfd_create("deadlines")
        os.ftruncate(self._descriptor, count * _SIZE)
        # One store of eight bytes for each change: the watchdog never reads half of one.
        self._times = memoryview(mmap.mmap(self._descriptor, count * _SIZE)).cast("d")
        for number in range(count):
            self._times[number] = math.inf
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None

    def set(self, number: int, time_s: float) -> None:
        """All work must have ended at this time of CLOCK_BOOTTIME, or another must be set; inf for never."""
        self._times[number] = time_s

    def keep_watchdog(self) -> None:
        """The body of the thread: start the watchdog, and start it again when it ends."""
        while not self._stopping.is_set():
            try:
                self._run()
            except OSError as error:
                _LOG.warning("the watchdog was not started", extra={"error": str(error)})
            if not self._stopping.wait(_RESTART_S):
                _LOG.warning("the watchdog ended and is started again")

    def close(self) -> None:
        """End the watchdog: this process has no runs any more."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        for number in range(len(self._times)):
            self._times[number] = math.inf
        assert process.stdin is not None  # noqa: S101 - opened as a pipe
        with contextlib.suppress(OSError):
            process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)

    def _run(self) -> None:
        script, project = Path(__file__).with_name("watchdog.py"), Path(__file__).parents[2]
        words = [str(self._descriptor), processes.operator_id(), str(project)]
        self._process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-IS", str(script), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            pass_fds=[self._descriptor],
            env={},
            # What stops the operator's process group, as Ctrl-Z does, must not stop it.
            start_new_session=True,
        )
        self._process.wait()
