"""Runs tasks with supported modules in the run's own process, without a worker process for each task.

Stock Ansible forks a worker for every task, even for a skipped one. In a warm run, which is a fork with everything
imported, that fork and the pages it copies take two fifths of the CPU. The run already is a process of its own, and
ends with its last task. Every other task is forked as in stock Ansible. :mod:`runner.execution.warm.internals` replaces
ansible-core's own code with this.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ansible._internal._task import TaskContext
    from ansible.executor.process.worker import WorkerProcess
    from ansible.playbook.play_context import PlayContext
    from ansible.playbook.task import Task

from runner.execution.warm.inprocess import is_supported

# These have no module. They only evaluate templates and use the results.
_ACTIONS = frozenset({"assert", "include_tasks", "set_fact", "set_stats", "validate_argument_spec"})
# What the role's tasks have in place of a module: the name of one of two modules, of which both may run here.
_TEMPLATES = ("{{ _s3bucket_iam_key }}", "{{ _s3bucket_iam_user }}")
_LOCAL = ("local", "ansible.builtin.local")
_BUILTIN = ("ansible.builtin.", "ansible.legacy.")


class _PassedOn:
    """A stream that replaces a worker's buffer. The worker calls ``getvalue`` at its end, as for a buffer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def getvalue(self) -> str:
        return ""


def is_for_here(task: Task, play_context: PlayContext) -> bool:
    """Whether a task runs without its own process."""
    # A loop reports its items while it runs, from another thread, which must not write to a module's streams.
    if task.loop is not None or task.loop_with or task.async_val or task.timeout or task.until:
        return False
    if task.become or play_context.become or task.delegate_to or task.connection not in _LOCAL:
        return False
    name = task.action
    if name in _TEMPLATES:
        return True
    for prefix in _BUILTIN:
        name = name.removeprefix(prefix)
    return name in _ACTIONS or is_supported(task)


# Every task asks for it, of one class. The answer is found before the fork, by the check at start.
@functools.cache
def find_context_maker(context: type[TaskContext]) -> Callable[[WorkerProcess], TaskContext] | None:
    """A function that makes the context for a worker's ``_run``; None when the class has unknown parameters.

    :param context: the class ``TaskContext``
    """
    # ansible-core 2.21 has the first one, 2.19 only the second.
    make = getattr(context, "create", context)
    names = list(inspect.signature(make).parameters)
    if names == ["task", "task_vars", "host_name"]:
        return lambda process: make(task=process._task, task_vars=process._task_vars, host_name=process._host.name)
    return (lambda process: make(process._task)) if len(names) == 1 else None


def run_here(process: WorkerProcess) -> None:
    """Run the task of a WorkerProcess without starting the process."""
    from ansible._internal._task import TaskContext
    from ansible.executor.process import worker

    make_context = find_context_maker(TaskContext)
    assert make_context is not None  # noqa: S101 - checked at start, by internals
    host = process._host
    before = host.vars, host.groups, sys.stdout, sys.stderr
    # A worker's own copy of the task, because it replaces templates by values. The blocks above it are only read.
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
