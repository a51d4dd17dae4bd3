"""One run of ``playbooks/operator.yml`` for one object, through ansible-runner.

The CR is passed as one extra-var of fixed shape, so that nothing in it is ever a template. The playbook's last
set_stats returns one outcome record. Each run has its own 0700 folder, which is removed afterwards. Called in worker
threads. A run that takes too long, or is cancelled, is ended with all its descendants.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import ansible_runner
from ansible_runner.utils import get_callback_dir

from runner.execution import processes
from runner.execution.environment import ansible_environment, make_folders
from runner.objects import JsonObject, Key, Owned, S3Object
from s3bucket.api import API_VERSION
from s3bucket.capabilities import Capabilities
from s3bucket.outcome import Outcome, Reason
from s3bucket.role_settings import RoleSettings
from s3bucket.rotation import KEEP_OLD_KEY, ROTATE_KEY

_LOG = logging.getLogger(__name__)
_TERM_GRACE_S = 5.0
_MAX_MESSAGE = 500
# Ansible writes modules and results in files of some KiB each. With less free space a run may fail in any of its tasks.
_MIN_FREE = 64 * 1024
# A tenth of the CPU that a run with normal priority gets, where there is not enough for both.
_NICE = 10
_RESULT = "s3bucket_result"
# The role's first module, which decides what the other modules write.
_READER = "s3bucket_info"
# The control loop reads the result of failed objects, too. So only a run without a result is a failed run.
_NEVER_FAILS = {"s3bucket_fail_on_error": False}


@dataclass
class _Record:
    """The data of ansible-runner's events so far."""

    outcome: JsonObject = field(default_factory=dict)
    failure: str = ""
    # The modules of the tasks that failed.
    failed: list[str] = field(default_factory=list)
    end: Reason | None = None


@dataclass(frozen=True)
class _Request:
    """What is run, with which extra-vars, about which object."""

    playbook: str
    variables: JsonObject
    key: Key
    uid: str = ""


class Warm(Protocol):
    """Provides warm runs, when they are available."""

    def find_path(self) -> Path | None:
        """A folder for the PATH with another ansible-playbook; None for the stock one. Waits until this is decided."""

    def end_waiting(self) -> None:
        """End the waiting in :meth:`find_path`."""


