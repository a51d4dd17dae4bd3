"""``python -m dev.cluster up|down``: Kubernetes and AWS that stay up after the command, for development.

``up`` writes ``build/cluster.env``, to be sourced, and ``build/cluster.json``, by which ``down`` knows the
processes: each by its pid and start time, so that no other process is ever ended.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from runner.processes import operator_id

from .aws import Aws
from .binaries import find_binaries
from .controlplane import ControlPlane

_PROJECT = Path(__file__).parents[1]
_BUILD = _PROJECT / "build"
_FOLDER = _BUILD / "cluster"
_STATE = _BUILD / "cluster.json"
_ENV = _BUILD / "cluster.env"
_STOP_S = 20.0


def install_crd(kubeconfig: Path) -> None:
    """Install the CRD and wait until it is served."""
    kubectl = [str(find_binaries()["kubectl"]), "--kubeconfig", str(kubeconfig)]
    subprocess.run(
        [*kubectl, "apply", "--server-side", "--force-conflicts", "-f", str(_PROJECT / "crds")],
        check=True,
        stdout=sys.stderr,
    )
    wait = ["wait", "--for=condition=Established", "crd/s3s.agill.apps", "--timeout=60s"]
    subprocess.run([*kubectl, *wait], check=True, stdout=sys.stderr)


def up() -> None:
    """Bring both up. An earlier cluster of this folder that is still running is an error."""
    if _STATE.exists() and any(_is_running(name) for name in json.loads(_STATE.read_text())):
        sys.exit("a cluster of this folder is running already: . build/cluster.env, or make cluster-down")
    shutil.rmtree(_FOLDER, ignore_errors=True)
    plane, aws = ControlPlane(_FOLDER / "kubernetes", is_tied=False), Aws(_FOLDER / "aws", is_tied=False)
    try:
        plane.start()
        aws.start()
        install_crd(plane.kubeconfig)
    except BaseException:
        plane.stop()
        aws.stop()
        raise
    _STATE.write_text(json.dumps([operator_id(pid) for pid in [*aws.pids, *plane.pids]]))
    values = {"KUBECONFIG": str(plane.kubeconfig), "AWS_REGION": aws.region, **aws.env()}
    _ENV.touch(mode=0o600)
    lines = ["unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_CA_BUNDLE"]
    _ENV.write_text("\n".join([*lines, *(f"export {name}='{value}'" for name, value in values.items())]) + "\n")
    print("Kubernetes and AWS are up. Next:\n  . build/cluster.env && .venv/bin/s3-operator run")


def down() -> None:
    """End what ``up`` started and remove its data."""
    if not _STATE.exists():
        print("no cluster of this folder is running")
        return
    names = json.loads(_STATE.read_text())
    for number in (signal.SIGTERM, signal.SIGKILL):
        for name in filter(_is_running, names):
            os.kill(int(name.partition("-")[0]), number)
        deadline = time.monotonic() + _STOP_S
        while any(map(_is_running, names)) and time.monotonic() < deadline:
            time.sleep(0.1)
    for path in (_STATE, _ENV):
        path.unlink(missing_ok=True)
    shutil.rmtree(_FOLDER, ignore_errors=True)
    print("stopped")


def _is_running(name: str) -> bool:
    pid = int(name.partition("-")[0])
    return operator_id(pid) == name and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


if __name__ == "__main__":
    {"up": up, "down": down}[sys.argv[1]]()
