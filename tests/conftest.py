"""One control plane and one AWS account a test session, on free ports and in a temporary folder.

Tests keep apart by namespaces and names of their own. What a test must have to itself (an API server
that goes away, an account that is reset) it starts itself.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import kubernetes.config
import pytest

from dev.aws import Aws
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from tests.support.leftovers import Leftovers
from tests.support.versions import COLLECTIONS, ansible_core_version, collection_version
from tests.support.world import EXECUTOR, OPERATOR_USERS, PROJECT, NewObject, World

# Nothing of the machine's own AWS settings may reach a test.
for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"

# No test fails because the machine is slow, and each run has the same examples.
hypothesis.settings.register_profile(
    "tests", deadline=None, derandomize=True, database=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tests")

_LEFTOVERS = pytest.StashKey[Leftovers]()

# What takes longest, by measured CPU time and waits. It runs first, so that at the end no process waits for the last
# file of another one. Test IDs below this folder, up to where they differ.
_LONGEST = (
    "e2e/test_e2e.py",
    "cluster/test_operator.py",
    "molecule/test_molecule.py::test_scenario_and_what_a_failed_one_leaves[default]",
    "direct/test_connections.py",
    "chart/test_release.py",
    "chaos/test_chaos.py",
    "cluster/test_tenant_attacks.py",
    "molecule/test_molecule.py::test_scenario_and_what_a_failed_one_leaves[operator]",
    "cluster/test_fairness.py",
    "role/test_drift.py",
    "cluster/test_memory.py",
    "role/test_iam_policy.py",
    "role/test_optional_settings.py",
    "cluster/test_start.py",
    "cluster/test_shards.py",
    "docs/test_guides.py",
    "role/test_warm.py",
    "cluster/test_secrets.py",
    "chart/test_scope.py",
    "direct/test_guides.py",
    "cluster/test_claims.py",
    "cluster/test_events.py",
    "cluster/test_outage.py",
    "cluster/test_lease.py",
    "direct/test_awx.py",
    "stores/test_drift.py",
    "role/test_conformance.py",
    "role/test_secret_shape.py",
    "role/test_children.py",
    "cluster/test_wheel.py",
    "direct/test_own_playbook.py",
    "molecule/test_molecule.py::test_scenario_and_what_a_failed_one_leaves[conflict]",
    "cluster",
    "role/test_rotation.py",
    "role/test_playbooks.py",
    "role/test_deletion.py",
    "role/test_additional_users.py",
    "role/test_check_mode.py",
    "role/test_policy.py",
    "direct",
    "stores",
    "role",
    "chart",
)
# Its scenarios share nothing.
_APART = "tests/molecule/"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort what takes longest to the front. The order within a file stays."""
    for name in _LONGEST:
        assert (PROJECT / "tests" / name.partition("::")[0]).exists(), f"{name} in tests/conftest.py does not exist"
    ranked = list(enumerate(_LONGEST))

    def rank(item: pytest.Item) -> int:
        name = item.nodeid.removeprefix("tests/")
        return next((number for number, prefix in ranked if name.startswith(prefix)), len(ranked))

    items.sort(key=rank)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With ``--dist=loadfile``: a process runs each file alone, but for those whose tests may run apart."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith(_APART) else str(super()._split_scope(nodeid))

    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_report_header() -> str:
    found = {"ansible-core": ansible_core_version(), **{name: collection_version(name) for name in COLLECTIONS}}
    return ", ".join([*(f"{name} {version}" for name, version in found.items()), f"executor {EXECUTOR}"])


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    with ControlPlane(tmp_path_factory.mktemp("kubernetes")) as plane:
        install_crd(plane.kubeconfig)
        yield plane


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    with Aws(tmp_path_factory.mktemp("aws")) as account:
        yield account


@pytest.fixture(scope="session")
def world(
    control_plane: ControlPlane, aws: Aws, tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[World]:
    made = World(control_plane.kubeconfig, aws, tmp_path_factory.mktemp("runs"))
    # The cluster of the operator's own client in this process.
    kubernetes.config.load_kube_config(str(control_plane.kubeconfig))
    pytestconfig.stash[_LEFTOVERS] = Leftovers(made.core.api_client, aws.gate)
    yield made
    made.close()


@pytest.fixture(scope="module", autouse=True)
def _leaves_nothing(pytestconfig: pytest.Config) -> Iterator[None]:
    """Fail a file, at its last test, that leaves what tests of other files would find."""
    yield
    leftovers = pytestconfig.stash.get(_LEFTOVERS, None)
    found = leftovers.find_new() if leftovers else []
    if leftovers:
        # Runs and checks read all users and buckets of the account: not those of the files before, too.
        leftovers.gate.forget_users(OPERATOR_USERS)
        leftovers.gate.forget_buckets()
    assert not found, "the tests of this file leave behind what those of other files find: " + ", ".join(found)


@pytest.fixture(scope="session")
def new_name() -> Callable[[str], str]:
    """Names that nothing else in the session has, for buckets, users, objects and namespaces."""
    run, numbers = uuid.uuid4().hex[:6], itertools.count()
    return lambda word="x": f"{word}-{run}-{next(numbers)}"


@pytest.fixture
def namespace(world: World, new_name: Callable[[str], str]) -> str:
    name = new_name("ns")
    world.make_namespace(name)
    return name


@pytest.fixture
def new_object(world: World, namespace: str, new_name: Callable[[str], str]) -> NewObject:
    """Makes S3 objects in the API server, with names of their own where none are given."""

    def make(**spec: Any) -> dict[str, Any]:
        defaults = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
        given = {name: value for name, value in {**defaults, **spec}.items() if value is not None}
        return world.make_object(namespace, new_name("cr"), given)

    return make
