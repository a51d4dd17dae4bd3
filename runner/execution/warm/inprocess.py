"""Runs modules of the collections, and of a role's ``library/``, inside the task's own process.

Stock Ansible packs a module into a zip, starts a Python and imports boto3 or the Kubernetes client again. This takes
1.25 s a task, of which the call takes 0.02 s. Here the forked task worker, which has imported all of this, runs the
module's code as ``__main__`` with the same arguments and takes its output. Every other module runs as in stock
Ansible. :mod:`runner.execution.warm.internals` replaces ansible-core's functions with these.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ansible.playbook.task import Task
    from ansible.plugins.action import ActionBase

PROFILE = "legacy"
_SUPPORTED = re.compile(r"/ansible_collections/(amazon/aws|kubernetes/core)/plugins/modules/\w+\.py$|/library/\w+\.py$")
# State that a module keeps between tasks in ansible.module_utils.common.warnings.
_LEFTOVERS = ("_global_warnings", "_global_deprecations")

_codes: dict[str, Any] = {}


class Call(bytes):
    """A module's arguments in the form of ansible-core, in place of the packed module."""

    path: str
    environment: dict[str, str]


def preload(path: Path) -> None:
    """Compile a module's code once, for all runs."""
    _codes[str(path)] = compile(path.read_bytes(), str(path), "exec", dont_inherit=True)


def find_module(action: ActionBase, name: str) -> str | None:
    """The path of a module that may run here: a supported one, on this host, as this user, with pipelining."""
    task, connection = action._task, action._connection
    if connection.transport not in ("local", "ansible.builtin.local") or connection.become:
        return None
    if task.async_val or task.delegate_to or not action._is_pipelining_enabled("new"):
        return None
    return _path_of(name, task)


def is_supported(task: Task) -> bool:
    """Whether a task's module is one that may run here."""
    return _path_of(task.action, task) is not None


def _path_of(name: str, task: Task) -> str | None:
    from ansible.plugins.loader import module_loader

    found = module_loader.find_plugin_with_context(name, "", collection_list=task.collections)
    path = found.plugin_resolved_path if found.resolved else ""
    return path if path and _SUPPORTED.search(path) else None


def encode(arguments: dict[str, Any]) -> bytes:
    """A module's arguments in the form in which ansible-core packs them."""
    from ansible.module_utils.common.json import Direction, get_module_encoder

    encoder = get_module_encoder(PROFILE, Direction.CONTROLLER_TO_MODULE)
    return json.dumps({"ANSIBLE_MODULE_ARGS": arguments}, cls=encoder).encode()


def run(call: Call) -> tuple[int, str, str]:
    """Run a module as ``__main__``. Returns its exit status, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    if call.path not in _codes:
        preload(Path(call.path))
    _reach_module_utils(Path(call.path))
    code = 0
    with _as_module(call, out, err) as main:
        try:
            exec(_codes[call.path], vars(main))
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
        except MemoryError:
            # The exception itself has no message.
            code = _fail(MemoryError("MemoryError: a process of a run may not have so much memory"))
        except Exception as error:
            code = _fail(error)
    return code, out.getvalue(), err.getvalue()


def _fail(error: Exception) -> int:
    from ansible.module_utils._internal._ansiballz import _loader

    with contextlib.suppress(SystemExit):
        _loader._handle_exception(error, PROFILE)
    return 1


def _reach_module_utils(path: Path) -> None:
    # Modules in a role's library/ import its module_utils/ as ansible.module_utils.
    import ansible.module_utils

    folder = str(path.parent.parent / "module_utils")
    if path.parent.name == "library" and folder not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(folder)


@contextlib.contextmanager
def _as_module(call: Call, out: io.StringIO, err: io.StringIO) -> Iterator[types.ModuleType]:
    # mypy finds only the role's part of this package (.mypy).
    from ansible.module_utils import _internal, basic  # type: ignore[attr-defined]
    from ansible.module_utils.common import warnings

    before = (sys.stdout, sys.stderr, sys.argv, sys.modules["__main__"], dict(os.environ), os.getcwd())
    main = types.ModuleType("__main__")
    main.__file__ = call.path
    basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = bytes(call), PROFILE
    # A module returns its warnings. In a controller process it would show them itself.
    _internal.is_controller = False
    sys.stdout, sys.stderr, sys.argv = out, err, [call.path]
    sys.modules["__main__"] = main
    os.environ.update(call.environment)
    try:
        yield main
    finally:
        _internal.is_controller = True
        basic._ANSIBLE_ARGS = basic._ANSIBLE_PROFILE = None
        for name in _LEFTOVERS:
            getattr(warnings, name).clear()
        sys.stdout, sys.stderr, sys.argv, sys.modules["__main__"] = before[:4]
        # Changing a variable takes its time, and a module changes few.
        for name in set(os.environ) - set(before[4]):
            del os.environ[name]
        os.environ.update(before[4].items() - os.environ.items())
        os.chdir(before[5])
