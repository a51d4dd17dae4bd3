"""The files of a user's checkout: in a directory, or as a Git repository."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from dev.processes import plain_environment
from tests.support.world import PROJECT

# The files that a run may need.
CHECKOUT = ("ansible.cfg", "collections", "playbooks", "requirements.yml", "roles")


def copy_checkout(target: Path) -> None:
    """Copy the checkout, with the files that are in the repository."""
    target.mkdir(parents=True, exist_ok=True)
    for name in CHECKOUT:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, target / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target / name)


def make_repository(folder: Path) -> Path:
    """Create a Git repository with the checkout's files, as a user who publishes it would."""
    copy_checkout(folder)
    git = ["git", "-c", "user.name=test", "-c", "user.email=test@example.org", "-C", str(folder)]
    for words in (["init", "--quiet", "--initial-branch=main"], ["add", "--all"], ["commit", "--quiet", "-m", "all"]):
        subprocess.run([*git, *words], check=True, env={**plain_environment(), "HOME": str(folder)})
    return folder
