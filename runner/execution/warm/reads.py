"""What a run of Ansible, of the collections and of botocore reads or searches again and again: kept, or read faster.

:mod:`runner.execution.warm.internals` replaces their functions with these.
"""

from __future__ import annotations

import copy
import functools
import importlib
import io
import os
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import yaml

_Function = Callable[..., Any]

# Types of settings with a value that depends on the current folder, or that is a folder made for the process.
_PLACES = frozenset({"path", "pathlist", "pathspec", "temp", "temppath", "tmp", "tmppath"})
_MARK = b"_proxy"


def keep_found_plugins(stock: _Function) -> _Function:
    """``PluginLoader.find_plugin_with_context``, which searches the folders of the role and of the collections."""
    found: dict[Hashable, Any] = {}

    def find(self: Any, name: str, *arguments: Any, **more: Any) -> Any:
        given = [*arguments, *sorted(more.items())]
        key = self, tuple(self._extra_dirs), name, repr(given)
        if key not in found:
            context = stock(self, name, *arguments, **more)
            if context.deprecated or context.pending_redirect:
                return context
            found[key] = context
        # The caller's own.
        return copy.copy(found[key])

    return find


def read_by_libyaml(stock: _Function) -> _Function:
    """``yaml.safe_load``, by libyaml where it is installed: it takes a tenth of the time."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    def safe_load(stream: Any) -> Any:
        text = stream.read() if hasattr(stream, "read") else stream
        try:
            return yaml.load(text, loader)  # noqa: S506 - a safe loader
        except yaml.YAMLError:
            # For its own words about the error, with the name of the file.
            if isinstance(stream, io.IOBase):
                stream.seek(0)
                return stock(stream)
            return stock(text)

    return safe_load


def find_proxies(stock: _Function) -> _Function:
    """``getproxies``, which decodes all variables twice, for each client and request."""

    def getproxies() -> Any:
        names: Mapping[bytes, bytes] = getattr(os.environ, "_data", {})
        has_proxies = any(name.lower().endswith(_MARK) for name in names)
        return stock() if has_proxies else {}

    return getproxies


def keep_defaults(stock: _Function) -> _Function:
    """``NativeEnvironment`` for the defaults of ansible-core's settings: one, with their templates compiled.

    The settings are those that are known now. :func:`update_constants` evaluates some of them in each run.
    """
    constants = importlib.import_module("ansible.constants")
    kept = stock()
    kept.from_string = functools.cache(kept.from_string)
    for definition in constants.config.get_configuration_definitions().values():
        if _has_template(definition):
            kept.from_string(definition["default"])
    return lambda: kept


def keep_models(stock: _Function) -> _Function:
    """``ClientCreator._load_service_model``, which builds the model of a service anew for each client."""
    kept: dict[Hashable, Any] = {}

    def load(self: Any, service_name: str, api_version: str | None = None) -> Any:
        key = service_name, api_version
        if key not in kept:
            kept[key] = stock(self, service_name, api_version)
        return kept[key]

    return load


def share_sessions(stock: _Function) -> _Function:
    """``boto3.session.Session``: one for all clients of a run that have the same credentials.

    Each session reads the credentials anew, where they are those of a role by requests of its own. No session is made
    before the fork.
    """
    kept: dict[Hashable, Any] = {}

    def session(*arguments: Any, profile_name: str | None = None, **more: Any) -> Any:
        if arguments or more:
            return stock(*arguments, profile_name=profile_name, **more)
        # A task may have its own environment, with other credentials.
        key = profile_name, frozenset(item for item in os.environ.items() if item[0].startswith(("AWS_", "BOTO")))
        if key not in kept:
            kept[key] = stock(profile_name=profile_name)
        return kept[key]

    return session


def clean_only_facts(stock: _Function) -> _Function:
    """``clean_facts``, which visits all connection plugins for each task, also where there are no facts."""

    def clean_facts(facts: Any) -> Any:
        return stock(facts) if facts else {}

    return clean_facts


def skip(_: _Function) -> _Function:
    """For a function that a run does not need."""
    return lambda *_: None


def update_constants(before: Mapping[str, str]) -> None:
    """Set the constants of ansible-core that may differ from those of the warm process.

    :param before: the environment that it read when it was imported
    """
    constants = importlib.import_module("ansible.constants")
    changed = {name for name in {*before, *os.environ} if before.get(name) != os.environ.get(name)}
    for name, definition in constants.config.get_configuration_definitions().items():
        is_place = definition.get("type") in _PLACES or _has_template(definition)
        if is_place or any(item["name"] in changed for item in definition.get("env") or ()):
            constants.set_constant(name, constants.config.get_config_value(name, variables=vars(constants)))


def _has_template(definition: Mapping[str, Any]) -> bool:
    return isinstance(definition.get("default"), str) and "{{" in definition["default"]
