"""AWX jobs: the checkout as an AWX project, and a separate project that installs the role.

Sources: RunJob.build_env, build_args and build_extra_vars_file of AWX
(https://github.com/ansible/awx/blob/devel/awx/main/tasks/jobs.py), and the credential plugins
(https://github.com/ansible/awx-plugins/blob/devel/src/awx_plugins/credentials/injectors.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import pytest
import yaml

from dev.processes import plain_environment
from tests.direct.checkout import copy_checkout, make_repository
from tests.direct.project import BIN, CR, CREATED, Account, Cluster, Project, Run
from tests.support.docs import blocks
from tests.support.world import CLUSTER, World

GUIDE = "docs/guides/awx.md"
# The extra variables that AWX adds to every job.
META = {
    "awx_job_id": 7, "awx_job_launch_type": "manual", "awx_job_template_name": "s3", "awx_user_name": "admin",
    "awx_inventory_id": 1, "awx_project_revision": "0" * 40, "tower_job_id": 7,
}  # fmt: skip


class AwxJob:
    """A job of AWX: ansible-runner in a private directory, with the project as its working directory."""

    def __init__(self, project: Project) -> None:
        self.project, self.runner = project, project.folder / "runner"
        self.sources = self.runner / "project"
        self.environment = self._environment()
        interpreter = "{{ ansible_playbook_python }}"
        hosts = {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": interpreter}}
        project.write("runner/inventory/hosts.yml", {"all": {"hosts": hosts}})

    def _environment(self) -> dict[str, str]:
        """The variables that AWX sets, with paths in this runner's directory instead of /runner."""
        roles = f"{self.runner}/requirements_roles:roles:~/.ansible/roles:/usr/share/ansible/roles:/etc/ansible/roles"
        collections = f"{self.runner}/requirements_collections:~/.ansible/collections:/usr/share/ansible/collections"
        return {
            "HOME": str(self.runner),
            "ANSIBLE_ROLES_PATH": roles,
            "ANSIBLE_COLLECTIONS_PATH": collections,
            "ANSIBLE_FORCE_COLOR": "True",
            "ANSIBLE_HOST_KEY_CHECKING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_FAILED": "True",
            "ANSIBLE_RETRY_FILES_ENABLED": "False",
            "AWX_PRIVATE_DATA_DIR": str(self.runner),
            "AWX_HOST": "https://awx.example.org",
            "JOB_ID": "7",
            "INVENTORY_ID": "1",
            "MAX_EVENT_RES": "700000",
            # In a container group the job is a Pod. It has the API server's address and no token.
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": "1",
        }

    def add_kubernetes_credential(self, cluster: Cluster, token: str) -> None:
        """Add the credential type "OpenShift or Kubernetes API Bearer Token", with its certificate authority."""
        path = self.project.write("runner/env/tmp-ca", Path(cluster.ca_cert).read_text())
        path.chmod(0o600)
        self.environment |= {
            "K8S_AUTH_HOST": cluster.host,
            "K8S_AUTH_API_KEY": token,
            "K8S_AUTH_VERIFY_SSL": "True",
            "K8S_AUTH_SSL_CA_CERT": str(path),
        }

    def add_aws_credential(self, account: Account) -> None:
        """Add the credential type "Amazon Web Services"."""
        key_id, secret = account.keys()
        self.environment |= {**account.endpoint(), "AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret}

    def run(self, playbook: str, *arguments: str, **extra_vars: Any) -> Run:
        """Launch the job. Extra variables are marked as unsafe, as AWX does."""
        marked = "".join(f"{name}: !unsafe {json.dumps(value)}\n" for name, value in {**META, **extra_vars}.items())
        self.project.write("runner/env/extravars", marked)
        self.project.write("runner/env/cmdline", " ".join(["-u root", *arguments]))
        before = _digest(self.sources)
        command = [BIN / "ansible-runner", "run", self.runner, "--playbook", playbook, "--ident", "7"]
        shutil.rmtree(self.runner / "artifacts", ignore_errors=True)
        run = self.project.run_command(command, self.environment)
        # The job must not change the project, which may be read-only.
        assert _digest(self.sources) == before
        return run


def _digest(folder: Path) -> dict[str, str]:
    # In a read-only directory Python writes no bytecode cache, so .pyc files do not count.
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def token(world: World, namespace: str, new_name: Any) -> Iterator[str]:
    """The token of a ServiceAccount that has exactly the permissions that the guide lists."""
    role, account = yaml.safe_load(blocks(GUIDE, "yaml")[1]), new_name("awx")
    rbac, role["metadata"]["name"] = k8s.RbacAuthorizationV1Api(world.core.api_client), account
    world.core.create_namespaced_service_account(namespace, {"metadata": {"name": account}})
    rbac.create_cluster_role(role)
    subject = {"kind": "ServiceAccount", "namespace": namespace, "name": account}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": account}
    rbac.create_cluster_role_binding({"metadata": {"name": account}, "subjects": [subject], "roleRef": reference})
    made = world.core.create_namespaced_service_account_token(account, namespace, {"spec": {"expirationSeconds": 3600}})
    yield str(made.status.token)
    rbac.delete_cluster_role_binding(account)
    rbac.delete_cluster_role(account)


def test_checkout_is_an_awx_project_and_its_job_uses_only_the_injected_credentials(
    project: Project, world: World, cluster: Cluster, account: Account, namespace: str, new_name: Any,
    token: str,
) -> None:  # fmt: skip
    name = new_name("awx")
    cr = world.make_object(
        namespace, "photos", {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}}
    )
    job = AwxJob(project)
    copy_checkout(job.sources)
    job.add_kubernetes_credential(cluster, token)
    job.add_aws_credential(account)
    # The image has a kubeconfig of another cluster. No cluster is at its address, so using it would be an error.
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    project.write("runner/.kube/config", config)
    variables = {**yaml.safe_load(blocks(GUIDE, "yaml")[2]), "s3bucket_cluster_name": CLUSTER}
    run = job.run("playbooks/sync.yml", **{**variables, "s3bucket_namespace": namespace})
    assert run.code == 0, run.output
    assert sorted(run.writes()) == ["account", "cluster"]
    assert {"PATCH s3s", "POST secrets", "POST services"} == set(run.kubernetes_writes())
    assert set(run.aws_writes()) >= CREATED
    assert {item["access_key"] for item in run.aws["account"]} - {world.credentials(cr)[0]} == {account.keys()[0]}
    assert world.differs(cr) == []
    assert world.iam.get_user(UserName=name)["User"]["Path"] == variables["s3bucket_iam_path"]
    # AWX stores the custom statistics as the job's artifacts, and also the text of the events.
    kept = "".join(path.read_text() for path in (job.runner / "artifacts").glob("*/job_events/*.json"))
    assert '"s3bucket_result"' in kept
    assert world.credentials(cr)[1] not in kept + run.output


