# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks that are possible only in the controller, before the first module: versions, variables, module_defaults.

The role's argument specs are checked here, not by Ansible before the role's first task. So an invalid variable becomes
the result of this object. With Ansible's check the play would fail while s3bucket_result still held the previous
object's result. The operator skips this check: it validates its settings at start, and the API server validates its
objects.

The role's modules and those of the collections must use one connection. A play's ``module_defaults`` apply only to the
collections' modules. So a connection there is refused, unless the role's variable of that name, which applies to all
modules, is given. Runs in the task's worker, once a run; takes a few milliseconds and makes no request.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from ansible import module_utils
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action.normal import ActionModule as NormalAction
from ansible.release import __version__ as ansible_core_version
from ansible.utils.display import Display

_ROLE = Path(__file__).resolve().parents[1]
# Ansible provides a role's module_utils to modules, but not to plugins.
module_utils.__path__.append(str(_ROLE / "module_utils"))

from ansible.module_utils.s3bucket.outcome import Reason
from ansible.module_utils.s3bucket.variables import OF_PLAYBOOKS, find_unknown

# The versions of requirements.yml and meta/main.yml. A test compares them.
REQUIRED_CORE = (2, 19)
REQUIRED_COLLECTIONS = {"amazon.aws": (10, 1), "kubernetes.core": (6, 0)}

# The default in defaults/main.yml. A test compares them.
DEFAULT_CR = "{{ lookup('s3bucket_cr_file', s3bucket_cr_file, state=s3bucket_state) if s3bucket_cr_file else none }}"
# A variable of a playbook that itself reads the object from a file, before it runs the role.
READS_FILE = "_s3bucket_playbook_reads_file"

_WRONG_TYPE = re.compile(
    r"(?:argument|(Elements) value for option) '(\w+)' is of type (\w+)(?: found in '([^']+)'\.)? "
    r"and we were unable to convert to (\w+)"
)
_TYPES = {
    "bool": "true or false",
    "dict": "a map",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "str": "text",
}

_KUBERNETES_MODULES = ("kubernetes.core.k8s", "kubernetes.core.k8s_info")
_AWS_MODULES = (
    "amazon.aws.iam_access_key",
    "amazon.aws.iam_policy",
    "amazon.aws.iam_role",
)
# Maps an option and its aliases to the role's variable. Without region, which is always the object's.
_KUBERNETES = {
    "kubeconfig": (),
    "context": (),
    "host": (),
    "api_key": (),
    "username": (),
    "password": (),
    "validate_certs": ("verify_ssl",),
    "ca_cert": ("ssl_ca_cert",),
    "client_cert": ("cert_file",),
    "client_key": ("key_file",),
    "proxy": (),
    "no_proxy": (),
    "proxy_headers": (),
    "persist_config": (),
    "impersonate_user": (),
    "impersonate_groups": (),
}
_AWS = {
    "profile": ("aws_profile",),
    "access_key": ("aws_access_key_id", "aws_access_key"),
    "secret_key": ("aws_secret_access_key", "aws_secret_key"),
    "session_token": ("aws_session_token",),
    "endpoint_url": ("aws_endpoint_url",),
    "ca_bundle": ("aws_ca_bundle",),
    "validate_certs": (),
    "config": ("aws_config",),
}
# An error may show the values of these variables.
_SHOWN = ("kubeconfig", "context", "host", "profile", "endpoint_url")
_KUBERNETES_ENVIRONMENT = ("K8S_AUTH_HOST", "K8S_AUTH_KUBECONFIG", "K8S_AUTH_CONTEXT", "KUBECONFIG")
_AWS_VARIABLES = {
    "profile": ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    "access_key": ("AWS_ACCESS_KEY_ID",),
    "secret_key": ("AWS_SECRET_ACCESS_KEY",),
    "session_token": ("AWS_SESSION_TOKEN",),
    "endpoint_url": ("AWS_URL", "AWS_ENDPOINT_URL"),
    "ca_bundle": ("AWS_CA_BUNDLE",),
}
_KEY_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_AWS_ENVIRONMENT = (
    "AWS_PROFILE",
    "AWS_ACCESS_KEY_ID",
    "AWS_ROLE_ARN",
    "AWS_ENDPOINT_URL",
    "AWS_SHARED_CREDENTIALS_FILE",
)


