"""The role in a person's own playbook, outside the checkout."""

from __future__ import annotations

from typing import Any

from tests.direct.project import Account, Cluster, Project
from tests.world import World


def test_role_in_a_project_outside_the_checkout_writes_to_the_cluster_and_account_of_the_environment(
    project: Project, world: World, namespace: str, new_name: Any, other_cluster: Cluster, other_account: Account
) -> None:
    cr = project.write_cr("photos", namespace, bucketName=new_name("direct"), iamUser={"username": new_name("direct")})
    role = {"role": "s3bucket", "s3bucket_cr": "{{ lookup('file', 'crs/photos.yml') | from_yaml }}"}
    project.write("site.yml", [{"hosts": "all", "gather_facts": False, "roles": [role]}])
    first = project.run("site.yml")
    assert first.code == 0, first.output
    assert sorted(first.kubernetes_writes()) == ["POST secrets", "POST services"]
    assert {"CreateBucket", "CreateUser", "CreateAccessKey"} <= set(first.aws_writes())
    assert sorted(first.writes()) == ["account", "cluster"]
    assert world.differs(cr) == []
    second = project.run("site.yml")
    assert (second.code, second.writes()) == (0, {}), second.output
    assert second.stats["localhost"]["changed"] == 0
