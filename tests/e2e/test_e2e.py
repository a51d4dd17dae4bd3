"""The chart with the real image in a real Pod: install, work, kills, upgrade, uninstall. Nothing is lost.

The tests of this file are one story, in this order.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.wait import wait_until
from runner import __version__
from tests.e2e.conftest import Cluster
from tests.support.docs import blocks
from tests.support.operator import get, live, wait_gone, wait_ready
from tests.support.world import PROJECT

INSTALL = (
    "helm upgrade s3-operator chart/s3-operator --install --create-namespace --namespace=s3-operator --wait"
    ' --set AWS_ACCESS_KEY_ID="$AWS_ACCESS_KEY_ID" --set AWS_SECRET_ACCESS_KEY="$AWS_SECRET_ACCESS_KEY"'
)
# A UID that OpenShift chooses: not in /etc/passwd, with group 0, and no fsGroup here.
ANY_UID = 1000680000
AS_ANY_UID = (
    f" --set podSecurityContext.runAsUser={ANY_UID}"
    " --set podSecurityContext.runAsGroup=null --set podSecurityContext.fsGroup=null"
)
EXAMPLES = ("minimal", "full", "go-operator", "bucket-only")


def snapshots(cluster: Cluster) -> dict[str, Any]:
    """All that AWS and Kubernetes hold for the examples, with dates and ids that a re-creation would change."""
    items = cluster.get("s3", "default")["items"]
    users = {user["UserName"]: user["UserId"] for user in cluster.world.iam.list_users()["Users"]}
    # The operator's own.
    users = {name: number for name, number in users.items() if name != "admin" and not name.startswith("operator-")}
    buckets = {item["Name"]: str(item["CreationDate"]) for item in cluster.world.s3.list_buckets()["Buckets"]}
    uids = {
        item["metadata"]["name"]: (item["metadata"]["uid"], item["metadata"].get("deletionTimestamp")) for item in items
    }
    secrets = {
        item["metadata"]["name"]: (item["metadata"]["uid"], item["data"])
        for item in cluster.get("secrets", "default")["items"]
    }
    return {"users": users, "buckets": buckets, "objects": uids, "secrets": secrets}


def container_pid(cluster: Cluster) -> int:
    """The operator's own process, as the node sees it."""
    status = cluster.pod()["status"]["containerStatuses"][0]
    return cluster.node.container_pid(status["containerID"].removeprefix("containerd://"))


def checks_of(cluster: Cluster) -> dict[str, int]:
    """How many drift checks of the Pod had each result."""
    port = yaml.safe_load(cluster.values.read_text())["metrics"]["port"]
    lines = get(port, "/metrics")[1]
    found = re.findall(r'^s3_operator_drift_checks_total\{result="(\w+)"\} (\d+)', lines, re.MULTILINE)
    return {result: int(count) for result, count in found}


@pytest.fixture(scope="module")
def installed(cluster: Cluster) -> Cluster:
    """The release, with the examples Ready."""
    cluster.shell(INSTALL)
    cluster.shell("kubectl apply -f examples")
    waits = " ".join(f"s3/{name}" for name in EXAMPLES)
    cluster.shell(f"kubectl wait --for=condition=Ready {waits} --timeout=180s")
    return cluster


def test_pod_becomes_ready_and_examples_too_and_helm_test_passes(installed: Cluster) -> None:
    pod = installed.pod()
    assert {item["type"]: item["status"] for item in pod["status"]["conditions"]}["Ready"] == "True"
    output = installed.shell("helm test s3-operator --namespace=s3-operator")
    assert output.count("ok      ") >= 3, output
    # The image has all that warm runs import, and no more than that.
    log = installed.shell(f"kubectl --namespace=s3-operator logs {pod['metadata']['name']}")
    assert "reconciled" in log
    assert "runs are not warm" not in log


