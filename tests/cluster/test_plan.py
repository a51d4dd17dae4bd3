"""Drift that is reported but not repaired, and ``s3-operator plan`` as a separate process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.processes import get_free_port
from dev.wait import wait_until
from s3bucket.api import GROUP, PLURAL, VERSION
from tests.support.operator import StartOperator, condition, delete, event_reasons, live, plan, wait_ready
from tests.support.world import CLUSTER, NewObject, World, requests_of


def suspend(world: World, cr: dict[str, Any]) -> None:
    world.s3.put_bucket_versioning(Bucket=cr["spec"]["bucketName"], VersioningConfiguration={"Status": "Suspended"})


@pytest.mark.parametrize("check", ["--drift-check", "--no-drift-check"])
def test_report_shows_drift_and_leaves_it_until_it_is_to_be_corrected(
    world: World, new_object: NewObject, start_operator: StartOperator, tmp_path: Path, check: str
) -> None:
    operator = start_operator("--sync-period", "2", "--full-sync-period", "1", check)
    cr = new_object(enableVersioning=True, driftPolicy="Report")
    wait_ready(world, cr)
    assert condition(world, cr, "Synced")["status"] == "True"

    suspend(world, cr)
    wait_until(lambda: condition(world, cr, "Synced").get("status") == "False", "Synced is False")
    found = live(world, cr)
    assert found is not None
    assert found["status"]["drift"] == ["versioning"]
    assert condition(world, cr, "Synced")["reason"] == "Drifted"
    assert condition(world, cr)["status"] == "True"

    # An object without a usable access key is not Ready. The drift is noticed on the watch event, but not repaired.
    namespace = cr["metadata"]["namespace"]
    world.core.delete_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", namespace)
    wait_until(lambda: condition(world, cr).get("reason") == "Drifted", "Ready is False")
    before, runs = live(world, cr), len(operator.runs_of(cr))
    with requests_of(world) as requests:
        number = len(operator.reconciles_of(cr))
        wait_until(lambda: len(operator.reconciles_of(cr)) >= number + 2, "two more syncs")
    assert [request["action"] for request in requests if request["write"]] == []
    assert len(operator.runs_of(cr)) == runs
    assert live(world, cr) == before
    assert before is not None
    assert before["status"]["drift"] == ["versioning", "secret"]
    assert world.secret(cr) is None
    assert event_reasons(world, cr) == ["CREATING", "CREATED", "Drifted", "Drifted"]

    world.custom.patch_namespaced_custom_object(
        GROUP, VERSION, namespace, PLURAL, cr["metadata"]["name"], {"spec": {"driftPolicy": "Correct"}}
    )
    wait_ready(world, cr, generation=2)
    assert world.differs(cr) == []
    assert condition(world, cr, "Synced")["status"] == "True"


def test_plan_of_the_clusters_objects_shows_what_a_deletion_removes(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    cr, kept = new_object(), new_object(deletionPolicy="Retain")
    at = (GROUP, VERSION, cr["metadata"]["namespace"], PLURAL)
    for item in (cr, kept):
        assert world.reconcile(item).outcome["done"]
        body = {"metadata": {"finalizers": ["agill.apps.s3"]}}
        world.custom.patch_namespaced_custom_object(*at, item["metadata"]["name"], body)
    arguments = ("--watch-namespace", cr["metadata"]["namespace"], "--cluster-name", CLUSTER, "-o", "json")
    done = plan(world, tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert [one["result"] for one in json.loads(done.stdout)["objects"]] == ["inSync", "inSync"]
    for item in (cr, kept):
        delete(world, item)
    done = plan(world, tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    found = {one["name"]: one["changes"] for one in json.loads(done.stdout)["objects"]}
    for item, becomes in ((cr, "emptied and deleted"), (kept, "retained, no longer managed")):
        changes = {change["field"]: change["wouldBe"] for change in found[item["metadata"]["name"]]}
        assert list(changes) == ["bucket", "iamUser", "secret", "service"]
        assert changes["bucket"] == becomes


def test_plan_of_a_file_needs_no_cluster(world: World, new_object: NewObject, tmp_path: Path) -> None:
    cr = new_object(enableVersioning=True)
    assert world.reconcile(cr).outcome["done"]
    path = tmp_path / "cr.yaml"
    text = yaml.safe_dump({**cr, "metadata": {name: cr["metadata"][name] for name in ("name", "namespace")}})
    path.write_text(text)
    # There is no kubeconfig, and the AWS keys are in the environment, as on a CI machine.
    keys = dict(line.split(" = ") for line in world.operator_file.read_text().splitlines() if " = " in line)
    alone: dict[str, str | None] = {
        "KUBECONFIG": None, "HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": None,
        "AWS_ACCESS_KEY_ID": keys["aws_access_key_id"], "AWS_SECRET_ACCESS_KEY": keys["aws_secret_access_key"],
    }  # fmt: skip
    named = ("-f", str(path), "--cluster-name", CLUSTER)

    done = plan(world, tmp_path, *named, **alone)
    assert done.returncode == 0, done.stderr
    assert "nothing differs" in done.stdout
    assert "Secret and Service were not compared" in done.stdout

    suspend(world, cr)
    # A cluster that does not answer is treated like no cluster.
    config = yaml.safe_load(world.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{get_free_port()}"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    done = plan(world, tmp_path, *named, KUBECONFIG=str(tmp_path / "kubeconfig"))
    assert done.returncode == 2, done.stderr
    assert "  enableVersioning: false -> true" in done.stdout.splitlines()
    assert "not compared" in done.stdout

    # With the cluster, plan uses the live object's uid, and compares the contents of its Secret.
    world.core.delete_namespaced_service(cr["metadata"]["name"], cr["metadata"]["namespace"])
    done = plan(world, tmp_path, *named)
    assert done.returncode == 2, done.stderr
    fields = [line.partition(":")[0].strip() for line in done.stdout.splitlines()[1:]]
    assert fields == ["enableVersioning", "service"]

    other = {**cr, "metadata": {"name": "new"}, "spec": {**cr["spec"], "bucketName": "Not_a_name"}}
    path.write_text(f"{text}---\n{yaml.safe_dump(other)}")
    done = plan(world, tmp_path, *named, **alone)
    assert done.returncode == 1
    assert f"default/new ({path}, document 2): InvalidSpec: spec.bucketName" in done.stdout
    assert "enableVersioning" in done.stdout, "the others are planned all the same"


def test_plan_with_a_wrong_flag_does_not_end_as_if_something_differed(world: World, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    done = plan(world, tmp_path, "-f", str(tmp_path / "missing.yaml"))
    assert done.returncode == 1
    assert "missing.yaml" in done.stderr
