"""Trial of policy texts: each text is evaluated first in a process that can be ended, only then in the operator's own.

The drift check compares policies in the operator's process, where nothing can end a comparison that does not return
and where it would hold the interpreter's lock. The role's code is written to need bounded time for any text
(``s3bucket/policy.py``). This is the second barrier, for a mistake in that code that is not known yet: a text
that needs more than a few seconds of CPU is reported for its object, and never reaches the operator's process.

Threads: any. Each trial has a process for itself; one idle process is kept for the next.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import logging
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

_LOG = logging.getLogger(__name__)
_Process = subprocess.Popen[bytes]
CPU_LIMIT_S = 3
"""Seconds of CPU that a trial may take. The worst texts that are known need less than one."""
# For a process that neither ends nor answers. On an overloaded machine it takes seconds to start one.
_WALL_LIMIT_S = 60
# Longer texts are refused by their length alone.
_MAX_BYTES = 20 * 1024
# The number of texts that are remembered, by their digest.
_MAX_REMEMBERED = 20_000
# A text that was given up is tried again after this time: the reason may have been the machine.
_GIVEN_UP_S = 600.0
_IDLE_S = 60.0


class GivenUpError(Exception):
    """The evaluation of a text was ended because it took too long."""


class Sandbox:
    """Evaluates policy texts in processes of its own, each text once.

    :param module_utils: the folder that holds the package ``s3bucket``
    """

    def __init__(self, module_utils: Path, clock: Callable[[], float] = time.monotonic) -> None:
        worker = Path(__file__).with_name("sandbox_worker.py")
        # Without site-packages: it needs the standard library and the core only.
        self._command = [sys.executable, "-BPsS", str(worker), str(CPU_LIMIT_S)]
        self._environment = {"PYTHONPATH": str(module_utils.absolute())}
        self._clock = clock
        self._lock = threading.Lock()
        # Digest to the time until which a text counts as given up; 0 for a text that passed.
        self._known: OrderedDict[bytes, float] = OrderedDict()
        self._idle: list[_Process] = []
        self._idle_since = 0.0
        self._finalizer = weakref.finalize(self, _end_all, self._idle)

    def try_text(self, text: str, bucket_arn: str) -> None:
        """Return once it is known that the text can be evaluated within the limits.

        :raises GivenUpError: when it cannot
        """
        self._end_unused()
        content = text.encode(errors="surrogatepass")
        if not content or len(content) > _MAX_BYTES:
            return
        arn = bucket_arn.encode(errors="surrogatepass")
        digest = hashlib.sha256(arn + b"\0" + content).digest()
        given_up_until = self._recall(digest)
        if given_up_until is None:
            given_up_until = 0 if self._evaluate(content, arn) else self._clock() + _GIVEN_UP_S
            self._remember(digest, given_up_until)
        if given_up_until:
            raise GivenUpError(
                f"its evaluation took more than {CPU_LIMIT_S} seconds and was given up: simplify the policy"
            )

    def close(self) -> None:
        """End the idle process; none is kept from now on."""
        self._finalizer()

    def _recall(self, digest: bytes) -> float | None:
        with self._lock:
            until = self._known.get(digest)
            if until is None or 0 < until <= self._clock():
                return None
            self._known.move_to_end(digest)
            return until

    def _remember(self, digest: bytes, given_up_until: float) -> None:
        with self._lock:
            self._known[digest] = given_up_until
            self._known.move_to_end(digest)
            if len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)

    def _evaluate(self, text: bytes, bucket_arn: bytes) -> bool:
        """Whether a process has evaluated the text to its end."""
        request = b" ".join([base64.b64encode(text), base64.b64encode(bucket_arn)]) + b"\n"
        process = self._take() or self._start()
        if _ask(process, request):
            self._keep(process)
            return True
        fields = {"bucket_arn": bucket_arn.decode(errors="replace"), "status": _end(process)}
        _LOG.warning("the evaluation of a policy was given up", extra=fields)
        return False

    def _take(self) -> _Process | None:
        with self._lock:
            process = self._idle.pop() if self._idle else None
        if process is not None and process.poll() is not None:
            _end(process)
            return None
        return process

    def _keep(self, process: _Process) -> None:
        with self._lock:
            if not self._idle and self._finalizer.alive:
                self._idle.append(process)
                self._idle_since = self._clock()
                return
        _end(process)

    def _end_unused(self) -> None:
        with self._lock:
            is_unused = self._idle and self._clock() >= self._idle_since + _IDLE_S
            process = self._idle.pop() if is_unused else None
        if process is not None:
            _end(process)

    def _start(self) -> _Process:
        return subprocess.Popen(  # noqa: S603 - our own program
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )


def _ask(process: _Process, request: bytes) -> bool:
    """Whether the process answered that it has evaluated the text."""
    assert process.stdin is not None and process.stdout is not None  # noqa: PT018, S101 - opened as pipes
    try:
        # Shorter than what a pipe holds, so this does not wait for the process.
        process.stdin.write(request)
        process.stdin.flush()
    except OSError:
        return False
    poll = select.poll()
    poll.register(process.stdout, select.POLLIN)
    return bool(poll.poll(_WALL_LIMIT_S * 1000)) and os.read(process.stdout.fileno(), 1) == b"."


def _end(process: _Process) -> int:
    """End a process. Returns its status: ``-SIGPROF`` for one that used up its CPU time."""
    if process.poll() is None:
        process.kill()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
    return process.wait()


def _end_all(processes: list[_Process]) -> None:
    while processes:
        _end(processes.pop())
