"""The environment of a run: what Ansible and the role need, and nothing else. Keys are in none of it. Pure."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from runner import processes

# What a run may see of our own environment. Keys are in none of them (runner.credentials).
_PASSED_ON = (
    "PATH",
    "HOME",
    "KUBECONFIG",
    "K8S_AUTH_KUBECONFIG",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_STS",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


def ansible_environment(project_dir: Path, folder: Path, run_id: str, more: dict[str, str]) -> dict[str, str]:
    """The environment of one run.

    :param folder: the run's own, with ``tmp``, ``home`` and ``ansible.cfg``
    :param more: the operator's settings for the role
    """
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    return {
        **passed_on,
        **more,
        # ansible-playbook of the same installation as this program, wherever that is.
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{passed_on.get('PATH', os.defpath)}",
        processes.RUN_ID: run_id,
        # Ansible refuses to run in a locale that is not UTF-8; ours may be any, or one that this machine lacks.
        "LC_ALL": "C.UTF-8",
        "TMPDIR": str(folder / "tmp"),
        # One of its own: no ansible.cfg of the machine has a say.
        "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
        "ANSIBLE_REMOTE_TEMP": str(folder / "tmp"),
        "ANSIBLE_ROLES_PATH": str(project_dir / "roles"),
        # Without it stock Ansible writes the Secret's value into a temporary file.
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_LOCALHOST_WARNING": "0",
        "ANSIBLE_DEPRECATION_WARNINGS": "0",
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_NOCOWS": "1",
    }


def make_folders(folder: Path) -> None:
    """Make what :func:`ansible_environment` names in a run's folder."""
    for name in ("tmp", "home"):
        (folder / name).mkdir(mode=0o700)
    # Ansible's default of 1 ms costs a tenth of a run's CPU.
    (folder / "ansible.cfg").write_text("[defaults]\ninternal_poll_interval = 0.005\n")
