"""The role in a play with several hosts: each host has its own result."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.support.world import CLUSTER, PROJECT, NewObject, World


def test_conflict_of_one_host_leaves_the_others_their_result_with_any_errors_fatal(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    crs = {"taken": new_object(), "healthy": new_object()}
    world.s3.create_bucket(Bucket=crs["taken"]["spec"]["bucketName"])
    play = {
        "hosts": "all",
        "connection": "local",
        "gather_facts": False,
        "any_errors_fatal": True,
        "max_fail_percentage": 0,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}", "crs": crs},
        "roles": [{"role": "s3bucket", "s3bucket_cr": "{{ crs[inventory_hostname] }}"}],
        "tasks": [{"name": "Ensure this does not run", "ansible.builtin.debug": {"msg": "next task"}}],
    }
    playbook = tmp_path / "site.yml"
    playbook.write_text(json.dumps([play]))
    settings = json.dumps({"s3bucket_cluster_name": CLUSTER, "s3bucket_iam_settle_s": 0})
    roles = str(PROJECT / "roles")
    run = world.playbook(
        str(playbook),
        "-i",
        "taken,healthy,",
        "-e",
        settings,
        "-v",
        ANSIBLE_ROLES_PATH=roles,
        ANSIBLE_GATHERING="explicit",
    )
    # The play ends, as its setting requires, but only after the healthy host has finished the role.
    assert run.code != 0, run.output
    assert "next task" not in run.output
    results = dict(re.findall(r'^ok: \[(\w+)\] => .*"s3bucket_result": .*?"reason": "(\w+)"', run.output, re.MULTILINE))
    assert results == {"taken": "Conflict", "healthy": "Ready"}, run.output
    assert f"Conflict: bucket {crs['taken']['spec']['bucketName']} exists" in run.output
    assert world.differs(crs["healthy"]) == []
