"""Records a run as JSON lines in the file that DIRECT_RECORD names: each task, each fact, and the statistics.

The play under test needs no task for it, and its own output does not change.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from ansible.plugins.callback import CallbackBase

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult

DOCUMENTATION = """
name: record
type: aggregate
short_description: Record tasks and facts of a run for the tests
description: Writes JSON lines into the file that the environment variable DIRECT_RECORD names.
"""


class CallbackModule(CallbackBase):
    """Every method writes one line."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "record"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        found = _result_of(result)
        self._task(result, "changed" if found.get("changed") else "ok")
        for name, value in found.get("ansible_facts", {}).items():
            self._write({"kind": "fact", "host": _host_of(result), "name": name, "value": value})

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        self._task(result, "failed", msg=str(_result_of(result).get("msg", "")))

    def v2_runner_on_skipped(self, result: CallbackTaskResult) -> None:
        self._task(result, "skipped")

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        hosts = {host: stats.summarize(host) for host in stats.processed}
        self._write({"kind": "stats", "hosts": hosts, "custom": stats.custom})

    def _task(self, result: CallbackTaskResult, status: str, **more: str) -> None:
        task = getattr(result, "task", None) or result._task
        line = {"kind": "task", "host": _host_of(result), "name": task.name, "action": task.action, "status": status}
        self._write({**line, **more})

    def _write(self, line: dict[str, Any]) -> None:
        with open(os.environ["DIRECT_RECORD"], "a") as file:
            file.write(json.dumps(line, default=str) + "\n")


def _host_of(result: CallbackTaskResult) -> str:
    return str((getattr(result, "host", None) or result._host).get_name())


def _result_of(result: CallbackTaskResult) -> dict[str, Any]:
    # ansible-core 2.18 has only _result.
    return dict(getattr(result, "result", None) or result._result)