def test_project_of_its_own_installs_the_role_under_any_name_with_ansible_galaxy(
    project: Project,
    world: World,
    cluster: Cluster,
    account: Account,
    namespace: str,
    new_name: Any,
    token: str,
    tmp_path: Path,
) -> None:
    repository, name = make_repository(tmp_path / "s3-operator"), new_name("galaxy")
    cr = project.write_cr("photos", namespace, bucketName=name)
    job = AwxJob(project)
    (source,) = yaml.safe_load(blocks(GUIDE, "yaml")[0])["roles"]
    source["src"] = f"file://{repository}"
    required = [source, {**source, "name": "team_storage"}]
    requirements = project.write("runner/project/roles/requirements.yml", {"roles": required})
    project.write("runner/project/crs/photos.yml", yaml.safe_dump(cr))
    installed = job.runner / "requirements_roles"
    command = [BIN / "ansible-galaxy", "role", "install", "-r", requirements, "-p", installed]
    environment = {**plain_environment(), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "HOME": str(job.runner)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(path.name for path in installed.iterdir()) == ["s3bucket", "team_storage"]
    settings = {"s3bucket_cr": CR % "'photos'", "s3bucket_cluster_name": CLUSTER, "s3bucket_iam_settle_s": 0}
    make = {"hosts": "all", "gather_facts": False, "roles": [{"role": "s3bucket", **settings}]}
    remove = {**make, "roles": [{"role": "team_storage", **settings, "s3bucket_state": "absent"}]}
    project.write("runner/project/site.yml", [make, remove])
    job.add_kubernetes_credential(cluster, token)
    job.add_aws_credential(account)
    # The checkout's ansible.cfg sets this too. It takes a third of the time.
    job.environment["ANSIBLE_PIPELINING"] = "1"
    run = job.run("site.yml")
    assert run.code == 0, run.output
    assert [result["changed"][:1] for result in run.results()] == [["bucket"], ["bucket"]]
    assert set(run.aws_writes()) >= {"CreateBucket", "DeleteBucket"}
    assert run.kubernetes_writes() == ["POST services", "DELETE services"]
    assert not any(world.snapshot(cr).values())
