"""One store for a test session: an implementation of S3 and IAM that is independent of moto and the gate.

It is versitygw, and with ``make test-stores`` SeaweedFS: ``S3_OPERATOR_TEST_STORE`` names it. Here ``world`` is a
cluster with this store in place of AWS, so the fixtures and helpers that need a world work with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import kubernetes.config
import pytest

from dev.controlplane import ControlPlane
from dev.store import Store
from tests.cluster.conftest import start_operator as start_operator
from tests.support.store import STORE_CLASS, StoreWorld


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with STORE_CLASS(tmp_path_factory.mktemp(STORE_CLASS.name)) as store:
        yield store


@pytest.fixture(scope="session")
def world(control_plane: ControlPlane, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreWorld]:
    made = StoreWorld(control_plane.kubeconfig, store, tmp_path_factory.mktemp("runs"))
    kubernetes.config.load_kube_config(str(control_plane.kubeconfig))
    yield made
    made.close()
