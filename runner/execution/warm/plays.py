"""The operator's playbook, and the task files of its role, as Ansible's objects: made before the fork.

Stock Ansible makes a few hundred objects of the parsed files in each run. Here the warm process makes them. A run is
the only user of its copy of them, and takes them when it loads the playbook and when it first includes a file. They
know nothing of a run: their loader and their manager of variables get the state of the run's own ones. With other
options on the command line, or when a file was changed since, a run makes its own objects, as in stock Ansible.
:mod:`runner.execution.warm.internals` replaces ansible-core's functions with these.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from runner.execution.warm import files

# The options that have no influence on the objects. All others must be those that the objects were made with.
_FREE_OPTIONS = frozenset({"args", "extra_vars", "inventory", "verbosity"})

_made: dict[str, _Made] = {}


class _Made:
    """The objects of one playbook.

    :param options: those of the command line
    :param stamps: of all files that the objects were made of
    """

    def __init__(self, playbook: Any, options: Mapping[str, Any], stamps: Mapping[str, Any]) -> None:
        self.playbook = playbook
        self.included: dict[str, list[Any]] = {}
        self._options = _fixed(options)
        self._stamps = stamps

    def fits(self, options: Mapping[str, Any]) -> bool:
        """Whether a run with these options would make the same objects."""
        return self._options == _fixed(options) and files.are_unchanged(self._stamps)

    def has_role(self, role: Any) -> bool:
        """Whether this is a role of the playbook, and not one that a run has loaded itself."""
        return any(role is own for own in self.playbook.get_plays()[0].roles)

    def give_to(self, variable_manager: Any, loader: Any) -> Any:
        """The playbook. From now on its objects have the state of a run's loader and manager of variables."""
        play = self.playbook.get_plays()[0]
        play.get_variable_manager().__dict__ = variable_manager.__dict__
        play.get_loader().__dict__ = loader.__dict__
        return self.playbook


def _fixed(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in _FREE_OPTIONS}


def preload(path: Path, task_files: list[Path]) -> None:
    """Make the objects of a playbook with one role, and of the files that the role's tasks may include."""
    from ansible import context  # type: ignore[attr-defined]
    from ansible.errors import AnsibleError

    stamps, before = files.stamps_of_parsed(), context.CLIARGS
    # A process parses its command line once. This is not that of a run.
    context.CLIARGS = _options_of("ansible-playbook", str(path))
    try:
        _preload(path, task_files, stamps)
    except AnsibleError:
        # Each run reports it.
        _made.pop(str(path), None)
    finally:
        context.CLIARGS = before


def _options_of(*words: str) -> Any:
    from ansible.cli.playbook import PlaybookCLI
    from ansible.utils.context_objects import CLIArgs

    cli = PlaybookCLI(list(words))
    cli.init_parser()
    return CLIArgs.from_options(cli.post_process_args(cli.parser.parse_args(cli.args[1:])))


def _preload(path: Path, task_files: list[Path], stamps: Mapping[str, Any]) -> None:
    from ansible import context  # type: ignore[attr-defined]
    from ansible.parsing.dataloader import DataLoader
    from ansible.playbook import Playbook
    from ansible.utils.vars import load_extra_vars, load_options_vars
    from ansible.vars.manager import VariableManager

    loader = DataLoader()
    variable_manager = VariableManager(loader)
    # They keep what they return, in attributes of their own.
    for function in (load_extra_vars, load_options_vars):
        vars(function).clear()
    made = _Made(Playbook.load(str(path), variable_manager, loader), context.CLIARGS, stamps)
    include = next(_includes_in(made.playbook.get_plays()[0]), None)
    for file in task_files if include else ():
        made.included[str(file)] = _load_tasks(include, file, loader, variable_manager)
    _made[str(path)] = made


def _blocks_and_tasks(items: Iterable[Any]) -> Iterator[Any]:
    for item in items:
        yield item
        if hasattr(item, "rescue"):
            yield from _blocks_and_tasks([*item.block, *item.rescue, *item.always])


def _includes_in(play: Any) -> Iterator[Any]:
    """The tasks of a play's role that include others."""
    blocks = [block for role in play.roles for block in role._task_blocks]
    return (
        item for item in _blocks_and_tasks(blocks) if getattr(item, "action", "") == "ansible.builtin.include_tasks"
    )


def _load_tasks(include: Any, file: Path, loader: Any, variable_manager: Any) -> list[Any]:
    """The objects of a file. Their parent, for now, is a copy of a task that includes another file of the role."""
    from ansible.playbook.helpers import load_list_of_blocks

    parent = include.copy(exclude_parent=True)
    parent._parent = include._parent
    parent.args = {"_raw_params": file.name}
    return list(
        load_list_of_blocks(
            loader.load_from_file(str(file), trusted_as_template=True),
            play=include.play,
            parent_block=parent,
            role=include._role,
            loader=loader,
            variable_manager=variable_manager,
        )
    )


def give_playbook(stock: Callable[..., Any]) -> Callable[..., Any]:
    """``Playbook.load``."""

    def load(file_name: str, variable_manager: Any = None, loader: Any = None) -> Any:
        from ansible import context  # type: ignore[attr-defined]

        made = _made.get(file_name)
        if made is None or not made.fits(context.CLIARGS):
            return stock(file_name, variable_manager, loader)
        return made.give_to(variable_manager, loader)

    return staticmethod(load)


def give_tasks(stock: Callable[..., Any]) -> Callable[..., Any]:
    """``StrategyBase._load_included_file``, for the first time that a file is included."""
    # What the strategy gives for tasks that are no handlers. ansible-core 2.21 has only the first one.
    known = ("is_handler", "handle_stats_and_callbacks")
    of_tasks = {name: False for name in known if name in inspect.signature(stock).parameters}

    def load(self: Any, included_file: Any, iterator: Any, *arguments: Any, **more: Any) -> Any:
        task, name = included_file._task, included_file._filename
        made = next((made for made in _made.values() if made.has_role(task._role) and name in made.included), None)
        if made is None or arguments or more != of_tasks or task.args.get("apply"):
            return stock(self, included_file, iterator, *arguments, **more)
        blocks = made.included.pop(name)
        parent = self._copy_included_file(included_file).build_parent_block()
        for block in blocks:
            block._parent = parent
        for item in _blocks_and_tasks(blocks):
            if hasattr(item, "_play"):
                item._play = iterator._play
        return blocks

    return load
