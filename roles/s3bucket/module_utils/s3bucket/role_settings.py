# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings that operator, playbooks and role share: one table of names, defaults and valid values.

A setting has one name: option ``--iam-path``, environment variable ``IAM_PATH``, role variable ``s3bucket_iam_path``.
They are read from variables, from an environment, and from the Deployment of an installed operator. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .defaults import map_of
from .errors import Refused
from .spec import invalid, operator_tags_of
from .users import rules_of

POLICIES = ("Delete", "Retain")
_PREFIX = "s3bucket_"
# The playbooks of earlier versions read variables with this prefix.
_FORMER_PREFIX = "S3_OPERATOR_"
_SEPARATORS = re.compile(r"[\s,]+")
# https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
_REFERENCE = re.compile(r"\$\([A-Za-z_][A-Za-z0-9_.-]*\)")
_NO_RULES: dict[str, Any] = {"iam_path": "", "permissions_boundary": ""}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _policy(value: Any) -> str:
    if value not in ("", *POLICIES):
        raise ValueError(f"must be {' or '.join(POLICIES)}, or empty")
    return str(value)


def _seconds(value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("must be a number of seconds, 0 or more")
    return value


def _rule(name: str, value: Any) -> Any:
    rules_of({**_NO_RULES, name: value})
    return value


def _names(name: str, value: Any) -> list[str]:
    if isinstance(value, str):
        value = [item for item in _SEPARATORS.split(value) if item]
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of names")
    return list(_rule(name, list(value)))


@dataclass(frozen=True)
class Setting:
    """One setting. ``name`` is the role variable's without its prefix; ``check`` returns the valid value.

    ``changes`` tells whether two clients with different values would write different things.
    """

    name: str
    option: str
    environment: str
    default: Any
    check: Callable[[Any], Any]
    changes: bool = True

    @property
    def variable(self) -> str:
        """The role variable."""
        return _PREFIX + self.name

    def value_of(self, value: Any, label: str) -> Any:
        """A valid value.

        :param label: what a person has to correct: the variable of the role or of the environment
        :raises Refused: InvalidSpec naming it
        """
        try:
            return self.check(value)
        except ValueError as error:
            raise invalid(label, str(error)) from error
        except Refused as refusal:
            raise Refused(refusal.reason, refusal.message.replace(self.variable, label, 1)) from refusal


def _tags(value: Any) -> dict[str, str]:
    return operator_tags_of(map_of(value or {}, "s3bucket_tags"))


TABLE = (
    Setting("cluster_name", "--cluster-name", "CLUSTER_NAME", "", _text),
    Setting("deletion_policy", "--deletion-policy", "DELETION_POLICY", "", _policy),
    Setting("iam_path", "--iam-path", "IAM_PATH", "", lambda value: _rule("iam_path", _text(value))),
    Setting(
        "permissions_boundary", "--permissions-boundary", "PERMISSIONS_BOUNDARY", "",
        lambda value: _rule("permissions_boundary", _text(value)),
    ),
    Setting("tags", "--tags", "TAGS", {}, _tags),
    Setting(
        "allowed_policies", "--allowed-policy", "ALLOWED_POLICIES", [],
        lambda value: _names("allowed_policies", value),
    ),
    Setting("allowed_groups", "--allowed-group", "ALLOWED_GROUPS", [], lambda value: _names("allowed_groups", value)),
    Setting("service_external_name", "--service-external-name", "SERVICE_EXTERNAL_NAME", "", _text),
    Setting("iam_settle_s", "--iam-settle", "IAM_SETTLE", 60, _seconds, changes=False),
    Setting("empty_time_s", "--empty-time", "EMPTY_TIME", 300, _seconds, changes=False),
)  # fmt: skip
_BY_NAME = {setting.name: setting for setting in TABLE}


@dataclass(frozen=True)
class Read:
    """Settings that were read: the given ones, and of an operator those whose values its Deployment does not show."""

    given: dict[str, Any]
    unknown: dict[str, str]


def of_variables(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that role variables give: those that are not the role's defaults.

    :param variables: values by the names of the table
    :raises Refused: InvalidSpec naming the variable
    """
    values = {name: _BY_NAME[name].value_of(value, _BY_NAME[name].variable) for name, value in variables.items()}
    return {name: value for name, value in values.items() if value != _BY_NAME[name].default}


def of_environment(environment: Mapping[str, str], where: str = "") -> dict[str, Any]:
    """The settings that an environment gives. An empty variable is one that is not set, as for the operator.

    :param where: what is appended to the name of a variable in an error
    :raises Refused: InvalidSpec naming the variable
    """
    found = {setting.name: environment.get(setting.environment, "") for setting in TABLE}
    return {
        name: _BY_NAME[name].value_of(value, f"{_BY_NAME[name].environment}{where}")
        for name, value in found.items()
        if value
    }


def refuse_former_names(environment: Mapping[str, str]) -> None:
    """Refuse variables that earlier playbooks read: ignored, they would change what becomes of a bucket.

    :raises Refused: InvalidSpec naming the variable and its successor
    """
    former = {f"{_FORMER_PREFIX}{item.environment}{end}": item.environment for item in TABLE for end in ("", "_S")}
    for name in sorted(former.keys() & environment.keys()):
        raise invalid(name, f"is not read: its name is {former[name]}, as for the operator")


def complete(given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings: the given ones, and defaults for the others."""
    return {setting.name: given.get(setting.name, setting.default) for setting in TABLE}


def read_deployment(deployment: dict[str, Any]) -> Read | None:
    """The settings of an operator's Deployment; None when it is not one of this operator.

    :raises Refused: InvalidSpec for a value that the operator itself would refuse
    """
    metadata = deployment["metadata"]
    where = f" of Deployment {metadata['namespace']}/{metadata['name']}"
    container = _container_of(deployment)
    if container is None:
        return None
    environment, unknown = _environment_of(container, where)
    given = of_environment(environment, where)
    for setting in TABLE:
        values, is_reference = _option_values(container.get("args") or [], setting.option)
        if not values:
            continue
        unknown.pop(setting.name, None)
        given.pop(setting.name, None)
        if is_reference:
            unknown[setting.name] = f"{setting.option}{where} refers to another variable"
        else:
            text = ",".join(values) if isinstance(setting.default, list) else values[-1]
            given[setting.name] = setting.value_of(text, f"{setting.option}{where}")
    return Read(given, unknown)


def watches(deployment: dict[str, Any], namespace: str) -> bool:
    """Whether an operator's Deployment is about a namespace; an empty one means all."""
    container = _container_of(deployment) or {}
    values, _ = _option_values(container.get("args") or [], "--watch-namespace")
    texts = values or [item.get("value") or "" for item in _env(container) if item["name"] == "WATCH_NAMESPACE"]
    watched = {name for text in texts for name in _SEPARATORS.split(text) if name}
    return not namespace or not watched or namespace in watched


def _container_of(deployment: dict[str, Any]) -> dict[str, Any] | None:
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        command = [*(container.get("command") or []), *(container.get("args") or [])]
        if command and str(command[0]).rpartition("/")[2] == "s3-operator" and "run" in command[1:2]:
            return dict(container)
    return None


def _env(container: dict[str, Any]) -> list[dict[str, Any]]:
    return container.get("env") or []


def _environment_of(container: dict[str, Any], where: str) -> tuple[dict[str, str], dict[str, str]]:
    """The plain variables of a container, and the settings that come from elsewhere, with where they come from."""
    by_variable = {setting.environment: setting.name for setting in TABLE}
    plain, unknown = {}, {}
    if container.get("envFrom"):
        unknown = {name: f"{variable}{where} may come from envFrom" for variable, name in by_variable.items()}
    for item in _env(container):
        name = item["name"]
        if name not in by_variable:
            continue
        plain.pop(name, None)
        unknown.pop(by_variable[name], None)
        if item.get("valueFrom") or _REFERENCE.search(item.get("value") or ""):
            source = next(iter(item.get("valueFrom") or {"reference": 0}))
            unknown[by_variable[name]] = f"{name}{where} comes from a {source}"
        else:
            plain[name] = item.get("value") or ""
    return plain, unknown


def _option_values(arguments: list[str], option: str) -> tuple[list[str], bool]:
    """What a command line gives for an option, in order, and whether any of it is a reference to a variable."""
    found = []
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            found.append(argument.partition("=")[2])
        elif argument == option and index + 1 < len(arguments):
            found.append(arguments[index + 1])
    return found, any(_REFERENCE.search(value) for value in found)


def find_differences(own: Mapping[str, Any], operator: Read) -> list[str]:
    """The settings in which a playbook would write other things than an operator, one phrase each.

    A value that the Deployment does not show is taken to be the one that a person gives.
    """
    phrases = []
    for setting in (setting for setting in TABLE if setting.changes):
        unknown = operator.unknown.get(setting.name)
        if unknown and setting.name not in own:
            phrases.append(f"{unknown}: give its value with -e {setting.variable}=VALUE")
        elif not unknown and not _same(setting, own.get(setting.name), operator.given.get(setting.name)):
            here, there = (_shown(setting, values) for values in (own, operator.given))
            phrases.append(f"{setting.variable} is {here} here and {there} there")
    return phrases


def _same(setting: Setting, one: Any, other: Any) -> bool:
    return bool(_normal(setting, one) == _normal(setting, other))


def _normal(setting: Setting, value: Any) -> Any:
    value = setting.default if value is None else value
    if isinstance(value, list):
        return sorted(value)
    meaning = {"deletion_policy": "Delete", "iam_path": "/"}
    return value or meaning.get(setting.name, value)


def _shown(setting: Setting, values: Mapping[str, Any]) -> str:
    value = values.get(setting.name, setting.default)
    return json.dumps(value) if value else "not set"
