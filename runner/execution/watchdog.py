"""The watchdog: ``python -IS watchdog.py DESCRIPTOR OPERATOR PROJECT``. It ends an operator that missed its deadline.

An operator ends its runs itself before a Lease expires. One that is stopped (SIGSTOP), or does not get the CPU, cannot,
and its runs are other processes that go on. This process kills them, and the operator: another replica may have begun
when it wakes. It also ends the runs of an operator that was killed. It imports only the standard library until then.

The operator writes its deadlines into memory that both share, in seconds of CLOCK_BOOTTIME, which goes on while the
machine is suspended. Standard input is a pipe that is closed when the operator ends.
"""

import mmap
import os
import select
import signal
import sys
import time

# A deadline is read again so often: what is written does not wake this process, and suspended time is no waiting.
_POLL_S = 0.5
_KILL_POLL_S = 0.05


def main() -> None:
    """Wait for the first deadline, or for the end of the operator."""
    descriptor, operator, project = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as shared:
        deadlines = memoryview(shared).cast("d")
        while not _has_ended(max(0.01, min(_POLL_S, min(deadlines) - _now()))):
            if min(deadlines) <= _now():
                _end(operator, project)
                break
        deadlines.release()
    _kill_runs(operator, project)


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _has_ended(timeout_s: float) -> bool:
    return bool(select.select([0], [], [], timeout_s)[0])


def _end(operator: str, project: str) -> None:
    print("the operator missed a deadline: it is killed, with its runs", file=sys.stderr, flush=True)
    _kill_runs(operator, project)
    while not _has_ended(_KILL_POLL_S):
        # Process 1 of a container gets no SIGKILL from inside. It ends by itself once it goes on, and starts no run
        # that is not killed here.
        if os.getppid() == int(operator.partition("-")[0]):
            os.kill(os.getppid(), signal.SIGKILL)
        _kill_runs(operator, project)


def _kill_runs(operator: str, project: str) -> None:
    if project not in sys.path:
        sys.path.insert(0, project)
    from runner.execution import processes

    processes.kill_runs_of(operator, 1.0)


if __name__ == "__main__":
    main()
