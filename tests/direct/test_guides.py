"""Every command and play of the guides, run exactly as written."""

from __future__ import annotations

import shutil
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.apigate import ApiGate
from dev.binaries import find_binaries
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from tests.direct.checkout import copy_checkout, make_repository
from tests.direct.project import Account, Cluster, Project, Run, Sides, warm_ansible
from tests.support.docs import blocks, commands
from tests.support.world import World

PLAYBOOKS, ROLE = "docs/guides/without-the-operator.md", "roles/s3bucket/README.md"


@pytest.fixture
def empty_cluster(world: World, sides: Sides, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster with no S3 object of other tests, because a guide may act on all objects."""
    with ControlPlane(tmp_path / "kubernetes") as plane:
        install_crd(plane.kubeconfig)
        with ApiGate(plane.kubeconfig, tmp_path, is_tls=True) as gate:
            sides.clusters.append(Cluster("empty_cluster", World(plane.kubeconfig, world.aws, tmp_path), gate))
            yield sides.clusters[-1]
            sides.clusters.pop()


class Guide:
    """A shell in the project, with the programs that the guides use."""

    def __init__(self, project: Project, cluster: Cluster, account: Account) -> None:
        self.project = project
        tools = Path(project.write("bin/README", "the programs of the guides\n")).parent
        (tools / "kubectl").symlink_to(find_binaries()["kubectl"])
        self.environment = {**cluster.environment(), **account.environment()}
        self.path = tools

    @contextmanager
    def warm(self, world: World, folder: Path) -> Iterator[None]:
        """Run the ansible-playbook of a warm process in the block: what the stock one needs was tested before it."""
        before = dict(self.environment)
        with warm_ansible(self.project, world.environment(), folder) as (program, environment):
            (self.path / "ansible-playbook").symlink_to(program)
            self.environment |= environment
            yield
            (self.path / "ansible-playbook").unlink()
            self.environment = before

    def run(self, command: str) -> Run:
        """Run one command. A failure of the command does not end the shell."""
        command = f'PATH="{self.path}:$PATH"; {command}'
        run = self.project.run_command(["sh", "-c", command], self.environment)
        assert run.code == 0, run.output
        return run


def parts(world: World, cr: dict[str, Any]) -> list[bool]:
    """Whether the object's bucket, user, Secret and Service exist. The bucket may be in any region."""
    buckets = [bucket["Name"] for bucket in world.s3.list_buckets()["Buckets"]]
    users = [user["UserName"] for user in world.iam.list_users()["Users"]]
    spec, children = cr["spec"], (world.secret(cr), world.service(cr))
    return [
        spec["bucketName"] in buckets,
        spec["iamUser"]["username"] in users,
        *(child is not None for child in children),
    ]


def test_commands_of_the_guide_without_the_operator(
    project: Project, account: Account, world: World, empty_cluster: Cluster, tmp_path: Path
) -> None:
    own = empty_cluster.world
    guide = Guide(project, empty_cluster, account)
    shutil.rmtree(project.folder / "inventory")
    (project.folder / "ansible.cfg").unlink()
    copy_checkout(project.folder)
    text = blocks(PLAYBOOKS, "yaml")[0]
    cr = yaml.safe_load(text)
    project.write("cr.yaml", text)
    own.make_namespace(cr["metadata"]["namespace"])

    project.roles_path = project.folder / "roles"
    project.write_inventory("localhost")
    check, create, remove = commands(PLAYBOOKS, "A CR file")
    apply, sync, delete, sync_one = commands(PLAYBOOKS, "The objects of a cluster")
    # Without a finding yet, and with no object in the cluster: each playbook's run by the checkout's ansible.cfg.
    for command in (check, sync):
        assert guide.run(command).writes() == {}
    with guide.warm(world, tmp_path / "warm"):
        made = guide.run(create)
        assert sorted(made.kubernetes_writes("empty_cluster")) == ["POST secrets", "POST services"]
        assert all(parts(own, cr))
        guide.run(remove)
        assert not any(parts(own, cr))

        guide.run(apply)
        guide.run(sync)
        assert all(parts(own, cr))
        guide.run(delete)
        assert guide.run(sync_one).kubernetes_writes("empty_cluster")[-1] == "PATCH s3s"
        assert not any(parts(own, cr))

        shutil.copy(empty_cluster.kubeconfig, project.folder / "other.kubeconfig")
        keys = account.credentials_file.read_text()
        project.write("credentials", keys + keys.replace("[default]", "[storage]")).chmod(0o600)
        guide.environment["AWS_SHARED_CREDENTIALS_FILE"] = str(project.folder / "credentials")
        for command in commands(PLAYBOOKS, "Connections"):
            assert guide.run(command).writes() == {}


def test_role_is_installed_and_used_as_in_its_readme(
    project: Project, cluster: Cluster, account: Account, world: World, namespace: str, new_name: Any, tmp_path: Path
) -> None:
    guide, repository = Guide(project, cluster, account), make_repository(tmp_path / "s3-operator")
    guide.environment["ANSIBLE_COLLECTIONS_PATH"] = sysconfig.get_path("purelib")
    # With pipelining, a run takes a third of the time.
    project.write("ansible.cfg", "[defaults]\ninventory = inventory/hosts.yml\n[connection]\npipelining = True\n")
    play, requirements, use, site, one = blocks(ROLE, "yaml")
    project.write(
        "roles/requirements.yml",
        requirements.replace("https://git.example.org/s3-operator.git", f"file://{repository}"),
    )
    for command in commands(ROLE, "Install"):
        guide.run(command)
    assert (project.folder / "roles" / "s3bucket" / "tasks" / "main.yml").exists()

    # The guide's first play, followed by the tasks that use its result.
    cr = project.write_cr("photos", namespace, bucketName=new_name("readme"), iamUser={"username": new_name("readme")})
    project.write("cr.yaml", cr)
    used = yaml.safe_load(use)[1]
    project.write("first.yml", [{**yaml.safe_load(play)[0], "tasks": [used]}])
    run = guide.run("ansible-playbook first.yml")
    assert f"envFrom: {cr['metadata']['name']}-iam-secret" in run.output
    assert sorted(run.kubernetes_writes()) == ["POST secrets", "POST services"]

    # Several objects: one fails and the others succeed. The result of one is not reported for the next.
    taken, names = new_name("taken"), [new_name("readme") for _ in range(2)]
    world.s3.create_bucket(Bucket=taken)
    specs = {
        "a": {"bucketName": names[0], "iamUser": {"username": names[0]}},
        "b": {"bucketName": taken},
        "c": {"bucketName": names[1]},
    }
    for name, spec in specs.items():
        project.write(f"crs/{name}.yaml", project.write_cr(name, namespace, **spec))
    project.write("site.yml", site)
    project.write("one_object.yml", one)
    project.roles_path = project.folder / "roles"
    with guide.warm(world, tmp_path / "warm"):
        run = guide.run("ansible-playbook site.yml || test $? = 2")
    results = run.facts("results")[-1]
    assert [(result["done"], result["reason"]) for result in results] == [
        (True, "Ready"),
        (False, "Conflict"),
        (True, "Ready"),
    ]
    assert ["accessKeyID" in result["status"] for result in results] == [True, False, False]
    assert run.tasks("failed")[-1] == "Ensure all of them are done"
    assert f"bucket {taken} " in run.output
    assert [Path(result["file"]).name for result in results] == ["a.yaml", "b.yaml", "c.yaml"]
    written = [item for item in run.aws["account"] if item["write"]]
    assert {item["bucket"] for item in written} - {""} == set(names)
    assert {item["user"] for item in written} - {""} == {names[0]}
    assert sorted(run.kubernetes_writes()) == ["POST secrets", "POST services", "POST services"]
