"""Renders the chart, and installs it with the real Helm on the real API server."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from dev.binaries import find_binaries
from dev.deployment import read_container
from dev.processes import Child, get_free_port, plain_environment
from tests.support.world import PROJECT, World

CHART = PROJECT / "chart" / "s3-operator"


# Helm 4 and Helm 3, under their names in dev.binaries.
HELMS = ("helm", "helm3")


def run_helm(*arguments: str, kubeconfig: Path | None = None, helm: str = "helm") -> subprocess.CompletedProcess[str]:
    """Run one of the programs in :data:`HELMS`. Standard error is part of the output."""
    environment = {**plain_environment(), "KUBECONFIG": str(kubeconfig or "/dev/null")}
    return subprocess.run(
        [str(find_binaries([helm])[helm]), *arguments],
        env=environment,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def render(
    *arguments: str,
    values: dict[str, Any] | None = None,
    folder: Path | None = None,
    helm: str = "helm",
    chart: Path = CHART,
) -> list[dict[str, Any]]:
    """The objects that the chart renders."""
    if values is not None:
        assert folder is not None
        file = folder / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        arguments = (*arguments, "-f", str(file))
    done = run_helm("template", "s3-operator", str(chart), "--namespace=s3-operator", *arguments, helm=helm)
    assert done.returncode == 0, done.stdout
    return objects_in(done.stdout)


def objects_in(rendered: str) -> list[dict[str, Any]]:
    """The objects in what Helm has rendered."""
    # The CRD may be in it, which takes 0.5 s without libyaml.
    return [item for item in yaml.load_all(rendered, yaml.CSafeLoader) if item]


def find(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The one object of a kind, or of a kind and a name."""
    found = [item for item in objects if item["kind"] == kind and name in ("", item["metadata"]["name"])]
    assert len(found) == 1, [item["metadata"]["name"] for item in found]
    return found[0]


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specs of all Pods that the chart can start.

    There must be at least one: a loop over none would assert nothing.
    """
    found = []
    for item in objects:
        if item["kind"] == "Pod":
            found.append(item["spec"])
        elif item["kind"] in ("Deployment", "Job"):
            found.append(item["spec"]["template"]["spec"])
    assert found, "no Pod was rendered"
    return found


def settings(pod: dict[str, Any]) -> dict[str, str]:
    """The environment of a Pod's container: the settings that all commands of the operator share."""
    return {item["name"]: item["value"] for item in pod["containers"][0]["env"]}


EVERYTHING = (
    "--set=AWS_ACCESS_KEY_ID=AKIAEXAMPLE,AWS_SECRET_ACCESS_KEY=plain/secret+value",
    "--set=metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.service.enabled=true",
    "--set=networkPolicy.enabled=true,podDisruptionBudget.enabled=true,extraLabels.team=storage",
)
"""Arguments with which the chart renders every kind of object that it has."""

OPENSHIFT = "--set=podSecurityContext.runAsUser=null,podSecurityContext.runAsGroup=null,podSecurityContext.fsGroup=null"
"""The README's values for OpenShift. They unset the IDs that the SCC restricted-v2 chooses."""


class Release:
    """A Helm release in a namespace of its own, and the actions of the tests on it."""

    def __init__(self, world: World, namespace: str, folder: Path) -> None:
        self.world = world
        self.namespace = namespace
        self.folder = folder
        self.program = "helm"
        self.children: list[Child] = []
        keys = world.aws.admin_key()
        self.ports = get_free_port(), get_free_port()
        self.values = [
            f"--set=AWS_ACCESS_KEY_ID={keys[0]},AWS_SECRET_ACCESS_KEY={keys[1]}",
            f"--set=aws.endpointURL={world.aws.endpoint_url},serviceExternalName=s3.amazonaws.com",
            f"--set=metrics.port={self.ports[0]},health.port={self.ports[1]},logLevel=debug",
            "--set=extraArgs={--iam-settle=0}",
        ]

    def helm(self, *arguments: str) -> str:
        namespace = f"--namespace={self.namespace}"
        done = run_helm(*arguments, namespace, kubeconfig=self.world.kubeconfig, helm=self.program)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def upgrade(self, *arguments: str, chart: Path = CHART) -> str:
        return self.helm("upgrade", "s3-operator", str(chart), "--install", "--create-namespace", *arguments)

    def kubectl(self, *arguments: str, is_checked: bool = True) -> str:
        command = [str(find_binaries()["kubectl"]), f"--kubeconfig={self.world.kubeconfig}", *arguments]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert done.returncode == 0 or not is_checked, done.stdout
        return done.stdout.strip()

    def start(self) -> Child:
        """Start the operator as the Deployment does."""
        folder = self.folder / f"process-{len(self.children)}"
        folder.mkdir()
        container = read_container(self.world.kubeconfig, self.namespace, "s3-operator", folder)
        child = Child(container.command, folder / "operator.log", container.environment)
        self.children.append(child)
        child.wait_until(lambda: '"leading"' in child.log.read_text(), "the operator")
        return child

    @contextmanager
    def running(self) -> Iterator[Child]:
        """Run the operator for the duration of a block."""
        operator = self.start()
        try:
            yield operator
        finally:
            operator.stop()

    def check(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``s3-operator check`` as the chart's test Pod does."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        container = read_container(self.world.kubeconfig, self.namespace, "s3-operator", folder)
        command = [container.command[0], "check", f"--leader-election-namespace={self.namespace}", "--wait=0"]
        return subprocess.run([*command, *arguments], env=container.environment, capture_output=True, text=True)

    def patch(self, cr: dict[str, Any], patch: dict[str, Any], *more: str) -> None:
        """Change an S3 object as another user would."""
        name, namespace = cr["metadata"]["name"], cr["metadata"]["namespace"]
        self.kubectl(
            "--namespace", namespace, "patch", "s3", name, "--type=merge", f"--patch={json.dumps(patch)}", *more
        )

    def stop(self) -> None:
        """Stop the operators. Delete their Deployments and cluster roles, which other tests would find."""
        for child in self.children:
            child.stop()
        self.kubectl("--namespace", self.namespace, "delete", "deployments", "--all", is_checked=False)
        for plural in ("clusterroles", "clusterrolebindings"):
            kind = ("rbac.authorization.k8s.io", "v1", plural)
            for item in self.world.custom.list_cluster_custom_object(*kind)["items"]:
                annotations = item["metadata"].get("annotations", {})
                if annotations.get("meta.helm.sh/release-namespace") == self.namespace:
                    self.world.custom.delete_cluster_custom_object(*kind, item["metadata"]["name"])
