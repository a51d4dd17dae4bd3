"""A machine with only IPv6 addresses for the AWS endpoint, probes and metrics."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from pathlib import Path

from dev.aws import Aws
from dev.controlplane import ControlPlane
from tests.support.operator import StartOperator, delete, wait_gone, wait_ready
from tests.support.world import World


def test_operator_works_with_ipv6_alone(
    control_plane: ControlPlane,
    start_operator: StartOperator,
    namespace: str,
    new_name: Callable[[str], str],
    tmp_path: Path,
) -> None:
    with Aws(tmp_path / "aws", host="::1") as aws:
        assert aws.endpoint_url.startswith("http://[::1]:")
        own = World(control_plane.kubeconfig, aws, tmp_path)
        spec = {"region": "us-east-1", "bucketName": new_name("six"), "iamUser": {"username": new_name("six")}}
        cr = own.make_object(namespace, "six", spec)
        addresses = ("--metrics-bind-address", "[::1]:0", "--health-probe-bind-address", "[::1]:0")
        operator = start_operator(*addresses, environment=own.environment())
        wait_ready(own, cr)
        assert own.differs(cr) == []
        for path in ("/healthz", "/readyz", "/metrics"):
            with urllib.request.urlopen(f"http://[::1]:{operator.port(path)}{path}", timeout=10) as answer:
                assert answer.status == 200
        delete(own, cr)
        wait_gone(own, cr)
        assert operator.stop() == 0
        own.close()
