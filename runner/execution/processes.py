"""The processes of runs: each process has its run's id in its environment, and none outlives its run.

Ansible's workers call setsid, so killing a process group would leave them running and writing. A run id contains the
operator's pid and start time. So an operator removes what a killed predecessor left, and never another operator's runs.
Linux only (/proc).
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import re
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_LOG = logging.getLogger(__name__)
RUN_ID = "S3_OPERATOR_RUN_ID"
NICE = "S3_OPERATOR_NICE"
"""How much lower the priority of a run is than that of others; see nice(2)."""
ONLY_CHANGES = "S3_OPERATOR_ONLY_CHANGES"
"""Set for a run that reports only the tasks that changed something or failed, and its end."""
_PR_SET_CHILD_SUBREAPER = 36
# malloc.h
_M_ARENA_MAX, _M_MMAP_THRESHOLD = -8, -3
_POLL_S = 0.05
_ORPHAN_S = 5.0
# The number of new objects until the next collection. Python's own is 700.
_GARBAGE = 5_000
_STARTTIME_FIELD = 19
# The kinds of folders that own_folder makes. Nothing else in a work directory may be removed.
_OWN_KINDS = ("credentials", "run", "warm")
_OWN_FOLDER = re.compile(rf"(?:{'|'.join(_OWN_KINDS)})-([0-9]+-[0-9]+(?:-[0-9]+)?)")
# The end of the terminal (SIGHUP) has the same effect as a service manager's SIGTERM, or as Ctrl-C (SIGINT).
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
# man 7 unix: the path of a socket has at most 107 bytes. "/run-<pid>-<start time>-<number>/tmp", and what Python's
# multiprocessing appends, "/pymp-xxxxxxxx/listener-xxxxxxxx", take up to 67 of them.
_MAX_WORK_DIR = 107 - 67


def become_subreaper() -> None:
    """Become the parent of orphaned processes of runs, as process 1 is in a container, for :func:`reap_orphans`.

    :raises OSError: when the kernel refuses
    """
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def handle_stop_signals(stop: Callable[[int], None]) -> None:
    """Call ``stop`` with the number of each SIGTERM, SIGINT or SIGHUP. Main thread only.

    An ignored SIGHUP stays ignored, because the program was then started with nohup.
    """
    for number in _STOP_SIGNALS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, lambda received, _: stop(received))


@contextlib.contextmanager
def stop_signals_held() -> Iterator[None]:
    """Delay stop signals until the end of the context. A re-executed program inherits the pending signals."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def forbid_core_dumps() -> None:
    """Forbid core dumps of this process and its children, because their memory holds keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def share_heaps() -> None:
    """Limit all threads to two heaps. By default glibc creates many, and none can use the free memory of another.

    Large blocks are not part of a heap. By default glibc includes them once one was freed, and a heap then keeps them.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, 128 * 1024)


def return_free_memory() -> None:
    """Give the kernel back what is free in the heaps."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def collect_less() -> None:
    """Leave what the start has made out of garbage collections, and collect less often: 5 % of a check's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)


def operator_id(pid: int | None = None) -> str:
    """A name for a process that no later process can have: ``<pid>-<start time>``."""
    pid = pid or os.getpid()
    return f"{pid}-{_start_time(pid)}"


def find_run(run_id: str) -> list[int]:
    """The live processes of a run."""
    return [pid for pid, found in _runs() if found == run_id]


def terminate_run(run_id: str) -> None:
    """Ask a run to end."""
    _signal(find_run(run_id), signal.SIGTERM)


def kill_run(run_id: str) -> None:
    """End every process of a run and wait until none is left."""
    while pids := find_run(run_id):
        _signal(pids, signal.SIGKILL)
        time.sleep(_POLL_S)


def kill_own_runs(timeout_s: float) -> bool:
    """End every process of every run of this operator at once. Return whether none is left."""
    return kill_runs_of(operator_id(), timeout_s)


def find_runs_of(operator: str) -> list[int]:
    """The live processes of all runs of an operator.

    :param operator: its :func:`operator_id`
    """
    own = f"{operator}-"
    return [pid for pid, run_id in _runs() if run_id.startswith(own) and pid != os.getpid()]


