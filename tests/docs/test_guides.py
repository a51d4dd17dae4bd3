"""The commands of the guides for an operator, run exactly as written, on a cluster with a running operator."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.aws import Aws
from dev.binaries import find_binaries
from dev.controlplane import ControlPlane
from dev.wait import wait_until
from tests.support.docs import blocks, commands
from tests.support.operator import Operator, condition, live, wait_gone, wait_ready
from tests.support.world import PROJECT, World, make_old_key_older

GUIDES, OPERATIONS = "docs/guides", "docs/operations"
# Commands that exit with status 2 when they found something.
_MAY_FIND = re.compile(r"\bs3-operator (plan|orphans)\b")
_TIMEOUT_S = 120


class Guide:
    """A user's shell: a checkout as the working directory, the programs of the guides, and a running operator."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self._folder, self._number = world, folder, 0
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name, path in find_binaries(["helm", "kubectl"]).items():
            (self._bin / name).symlink_to(path)
        keys = f"AWS_SHARED_CREDENTIALS_FILE={shlex.quote(str(world.aws.credentials_file))}"
        aws = self._bin / "aws"
        aws.write_text(f'#!/bin/sh\n{keys} exec {sys.executable} {PROJECT}/tests/support/aws_cli.py "$@"\n')
        aws.chmod(0o755)
        for name in ("chart", "docs", "examples"):
            (folder / name).symlink_to(PROJECT / name)
        self.operator = self.start()

    def start(self) -> Operator:
        """Start an operator with the cluster's default name. It checks and verifies every object every two seconds."""
        self._number += 1
        folder = self._folder / f"operator-{self._number}"
        folder.mkdir()
        self.operator = Operator(
            self.world,
            folder,
            "--cluster-name",
            "",
            "--sync-period",
            "2",
            "--verify-credentials",
            "--verify-period",
            "2",
        )
        return self.operator

    def run(self, command: str, **variables: str) -> str:
        """Run one command and return its output."""
        environment = self.world.environment(**variables)
        environment["PATH"] = f"{self._bin}:{environment['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            cwd=self._folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
        )
        expected = (0, 2) if _MAY_FIND.search(command) else (0,)
        assert done.returncode in expected, f"{command}\n{done.stdout}"
        return done.stdout

    def write(self, name: str, text: str) -> dict[str, Any]:
        """Write a CR of a guide, and return it."""
        (self._folder / name).write_text(text)
        cr = yaml.safe_load(text)
        cr["metadata"].setdefault("namespace", "default")
        return dict(cr)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guide]:
    """A cluster and an account of their own, because the guides act on all objects; the chart, without a node."""
    folder = tmp_path_factory.mktemp("guides")
    with ControlPlane(folder / "kubernetes") as plane, Aws(folder / "aws") as aws:
        world = World(plane.kubeconfig, aws, folder)
        helm = [str(find_binaries(["helm"])["helm"]), "install", "s3-operator", str(PROJECT / "chart" / "s3-operator")]
        subprocess.run(
            [*helm, "--create-namespace", "--namespace=s3-operator", "--set=aws.existingSecret=aws"],
            env={**os.environ, "KUBECONFIG": str(plane.kubeconfig)},
            check=True,
            capture_output=True,
        )
        for name in ("argocd", "team"):
            world.make_namespace(name)
        made = Guide(world, folder)
        yield made
        made.operator.kill()
        world.close()


@pytest.fixture
def photos(guide: Guide) -> Iterator[dict[str, Any]]:
    """The object of the README, made Ready by the commands of the README."""
    cr = guide.write("photos.yaml", blocks("README.md", "yaml", "Quick start")[0])
    for command in commands("docs/quick-start.md", "In your cluster"):
        guide.run(command)
    yield cr
    guide.run("kubectl delete s3 photos --ignore-not-found --wait=false")
    wait_gone(guide.world, cr)


def test_quick_starts_have_the_same_object_and_commands(photos: dict[str, Any], guide: Guide) -> None:
    assert blocks("docs/quick-start.md", "yaml", "In your cluster")[0] == blocks("README.md", "yaml", "Quick start")[0]
    assert commands("docs/quick-start.md", "In your cluster") == commands("README.md", "Quick start")[-2:]
    # Ten lines, as a reader counts them.
    assert len(blocks("README.md", "yaml", "Quick start")[0].splitlines()) <= 10
    (name,) = re.findall(r"secretRef: \{name: (\S+)\}", (PROJECT / "README.md").read_text())
    assert guide.run(f"kubectl get secret {name} --output=jsonpath='{{.data.AWS_ACCESS_KEY_ID}}'")


