"""Keeps the warm process alive, for the operator.

One thread starts it, waits until it reports ``ready``, and starts it again when it ends. The runs of a process that
ended are lost: each ends without an outcome, and the operator runs its object again. The process ends with the
operator, which holds one end of a pipe.
"""

from __future__ import annotations

import logging
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path

from runner.backoff import Backoff

_LOG = logging.getLogger(__name__)
_FIRST_BACKOFF_S = 0.5
_MAX_BACKOFF_S = 30.0
# The imports take 2 s, and more on a loaded machine.
_READY_S = 60.0
_STOP_S = 5.0
_MAX_ERROR = 500


class WarmProcess:
    """The warm process and its shim.

    :param folder: its own 0700 folder
    :param environment: for the process; the value of the run id in it must have the size of the longest run id
    """

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._socket = folder / "socket"
        self._process: subprocess.Popen[str] | None = None
        self._start_attempted = threading.Event()
        self._stopping = threading.Event()
        self._is_supported = True
        self._is_waiting_over = False
        self._lock = threading.Lock()
        self._backoff = Backoff(_MAX_BACKOFF_S, _FIRST_BACKOFF_S)
        self._write_shim()

    def start(self) -> None:
        """Start the process, and restart it when it ends."""
        threading.Thread(target=self._keep, name="warm", daemon=True).start()

    def stop(self, timeout_s: float = _STOP_S) -> None:
        """End the process and its runs.

        :param timeout_s: kill it after this time, by default after five seconds
        """
        self._stopping.set()
        self.end_waiting()
        with self._lock:
            process = self._process
        if process is None:
            return
        assert process.stdin is not None  # noqa: S101 - opened as a pipe
        process.stdin.close()
        try:
            process.wait(min(timeout_s, _STOP_S))
        except subprocess.TimeoutExpired:
            process.kill()

    def find_path(self) -> Path | None:
        """The folder to put first on a run's PATH, once the process is ready; None for a stock run."""
        if not self._is_waiting_over:
            self._start_attempted.wait(_READY_S)
        return self._folder / "bin" if self._is_supported else None

    def end_waiting(self) -> None:
        """End the waiting in :meth:`find_path`. The runs that wait for it will not be started."""
        self._is_waiting_over = True
        self._start_attempted.set()

    @property
    def pid(self) -> int:
        """The process's id; 0 while it does not run."""
        with self._lock:
            return self._process.pid if self._process else 0

    def _write_shim(self) -> None:
        shim = Path(__file__).with_name("shim.py")
        stock = Path(sys.executable).with_name("ansible-playbook")
        words = [sys.executable, "-IS", str(shim), str(self._socket), str(stock)]
        file = self._folder / "bin" / "ansible-playbook"
        file.parent.mkdir(mode=0o700)
        file.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        file.chmod(0o700)

    def _keep(self) -> None:
        while not self._stopping.is_set():
            try:
                first_line, error = self._run(), ""
            except OSError as failed:
                # For example, the work directory is full. A later try may succeed.
                first_line, error = "", str(failed)
            if first_line.startswith("unsupported"):
                _LOG.warning("runs are not warm", extra={"error": first_line.strip()[:_MAX_ERROR]})
                self._is_supported = False
                self._start_attempted.set()
                return
            if first_line.strip() != "ready":
                # Until the process can be started, the shim makes runs stock. So no run has to wait.
                self._start_attempted.set()
            if not self._stopping.is_set():
                error = error or self._last_error()
                _LOG.warning("the warm process ended and is started again", extra={"error": error})
                self._stopping.wait(self._backoff.next_s())

    def _run(self) -> str:
        """Start the process and wait for its end. Return its first line of output."""
        self._socket.unlink(missing_ok=True)
        with (self._folder / "stderr").open("wb") as errors:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "runner.execution.warm.server", str(self._socket)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=self._environment,
                cwd=Path(__file__).parents[3],
                text=True,
            )
        with self._lock:
            self._process = process
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - opened as pipes
        first_line = process.stdout.readline()
        if first_line.strip() == "ready":
            _LOG.debug("warm process is ready", extra={"pid": process.pid})
            self._backoff.reset()
            self._start_attempted.set()
        process.wait()
        self._start_attempted.clear()
        process.stdout.close()
        process.stdin.close()
        return first_line

    def _last_error(self) -> str:
        with (self._folder / "stderr").open("rb") as stream:
            stream.seek(max(0, os.fstat(stream.fileno()).st_size - _MAX_ERROR))
            return stream.read().decode(errors="replace")
