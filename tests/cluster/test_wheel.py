"""The wheel, installed outside the checkout, contains everything that the commands need."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from tests.support.world import CLUSTER, PROJECT, NewObject, World

_SOURCES = ("LICENSE", "MANIFEST.in", "README.md", "pyproject.toml", "requirements.yml", "setup.py")
_FOLDERS = ("crds", "playbooks", "roles", "runner")


def run(*words: str | Path, **more: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240, **more
    )  # type: ignore[call-overload]
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy, because a build writes files next to its sources."""
    copy, target = tmp_path_factory.mktemp("sources"), tmp_path_factory.mktemp("wheel")
    for name in _SOURCES:
        shutil.copy(PROJECT / name, copy)
    for name in _FOLDERS:
        shutil.copytree(PROJECT / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    # With the setuptools of `make setup`, nothing is downloaded.
    has_new = int(importlib.metadata.version("setuptools").partition(".")[0]) >= 77
    options = ["--no-deps", "--quiet", *(["--no-build-isolation", "--no-index"] if has_new else [])]
    done = run(sys.executable, "-m", "pip", "wheel", *options, "--wheel-dir", target, copy)
    assert done.returncode == 0, done.stderr
    return next(target.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of an environment that has the wheel.

    A path entry adds the dependencies of the current environment.
    """
    venv = tmp_path_factory.mktemp("empty") / "venv"
    assert run(sys.executable, "-m", "venv", "--without-pip", venv).returncode == 0
    packages = next(venv.glob("lib/python3*/site-packages"))
    # Python ignores *.pth files in that directory, so the checkout of the editable install is not on the path.
    (packages / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    done = run(
        sys.executable, "-m", "pip", "--python", venv / "bin" / "python", "install",
        "--quiet", "--no-deps", "--no-index", "--ignore-installed", wheel,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stock = Path(sys.executable).with_name("ansible-playbook").read_text().partition("\n")[2]
    program = venv / "bin" / "ansible-playbook"
    program.write_text(f"#!{venv / 'bin' / 'python'}\n{stock}")
    program.chmod(0o755)
    return venv / "bin"


def files_in(project: Path, name: str) -> set[Path]:
    """The files of a folder, without what Python compiles there, which other processes may do at this moment."""
    found = {path.relative_to(project) for path in (project / name).rglob("*") if path.is_file()}
    return {path for path in found if "__pycache__" not in path.parts}


def test_wheel_holds_the_role_and_the_playbooks(installed: Path, tmp_path: Path) -> None:
    code = "import runner.settings as s; print(s.default_project_dir())"
    folder = Path(run(installed / "python", "-c", code, cwd=tmp_path).stdout.strip())
    assert installed.parent in folder.parents
    for name in ("playbooks", "roles", "crds"):
        assert files_in(folder, name) == files_in(PROJECT, name)


@pytest.mark.parametrize("executor", ["warm", "stock"])
def test_installed_wheel_plans_prints_the_policy_and_makes_a_pass(
    world: World, new_object: NewObject, installed: Path, tmp_path: Path, executor: str
) -> None:
    program, cr = installed / "s3-operator", new_object()
    environment = world.environment(HOME=str(tmp_path))
    settings = ("--work-dir", tmp_path / "work", "--cluster-name", CLUSTER)
    (tmp_path / "cr.yaml").write_text(yaml.safe_dump(cr))

    without_replication = {**environment, "ALLOWED_SETTINGS": ""}
    policy = run(program, "iam-policy", "--account", "123456789012", cwd=tmp_path, env=without_replication)
    assert json.loads(policy.stdout)["Statement"]
    planned = run(program, "plan", "-f", "cr.yaml", *settings, cwd=tmp_path, env=environment)
    assert planned.returncode == 2, planned.stderr
    assert "bucket: missing -> created" in planned.stdout

    namespace = cr["metadata"]["namespace"]
    where = ("--watch-namespace", namespace, "--leader-election-namespace", namespace)
    done = run(program, "once", "--executor", executor, *settings, *where, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert world.differs(cr) == []
    assert run(program, "plan", "-f", "cr.yaml", *settings, cwd=tmp_path, env=environment).returncode == 0


def test_missing_collections_are_named_with_the_command_that_installs_them(installed: Path, tmp_path: Path) -> None:
    # An environment with the dependencies but without the collections: a directory of links to each dependency.
    packages = Path(sysconfig.get_path("purelib"))
    links = tmp_path / "dependencies"
    links.mkdir()
    for path in packages.iterdir():
        if path.name != "ansible_collections":
            (links / path.name).symlink_to(path)
    venv = tmp_path / "venv"
    shutil.copytree(installed.parent, venv, symlinks=True)
    (next(venv.glob("lib/python3*/site-packages")) / "dependencies.pth").write_text(f"{links}\n")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = run(venv / "bin" / "python", "-m", "runner", "once", "--work-dir", tmp_path / "work", env=environment)
    assert done.returncode == 2
    assert "amazon.aws, kubernetes.core are not installed: ansible-galaxy collection install -r" in done.stderr
    assert Path(done.stderr.strip().rpartition(" ")[2]).is_file()
