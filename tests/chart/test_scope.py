"""Which namespaces a release serves: missing permissions, deleted namespaces, and other releases."""

from __future__ import annotations

import json
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dev.deployment import read_container
from dev.processes import Child, get_free_port
from dev.wait import wait_until
from tests.support.chart import CHART, Release
from tests.support.operator import condition, wait_ready
from tests.support.world import World


class Scoped(Release):
    """A release with a name that watches some namespaces."""

    def __init__(self, world: World, namespace: str, folder: Path, name: str = "s3-operator") -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(world, namespace, folder)
        self.name = name
        # The same rule as the chart's template s3-operator.fullname.
        self.deployment = name if "s3-operator" in name else f"{name}-s3-operator"
        self.ports = get_free_port(), get_free_port()

    def install(self, *namespaces: str, **values: str) -> None:
        """Install or upgrade the release so that it watches these namespaces, or all of them when none is given."""
        given = {"metrics.port": self.ports[0], "health.port": self.ports[1], "serviceAccount.name": self.deployment}
        sets = [f"--set={name}={value}" for name, value in {"crds.install": "false", **given, **values}.items()]
        watch = [f"--set=watchNamespaces={{{','.join(namespaces)}}}"] if namespaces else []
        self.helm("upgrade", self.name, str(CHART), "--install", "--create-namespace", *self.values, *sets, *watch)

    def begin(self) -> Child:
        """Start the operator as the Deployment does. It may not be the leader yet."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        container = read_container(self.world.kubeconfig, self.namespace, self.deployment, folder)
        child = Child(container.command, folder / "operator.log", container.environment)
        self.children.append(child)
        return child

    def start(self) -> Child:
        """Start the operator as :meth:`begin` does, and wait until it is the leader."""
        child = self.begin()
        child.wait_until(lambda: '"leading"' in child.log.read_text(), "the operator")
        return child

    def check(self, *namespaces: str) -> subprocess.CompletedProcess[str]:
        """Run ``s3-operator check`` as the chart's test Pod does."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        container = read_container(self.world.kubeconfig, self.namespace, self.deployment, folder)
        command = [container.command[0], "check", f"--leader-election-namespace={self.namespace}", "--wait=0"]
        command += [f"--lease-name={self.deployment}", *(f"--watch-namespace={name}" for name in namespaces)]
        return subprocess.run(command, env=container.environment, capture_output=True, text=True)