def kill_runs_of(operator: str, timeout_s: float) -> bool:
    """End every process of every run of an operator at once. Return whether none is left.

    :param operator: its :func:`operator_id`
    """
    deadline = time.monotonic() + timeout_s
    while pids := find_runs_of(operator):
        _signal(pids, signal.SIGKILL)
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True


def reap_orphans(stopping: threading.Event) -> None:
    """Reap orphaned processes until stopped: children of runs that ended or were killed.

    A child that is a zombie in two consecutive scans is an orphan: whoever started a process reaps it much faster.
    """
    last: set[int] = set()
    while not stopping.wait(_ORPHAN_S):
        dead = _dead_children()
        for pid in dead & last:
            _LOG.info("waited for an orphan", extra={"pid": pid, "command": _command(pid)})
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        last = dead


def short_path(work_dir: Path) -> Path:
    """The folder's absolute path, or a shorter path to it if sockets below it would have too long a path.

    ansible-core 2.21 has a socket in a run's TMPDIR, and the warm process has one in its folder. The shorter path uses
    a file descriptor of this process, so it is valid only while this process lives.
    """
    path = work_dir.absolute()
    if len(os.fsencode(path)) <= _MAX_WORK_DIR:
        return path
    return Path(f"/proc/{os.getpid()}/fd/{os.open(path, os.O_PATH | os.O_DIRECTORY)}")


def own_folder(work_dir: Path, kind: str, number: str = "") -> Path:
    """Create a 0700 folder. It is removed when this operator ends, or by the :func:`sweep` of a later operator.

    :param kind: one of the kinds that :func:`sweep` removes
    """
    if kind not in _OWN_KINDS:
        raise ValueError(f"no sweep would remove a folder of kind {kind}")
    folder = work_dir / f"{kind}-{operator_id()}{number and '-'}{number}"
    folder.mkdir(mode=0o700)
    return folder


def remove_own_folders(work_dir: Path) -> None:
    """Remove all folders that :func:`own_folder` created for this process."""
    for folder in work_dir.glob(f"*-{operator_id()}*"):
        shutil.rmtree(folder, ignore_errors=True)


def sweep(work_dir: Path) -> int:
    """End the runs, and remove the folders, of operators that no longer run. Returns the number of ended runs."""
    left = {run_id for _, run_id in _runs() if not _is_alive(run_id)}
    for run_id in left:
        kill_run(run_id)
    for folder in work_dir.iterdir():
        own = _OWN_FOLDER.fullmatch(folder.name)
        if own and not _is_alive(own[1]):
            shutil.rmtree(folder, ignore_errors=True)
    return len(left)


def _is_alive(run_id: str) -> bool:
    pid, _, rest = run_id.partition("-")
    return pid.isdigit() and _start_time(int(pid)) == rest.partition("-")[0]


def _runs() -> list[tuple[int, str]]:
    mark, own, found = f"{RUN_ID}=".encode(), os.readlink("/proc/self/ns/pid"), []
    for pid in _pids():
        with contextlib.suppress(OSError):
            for item in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                # A run's id contains its operator's pid. A pid from a container belongs to another process here.
                if item.startswith(mark) and os.readlink(f"/proc/{pid}/ns/pid") == own:
                    found.append((pid, item[len(mark) :].decode(errors="replace")))
    return found


def _start_time(pid: int) -> str:
    fields = read_stat(pid)
    return fields[_STARTTIME_FIELD] if fields else ""


def _pids() -> list[int]:
    return [int(folder.name) for folder in Path("/proc").iterdir() if folder.name.isdigit()]


def read_stat(pid: int) -> list[str]:
    """The fields of ``/proc/PID/stat`` after the command's name, from the state on; empty for a process that has ended.

    The command's name may hold spaces and parentheses. https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    """
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return []


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _dead_children() -> set[int]:
    # One call that mostly finds none. A scan reads a file for each process: it took 2 % of the CPU of a steady sync.
    with contextlib.suppress(ChildProcessError):
        if os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return set()
    mine = str(os.getpid())
    return {pid for pid in _pids() if read_stat(pid)[:2] == ["Z", mine]}


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""
