"""One versitygw for a test session: an implementation of S3, IAM and STS that is independent of moto and the gate.

Here ``world`` is a cluster with this store in place of AWS, so the fixtures and helpers that need a world work with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import kubernetes.config
import pytest

from dev.controlplane import ControlPlane
from dev.versitygw import Versitygw
from tests.cluster.conftest import start_operator as start_operator
from tests.support.store import StoreWorld


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Versitygw]:
    with Versitygw(tmp_path_factory.mktemp("versitygw")) as store:
        yield store


@pytest.fixture(scope="session")
def world(
    control_plane: ControlPlane, store: Versitygw, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StoreWorld]:
    made = StoreWorld(control_plane.kubeconfig, store, tmp_path_factory.mktemp("runs"))
    kubernetes.config.load_kube_config(str(control_plane.kubeconfig))
    yield made
    made.close()
