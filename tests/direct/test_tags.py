"""Tags: the role runs as a whole or not at all, and the playbooks accept no tags."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s3bucket.api import GROUP, PLURAL, VERSION
from tests.direct.project import Project
from tests.support.world import CLUSTER, PROJECT, NewObject, Run, World, deleting, requests_of


def live(world: World, cr: dict[str, Any]) -> dict[str, Any]:
    """The current object in the cluster."""
    at = (GROUP, VERSION, cr["metadata"]["namespace"], PLURAL, cr["metadata"]["name"])
    return dict(world.custom.get_namespaced_custom_object(*at))


@pytest.mark.parametrize(
    ("playbook", "tags"),
    [("sync.yml", ["--skip-tags", "bucket"]), ("reconcile.yml", ["--tags", "user"])],
    ids=["skipped", "selected"],
)
def test_playbook_with_tags_is_refused_before_anything_is_read(
    project: Project, playbook: str, tags: list[str]
) -> None:
    run = project.run(PROJECT / "playbooks" / playbook, "-e", "cr=missing.yaml", *tags)
    assert run.code != 0
    assert "run this playbook without --tags and --skip-tags" in run.output
    assert (run.writes(), run.kubernetes["cluster"], run.aws["account"]) == ({}, [], []), run.output


def test_sync_with_skipped_tags_keeps_the_finalizer_of_a_deleting_object(world: World, new_object: NewObject) -> None:
    """The tags to skip come from the environment, where a user may have left them."""
    cr = new_object(iamUser=None)
    namespace, name = cr["metadata"]["namespace"], cr["metadata"]["name"]
    sync = ("sync.yml", "-e", f"s3bucket_namespace={namespace}")
    assert world.playbook(*sync).code == 0
    world.custom.delete_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)
    run = world.playbook(*sync, ANSIBLE_SKIP_TAGS="bucket")
    assert run.code != 0, run.output
    assert live(world, cr)["metadata"]["finalizers"] == ["agill.apps.s3"]
    assert world.snapshot(cr)["bucket"] is not None


def test_role_in_a_play_with_tags_runs_as_a_whole_or_not_at_all(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    """The tags include those that earlier versions of the role had on its tasks."""
    cr = new_object()
    given = {"name": "s3bucket", "apply": {"tags": ["storage"]}}
    python = {"ansible_python_interpreter": "{{ ansible_playbook_python }}"}

    def run(task: dict[str, Any], state: str, *tags: str) -> Run:
        task = {**task, "vars": {"s3bucket_cr": deleting(cr) if state == "absent" else cr}, "tags": ["storage"]}
        done = {"ansible.builtin.assert": {"that": "s3bucket_result.done"}, "tags": ["storage"]}
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": python,
            "tasks": [task, done],
        }
        (tmp_path / "site.yml").write_text(json.dumps([play]))
        settings = {"s3bucket_cluster_name": CLUSTER, "s3bucket_iam_settle_s": 0}
        return world.playbook(
            str(tmp_path / "site.yml"), "-e", json.dumps(settings), *tags, ANSIBLE_ROLES_PATH=str(PROJECT / "roles")
        )

    imported = {"ansible.builtin.import_role": {"name": "s3bucket"}}
    for left_out in (("--tags", "other"), ("--skip-tags", "storage")):
        with requests_of(world) as requests:
            none = run(imported, "present", *left_out)
        assert (none.code, none.outcome, requests) == (0, {}, []), none.output
    some = ("--tags", "storage", "--skip-tags", "bucket,user,access")
    whole = run(imported, "present", *some)
    assert whole.code == 0, whole.output
    assert world.differs(cr) == []
    removed = run({"ansible.builtin.include_role": given}, "absent", *some)
    assert removed.code == 0, removed.output
    assert not any(world.snapshot(cr).values())
