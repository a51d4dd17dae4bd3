"""``python -m dev.cluster up|down [FOLDER]``: Kubernetes and AWS that stay up after the command.

For development (the folder is ``build``) and for Molecule. ``up`` writes ``cluster.env``, to be sourced, and
``cluster.json``: the same environment, and the processes by pid and start time, so that ``down`` never ends another
one.
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

from runner.execution.processes import operator_id, read_stat

from .aws import Aws
from .binaries import find_binaries
from .controlplane import ControlPlane

_PROJECT = Path(__file__).parents[1]
# Their data go as well: nothing is lost by not waiting longer.
_STOP_S = 3.0


def install_crd(kubeconfig: Path) -> None:
    """Install the CRD and wait until it is served."""
    kubectl = [str(find_binaries()["kubectl"]), "--kubeconfig", str(kubeconfig)]
    subprocess.run(
        [*kubectl, "apply", "--server-side", "--force-conflicts", "-f", str(_PROJECT / "crds")],
        check=True,
        stdout=sys.stderr,
    )
    # A new CRD has no conditions at all for a moment, on which kubectl fails: its names come with the first of them.
    for state in ("jsonpath={.status.acceptedNames.kind}=S3", "condition=Established"):
        wait = ["wait", f"--for={state}", "crd/s3s.agill.apps", "--timeout=60s"]
        subprocess.run([*kubectl, *wait], check=True, stdout=sys.stderr)


def up(base: Path) -> None:
    """Bring both up. An earlier cluster of this folder that is still running is an error."""
    if any(map(_is_running, _processes(base))):
        sys.exit(f"a cluster of this folder is running already: . {base}/cluster.env, or make cluster-down")
    shutil.rmtree(base / "cluster", ignore_errors=True)
    plane, aws = (
        ControlPlane(base / "cluster" / "kubernetes", is_tied=False),
        Aws(base / "cluster" / "aws", is_tied=False),
    )
    try:
        plane.start()
        aws.start()
        install_crd(plane.kubeconfig)
    except BaseException:
        plane.stop()
        aws.stop()
        raise
    environment = {"KUBECONFIG": str(plane.kubeconfig), "AWS_REGION": aws.region, **aws.env()}
    state = {
        "processes": [operator_id(pid) for pid in [*aws.pids, *plane.pids]],
        "environment": environment,
    }
    (base / "cluster.json").write_text(json.dumps(state))
    lines = ["unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_CA_BUNDLE"]
    lines += [f"export {name}='{value}'" for name, value in environment.items()]
    # kubectl, where the machine has none of its own.
    lines.append(f'export PATH="$PATH:{find_binaries()["kubectl"].parent}"')
    (base / "cluster.env").write_text("\n".join(lines) + "\n")
    print(f"Kubernetes and AWS are up. Next:\n  . {_shown(base)}/cluster.env && .venv/bin/s3-operator run")


def down(base: Path) -> None:
    """End what ``up`` started and remove its data."""
    names = _processes(base)
    if not names:
        print("no cluster of this folder is running")
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        for name in filter(_is_running, names):
            os.kill(int(name.partition("-")[0]), number)
        deadline = time.monotonic() + _STOP_S
        while any(map(_is_running, names)) and time.monotonic() < deadline:
            time.sleep(0.1)
    for name in ("cluster.json", "cluster.env"):
        (base / name).unlink(missing_ok=True)
    shutil.rmtree(base / "cluster", ignore_errors=True)
    print("stopped")


def _processes(base: Path) -> list[str]:
    state = base / "cluster.json"
    return list(json.loads(state.read_text())["processes"]) if state.exists() else []


def _shown(base: Path) -> Path:
    return base.relative_to(Path.cwd()) if base.is_relative_to(Path.cwd()) else base


def _is_running(name: str) -> bool:
    pid = int(name.partition("-")[0])
    return operator_id(pid) == name and not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    return read_stat(pid)[:1] in ([], ["Z"])


if __name__ == "__main__":
    {"up": up, "down": down}[sys.argv[1]](Path(sys.argv[2]).absolute() if len(sys.argv) > 2 else _PROJECT / "build")
