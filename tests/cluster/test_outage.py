"""What goes away comes back: the API server and AWS. These tests have both to themselves."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import kubernetes.client as k8s
import pytest

from dev.aws import Aws
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from dev.wait import wait_until
from tests.support.operator import Operator, condition, delete, wait_gone, wait_ready
from tests.support.world import World

SPEC = {"region": "us-east-1", "bucketName": "outage-bucket", "iamUser": {"username": "outage-user"}}


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path / "kubernetes") as plane:
        install_crd(plane.kubeconfig)
        yield plane


@pytest.fixture
def own_aws(tmp_path: Path) -> Iterator[Aws]:
    with Aws(tmp_path / "aws") as aws:
        yield aws


@pytest.fixture
def own_world(plane: ControlPlane, own_aws: Aws, tmp_path: Path) -> World:
    return World(plane.kubeconfig, own_aws, tmp_path)


@pytest.fixture
def operator(own_world: World, tmp_path: Path) -> Iterator[Operator]:
    terms = ("--lease-duration", "60", "--renew-deadline", "50", "--retry-period", "0.5", "--sync-period", "5")
    operator = Operator(own_world, tmp_path, *terms, "--log-level", "debug")
    yield operator
    operator.kill()


def delete_crd(world: World) -> None:
    """Delete it, and wait until its objects are gone, too."""
    name, api = "s3s.agill.apps", k8s.ApiextensionsV1Api(world.core.api_client)
    api.delete_custom_resource_definition(name)
    wait_until(
        lambda: name not in [item.metadata.name for item in api.list_custom_resource_definition().items], "no CRD"
    )


def test_api_server_and_crd_that_go_away_are_waited_for(
    own_world: World, plane: ControlPlane, operator: Operator
) -> None:
    cr = own_world.make_object("default", "before", SPEC)
    wait_ready(own_world, cr)
    plane.stop_apiserver()
    wait_until(lambda: operator.lines("watch failed"), "the operator notices")
    plane.start_apiserver()
    assert operator.process.poll() is None
    # Nothing was lost: the old object is kept, a new one is seen.
    spec = {**SPEC, "bucketName": "outage-second", "iamUser": {"username": "outage-second"}}
    wait_ready(own_world, own_world.make_object("default", "after", spec))
    own_world.s3.delete_bucket(Bucket=SPEC["bucketName"])
    wait_until(lambda: own_world.differs(cr) == [], "the sync goes on")
    delete_crd(own_world)
    assert not any(own_world.snapshot(cr).values()), "the CRD's objects were deleted with all that they had"
    install_crd(plane.kubeconfig)
    spec = {**SPEC, "bucketName": "outage-third", "iamUser": {"username": "outage-third"}}
    wait_ready(own_world, own_world.make_object("default", "again", spec))
    assert operator.stop() == 0


def test_aws_that_cannot_be_reached_is_unknown_not_absent(own_world: World, own_aws: Aws, operator: Operator) -> None:
    cr = own_world.make_object("default", "photos", SPEC)
    wait_ready(own_world, cr)
    own_aws.gate.add_fault("*", "InternalError", status=500)
    delete(own_world, cr)
    wait_until(
        lambda: condition(own_world, cr).get("reason") in ("AWSError", "AWSUnreachable"), "the failure is told", 180
    )
    # It is being deleted, and AWS does not say what is there: the object stays.
    own_aws.gate.clear_faults()
    wait_gone(own_world, cr)
    assert not any(own_world.snapshot(cr).values())


def test_aws_that_refuses_connections_is_unreachable(own_world: World, tmp_path: Path) -> None:
    environment = {**own_world.environment(), "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    folder = tmp_path / "unreachable"
    folder.mkdir()
    operator = Operator(own_world, folder, environment=environment)
    try:
        cr = own_world.make_object("default", "photos", SPEC)
        wait_until(lambda: condition(own_world, cr).get("reason") == "AWSUnreachable", "AWSUnreachable")
        assert operator.process.poll() is None
    finally:
        operator.kill()


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
        wait_ready(own_world, own_world.make_object("default", "early", SPEC))
    finally:
        operator.kill()
    assert json.loads(operator.log_file.read_text().splitlines()[0])["level"] == "info"
