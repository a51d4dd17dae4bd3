"""The objects of the operator's playbook are given only to a run that would make the same ones."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]

# For each case a child of the warm process, which loads the playbook as a run with these options does, once a file has
# a later time. It prints how many plays it made itself, whether the objects have the run's loader and manager of
# variables, and an extra-var.
_LOAD = """
import json, os, sys
from runner.execution.warm import preload
preload.import_all()
from ansible.cli.playbook import PlaybookCLI
from ansible.playbook import Playbook
from ansible.playbook.play import Play
playbook, cases = sys.argv[1], json.loads(sys.argv[2])
def run(options):
    cli = PlaybookCLI(["ansible-playbook", "-i", "localhost,", *options, playbook])
    cli.parse()
    loader, inventory, variables = cli._play_prereqs()
    made, stock = [], Play.load
    Play.load = lambda *arguments, **more: made.append(1) or stock(*arguments, **more)
    play = Playbook.load(playbook, variables, loader).get_plays()[0]
    role = play.roles[0]
    found = play.get_variable_manager().get_vars(play=play)
    is_own = vars(role._loader) is vars(loader) and vars(role._variable_manager) is vars(variables)
    print(len(made), is_own, found["given"], flush=True)
for changed, options in cases:
    before = os.stat(changed) if changed else None
    if changed:
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    pid = os.fork()
    if pid == 0:
        run(options)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    if changed:
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
"""
_CASES = {
    "as-made": ("", (), 0),
    "verbose": ("", ("-v",), 0),
    "check": ("", ("--check",), 1),
    "tags": ("", ("--tags", "always"), 1),
    "playbook-changed": ("playbooks/operator.yml", (), 1),
    "tasks-changed": ("roles/s3bucket/tasks/present.yml", (), 1),
    "defaults-changed": ("roles/s3bucket/defaults/main.yml", (), 1),
    # The time of a folder is that of the last file that was added or removed.
    "file-added": ("roles/s3bucket/tasks", (), 1),
}


@pytest.fixture(scope="module")
def loads(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What was printed in each case."""
    project = tmp_path_factory.mktemp("project")
    for name in ("roles", "playbooks"):
        shutil.copytree(PROJECT / name, project / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    cases = [
        (changed and str(project / changed), ["-e", f"given={name}", *options])
        for name, (changed, options, _) in _CASES.items()
    ]
    done = subprocess.run(
        [sys.executable, "-c", _LOAD, str(project / "playbooks" / "operator.yml"), json.dumps(cases)],
        env={"ANSIBLE_ROLES_PATH": str(project / "roles"), "HOME": str(project), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    assert done.returncode == 0, done.stderr
    return dict(zip(_CASES, map(str.split, done.stdout.splitlines()), strict=True))


@pytest.mark.parametrize("name", _CASES)
def test_run_gets_the_objects_that_it_would_make_with_its_own_state(loads: dict[str, list[str]], name: str) -> None:
    assert loads[name] == [str(_CASES[name][2]), "True", name]
