"""Objects of a cluster: both playbooks read the current object. Its finalizer stays until nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from s3bucket.api import GROUP, PLURAL, VERSION
from tests.direct.project import Cluster
from tests.support.world import NewObject, World, deleting, requests_of

FINALIZER = "agill.apps.s3"
NO_STATUS = "The status of S3 objects is written by the operator only"


def live(world: World, cr: dict[str, Any]) -> dict[str, Any]:
    """The current object in the cluster."""
    return dict(world.custom.get_namespaced_custom_object(*place(cr), cr["metadata"]["name"]))


def place(cr: dict[str, Any]) -> tuple[str, str, str, str]:
    return GROUP, VERSION, cr["metadata"]["namespace"], PLURAL


def write_file(folder: Path, cr: dict[str, Any], **spec: Any) -> Path:
    """The object in a user's file, with some other fields of the spec."""
    metadata = {name: cr["metadata"][name] for name in ("name", "namespace")}
    path = folder / "cr.yaml"
    path.write_text(yaml.safe_dump({**cr, "metadata": metadata, "spec": {**cr["spec"], **spec}}))
    return path


@dataclass
class Checked:
    """A run of a playbook, and its writes to the cluster and to AWS."""

    code: int
    output: str
    writes: list[str]


@pytest.fixture
def playbook(world: World, cluster: Cluster) -> Callable[..., Checked]:
    """Runs a playbook of the project through the gate of the cluster."""
    # The collection needs K8S_AUTH_KUBECONFIG: a warm run imported it with another KUBECONFIG.
    by_gate = {name: str(cluster.kubeconfig) for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG")}

    def run(name: str, *arguments: str) -> Checked:
        cluster.gate.clear_requests()
        with requests_of(world) as requests:
            done = world.playbook(name, *arguments, **by_gate)
        writes = [item.action for item in cluster.gate.requests() if item.is_write]
        writes += [item["action"] for item in requests if item["write"]]
        return Checked(done.code, " ".join(done.output.split()), writes)

    return run


def assert_refused(run: Checked, message: str) -> None:
    assert run.code != 0, run.output
    assert message in run.output
    assert run.writes == [], run.output


def test_reconcile_sets_the_finalizer_of_a_live_object_and_removes_it_when_nothing_is_left(
    world: World, playbook: Any, new_object: NewObject, tmp_path: Path
) -> None:
    cr = new_object()
    path = write_file(tmp_path, cr)
    made = world.playbook("reconcile.yml", "-e", f"cr={path}")
    assert made.code == 0, made.output
    assert live(world, cr)["metadata"]["finalizers"] == [FINALIZER]
    assert live(world, cr)["status"] == cr["status"]
    assert NO_STATUS in made.output
    kept = world.snapshot(cr)
    # Otherwise the object would stay without its bucket, and an operator would create everything again.
    assert_refused(
        playbook("reconcile.yml", "-e", f"cr={path}", "-e", "state=absent"),
        "exists in the cluster and is not being deleted",
    )
    world.custom.delete_namespaced_custom_object(*place(cr), cr["metadata"]["name"])
    assert_refused(
        playbook("reconcile.yml", "-e", f"cr={path}"),
        "is being deleted in the cluster: run this with -e s3bucket_state=absent",
    )
    assert world.snapshot(cr) == kept
    removed = world.playbook("reconcile.yml", "-e", f"cr={path}", "-e", "state=absent")
    assert removed.code == 0, removed.output
    assert "Deleted (changed: bucket, user, secret, service)" in removed.output
    assert world.custom.list_namespaced_custom_object(*place(cr))["items"] == []
    assert not any(world.snapshot(cr).values())


def test_reconcile_that_fails_has_set_the_finalizer_before(world: World, new_object: NewObject, tmp_path: Path) -> None:
    cr = new_object()
    path = write_file(tmp_path, cr)
    world.aws.gate.add_fault("GetCallerIdentity", "AccessDenied", status=403)
    try:
        run = world.playbook("reconcile.yml", "-e", f"cr={path}")
    finally:
        world.aws.gate.clear_faults()
    assert run.code != 0, run.output
    assert live(world, cr)["metadata"]["finalizers"] == [FINALIZER]


def test_reconcile_of_a_file_that_differs_from_the_live_object_is_refused_and_check_shows_it(
    world: World, playbook: Any, new_object: NewObject, tmp_path: Path
) -> None:
    cr = new_object(iamUser=None, enableVersioning=False)
    # A null is the same as no value, because Kubernetes removes it.
    path = write_file(tmp_path, cr, enableVersioning=True, forceDelete=False, bucketPolicy=None)
    named = (
        "differs from S3 {namespace}/{name} of the cluster in spec.enableVersioning, spec.forceDelete: apply the file"
    )
    assert_refused(playbook("reconcile.yml", "-e", f"cr={path}"), named.format(**cr["metadata"]))
    assert "finalizers" not in live(world, cr)["metadata"]
    check = playbook("reconcile.yml", "-e", f"cr={path}", "--check")
    assert (check.code, check.writes) == (0, []), check.output
    assert "this check shows what a run does once the file is applied" in check.output
    world.custom.delete_namespaced_custom_object(*place(cr), cr["metadata"]["name"])


def test_reconcile_of_a_file_that_was_saved_from_an_object_without_a_live_one(
    world: World, playbook: Any, new_object: NewObject, tmp_path: Path
) -> None:
    cr = new_object()
    world.custom.delete_namespaced_custom_object(*place(cr), cr["metadata"]["name"])
    path = tmp_path / "saved.yaml"
    path.write_text(yaml.safe_dump(cr))
    made = world.playbook("reconcile.yml", "-e", f"cr={path}")
    assert made.code == 0, made.output
    # Kubernetes deletes a Secret if its owner does not exist.
    secret = world.secret(cr)
    assert secret is not None
    assert "ownerReferences" not in secret["metadata"]
    path.write_text(yaml.safe_dump(deleting(cr)))
    assert_refused(
        playbook("reconcile.yml", "-e", f"cr={path}"),
        "metadata.deletionTimestamp: the file was saved from an object that was being deleted",
    )
