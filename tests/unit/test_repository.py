"""Facts that the repository states twice agree: hooks and make lint, workflows and CI, pins and Renovate."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

_PROJECT = Path(__file__).parents[2]
_WORKFLOWS = sorted((_PROJECT / ".github" / "workflows").glob("*.yml"))
_MAKEFILE = (_PROJECT / "Makefile").read_text()


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", _MAKEFILE, re.MULTILINE))


def called_targets(script: str) -> set[str]:
    """The targets in the ``make`` commands of a script. A variable is kept as it is."""
    found: set[str] = set()
    for command in re.findall(r"\bmake +([^\n|;&]+)", script):
        found |= {word for word in command.split() if re.fullmatch(r'[a-z][a-z0-9-]*|"\$TARGET"', word)}
    return found


def read_workflow(file: Path) -> dict[str, Any]:
    # YAML 1.1 reads an unquoted "on" as true.
    return dict(yaml.safe_load(file.read_text()))


def workflow_targets(file: Path) -> set[str]:
    found: set[str] = set()
    for job in read_workflow(file)["jobs"].values():
        called = set().union(*(called_targets(step.get("run", "")) for step in job["steps"]))
        if '"$TARGET"' in called:
            called = (called - {'"$TARGET"'}) | set(job["strategy"]["matrix"]["target"])
        found |= called
    return found


def test_hooks_are_the_checks_of_make_lint() -> None:
    checks = re.search(r"^LINT := (.+)$", _MAKEFILE, re.MULTILINE)
    assert checks
    config = yaml.safe_load((_PROJECT / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    assert repository["repo"] == "local"
    assert [hook["id"] for hook in repository["hooks"]] == checks[1].split()
    assert all(hook["entry"] == f"make {hook['id']}" for hook in repository["hooks"])
    assert re.search(r"^lint: \$\(LINT\)", _MAKEFILE, re.MULTILINE)


def test_workflow_of_ci_calls_what_ci_runs() -> None:
    # The other targets set up what they need.
    expected = called_targets((_PROJECT / ".ci" / "run").read_text()) - {"setup-newest"}
    assert {"lint", "test"} <= expected
    assert expected <= workflow_targets(_PROJECT / ".github" / "workflows" / "ci.yml")


@pytest.mark.parametrize("file", _WORKFLOWS, ids=lambda file: file.stem)
def test_workflow_calls_targets_that_exist(file: Path) -> None:
    called = workflow_targets(file)
    assert called
    assert called <= make_targets()


@pytest.mark.parametrize("file", _WORKFLOWS, ids=lambda file: file.stem)
def test_workflow_pins_actions_by_commit_with_their_version(file: Path) -> None:
    used = re.findall(r"uses: (.+)$", file.read_text(), re.MULTILINE)
    assert used
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("file", _WORKFLOWS, ids=lambda file: file.stem)
def test_workflow_grants_permissions_by_job_only(file: Path) -> None:
    workflow = read_workflow(file)
    assert workflow["permissions"] == {}
    assert all(job["permissions"]["contents"] in ("read", "write") for job in workflow["jobs"].values())


def test_pull_requests_get_no_secret_and_write_nothing() -> None:
    for file in _WORKFLOWS:
        workflow = read_workflow(file)
        assert "pull_request_target" not in workflow["on"]
        if "pull_request" in workflow["on"]:
            assert "secrets." not in file.read_text(), file.name
            assert all(set(job["permissions"].values()) == {"read"} for job in workflow["jobs"].values())


def test_release_publishes_only_after_the_check_and_in_a_protected_environment() -> None:
    workflow = read_workflow(_PROJECT / ".github" / "workflows" / "release.yml")
    assert workflow["on"] == {"push": {"tags": ["v*.*.*"]}}
    for name, job in workflow["jobs"].items():
        if "secrets." in str(job) or "write" in job["permissions"].values():
            assert job["environment"] == "release", name
            assert "check" in job["needs"], name


def renovate() -> dict[str, Any]:
    return dict(json.loads((_PROJECT / "renovate.json").read_text()))


def custom_matches(file: str) -> list[str]:
    """The parts of a file that this repository's regular expressions for Renovate find, as whole matches."""
    text = (_PROJECT / file).read_text()
    found = []
    for manager in renovate()["customManagers"]:
        patterns = [pattern.strip("/").replace("\\/", "/") for pattern in manager["managerFilePatterns"]]
        if any(re.search(pattern, file) for pattern in patterns):
            for expression in manager["matchStrings"]:
                found += [match[0] for match in re.finditer(expression.replace("(?<", "(?P<"), text)]
    return found