class ActionModule(NormalAction):
    """Runs the module of its task, after the checks."""

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Check what the module cannot check, then run it."""
        given = self._given(task_vars or {})
        refusal = (
            _refused(Reason.MISSING_REQUIREMENT, find_outdated())
            or _refused(Reason.INVALID_SPEC, self._find_invalid(task_vars or {}))
            or _refused(Reason.INVALID_SPEC, self._find_two_objects(task_vars or {}))
            or _refused(Reason.INVALID_SPEC, _find_null(self._task.args, task_vars or {}))
            or _refused(Reason.KUBERNETES_ERROR, _find_empty(given, _KUBERNETES, "s3bucket_"))
            or _refused(Reason.CREDENTIALS_INVALID, _find_empty(given, _AWS, "s3bucket_aws_"))
            or _refused(Reason.CREDENTIALS_INVALID, _find_profile_and_keys(given))
            or _refused(Reason.CREDENTIALS_INVALID, self._find_half_a_key(given))
            or _refused(Reason.KUBERNETES_ERROR, self._find_leak(given, "", _KUBERNETES, _KUBERNETES_MODULES))
            or _refused(Reason.CREDENTIALS_INVALID, self._find_leak(given, "aws_", _AWS, _AWS_MODULES))
        )
        if refusal:
            return refusal
        # Ansible runs modules in the playbook's folder. A relative KUBECONFIG would be another file there, or none.
        self._task.args["working_directory"] = str(Path.cwd())
        result = dict(super().run(tmp, task_vars))
        if not result.get("failed"):
            # The tasks that follow need not find it out again, each for itself.
            is_aws = [name.startswith("s3bucket_aws_") for name in given]
            result |= {"gives_no_aws": not any(is_aws), "gives_no_kubernetes": all(is_aws)}
        return result

    def _given(self, task_vars: dict[str, Any]) -> dict[str, Any]:
        """The role's connection variables that are set."""
        names = [f"s3bucket_{option}" for option in _KUBERNETES] + [f"s3bucket_aws_{option}" for option in _AWS]
        found = {name: task_vars[name] for name in names if task_vars.get(name) is not None}
        values = {name: self._templar.template(value) for name, value in found.items()}
        return {name: value for name, value in values.items() if value is not None}

    def _find_invalid(self, task_vars: dict[str, Any]) -> str:
        """An error for a variable that is misspelled, or has the wrong type or value."""
        if "s3bucket_cr_json" in task_vars:
            return ""
        options = find_options()
        misspelled = find_misspelled(task_vars, options)
        if misspelled or not self._task.action.endswith("s3bucket_info"):
            return misspelled
        values = self._templar.template({name: task_vars[name] for name in options if name in task_vars})
        result = ArgumentSpecValidator(options).validate(values, validate_role_argument_spec=True)
        return "; ".join(dict.fromkeys(map(readable, result.error_messages)))

    def _find_two_objects(self, task_vars: dict[str, Any]) -> str:
        """An error when the object is given twice: as a variable, and as a file."""
        given = task_vars.get("s3bucket_cr", DEFAULT_CR)
        if "s3bucket_cr_json" in task_vars or given == DEFAULT_CR:
            return ""
        if READS_FILE in task_vars:
            # The playbook gives the role the object that it has read. Another one before that comes from a person.
            is_read = self._task.action.endswith("s3bucket_info")
            return "" if is_read else "s3bucket_cr is given: this playbook has s3bucket_cr_file: name a file there"
        has_file = bool(self._templar.template(task_vars.get("s3bucket_cr_file") or ""))
        return "s3bucket_cr and s3bucket_cr_file are both given: leave one of them out" if has_file else ""

    def _find_half_a_key(self, given: dict[str, Any]) -> str:
        """An error for half of an AWS key. botocore would then use other credentials, of a profile or a role.

        An empty environment variable counts as not set, as for the AWS CLI.
        """
        halves = ("s3bucket_aws_access_key", "s3bucket_aws_secret_key")
        is_given = {name: name in given for name in halves}
        if not any(is_given.values()) and "s3bucket_aws_profile" not in given:
            environment = self._environment()
            is_given = {name: bool(environment.get(name)) for name in _KEY_PAIR}
        has, lacks = ([name for name in is_given if is_given[name] == there] for there in (True, False))
        return f"{has[0]} is given without {lacks[0]}: give both, or none" if has and lacks else ""

    def _find_leak(
        self, given: dict[str, Any], prefix: str, options: dict[str, tuple[str, ...]], modules: tuple[str, ...]
    ) -> str:
        """An error for a connection that the play's module_defaults give only to the collection's modules."""
        for module in modules:
            defaults = self._outer_defaults(module)
            for option, aliases in options.items():
                variable = f"s3bucket_{prefix}{option}"
                named = next((name for name in (option, *aliases) if name in defaults), None)
                if named and variable not in given and not self._is_own(variable, defaults[named]):
                    return self._leak(module, named, _shown(option, defaults[named]), variable)
        return ""

    def _outer_defaults(self, module: str) -> dict[str, Any]:
        """The values that module_defaults outside of the role give to a module, by its name or by a group."""
        groups = self._task.play._action_groups.get(module, []) if self._task.play else []
        found: dict[str, Any] = {}
        for defaults in self._task.module_defaults or []:
            if any(name.endswith("s3bucket_info") for name in defaults):
                continue
            for name in (*(f"group/{group}" for group in groups), module):
                if name in defaults:
                    found.update(self._templar.template(defaults[name]) or {})
        return found

    def _is_own(self, variable: str, value: Any) -> bool:
        """Whether the environment gives the role's modules the same value.

        The playbooks of this project give kubernetes.core the connection that the role itself found.
        """
        environment = self._environment()
        found = (self._templar.available_variables.get("_s3bucket_connection") or {}).get("kubernetes") or {}
        if value is not None and found.get(variable.removeprefix("s3bucket_")) == value:
            return True
        if variable.startswith("s3bucket_aws_"):
            names = _AWS_VARIABLES.get(variable.removeprefix("s3bucket_aws_"), ())
        else:
            option = variable.removeprefix("s3bucket_")
            names = (f"K8S_AUTH_{option.upper()}", *(("KUBECONFIG",) if option == "kubeconfig" else ()))
        own = next((environment[name] for name in names if environment.get(name)), None)
        return own is not None and own == value

    def _environment(self) -> dict[str, str]:
        """The environment of the modules, when they run on this machine."""
        of_task: dict[str, Any] = {}
        self._compute_environment_string(of_task)
        return {**os.environ, **of_task}

    def _leak(self, module: str, option: str, value: str, variable: str) -> str:
        names = _AWS_ENVIRONMENT if variable.startswith("s3bucket_aws_") else _KUBERNETES_ENVIRONMENT
        environment = self._environment()
        own = next((f"{name}={environment[name]}" for name in names if environment.get(name)), "the default one")
        return (
            f"two connections: module_defaults of the play give {module} the option {option}{value}, and the role's "
            f"modules have {own}: give {variable} to the role, which counts for all modules, or remove the option"
        )


