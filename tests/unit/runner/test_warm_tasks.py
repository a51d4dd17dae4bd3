"""What a warm run evaluates of a task: its variables once, and only the attributes that may change."""

from __future__ import annotations

import subprocess
import sys

import pytest

# In a process of its own, because importing Ansible's plugin loaders changes the process. Prints the arguments of a
# task, how often the variables behind them were evaluated, and the values and conversions of other attributes.
_EVALUATE = """
import json, sys
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader()
from runner.execution.warm import internals
if sys.argv[1] == "warm":
    internals.install()
from ansible._internal._templating._engine import TemplateEngine
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.block import Block
from ansible.playbook.play import Play
from ansible.playbook.task import Task
from ansible.template import trust_as_template as trusted
def text(template):
    return trusted(template)
arguments = {name: text("{{ two.inner }}") for name in ("msg", "var")}
data = {
    "name": "a task", "ansible.builtin.set_fact": arguments, "no_log": text("{{ is_secret }}"),
    "retries": text("{{ 3 }}"), "ignore_errors": True, "delay": 7, "environment": [{"ONE": text("{{ one }}")}],
    "when": ["true"],
}
block = Block.load({"block": [data], "ignore_unreachable": text("{{ is_secret }}")}, play=Play(), loader=DataLoader())
task = block.block[0]
pipe = text("{{ lookup('pipe', 'echo >> ' ~ file ~ '; echo 1') }}")
variables = {"one": pipe, "file": sys.argv[2], "two": {"inner": text("{{ one }}")}, "is_secret": True}
templar = TemplateEngine(DataLoader(), variables=variables)
task.squash()
task.post_validate(templar)
values = {name: getattr(task, name) for name in sorted(("no_log", "retries", "ignore_errors", "delay", "environment",
          "ignore_unreachable", "check_mode", "register", "when", "timeout"))}
print(json.dumps([task.args, {name: [type(value).__name__, value] for name, value in values.items()}]))
print(len(open(sys.argv[2]).readlines()), templar.available_variables is variables)
"""


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What was printed with the internals that are replaced, and with those of stock Ansible."""
    folder = tmp_path_factory.mktemp("evaluated")
    done = {}
    for executor in ("warm", "stock"):
        command = [sys.executable, "-c", _EVALUATE, executor, str(folder / executor)]
        done[executor] = subprocess.run(command, capture_output=True, text=True)
    assert [item.returncode for item in done.values()] == [0, 0], [item.stderr for item in done.values()]
    return {executor: item.stdout.splitlines() for executor, item in done.items()}


def test_warm_run_evaluates_a_task_as_stock_ansible_does(evaluated: dict[str, list[str]]) -> None:
    assert evaluated["warm"][0] == evaluated["stock"][0]
    assert '"msg": "1"' in evaluated["warm"][0]
    assert '"no_log": ["bool", true]' in evaluated["warm"][0]


def test_warm_run_evaluates_a_variable_once_for_all_arguments(evaluated: dict[str, list[str]]) -> None:
    # The other one is the attribute environment.
    assert evaluated["warm"][1] == "2 True"
    assert evaluated["stock"][1] == "3 True"
