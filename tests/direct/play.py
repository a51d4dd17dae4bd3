"""A play that uses the role, outside the checkout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.world import CLUSTER, PROJECT, Run, World

ROLES = str(PROJECT / "roles")


def run_play(world: World, folder: Path, tasks: list[dict[str, Any]], **environment: str) -> Run:
    """Run a playbook with these tasks, outside the checkout."""
    given: dict[str, Any] = {"s3bucket_cluster_name": CLUSTER, "s3bucket_iam_settle_s": 0}
    given["ansible_python_interpreter"] = "{{ ansible_playbook_python }}"
    play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "vars": given, "tasks": tasks}
    playbook = folder / "play.yml"
    playbook.write_text(json.dumps([play]))
    return world.playbook(str(playbook), ANSIBLE_ROLES_PATH=ROLES, **environment)
