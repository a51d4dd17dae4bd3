"""CR text is data: templates in it are not evaluated, in any string field or map key."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.world import NewObject, World

# The file is created if any of these templates is ever evaluated.
TEXTS = {
    "lookup": "{{ lookup('pipe', 'touch OWNED; echo x') }}",
    "block": "{% for x in lookup('pipe', 'touch OWNED').split() %}{{ x }}{% endfor %}",
    "unsafe-tag": "!unsafe {{ lookup('pipe', 'touch OWNED') }}",
    "unsafe-key": "__ansible_unsafe",
}


def poison(cr: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """CRs with the text in each string field in turn, and as a map key."""
    spec, metadata = cr["spec"], cr["metadata"]
    policy = json.dumps({"Statement": [{"Sid": text, "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
                                        "Resource": f"arn:aws:s3:::{spec['bucketName']}/*"}]})  # fmt: skip
    changes: list[dict[str, Any]] = [
        {"bucketPolicy": text}, {"bucketPolicy": policy}, {"region": text}, {"bucketName": text},
        {"iamUser": {"username": text}}, {"iamUser": {text: text, "username": "x"}}, {"tags": {"a": text}},
        {"tags": {text: "a"}}, {"tags": {text: text}}, {text: text}, {"service": {text: True}},
    ]  # fmt: skip
    found = [{**cr, "spec": {**spec, **change}} for change in changes]
    found += [
        {**cr, "metadata": {**metadata, name: text}} for name in ("name", "namespace", "uid", "deletionTimestamp")
    ]
    return found


@pytest.mark.parametrize("kind", TEXTS)
def test_text_in_every_field_stays_text(world: World, new_object: NewObject, tmp_path: Path, kind: str) -> None:
    """All variants are in one playbook run. Each is passed to the role as the operator passes it."""
    owned = tmp_path / "owned"
    text = TEXTS[kind].replace("OWNED", str(owned))
    crs = poison(new_object(iamUser=None), text)
    # One play per CR, because a failed argument spec ends the play.
    plays = [
        {
            "hosts": "localhost", "connection": "local", "gather_facts": False,
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "tasks": [{
                "block": [{
                    "ansible.builtin.include_role": {"name": "s3bucket"},
                    "vars": {
                        "s3bucket_cr": f"{{{{ crs[{number}].text | from_json }}}}",
                        "s3bucket_cluster_name": "test-cluster",
                    },
                }],
                "rescue": [{"ansible.builtin.debug": {"msg": "refused by the argument specs"}}],
            }],
        }
        for number in range(len(crs))
    ]  # fmt: skip
    (tmp_path / "play.yml").write_text(json.dumps(plays))
    # Each CR is marked as the operator marks its one extra variable.
    marked = [{"text": {"__ansible_unsafe": json.dumps(cr)}} for cr in crs]
    (tmp_path / "crs.json").write_text(json.dumps({"crs": marked}))
    run = world.playbook(
        str(tmp_path / "play.yml"), "--check", "-e", f"@{tmp_path / 'crs.json'}",
        ANSIBLE_ROLES_PATH="roles",
    )  # fmt: skip
    assert run.code == 0, run.output
    assert run.output.count("Ensure everything the object has is known") + run.output.count("refused by the") >= len(
        crs
    )
    assert not owned.exists()


def test_policy_and_tag_with_templates_reach_aws_as_they_are(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    owned = tmp_path / "owned"
    text = TEXTS["lookup"].replace("OWNED", str(owned))
    cr = new_object(iamUser=None)
    bucket = cr["spec"]["bucketName"]
    policy = {"Statement": [{"Sid": text, "Effect": "Deny", "Principal": "*", "Action": "s3:PutObject",
                             "Resource": f"arn:aws:s3:::{bucket}/*"}]}  # fmt: skip
    # The CRD and AWS reject such a tag. This shows that the role passes it on unchanged.
    cr["spec"] |= {"bucketPolicy": json.dumps(policy), "tags": {"a": text, text: "b"}}
    run = world.reconcile(cr)
    assert run.outcome["done"], run.output
    snapshot = world.snapshot(cr)["bucket"]
    assert json.loads(snapshot["settings"]["policy"]) == policy
    assert (snapshot["tags"]["a"], snapshot["tags"][text]) == (text, "b")
    assert not owned.exists()


def test_cr_file_of_a_person_stays_text(world: World, new_object: NewObject, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    text = TEXTS["lookup"].replace("OWNED", str(owned))
    cr = new_object(iamUser=None)
    cr["spec"] |= {"tags": {"a": text}}
    # The CRD rejects such a tag, so the cluster has no object with this name.
    cr["metadata"] = {"namespace": cr["metadata"]["namespace"], "name": f"{cr['metadata']['name']}-file"}
    path = tmp_path / "cr.yaml"
    path.write_text(yaml.safe_dump(cr))
    run = world.playbook("reconcile.yml", "-e", f"cr={path}")
    assert run.code == 0, run.output
    assert world.snapshot(cr)["bucket"]["tags"]["a"] == text
    assert not owned.exists()


def test_cr_given_as_variables_is_refused_and_evaluates_nothing(world: World, tmp_path: Path) -> None:
    owned = tmp_path / "owned"
    text = TEXTS["lookup"].replace("OWNED", str(owned))
    path = tmp_path / "cr.yaml"
    path.write_text(yaml.safe_dump({"kind": text, "metadata": {"name": text}, "spec": {"bucketName": text}}))
    run = world.playbook("reconcile.yml", "-e", f"@{path}")
    assert run.code != 0
    assert "-e cr=FILE" in run.output
    assert not owned.exists()
