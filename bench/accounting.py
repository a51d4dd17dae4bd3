"""CPU and memory of a process and all that it starts, however short-lived, orphaned or re-parented.

A cgroup counts what every process in it used, also those that have ended and were reaped by another process: version
2 where it is mounted, else the cpuacct of version 1. Both need the right to make a cgroup (root, mostly). Without it
/proc is added up: what a process that has ended used is then in its parent's account, if the parent reaped it.
Linux only. Threads: any.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from runner.execution.processes import read_stat

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
# man 5 proc, counted from the field after the command's name: ppid; utime, stime, cutime, cstime.
_PPID, _TIMES = 1, slice(11, 15)
_REMOVE_S = 5.0


class Tree(Protocol):
    """Processes that are started by :meth:`command`, with their descendants."""

    how: str

    def command(self, words: list[str]) -> list[str]:
        """The command that starts the process inside of the account."""

    def follow(self, pid: int) -> None:
        """Account for this process, which was started, too."""

    def cpu_s(self) -> float:
        """CPU seconds so far, user and system."""

    def pids(self) -> list[int]:
        """The processes there are now."""

    def close(self) -> None:
        """All processes have ended."""


def make_tree() -> Tree:
    """The best account that this machine allows."""
    for kind, how in (("cgroup2", "cgroup v2, cpu.stat"), ("cpuacct", "cgroup v1, cpuacct.usage")):
        with contextlib.suppress(OSError, StopIteration):
            tree = CgroupTree(_own_cgroup(kind), how)
            if tree.counts():
                return tree
            tree.close()
    return ProcTree()


class CgroupTree:
    """A cgroup below one that this process is in.

    :raises OSError: when it cannot be made
    """

    def __init__(self, parent: Path, how: str) -> None:
        self.how = how
        self.folder = Path(tempfile.mkdtemp(prefix="s3-operator-bench-", dir=parent))

    def command(self, words: list[str]) -> list[str]:
        """Through a shell that enters the cgroup and becomes the command."""
        return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.folder / "cgroup.procs"), *words]

    def follow(self, pid: int) -> None:
        """It is in the cgroup, and so is what it starts."""

    def counts(self) -> bool:
        """Whether a process can enter, and is counted."""
        entered = subprocess.run(self.command(["/bin/true"]), stderr=subprocess.DEVNULL, check=False)
        return entered.returncode == 0 and self.cpu_s() > 0

    def cpu_s(self) -> float:
        """As the kernel counts."""
        usage = self.folder / "cpuacct.usage"
        if usage.exists():
            return int(usage.read_text()) / 1e9
        stat = dict(line.split() for line in (self.folder / "cpu.stat").read_text().splitlines())
        return int(stat["usage_usec"]) / 1e6

    def pids(self) -> list[int]:
        """As the kernel lists them."""
        return [int(line) for line in (self.folder / "cgroup.procs").read_text().split()]

    def close(self) -> None:
        """Remove it, with what is left in it: all of it was started by the process that ended.

        :raises OSError: when the kernel does not forget the last process
        """
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + _REMOVE_S
        while True:
            try:
                return self.folder.rmdir()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)


class ProcTree:
    """A process and its descendants, as /proc shows them."""

    how = "/proc, with the times of children that were waited for"

    def __init__(self) -> None:
        self._roots: set[int] = set()

    def command(self, words: list[str]) -> list[str]:
        """As it is."""
        return words

    def follow(self, pid: int) -> None:
        """A root of the tree."""
        self._roots.add(pid)

    def cpu_s(self) -> float:
        """Of all that live, and of those they waited for."""
        return sum(int(tick) for fields in self._tree().values() for tick in fields[_TIMES]) / _TICKS_PER_S

    def pids(self) -> list[int]:
        """The root and its descendants."""
        return list(self._tree())

    def close(self) -> None:
        """Nothing to do."""

    def _tree(self) -> dict[int, list[str]]:
        stats = dict(_stats())
        found = self._roots & set(stats)
        while more := {pid for pid, fields in stats.items() if int(fields[_PPID]) in found} - found:
            found |= more
        return {pid: stats[pid] for pid in found}


def pss_mb(pids: list[int]) -> float:
    """The proportional set size of processes, in 10^6 bytes: pages that n processes share count 1/n in each."""
    return sum(map(_pss_kib, pids)) * 1024 / 1e6


def _pss_kib(pid: int) -> int:
    # It may be gone by now.
    with contextlib.suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return 0


def _stats() -> Iterator[tuple[int, list[str]]]:
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            stat = read_stat(int(folder.name))
            if stat:
                yield int(folder.name), stat


def _own_cgroup(kind: str) -> Path:
    """The folder of our own cgroup.

    :raises StopIteration: where this kind is not mounted
    """
    mounts = [line.split() for line in (_PROC / "mounts").read_text().splitlines()]
    root = next(Path(at) for _, at, type_, options, *_ in mounts if kind in (type_, *options.split(",")))
    groups = [line.split(":", 2) for line in (_PROC / "self" / "cgroup").read_text().splitlines()]
    own = next(path for _, names, path in groups if (kind in names.split(",") if kind != "cgroup2" else not names))
    return root / own.lstrip("/")
