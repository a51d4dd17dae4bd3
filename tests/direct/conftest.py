"""Fixtures for tests that use the role as users do: a project directory, and two clusters and accounts.

The second cluster and the second account are started when the first test requests them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.apigate import ApiGate
from dev.aws import Aws
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from dev.setup import ANSIBLE_FOR_PYTHON_3_11, ANSIBLE_NEWEST, ansible_wheel, unpack_collections
from runner.commands.iam_policy import PolicySettings, policy_for
from tests.direct.project import Account, Cluster, Project, Sides
from tests.support.versions import collection_version
from tests.support.world import World, make_operator_key

_OTHER_ACCOUNT = "210987654321"


@pytest.fixture(scope="session")
def sides() -> Sides:
    return Sides()


@pytest.fixture(scope="session")
def cluster(world: World, sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with ApiGate(world.kubeconfig, tmp_path_factory.mktemp("cluster"), is_tls=True) as gate:
        sides.clusters.append(Cluster("cluster", world, gate))
        yield sides.clusters[-1]


@pytest.fixture(scope="session")
def account(world: World, sides: Sides) -> Account:
    sides.accounts.append(Account("account", world.aws, world.operator_file))
    return sides.accounts[-1]


@pytest.fixture(scope="session")
def other_cluster(world: World, sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A second cluster. Its ``world`` has the AWS account of the first one."""
    folder = tmp_path_factory.mktemp("other-cluster")
    with ControlPlane(folder / "kubernetes") as plane:
        install_crd(plane.kubeconfig)
        other = World(plane.kubeconfig, world.aws, folder)
        with ApiGate(plane.kubeconfig, folder, is_tls=True) as gate:
            sides.clusters.append(Cluster("other_cluster", other, gate))
            yield sides.clusters[-1]


@pytest.fixture(scope="session")
def other_account(sides: Sides, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account with another account ID, at another endpoint."""
    folder = tmp_path_factory.mktemp("other-account")
    with Aws(folder, account=_OTHER_ACCOUNT) as aws:
        file = folder / "operator"
        make_operator_key(aws, policy_for(PolicySettings(_OTHER_ACCOUNT)), file)
        sides.accounts.append(Account("other_account", aws, file))
        yield sides.accounts[-1]


@pytest.fixture
def project(cluster: Cluster, account: Account, sides: Sides, tmp_path: Path) -> Project:
    """A user's directory outside the checkout, for the first cluster and account."""
    return Project(tmp_path, cluster, account, sides)


@pytest.fixture(scope="session")
def other_collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collections path with the other end of the supported versions.

    These are the oldest ones if this environment has the newest, and the newest ones otherwise.
    """
    is_oldest = collection_version("amazon.aws").startswith("10.")
    folder = tmp_path_factory.mktemp("collections")
    release = ANSIBLE_NEWEST if is_oldest else ANSIBLE_FOR_PYTHON_3_11
    unpack_collections(ansible_wheel(Path(sys.executable), release), folder)
    return folder
