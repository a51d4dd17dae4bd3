"""The warm process: ``python -m runner.warm.server SOCKET``. It imports, freezes, and forks one child a run.

It ends when its standard input does, that is with the operator. One thread, no signal handler, so that a child
begins as a fresh ansible-playbook would: with the caller's standard streams, environment, folder and arguments,
and with no other descriptor. Says ``ready`` on its standard output, or ``unsupported: WHY`` and exits 3.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import gc
import importlib
import json
import os
import pkgutil
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

from runner import processes
from runner.warm import inprocess, worker

EXIT_UNSUPPORTED = 3
_MAX_REQUEST = 4 * 1024 * 1024
_REQUEST_S = 5.0
_BACKLOG = 64
_ENV_START_FIELD = 47
# For each process of a run, of which 0.1 GiB are what it is forked with. A run that leaks gets a MemoryError, where
# the kernel would end the container, with all runs in it.
_MAX_DATA = 512 * 1024 * 1024
_IMPORTS = (
    "ansible.cli.playbook",
    "ansible.executor.playbook_executor",
    "boto3.session",
    "botocore.session",
    "kubernetes.client",
    "kubernetes.config",
    "kubernetes.dynamic",
    "yaml",
)
# What a run of the role asks Ansible's plugin loaders for. What is not here is loaded in the child.
_PLUGINS = {
    "action": ("assert", "normal", "set_fact", "set_stats", "validate_argument_spec", "kubernetes.core.k8s"),
    "cache": ("memory",),
    "callback": ("default", "junit", "minimal", "oneline", "tree"),
    "inventory": ("host_list", "ini", "script", "yaml", "auto", "toml", "advanced_host_list"),
    "lookup": ("env", "file"),
    "strategy": ("linear",),
}
# Of these PlaybookExecutor looks at every one, and reads its documentation for settings.
_PLUGIN_KINDS = ("become", "connection", "filter", "shell", "test", "vars")
_COLLECTIONS = ("amazon.aws", "kubernetes.core")
_SERVICES = ("s3", "iam", "sts")


def main() -> None:
    try:
        _import_all()
        inprocess.install()
        worker.install()
        server = _Server(sys.argv[1], _Mark())
    except (inprocess.UnsupportedError, ImportError, AttributeError, OSError) as error:
        print(f"unsupported: {error}", flush=True)
        sys.exit(EXIT_UNSUPPORTED)
    gc.collect()
    gc.freeze()
    # A run is short: what it would collect goes with it, and pages that nobody writes stay shared.
    gc.disable()
    print("ready", flush=True)
    server.serve()


def _import_all() -> None:
    for name in _IMPORTS:
        importlib.import_module(name)
    _import_collections()
    _load_plugins()
    _import_role()
    _warm_botocore()
    _keep_clients()
    _forget_warnings()
    # kubernetes.core's actions want a folder made by three shells, for files that no task of ours sends.
    action = importlib.import_module("ansible.plugins.loader").action_loader.get("kubernetes.core.k8s", class_only=True)
    action.TRANSFERS_FILES = False


def _import_collections() -> None:
    loader = importlib.import_module("ansible.plugins.loader")
    loader.init_plugin_loader()
    # In the child it is done already; a second time warns.
    setattr(importlib.import_module("ansible.cli"), "init_plugin_loader", lambda *_: None)  # noqa: B010
    for collection in _COLLECTIONS:
        package = importlib.import_module(f"ansible_collections.{collection}.plugins.module_utils")
        for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            # Some need libraries that are not ours to install (helm, turbo).
            with contextlib.suppress(ImportError):
                importlib.import_module(found.name)
    for collection, name in (
        ("amazon.aws", "iam_access_key"),
        ("amazon.aws", "iam_policy"),
        ("amazon.aws", "iam_user"),
        ("amazon.aws", "s3_bucket"),
        ("kubernetes.core", "k8s"),
    ):
        package = importlib.import_module(f"ansible_collections.{collection}.plugins")
        inprocess.preload(Path(next(iter(package.__path__))) / "modules" / f"{name}.py")


def _load_plugins() -> None:
    loaders = importlib.import_module("ansible.plugins.loader")
    for kind, names in _PLUGINS.items():
        for name in names:
            getattr(loaders, f"{kind}_loader").get(name, class_only=True)
    for kind in _PLUGIN_KINDS:
        list(getattr(loaders, f"{kind}_loader").all(class_only=kind not in ("filter", "test")))


def _import_role() -> None:
    module_utils = importlib.import_module("ansible.module_utils")
    for roles in os.environ.get("ANSIBLE_ROLES_PATH", "").split(os.pathsep):
        role = Path(roles) / "s3bucket"
        if not role.is_dir():
            continue
        module_utils.__path__.append(str(role / "module_utils"))
        for path in (role / "library").glob("*.py"):
            inprocess.preload(path)
        for path in (role / "module_utils" / "s3bucket").glob("*.py"):
            importlib.import_module(f"ansible.module_utils.s3bucket.{path.stem}")


def _forget_warnings() -> None:
    """Ansible tells each warning once a process: a run is told what we were told too."""
    display = importlib.import_module("ansible.utils.display").Display()
    for name in ("_deprecations", "_warns", "_errors"):
        getattr(display, name, {}).clear()


def _warm_botocore() -> None:
    """Share what botocore reads from its data files: a run's clients would read them again (0.1 s each)."""
    loaders, session = importlib.import_module("botocore.loaders"), importlib.import_module("boto3.session")
    shared: dict[Any, Any] = {}
    stock = loaders.Loader.__init__

    def with_shared_cache(self: Any, *arguments: Any, **more: Any) -> None:
        stock(self, *arguments, **more)
        self._cache = shared

    loaders.Loader.__init__ = with_shared_cache
    hooks = importlib.import_module("botocore.hooks")
    # Asked 400 times a session, of the same handlers.
    setattr(hooks, "accepts_kwargs", functools.cache(hooks.accepts_kwargs))  # noqa: B010
    # Each session finds the aliases of 130 names anew, by the same list.
    names = functools.cache(hooks.EventAliaser(hooks.HierarchicalEmitter())._alias_event_name)
    hooks.EventAliaser._alias_event_name = lambda _, name: names(name)
    for service in _SERVICES:
        # Keys that are none: a client that is made reads all it needs, and asks nobody.
        session.Session(aws_access_key_id="none", aws_secret_access_key="none").client(  # noqa: S106
            service, region_name="us-east-1"
        )