def test_guide_of_local_clusters(guide: Guide) -> None:
    cluster, operator, use = blocks("docs/quick-start.md", "sh", "Work with a local cluster")
    # The command would create the one cluster of this checkout, and a failure would leave it running. The guide's
    # cluster is used instead.
    assert cluster == "make cluster\n"
    assert operator == ". build/cluster.env\n.venv/bin/s3-operator run\n"
    first, *rest, last = use.splitlines()
    assert (first, last) == (". build/cluster.env", "make cluster-down")
    for command in rest:
        guide.run(command)


def test_guide_of_drift(photos: dict[str, Any], guide: Guide) -> None:
    report, show, plan, correct, wait = commands(f"{GUIDES}/drift.md", "Report drift")
    world, bucket = guide.world, photos["spec"]["bucketName"]
    guide.run(report)
    wait_ready(world, photos, 2)
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    wait_until(lambda: condition(world, photos, "Synced").get("status") == "False", "drift is reported")
    assert guide.run(show) == '["versioning"]'
    assert "enableVersioning: true -> false" in guide.run(plan)
    guide.run(correct)
    guide.run(wait)
    assert world.s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Suspended"
    for command in commands(f"{GUIDES}/drift.md", "Leave fields to others"):
        guide.run(command)
    wait_ready(world, photos, 4)


def test_guide_of_fresh_keys(photos: dict[str, Any], guide: Guide) -> None:
    old = guide.world.credentials(photos)
    for command in commands(f"{GUIDES}/fresh-keys.md", "Get a fresh key"):
        guide.run(command)
    new = guide.world.credentials(photos)
    assert old != new

    def keys() -> list[str]:
        found = guide.world.iam.list_access_keys(UserName=photos["spec"]["iamUser"]["username"])["AccessKeyMetadata"]
        return [key["AccessKeyId"] for key in found]

    # The object was Ready before the Secret was deleted, so the guide's last command may end before the run does.
    wait_until(lambda: keys() == [new[0]], "the old key is deleted")


def test_guide_of_key_rotation(photos: dict[str, Any], guide: Guide) -> None:
    page, world = f"{GUIDES}/key-rotation.md", guide.world
    old, client = world.credentials(photos)[0], world.tenant(photos)
    for command in commands(page, "Rotate by age"):
        guide.run(command)
    annotate, wait, show = commands(page, "Rotate now")
    guide.run(annotate)
    guide.run(wait)
    states = {key["id"]: key["state"] for key in json.loads(guide.run(show))}
    assert states == {world.credentials(photos)[0]: "Current", old: "Overlap"}
    client.head_bucket(Bucket=photos["spec"]["bucketName"])
    events = guide.run("kubectl get events --field-selector reason=KeyRotated --output=name")
    assert events.strip()
    # The grace periods are over.
    name = photos["spec"]["iamUser"]["username"]
    make_old_key_older(world, name, days=8)
    wait_until(lambda: old_key_of(world, photos) == (old, "Draining"), "the old key drains")
    keep, go_on = commands(page, "Bring the old key back")
    guide.run(keep)
    wait_until(lambda: old_key_of(world, photos) == (old, "Overlap"), "the old key is active again")
    client.head_bucket(Bucket=photos["spec"]["bucketName"])
    make_old_key_older(world, name, days=8)
    guide.run(go_on)
    wait_until(lambda: old_key_of(world, photos) == (old, "Draining"), "the old key drains again")
    make_old_key_older(world, name, days=2)
    wait_until(lambda: old_key_of(world, photos) is None, "the old key is deleted")
    keys = world.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
    assert [key["AccessKeyId"] for key in keys] == [world.credentials(photos)[0]]


def old_key_of(world: World, cr: dict[str, Any]) -> tuple[str, str] | None:
    """The id and the state of the old key in the status."""
    keys = (live(world, cr) or {})["status"]["accessKeys"]
    return next(((key["id"], key["state"]) for key in keys if key["state"] != "Current"), None)


def test_guide_of_bucket_settings(photos: dict[str, Any], guide: Guide) -> None:
    (show,) = commands(f"{GUIDES}/bucket-settings.md", "Settings that cannot be undone")
    assert guide.run(show) == ""
    patch = json.dumps({"spec": {"enableObjectLock": True}})
    guide.run(f"kubectl patch s3 photos --type=merge --patch={shlex.quote(patch)}")
    assert guide.run(show).strip() == f"default/photos {photos['spec']['bucketName']}"


