"""Flags with values that are in range but make no sense together, and values that mean the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from runner.cli import main
from runner.settings import find_other_core
from tests.support.world import PROJECT


def parse(*arguments: str) -> dict[str, object]:
    command = main.commands["run"]
    return dict(command.make_context("run", list(arguments)).params)


@pytest.mark.parametrize("flag", ["--sync-period", "--run-timeout", "--lease-duration", "--grace-period"])
@pytest.mark.parametrize("value", ["nan", "inf", "5m", "-1"])
def test_time_that_never_passes_is_refused_by_its_flag(flag: str, value: str) -> None:
    with pytest.raises(click.BadParameter) as refused:
        parse(flag, value)
    assert refused.value.param is not None
    assert flag in refused.value.param.opts
    assert value in refused.value.message


def test_namespace_that_is_named_twice_is_watched_once() -> None:
    assert parse("--watch-namespace", "a, b,", "--watch-namespace", "a")["watch_namespaces"] == ("a", "b")


def test_project_folder_with_another_core_than_the_imported_one_is_refused(tmp_path: Path) -> None:
    for folder in ("playbooks", "roles"):
        shutil.copytree(PROJECT / folder, tmp_path / folder, symlinks=True)
    assert find_other_core(tmp_path) == ""
    changed = tmp_path / "roles" / "s3bucket" / "module_utils" / "s3bucket" / "aspects.py"
    changed.write_text(f"{changed.read_text()}\n")
    done = CliRunner().invoke(main, ["once", "--project-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert f"{changed} is not what this s3-operator has" in done.output
