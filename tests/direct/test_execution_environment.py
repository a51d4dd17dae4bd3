"""The files that AWX, ansible-galaxy and ansible-builder read, and that their versions have one source."""

from __future__ import annotations

import re
import shlex
import subprocess
import sysconfig
import tomllib
from pathlib import Path

import yaml

from dev.processes import plain_environment
from tests.direct.project import BIN
from tests.support.docs import commands
from tests.support.world import PROJECT

DEPENDENCIES = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
# The packages that the role and the playbooks import. Only the operator needs the others.
OF_THE_ROLE = ("boto3", "botocore", "kubernetes", "PyYAML")


def dependency(name: str) -> str:
    """The requirement in pyproject.toml with this name."""
    return next(text for text in DEPENDENCIES if re.split("[<>=]", text)[0] == name)


def test_ansible_builder_makes_a_context_with_the_versions_of_this_project(tmp_path: Path) -> None:
    (command,) = commands("docs/guides/awx.md", "See what it contains")
    program, *words = command.replace("build/ee", str(tmp_path)).split()
    done = subprocess.run([BIN / program, *words], cwd=PROJECT, env=plain_environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    built = tmp_path / "_build"
    assert built.joinpath("requirements.yml").read_text() == (PROJECT / "requirements.yml").read_text()
    assert built.joinpath("bindep.txt").read_text() == (PROJECT / "bindep.txt").read_text()
    assert built.joinpath("requirements.txt").read_text().splitlines() == [dependency(name) for name in OF_THE_ROLE]
    text = (tmp_path / "Containerfile").read_text()
    installed = f'ARG ANSIBLE_INSTALL_REFS="{dependency("ansible-core")} {dependency("ansible-runner")}"'
    assert installed in text
    # ansible-core 2.21 requires Python 3.12.
    assert 'ARG PYCMD="/usr/bin/python3.12"' in text


def test_collections_of_the_project_are_those_of_requirements_yml(tmp_path: Path) -> None:
    # AWX installs the collections that this file lists. ansible-galaxy installs none here, because they are installed
    # already.
    path = PROJECT / "collections" / "requirements.yml"
    assert path.resolve() == PROJECT / "requirements.yml"
    wanted = {item["name"] for item in yaml.safe_load(path.read_text())["collections"]}
    assert wanted == {"amazon.aws", "kubernetes.core"}
    done = subprocess.run(
        [BIN / "ansible-galaxy", "collection", "install", "--offline", "-r", path],
        cwd=tmp_path,
        env={**plain_environment(), "ANSIBLE_COLLECTIONS_PATH": sysconfig.get_path("purelib"), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "Nothing to do" in done.stdout) == (0, True), done.stdout + done.stderr


def test_guides_install_the_versions_of_this_project() -> None:
    development = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    known = {*DEPENDENCIES, *development}
    for guide in ("docs/guides/without-the-operator.md", "docs/guides/awx.md"):
        lines = [line for line in commands(guide) if line.startswith("pip install")]
        assert lines, guide
        for line in lines:
            assert set(shlex.split(line)[2:]) <= known, line