def test_guide_of_verified_access(photos: dict[str, Any], guide: Guide) -> None:
    page, world = f"{GUIDES}/verified-access.md", guide.world
    wait, show = commands(page, "Verify that an access key works")
    guide.run(wait)
    assert guide.run(show) == ""
    # As a service control policy would.
    key, allowed = world.credentials(photos)[0], {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    world.aws.gate.judge(key, {"Version": "2012-10-17", "Statement": [allowed]})
    wait_until(lambda: condition(world, photos, "CredentialsVerified")["status"] == "False", "the denial")
    assert "s3:ListBucket" in guide.run(show)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    world.aws.gate.judge(key, everything)
    (again,) = commands(page, "When")
    guide.run(again)
    guide.run(wait)


def test_guide_of_secret_layouts(photos: dict[str, Any], guide: Guide) -> None:
    page, before = f"{GUIDES}/secret-layouts.md", guide.world.credentials(photos)
    *change, show = commands(page, "Shape the Secret for your application")
    for command in change:
        guide.run(command)
    names = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "BUCKET_NAME", "AWS_ENDPOINT_URL_S3"}
    assert set(guide.run(show).split()) == names
    assert guide.world.credentials(photos) == before
    for block in blocks(page, "yaml"):
        guide.write(
            "photos.yaml", yaml.safe_dump({**photos, "spec": {**photos["spec"], **yaml.safe_load(block)["spec"]}})
        )
        guide.run("kubectl apply --dry-run=server -f photos.yaml")


def test_guide_of_plans(photos: dict[str, Any], guide: Guide) -> None:
    page = f"{GUIDES}/plan-in-ci.md"
    # There is also an object with the same name in another namespace.
    guide.run(
        "sed 's/name: photos/name: photos\\n  namespace: team/; s/example-photos/team-photos/' photos.yaml > p.yaml"
    )
    guide.run("kubectl apply -f p.yaml && kubectl -n team wait --for=condition=Ready s3/photos --timeout=60s")
    outputs = [guide.run(command) for command in commands(page, "For objects of the cluster")]
    file, in_ci = commands(page, "For a file")
    assert "team/photos" in outputs[0]
    assert "default/photos" not in outputs[1]
    assert '"name": "photos"' in guide.run(file)
    # The bucket's tags have the name of this cluster. The cluster name in CI is another one.
    refused = guide.run(f"unset KUBECONFIG; HOME=/nowhere {in_ci} || test $? = 1")
    assert "Conflict" in refused
    guide.run("kubectl delete -f p.yaml")


def test_guide_of_adoption(guide: Guide) -> None:
    page, world = f"{GUIDES}/adopt-a-bucket.md", guide.world
    cr = guide.write("photos.yaml", blocks(page, "yaml", "Create the object")[0])
    bucket = cr["spec"]["bucketName"]
    world.s3.create_bucket(Bucket=bucket)
    world.s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "team", "Value": "a"}]})
    guide.run(blocks(page, "sh", "Offer the bucket")[0], BUCKET=bucket)
    plan, apply, wait = commands(page, "Create the object")
    assert "adopted" in guide.run(plan)
    guide.run(apply)
    guide.run(wait)
    assert (live(world, cr) or {})["status"]["effective"]["adoptionPolicy"] == "Required"
    guide.run("kubectl delete -f photos.yaml")
    # An adopted bucket is retained when its object is deleted.
    world.s3.delete_bucket(Bucket=bucket)


def test_guide_of_data_that_stay(photos: dict[str, Any], guide: Guide) -> None:
    for command in commands(f"{GUIDES}/keep-the-data.md", "Keep the bucket of one object"):
        guide.run(command)
    bucket = photos["spec"]["bucketName"]
    guide.world.s3.delete_bucket(Bucket=bucket)


def test_guide_of_troubleshooting(photos: dict[str, Any], guide: Guide) -> None:
    page = f"{OPERATIONS}/troubleshooting.md"
    for command in commands(page, "Troubleshooting by reason"):
        guide.run(command)
    bucket = photos["spec"]["bucketName"]
    guide.run('kubectl patch s3 photos --type=merge --patch=\'{"spec":{"forceDelete":false}}\'')
    guide.world.s3.put_object(Bucket=bucket, Key="photo", Body=b"x")
    guide.run("kubectl delete s3 photos --wait=false")
    wait_until(lambda: condition(guide.world, photos).get("reason") == "BucketNotEmpty", "the deletion waits")
    (retain,) = commands(page, "Retain the bucket of a deletion that waits")
    guide.run(retain)
    wait_gone(guide.world, photos)
    guide.world.s3.delete_object(Bucket=bucket, Key="photo")
    guide.world.s3.delete_bucket(Bucket=bucket)


