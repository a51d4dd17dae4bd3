"""Inputs of the playbooks and the role: a wrong value is refused by name, before anything changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.objects import write_cr
from tests.support.world import CLUSTER, NewObject, World, requests_of

NAMES = "its inputs are s3bucket_cr_file, s3bucket_state, cr, state"
STATE = "s3bucket_state: must be present or absent, not "
SYNC = "its inputs are s3bucket_namespace, s3bucket_name, namespace, name"
# Playbook, extra variables, and a part of the message.
INPUTS: dict[str, tuple[str, list[str], str]] = {
    "no-such-state": ("reconcile.yml", ["cr=CR", "state=foo"], f'{STATE}"foo"'),
    "state-in-capitals": ("reconcile.yml", ["s3bucket_cr_file=CR", "s3bucket_state=Absent"], f'{STATE}"Absent"'),
    "empty-state": ("reconcile.yml", ["cr=CR", "state="], f'{STATE}""'),
    "null-state": ("reconcile.yml", ["cr=CR", '{"s3bucket_state": null}'], f"{STATE}null"),
    "misspelled-state": ("reconcile.yml", ["cr=CR", "State=absent"], f"no input State: {NAMES}"),
    "hyphen": ("reconcile.yml", ["cr=CR", "s3bucket-state=absent"], f"no input s3bucket-state: {NAMES}"),
    "misspelled-file": ("reconcile.yml", ["Cr=CR"], f"no input Cr: {NAMES}"),
    "input-of-sync": ("reconcile.yml", ["cr=CR", "namespace=team"], f"no input namespace: {NAMES}"),
    "no-file": ("reconcile.yml", ["state=absent"], "name a file: -e s3bucket_cr_file=cr.yaml"),
    "object-of-the-operator": (
        "reconcile.yml", ['{"s3bucket_cr_json": "{}", "s3bucket_operator_settings_json": "{}"}'],
        "name a file: -e s3bucket_cr_file=cr.yaml",
    ),
    "another-name-of-the-file": ("reconcile.yml", ["s3bucket_file=CR"], "(did you mean s3bucket_cr_file?)"),
    "object-beside-a-file": (
        "reconcile.yml", ["cr=CR", '{"s3bucket_cr": {}}'], "s3bucket_cr is given: this playbook has s3bucket_cr_file",
    ),
    "empty-file-name": ("reconcile.yml", ["cr="], "name a file: -e s3bucket_cr_file=cr.yaml"),
    "both-files": ("reconcile.yml", ["cr=CR", "s3bucket_cr_file=CR"], "cr and s3bucket_cr_file are both given"),
    "both-states": ("reconcile.yml", ["cr=CR", "state=present", "s3bucket_state=absent"], "state and s3bucket_state"),
    "sync-absent": ("sync.yml", ["s3bucket_state=absent"], "sync.yml has no s3bucket_state: it removes"),
    "sync-old-absent": ("sync.yml", ["state=absent"], f"no input state: {SYNC}"),
    "sync-of-a-file": ("sync.yml", ["cr=CR"], f"no input cr: {SYNC}"),
    "sync-of-an-object": ("sync.yml", ['{"s3bucket_cr": {}}'], f"no input s3bucket_cr: {SYNC}"),
    "sync-misspelled": ("sync.yml", ["Namespace=team"], f"no input Namespace: {SYNC}"),
}  # fmt: skip


@pytest.mark.parametrize("row", INPUTS)
def test_input_that_is_wrong_is_refused_by_its_name_before_any_request(
    world: World, namespace: str, tmp_path: Path, row: str
) -> None:
    playbook, given, message = INPUTS[row]
    path = write_cr(tmp_path / "cr.yaml", namespace, "input", bucketName="never-made")
    variables = [argument for text in given for argument in ("-e", text.replace("=CR", f"={path}"))]
    with requests_of(world) as requests:
        run = world.playbook(playbook, *variables)
    assert run.code != 0
    assert message in " ".join(run.output.replace('\\"', '"').split()), run.output
    assert requests == []


def test_relative_file_is_that_of_the_working_directory_and_tilde_is_home(
    world: World, namespace: str, new_name: Any, tmp_path: Path
) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    names = {}
    for folder in (here, elsewhere):
        folder.mkdir()
        names[folder] = new_name("file")
        write_cr(folder / "cr.yaml", namespace, folder.name, bucketName=names[folder])
    run = world.playbook("reconcile.yml", "-e", "cr=cr.yaml", cwd=here, PWD=str(elsewhere))
    assert (run.code, run.outcome["status"]["bucketARN"]) == (0, f"arn:aws:s3:::{names[here]}"), run.output
    by_home = ("-e", "s3bucket_cr_file=~/cr.yaml", "-e", "s3bucket_state=absent")
    run = world.playbook("reconcile.yml", *by_home, HOME=str(here))
    assert (run.code, run.changed) == (0, ["bucket", "service"]), run.output
    made = {bucket["Name"] for bucket in world.s3.list_buckets()["Buckets"]}
    assert made.isdisjoint(names.values())


def test_file_without_one_object_is_named_and_nothing_is_asked(world: World, tmp_path: Path) -> None:
    path = tmp_path / "cr.yaml"
    path.write_text("- a\n- b\n")
    with requests_of(world) as requests:
        run = world.playbook("reconcile.yml", "-e", f"cr={path}")
    assert run.code != 0
    assert f"{path}: holds a list, not an S3 object" in " ".join(run.output.split()), run.output
    assert requests == []


# A variable of the role, its value, and a part of the message.
VARIABLES: dict[str, tuple[dict[str, Any], str]] = {
    "partial-defaults": ({"s3bucket_defaults": {"forceDelete": False}}, "WouldChange"),
    "defaults-as-text": ({"s3bucket_defaults": '{"forceDelete": false}'}, "WouldChange"),
    "unknown-default": ({"s3bucket_defaults": {"forceDeletion": False}}, "s3bucket_defaults.forceDeletion: there"),
    "default-type": ({"s3bucket_defaults": {"forceDelete": "no"}}, "s3bucket_defaults.forceDelete: must be true"),
    "nested-default": ({"s3bucket_defaults": {"service": {"host": 1}}}, "s3bucket_defaults.service.host: there is no"),
    "defaults-list": ({"s3bucket_defaults": ["a"]}, "s3bucket_defaults"),
    "tags-list": ({"s3bucket_tags": ["a"]}, "s3bucket_tags"),
    "tags-number": ({"s3bucket_tags": 5}, "s3bucket_tags"),
    "tag-number": ({"s3bucket_tags": {"a": 1}}, "s3bucket_tags[a]: is not a tag"),
    "lag-text": ({"s3bucket_iam_settle_s": "soon"}, "s3bucket_iam_settle_s"),
    "lag-negative": ({"s3bucket_iam_settle_s": -1}, "s3bucket_iam_settle_s: must be a number of seconds, 0 or more"),
    "state": ({"s3bucket_state": "Absent"}, "s3bucket_state"),
    "policy": ({"s3bucket_deletion_policy": "retain"}, "s3bucket_deletion_policy"),
    "policies-text": ({"s3bucket_allowed_policies": "admin"}, "s3bucket_allowed_policies"),
    "no-object": ({"s3bucket_cr": None}, "s3bucket_cr: must be an S3 object"),
    "no-such-file": ({"s3bucket_cr": "UNSET", "s3bucket_cr_file": "/no/cr.yaml"}, "/no/cr.yaml: cannot be read"),
    **{
        f"null-{name}": ({name: None}, name)
        for name in (
            "s3bucket_cluster_name", "s3bucket_defaults", "s3bucket_deletion_policy", "s3bucket_iam_path",
            "s3bucket_state", "s3bucket_permissions_boundary", "s3bucket_allowed_policies",
            "s3bucket_allowed_groups", "s3bucket_tags", "s3bucket_iam_settle_s", "s3bucket_empty_time_s",
            "s3bucket_service_external_name",
        )
    },
}  # fmt: skip
_CAUGHT = "(ansible_failed_result.msg ~ ansible_failed_result.argument_errors | default('') | string)"


def test_role_variable_that_is_wrong_is_named_and_partial_defaults_are_merged(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    """All cases are in one play, in check mode. Each has a rescue, and the play reports all of them at the end."""
    cr = {"s3bucket_cr": new_object(iamUser=None), "s3bucket_cluster_name": CLUSTER}
    tasks: list[dict[str, Any]] = []
    for row, (variables, _) in VARIABLES.items():
        given = {name: value for name, value in (cr | variables).items() if value != "UNSET"}
        report = {"_reports": f"{{{{ _reports | default({{}}) | combine({{'{row}': TEXT}}) }}}}"}
        reported, caught = (
            json.loads(json.dumps(report).replace("TEXT", text))
            for text in ("s3bucket_result.reason ~ ': ' ~ s3bucket_result.message", f"{_CAUGHT} | string")
        )
        role = {"ansible.builtin.include_role": {"name": "s3bucket"}, "vars": given}
        tasks.append({
            "block": [role, {"ansible.builtin.set_fact": reported}], "rescue": [{"ansible.builtin.set_fact": caught}],
        })  # fmt: skip
    write = {"content": "{{ _reports | to_json }}", "dest": str(tmp_path / "reports.json"), "mode": "0600"}
    tasks.append({"ansible.builtin.copy": write, "check_mode": False})
    play = {
        # Set by the keyword, which does not show in ansible_check_mode.
        "hosts": "localhost", "connection": "local", "gather_facts": False, "check_mode": True, "tasks": tasks,
        "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
    }  # fmt: skip
    (tmp_path / "play.yml").write_text(json.dumps([play]))
    run = world.playbook(str(tmp_path / "play.yml"), ANSIBLE_ROLES_PATH="roles")
    assert run.code == 0, run.output
    reports = json.loads((tmp_path / "reports.json").read_text())
    for row, (_, message) in VARIABLES.items():
        assert message in reports[row], f"{row}: {reports[row]}"
        assert "AWSError" not in reports[row], f"{row}: {reports[row]}"
        assert ("WouldChange" in reports[row]) == (message == "WouldChange"), f"{row}: {reports[row]}"