def readable(text: str) -> str:
    """Make an error of Ansible's validation readable: name the variable, and omit the names of Ansible's classes."""
    # For an unknown field, Ansible lists the valid fields, but not the unknown field as such.
    text = re.sub(r"^(?=\S+\. Supported parameters include: )", "unknown field ", text)
    text = text.replace(" must be one of: , ", " must be empty or one of: ")
    wrong = _WRONG_TYPE.search(text)
    if not wrong:
        return text
    elements, name, is_now, parent, wanted = wrong.groups()
    place = f"{parent.replace(' -> ', '.')}.{name}" if parent else name
    item = "each item " if elements else ""
    return f"{place}: {item}must be {_TYPES.get(wanted, wanted)}, not {_TYPES.get(is_now, is_now)}"


def find_options() -> dict[str, Any]:
    """The role's variables, from its argument specs."""
    text = (_ROLE / "meta" / "argument_specs.yml").read_text(encoding="utf-8")
    specs = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - either is safe
    return dict(specs["argument_specs"]["object"]["options"])


def find_misspelled(names: Iterable[str], options: dict[str, Any]) -> str:
    """An error for variables that are similar to the role's; a warning for others with its prefix."""
    misspelled, others = find_unknown(names, [*options, *OF_PLAYBOOKS])
    if others:
        Display().warning(f"the role s3bucket has no variable {', '.join(others)}")
    return f"the role s3bucket has no variable {', '.join(misspelled)}" if misspelled else ""


