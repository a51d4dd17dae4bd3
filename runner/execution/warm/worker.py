"""Runs tasks with supported modules in the run's own process, without a worker process for each task.

Stock Ansible forks a worker for every task, even for a skipped one. In a warm run, which is a fork with everything
imported, that fork and the pages it copies take two fifths of the CPU. The run already is a process of its own, and
ends with its last task. Every other task is forked as in stock Ansible. :mod:`runner.execution.warm.internals` replaces
ansible-core's own code with this.
"""

from __future__ import annotations

import functools
import inspect
import os
import sys
import types
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from ansible._internal._task import TaskContext
    from ansible.executor.process.worker import WorkerProcess
    from ansible.executor.task_queue_manager import FinalQueue, TaskQueueManager
    from ansible.playbook.play_context import PlayContext
    from ansible.playbook.task import Task
    from ansible.plugins.strategy import StrategyBase

from runner.execution import processes
from runner.execution.warm.inprocess import is_supported

# These have no module. They only evaluate templates and use the results.
_ACTIONS = frozenset({"assert", "debug", "fail", "include_tasks", "set_fact", "set_stats", "validate_argument_spec"})
# What the role's tasks have in place of a module: the name of one of two modules, of which both may run here.
_TEMPLATE = "{{ _s3bucket_iam_key }}"
# What the operator does not use: runner.execution.job.
_UNUSED = frozenset(
    {"v2_playbook_on_include", "v2_playbook_on_task_start", "v2_runner_on_skipped", "v2_runner_on_start"}
)
_OF_ITEMS = "v2_runner_item_"
_LOCAL = ("local", "ansible.builtin.local")
_BUILTIN = ("ansible.builtin.", "ansible.legacy.")


# The strategy that runs a task now.
_strategy: ContextVar[StrategyBase] = ContextVar("strategy")


class _PassedOn:
    """A stream that replaces a worker's buffer. The worker calls ``getvalue`` at its end, as for a buffer."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def getvalue(self) -> str:
        return ""


class _Results:
    """A queue for results that passes them to the strategy of this process, without pickling them.

    Stock Ansible's strategy gets them from a thread, and sleeps until then. The results of a loop's items are shown
    here, too, and not by another thread while the module of the next item has the standard streams.
    """

    def __init__(self, queue: FinalQueue, strategy: StrategyBase) -> None:
        self._queue = queue
        self._strategy = strategy

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._queue, name)
        # The methods of the queue, which all end with put, call the one below.
        return types.MethodType(found.__func__, self) if isinstance(found, types.MethodType) else found

    def put(self, value: Any) -> None:
        if _is_result(value):
            with self._strategy._results_lock:
                self._strategy._results.append(self._convert(value))
        elif _is_result(getattr(value, "wire_task_result", None)):
            self._strategy._tqm.send_callback(value.method_name, self._convert(value.wire_task_result))
        else:
            self._queue.put(value)

    def _convert(self, result: Any) -> Any:
        convert = find_converter(type(self._strategy))
        assert convert is not None  # noqa: S101 - checked at start, by internals
        return convert(self._strategy, result)


class LateQueue:
    """``WorkerQueue``, which is made when its task gets a process, or when it is used."""

    def __init__(self, stock: Callable[..., Any], **arguments: Any) -> None:
        self._stock = functools.partial(stock, **arguments)
        self._queue: Any = None

    def make(self) -> None:
        """Make it. Called before the process is forked, which shares it."""
        self._queue = self._queue or self._stock()

    def __getattr__(self, name: str) -> Any:
        self.make()
        return getattr(self._queue, name)


def _is_result(value: object) -> bool:
    return type(value).__name__.lstrip("_") == "WireTaskResult"


def find_converter(strategy: type[StrategyBase]) -> Callable[..., Any] | None:
    """What the thread of results does with a result that it gets; None for an unknown version."""
    # ansible-core 2.21 has the first one, 2.19 the second.
    names = ("_convert_wire_task_result_to_host_task_result", "_convert_wire_task_result_to_raw")
    return next((getattr(strategy, name) for name in names if hasattr(strategy, name)), None)


def remember_strategy(stock: Callable[..., None]) -> Callable[..., None]:
    """``StrategyBase._queue_task``, which makes the WorkerProcess of a task and starts it."""

    def queue_task(self: StrategyBase, *arguments: object) -> None:
        _strategy.set(self)
        stock(self, *arguments)

    return queue_task


def send_only_changes(stock: Callable[..., None]) -> Callable[..., None]:
    """``TaskQueueManager.send_callback``, which passes events of the run to the operator, among others."""

    def send_callback(self: TaskQueueManager, method_name: str, *arguments: Any, **more: Any) -> None:
        if processes.ONLY_CHANGES not in os.environ or _is_about_change(method_name, arguments):
            stock(self, method_name, *arguments, **more)

    return send_callback


def _is_about_change(method_name: str, arguments: tuple[Any, ...]) -> bool:
    if method_name == "v2_runner_on_ok":
        # ansible-core 2.21, and 2.19.
        return bool(arguments[0].utr.changed if hasattr(arguments[0], "utr") else arguments[0].is_changed())
    return method_name not in _UNUSED and not method_name.startswith(_OF_ITEMS)


def is_for_here(task: Task, play_context: PlayContext) -> bool:
    """Whether a task runs without its own process."""
    if task.loop_with or task.async_val or task.timeout or task.until:
        return False
    if task.become or play_context.become or task.delegate_to or task.connection not in _LOCAL:
        return False
    name = task.action
    if name == _TEMPLATE:
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
    process._final_q = _Results(process._final_q, _strategy.get())
    sys.stdout, sys.stderr = _PassedOn(before[2]), _PassedOn(before[3])
    try:
        with make_context(process):
            process._run()
    finally:
        host.vars, host.groups, sys.stdout, sys.stderr = before
        worker.current_worker = None
