"""The values files of the documentation: Helm renders each, and a store really runs with its own."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.binaries import find_binaries
from dev.processes import plain_environment
from tests.chart.conftest import defaults as defaults
from tests.support.chart import Release, render, run_helm, settings
from tests.support.chart import pods as pods_of
from tests.support.docs import commands
from tests.support.operator import condition, delete, wait_gone, wait_ready
from tests.support.store import STORE, StoreWorld
from tests.support.world import PROJECT

PAGE = "docs/install/s3-compatible-stores.md"
FILES = sorted((PROJECT / "examples" / "stores").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_values_file_renders_with_a_store_in_place_of_aws(file: Path) -> None:
    assert file.name in (PROJECT / PAGE).read_text()
    values = yaml.safe_load(file.read_text())["aws"]
    for pod in pods_of(render(f"--values={file}")):
        found = settings(pod)
        assert found["PROVIDER"] == "Other"
        assert found["AWS_REQUEST_CHECKSUM_CALCULATION"] == found["AWS_RESPONSE_CHECKSUM_VALIDATION"] == "when_required"
        endpoint = values.get("s3EndpointURL") or values["endpointURL"]
        assert found["SERVICE_EXTERNAL_NAME"] == endpoint.partition("://")[2].partition(":")[0]
        assert {volume["name"] for volume in pod["volumes"]} >= {"aws"}
    assert run_helm("lint", "--strict", "chart/s3-operator", f"--values={file}").returncode == 0


def test_checksums_of_aws_stay_botocores_own(defaults: list[dict[str, Any]]) -> None:
    for pod in pods_of(defaults):
        assert "AWS_REQUEST_CHECKSUM_CALCULATION" not in settings(pod)
    for pod in pods_of(render("--set=aws.provider=Other,aws.checksums=when_supported")):
        assert settings(pod)["AWS_REQUEST_CHECKSUM_CALCULATION"] == "when_supported"


@pytest.fixture
def release(world: StoreWorld, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[Release]:
    made = Release(world, new_name("operator"), tmp_path)
    yield made
    made.stop()


def test_documented_commands_install_the_operator_for_a_store(
    world: StoreWorld, release: Release, namespace: str, new_object: Callable[..., dict[str, Any]]
) -> None:
    # The addresses of this store. There is no node, so no Pod, and the cluster has the CRD already.
    aws = {"s3EndpointURL": world.aws.endpoint_url, "iamEndpointURL": world.aws.iam_endpoint_url}
    aws["stsEndpointURL"] = world.aws.iam_endpoint_url
    if STORE == "seaweedfs":
        aws = {"endpointURL": world.aws.endpoint_url}
    ports = f"metrics.port={release.ports[0]},health.port={release.ports[1]}"
    more = [
        f"--set={','.join(f'aws.{name}={url}' for name, url in aws.items())}",
        f"--set={ports},clusterName=values,crds.install=false",
        # The cluster also has the objects of other tests.
        f"--set=watchNamespaces={{{namespace}}}",
    ]
    programs = {name: str(path) for name, path in find_binaries(["helm", "kubectl"]).items()}
    environment = {**plain_environment(), "KUBECONFIG": str(world.kubeconfig)}
    *given, check = commands(PAGE, "Install")
    assert check.endswith("-- s3-operator check")
    replaced = {"$CREDENTIALS_FILE": str(world.operator_file), "$IMAGE": "none:1", "versitygw.yaml": f"{STORE}.yaml"}
    for command in given:
        words = shlex.split(reduce(lambda text, pair: text.replace(*pair), replaced.items(), command))
        own = {"--namespace=s3-operator": f"--namespace={release.namespace}"}
        if words[:3] == ["kubectl", "create", "namespace"]:
            own["s3-operator"] = release.namespace
        words = [own.get(word, word) for word in words if word != "--wait"] + (more if words[0] == "helm" else [])
        done = subprocess.run(
            [programs[words[0]], *words[1:]], env=environment, capture_output=True, text=True, cwd=PROJECT
        )
        assert done.returncode == 0, done.stderr
    with release.running():
        cr = new_object()
        ready = wait_ready(world, cr)
        assert "is an IP address" in ready["message"]
        assert condition(world, cr)["status"] == "True"
        checked = release.check()
        assert checked.returncode == 0, checked.stdout + checked.stderr
        delete(world, cr)
        wait_gone(world, cr)
