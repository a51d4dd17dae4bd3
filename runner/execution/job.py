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
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import ansible_runner
from ansible_runner.utils import get_callback_dir

from runner.execution import processes
from runner.execution.environment import ansible_environment, make_folders
from runner.objects import JsonObject, Key, Owned, S3Object
from s3bucket.api import API_VERSION
from s3bucket.outcome import Outcome, Reason
from s3bucket.role_settings import RoleSettings

_LOG = logging.getLogger(__name__)
_TERM_GRACE_S = 5.0
_MAX_MESSAGE = 500
# Ansible writes modules and results in files of some KiB each; with less left a run fails in any of its tasks.
_MIN_FREE = 64 * 1024
_RESULT = "s3bucket_result"
# The role's first module, which decides what the others write.
_READER = "s3bucket_info"
# The loop reads the result; a run that fails is one without a result.
_NEVER_FAILS = {"s3bucket_fail_on_error": False}


@dataclass
class _Record:
    """What ansible-runner's events said so far."""

    outcome: JsonObject = field(default_factory=dict)
    failure: str = ""
    # The modules of the tasks that failed.
    failed: list[str] = field(default_factory=list)
    end: Reason | None = None


class Warm(Protocol):
    """What makes runs quick, if it is there."""

    def find_path(self) -> Path | None:
        """A folder for the PATH with another ansible-playbook; None for the stock one. Waits until that is known."""

    def end_waiting(self) -> None:
        """Nobody waits in :meth:`find_path` any more."""


class AnsibleJob:
    """Runs the playbook.

    :param project_dir: the folder that holds ``playbooks/`` and ``roles/``
    :param work_dir: where runs have their folders; memory-backed, as a run's files hold secrets
    :param warm: None runs the stock ansible-playbook
    """

    def __init__(
        self,
        project_dir: Path,
        work_dir: Path,
        timeout_s: float,
        settings: RoleSettings,
        warm: Warm | None = None,
    ) -> None:
        self._project_dir = project_dir
        self._work_dir = work_dir
        self._timeout_s = timeout_s
        self._settings = settings
        self._warm = warm
        self._cancelled = threading.Event()
        self._numbers = itertools.count()

    def cancel(self) -> None:
        """End all runs, and start none any more."""
        self._cancelled.set()
        if self._warm:
            self._warm.end_waiting()

    def run(self, s3: S3Object) -> Outcome:
        """Run the role on an object and return how it ended. Never raises for a run that went wrong."""
        return self._run("reconcile.yml", extra_vars(s3, self._settings), s3.key)

    def deactivate(self, user: Owned, cluster: str) -> Outcome:
        """Deactivate the keys of an IAM user that no S3 object names, as :meth:`run` does everything else."""
        return self._run("deactivate.yml", orphan_vars(user, cluster), user.key)

    def _run(self, playbook: str, variables: JsonObject, key: Key) -> Outcome:
        if self._cancelled.is_set():
            return Outcome.failure(Reason.RUN_CANCELLED, "the operator is stopping")
        run_id = f"{processes.operator_id()}-{next(self._numbers)}"
        record = _Record()
        try:
            self._run_in_folder(run_id, playbook, variables, _EventHandler(key, run_id, record))
        except OSError as error:
            record.failure = f"the work directory cannot be used: {error.strerror}: free space, or change --work-dir"
        return self._outcome(record)

    def _run_in_folder(self, run_id: str, playbook: str, variables: JsonObject, handler: _EventHandler) -> None:
        folder = processes.own_folder(self._work_dir, "run", run_id.rpartition("-")[2])
        try:
            _prepare(folder, variables)
            self._start(folder, run_id, playbook, handler)
            if not handler.record.outcome and _is_full(folder):
                handler.record.failure = "the work directory is full: free space, or change --work-dir"
        finally:
            processes.kill_run(run_id)
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, folder: Path, run_id: str, playbook: str, handler: _EventHandler) -> None:
        variables = self._envvars(folder, run_id)
        if self._cancelled.is_set():
            # While it waited for the warm process.
            handler.record.end = Reason.RUN_CANCELLED
            return
        ansible_runner.run(
            private_data_dir=str(folder),
            project_dir=str(self._project_dir),
            playbook=str(self._project_dir / "playbooks" / playbook),
            inventory="localhost,",
            ident="run",
            envvars=variables,
            quiet=True,
            # In the main thread ansible-runner would replace our SIGTERM handler; with a callback of ours it does not.
            cancel_callback=_Deadline(run_id, self._timeout_s, self._cancelled, handler.record),
            event_handler=handler,
            settings={"suppress_env_files": True, "suppress_ansible_output": True},
        )

    def _envvars(self, folder: Path, run_id: str) -> dict[str, str]:
        environment = ansible_environment(self._project_dir, folder, run_id, {})
        shim = self._warm.find_path() if self._warm else None
        if shim:
            # ansible_runner.run(binary=...) would drop the playbook: the shim goes by the PATH.
            environment["PATH"] = f"{shim}{os.pathsep}{environment['PATH']}"
        return environment

    def _outcome(self, record: _Record) -> Outcome:
        if record.outcome:
            # Untouched: the module that only reads refused the object. Tasks that write come after it.
            return replace(Outcome.from_record(record.outcome), is_untouched=record.failed == [_READER])
        if record.end is Reason.RUN_TIMEOUT:
            message = f"the run was ended after {self._timeout_s:g} s (--run-timeout)"
            return Outcome.failure(Reason.RUN_TIMEOUT, message)
        if record.end is Reason.RUN_CANCELLED:
            return Outcome.failure(Reason.RUN_CANCELLED, "the operator is stopping")
        return Outcome.failure(Reason.RUN_FAILED, record.failure or "the run ended without an outcome")