def test_each_manager_of_renovate_finds_something() -> None:
    files = ["dev/binaries.py", "dev/setup.py", "execution-environment.yml"]
    expressions = sum(len(manager["matchStrings"]) for manager in renovate()["customManagers"])
    assert expressions == 4
    for manager in renovate()["customManagers"]:
        (pattern,) = manager["managerFilePatterns"]
        assert any(re.search(pattern.strip("/"), file) and custom_matches(file) for file in files), manager[
            "description"
        ]


@pytest.mark.parametrize("file", sorted(path.name for path in (_PROJECT / "dev").glob("*.py")))
def test_renovate_finds_every_version_in_dev(file: str) -> None:
    name = f"dev/{file}"
    found = custom_matches(name)
    for node in ast.parse((_PROJECT / name).read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            value = str(node.value.value)
            if re.fullmatch(r"(?:[a-z-]+==)?\d+\.\d+\.\d+", value):
                assert any(f'"{value}"' in match for match in found), f"{name}:{node.lineno}"


def test_renovate_finds_every_pin_of_the_execution_environment() -> None:
    found = "\n".join(custom_matches("execution-environment.yml"))
    lines = (_PROJECT / "execution-environment.yml").read_text().splitlines()
    pins = [line.split("#")[0].strip() for line in lines if re.search(r"[><]=?\d|ubi\d", line.split("#")[0])]
    assert len(pins) > 5
    assert not [pin for pin in pins if pin.split(": ")[-1].lstrip("- ") not in found]


# Manager -> the pattern of its files, and the files that it must find. Each pattern is a part of Renovate's default,
# except that of pip_requirements.
_MANAGERS = {
    "pep621": (r"(^|/)pyproject\.toml$", ["pyproject.toml"]),
    "gomod": (r"(^|/)go\.mod$", ["dev/kstatus/go.mod", "dev/kubernetes/go.mod"]),
    "npm": (r"(^|/)package\.json$", ["dev/site/package.json"]),
    "dockerfile": (r"(^|/|\.)(Docker|Container)file$", ["Containerfile"]),
    "ansible-galaxy": (
        r"(^|/)(galaxy|requirements)(\.ansible)?\.ya?ml$",
        ["collections/requirements.yml", "requirements.yml"],
    ),
    "pip_requirements": (
        r"^container/(requirements|collections)\.lock$",
        ["container/collections.lock", "container/requirements.lock"],
    ),
    "github-actions": (
        r"^\.github/workflows/.+\.ya?ml$",
        [".github/workflows/ci.yml", ".github/workflows/release.yml"],
    ),
}
# The names of files with pinned versions, whichever tool reads them.
_PINNED = re.compile(
    r"(^|/)(pyproject\.toml|go\.mod|package\.json|[^/]*(Docker|Container)file|[^/]*requirements[^/]*\.(ya?ml|txt|in)|"
    r"[^/]*\.lock|galaxy\.yml)$|^\.github/workflows/"
)


def files_with_pins() -> set[str]:
    folders = [path for path in _PROJECT.iterdir() if path.is_dir() and not path.name.startswith((".", "build"))]
    found = [path for folder in folders for path in folder.rglob("*") if "node_modules" not in path.parts]
    paths = [*_PROJECT.glob("*"), *_WORKFLOWS, *found]
    return {name for name in (path.relative_to(_PROJECT).as_posix() for path in paths) if _PINNED.search(name)}


def test_renovate_has_a_manager_for_each_file_with_pins() -> None:
    assert files_with_pins() == {file for _, files in _MANAGERS.values() for file in files}


@pytest.mark.parametrize("manager", _MANAGERS)
def test_manager_of_renovate_is_enabled_and_reads_its_files(manager: str) -> None:
    pattern, files = _MANAGERS[manager]
    assert manager in renovate()["enabledManagers"]
    assert all(re.search(pattern, file) for file in files)
    assert renovate().get(manager, {}).get("managerFilePatterns") in (None, [f"/{pattern}/"])
