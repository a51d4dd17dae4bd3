"""Fixtures that start the operator as a separate process, with the real control plane and AWS endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.operator import Operator, StartOperator
from tests.support.world import World


@pytest.fixture
def start_operator(world: World, namespace: str, tmp_path: Path) -> Iterator[StartOperator]:
    """Starts operators that watch only this test's namespace. All of them are stopped at the end of the test."""
    started: list[Operator] = []

    def start(*arguments: str, only: str = namespace, **more_settings: Any) -> Operator:
        folder = tmp_path / f"operator-{len(started)}"
        folder.mkdir()
        more = ["--watch-namespace", only, "--leader-election-namespace", namespace, "--log-level", "debug", *arguments]
        started.append(Operator(world, folder, *more, **more_settings))
        return started[-1]

    yield start
    for operator in started:
        operator.kill()
