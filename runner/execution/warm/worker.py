"""Tasks that run modules of ours run in the run's own process, without a worker process for each.

Ansible forks a worker for every task, skipped ones too. In a warm run, itself a fork with everything imported, that
fork and the pages it copies are two fifths of the CPU. The run is a process of its own already, and ends with its
last task. Every other task is forked as ever. Relies on internals of ansible-core, which :func:`install` looks for
first.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, TextIO

from runner.execution.warm.inprocess import UnsupportedError, is_ours

# These have no module: they are templates, and what is done with them.
_ACTIONS = frozenset({"assert", "include_tasks", "set_fact", "set_stats", "validate_argument_spec"})
_LOCAL = ("local", "ansible.builtin.local")
_BUILTIN = ("ansible.builtin.", "ansible.legacy.")


class _PassedOn:
    """A stream in whose place a worker expects the one it was given, and asks what was written to it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def getvalue(self) -> str:
        return ""


def install() -> None:
    """Let WorkerProcess run tasks here.

    :raises UnsupportedError: naming the internal that is not there
    """
    try:
        from ansible._internal._task import TaskContext
        from ansible.executor.process import worker
    except ImportError as error:
        raise UnsupportedError(str(error)) from error
    wanted = [(worker, ("current_worker",)), (worker.WorkerProcess, ("_run", "start"))]
    missing = [f"{owner.__name__}.{name}" for owner, names in wanted for name in names if not hasattr(owner, name)]
    if missing:
        raise UnsupportedError(f"ansible-core has no {', '.join(missing)}")
    # ansible-core 2.21 has the former, 2.19 only the latter.
    make_context = _context_maker(getattr(TaskContext, "create", TaskContext))
    stock_start = worker.WorkerProcess.start

    def start(self: Any) -> None:
        if _is_for_here(self._task, self._play_context):
            _run_here(self, worker, make_context)
        else:
            stock_start(self)

    worker.WorkerProcess.start = start


def _is_for_here(task: Any, play_context: Any) -> bool:
    # A loop tells of its items while it runs, by another thread that must not find a module's streams in place of ours.
    if task.loop is not None or task.loop_with or task.async_val or task.timeout or task.until:
        return False
    if task.become or play_context.become or task.delegate_to or task.connection not in _LOCAL:
        return False
    name = task.action
    for prefix in _BUILTIN:
        name = name.removeprefix(prefix)
    return name in _ACTIONS or is_ours(task)


def _context_maker(make: Callable[..., Any]) -> Callable[[Any], Any]:
    """What makes the context that a worker's ``_run`` needs, of a worker.

    :raises UnsupportedError: when it wants to know what we have not
    """
    names = list(inspect.signature(make).parameters)
    if names == ["task", "task_vars", "host_name"]:
        return lambda process: make(task=process._task, task_vars=process._task_vars, host_name=process._host.name)
    if len(names) == 1:
        return lambda process: make(process._task)
    raise UnsupportedError(f"ansible-core's TaskContext takes {', '.join(names)}")


def _run_here(process: Any, worker: Any, make_context: Callable[[Any], Any]) -> None:
    host = process._host
    before = host.vars, host.groups, sys.stdout, sys.stderr
    # A worker's own copy, in which it replaces templates by values. The blocks above it are only looked at.
    parent = process._task._parent
    process._task = process._task.copy(exclude_parent=True)
    process._task._parent = parent
    sys.stdout, sys.stderr = _PassedOn(before[2]), _PassedOn(before[3])
    try:
        with make_context(process):
            process._run()
    finally:
        host.vars, host.groups, sys.stdout, sys.stderr = before
        worker.current_worker = None