def _keep_clients() -> None:
    """Let the modules of a run share their clients and connections: nine handshakes a run, where three do.

    None is made before the fork, so they end with their run.
    """
    module = importlib.import_module("ansible_collections.amazon.aws.plugins.module_utils.botocore")
    stock = module._boto3_conn
    kept: dict[Any, Any] = {}

    def connect(**arguments: Any) -> Any:
        # A task may have an environment of its own, with other credentials.
        environment = (item for item in os.environ.items() if item[0].startswith("AWS_"))
        key = frozenset([*arguments.items(), *environment])
        if key not in kept:
            kept[key] = stock(**arguments)
        return kept[key]

    module._boto3_conn = connect


class _Mark:
    """A run's id in our environment as /proc shows it to others, where a process's own setenv is never seen.

    :raises OSError: when /proc does not show what was written
    """

    def __init__(self) -> None:
        name = f"{processes.RUN_ID}=".encode()
        block = Path("/proc/self/environ").read_bytes()
        offset = block.index(name) + len(name)
        # The operator pads the value, so that there is room for every run's.
        self._room = block.index(b"\0", offset) - offset
        start = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_ENV_START_FIELD])
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
    """Accepts runs. Each has a connection, whose end is the run's end, and a child."""

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
        """For ever."""
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
        # By its pid too: it may not carry its mark yet.
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
        """Be ansible-playbook."""
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
        # Whoever wants to end this run has ended the shim before looking for marks: then it shows here.
        if _is_closed(self._connection):
            os._exit(1)
        for number, descriptor in enumerate(self._descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.setsid()
        _limit_memory()
        os.chdir(self._request["folder"])
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin, sys.stdout, sys.stderr = _stream(0, "r"), _stream(1, "w"), _stream(2, "w")
        sys.argv = self._request["arguments"]


def _limit_memory() -> None:
    # Not above what we may have ourselves.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = _MAX_DATA if hard == resource.RLIM_INFINITY else min(hard, _MAX_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def _stream(descriptor: int, mode: str) -> Any:
    return open(descriptor, mode, buffering=1, closefd=False)


def _playbook(arguments: list[str]) -> int:
    from ansible.cli.playbook import PlaybookCLI
    from ansible.utils.path import cleanup_tmp_file

    # The warm process's own temporary folder is not ours to remove.
    atexit.unregister(cleanup_tmp_file)
    constants = importlib.import_module("ansible.constants")
    for name in constants.config.get_configuration_definitions():
        constants.set_constant(name, constants.config.get_config_value(name, variables=vars(constants)))
    try:
        PlaybookCLI.cli_executor(arguments)
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    return 0


def _check_peer(connection: socket.socket) -> None:
    size = struct.calcsize("3i")
    _, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid != os.getuid():
        raise PermissionError(f"uid {uid} is not ours")


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """The request, and the caller's standard streams.

    :raises ValueError: for anything else
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
        request = json.loads(body)
        if not request["environment"].get(processes.RUN_ID):
            raise ValueError("no run id")
    except (KeyError, ValueError, OSError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ValueError(str(error)) from error
    connection.settimeout(None)
    return request, list(descriptors)


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
