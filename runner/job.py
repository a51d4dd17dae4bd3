"""One run of ``playbooks/reconcile.yml`` for one object, through ansible-runner.

The CR goes in as one extra-var of fixed shape, so that nothing in it is ever a template; one outcome
record comes out, by the playbook's last set_stats. Each run has its own 0700 folder, removed afterwards.
Called in worker threads. A run that takes too long, or is cancelled, is ended with all its descendants.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ansible_runner

from runner import processes
from runner.conditions import Outcome, Reason

_LOG = logging.getLogger(__name__)
_TERM_GRACE_S = 5.0
_MAX_MESSAGE = 500
_OUTCOME = "s3bucket_outcome"
# What a run may see of our own environment. Keys are in none of them (runner.credentials).
_PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
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


@dataclass
class _Record:
    """What ansible-runner's events said so far."""

    outcome: dict[str, Any] = field(default_factory=dict)
    failure: str = ""
    end: Reason | None = None


class AnsibleJob:
    """Runs the playbook.

    :param project_dir: the folder that holds ``playbooks/`` and ``roles/``
    :param work_dir: where runs have their folders; memory-backed, as a run's files hold secrets
    :param environment: more variables for the playbook (the operator's settings for the role)
    """

    def __init__(self, project_dir: Path, work_dir: Path, timeout_s: float, environment: dict[str, str]) -> None:
        self._project_dir = project_dir
        self._work_dir = work_dir
        self._timeout_s = timeout_s
        self._environment = environment
        self._cancelled = threading.Event()
        self._numbers = itertools.count()

    def cancel(self) -> None:
        """End all runs, and start none any more."""
        self._cancelled.set()

    def run(self, item: dict[str, Any]) -> Outcome:
        """Run the role on an object and tell how it ended. Never raises for a run that went wrong."""
        if self._cancelled.is_set():
            return Outcome(False, Reason.RUN_CANCELLED, "the operator is stopping", "transient")
        number = str(next(self._numbers))
        run_id = f"{processes.operator_id()}-{number}"
        folder = processes.own_folder(self._work_dir, "run", number)
        record = _Record()
        try:
            _prepare(folder, item)
            self._start(folder, run_id, item, record)
        finally:
            processes.kill_run(run_id)
            shutil.rmtree(folder, ignore_errors=True)
        return self._outcome(record)

    def _start(self, folder: Path, run_id: str, item: dict[str, Any], record: _Record) -> None:
        ansible_runner.run(
            private_data_dir=str(folder),
            project_dir=str(self._project_dir),
            playbook=str(self._project_dir / "playbooks" / "reconcile.yml"),
            inventory="localhost,",
            ident="run",
            envvars=self._envvars(folder, run_id),
            quiet=True,
            # In the main thread ansible-runner would replace our SIGTERM handler; with a callback of ours it does not.
            cancel_callback=_Deadline(run_id, self._timeout_s, self._cancelled, record),
            event_handler=_EventHandler(item, run_id, record),
            settings={"suppress_env_files": True, "suppress_ansible_output": True},
        )

    def _envvars(self, folder: Path, run_id: str) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {
            **passed_on,
            **self._environment,
            # ansible-playbook of the same installation as this program, wherever that is.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{passed_on.get('PATH', os.defpath)}",
            processes.RUN_ID: run_id,
            "TMPDIR": str(folder / "tmp"),
            # An empty one of its own: no ansible.cfg of the machine has a say.
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_HOME": str(folder / "home"),
            "ANSIBLE_LOCAL_TEMP": str(folder / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(folder / "tmp"),
            "ANSIBLE_ROLES_PATH": str(self._project_dir / "roles"),
            # Without it stock Ansible writes the Secret's value into a temporary file.
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_RETRY_FILES_ENABLED": "0",
            "ANSIBLE_LOCALHOST_WARNING": "0",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_NOCOWS": "1",
        }

    def _outcome(self, record: _Record) -> Outcome:
        if record.outcome:
            given = record.outcome
            return Outcome(
                is_done=bool(given["done"]),
                reason=Reason(given["reason"]),
                message=str(given["message"]),
                retry=str(given["retry"]),
                changed=tuple(given["changed"]),
                status=dict(given["status"]),
            )
        if record.end is Reason.RUN_TIMEOUT:
            message = f"the run was ended after {self._timeout_s:g} s (--run-timeout)"
            return Outcome(False, Reason.RUN_TIMEOUT, message, "transient")
        if record.end is Reason.RUN_CANCELLED:
            return Outcome(False, Reason.RUN_CANCELLED, "the operator is stopping", "transient")
        return Outcome(False, Reason.RUN_FAILED, record.failure or "the run ended without an outcome", "transient")


def extra_vars(item: dict[str, Any]) -> dict[str, Any]:
    """The one extra-var: the CR as JSON text that Ansible never evaluates.

    Marking each string would not do: a map key named ``__ansible_unsafe`` in the CR undoes all marks.
    """
    metadata = item["metadata"]
    kept = ("name", "namespace", "uid", "generation", "deletionTimestamp")
    cr = {
        "apiVersion": item.get("apiVersion", "agill.apps/v1alpha1"),
        "kind": item.get("kind", "S3"),
        "metadata": {name: metadata[name] for name in kept if name in metadata},
        "spec": item.get("spec") or {},
    }
    return {"s3bucket_cr_json": {"__ansible_unsafe": json.dumps(cr)}}


def _prepare(folder: Path, item: dict[str, Any]) -> None:
    for name in ("env", "tmp", "home"):
        (folder / name).mkdir(mode=0o700)
    (folder / "ansible.cfg").touch()
    (folder / "env" / "extravars").write_text(json.dumps(extra_vars(item)))


class _Deadline:
    """ansible-runner asks it again and again whether to cancel. SIGTERM first, and 5 s to hear it."""

    def __init__(self, run_id: str, timeout_s: float, cancelled: threading.Event, record: _Record) -> None:
        self._run_id = run_id
        self._deadline = time.monotonic() + timeout_s
        self._cancelled = cancelled
        self._record = record
        self._killed_at: float | None = None

    def __call__(self) -> bool:
        now = time.monotonic()
        if self._killed_at is None and (self._cancelled.is_set() or now > self._deadline):
            self._record.end = Reason.RUN_CANCELLED if self._cancelled.is_set() else Reason.RUN_TIMEOUT
            self._killed_at = now + _TERM_GRACE_S
            processes.terminate_run(self._run_id)
        return self._killed_at is not None and now > self._killed_at


class _EventHandler:
    """Takes the outcome, the failure and the changed tasks from ansible-runner's events; keeps none on disk."""

    def __init__(self, item: dict[str, Any], run_id: str, record: _Record) -> None:
        metadata = item["metadata"]
        self._fields = {"namespace": metadata["namespace"], "name_": metadata["name"], "run": run_id}
        self._record = record

    def __call__(self, event: dict[str, Any]) -> bool:
        kind, data = event.get("event"), event.get("event_data") or {}
        if kind == "playbook_on_stats":
            self._record.outcome = (data.get("artifact_data") or {}).get(_OUTCOME) or {}
        elif kind in ("runner_on_failed", "runner_on_unreachable"):
            self._record.failure = _failure(data)
            _LOG.info("task failed", extra={**self._fields, "task": data.get("task"), "error": self._record.failure})
        elif kind == "runner_on_ok" and (data.get("res") or {}).get("changed"):
            _LOG.info("task changed something", extra={**self._fields, "task": data.get("task")})
        return False


def _failure(data: dict[str, Any]) -> str:
    result = data.get("res") or {}
    # A censored result has no message; Ansible says so in its place.
    message = "" if "censored" in result else str(result.get("msg", ""))
    return f"{data.get('task', 'a task')}: {message}"[:_MAX_MESSAGE]