def test_container_is_as_locked_down_as_the_chart_states(installed: Cluster) -> None:
    name = installed.pod()["metadata"]["name"]
    script = (
        "import os, pathlib, sys\n"
        "def can_write(path):\n"
        "    try: pathlib.Path(path, 'x').touch(); return True\n"
        "    except OSError: return False\n"
        "status = dict(line.split(':', 1) for line in open('/proc/1/status'))\n"
        "print(os.getuid(), can_write('/opt/s3-operator'), can_write('/'), can_write('/tmp'),\n"
        "      int(status['CapEff'], 16), status['NoNewPrivs'].strip(), status['Seccomp'].strip())\n"
    )
    output = installed.shell(f"kubectl --namespace=s3-operator exec {name} -- python3 -c {shlex.quote(script)}")
    assert output.splitlines() == ["1001 False False True 0 1 2"]


def test_dead_processes_of_runs_do_not_stay_in_the_container(installed: Cluster) -> None:
    name = installed.pod()["metadata"]["name"]
    # Its child is the operator's when it ends, as process 1, and is dead then.
    orphan = "import os; print(os.fork() or os._exit(0))"
    exec_ = f"kubectl --namespace=s3-operator exec {name} -- python3 -c"
    pid = installed.shell(f"{exec_} {shlex.quote(orphan)}").split()[0]
    script = (
        "import os\n"
        f"print('orphan', os.path.exists('/proc/{pid}'))\n"
        "zombies = [p for p in os.listdir('/proc') if p.isdigit() and ') Z ' in open(f'/proc/{p}/stat').read()]\n"
        "print('zombies', zombies)\n"
    )
    wait_until(
        lambda: installed.shell(f"{exec_} {shlex.quote(script)}").splitlines() == ["orphan False", "zombies []"],
        "the orphan and all others are waited for",
    )


def test_image_is_small_labeled_unprivileged_and_has_no_tools(cluster: Cluster) -> None:
    facts = cluster.image_facts
    config, files = facts["config"]["config"], facts["files"]
    assert facts["size"] < 350_000_000
    # Any other UID gets group 0, too.
    assert config["User"] == "1001:0"
    assert config["Entrypoint"] == ["s3-operator"]
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert re.fullmatch("[0-9a-f]{40}|unknown", config["Labels"]["org.opencontainers.image.revision"])
    tools = {"gcc", "cc", "pip", "pip3", "git", "go", "make"}
    assert not {path for path in files if path.rpartition("/")[2] in tools and "bin/" in path}
    packages = "opt/s3-operator/lib/python3.11/site-packages"
    assert f"{packages}/pip" not in files
    assert not {path for path in files if "/.cache/" in path}
    services = {
        path.split("/")[7] for path in files if path.startswith(f"{packages}/botocore/data/") and path.count("/") > 7
    }
    assert services == runpy.run_path(str(PROJECT / "container" / "assemble.py"))["_SERVICES"]
    collections = {
        "/".join(path.split("/")[6:8]) for path in files if "/ansible_collections/" in path and path.count("/") > 7
    }
    assert {name for name in collections if name[0] != "_"} == {"amazon/aws", "kubernetes/core"}
    # What is not compiled in the image is compiled at each start: its root is read-only.
    assert f"{packages}/kubernetes/client/__pycache__/api_client.cpython-311.pyc" in files


def test_environment_and_log_of_the_pod_hold_no_key(installed: Cluster) -> None:
    secrets = [installed.world.aws.admin_key()[1]]
    secrets += [
        installed.world.credentials({"metadata": {"name": name, "namespace": "default"}})[1]
        for name in EXAMPLES
        if name != "bucket-only"
    ]
    name = installed.pod()["metadata"]["name"]
    environment = installed.shell(f"kubectl --namespace=s3-operator exec {name} -- cat /proc/1/environ /proc/1/cmdline")
    log = installed.logs()
    assert '"msg": "reconciled"' in log
    # Every line is JSON: nothing prints past the log.
    assert [line for line in log.splitlines() if not line.startswith("{")] == []
    for secret in secrets:
        assert secret not in environment
        assert secret not in log


