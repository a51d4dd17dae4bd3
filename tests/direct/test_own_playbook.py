"""The role in a user's playbook outside the checkout: several objects, several hosts, and another ansible.cfg."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.direct.project import CR, Project, Run
from tests.support.world import World


def named_in(run: Run, *fields: str) -> set[str]:
    """The buckets and users that the writes to AWS name."""
    return {item[field] for item in run.aws["account"] if item["write"] for field in fields} - {""}


def test_conflict_on_one_host_of_a_play_with_any_errors_fatal_leaves_the_other_host_its_result(
    project: Project, world: World, namespace: str, new_name: Any
) -> None:
    taken, free = new_name("taken"), new_name("free")
    world.s3.create_bucket(Bucket=taken)
    project.write_inventory("healthy", "conflicting")
    healthy = project.write_cr("healthy", namespace, bucketName=free, iamUser={"username": free})
    project.write_cr("conflicting", namespace, bucketName=taken)
    role = {"role": "s3bucket", "s3bucket_cr": CR % "inventory_hostname"}
    project.write("site.yml", [{"hosts": "all", "gather_facts": False, "any_errors_fatal": True, "roles": [role]}])
    run = project.run("site.yml")
    assert run.code == 2, run.output
    assert [run.results(host)[-1]["reason"] for host in ("healthy", "conflicting")] == ["Ready", "Conflict"]
    assert run.tasks("failed", host="healthy") == []
    assert run.tasks("failed", host="conflicting")[-1] == "Ensure the role fails for an object that is not done"
    assert f"Conflict: bucket {taken}" in run.output
    assert "undefined" not in run.output
    assert named_in(run, "bucket") == {free}
    assert sorted(run.kubernetes_writes()) == ["POST secrets", "POST services"]
    assert world.differs(healthy) == []


# Common settings of users that change how plays and variables work, or that print more.
OWN_CONFIGURATION = """[defaults]
roles_path = ROLES
collections_path = COLLECTIONS
inventory = inventory/hosts.yml
strategy = free
any_errors_fatal = True
hash_behavior = merge
private_role_vars = True
inject_facts_as_vars = False
gathering = smart
fact_caching = jsonfile
fact_caching_connection = FACTS
display_args_to_stdout = True
callback_result_format = yaml
log_path = LOG
verbosity = 3

[connection]
pipelining = True

[diff]
always = True
"""


def test_own_ansible_cfg_and_collections_change_neither_the_result_nor_what_is_printed_of_keys(
    project: Project, world: World, namespace: str, new_name: Any, other_collections: Path, tmp_path: Path
) -> None:
    roles, log, facts = str(project.roles_path), tmp_path / "ansible.log", tmp_path / "facts"
    text = OWN_CONFIGURATION.replace("ROLES", roles).replace("LOG", str(log)).replace("FACTS", str(facts))
    project.write("ansible.cfg", text.replace("COLLECTIONS", str(other_collections)))
    name = new_name("config")
    cr = project.write_cr("photos", namespace, bucketName=name, iamUser={"username": name}, tags={"team": "a"})
    role = {"role": "s3bucket", "s3bucket_cr": CR % "'photos'", "s3bucket_tags": {"cost": "b"}}
    project.write("site.yml", [{"hosts": "all", "roles": [role]}])
    run = project.run("site.yml")
    assert run.code == 0, run.output
    assert run.results()[-1]["reason"] == "Ready"
    assert sorted(run.kubernetes_writes()) == ["POST secrets", "POST services"]
    secret = world.credentials(cr)[1]
    written = [run.output, log.read_text(), *(path.read_text() for path in facts.iterdir()), json.dumps(run.record)]
    assert [secret in text for text in written] == [False] * len(written)
    again = project.run("site.yml")
    assert (again.code, again.writes(), again.results()[-1]["changed"]) == (0, {}, []), again.output
