"""A whole cluster with a node, the image, and helm and kubectl as a user has them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev import image
from dev.aws import Aws
from dev.binaries import find_binaries
from dev.controlplane import ControlPlane
from dev.node import Node, why_not
from dev.processes import get_free_port
from tests.support.world import PROJECT, World

_TIMEOUT_S = 300


class Cluster:
    """Everything at once. ``bin`` holds helm, helm3 and kubectl; a helm adds what this node needs to each release."""

    def __init__(
        self, plane: ControlPlane, node: Node, world: World, folder: Path, image_facts: dict[str, Any]
    ) -> None:
        self.image_facts = image_facts
        self.plane = plane
        self.node = node
        self.world = world
        self.values = folder / "values.yaml"
        self._bin = folder / "bin"
        self._write_values()
        self._write_commands()

    def _write_values(self) -> None:
        # There is neither a Pod network nor a kube-proxy: everything is on loopback.
        port = self.plane.url.rpartition(":")[2]
        values = {
            "hostNetwork": True,
            "extraEnv": [
                {"name": "KUBERNETES_SERVICE_HOST", "value": "127.0.0.1"},
                {"name": "KUBERNETES_SERVICE_PORT", "value": port},
            ],
            "metrics": {"port": get_free_port()},
            "health": {"port": get_free_port()},
            "extraArgs": ["--iam-settle=0"],
            # What the README leaves to the user's cloud. A command's own --set wins.
            "aws": {"endpointURL": self.world.aws.endpoint_url},
            "serviceExternalName": "s3.amazonaws.com",
        }
        self.values.write_text(yaml.safe_dump(values))

    def _write_commands(self) -> None:
        self._bin.mkdir()
        found = find_binaries(["helm", "helm3", "kubectl"])
        (self._bin / "kubectl").symlink_to(found["kubectl"])
        for name in ("helm", "helm3"):
            helm = self._bin / name
            real, values = shlex.quote(str(found[name])), shlex.quote(str(self.values))
            lines = ["#!/bin/sh", 'case "$1" in', f'  install|upgrade) exec {real} "$@" -f {values} ;;']
            helm.write_text("\n".join([*lines, f'  *) exec {real} "$@" ;;', "esac", ""]))
            helm.chmod(0o755)

    def shell(self, script: str, **environment: str) -> str:
        """Run shell text as a user in a checkout would; returns all that it printed."""
        key_id, secret = self.world.aws.admin_key()
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=PROJECT,
            env={
                "PATH": f"{self._bin}:{os.environ['PATH']}",
                "HOME": os.environ.get("HOME", "/"),
                "KUBECONFIG": str(self.plane.kubeconfig),
                "AWS_ACCESS_KEY_ID": key_id,
                "AWS_SECRET_ACCESS_KEY": secret,
                "AWS_SHARED_CREDENTIALS_FILE": str(self.world.aws.credentials_file),
                "IMAGE": image.default_name(),
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{self.describe()}"
        return done.stdout

    def get(self, what: str, namespace: str = "s3-operator") -> dict[str, Any]:
        """An object of the cluster."""
        return dict(json.loads(self.shell(f"kubectl --namespace={namespace} get {what} --output=json")))

    def pod(self) -> dict[str, Any]:
        """The operator's running Pod."""
        items = self.get("pods --selector=name=s3-operator")["items"]
        found = [item for item in items if not item["metadata"].get("deletionTimestamp")]
        assert len(found) == 1, [item["metadata"]["name"] for item in found]
        return dict(found[0])

    def logs(self) -> str:
        """The log of the operator's container."""
        return self.shell(f"kubectl --namespace=s3-operator logs {self.pod()['metadata']['name']}")

    def describe(self) -> str:
        """What a failed step reports: states, Events and the Pod's log, and no Secret."""
        command = "kubectl -n s3-operator get all; kubectl -n s3-operator get events; kubectl get s3 -A"
        command += "; kubectl -n s3-operator logs deployment/s3-operator --tail=30"
        environment = {"PATH": f"{self._bin}:{os.environ['PATH']}", "KUBECONFIG": str(self.plane.kubeconfig)}
        done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True)
        return done.stdout + done.stderr


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if reason := why_not():
        # CI must not pass by skipping: .ci/run sets it.
        assert not os.environ.get("S3_OPERATOR_REQUIRE_NODE"), reason
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("e2e")
    name = image.default_name()
    # The README's command.
    subprocess.run(["make", "image", f"IMAGE={name}"], cwd=PROJECT, check=True)
    archive = folder / "image.tar"
    image.export(name, archive)
    with ControlPlane(folder / "kubernetes") as plane, Aws(folder / "aws") as aws, Node(plane) as node:
        node.import_image(archive)
        facts = read_image(archive)
        archive.unlink()
        yield Cluster(plane, node, World(plane.kubeconfig, aws, folder), folder, facts)


def read_image(archive: Path) -> dict[str, Any]:
    """What a docker archive has about its image: ``config``, ``size`` (bytes, unpacked) and ``files`` (paths)."""
    files: set[str] = set()
    size = 0
    with tarfile.open(archive) as tar:
        manifest = json.load(tar.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        config = json.load(tar.extractfile(manifest["Config"]))  # type: ignore[arg-type]
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=tar.extractfile(name)) as layer:
                for member in layer:
                    files.add(member.name.removeprefix("./"))
                    size += member.size
    return {"config": config, "size": size, "files": files}
