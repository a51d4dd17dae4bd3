"""No task shows a Secret. One that deletes it does not have it: s3bucket_delete drops the answer of the API server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

TASKS = Path(__file__).parents[3] / "roles" / "s3bucket" / "tasks"
_MODULES = ("kubernetes.core.k8s", "kubernetes.core.k8s_info", "s3bucket_child")
_WITH_KEY = "s3bucket_access"


def tasks_in(items: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for item in items:
        yield item
        for part in ("block", "rescue", "always"):
            yield from tasks_in(item.get(part, []))


def test_each_task_with_a_secret_has_no_log() -> None:
    found = [
        (path.name, task)
        for path in sorted(TASKS.glob("*.yml"))
        for task in tasks_in(yaml.safe_load(path.read_text()))
        if _WITH_KEY in task
        or any(
            "secret" in str(task.get(module, "")).lower() or "item.kind" in str(task.get(module)) for module in _MODULES
        )
    ]
    assert len(found) >= 3
    assert [(file, task["name"]) for file, task in found if task.get("no_log") is not True] == []
