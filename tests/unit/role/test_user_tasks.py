"""The tasks that tag IAM users, and those that delete them: by one of two modules, with the same arguments."""

from __future__ import annotations

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


def test_no_task_names_the_module_of_aws() -> None:
    assert [task["args"]["state"] for _, task in FOUND] == ["absent", "absent"]
    texts = {path.name: path.read_text() for path in TASKS.glob("*.yml") if path.name != "main.yml"}
    assert [name for name, text in texts.items() if "amazon.aws.iam_user:" in text] == []


@pytest.mark.parametrize(("file", "task"), FOUND, ids=[f"{file}-{task['name']}" for file, task in FOUND])
def test_both_modules_have_the_arguments(file: str, task: dict[str, Any]) -> None:
    text = (ROLE / "library" / "s3bucket_user.py").read_text()
    documentation = yaml.safe_load(text.partition('DOCUMENTATION = r"""')[2].partition('"""')[0])
    assert task["args"].keys() <= documentation["options"].keys()


def test_warm_run_takes_these_tasks_into_its_own_process() -> None:
    """It decides before it knows the module, and a process for each of these tasks would make runs on AWS slower."""
    (action,) = {task["action"] for _, task in FOUND}
    plain = {"loop": None, "loop_with": None, "async_val": 0, "timeout": 0, "until": None, "become": False}
    task: Any = SimpleNamespace(**plain, delegate_to=None, connection="local", collections=[], action=action)
    assert is_for_here(task, PlayContext())