@pytest.fixture
def release(world: World, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[Scoped]:
    release = Scoped(world, new_name("release"), tmp_path / "first")
    yield release
    release.stop()


@pytest.fixture
def second(world: World, release: Scoped, tmp_path: Path) -> Iterator[Scoped]:
    """A second release in the same namespace."""
    second = Scoped(world, release.namespace, tmp_path / "second", "second")
    yield second
    second.stop()


def scrape(release: Scoped, name: str) -> dict[str, float]:
    """Read a metric of the operator, keyed by the label namespace."""
    with urllib.request.urlopen(f"http://127.0.0.1:{release.ports[0]}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {sample.labels["namespace"]: sample.value for family in families for sample in family.samples
            if sample.name == name}  # fmt: skip


def readiness(release: Scoped) -> str:
    """The response of the readiness probe: ok, or the reason. Empty while nothing is served."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{release.ports[1]}/readyz", timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        return str(error.read().decode())
    except OSError:
        return ""


def is_ready(release: Scoped) -> bool:
    return readiness(release) == "ok"


def denials(operator: Child) -> list[str]:
    """The watches that are logged as forbidden."""
    lines = operator.log.read_text().rpartition("\n")[0].splitlines()
    return [json.loads(line)["watch"] for line in lines if "not allowed to watch" in line]


@pytest.fixture
def two_namespaces(world: World, new_name: Callable[[str], str]) -> tuple[str, str]:
    names = new_name("watched"), new_name("watched")
    for name in names:
        world.make_namespace(name)
    return names


def new_cr(world: World, namespace: str, new_name: Callable[[str], str]) -> dict[str, Any]:
    spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
    return world.make_object(namespace, new_name("cr"), spec)


def test_delete_of_a_watched_namespace_completes_with_its_buckets_removed(
    world: World, release: Scoped, two_namespaces: tuple[str, str], new_name: Callable[[str], str]
) -> None:
    kept, namespace = two_namespaces
    release.install(kept, namespace)
    with release.running():
        objects = [new_cr(world, namespace, new_name) for _ in range(2)]
        for cr in objects:
            wait_ready(world, cr)
        # A namespace deletion has no fixed order: here the operator's permissions are deleted before the objects.
        selector = "--selector=app.kubernetes.io/instance=s3-operator"
        release.kubectl(f"--namespace={namespace}", "delete", "rolebinding,role", selector)
        release.kubectl("delete", "namespace", namespace, "--timeout=120s")
        for cr in objects:
            assert world.s3.list_buckets(Prefix=cr["spec"]["bucketName"])["Buckets"] == []
            users = [user["UserName"] for user in world.iam.list_users()["Users"]]
            assert cr["spec"]["iamUser"]["username"] not in users
    # One namespace is missing. The other one is still served, also by an operator that starts now.
    operator = release.start()
    wait_until(lambda: is_ready(release), "Ready with one namespace missing")
    wait_ready(world, new_cr(world, kept, new_name))
    assert scrape(release, "s3_operator_namespace_watched") == {kept: 1, namespace: 0}
    operator.stop()


def test_rolebinding_that_somebody_deletes_is_named_and_recovers(
    world: World, release: Scoped, two_namespaces: tuple[str, str], new_name: Callable[[str], str]
) -> None:
    kept, namespace = two_namespaces
    release.install(kept, namespace, syncPeriod="2")
    binding = f"{release.namespace}:s3-operator"
    first = release.start()
    cr = new_cr(world, namespace, new_name)
    wait_ready(world, cr)
    before = world.snapshot(cr)
    manifest = release.kubectl(f"--namespace={namespace}", "get", "rolebinding", binding, "-o", "json")
    release.kubectl(f"--namespace={namespace}", "delete", "rolebinding", binding)
    first.stop()

    operator = release.start()
    found = wait_until(lambda: (condition(world, cr).get("status") == "False") and condition(world, cr), "not Ready")
    assert found["reason"] == "KubernetesError"
    assert f"no right to read it in namespace {namespace} (403): its RoleBinding" in found["message"]
    wait_until(lambda: is_ready(release), "Ready without one RoleBinding")
    wait_ready(world, new_cr(world, kept, new_name))
    assert scrape(release, "s3_operator_namespace_watched") == {kept: 1, namespace: 0}
    denied = [f"Secret in {namespace}", f"Service in {namespace}"]
    wait_until(lambda: sorted(denials(operator)) == denied, "each denial is logged")
    lines = release.check(kept, namespace).stdout.splitlines()
    assert any(line.startswith(f"ok      namespace {kept}:") for line in lines)
    assert any(line.startswith(f"FAILED  namespace {namespace}:") and "RoleBinding" in line for line in lines)

    saved = json.loads(manifest)
    saved["metadata"] = {name: saved["metadata"][name] for name in ("name", "namespace", "labels")}
    file = release.folder / "binding.json"
    file.write_text(json.dumps(saved))
    release.kubectl("create", "-f", str(file))
    wait_ready(world, cr)
    wait_until(lambda: scrape(release, "s3_operator_namespace_watched")[namespace] == 1, "watched again")
    assert sorted(denials(operator)) == denied
    # Nothing was created again in the meantime.
    assert world.snapshot(cr) == before
    operator.stop()


def test_two_releases_in_one_namespace_serve_different_namespaces(
    world: World, release: Scoped, second: Scoped, two_namespaces: tuple[str, str], new_name: Callable[[str], str]
) -> None:
    one, other = two_namespaces
    release.install(one)
    second.install(other)
    with release.running(), second.running():
        for namespace in two_namespaces:
            wait_ready(world, new_cr(world, namespace, new_name))
        for made, namespace in ((release, one), (second, other)):
            done = made.check(namespace)
            assert done.returncode == 0, done.stdout
            assert "ok      other operators: none watches the same namespaces" in done.stdout


def test_release_with_an_overlapping_scope_does_not_work_and_names_the_other(
    world: World, release: Scoped, second: Scoped, two_namespaces: tuple[str, str], new_name: Callable[[str], str]
) -> None:
    one, other = two_namespaces
    release.install(one, other)
    first = release.start()
    second.install(other)
    waiting = second.begin()
    lease = f"(Lease {release.namespace}/s3-operator, watches {','.join(sorted(two_namespaces))})"
    found = wait_until(lambda: "another operator" in readiness(second) and readiness(second), "it is not Ready")
    assert lease in found
    wait_ready(world, new_cr(world, other, new_name))
    assert '"leading"' not in waiting.log.read_text()
    done = second.check(other)
    assert lease in next(line for line in done.stdout.splitlines() if line.startswith("FAILED  other operators"))
    # A release in another namespace does not count: a user who may write a Lease in some namespace must not be able to
    # stop an operator.
    assert is_ready(release)
    first.stop()
    wait_until(lambda: is_ready(second), "it takes over")
    waiting.stop()


def test_operator_of_another_namespace_with_an_overlapping_scope_is_reported(
    world: World, release: Scoped, two_namespaces: tuple[str, str], new_name: Callable[[str], str], tmp_path: Path
) -> None:
    one, _ = two_namespaces
    elsewhere = Scoped(world, new_name("release"), tmp_path / "elsewhere", "elsewhere")
    elsewhere.install(one)
    release.install(one)
    try:
        with elsewhere.running():
            operator = release.start()
            wait_until(lambda: is_ready(release), "it works all the same")
            lines = wait_until(
                lambda: [line for line in operator.log.read_text().splitlines() if "overlapping scope" in line],
                "the report",
            )
            assert f"Lease {elsewhere.namespace}/elsewhere-s3-operator, watches {one}" in lines[0]
            assert "FAILED  other operators" in release.check(one).stdout
            operator.stop()
    finally:
        elsewhere.stop()