def test_killed_process_and_deleted_pod_lose_nothing(installed: Cluster) -> None:
    before = snapshots(installed)
    os.kill(container_pid(installed), signal.SIGKILL)
    wait_until(lambda: installed.pod()["status"]["containerStatuses"][0]["restartCount"] == 1, "a restart")
    name = installed.pod()["metadata"]["name"]
    installed.shell(f"kubectl --namespace=s3-operator delete pod {name} --grace-period=0 --force")
    installed.shell("kubectl --namespace=s3-operator rollout status deployment/s3-operator --timeout=60s")
    use(installed, "after-kill")
    assert without(snapshots(installed), "after-kill") == before


def test_runtime_that_restarts_loses_nothing(installed: Cluster) -> None:
    before, pod = snapshots(installed), installed.pod()["metadata"]["uid"]
    installed.node.stop_runtime()
    installed.node.start_runtime()
    use(installed, "after-runtime")
    assert installed.pod()["metadata"]["uid"] == pod
    assert without(snapshots(installed), "after-runtime") == before


def test_helm_upgrade_to_another_uid_changes_no_key_and_recreates_nothing(installed: Cluster) -> None:
    before, pod = snapshots(installed), installed.pod()["metadata"]["uid"]
    installed.shell(f"{INSTALL} --set syncPeriod=10 {AS_ANY_UID}")
    wait_until(lambda: installed.pod()["metadata"]["uid"] != pod, "a new Pod")
    exec_ = f"kubectl --namespace=s3-operator exec {installed.pod()['metadata']['name']} --"
    assert installed.shell(f"{exec_} id --user --real").strip() == str(ANY_UID)
    # Runs are warm here; a run of the stock executor needs a name for its UID as well. As runs, it names its folder.
    stock = f"{exec_} env ANSIBLE_REMOTE_TEMP=/tmp/remote ansible localhost -m ansible.builtin.command -a 'id -u'"
    assert f"rc=0 >>\n{ANY_UID}" in installed.shell(stock)
    use(installed, "after-upgrade")
    assert without(snapshots(installed), "after-upgrade") == before
    # The image has what a drift check needs: each object was checked, and each was in order.
    wait_until(lambda: checks_of(installed).get("in_sync", 0) >= len(EXAMPLES), "a check of each object")
    assert set(checks_of(installed)) == {"in_sync"}, installed.logs()


def test_uninstall_keeps_everything_and_an_install_with_helm_3_goes_on(installed: Cluster) -> None:
    before = snapshots(installed)
    warning = installed.shell("kubectl -n s3-operator exec deployment/s3-operator -- s3-operator warn-uninstall")
    assert re.search(r"WARNING: S3 objects are still there \(4\): .*default/minimal", warning), warning
    output = installed.shell("helm uninstall s3-operator --namespace=s3-operator")
    assert "s3s.agill.apps" in output
    assert snapshots(installed) == before
    # The seed's command, fresh.
    installed.shell(INSTALL.replace("helm upgrade", "helm3 upgrade --force"))
    assert installed.shell("helm3 test s3-operator --namespace=s3-operator").count("ok      ") >= 3
    assert snapshots(installed) == before
    installed.shell("kubectl delete s3 minimal bucket-only --timeout=120s")
    installed.shell("kubectl delete s3 go-operator full --timeout=120s")
    after = snapshots(installed)
    # full has deletionPolicy: Retain.
    assert list(after["buckets"]) == ["s3-operator-example-full"]
    assert (after["users"], after["secrets"], after["objects"]) == ({}, {}, {})
    warning = installed.shell("kubectl -n s3-operator exec deployment/s3-operator -- s3-operator warn-uninstall")
    assert "No S3 object is left." in warning
    installed.shell("helm3 uninstall s3-operator --namespace=s3-operator")


