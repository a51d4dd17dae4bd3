"""The tasks that change the access keys of IAM users: they have one of two modules."""

from __future__ import annotations

import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.playbook.play_context import PlayContext

from runner.execution.warm.worker import is_for_here
from tests.support.world import ROLE
from tests.unit.role.test_secret_tasks import TASKS, tasks_in

FOUND = [
    (path.stem, task)
    for path in sorted(TASKS.glob("*.yml"))
    for task in tasks_in(yaml.safe_load(path.read_text()))
    if "action" in task
]


# The module for a store, by the variable that tasks have in its place, or by a part of their template.
MODULES = {"_s3bucket_iam_key": "s3bucket_key", "'s3bucket_key'": "s3bucket_key"}


def module_of(task: dict[str, Any]) -> str:
    return next(module for text, module in MODULES.items() if text in task["action"])


def test_no_task_names_the_module_of_aws() -> None:
    assert Counter(module_of(task) for _, task in FOUND) == {"s3bucket_key": 5}
    texts = {path.name: path.read_text() for path in TASKS.glob("*.yml")}
    named = {name for name, text in texts.items() if re.search(r"^ +amazon\.aws\.iam_(user|access_key):$", text, re.M)}
    assert named == set()


@pytest.mark.parametrize(("file", "task"), FOUND, ids=[f"{file}-{task['name']}" for file, task in FOUND])
def test_both_modules_have_the_arguments(file: str, task: dict[str, Any]) -> None:
    text = (ROLE / "library" / f"{module_of(task)}.py").read_text()
    documentation = yaml.safe_load(text.partition('DOCUMENTATION = r"""')[2].partition('"""')[0])
    assert task["args"].keys() <= documentation["options"].keys()


def test_warm_run_takes_these_tasks_into_its_own_process() -> None:
    """It decides before it knows the module, and a process for each of these tasks would make runs on AWS slower."""
    (action,) = {task["action"] for _, task in FOUND if "_s3bucket_iam_key" in task["action"]}
    plain = {"loop": None, "loop_with": None, "async_val": 0, "timeout": 0, "until": None, "become": False}
    task: Any = SimpleNamespace(**plain, delegate_to=None, connection="local", collections=[], action=action)
    assert is_for_here(task, PlayContext())
