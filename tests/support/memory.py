"""Limits the memory of a process and all its descendants, and measures their peak."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_REMOVE_S = 5.0
# A process between the test and the command. The memory of a process at exec counts as memory of the new program
# (getrusage(2), ru_maxrss), and the process of a test run has hundreds of MB.
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(process.pid, 0)
process.returncode = os.waitstatus_to_exitcode(status)
open(sys.argv[1], "w").write(str(usage.ru_maxrss))
sys.exit(process.returncode)
"""


@contextlib.contextmanager
def limited(limit_mb: int) -> Iterator[list[str]]:
    """The beginning of a command that runs in a memory cgroup with a limit in 10^6 bytes, which the kernel enforces.

    Empty where no cgroup can be created. The peak that :func:`peak_mb` returns is then the only measurement.
    """
    folder = _make(limit_mb * 1_000_000)
    if folder is None:
        yield []
        return
    try:
        yield ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(folder / "cgroup.procs")]
    finally:
        deadline = time.monotonic() + _REMOVE_S
        while True:
            try:
                folder.rmdir()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


def peak_mb(pid: int) -> float:
    """The peak resident memory of a live process, in 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def run_and_measure(command: list[str], environment: dict[str, str]) -> tuple[int, str, float]:
    """Run a command. Returns its exit status, its output, and its peak resident memory in 10^6 bytes."""
    with tempfile.NamedTemporaryFile("r") as measured:
        words = [sys.executable, "-S", "-c", _MEASURE, measured.name, *command]
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout, int(measured.read()) * 1024 / 1e6


def _make(limit: int) -> Path | None:
    for parent, file in _places():
        with contextlib.suppress(OSError):
            folder = Path(tempfile.mkdtemp(prefix="s3-operator-", dir=parent))
            try:
                (folder / file).write_text(str(limit))
                return folder
            except OSError:
                folder.rmdir()
    return None


def _places() -> Iterator[tuple[Path, str]]:
    """The cgroup of this process with a memory controller: version 1, version 2."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            yield _CGROUPS / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
        elif not controllers:
            yield _CGROUPS / path.lstrip("/"), "memory.max"