# The commands of README and docs that need the image, in an order in which they work.
DOCUMENTED = [
    ("README.md", "Quick start"),
    ("docs/install/helm.md", "Install the chart"),
    ("chart/s3-operator/README.md", "s3-operator"),
    ("docs/install/credentials.md", "Existing Secret"),
    ("docs/install/credentials.md", "IAM role for the ServiceAccount"),
    ("docs/install/aws-permissions.md", "Path and permissions boundary"),
    ("docs/install/namespaces.md", "Selected namespaces"),
    ("docs/install/helm.md", "OpenShift"),
    ("docs/guides/keep-the-data.md", "Keep all buckets of a cluster"),
    ("docs/install/upgrade-from-go.md", "Upgrade the release"),
    ("docs/install/upgrade-from-go.md", "A release from a Kubernetes before 1.22"),
    ("docs/guides/restore-clone-rebuild.md", "Rebuild a cluster"),
    ("docs/operations/troubleshooting.md", "The operator itself"),
    ("docs/install/uninstall.md", "Keep the buckets"),
    ("docs/install/uninstall.md", "Remove everything"),
]


def test_documented_commands_that_need_the_image_work(cluster: Cluster, tmp_path: Path) -> None:
    # The fixture ran it.
    (build,) = blocks("docs/install/helm.md", "sh", "Build the image")
    assert build == 'make image IMAGE="$IMAGE"\n'
    photos = tmp_path / "photos.yaml"
    photos.write_text(blocks("README.md", "yaml", "Quick start")[0])
    given = {
        "ROLE_ARN": "arn:aws:iam::123456789012:role/s3-operator",
        "BOUNDARY_ARN": "arn:aws:iam::123456789012:policy/s3-operator-tenant",
        "OLD_CLUSTER_NAME": "old-cluster",
    }
    accounts, pods = {}, {}
    for page, section in DOCUMENTED:
        if section == "Remove everything":
            # It removes a release with all it has: one must be there.
            cluster.shell(INSTALL)
        for block in blocks(page, "sh", section):
            cluster.shell(block.removeprefix(build).replace("photos.yaml", str(photos)), **given)
            if section == "Quick start" and "kubectl wait" in block:
                cluster.shell("kubectl delete s3 photos --timeout=120s")
            if "helm upgrade" in block:
                account = cluster.get("serviceaccount/s3-operator")["metadata"]
                accounts[section] = account.get("annotations", {})
                pods[section] = cluster.get("deployment/s3-operator")["spec"]["template"]["spec"]
    by_role = "IAM role for the ServiceAccount"
    assert accounts[by_role]["eks.amazonaws.com/role-arn"] == given["ROLE_ARN"]
    assert "aws" not in {volume["name"] for volume in pods[by_role]["volumes"]}

    def setting(section: str, name: str) -> str:
        return str({item["name"]: item.get("value") for item in pods[section]["containers"][0]["env"]}.get(name))

    assert setting("Path and permissions boundary", "PERMISSIONS_BOUNDARY") == given["BOUNDARY_ARN"]
    assert setting("Selected namespaces", "WATCH_NAMESPACE") == "team-a,team-b"
    assert setting("Keep all buckets of a cluster", "DELETION_POLICY") == "Retain"
    assert setting("Rebuild a cluster", "CLUSTER_NAME") == given["OLD_CLUSTER_NAME"]
    kinds = "crd,clusterrole,clusterrolebinding,deployments,roles,serviceaccounts"
    assert "s3" not in cluster.shell(f"kubectl --namespace=s3-operator get {kinds} -o name")


def use(cluster: Cluster, name: str) -> None:
    """Order one more bucket and remove it again: the operator works."""
    spec = {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}}
    cr = cluster.world.make_object("default", name, spec)
    wait_ready(cluster.world, cr)
    cluster.shell(f"kubectl delete s3 {name} --wait=false")
    wait_gone(cluster.world, cr)
    assert live(cluster.world, cr) is None


def without(found: dict[str, Any], name: str) -> dict[str, Any]:
    """A snapshot in which nothing of ``name`` may be left."""
    assert name not in json.dumps(found)
    return found


def test_dependencies_have_wheels_for_arm64(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--require-hashes", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version=3.11", f"--target={tmp_path}"]
    command += [f"--platform={tag}_aarch64" for tag in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")]
    done = subprocess.run(
        [*command, "-r", str(PROJECT / "container" / "requirements.lock")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_examples_are_all_there() -> None:
    assert sorted(path.stem for path in (PROJECT / "examples").glob("*.yaml")) == sorted(EXAMPLES)
