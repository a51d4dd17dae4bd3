"""The operator's own job in the process of a test, as its workers have it, and the processes of its runs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from pathlib import Path

from runner.execution import processes
from runner.execution.environment import ansible_environment, make_folders
from runner.execution.job import AnsibleJob, callback_environment
from runner.execution.warm.process import WarmProcess
from runner.objects import Key
from s3bucket.outcome import Outcome
from s3bucket.role_settings import RoleSettings
from tests.support.world import PROJECT, SETTINGS, World

RUN_TIMEOUT_S = 240.0
_GIVEN = ("AWS_", "KUBECONFIG")


class GatedJob(AnsibleJob):
    """A job with the settings of the tests, or others. Its runs have additional environment variables."""

    def __init__(
        self, work_dir: Path, environment: dict[str, str], warm: WarmProcess | None, settings: RoleSettings = SETTINGS
    ) -> None:
        super().__init__(PROJECT, work_dir, RUN_TIMEOUT_S, settings, warm)
        self._more = environment

    def _envvars(self, folder: Path, run_id: str, key: Key) -> dict[str, str]:
        return {**super()._envvars(folder, run_id, key), **self._more}


def job_environment(world: World, kubeconfig: Path) -> dict[str, str]:
    """The environment of a job. A run sees no other variable of this process."""
    environment = world.environment(KUBECONFIG=str(kubeconfig))
    return {name: value for name, value in environment.items() if name.startswith(_GIVEN)}


def make_warm(work_dir: Path, settings: dict[str, str]) -> WarmProcess:
    """A warm process that is not started yet, with its directory in the work directory."""
    home = processes.own_folder(work_dir, "warm")
    make_folders(home)
    run_id = f"{processes.operator_id()}-warm".ljust(64, "-")
    return WarmProcess(home, ansible_environment(PROJECT, home, run_id, {**settings, **callback_environment()}))


class Work:
    """A run in a thread."""

    def __init__(self, run: Callable[[], Outcome]) -> None:
        self._outcomes: list[Outcome] = []
        self._thread = threading.Thread(target=lambda: self._outcomes.append(run()), daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def outcome(self) -> Outcome:
        """Wait for the end of the run, and return its outcome."""
        self._thread.join(RUN_TIMEOUT_S)
        assert self._outcomes, "the run did not end"
        return self._outcomes[0]


def processes_of(owner: str, *, with_warm: bool = False) -> list[int]:
    """The live processes of an operator's runs and, if requested, its warm process."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            run_id = _run_id_in((folder / "environ").read_bytes()) if folder.name.isdigit() else ""
            if run_id.startswith(f"{owner}-") and (with_warm or not run_id.startswith(f"{owner}-warm")):
                found.append(int(folder.name))
    return found


def _run_id_in(environment: bytes) -> str:
    mark = f"{processes.RUN_ID}=".encode()
    found = (item.removeprefix(mark) for item in environment.split(b"\0") if item.startswith(mark))
    return next(found, b"").decode()
