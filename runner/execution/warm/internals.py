"""Every internal of Ansible, its collections and botocore that warm runs use or replace, one object each.

An internal is code that its project may change without notice. So each object states what is expected of it: its place,
its parameters, and where possible its behavior, by a probe that runs at start. :func:`install` checks all of them
before it replaces any. When one differs, the operator logs which one, and runs are stock: slower, with the same
results.

``docs/contributing/ansible-internals.md`` is generated from :data:`INTERNALS` (``python -m dev.internals``), and
describes what to do when a new ansible-core is released. Main thread of the warm process, before the first run.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any
from urllib.request import getproxies

from runner.execution.warm import attributes, files, inprocess, plays, reads, templates, worker

_Function = Callable[..., Any]


class UnsupportedError(Exception):
    """The installed versions differ from what this file expects. The message names each internal that differs."""


@dataclass(frozen=True)
class Internal:
    """One internal.

    :param target: its place, as ``module:name`` or ``module:class.name``
    :param reason: why warm runs replace it, or what they use it for
    :param parameters: the names of parameters that it must have
    :param probe: whether the object at the target behaves as expected
    :param replace: makes the replacement from the original; None for an internal that is only used
    :param saves: the measured saving of the replacement; empty for an internal that is only used
    """

    target: str
    reason: str
    parameters: tuple[str, ...] = ()
    probe: Callable[[Any], bool] | None = None
    replace: Callable[[Any], Any] | None = None
    saves: str = ""

    def find_problem(self) -> str:
        """What differs from the expectation; empty when nothing does."""
        try:
            owner, name = self._resolve()
            found = getattr(owner, name)
        except (ImportError, AttributeError):
            return f"{self.target} does not exist"
        if self.parameters:
            known = inspect.signature(found).parameters
            missing = [name for name in self.parameters if name not in known]
            if missing:
                return f"{self.target} has no parameter {', '.join(missing)}"
        try:
            is_expected = self.probe is None or self.probe(found)
        except Exception as error:
            # A probe calls code that may have changed in any way.
            return f"{self.target} fails: {type(error).__name__}: {error}"
        return "" if is_expected else f"{self.target} is not what it was"

    def install(self) -> None:
        """Replace the original."""
        if self.replace is not None:
            owner, name = self._resolve()
            setattr(owner, name, self.replace(getattr(owner, name)))

    def _resolve(self) -> tuple[Any, str]:
        module, _, path = self.target.partition(":")
        *owners, name = path.split(".")
        return functools.reduce(getattr, owners, importlib.import_module(module)), name


def install() -> None:
    """Check all internals, then replace those that have a replacement.

    :raises UnsupportedError: naming each internal that differs; nothing was replaced
    """
    problems = [problem for problem in (internal.find_problem() for internal in INTERNALS) if problem]
    if problems:
        raise UnsupportedError("; ".join(problems))
    for internal in INTERNALS:
        internal.install()


def _configure_module(stock: _Function) -> _Function:
    from ansible.executor.module_common import _BuiltModule

    def configure(self: Any, module_name: str, module_args: dict[str, Any], task_vars: dict[str, Any]) -> Any:
        path = inprocess.find_module(self, module_name)
        if path is None:
            return stock(self, module_name, module_args, task_vars)
        call = inprocess.Call(inprocess.encode(module_args))
        call.path = path
        call.environment = {}
        self._compute_environment_string(call.environment)
        built = _BuiltModule(
            b_module_data=call,
            module_style="new",
            shebang=f"#!{sys.executable}",
            serialization_profile=inprocess.PROFILE,
        )
        return built, path

    return configure


def _execute_command(stock: _Function) -> _Function:
    def execute(self: Any, cmd: Any, *arguments: object, in_data: Any = None, **more: object) -> Any:
        if not isinstance(in_data, inprocess.Call):
            return stock(self, cmd, *arguments, in_data=in_data, **more)
        code, out, err = inprocess.run(in_data)
        lines = {"stdout_lines": out.splitlines(), "stderr_lines": err.splitlines()}
        return {"rc": code, "stdout": out, "stderr": err, **lines}

    return execute


def _start_worker(stock: _Function) -> _Function:
    def start(self: Any) -> None:
        if worker.is_for_here(self._task, self._play_context):
            worker.run_here(self)
        else:
            self.worker_queue.make()
            stock(self)

    return start


def _init_nothing(_: _Function) -> _Function:
    return lambda *_: None


def _false(_: object) -> bool:
    return False


def _share_data(stock: _Function) -> _Function:
    shared: dict[Hashable, object] = {}

    def with_shared_cache(self: Any, *arguments: object, **more: object) -> None:
        stock(self, *arguments, **more)
        self._cache = shared

    return with_shared_cache


def _has_cache(stock: _Function) -> bool:
    from botocore.loaders import Loader

    loader = Loader.__new__(Loader)
    stock(loader)
    return bool(loader._cache == {})


def _small_loader(_: _Function) -> _Function:
    from runner.aws_data import SmallFileLoader

    return SmallFileLoader


def _loads_files(loader: Any) -> bool:
    return callable(getattr(loader, "load_file", None)) and callable(getattr(loader, "exists", None))


def _knows_arguments(accepts_kwargs: _Function) -> bool:
    return bool(accepts_kwargs(_has_keywords)) and not accepts_kwargs(_has_none)


def _has_keywords(**_: object) -> None: ...


def _has_none() -> None: ...


def _cache_aliases(stock: _Function) -> _Function:
    from botocore import hooks

    aliaser = hooks.EventAliaser(hooks.HierarchicalEmitter())
    renamed = functools.cache(functools.partial(stock, aliaser))
    # Nearly every name has no part that is renamed.
    parts = frozenset(old for old in aliaser._event_aliases if "." not in old)
    several = tuple(old for old in aliaser._event_aliases if "." in old)

    def alias(_: Any, name: str) -> str:
        if parts.isdisjoint(name.split(".")) and not any(old in name for old in several):
            return name
        return str(renamed(name))

    return alias


def _renames(stock: _Function) -> bool:
    from botocore import hooks

    aliaser = hooks.EventAliaser(hooks.HierarchicalEmitter())
    renamed = stock(aliaser, "before-call.autoscaling")
    return bool(renamed == "before-call.auto-scaling" and "autoscaling" in aliaser._event_aliases)


def _compiles(compile_: _Function) -> bool:
    from ansible._internal._templating._jinja_bits import AnsibleEnvironment

    environment = AnsibleEnvironment()
    return compile_(environment, "1") is not compile_(environment, "1")


def _makes_environment(stock: Any) -> bool:
    from ansible._internal._templating._engine import TemplateEngine

    engine = TemplateEngine()
    return isinstance(stock, property) and engine._environment is None and engine.environment is engine._environment


def _keep_clients(stock: _Function) -> _Function:
    """No client is created before the fork, so clients end with their run."""
    kept: dict[Hashable, object] = {}

    def connect(**arguments: object) -> Any:
        if not all(value is None or isinstance(value, (str, bool)) for value in arguments.values()):
            # The content of a botocore Config cannot be compared.
            return stock(**arguments)
        # A task may have its own environment, with other credentials.
        environment = (item for item in os.environ.items() if item[0].startswith("AWS_"))
        key = frozenset([*arguments.items(), *environment])
        if key not in kept:
            kept[key] = stock(**arguments)
        return kept[key]

    return connect


def _makes_context(context: Any) -> bool:
    return worker.find_context_maker(context) is not None


def _can_be_cleared(value: Any) -> bool:
    return callable(getattr(value, "clear", None))


def _is_true(value: object) -> bool:
    return value is True


INTERNALS = (
    Internal(
        "ansible.plugins.action:ActionBase._configure_module",
        "Modules of the role and its collections are not packed into an archive.",
        parameters=("module_name", "module_args", "task_vars"),
        replace=_configure_module,
        saves="1.2 s a task, together with the next one: no new Python, no import of boto3 or the Kubernetes client",
    ),
    Internal(
        "ansible.plugins.action:ActionBase._low_level_execute_command",
        "Modules of the role and its collections run in the process of their task.",
        parameters=("cmd", "in_data"),
        replace=_execute_command,
        saves="with the one before",
    ),
    Internal(
        "ansible.executor.process.worker:WorkerProcess.start",
        "Tasks with these modules, or without a module, run in the run's process.",
        replace=_start_worker,
        saves="two fifths of a run's CPU: no fork for a task",
    ),
    Internal(
        "ansible.executor.process.worker:WorkerQueue",
        "A pipe to a task's process is made when there is a process.",
        ("ctx",),
        replace=lambda stock: functools.partial(worker.LateQueue, stock),
        saves="0.4 ms a task",
    ),
    Internal(
        "ansible.playbook.base:FieldAttributeBase.post_validate_attribute",
        "Most attributes of a task are unset, or have a value that no template can change.",
        ("name", "templar"),
        probe=attributes.is_as_expected,
        replace=attributes.validate_what_can_change,
        saves="1 ms a task",
    ),
    Internal(
        "ansible.plugins.strategy:StrategyBase._queue_task",
        "The result of such a task goes to the strategy without a queue and its thread.",
        parameters=("host", "task", "task_vars", "play_context"),
        replace=worker.remember_strategy,
        saves="5 ms of sleep a task, and the pickling of its result",
    ),
    Internal(
        "ansible.executor.task_queue_manager:TaskQueueManager.send_callback",
        "The operator uses only the events of tasks that changed something or failed.",
        parameters=("method_name",),
        replace=worker.send_only_changes,
        saves="1 ms an event, of which a skipped task has three, and the operator's own time to read it",
    ),
    Internal(
        "ansible.cli:init_plugin_loader",
        "It was called before the fork; a second call warns.",
        replace=_init_nothing,
        saves="the warning, and its search of the collections",
    ),
    Internal(
        "ansible_collections.kubernetes.core.plugins.action.k8s:ActionModule.TRANSFERS_FILES",
        "The action makes a temporary folder, by three shells, for files that no task of the role has.",
        probe=_is_true,
        replace=_false,
        saves="three processes a task of kubernetes.core.k8s",
    ),
    Internal(
        "botocore.loaders:Loader.__init__",
        "All clients share the service descriptions that were read before the fork.",
        probe=_has_cache,
        replace=_share_data,
        saves="0.1 s a client",
    ),
    Internal(
        "botocore.loaders:Loader.FILE_LOADER_CLASS",
        "The service descriptions have no documentation, and the endpoints are those of the services that are used.",
        probe=_loads_files,
        replace=_small_loader,
        saves="10 MB, and a part of the 0.1 s",
    ),
    Internal(
        "botocore.hooks:accepts_kwargs",
        "A session asks it 400 times, about the same handlers.",
        parameters=("func",),
        probe=_knows_arguments,
        replace=functools.cache,
        saves="a part of the 0.1 s",
    ),
    Internal(
        "botocore.hooks:EventAliaser._alias_event_name",
        "A session searches the aliases of 130 names, and a request those of ten, in the same list.",
        probe=_renames,
        replace=_cache_aliases,
        saves="a part of the 0.1 s, and 1 ms a request",
    ),
    Internal(
        "ansible._internal._templating._engine:TemplateEngine.environment",
        "The tasks of a run share one Jinja environment. It has the filters, and keeps the templates.",
        probe=_makes_environment,
        replace=templates.share_environment,
        saves="1 ms for each filter that a template names",
    ),
    Internal(
        "ansible._internal._templating._jinja_bits:AnsibleEnvironment.from_string",
        "The role's templates were compiled before the fork. A run has about a hundred.",
        parameters=("source",),
        probe=_compiles,
        replace=templates.keep_templates,
        saves="0.1 ms to a few ms a template",
    ),
    Internal(
        "ansible._internal._templating._jinja_bits:AnsibleEnvironment.compile_expression",
        "The same for the conditions of its tasks.",
        parameters=("source",),
        probe=_compiles,
        replace=templates.keep_templates,
        saves="a few ms a condition",
    ),
    Internal(
        "ansible.playbook.task:Task._post_validate_args",
        "The variables of a task are evaluated once for all its arguments.",
        parameters=("attr", "value", "templar"),
        probe=templates.evaluates_once,
        replace=templates.evaluate_variables_once,
        saves="2 ms a task",
    ),
    Internal(
        "ansible.parsing.dataloader:DataLoader.load_from_file",
        "The files of the role and the playbooks were parsed before the fork.",
        parameters=("file_name", "cache", "unsafe", "json_only", "trusted_as_template"),
        replace=files.give_parsed,
        saves="a tenth of a run's CPU",
    ),
    Internal(
        "ansible.playbook:Playbook.load",
        "The objects of the operator's playbook were made before the fork.",
        parameters=("file_name", "variable_manager", "loader"),
        replace=plays.give_playbook,
        saves="a twentieth of a run's CPU",
    ),
    Internal(
        "ansible.plugins.strategy:StrategyBase._load_included_file",
        "The same for the files that its tasks include.",
        parameters=("included_file", "iterator", "is_handler"),
        replace=plays.give_tasks,
        saves="5 ms a file",
    ),
    Internal(
        "ansible.plugins.loader:PluginLoader.find_plugin_with_context",
        "A run searches for each module and action of its tasks several times.",
        parameters=("name", "mod_type", "ignore_deprecated", "check_aliases", "collection_list"),
        replace=reads.keep_found_plugins,
        saves="0.3 ms a search, 10 a task",
    ),
    Internal(
        "ansible.vars.manager:clean_facts",
        "A run has no facts.",
        parameters=("facts",),
        probe=lambda clean: clean({}) == {},
        replace=reads.clean_only_facts,
        saves="0.2 ms for each time that the variables of a task are collected, of which a task has nearly two",
    ),
    Internal(
        "kubernetes.dynamic.discovery:Discoverer._write_cache",
        "It writes what the API server has to a file in the run's folder, which is removed with the run.",
        replace=reads.skip,
        saves="a few ms a client",
    ),
    Internal(
        "yaml:safe_load",
        "The client of Kubernetes reads a kubeconfig for each module.",
        parameters=("stream",),
        probe=lambda load: load("a: [1]") == {"a": [1]},
        replace=reads.read_by_libyaml,
        saves="nine tenths of the time that it takes to read a kubeconfig",
    ),
    Internal(
        "botocore.client:ClientCreator._load_service_model",
        "The clients of a run share what was read of a service before the fork.",
        parameters=("service_name", "api_version"),
        replace=reads.keep_models,
        saves="a few ms a client",
    ),
    Internal(
        "urllib.request:getproxies_environment",
        "botocore searches all variables of the environment for each client and request.",
        probe=lambda find: find() == getproxies(),
        replace=reads.find_proxies,
        saves="1 ms a request",
    ),
    Internal(
        "botocore.utils:getproxies",
        "The same function by another name.",
        probe=lambda find: find() == getproxies(),
        replace=reads.find_proxies,
        saves="1 ms a request",
    ),
    Internal(
        "ansible_collections.amazon.aws.plugins.module_utils.botocore:_boto3_conn",
        "The modules of a run share their clients and connections.",
        parameters=("conn_type", "region", "endpoint"),
        replace=_keep_clients,
        saves="six TLS handshakes of nine a run",
    ),
    Internal(
        "boto3.session:Session",
        "Clients of different services, or regions, with the same credentials share a session.",
        parameters=("profile_name",),
        replace=reads.share_sessions,
        saves="2 ms a client, and where the credentials are those of a role, a request to STS",
    ),
    Internal(
        "ansible.config.manager:NativeEnvironment",
        "The defaults of twenty settings are templates.",
        probe=lambda environment: environment().from_string("{{ [1] }}").render() == [1],
        replace=reads.keep_defaults,
        saves="1 ms a setting",
    ),
    Internal("ansible.context:CLIARGS", "The options of the command line."),
    Internal("ansible.cli.playbook:PlaybookCLI.init_parser", "Makes the parser of the command line."),
    Internal("ansible.cli.playbook:PlaybookCLI.post_process_args", "Completes the options.", ("options",)),
    Internal("ansible.utils.context_objects:CLIArgs.from_options", "Makes the options.", ("options",)),
    Internal("ansible.vars.manager:VariableManager", "Needed to load a playbook.", ("loader",)),
    Internal("ansible.utils.vars:load_extra_vars", "Keeps what it returns, which is cleared before the fork."),
    Internal("ansible.utils.vars:load_options_vars", "Keeps what it returns, which is cleared before the fork."),
    Internal(
        "ansible.playbook.helpers:load_list_of_blocks",
        "Makes the objects of a file.",
        ("play", "parent_block", "role", "variable_manager", "loader"),
    ),
    Internal("ansible.plugins.strategy:StrategyBase._copy_included_file", "The task that includes a file."),
    Internal("ansible.playbook.task_include:TaskInclude.build_parent_block", "The parent of the file's objects."),
    Internal("ansible.constants:set_constant", "Sets what the environment of a run changes.", ("name", "value")),
    Internal("ansible.executor.module_common:_BuiltModule", "What ActionBase._configure_module returns."),
    Internal("ansible.plugins.action:ActionBase._compute_environment_string", "The environment of a task."),
    Internal("ansible.plugins.action:ActionBase._is_pipelining_enabled", "Whether a module may be given by a pipe."),
    Internal("ansible.module_utils.basic:_ANSIBLE_ARGS", "Where a module reads its arguments."),
    Internal("ansible.module_utils.basic:_ANSIBLE_PROFILE", "How its arguments are encoded."),
    Internal("ansible.module_utils._internal:is_controller", "Whether warnings are shown or returned.", probe=_is_true),
    Internal(
        "ansible.module_utils._internal._ansiballz._loader:_handle_exception",
        "How a module that raises an exception answers.",
    ),
    Internal("ansible.module_utils.common.json:get_module_encoder", "Encodes arguments.", ("name", "direction")),
    Internal("ansible.module_utils.common.warnings:_global_warnings", "Cleared after a module.", probe=_can_be_cleared),
    Internal(
        "ansible.module_utils.common.warnings:_global_deprecations", "Cleared after a module.", probe=_can_be_cleared
    ),
    Internal("ansible.executor.process.worker:WorkerProcess._run", "Runs a task."),
    Internal("ansible.executor.process.worker:current_worker", "Set by WorkerProcess._run."),
    Internal(
        "ansible.plugins.strategy:StrategyBase",
        "What its thread of results does with one.",
        probe=lambda strategy: worker.find_converter(strategy) is not None,
    ),
    Internal("ansible.executor.task_queue_manager:FinalQueue.send_task_result", "Puts a result.", ("self",)),
    Internal("ansible.executor.task_queue_manager:FinalQueue.send_callback", "Puts that of an item.", ("method_name",)),
    Internal(
        "ansible.executor.task_queue_manager:CallbackSend",
        "What it puts.",
        ("method_name", "wire_task_result"),
    ),
    Internal("ansible._internal._task:TaskContext", "The context of a task.", probe=_makes_context),
    Internal("ansible._internal._templating._engine:TemplateEngine._compile_template", "Compiles before the fork."),
    Internal("ansible._internal._templating._engine:TemplateEngine._compile_expression", "Compiles before the fork."),
    Internal("ansible._internal._templating._jinja_bits:_TemplateCompileContext.current", "Whether backslashes count."),
)
"""In the order in which they are replaced."""