def test_guide_of_orphans(photos: dict[str, Any], guide: Guide) -> None:
    page, user = f"{OPERATIONS}/orphans.md", photos["spec"]["iamUser"]["username"]
    key = guide.world.credentials(photos)[0]
    guide.operator.stop()
    guide.run('kubectl patch s3 photos --type=merge --patch=\'{"metadata":{"finalizers":null}}\'')
    guide.run("kubectl delete s3 photos")
    (list_,) = commands(page, "List them")
    assert user in guide.run(list_)
    names = {"USER_NAME": user, "KEY_ID": key, "BUCKET": photos["spec"]["bucketName"]}
    show, *remove = commands(page, "What you do")
    assert guide.run(show, **names).strip() == key
    for command in remove:
        guide.run(command, **names)
    assert user not in [found["UserName"] for found in guide.world.iam.list_users()["Users"]]
    guide.world.s3.delete_bucket(Bucket=photos["spec"]["bucketName"])
    guide.start()


def test_guide_of_argo_cd(guide: Guide) -> None:
    guide.run("kubectl -n argocd create configmap argocd-cm --from-literal=url=https://argocd.example.org")
    for block in blocks(f"{GUIDES}/argocd-and-flux.md", "sh", "Argo CD"):
        guide.run(block)
    found = yaml.safe_load(guide.run("kubectl -n argocd get configmap argocd-cm --output=yaml"))["data"]
    lua = (PROJECT / "docs" / "argocd-health.lua").read_text()
    assert found == {"url": "https://argocd.example.org", "resource.customizations.health.agill.apps_S3": lua}


def test_guide_of_restored_and_cloned_clusters(photos: dict[str, Any], guide: Guide) -> None:
    page, world, bucket = f"{GUIDES}/restore-clone-rebuild.md", guide.world, photos["spec"]["bucketName"]
    (uid,) = re.findall(r"\S+", guide.run("kubectl get namespace kube-system --output=jsonpath='{.metadata.uid}'"))
    name, show = blocks(page, "sh", "Give the cluster a name")
    guide.run(name)
    assert f"clusterName: {uid}" in guide.run("helm get values s3-operator --namespace=s3-operator")
    assert guide.run(show, BUCKET=bucket).strip() == uid
    # Restored objects have new uids. The backup does not contain their children.
    backup = guide.run("kubectl get s3 photos --output=yaml")
    scale, *rest = commands(page, "Restore objects from a backup, in the same cluster")
    guide.run(scale)
    guide.operator.stop()
    _forget(guide)
    # Kubernetes deletes them with their owner, but at a later time.
    guide.run("kubectl delete --ignore-not-found secret/photos-iam-secret service/photos")
    assert "photos" in guide.run("s3-operator orphans")
    cr = yaml.safe_load(backup)
    for field in ("uid", "resourceVersion", "managedFields", "generation", "creationTimestamp", "finalizers"):
        cr["metadata"].pop(field, None)
    guide.write("restored.yaml", yaml.safe_dump({**cr, "status": {}}))
    guide.run("kubectl create -f restored.yaml")
    for command in rest:
        if command.startswith("kubectl wait"):
            guide.start()
        guide.run(command)
    # A clone has no operator, no access keys and no objects. AWS is unchanged.
    guide.operator.stop()
    guide.run("kubectl --namespace=s3-operator create secret generic aws")
    for block in blocks(page, "sh", "Clone a cluster from an etcd snapshot"):
        guide.run(block)
    assert guide.run("kubectl get s3,secret --all-namespaces --selector=app.kubernetes.io/managed-by=s3-operator") == (
        "No resources found\n"
    )
    assert bucket in [found["Name"] for found in world.s3.list_buckets()["Buckets"]]
    guide.start()


def _forget(guide: Guide) -> None:
    """Remove the object, but nothing that it owns in AWS."""
    guide.run('kubectl patch s3 photos --type=merge --patch=\'{"metadata":{"finalizers":null}}\'')
    guide.run("kubectl delete s3 photos --ignore-not-found")
