"""The chart as tests render and install it with the real helm on the real API server."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from dev.binaries import find_binaries
from dev.processes import plain_environment
from tests.support.world import PROJECT

CHART = PROJECT / "chart" / "s3-operator"


# Helm 4 and Helm 3, as dev.binaries names them.
HELMS = ("helm", "helm3")


def run_helm(*arguments: str, kubeconfig: Path | None = None, helm: str = "helm") -> subprocess.CompletedProcess[str]:
    """Run a helm of :data:`HELMS`; standard error is part of the output."""
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
    """The objects that the chart makes."""
    if values is not None:
        assert folder is not None
        file = folder / "values.yaml"
        file.write_text(yaml.safe_dump(values))
        arguments = (*arguments, "-f", str(file))
    done = run_helm("template", "s3-operator", str(chart), "--namespace=s3-operator", *arguments, helm=helm)
    assert done.returncode == 0, done.stdout
    return [item for item in yaml.safe_load_all(done.stdout) if item]


def find(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    """The one object of a kind (and name)."""
    found = [item for item in objects if item["kind"] == kind and name in ("", item["metadata"]["name"])]
    assert len(found) == 1, [item["metadata"]["name"] for item in found]
    return found[0]


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specs of all Pods that the chart can start."""
    found = []
    for item in objects:
        if item["kind"] == "Pod":
            found.append(item["spec"])
        elif item["kind"] in ("Deployment", "Job"):
            found.append(item["spec"]["template"]["spec"])
    return found


def settings(pod: dict[str, Any]) -> dict[str, str]:
    """The environment of a Pod's container: settings that all commands of the operator share."""
    return {item["name"]: item["value"] for item in pod["containers"][0]["env"]}


EVERYTHING = (
    "--set=AWS_ACCESS_KEY_ID=AKIAEXAMPLE,AWS_SECRET_ACCESS_KEY=plain/secret+value",
    "--set=metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true,metrics.service.enabled=true",
    "--set=networkPolicy.enabled=true,podDisruptionBudget.enabled=true,extraLabels.team=storage",
)
"""Arguments with which the chart makes every kind of object that it has."""

OPENSHIFT = "--set=podSecurityContext.runAsUser=null,podSecurityContext.runAsGroup=null,podSecurityContext.fsGroup=null"
"""The README's values for OpenShift: what the SCC restricted-v2 chooses by itself."""
