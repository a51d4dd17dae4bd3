# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The connection of the role's modules to Kubernetes: the one that kubernetes.core makes of the same options.

Options that are not given come from K8S_AUTH_* in the module's environment. kubernetes.core's own code reads them, so
the role's modules read from the cluster that kubernetes.core's modules write to. One thing differs: kubernetes.core
prefers the Pod's ServiceAccount to KUBECONFIG; kubectl and the operator do not. So this file names the kubeconfig of
KUBECONFIG, or the default one, explicitly. :func:`connect` returns it for the tasks of kubernetes.core. Only modules
import this file; the operator does not.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_MAP, AUTH_ARG_SPEC
from ansible_collections.kubernetes.core.plugins.module_utils.k8s import client as collection

from .cluster import ApiServer, ensure_library, reported_errors, server_of
from .errors import ReconcileError
from .json_types import ApiObject
from .outcome import Reason

# The arguments of each module that connects.
CONNECTION_ARGUMENTS: ApiObject = {
    "kubernetes": {"type": "str", "default": "{}", "no_log": True},
    "working_directory": {"type": "str", "default": ""},
}
_DEFAULT_KUBECONFIG = "~/.kube/config"
_PREFIX = "K8S_AUTH_"
if TYPE_CHECKING:
    from ansible.module_utils.basic import AnsibleModule
    from kubernetes.client import Configuration

# A request with all options of one of these sets needs nothing from a kubeconfig: kubernetes.core,
# _create_configuration.
_CREDENTIALS = (("username", "password"), ("api_key",), ("client_cert", "client_key"))
_SECRETS = ("api_key", "password")
_MIN_MASKED = 16
_VAULT = b"$ANSIBLE_VAULT"
# By the options of a connection. In a warm run, the modules are in one process and share it; else each has its own.
_SERVERS: dict[str, ApiServer] = {}


def connect(module: AnsibleModule, options: str) -> tuple[ApiServer, ApiObject]:
    """Configure the client library. Makes no request.

    :param module: a relative path in KUBECONFIG starts at its argument ``working_directory``
    :param options: the options from the role's variables, by kubernetes.core's names, as JSON text
    :returns: the API server, and the option that tasks of kubernetes.core need in addition to the given ones
    :raises ReconcileError: KubernetesError when nothing is configured, or two sources contradict each other
    """
    ensure_library()
    # Ansible masks the value of a no_log argument everywhere in the result. For no options that is every empty object.
    module.no_log_values.discard("{}")
    given = _validated(json.loads(options))
    # A short value, such as admin, may also be part of a name that the result must have.
    secrets = (str(given[name]) for name in _SECRETS if given.get(name))
    module.no_log_values.update(secret for secret in secrets if len(secret) >= _MIN_MASKED)
    refuse_mixture(given, os.environ)
    auth = collection._create_auth_spec(None, **given)
    own: dict[str, str] = {}
    if auth.get("kubeconfig"):
        refuse_missing(auth["kubeconfig"], _name_of("kubeconfig", given))
    elif not _is_complete(auth):
        own = find_kubeconfig(os.environ, module.params["working_directory"])
    auth.update(own)
    headers = collection._create_headers(None, **given)
    key = json.dumps([auth, headers, given], sort_keys=True, default=str)
    if key not in _SERVERS:
        with reported_errors(_source(given, own)):
            configuration = collection._create_configuration(auth)
        refuse_overruled(configuration, auth, given)
        api = _SERVERS[key] = server_of(configuration)
        for name, value in headers.items():
            collection._set_header(api.client, name, value)
    return _SERVERS[key], own


def _validated(options: ApiObject) -> ApiObject:
    """The options with the types that kubernetes.core gives them."""
    result = ArgumentSpecValidator(AUTH_ARG_SPEC).validate(options)
    if result.error_messages:
        # The library's messages name the option and may hold its value.
        names = ", ".join(f"s3bucket_{name}" for name in sorted(options))
        raise ReconcileError(Reason.KUBERNETES_ERROR, f"one of {names} has the wrong type: see the role's README")
    return {name: value for name, value in result.validated_parameters.items() if value is not None}


def _is_complete(auth: ApiObject) -> bool:
    """Whether no kubeconfig is read, because host and credentials are given."""
    names = {option: name for name, option in AUTH_ARG_MAP.items()}
    has = [all(auth.get(names[option]) for option in options) for options in _CREDENTIALS]
    return bool(auth.get("host")) and any(has)


def find_kubeconfig(environment: Mapping[str, str], working_directory: str) -> dict[str, str]:
    """The option ``kubeconfig`` for the files of KUBECONFIG, else for the default file; nothing without them.

    :param working_directory: that of the person who runs Ansible, where kubectl would start a relative path, too.
        Ansible itself runs modules in the playbook's folder.
    :raises ReconcileError: KubernetesError when KUBECONFIG names no file that exists
    """
    text = environment.get("KUBECONFIG") or _DEFAULT_KUBECONFIG
    paths = [Path(working_directory, Path(path).expanduser()).absolute() for path in text.split(os.pathsep) if path]
    # As kubectl does. kubernetes.core's action refuses a list with a missing file.
    found = [str(path) for path in paths if path.exists()]
    refuse_encrypted("KUBECONFIG", [Path(path) for path in found])
    if not found and environment.get("KUBECONFIG"):
        raise _missing("KUBECONFIG", paths)
    return {"kubeconfig": os.pathsep.join(found)} if found else {}


