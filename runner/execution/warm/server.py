"""The warm process: ``python -m runner.execution.warm.server SOCKET``. It imports, freezes, and forks one child a run.

It ends when its standard input is closed, which is when the operator ends. It has one thread and no signal handler, so
that a child starts in the state of a fresh ansible-playbook: with the caller's standard streams, environment, folder
and arguments, and with no other descriptor. It writes ``ready`` to its standard output, or ``unsupported: WHY`` and
exits 3.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import os
import resource
import selectors
import signal
import socket
import struct
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from runner.execution import processes
from runner.execution.warm import internals, preload, reads

EXIT_UNSUPPORTED = 3
_MAX_REQUEST = 4 * 1024 * 1024
_REQUEST_S = 5.0
_BACKLOG = 64
# What ansible-core reads when it is imported.
_ENVIRONMENT = dict(os.environ)
_ENV_START_FIELD = 47
# The limit for each process of a run. The fork itself accounts for 0.1 GiB of it. A run that leaks memory gets a
# MemoryError. Without the limit the kernel would end the container, with all its runs.
_MAX_DATA = 512 * 1024 * 1024


def main() -> None:
    """Import everything, report whether it is supported, then serve."""
    try:
        preload.import_all()
        server = _Server(sys.argv[1], _Mark())
    except (internals.UnsupportedError, ImportError, AttributeError, OSError) as error:
        print(f"unsupported: {error}", flush=True)
        sys.exit(EXIT_UNSUPPORTED)
    gc.collect()
    processes.return_free_memory()
    gc.freeze()
    # A run is short, so there is no need to collect its garbage, and pages that are not written stay shared.
    gc.disable()
    print("ready", flush=True)
    server.serve()


class _Mark:
    """A run's id in this process's environment as /proc shows it to others. setenv in a process is not visible there.

    :raises OSError: when /proc does not show what was written
    """

    def __init__(self) -> None:
        name = f"{processes.RUN_ID}=".encode()
        block = Path("/proc/self/environ").read_bytes()
        offset = block.index(name) + len(name)
        # The operator pads the value to the size of the longest run id.
        self._room = block.index(b"\0", offset) - offset
        start = int(processes.read_stat(os.getpid())[_ENV_START_FIELD])
        self._address = start + offset
        self.show(block[offset : offset + self._room].decode())

    def show(self, run_id: str) -> None:
        value = run_id.encode().ljust(self._room, b"\0")
        if len(value) > self._room:
            raise OSError(f"the run id {run_id} is too long")
        ctypes.memmove(self._address, value, len(value))
        if value not in Path("/proc/self/environ").read_bytes():
            raise OSError("the environment that /proc shows cannot be written")


@dataclass(frozen=True)
class _Run:
    id: str
    pid: int
    pidfd: int
    connection: socket.socket


class _Server:
    """Accepts runs. Each run has a child process, and a connection that ends when the run ends."""

    def __init__(self, path: str, mark: _Mark) -> None:
        self._mark = mark
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        umask = os.umask(0o177)
        self._listener.bind(path)
        os.umask(umask)
        self._listener.listen(_BACKLOG)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        self._selector.register(sys.stdin, selectors.EVENT_READ, self._stop)
        self._runs: dict[int, _Run] = {}

    def serve(self) -> None:
        """Serve until the process ends."""
        while True:
            for key, _ in self._selector.select():
                key.data()

    def _stop(self) -> None:
        for run in list(self._runs.values()):
            self._kill(run)
        sys.exit(0)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        try:
            _check_peer(connection)
            request, descriptors = _receive(connection)
        except (OSError, ValueError):
            connection.close()
            return
        run_id = request["environment"][processes.RUN_ID]
        pid = os.fork()
        if pid == 0:
            _Child(request, descriptors, connection).run(self._mark)
        for descriptor in descriptors:
            os.close(descriptor)
        self._add(_Run(run_id, pid, os.pidfd_open(pid), connection))

    def _add(self, run: _Run) -> None:
        self._runs[run.pid] = run
        self._selector.register(run.connection, selectors.EVENT_READ, lambda: self._hear(run))
        self._selector.register(run.pidfd, selectors.EVENT_READ, lambda: self._end(run))

    def _hear(self, run: _Run) -> None:
        try:
            word = run.connection.recv(1)
        except OSError:
            word = b""
        if not word:
            self._kill(run)
            self._end(run)
        elif run.pid in self._runs:
            os.kill(run.pid, signal.SIGTERM)

    def _end(self, run: _Run) -> None:
        if self._runs.pop(run.pid, None) is None:
            return
        self._selector.unregister(run.connection)
        self._selector.unregister(run.pidfd)
        code = _wait(run.pid)
        with contextlib.suppress(OSError):
            run.connection.sendall(str(code).encode())
        run.connection.close()
        os.close(run.pidfd)

    def _kill(self, run: _Run) -> None:
        # The pid is used, too, because the process may not have its run's id in its environment yet.
        with contextlib.suppress(ProcessLookupError):
            os.kill(run.pid, signal.SIGKILL)
        processes.kill_run(run.id)


class _Child:
    """One run, in the forked process."""

    def __init__(self, request: dict[str, Any], descriptors: list[int], connection: socket.socket) -> None:
        self._request = request
        self._descriptors = descriptors
        self._connection = connection

    def run(self, mark: _Mark) -> NoReturn:
        """Run ansible-playbook."""
        code = 1
        try:
            self._take_over(mark)
            code = _playbook(self._request["arguments"])
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                atexit._run_exitfuncs()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _take_over(self, mark: _Mark) -> None:
        environment = self._request["environment"]
        mark.show(environment[processes.RUN_ID])
        # Whoever ends this run ends the shim first, and then searches for processes with the run's id. If that has
        # happened, the connection is closed.
        if _is_closed(self._connection):
            os._exit(1)
        for number, descriptor in enumerate(self._descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.setsid()
        _lower_priority(int(environment.get(processes.NICE, "0")))
        _limit_memory()
        os.chdir(self._request["folder"])
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
        sys.argv = self._request["arguments"]


def _lower_priority(nice: int) -> None:
    if not nice:
        return
    os.nice(nice)
    # Outside of a cgroup for CPU, thus not in a Pod, Linux compares sessions with each other, and the processes of each
    # only among themselves: https://man7.org/linux/man-pages/man7/sched.7.html ("The autogroup feature").
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(nice))


def _limit_memory() -> None:
    # Not above the limit of this process itself.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = _MAX_DATA if hard == resource.RLIM_INFINITY else min(hard, _MAX_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _stream(descriptor: int, mode: str) -> Any:
    return open(descriptor, mode, buffering=1, closefd=False)


def _playbook(arguments: list[str]) -> int:
    from ansible.cli.playbook import PlaybookCLI
    from ansible.utils.path import cleanup_tmp_file

    # The warm process's own temporary folder must not be removed by a run.
    atexit.unregister(cleanup_tmp_file)
    reads.update_constants(_ENVIRONMENT)
    try:
        PlaybookCLI.cli_executor(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def _check_peer(connection: socket.socket) -> None:
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid != os.getuid():
        raise PermissionError(f"uid {uid} is not the operator's")


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The request, and the caller's standard streams.

    :raises ValueError: for any other message
    """
    connection.settimeout(_REQUEST_S)
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 3)
    try:
        size = int.from_bytes(head, "big")
        if len(descriptors) != 3 or len(head) != 4 or size > _MAX_REQUEST:
            raise ValueError("not a request")
        body = b""
        while len(body) < size:
            part = connection.recv(size - len(body))
            if not part:
                raise ValueError("half a request")
            body += part
        request = _parse(body)
        if not request["environment"].get(processes.RUN_ID):
            raise ValueError("no run id")
    except (ValueError, OSError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ValueError(str(error)) from error
    connection.settimeout(None)
    return request, list(descriptors)


def _parse(body: bytes) -> dict[str, Any]:
    """The arguments, the folder and the environment, as ``shim`` writes them.

    :raises ValueError: for any other text
    """
    count, *texts = map(os.fsdecode, body.split(b"\0"))
    arguments, (folder, *environment) = texts[: int(count)], texts[int(count) :]
    return {
        "arguments": arguments,
        "folder": folder,
        "environment": dict(item.split("=", 1) for item in environment),
    }


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False


def _wait(pid: int) -> int:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    main()
