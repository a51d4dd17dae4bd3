"""Bucket policies that are made to keep the operator busy affect only their own object."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from dev.wait import wait_until
from tests.support.operator import StartOperator, condition, delete, get, patch, plan, wait_gone, wait_ready
from tests.support.world import PROJECT, NewObject, World

# Before the fix, 10 stars kept the operator busy for 9 s, and each further star multiplied that by 2.7.
ATTACK = f"s3:{'*' * 30}x"
# The role's former code, before the linear comparison.
BACKTRACKING = """

def matches(pattern, value):
    import re

    expression = "".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern)
    return re.fullmatch(expression, value, re.DOTALL) is not None
"""


def attack_policy(bucket: str) -> str:
    arn = f"arn:aws:s3:::{bucket}"
    deny = {"Effect": "Deny", "Principal": "*", "Action": ["s3:PutObject", ATTACK], "Resource": [arn, f"{arn}/*"]}
    return json.dumps({"Statement": [deny]})


def with_attack(cr: dict[str, Any]) -> dict[str, Any]:
    return {"spec": {"bucketPolicy": attack_policy(cr["spec"]["bucketName"])}}


def test_attack_by_a_policy_delays_nothing(world: World, new_object: NewObject, start_operator: StartOperator) -> None:
    operator = start_operator("--sync-period", "3")
    attacker = new_object()
    wait_ready(world, attacker)
    patch(world, attacker, with_attack(attacker))
    # The same attack from AWS: the tenant's own access key writes the policy to the bucket.
    world.tenant(attacker).put_bucket_policy(
        Bucket=attacker["spec"]["bucketName"], Policy=attack_policy(attacker["spec"]["bucketName"])
    )
    wait_ready(world, attacker, generation=2)
    before = len(operator.reconciles_of(attacker))
    wait_until(lambda: len(operator.reconciles_of(attacker)) >= before + 2, "two more checks of the attacker's object")
    wait_ready(world, new_object())
    assert get(operator.port("/healthz"), "/healthz")[0] == 200
    delete(world, attacker)
    wait_gone(world, attacker)
    assert operator.stop() == 0


@pytest.fixture
def faulty_project(tmp_path: Path) -> Path:
    """The project with the defect that the role's code used to have."""
    project = tmp_path / "project"
    for folder in ("roles", "playbooks"):
        shutil.copytree(PROJECT / folder, project / folder, symlinks=True)
    with (project / "roles" / "s3bucket" / "module_utils" / "s3bucket" / "policy.py").open("a") as file:
        file.write(BACKTRACKING)
    return project


def with_core(project: Path) -> dict[str, str]:
    """The environment of a program that imports the core of this project."""
    return {"PYTHONPATH": str(project / "roles" / "s3bucket" / "module_utils")}


def test_policy_that_cannot_be_evaluated_fails_its_object_only(
    world: World, new_object: NewObject, start_operator: StartOperator, faulty_project: Path
) -> None:
    operator = start_operator(
        "--sync-period",
        "3",
        "--project-dir",
        str(faulty_project),
        environment=world.environment(**with_core(faulty_project)),
    )
    attacker, victim, new = new_object(), new_object(), new_object()
    for cr in (attacker, victim):
        wait_ready(world, cr)
    patch(world, attacker, with_attack(attacker))
    bucket = victim["spec"]["bucketName"]
    world.tenant(victim).put_bucket_policy(Bucket=bucket, Policy=attack_policy(bucket))
    for cr in (attacker, victim):
        wait_until(lambda cr=cr: condition(world, cr).get("reason") == "RunTimeout", "the objects have the reason")
        assert condition(world, cr)["message"].startswith("spec.bucketPolicy: its evaluation took more than")
    wait_ready(world, new)
    wait_ready(world, new_object())
    assert get(operator.port("/healthz"), "/healthz")[0] == 200
    delete(world, attacker)
    wait_gone(world, attacker)
    assert operator.stop() == 0


def test_plan_of_a_policy_that_cannot_be_evaluated_ends(
    world: World, new_object: NewObject, faulty_project: Path, tmp_path: Path
) -> None:
    cr = new_object()
    cr["spec"] |= with_attack(cr)["spec"]
    (tmp_path / "cr.json").write_text(json.dumps(cr))
    for project, words in (
        (faulty_project, "RunTimeout: spec.bucketPolicy: its evaluation"),
        (PROJECT, "bucketPolicy: (none)"),
    ):
        done = plan(
            world, tmp_path, "-f", str(tmp_path / "cr.json"), "--project-dir", str(project), **with_core(project)
        )
        assert words in done.stdout, done.stderr