def refuse_missing(kubeconfig: object, name: str) -> None:
    """Refuse a kubeconfig that is given and does not exist. One existing file of a list is enough, as for kubectl.

    :param kubeconfig: paths, or the content as a dictionary
    :param name: the variable that gives it
    :raises ReconcileError: KubernetesError naming the variable and the paths
    """
    if isinstance(kubeconfig, Mapping):
        return
    paths = [Path(path).expanduser() for path in str(kubeconfig).split(os.pathsep) if path]
    if not any(path.exists() for path in paths):
        raise _missing(name, paths)
    refuse_encrypted(name, paths)


def refuse_encrypted(name: str, paths: list[Path]) -> None:
    """Refuse a file that is encrypted with ansible-vault: modules do not have the vault's password.

    :raises ReconcileError: KubernetesError naming the variable, the file and a way that works
    """
    for path in paths:
        with contextlib.suppress(OSError), path.open("rb") as file:
            if file.read(len(_VAULT)) == _VAULT:
                raise ReconcileError(
                    Reason.KUBERNETES_ERROR,
                    f"{name}: {path} is encrypted with ansible-vault: decrypt it, or give its content, "
                    f"s3bucket_kubeconfig: \"{{{{ lookup('ansible.builtin.unvault', '{path}') | from_yaml }}}}\"",
                )


def _missing(name: str, paths: list[Path]) -> ReconcileError:
    shown = os.pathsep.join(map(str, paths))
    is_relative = any(not path.is_absolute() for path in paths)
    without = "leave it out" if name.startswith("s3bucket_") else "unset it"
    remedy = "give its absolute path" if is_relative else f"correct it, or {without}"
    return ReconcileError(Reason.KUBERNETES_ERROR, f"{name} names no file that exists: {shown}: {remedy}")


def refuse_mixture(given: ApiObject, environment: Mapping[str, str]) -> None:
    """Refuse a kubeconfig or context from a role variable that the environment would partly override.

    :raises ReconcileError: KubernetesError naming both
    """
    chosen = next((name for name in ("kubeconfig", "context") if name in given), None)
    if chosen is None or "host" in given:
        return
    overruling = ["host", *(option for options in _CREDENTIALS for option in options)]
    if chosen == "kubeconfig":
        overruling.append("context")
    for option in overruling:
        name = _variable_of(option, environment)
        if name and option not in given:
            raise ReconcileError(
                Reason.KUBERNETES_ERROR,
                f"s3bucket_{chosen} is given, and {name} in the environment belongs to another connection: unset "
                f"{name}, or leave s3bucket_{chosen} out, or give s3bucket_{option} too",
            )


def refuse_overruled(configuration: Configuration, auth: ApiObject, given: ApiObject) -> None:
    """Refuse a host or a token that would have no effect.

    With a token in a kubeconfig, and with a Pod's ServiceAccount, the client library sets host and token again before
    each request (kubernetes.config, _set_config). This replaces the values that kubernetes.core has set.

    :raises ReconcileError: KubernetesError naming the variable
    """
    token = configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
    for option, used in (("host", configuration.host), ("api_key", (token or "").removeprefix("Bearer "))):
        if auth.get(option) and auth[option] != used:
            name = _name_of(option, given)
            raise ReconcileError(
                Reason.KUBERNETES_ERROR,
                f"{name} has no effect beside a kubeconfig or a ServiceAccount with a token: give both a host and "
                f"credentials, for example s3bucket_host and s3bucket_api_key, or leave {name} out",
            )


def _variable_of(option: str, environment: Mapping[str, str]) -> str | None:
    alias = next(name for name, named in AUTH_ARG_MAP.items() if named == option)
    names = (f"{_PREFIX}{option.upper()}", f"{_PREFIX}{alias.upper()}")
    return next((name for name in names if environment.get(name)), None)


def _name_of(option: str, given: ApiObject) -> str:
    """The name for error messages: the role's variable, or else the environment's."""
    return f"s3bucket_{option}" if option in given else _variable_of(option, os.environ) or option


def _source(given: ApiObject, own: ApiObject) -> str:
    """What error messages ask a person to correct when the configuration cannot be used."""
    if given:
        return ", ".join(f"s3bucket_{name}" for name in sorted(given))
    used = sorted(name for name in os.environ if name.startswith(_PREFIX))
    return ", ".join(used) or ("KUBECONFIG" if os.environ.get("KUBECONFIG") else _DEFAULT_KUBECONFIG if own else "")
