"""Values of flags that are in range and make no sense, and values that mean the same."""

from __future__ import annotations

import click
import pytest

from runner.cli import main


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
