"""Each Molecule scenario as a person runs it; and what is left of one that failed holds no Secret."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.aws import admin_key_in
from dev.binaries import find_binaries
from dev.processes import plain_environment
from tests.support.world import PROJECT, caching

SCENARIOS = sorted(path.parent.name for path in (PROJECT / "molecule").glob("*/molecule.yml"))
_BIN = Path(sys.executable).parent


class Molecule:
    """One scenario in a folder of its own."""

    def __init__(self, scenario: str, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder

    def run(self, command: str, *arguments: str, is_verbose: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a molecule command; standard error is part of the output."""
        path = f"{_BIN}{os.pathsep}{os.environ['PATH']}"
        environment = {"PATH": path, "MOLECULE_EPHEMERAL_DIRECTORY": str(self.folder), "NO_COLOR": "1"}
        environment |= {"ANSIBLE_VERBOSITY": "3"} if is_verbose else {}
        environment |= caching(self.folder.with_name("cache"))
        return subprocess.run(
            [str(_BIN / "molecule"), command, "--scenario-name", self.scenario, *arguments],
            cwd=PROJECT,
            env={**plain_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        """What a client of the scenario's cluster needs."""
        state = json.loads((self.folder / "cluster.json").read_text())
        return {**plain_environment(), **state["environment"]}

    def kubectl(self, *arguments: str) -> str:
        """Ask the scenario's cluster."""
        command = [str(find_binaries()["kubectl"]), *arguments]
        return subprocess.run(command, env=self.environment(), capture_output=True, check=True, text=True).stdout

    def secrets(self) -> list[str]:
        """Every secret access key that the scenario knows, as text and as Kubernetes stores it."""
        found = json.loads(self.kubectl("get", "secrets", "--all-namespaces", "--output=json"))
        encoded = [
            item["data"]["AWS_SECRET_ACCESS_KEY"]
            for item in found["items"]
            if "AWS_SECRET_ACCESS_KEY" in item.get("data", {})
        ]
        admin = admin_key_in(Path(self.environment()["AWS_SHARED_CREDENTIALS_FILE"]))[1]
        return [*encoded, *(base64.b64decode(text).decode() for text in encoded), admin]

    def artifacts(self) -> dict[str, str]:
        """What CI would keep: every file but the local cluster's own data and the volumes of the operator."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        own = [self.folder / "cluster", self.folder / "pod"]
        kept = [path for path in files if not any(path.is_relative_to(folder) for folder in own)]
        return {str(path): path.read_text(errors="replace") for path in kept}


@pytest.fixture
def molecule(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Molecule]:
    molecule = Molecule(request.param, tmp_path)
    yield molecule
    done = molecule.run("destroy")
    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "cluster.json").exists()


def _assert_no_secret(molecule: Molecule, **outputs: str) -> None:
    """Neither what the commands printed nor what CI would keep holds a secret access key."""
    texts = outputs | molecule.artifacts()
    for secret in molecule.secrets():
        assert [name for name, text in texts.items() if secret in text] == []


@pytest.mark.parametrize("molecule", SCENARIOS, indirect=True)
def test_scenario_and_what_a_failed_one_leaves(molecule: Molecule) -> None:
    # What the most verbose run prints includes what others print.
    is_default = molecule.scenario == "default"
    done = molecule.run("test", "--destroy=never", is_verbose=is_default)
    assert done.returncode == 0, done.stdout[-5000:]
    _assert_no_secret(molecule, test=done.stdout)
    if is_default:
        _fail_at_its_most_verbose(molecule)


def _fail_at_its_most_verbose(molecule: Molecule) -> None:
    assert len(molecule.secrets()) == 3
    # Something else in the Secret: the task that uses it fails.
    patch = '{"stringData": {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}}'
    molecule.kubectl("patch", "secret", "molecule-iam-secret", f"--patch={patch}")
    failed = molecule.run("verify", is_verbose=True)
    assert failed.returncode != 0
    assert "the output has been hidden" in failed.stdout
    _assert_no_secret(molecule, verify=failed.stdout)
