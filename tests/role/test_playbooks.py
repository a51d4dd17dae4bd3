"""The playbooks as users run them: with a CR file as it is, or for a whole cluster, while no operator runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.apigate import ApiGate
from dev.aws import Aws
from dev.awsgate.holds import Hold
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from runner.kube.client import Kube
from runner.kube.lease import Lease
from s3bucket.api import GROUP, PLURAL, VERSION
from tests.support.objects import write_cr
from tests.support.world import NewObject, Run, World

HOLD_S = 200
# In the output of a task that failed by a patch that the API server rejected. The number 422 is part of some uids, too.
PATCH_REJECTED = "Failed to patch"


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
    # Without a live object there are no ownerReferences. The operator's labels prove the ownership.
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


def test_reconcile_that_fails_reports_the_reason_and_exits_non_zero(
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
    at = (GROUP, VERSION, namespace, PLURAL)
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


def test_sync_reports_which_object_is_not_in_order_and_goes_on(world: World, new_object: NewObject) -> None:
    bad, good = new_object(bucketPolicy='{"Statement": [}'), new_object()
    run = world.playbook("sync.yml", "-e", f"namespace={bad['metadata']['namespace']}")
    assert run.code != 0
    assert f"{bad['metadata']['name']}: InvalidSpec" in run.output
    assert world.differs(good) == []


def sync_with(world: World, gate: ApiGate, namespace: str, meanwhile: Callable[[], object]) -> Run:
    """Run sync.yml. Its first patch of an object reaches the API server only after ``meanwhile`` was called."""
    runs: list[Run] = []
    gate.holds.arm(Hold((namespace,), "PATCH s3s", number=1))
    # The collection needs K8S_AUTH_KUBECONFIG: a warm run imported it with another KUBECONFIG.
    by_gate = {name: str(gate.kubeconfig) for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG")}

    def sync() -> None:
        runs.append(world.playbook("sync.yml", "-e", f"namespace={namespace}", **by_gate))

    thread = threading.Thread(target=sync, daemon=True)
    thread.start()
    assert gate.holds.wait(HOLD_S), "no patch was seen"
    meanwhile()
    gate.holds.disarm()
    thread.join(HOLD_S)
    return runs[0]


def test_sync_handles_objects_that_change_meanwhile_and_stops_when_an_operator_takes_over(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    crs = [new_object(iamUser=None), new_object(iamUser=None)]
    namespace = crs[0]["metadata"]["namespace"]
    at = (GROUP, VERSION, namespace, PLURAL)

    def edit_all(value: str) -> None:
        for cr in crs:
            body = {"metadata": {"labels": {"edited": value}}}
            world.custom.patch_namespaced_custom_object(*at, cr["metadata"]["name"], body)

    left_out = new_object(iamUser=None)["metadata"]["name"]

    def change_all() -> None:
        edit_all("once")
        world.custom.delete_namespaced_custom_object(*at, left_out)

    with ApiGate(world.kubeconfig, tmp_path) as gate:
        run = sync_with(world, gate, namespace, change_all)
        assert run.code == 0, run.output
        assert PATCH_REJECTED not in run.output
        assert f"{namespace}/{left_out}: no longer exists" in run.output
        assert "3 S3 objects, 0 of them not done" in run.output
        for cr in crs:
            assert world.differs(cr) == []
            found = world.custom.get_namespaced_custom_object(*at, cr["metadata"]["name"])["metadata"]
            assert (found["finalizers"], found["labels"]) == (["agill.apps.s3"], {"edited": "once"})
            world.custom.delete_namespaced_custom_object(*at, cr["metadata"]["name"])

        def take_over() -> None:
            edit_all("twice")
            make_former_lease(world, namespace)

        try:
            run = sync_with(world, gate, namespace, take_over)
        finally:
            # Another playbook that finds this Lease refuses to run, in any namespace.
            world.custom.delete_namespaced_custom_object(
                "coordination.k8s.io", "v1", namespace, "leases", "s3-operator"
            )
    # The playbook finished the object that it had begun. It left the other one to the operator.
    assert run.code != 0
    left = [item["metadata"]["name"] for item in world.custom.list_namespaced_custom_object(*at)["items"]]
    assert len(left) == 1
    text = " ".join(run.output.split())
    assert f"{namespace}/{left[0]}: an operator is running (somebody holds Lease {namespace}/s3-operator" in text
    assert PATCH_REJECTED not in run.output


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


def make_former_lease(world: World, namespace: str) -> tuple[str, ...]:
    """Create the Lease of a running operator of an earlier version. Returns the arguments for requests about Leases."""
    renewed = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    lease = {
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "s3-operator"},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 300, "renewTime": renewed},
    }  # fmt: skip
    at = ("coordination.k8s.io", "v1", namespace, "leases")
    world.custom.create_namespaced_custom_object(*at, lease)
    return at


def test_playbooks_refuse_while_an_operator_holds_its_lease(
    world: World, namespace: str, new_name: Any, tmp_path: Path
) -> None:
    at = make_former_lease(world, namespace)
    path = write_cr(tmp_path / "cr.yaml", namespace, "held", bucketName=new_name("held"))
    try:
        run = world.playbook("reconcile.yml", "-e", f"cr={path}")
    finally:
        world.custom.delete_namespaced_custom_object(*at, "s3-operator")
    assert run.code != 0, run.output
    assert "an operator is running" in run.output


def make_lease(world: World, namespace: str, name: str, scope: str) -> None:
    """Create the Lease of a running operator."""
    Kube().write_lease(Lease(namespace, name, "somebody", 300, scope), None, 10)


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
