"""The playbooks as people run them: a CR file as it is, a whole cluster, with no operator running."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from kubernetes import config

from dev.aws import Aws
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from runner.kube import Kube
from tests.world import NewObject, World


def write_cr(path: Path, namespace: str, name: str, **spec: Any) -> Path:
    cr = {
        "apiVersion": "agill.apps/v1alpha1", "kind": "S3", "metadata": {"name": name, "namespace": namespace},
        "spec": {"region": "us-east-1", **spec},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(cr))
    return path


def test_reconcile_of_a_file_without_a_live_object_and_back(
    world: World, namespace: str, new_name: Any, tmp_path: Path
) -> None:
    spec = {"bucketName": new_name("file"), "iamUser": {"username": new_name("file")}}
    path = write_cr(tmp_path / "cr.yaml", namespace, "from-file", **spec)
    cr = yaml.safe_load(path.read_text())
    run = world.playbook("reconcile.yml", "-e", f"cr={path}")
    assert (run.code, run.outcome["done"]) == (0, True), run.output
    secret = world.secret(cr)
    assert secret is not None
    # No live object, no ownerReferences; our labels make it ours.
    assert "ownerReferences" not in secret["metadata"]
    assert world.playbook("reconcile.yml", "-e", f"cr={path}").changed == []
    gone = world.playbook("reconcile.yml", "-e", f"cr={path}", "-e", "state=absent")
    assert (gone.code, gone.changed) == (0, ["bucket", "user", "secret", "service"]), gone.output
    assert not any(world.snapshot(cr).values())


def test_reconcile_of_a_file_with_a_live_object_owns_by_it(world: World, new_object: NewObject, tmp_path: Path) -> None:
    live = new_object()
    path = tmp_path / "cr.yaml"
    path.write_text(yaml.safe_dump({**live, "metadata": {key: live["metadata"][key] for key in ("name", "namespace")}}))
    run = world.playbook("reconcile.yml", "-e", f"cr={path}")
    assert run.code == 0, run.output
    secret = world.secret(live)
    assert secret is not None
    assert secret["metadata"]["ownerReferences"][0]["uid"] == live["metadata"]["uid"]


def test_reconcile_that_fails_tells_the_reason_and_exits_non_zero(
    world: World, namespace: str, new_name: Any, tmp_path: Path
) -> None:
    path = write_cr(tmp_path / "cr.yaml", namespace, "bad", bucketName=new_name("file"), bucketPolicy="{")
    run = world.playbook("reconcile.yml", "-e", f"cr={path}")
    assert run.code != 0
    assert "InvalidSpec: spec.bucketPolicy: is not JSON" in run.output


def test_sync_brings_all_in_order_with_finalizer_and_deletes_what_goes(world: World, new_object: NewObject) -> None:
    first, second = new_object(), new_object()
    namespace = first["metadata"]["namespace"]
    run = world.playbook("sync.yml", "-e", f"namespace={namespace}")
    assert run.code == 0, run.output
    at = ("agill.apps", "v1alpha1", namespace, "s3s")
    for cr in (first, second):
        assert world.differs(cr) == []
        found = world.custom.get_namespaced_custom_object(*at, cr["metadata"]["name"])
        assert found["metadata"]["finalizers"] == ["agill.apps.s3"]
    world.custom.delete_namespaced_custom_object(*at, first["metadata"]["name"])
    run = world.playbook("sync.yml", "-e", f"namespace={namespace}", "-e", f"name={first['metadata']['name']}")
    assert run.code == 0, run.output
    left = world.custom.list_namespaced_custom_object(*at)["items"]
    assert [item["metadata"]["name"] for item in left] == [second["metadata"]["name"]]
    assert not any(world.snapshot(first).values())
    assert world.differs(second) == []


def test_sync_tells_which_object_is_not_in_order_and_goes_on(world: World, new_object: NewObject) -> None:
    bad, good = new_object(bucketPolicy='{"Statement": [}'), new_object()
    run = world.playbook("sync.yml", "-e", f"namespace={bad['metadata']['namespace']}")
    assert run.code != 0
    assert f"{bad['metadata']['name']}: InvalidSpec" in run.output
    assert world.differs(good) == []


def test_sync_of_a_whole_cluster(aws: Aws, new_name: Any, tmp_path: Path) -> None:
    with ControlPlane(tmp_path / "kubernetes") as plane:
        install_crd(plane.kubeconfig)
        own = World(plane.kubeconfig, aws, tmp_path)
        own.make_namespace("team")
        crs = [
            own.make_object(namespace, "one", {"region": "us-east-1", "bucketName": new_name("sync")})
            for namespace in ("default", "team")
        ]
        run = own.playbook("sync.yml")
        assert run.code == 0, run.output
        assert [own.differs(cr) for cr in crs] == [[], []]


@pytest.mark.parametrize("age_s", [0, 3600], ids=["running", "long-gone"])
def test_playbooks_refuse_while_an_operator_holds_its_lease(
    world: World, namespace: str, new_name: Any, tmp_path: Path, age_s: int
) -> None:
    renewed = datetime.fromtimestamp(datetime.now(UTC).timestamp() - age_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    lease = {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "s3-operator"},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 300, "renewTime": renewed},
    }  # fmt: skip
    at = ("coordination.k8s.io", "v1", namespace, "leases")
    world.custom.create_namespaced_custom_object(*at, lease)
    path = write_cr(tmp_path / "cr.yaml", namespace, "held", bucketName=new_name("held"))
    try:
        run = world.playbook("reconcile.yml", "-e", f"cr={path}")
    finally:
        world.custom.delete_namespaced_custom_object(*at, "s3-operator")
    assert (run.code == 0) == (age_s > 0), run.output
    assert ("an operator is running" in run.output) == (age_s == 0)


def make_lease(world: World, namespace: str, name: str, scope: str) -> None:
    """The Lease of an operator that is running."""
    config.load_kube_config(str(world.kubeconfig))
    Kube().write_lease(namespace, name, {"holder": "somebody", "duration_s": 300, "scope": scope}, None, 10)


@pytest.mark.parametrize(
    ("scope", "is_free"), [("*", False), ("{namespace},other", False), ("other,another", True)],
    ids=["all-namespaces", "this-namespace", "others"],
)  # fmt: skip
def test_playbook_refuses_for_any_operator_that_watches_the_namespace(
    world: World, namespace: str, scope: str, is_free: bool
) -> None:
    make_lease(world, namespace, "release-s3-operator", scope.format(namespace=namespace))
    try:
        run = world.playbook("sync.yml", "-e", f"namespace={namespace}")
    finally:
        at = ("coordination.k8s.io", "v1", namespace, "leases", "release-s3-operator")
        world.custom.delete_namespaced_custom_object(*at)
    assert (run.code == 0) == is_free, run.output
    assert (f"somebody holds Lease {namespace}/release-s3-operator and watches" in run.output) != is_free
