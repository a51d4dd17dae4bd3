"""The operator recovers from an outage of the API server or AWS. These tests have their own control plane.

They use it one after the other: each one leaves a working API server and no operator. The operators watch all
namespaces, as an installed operator does.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import pytest

from dev.aws import Aws, admin_key_in
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from dev.wait import wait_until
from tests.support.operator import Operator, condition, delete, wait_gone, wait_ready
from tests.support.world import World


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("outage")) as plane:
        install_crd(plane.kubeconfig)
        yield plane


@pytest.fixture(scope="module")
def own_world(plane: ControlPlane, aws: Aws, tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(plane.kubeconfig, aws, tmp_path_factory.mktemp("outage-world"))


@pytest.fixture
def operator(own_world: World, tmp_path: Path) -> Iterator[Operator]:
    terms = ("--lease-duration", "60", "--renew-deadline", "50", "--retry-period", "0.5", "--sync-period", "5")
    operator = Operator(own_world, tmp_path, *terms, "--log-level", "debug")
    yield operator
    end(operator)


def end(operator: Operator) -> None:
    """Stop the operator, so that it releases its Lease for the operator of the next test."""
    try:
        if operator.process.poll() is None:
            operator.stop(timeout_s=180)
    finally:
        operator.kill()


def make(world: World, name: str) -> dict[str, Any]:
    """An object with a bucket and a user of the same name."""
    return world.make_object(
        "default", name, {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}}
    )


def delete_crd(world: World) -> None:
    """Delete the CRD, and wait until its objects are deleted too."""
    name, api = "s3s.agill.apps", k8s.ApiextensionsV1Api(world.core.api_client)
    api.delete_custom_resource_definition(name)
    wait_until(
        lambda: name not in [item.metadata.name for item in api.list_custom_resource_definition().items], "no CRD"
    )


def test_api_server_and_crd_that_go_away_are_waited_for(
    own_world: World, plane: ControlPlane, operator: Operator
) -> None:
    cr = make(own_world, "outage-before")
    wait_ready(own_world, cr)
    plane.stop_apiserver()
    wait_until(lambda: operator.lines("watch failed"), "the operator notices")
    plane.start_apiserver()
    assert operator.process.poll() is None
    # Nothing was lost: the old object is still reconciled, and a new one is noticed.
    wait_ready(own_world, make(own_world, "outage-after"))
    own_world.s3.delete_bucket(Bucket=cr["spec"]["bucketName"])
    wait_until(lambda: own_world.differs(cr) == [], "the sync goes on")
    delete_crd(own_world)
    assert not any(own_world.snapshot(cr).values()), "the CRD's objects were deleted with all that they had"
    install_crd(plane.kubeconfig)
    wait_ready(own_world, make(own_world, "outage-again"))
    assert operator.stop() == 0


def test_aws_that_cannot_be_reached_is_unknown_not_absent(own_world: World, operator: Operator) -> None:
    cr, gate = make(own_world, "outage-unknown"), own_world.aws.gate
    wait_ready(own_world, cr)
    gate.add_fault("*", "InternalError", status=500, access_key=admin_key_in(own_world.operator_file)[0])
    try:
        delete(own_world, cr)
        wait_until(
            lambda: condition(own_world, cr).get("reason") in ("AWSError", "AWSUnreachable"), "the failure is published"
        )
        # The object is being deleted, and AWS does not answer what exists: the object stays.
    finally:
        gate.clear_faults()
    wait_gone(own_world, cr)
    assert not any(own_world.snapshot(cr).values())


def test_aws_that_refuses_connections_is_unreachable(own_world: World, tmp_path: Path) -> None:
    environment = {**own_world.environment(), "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    folder = tmp_path / "unreachable"
    folder.mkdir()
    operator = Operator(own_world, folder, environment=environment)
    try:
        cr = make(own_world, "outage-refused")
        wait_until(lambda: condition(own_world, cr).get("reason") == "AWSUnreachable", "AWSUnreachable")
        assert operator.process.poll() is None
    finally:
        end(operator)


def test_probes_and_metrics_are_served_while_the_api_server_is_away(plane: ControlPlane, operator: Operator) -> None:
    port = operator.port("/readyz")
    wait_until(lambda: operator.lines("leading"), "the operator leads")
    plane.stop_apiserver()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
        assert answer.status == 200
    with urllib.request.urlopen(f"http://127.0.0.1:{operator.port('/metrics')}/metrics", timeout=5) as answer:
        assert b"s3_operator_build_info" in answer.read()
    plane.start_apiserver()


def test_operator_that_starts_before_the_api_server_waits_for_it(
    own_world: World, plane: ControlPlane, tmp_path: Path
) -> None:
    plane.stop_apiserver()
    folder = tmp_path / "early"
    folder.mkdir()
    operator = Operator(own_world, folder)
    try:
        wait_until(lambda: operator.lines("lease not read or written"), "the operator notices")
        plane.start_apiserver()
        wait_ready(own_world, make(own_world, "outage-early"))
    finally:
        end(operator)
    assert json.loads(operator.log_file.read_text().splitlines()[0])["level"] == "info"
