"""The environment of a run: what Ansible, the role and botocore need, and nothing else. It holds no keys. Pure.

A run must reach the same hosts, with the same certificates, as the drift check in the operator's own process. So every
setting that botocore reads from the environment is passed on, from botocore's own table of them, unless it is a key.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from botocore import configprovider

from runner.execution import processes

_PASSED_ON = frozenset(
    (
        "PATH",
        "HOME",
        "KUBECONFIG",
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        # Variables that botocore reads and that are not in its table, and AWS_REGION, which the collection reads.
        "AWS_REGION",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CREDENTIAL_FILE",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_EC2_METADATA_DISABLED",
        "AWS_EXECUTION_ENV",
        "AWS_LOGIN_CACHE_DIRECTORY",
        "BOTO_DISABLE_CRT",
        "BOTO_CONFIG",
        # TLS settings of OpenSSL and of the HTTP libraries.
        "OPENSSL_CONF",
        "OPENSSL_MODULES",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        *(f"{name}_PROXY" for name in ("HTTP", "HTTPS", "ALL", "NO")),
        *(f"{name}_proxy" for name in ("http", "https", "all", "no")),
    )
)
# One for all services, and one for each service: botocore.configprovider.ConfiguredEndpointProvider.
_ENDPOINT = "AWS_ENDPOINT_URL"
# These variables hold secret values, not paths of files.
_KEY = re.compile(r".*(?:ACCESS_KEY|SECRET|PASSWORD|TOKEN)(?!.*_FILE$).*")
_PROFILES = ("AWS_DEFAULT_PROFILE", "AWS_PROFILE")


COLLECTIONS = ("amazon.aws", "kubernetes.core")
_COLLECTIONS_PATH = "ANSIBLE_COLLECTIONS_PATH"
# Ansible's own default. Ansible would derive it from a run's home folder, so it is set explicitly.
_DEFAULT_COLLECTIONS = ("~/.ansible/collections", "/usr/share/ansible/collections")


def _collections_path() -> str:
    default = os.pathsep.join(str(Path(folder).expanduser()) for folder in _DEFAULT_COLLECTIONS)
    return os.environ.get(_COLLECTIONS_PATH) or default


def find_missing_collections() -> list[str]:
    """The role's Ansible collections that a run would not find."""
    folders = [Path(folder) / "ansible_collections" for folder in (*_collections_path().split(os.pathsep), *sys.path)]
    paths = {name: Path(*name.split(".")) for name in COLLECTIONS}
    return [name for name, path in paths.items() if not any((folder / path).is_dir() for folder in folders)]


def _names_in_botocore() -> frozenset[str]:
    found: set[str] = set()
    for table in (configprovider.BOTOCORE_DEFAUT_SESSION_VARIABLES, configprovider.DEFAULT_S3_CONFIG_VARS):
        for _, names, _, _ in table.values():
            found.update([names] if isinstance(names, str) else names or ())
    return frozenset(name for name in found if not _KEY.fullmatch(name))


_OF_BOTOCORE = _names_in_botocore()


def is_passed_on(name: str) -> bool:
    """Whether this variable of the operator's environment is passed on to runs."""
    is_endpoint = name == _ENDPOINT or name.startswith(f"{_ENDPOINT}_")
    return name in _PASSED_ON or name in _OF_BOTOCORE or is_endpoint


def _passed_on() -> dict[str, str]:
    found = {name: value for name, value in os.environ.items() if is_passed_on(name)}
    # When two profiles are set, botocore takes the first one, and the collection the second.
    profile = next((found[name] for name in _PROFILES if name in found), None)
    return found if profile is None else {**found, **dict.fromkeys(_PROFILES, profile)}


def ansible_environment(project_dir: Path, folder: Path, run_id: str, more: dict[str, str]) -> dict[str, str]:
    """The environment of one run.

    :param folder: the run's own folder, with ``tmp``, ``home`` and ``ansible.cfg``
    :param more: the operator's settings for the role
    """
    passed_on = _passed_on()
    return {
        **passed_on,
        **more,
        # The ansible-playbook of the same installation as this program, wherever it is.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{passed_on.get('PATH', os.defpath)}",
        processes.RUN_ID: run_id,
        # Ansible refuses to run in a locale that is not UTF-8. The operator's locale may be another one, or be missing
        # here.
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(folder / "tmp"),
        # The run has its own file, so that no ansible.cfg of the machine has an effect.
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "tmp"),
        "ANSIBLE_ROLES_PATH": str(project_dir / "roles"),
        _COLLECTIONS_PATH: _collections_path(),
        # Without pipelining stock Ansible writes the Secret's value into a temporary file.
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_NOCOWS": "1",
    }


def make_folders(folder: Path) -> None:
    """Create the folders and files in a run's folder that :func:`ansible_environment` names."""
    for name in ("tmp", "home"):
        (folder / name).mkdir(mode=0o700)
    # Ansible's default of 1 ms costs a tenth of a run's CPU.
    (folder / "ansible.cfg").write_text("[defaults]\ninternal_poll_interval = 0.005\n")
