"""The operator as a separate process, and its S3 objects as tests read them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dev.wait import wait_until
from s3bucket.api import GROUP, PLURAL, VERSION
from tests.support.world import CLUSTER, PROJECT, World, requests_of


class Operator:
    """One ``s3-operator`` process. Its log is in JSON lines."""

    def __init__(
        self,
        world: World,
        folder: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        work_dir: Path | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.log_file = folder / "operator.log"
        self.work_dir = work_dir or folder / "work"
        command = [str(Path(sys.executable).parent / "s3-operator"), "run"]
        command += ["--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"]
        command += ["--work-dir", str(self.work_dir), "--cluster-name", CLUSTER, "--iam-settle", "0"]
        # Only tests/cluster/test_verification.py turns it on: other tests count requests.
        command += ["--no-verify-credentials"]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*prefix, *command, *arguments],
                env=environment or world.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=PROJECT.parent,
            )

    def lines(self, message: str) -> list[dict[str, Any]]:
        """The log lines with this message."""
        found = []
        # Ignore the last line, which may be incomplete.
        for line in self.log_file.read_text().rpartition("\n")[0].splitlines():
            if line.startswith("{"):
                record = json.loads(line)
                if record["msg"] == message:
                    found.append(record)
        return found

    def runs_of(self, cr: dict[str, Any]) -> list[dict[str, Any]]:
        """The logged ends of runs for an object. At log level debug these are all runs."""
        return [line for line in self.lines("reconciled") if line["name"] == cr["metadata"]["name"]]

    def reconciles_of(self, cr: dict[str, Any]) -> list[dict[str, Any]]:
        """The runs for an object, and the drift checks that needed no run."""
        checks = [line for line in self.lines("checked") if line["name"] == cr["metadata"]["name"]]
        return [*self.runs_of(cr), *checks]

    def port(self, path: str) -> int:
        """The port that serves a path."""
        lines = wait_until(lambda: [line for line in self.lines("serving") if path in line["paths"]], f"serving {path}")
        return int(lines[-1]["port"])

    def stop(self, timeout_s: float = 40.0) -> int:
        """Send SIGTERM, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        """Send SIGKILL if the process still exists."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()


StartOperator = Callable[..., Operator]


def live(world: World, cr: dict[str, Any]) -> dict[str, Any] | None:
    """The current object."""
    metadata = cr["metadata"]
    found = world.custom.list_namespaced_custom_object(
        GROUP, VERSION, metadata["namespace"], PLURAL, field_selector=f"metadata.name={metadata['name']}"
    )["items"]
    return found[0] if found else None


def condition(world: World, cr: dict[str, Any], name: str = "Ready") -> dict[str, Any]:
    """A condition of the current object."""
    found = (live(world, cr) or {}).get("status", {}).get("conditions", [])
    return next((item for item in found if item["type"] == name), {})


def wait_ready(world: World, cr: dict[str, Any], generation: int = 1) -> dict[str, Any]:
    """Wait for Ready=True in a generation."""

    def check() -> dict[str, Any] | None:
        found = condition(world, cr)
        is_ready = found.get("status") == "True" and found.get("observedGeneration") == generation
        return found if is_ready else None

    found = wait_until(check, f"Ready of {cr['metadata']['name']}")
    assert found is not None
    return found


def delete(world: World, cr: dict[str, Any]) -> None:
    """Request the deletion of the object."""
    metadata = cr["metadata"]
    world.custom.delete_namespaced_custom_object(GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"])


def wait_gone(world: World, cr: dict[str, Any]) -> None:
    """Wait until the object no longer exists in the API server."""
    wait_until(lambda: live(world, cr) is None, f"{cr['metadata']['name']} gone")


def event_reasons(world: World, cr: dict[str, Any]) -> list[str]:
    """The reasons of the Events about the object, oldest first."""
    events = world.core.list_namespaced_event(cr["metadata"]["namespace"]).items
    mine = [event for event in events if event.involved_object.uid == cr["metadata"]["uid"]]
    return [event.reason for event in sorted(mine, key=lambda event: int(event.metadata.resource_version))]


def patch(world: World, cr: dict[str, Any], body: dict[str, Any]) -> None:
    metadata = cr["metadata"]
    world.custom.patch_namespaced_custom_object(GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"], body)


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def plan(world: World, folder: Path, *arguments: str, **environment: str | None) -> subprocess.CompletedProcess[str]:
    """Run the command to its end. It must change nothing and leave nothing behind.

    An environment variable with the value None is removed.
    """
    merged = {**world.environment(), **environment}
    command = [str(Path(sys.executable).parent / "s3-operator"), "plan", "--work-dir", str(folder / "work")]
    with requests_of(world) as requests:
        done = subprocess.run(
            [*command, *arguments],
            env={name: value for name, value in merged.items() if value is not None},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert [request["action"] for request in requests if request["write"]] == []
    assert "Traceback" not in done.stderr
    assert list((folder / "work").iterdir()) == []
    return done
