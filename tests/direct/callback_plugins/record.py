"""Records a run as JSON lines in the file that DIRECT_RECORD names: each task, each fact, and the statistics.

The play under test needs no task for it, and its own output does not change.
"""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

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

    def v2_runner_on_ok(self, result: Any) -> None:
        found = _result_of(result)
        self._task(result, "changed" if found.get("changed") else "ok")
        for name, value in found.get("ansible_facts", {}).items():
            self._write({"kind": "fact", "host": _host_of(result), "name": name, "value": value})

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._task(result, "failed", msg=str(_result_of(result).get("msg", "")))

    def v2_runner_on_skipped(self, result: Any) -> None:
        self._task(result, "skipped")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        hosts = {host: stats.summarize(host) for host in stats.processed}
        self._write({"kind": "stats", "hosts": hosts, "custom": stats.custom})

    def _task(self, result: Any, status: str, **more: str) -> None:
        task = getattr(result, "task", None) or result._task
        line = {"kind": "task", "host": _host_of(result), "name": task.name, "action": task.action, "status": status}
        self._write({**line, **more})

    def _write(self, line: dict[str, Any]) -> None:
        with open(os.environ["DIRECT_RECORD"], "a") as file:
            file.write(json.dumps(line, default=str) + "\n")


def _host_of(result: Any) -> str:
    return str((getattr(result, "host", None) or result._host).get_name())


def _result_of(result: Any) -> dict[str, Any]:
    # ansible-core 2.18 has only _result.
    return dict(getattr(result, "result", None) or result._result)
