"""A Deployment's container as a process of this machine, where no node runs Pods.

Its command, arguments and environment are the Deployment's own, its volumes are folders, and a token of its
ServiceAccount is its only right in Kubernetes. ``python -m dev.deployment NAMESPACE NAME FOLDER`` becomes that process.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from .binaries import find_binaries
from .processes import plain_environment

_LASTS = "1h"


@dataclass(frozen=True)
class Container:
    """What to start."""

    command: list[str]
    environment: dict[str, str]


def read_container(kubeconfig: Path, namespace: str, name: str, folder: Path) -> Container:
    """The first container of a Deployment, with its volumes under ``folder``.

    :raises subprocess.CalledProcessError: when the API server does not have what the Deployment names
    :raises ValueError: for what a process cannot have, such as a volume of another kind than Secret and emptyDir
    """
    pod = _get(kubeconfig, namespace, f"deployment/{name}")["spec"]["template"]["spec"]
    container = pod["containers"][0]
    places = _make_volumes(kubeconfig, namespace, pod, container, folder)

    # In one pass: a folder's own path may hold a mount path, such as /tmp.
    mounts = re.compile("|".join(map(re.escape, places)) or "(?!)")

    def place(text: str) -> str:
        return mounts.sub(lambda found: str(places[found[0]]), text)

    given = {item["name"]: place(_value_of(item)) for item in container.get("env", [])}
    plain = {name: value for name, value in plain_environment().items() if name in ("PATH", "LANG")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{plain['PATH']}"
    token = _kubectl(kubeconfig, namespace, "create", "token", pod["serviceAccountName"], f"--duration={_LASTS}")
    own = write_kubeconfig(kubeconfig, token.strip(), folder / "kubeconfig")
    command = [*container["command"], *(place(argument) for argument in container["args"])]
    return Container(command, {**plain, **given, "PATH": path, "KUBECONFIG": str(own)})


def _make_volumes(
    kubeconfig: Path, namespace: str, pod: dict[str, Any], container: dict[str, Any], folder: Path
) -> dict[str, Path]:
    """Mount path -> folder, the longest first."""
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    places = {}
    for mount in sorted(container.get("volumeMounts", []), key=lambda mount: -len(mount["mountPath"])):
        path = folder / "volumes" / mount["name"]
        path.mkdir(parents=True, mode=0o700)
        places[mount["mountPath"]] = path
        volume = volumes[mount["name"]]
        if "secret" in volume:
            data = _get(kubeconfig, namespace, f"secret/{volume['secret']['secretName']}")["data"]
            for item in volume["secret"].get("items") or [{"key": key, "path": key} for key in data]:
                file = path / item["path"]
                file.touch(mode=0o600)
                file.write_bytes(base64.b64decode(data[item["key"]]))
        elif "emptyDir" not in volume:
            raise ValueError(f"volume {mount['name']} is neither a Secret nor an emptyDir")
    return places


def _value_of(item: dict[str, Any]) -> str:
    if "valueFrom" in item:
        raise ValueError(f"environment variable {item['name']} has no plain value")
    return str(item.get("value", ""))


def write_kubeconfig(admin: Path, token: str, target: Path) -> Path:
    """A kubeconfig as the administrator's, with another token."""
    config = yaml.safe_load(admin.read_text())
    config["users"] = [{"name": "admin", "user": {"token": token}}]
    target.touch(mode=0o600)
    target.write_text(yaml.safe_dump(config))
    return target


def _get(kubeconfig: Path, namespace: str, what: str) -> dict[str, Any]:
    return dict(json.loads(_kubectl(kubeconfig, namespace, "get", what, "--output=json")))


def _kubectl(kubeconfig: Path, namespace: str, *arguments: str) -> str:
    command = [str(find_binaries()["kubectl"]), f"--kubeconfig={kubeconfig}", f"--namespace={namespace}", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Become the container's process."""
    namespace, name, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    found = read_container(Path(os.environ["KUBECONFIG"]), namespace, name, folder)
    os.execvpe(found.command[0], found.command, found.environment)  # noqa: S606 - its own command


if __name__ == "__main__":
    main()