def _refused(reason: Reason, message: str) -> dict[str, Any]:
    return {"failed": True, "msg": message, "s3bucket_reason": reason.value} if message else {}


def _find_null(arguments: dict[str, Any], task_vars: dict[str, Any]) -> str:
    """An error for a role variable that is null, because the module would use its own default."""
    null = [f"s3bucket_{name}" for name, value in arguments.items() if value is None]
    return "".join(f"{name}: must not be null: leave it out for its default" for name in null[:1] if name in task_vars)


def _find_empty(given: dict[str, Any], options: dict[str, tuple[str, ...]], prefix: str) -> str:
    """An error for an empty variable. Ignoring it could select another cluster or account than the person meant."""
    empty = [f"{prefix}{option}" for option in options if given.get(f"{prefix}{option}") == ""]
    return f"{', '.join(empty)} is empty: give a value, or leave it out" if empty else ""


def _find_profile_and_keys(given: dict[str, Any]) -> str:
    """An error for two AWS accounts."""
    key = next((name for name in ("access_key", "secret_key", "session_token") if f"s3bucket_aws_{name}" in given), "")
    if not key or "s3bucket_aws_profile" not in given:
        return ""
    return f"s3bucket_aws_profile and s3bucket_aws_{key} are both given: leave one of them out"


def _shown(option: str, value: Any) -> str:
    return f"={value}" if option in _SHOWN and isinstance(value, str) else ""


def find_outdated() -> str:
    """An error with the remedy when ansible-core or a collection is too old; otherwise empty."""
    problems = []
    if _version(ansible_core_version) < REQUIRED_CORE:
        problems.append(
            _too_old("ansible-core", ansible_core_version, REQUIRED_CORE, "pip install 'ansible-core>={0}'")
        )
    for name, required in REQUIRED_COLLECTIONS.items():
        found = find_collection_version(name)
        if found is None:
            problems.append(f"collection {name} is not installed: ansible-galaxy collection install {name}")
        elif found and _version(found) < required:
            hint = f"ansible-galaxy collection install --upgrade '{name}:>={{0}}'"
            problems.append(_too_old(f"collection {name}", found, required, hint))
    return "; ".join(problems)


def _too_old(what: str, found: str, required: tuple[int, ...], hint: str) -> str:
    least = ".".join(map(str, required))
    return f"{what} {found} is too old, {least} or newer is needed: {hint.format(least)}"


def find_collection_version(name: str) -> str | None:
    """The version of the collection that Ansible uses: None if it is not installed, empty if it does not state one."""
    try:
        folder = Path(importlib.import_module(f"ansible_collections.{name}").__path__[0])
    except ImportError:
        return None
    manifest, galaxy = folder / "MANIFEST.json", folder / "galaxy.yml"
    if manifest.exists():
        return str(json.loads(manifest.read_text(encoding="utf-8"))["collection_info"]["version"])
    return (
        str((yaml.safe_load(galaxy.read_text(encoding="utf-8")) or {}).get("version") or "") if galaxy.exists() else ""
    )


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])