def callback_environment() -> dict[str, str]:
    """What ansible-runner sets for each run and Ansible reads when it is imported."""
    return {"ANSIBLE_CALLBACK_PLUGINS": get_callback_dir(), "ANSIBLE_STDOUT_CALLBACK": "awx_display"}


def extra_vars(s3: S3Object, settings: RoleSettings) -> JsonObject:
    """The extra-vars of a run: the CR and the role's settings as JSON texts that Ansible never evaluates.

    Marking each string would not do: a map key named ``__ansible_unsafe`` in the CR undoes all marks.
    """
    kept = ("name", "namespace", "uid", "generation", "deletionTimestamp")
    cr = {
        "apiVersion": s3.item.get("apiVersion", API_VERSION),
        "kind": s3.item.get("kind", "S3"),
        "metadata": {name: s3.metadata[name] for name in kept if name in s3.metadata},
        "spec": s3.item.get("spec") or {},
    }
    return {
        "s3bucket_cr_json": {"__ansible_unsafe": json.dumps(cr)},
        "s3bucket_operator_settings_json": {"__ansible_unsafe": json.dumps(settings.to_record())},
        **_NEVER_FAILS,
    }


def orphan_vars(user: Owned, cluster: str) -> JsonObject:
    """The extra-vars of a deactivation, in the same form."""
    owner = {"cluster": cluster, "namespace": user.namespace, "name": user.object_name, "uid": user.uid}
    text = json.dumps({"user": user.name, "owner": owner, "region": user.region})
    return {"s3bucket_orphan_json": {"__ansible_unsafe": text}, **_NEVER_FAILS}


def _prepare(folder: Path, variables: JsonObject) -> None:
    make_folders(folder)
    (folder / "env").mkdir(mode=0o700)
    (folder / "env" / "extravars").write_text(json.dumps(variables))


def _is_full(folder: Path) -> bool:
    space = os.statvfs(folder)
    # Zero inodes in all: a file system that does not count them.
    return space.f_bavail * space.f_frsize < _MIN_FREE or (space.f_files > 0 and space.f_favail == 0)


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

    def __init__(self, key: Key, run_id: str, record: _Record) -> None:
        self._fields = {"namespace": key[0], "name_": key[1], "run": run_id}
        self.record = record

    def __call__(self, event: JsonObject) -> bool:
        kind, data = event.get("event"), event.get("event_data") or {}
        if kind == "playbook_on_stats":
            self.record.outcome = (data.get("artifact_data") or {}).get(_RESULT) or {}
        elif kind in ("runner_on_failed", "runner_on_unreachable"):
            self.record.failure = _failure(data)
            self.record.failed.append(str(data.get("task_action")))
            _LOG.info("task failed", extra={**self._fields, "task": data.get("task"), "error": self.record.failure})
        elif kind == "runner_on_ok" and (data.get("res") or {}).get("changed"):
            _LOG.info("task changed something", extra={**self._fields, "task": data.get("task")})
        return False


def _failure(data: JsonObject) -> str:
    result = data.get("res") or {}
    # A censored result has no message; Ansible says so in its place.
    message = "" if "censored" in result else str(result.get("msg", ""))
    return f"{data.get('task', 'a task')}: {message}"[:_MAX_MESSAGE]
