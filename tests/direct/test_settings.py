"""The playbooks accept the operator's settings under the same names.

They refuse settings that differ from those of an installed operator.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from tests.direct.project import Cluster
from tests.support.docs import commands
from tests.support.objects import write_cr
from tests.support.world import NewObject, Run, World, requests_of

# The values of the guide.
GUIDE, PATH = "docs/guides/without-the-operator.md", "/s3-operator/"


def run_at(world: World, cluster: Cluster, playbook: str, *arguments: str, **environment: str) -> tuple[Run, list[str]]:
    """Run a playbook through the cluster's gate. Returns the run and its writes to Kubernetes and AWS."""
    cluster.gate.clear_requests()
    # The installed operator has the default.
    environment = {"ALLOWED_SETTINGS": "", **environment}
    with requests_of(world) as requests:
        run = world.playbook(playbook, *arguments, KUBECONFIG=str(cluster.kubeconfig), **environment)
    writes = [item.action for item in cluster.gate.requests() if item.is_write]
    run.output = " ".join(run.output.replace('\\"', '"').split())
    return run, writes + [item["action"] for item in requests if item["write"]]


def of_guide(command: str) -> tuple[list[str], dict[str, str]]:
    """The arguments of a command in the guide, and the variables that it sets."""
    words = shlex.split(command, comments=True)
    start = words.index("ansible-playbook")
    return words[start + 2 :], dict(word.split("=", 1) for word in words[:start])


def test_playbook_has_the_operators_settings_of_its_environment(
    world: World, cluster: Cluster, namespace: str, new_name: Any, tmp_path: Path
) -> None:
    user, bucket = new_name("u"), new_name("b")
    path = write_cr(tmp_path / "cr.yaml", namespace, "settings", bucketName=bucket, iamUser={"username": user})
    file = ("-e", f"s3bucket_cr_file={path}")
    # A variable has precedence over the environment.
    cluster_name, environment = ("-e", "s3bucket_cluster_name=mine"), {"IAM_PATH": PATH, "DELETION_POLICY": "Retain"}
    made, _ = run_at(world, cluster, "reconcile.yml", *file, *cluster_name, TAGS='{"team": "a"}', **environment)
    assert made.code == 0, made.output
    found = world.iam.get_user(UserName=user)["User"]
    tags = {tag["Key"]: tag["Value"] for tag in found["Tags"]}
    assert (found["Path"], tags["team"], tags["agill.apps/cluster"]) == (PATH, "a", "mine")
    absent = ("-e", "s3bucket_state=absent")
    gone, writes = run_at(world, cluster, "reconcile.yml", *file, *cluster_name, *absent, **environment)
    assert gone.code == 0, gone.output
    assert "DeleteUser" in writes
    assert world.s3.head_bucket(Bucket=bucket), "retained"


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ([], {"DELETION_POLICY": "retain"}, "DELETION_POLICY: must be Delete or Retain"),
        ([], {"S3_OPERATOR_TAGS": "{}"}, "S3_OPERATOR_TAGS: is not read: its name is TAGS"),
        (["-e", "s3bucket_deletionpolicy=Retain"], {}, "(did you mean s3bucket_deletion_policy?)"),
    ],
    ids=["value", "former-name", "misspelled"],
)  # fmt: skip
def test_setting_that_would_be_ignored_is_refused_before_anything_is_written(
    world: World, cluster: Cluster, new_object: NewObject, arguments: list[str], environment: dict[str, str],
    message: str,
) -> None:  # fmt: skip
    scope = ("-e", f"s3bucket_namespace={new_object()['metadata']['namespace']}")
    run, writes = run_at(world, cluster, "sync.yml", *scope, *arguments, **environment)
    assert (run.code, writes) == (2, []), run.output
    assert message in run.output


@pytest.fixture
def operator(world: World, namespace: str) -> Iterator[str]:
    """An installed operator that is scaled to 0, with its own settings, and for this namespace only."""
    env = [{"name": "WATCH_NAMESPACE", "value": namespace}, {"name": "IAM_PATH", "value": PATH}]
    arguments = ["run", "--deletion-policy=Retain"]
    container = {"name": "s3-operator", "image": "a", "command": ["s3-operator"], "args": arguments}
    labels = {"app": "operator"}
    body = {
        "metadata": {"name": "operator", "labels": {"helm.sh/chart": "s3-operator-1.0.0"}},
        "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{**container, "env": env}]}},
        },
    }  # fmt: skip
    apps = client.AppsV1Api(world.core.api_client)
    apps.create_namespaced_deployment(namespace, body)
    yield f"{namespace}/operator"
    apps.delete_namespaced_deployment("operator", namespace)


def test_playbook_next_to_an_installed_operator_refuses_to_differ_or_takes_its_settings(
    world: World, cluster: Cluster, new_object: NewObject, namespace: str, operator: str
) -> None:
    cr = new_object()
    scope = ("-e", f"s3bucket_namespace={namespace}")
    run, writes = run_at(world, cluster, "sync.yml", *scope, DELETION_POLICY="Delete", CLUSTER_NAME="")
    assert (run.code, writes) == (2, []), run.output
    assert f"installed as Deployment {operator}" in run.output
    assert 's3bucket_deletion_policy is "Delete" here and "Retain" there' in run.output
    assert f's3bucket_iam_path is not set here and "{PATH}" there' in run.output
    assert f"-e s3bucket_operator={operator}, or give the same ones" in run.output
    from_environment, from_operator = map(of_guide, commands(GUIDE, "Settings"))
    by_operator = [*scope, *(word.replace("s3-operator/s3-operator", operator) for word in from_operator[0])]
    run, _ = run_at(world, cluster, "sync.yml", *by_operator, CLUSTER_NAME="")
    assert run.code == 0, run.output
    assert world.iam.get_user(UserName=cr["spec"]["iamUser"]["username"])["User"]["Path"] == PATH
    run, writes = run_at(world, cluster, "sync.yml", *by_operator, CLUSTER_NAME="", IAM_PATH="/other/")
    assert (run.code, writes) == (2, []), run.output
    assert f's3bucket_iam_path is "/other/" here and "{PATH}" there' in run.output
    same, writes = run_at(world, cluster, "sync.yml", *scope, CLUSTER_NAME="", **from_environment[1])
    assert (same.code, writes) == (0, []), same.output


def test_playbook_without_the_right_to_list_deployments_warns_and_goes_on(
    world: World, cluster: Cluster, new_object: NewObject, namespace: str, operator: str
) -> None:
    """The playbook also continues next to an operator with other settings.

    A user who may not read that operator's Deployment gets a warning.
    """
    cr = new_object(iamUser=None)
    rules = [
        {"apiGroups": ["agill.apps"], "resources": ["*"], "verbs": ["*"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["secrets", "services", "namespaces"], "verbs": ["*"]},
    ]
    rbac = client.RbacAuthorizationV1Api(world.core.api_client)
    rbac.create_cluster_role({"metadata": {"name": namespace}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": namespace}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": namespace}]
    rbac.create_cluster_role_binding({"metadata": {"name": namespace}, "roleRef": reference, "subjects": subjects})
    person = ("-e", f"s3bucket_impersonate_user={namespace}")
    try:
        run, _ = run_at(world, cluster, "sync.yml", "-e", f"s3bucket_namespace={namespace}", *person)
    finally:
        rbac.delete_cluster_role_binding(namespace)
        rbac.delete_cluster_role(namespace)
    assert run.code == 0, run.output
    assert "whether an operator is installed that has other settings is not known" in run.output
    assert world.differs(cr) == []
