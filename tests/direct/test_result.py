"""The role in a user's play: its result, and when the play fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.direct.play import run_play
from tests.support.world import NewObject, World


def role(cr: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A task that runs the role on an object."""
    return {"ansible.builtin.include_role": {"name": "s3bucket"}, "vars": {"s3bucket_cr": cr, **more}}


def test_role_fails_for_an_object_that_is_not_done_after_its_result_is_set(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    taken = new_object(iamUser=None)
    world.s3.create_bucket(Bucket=taken["spec"]["bucketName"])
    show = {"name": "show", "ansible.builtin.debug": {"msg": "rescued {{ s3bucket_result.reason }}"}}
    tolerated = [role(taken, s3bucket_fail_on_error="false"), {**show, "failed_when": "s3bucket_result.done"}]
    run = run_play(world, tmp_path, [*tolerated, {"block": [role(taken)], "rescue": [show]}, role(taken)])
    assert run.code == 2, run.output
    failure = f'"msg": "Conflict: bucket {taken["spec"]["bucketName"]} exists'
    assert (run.output.count("rescued Conflict"), run.output.count(failure)) == (2, 2), run.output
    assert set(run.outcome) == {"done", "reason", "message", "retry", "changed", "status"}
    assert (run.outcome["done"], run.changed) == (False, [])


def test_wrong_variable_is_the_reason_and_named_whatever_else_is_given(
    world: World, new_object: NewObject, tmp_path: Path
) -> None:
    cr = new_object(iamUser=None)
    file = tmp_path / "cr.yaml"
    file.write_text(json.dumps(cr))
    # The role's variables, and a part of the message.
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"s3bucket_fail_on_error": "maybe"}, "s3bucket_fail_on_error"),
        ({"s3bucket_cr": {**cr, "spec": {**cr["spec"], "iamuser": {}}}}, "unknown field s3bucket_cr.spec.iamuser"),
        ({"s3bucket_aws_secret_key": "{{ nosuch }}"}, "'nosuch' is undefined"),
        # Its message has the word profile, as that of a missing AWS profile.
        (
            {"s3bucket_cr": '{{ \'{"a": {"__ansible_unsafe": 1}}\' | from_json }}'},
            "plugin 'ansible.builtin.from_json' failed",
        ),
        (
            {"s3bucket_cr": cr, "s3bucket_cr_file": str(file)},
            "s3bucket_cr and s3bucket_cr_file are both given: leave one of them out",
        ),
        ({"s3bucket_tags": ["a"]}, "s3bucket_tags: must be a map, not a list"),
        ({"s3bucket_state": "gone"}, "value of s3bucket_state must be one of: present, absent, got: gone"),
    ]
    show = {"ansible.builtin.debug": {"msg": "rescued: {{ s3bucket_result.reason }}: {{ s3bucket_result.message }}"}}
    tasks = []
    for variables, _ in wrong:
        of_file = {} if "s3bucket_cr" in variables else {"s3bucket_cr_file": str(file)}
        task = {"ansible.builtin.include_role": {"name": "s3bucket"}, "vars": {**of_file, **variables}}
        tasks.append({"block": [task], "rescue": [show]})
    run = run_play(world, tmp_path, tasks)
    assert run.code == 0, run.output
    shown = [line for line in run.output.splitlines() if "rescued: " in line]
    assert len(shown) == len(wrong), run.output
    for (_, message), line in zip(wrong, shown, strict=True):
        assert "rescued: InvalidSpec: " in line
        assert message in line
    assert "DEPRECATION" not in run.output
