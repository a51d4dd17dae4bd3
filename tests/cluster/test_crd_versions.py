"""An operator that is newer than the CRD. The API server drops the fields that the CRD does not have."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.aws import Aws
from dev.binaries import find_binaries
from dev.controlplane import ControlPlane
from dev.wait import wait_until
from s3bucket.api import API_VERSION, GROUP, PLURAL, VERSION
from tests.support.operator import Operator, event_reasons, live
from tests.support.world import PROJECT, World

_CURRENT = PROJECT / "crds" / "s3s.agill.apps.yaml"
_GO = PROJECT / "tests" / "chart" / "go-operator" / "templates" / "crd.yaml"


@pytest.fixture(scope="module")
def own_world(aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A control plane with a CRD that the tests choose."""
    folder = tmp_path_factory.mktemp("crd-versions")
    with ControlPlane(folder / "kubernetes") as plane:
        yield World(plane.kubeconfig, aws, folder)


@pytest.fixture
def start(own_world: World, tmp_path: Path) -> Iterator[Callable[[], Operator]]:
    started: list[Operator] = []

    def make() -> Operator:
        folder = tmp_path / f"operator-{len(started)}"
        folder.mkdir()
        started.append(Operator(own_world, folder, "--sync-period", "1", "--log-level", "debug"))
        return started[-1]

    yield make
    for operator in started:
        operator.kill()


def install(world: World, crd: dict[str, Any], folder: Path) -> None:
    file = folder / "crd.yaml"
    file.write_text(yaml.safe_dump(crd))
    kubectl = [str(find_binaries()["kubectl"]), f"--kubeconfig={world.kubeconfig}"]
    subprocess.run([*kubectl, "apply", "--server-side", "--force-conflicts", "-f", str(file)], check=True)
    wait = ["wait", "--for=jsonpath={.status.acceptedNames.kind}=S3", "crd/s3s.agill.apps"]
    subprocess.run([*kubectl, *wait], check=True)
    subprocess.run([*kubectl, "wait", "--for=condition=Established", "crd/s3s.agill.apps"], check=True)


def version_of(world: World, cr: dict[str, Any]) -> str:
    return str((live(world, cr) or {})["metadata"]["resourceVersion"])


def wait_for_checks(operator: Operator, cr: dict[str, Any], number: int = 3) -> None:
    """Wait until the object was checked this number of times more."""
    before = len(operator.reconciles_of(cr))
    wait_until(lambda: len(operator.reconciles_of(cr)) >= before + number, "more checks")


def missing_in_log(operator: Operator) -> list[list[str]]:
    message = "the CRD does not have all fields of this operator: they are not stored"
    return [line["fields"] for line in operator.lines(message)]


def wait_for_field(world: World, spec: dict[str, Any], field: str) -> None:
    """Wait until the API server serves a CRD that has a field of the spec."""
    body = {"apiVersion": API_VERSION, "kind": "S3", "metadata": {"name": "dry-run"}, "spec": spec}
    at = (GROUP, VERSION, "default", PLURAL)
    wait_until(
        lambda: field in world.custom.create_namespaced_custom_object(*at, body, dry_run="All")["spec"], "the new CRD"
    )


def test_nothing_repeats_with_the_go_operators_crd(
    own_world: World, start: Callable[[], Operator], new_name: Callable[[str], str], tmp_path: Path
) -> None:
    install(own_world, yaml.safe_load(_GO.read_text()), tmp_path)
    operator = start()
    spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "bucketACL": "private"}
    cr = own_world.make_object("default", new_name("cr"), spec)
    wait_until(lambda: (live(own_world, cr) or {}).get("status") == {"status": "Ready"}, "Ready in one word")
    wait_for_checks(operator, cr, 1)
    version = version_of(own_world, cr)
    wait_for_checks(operator, cr)
    assert version_of(own_world, cr) == version
    assert event_reasons(own_world, cr) == ["CREATING", "CREATED"]
    assert len(operator.runs_of(cr)) == 1
    found = missing_in_log(operator)
    assert len(found) == 1
    assert {"spec.adoptionPolicy", "spec.driftPolicy"} <= set(found[0])
    command = [str(Path(sys.executable).parent / "s3-operator"), "check", "--wait", "0"]
    done = subprocess.run(command, env=own_world.environment(), capture_output=True, text=True)
    line = next(line for line in done.stdout.splitlines() if "  CRD: " in line)
    assert line.startswith("FAILED  CRD: does not have spec.abac, spec.additionalUsers, spec.adoptionPolicy, ")
    assert "kubectl apply" in line
    assert operator.stop() == 0


def test_report_never_repairs_where_the_applied_generation_cannot_be_stored(
    own_world: World, start: Callable[[], Operator], new_name: Callable[[str], str], tmp_path: Path
) -> None:
    crd = yaml.safe_load(_CURRENT.read_text())
    del crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"][
        "appliedGeneration"
    ]
    install(own_world, crd, tmp_path)
    first = start()
    spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "driftPolicy": "Report"}
    wait_for_field(own_world, spec, "driftPolicy")
    cr = own_world.make_object("default", new_name("cr"), spec)
    wait_until(lambda: ((live(own_world, cr) or {}).get("status") or {}).get("status") == "Ready", "Ready")
    assert first.stop() == 0
    versioning = {"Status": "Enabled"}
    own_world.s3.put_bucket_versioning(Bucket=spec["bucketName"], VersioningConfiguration=versioning)

    second = start()
    wait_until(lambda: live(own_world, cr)["status"].get("drift") == ["versioning"], "the drift is reported")  # type: ignore[index]
    wait_for_checks(second, cr, 1)
    version = version_of(own_world, cr)
    wait_for_checks(second, cr)
    assert version_of(own_world, cr) == version
    assert own_world.differs(cr) == ["versioning"]
    assert second.runs_of(cr) == []
    assert event_reasons(own_world, cr)[-1] == "Drifted"
    assert event_reasons(own_world, cr).count("Drifted") == 1
    assert missing_in_log(second) == [["status.appliedGeneration"]]
    assert second.stop() == 0
