"""Beyond pyproject.toml: the wheel holds the role, the playbooks and the CRD as well, in ``runner/project``.

In a checkout, and so in an editable install, they stay where they are: ``runner.settings.default_project_dir``.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

_FOLDERS = ("crds", "playbooks", "roles")
_FILES = ("requirements.yml",)


def _find_unwanted(folder: str, names: list[str]) -> list[str]:
    # A wheel cannot hold links: playbooks/roles, for people who run a playbook by hand, would be a second role.
    return [name for name in names if name == "__pycache__" or (Path(folder) / name).is_symlink()]


class BuildWithProject(build_py):
    """Copies the project's files beside the packages."""

    def run(self) -> None:
        """Build the packages, then copy the files."""
        super().run()
        if self.editable_mode:
            return
        target = Path(self.build_lib) / "runner" / "project"
        # build/ may hold what an earlier build has left.
        shutil.rmtree(target, ignore_errors=True)
        for name in _FOLDERS:
            shutil.copytree(name, target / name, ignore=_find_unwanted)
        for name in _FILES:
            shutil.copy(name, target)


setup(cmdclass={"build_py": BuildWithProject})