class AnsibleJob:
    """Runs the playbook.

    :param project_dir: the folder that holds ``playbooks/`` and ``roles/``
    :param work_dir: the folder for the runs' folders; memory-backed, because a run's files hold secrets
    :param warm: None runs the stock ansible-playbook
    :param find_capabilities: what is known of a store; None: the role finds it out in each run
    :param has_backlog: whether the run for an object is one of many for its namespace. Such a run has a lower priority,
        so that many of them do not make the run of another namespace slow. Warm runs only
    :param is_revoked: whether the run on the object with a uid must end; empty for a run on no object
    """

    def __init__(  # noqa: PLR0913 - options, each with a default
        self,
        project_dir: Path,
        work_dir: Path,
        timeout_s: float,
        settings: RoleSettings,
        warm: Warm | None = None,
        *,
        find_capabilities: Callable[[], Capabilities | None] = lambda: None,
        has_backlog: Callable[[Key], bool] = lambda _: False,
        is_revoked: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._is_revoked = is_revoked
        # The uids of the objects of the runs that go on, by run id.
        self._running: dict[str, str] = {}
        self._find_capabilities = find_capabilities
        self._has_backlog = has_backlog
        self._project_dir = project_dir
        self._work_dir = work_dir
        self._timeout_s = timeout_s
        self._settings = settings
        self._warm = warm
        self._cancelled = threading.Event()
        self._numbers = itertools.count()

    def cancel(self) -> None:
        """End all runs, and start no new ones."""
        self._cancelled.set()
        if self._warm:
            self._warm.end_waiting()

    def kill(self, is_concerned: Callable[[str], bool]) -> None:
        """Kill the runs on the objects with these uids at once. Returns when nothing is left of them."""
        for run_id, uid in list(self._running.items()):
            if is_concerned(uid):
                processes.kill_run(run_id)

    def run(self, s3: S3Object) -> Outcome:
        """Run the role on an object and return the outcome. A failed run is an outcome, never an exception."""
        settings = replace(self._settings, capabilities=self._find_capabilities())
        return self._run(_Request("operator.yml", extra_vars(s3, settings), s3.key, s3.uid))

    def deactivate(self, user: Owned, cluster: str) -> Outcome:
        """Deactivate the keys of an IAM user that no S3 object names. Limits and errors are those of :meth:`run`."""
        return self._run(_Request("deactivate.yml", orphan_vars(user, cluster, self._settings.provider), user.key))

    def _run(self, request: _Request) -> Outcome:
        if self._cancelled.is_set():
            return Outcome.failure(
                Reason.RUN_CANCELLED, "the operator is stopping, or another replica takes the object over"
            )
        run_id = f"{processes.operator_id()}-{next(self._numbers)}"
        record = _Record()
        # Before it asks whether the run is revoked: whoever kills the revoked ones then finds it, or it finds out.
        self._running[run_id] = request.uid
        try:
            self._run_in_folder(run_id, request, _EventHandler(request.key, run_id, record))
        except OSError as error:
            record.failure = f"the work directory cannot be used: {error.strerror}: free space, or change --work-dir"
        finally:
            del self._running[run_id]
        if not record.failure and record.end is None and self._must_end(request.uid):
            # It was killed from outside, and not asked again whether to end.
            record.end = Reason.RUN_CANCELLED
        return self._outcome(record)

    def _run_in_folder(self, run_id: str, request: _Request, handler: _EventHandler) -> None:
        folder = processes.own_folder(self._work_dir, "run", run_id.rpartition("-")[2])
        try:
            _prepare(folder, request.variables)
            self._start(folder, run_id, request, handler)
            if not handler.record.outcome and _is_full(folder):
                handler.record.failure = "the work directory is full: free space, or change --work-dir"
        finally:
            processes.kill_run(run_id)
            shutil.rmtree(folder, ignore_errors=True)

    def _start(self, folder: Path, run_id: str, request: _Request, handler: _EventHandler) -> None:
        variables = self._envvars(folder, run_id, request.key)
        if self._must_end(request.uid):
            # Cancelled while it waited for the warm process.
            handler.record.end = Reason.RUN_CANCELLED
            return
        ansible_runner.run(
            private_data_dir=str(folder),
            project_dir=str(self._project_dir),
            playbook=str(self._project_dir / "playbooks" / request.playbook),
            inventory="localhost,",
            ident="run",
            envvars=variables,
            quiet=True,
            # In the main thread ansible-runner would replace the SIGTERM handler, unless it gets a cancel callback.
            cancel_callback=_Deadline(run_id, self._timeout_s, lambda: self._must_end(request.uid), handler.record),
            event_handler=handler,
            settings={"suppress_env_files": True, "suppress_ansible_output": True},
        )

    def _must_end(self, uid: str) -> bool:
        return self._cancelled.is_set() or self._is_revoked(uid)

    def _envvars(self, folder: Path, run_id: str, key: Key) -> dict[str, str]:
        # _EventHandler uses no other events.
        more = {processes.ONLY_CHANGES: "1"}
        if self._has_backlog(key):
            more[processes.NICE] = str(_NICE)
        environment = ansible_environment(self._project_dir, folder, run_id, more)
        shim = self._warm.find_path() if self._warm else None
        if shim:
            # ansible_runner.run(binary=...) would drop the playbook, so the shim is found by the PATH.
            environment["PATH"] = f"{shim}{os.pathsep}{environment['PATH']}"
        return environment

    def _outcome(self, record: _Record) -> Outcome:
        if record.outcome:
            # Untouched: the module that only reads refused the object. All tasks that write come after it.
            return replace(Outcome.from_record(record.outcome), is_untouched=record.failed == [_READER])
        if record.end is Reason.RUN_TIMEOUT:
            message = f"the run was ended after {self._timeout_s:g} s (--run-timeout)"
            return Outcome.failure(Reason.RUN_TIMEOUT, message)
        if record.end is Reason.RUN_CANCELLED:
            return Outcome.failure(
                Reason.RUN_CANCELLED, "the operator is stopping, or another replica takes the object over"
            )
        return Outcome.failure(Reason.RUN_FAILED, record.failure or "the run ended without an outcome")


def _close_at_once(stock: Callable[..., None]) -> Callable[..., None]:
    """The ``close`` of pexpect, which sleeps 0.1 s. ansible-runner calls it when the process has ended."""

    def close(self: Any, force: bool = True) -> None:
        self.ptyproc.delayafterclose = 0
        stock(self, force)

    return close


_spawn = ansible_runner.runner.pexpect.spawn
_spawn.close = _close_at_once(_spawn.close)


def callback_environment() -> dict[str, str]:
    """The variables that ansible-runner sets for each run, and that Ansible reads when it is imported."""
    return {"ANSIBLE_CALLBACK_PLUGINS": get_callback_dir(), "ANSIBLE_STDOUT_CALLBACK": "awx_display"}


def extra_vars(s3: S3Object, settings: RoleSettings) -> JsonObject:
    """The extra-vars of a run: the CR and the role's settings as JSON texts that Ansible never evaluates.

    Marking each string as unsafe would not be enough: a map key named ``__ansible_unsafe`` in the CR removes all marks.
    """
    kept = ("name", "namespace", "uid", "generation", "deletionTimestamp")
    annotations = {name: s3.annotations[name] for name in (ROTATE_KEY, KEEP_OLD_KEY) if name in s3.annotations}
    cr = {
        "apiVersion": s3.item.get("apiVersion", API_VERSION),
        "kind": s3.item.get("kind", "S3"),
        "metadata": {
            **{name: s3.metadata[name] for name in kept if name in s3.metadata},
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": s3.item.get("spec") or {},
    }
    return {
        "s3bucket_cr_json": {"__ansible_unsafe": json.dumps(cr)},
        "s3bucket_operator_settings_json": {"__ansible_unsafe": json.dumps(settings.to_record())},
        **_NEVER_FAILS,
    }


def orphan_vars(user: Owned, cluster: str, provider: str) -> JsonObject:
    """The extra-vars of a deactivation, in the same form."""
    owner = {"cluster": cluster, "namespace": user.namespace, "name": user.object_name, "uid": user.uid}
    text = json.dumps({"user": user.name, "owner": owner, "region": user.region, "provider": provider})
    return {"s3bucket_orphan_json": {"__ansible_unsafe": text}, **_NEVER_FAILS}


def _prepare(folder: Path, variables: JsonObject) -> None:
    make_folders(folder)
    (folder / "env").mkdir(mode=0o700)
    (folder / "env" / "extravars").write_text(json.dumps(variables))


def _is_full(folder: Path) -> bool:
    space = os.statvfs(folder)
    # A total of zero inodes means that the file system does not count them.
    return space.f_bavail * space.f_frsize < _MIN_FREE or (space.f_files > 0 and space.f_favail == 0)


class _Deadline:
    """ansible-runner calls it repeatedly to ask whether to cancel. The run gets SIGTERM first, and has 5 s to end."""

    def __init__(self, run_id: str, timeout_s: float, is_cancelled: Callable[[], bool], record: _Record) -> None:
        self._run_id = run_id
        self._deadline = time.monotonic() + timeout_s
        self._is_cancelled = is_cancelled
        self._record = record
        self._killed_at: float | None = None

    def __call__(self) -> bool:
        now = time.monotonic()
        if self._killed_at is None and ((is_cancelled := self._is_cancelled()) or now > self._deadline):
            self._record.end = Reason.RUN_CANCELLED if is_cancelled else Reason.RUN_TIMEOUT
            self._killed_at = now + _TERM_GRACE_S
            processes.terminate_run(self._run_id)
        return self._killed_at is not None and now > self._killed_at


class _EventHandler:
    """Collects the outcome, the failure and the changed tasks from ansible-runner's events. Stores no event on disk."""

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
    # A censored result has no message, only Ansible's note about the censoring.
    message = "" if "censored" in result else str(result.get("msg", ""))
    return f"{data.get('task', 'a task')}: {message}"[:_MAX_MESSAGE]
