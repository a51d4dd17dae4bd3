"""What a tenant stores does not increase the operator's memory.

The attack is many large Secrets with the operator's label.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dev.wait import wait_until
from tests.support.memory import limited, peak_mb, run_and_measure
from tests.support.objects import secret_of
from tests.support.operator import Operator, wait_ready
from tests.support.world import World

# Half of the chart's memory limit, for the operator and all processes that it starts. With pages of 500, 100 large
# Secrets took 480 MB.
_LIMIT_MB = 512
_PEAK_MB = 230
_MANY_KEYS = {f"k{number}": "x" for number in range(20_000)}
_LARGE = "x" * 1_000_000
_LABELS = {"app.kubernetes.io/managed-by": "s3-operator"}
_MANY, _BIG = 3, 60


@pytest.fixture(scope="module")
def attacked(world: World, new_name: Any) -> Iterator[str]:
    """A namespace with Secrets that have the operator's label: 3 with 20,000 values each, and 60 with 1 MB each."""
    namespace = new_name("attacked")
    world.make_namespace(namespace)
    many = [{"metadata": {"name": f"many-{n}", "labels": _LABELS}, "stringData": _MANY_KEYS} for n in range(_MANY)]
    big = [{"metadata": {"name": f"big-{n}", "labels": _LABELS}, "stringData": {"a": _LARGE}} for n in range(_BIG)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda body: _create(world, namespace, body), [*many, *big]))
    yield namespace
    world.core.delete_collection_namespaced_secret(namespace)


def _create(world: World, namespace: str, body: dict[str, Any]) -> None:
    # Otherwise the client would deserialize the response into a model of 70,000 values.
    world.core.create_namespaced_secret(namespace, body, _preload_content=False).close()


def _touch(world: World, namespace: str) -> None:
    """Change every Secret. Each watch event contains the whole Secret."""

    def patch(name: str) -> None:
        body = {"metadata": {"annotations": {"touched": "yes"}}}
        world.core.patch_namespaced_secret(name, namespace, body, _preload_content=False).close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(patch, [*(f"many-{n}" for n in range(_MANY)), *(f"big-{n}" for n in range(_BIG))]))


def test_operator_stays_within_its_memory_at_start_and_afterwards(
    world: World, attacked: str, tmp_path: Path, new_name: Any
) -> None:
    def make_object(name: str) -> dict[str, Any]:
        spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
        return world.make_object(attacked, name, spec)

    first = make_object(new_name("cr"))
    # A Secret of the object itself, with more data than an access key.
    _create(world, attacked, secret_of(first, _MANY_KEYS))
    with limited(_LIMIT_MB) as prefix:
        arguments = ("--watch-namespace", attacked, "--leader-election-namespace", attacked, "--sync-period", "1")
        operator = Operator(world, tmp_path, *arguments, "--log-level", "debug", prefix=prefix)
        try:
            wait_ready(world, first)
            # Another user's large Secrets have the names of the objects' own Secrets. Each check reads them by name.
            for data in (_MANY_KEYS, {"a": _LARGE}) * 2:
                name = new_name("cr")
                _create(world, attacked, {"metadata": {"name": f"{name}-iam-secret"}, "stringData": data})
                make_object(name)
            _touch(world, attacked)
            last = make_object(new_name("cr"))
            wait_ready(world, last)
            wait_until(lambda: len(operator.reconciles_of(last)) > 3, "syncs go on")
            assert operator.process.poll() is None
            peak = peak_mb(operator.process.pid)
            assert peak < _PEAK_MB
            assert operator.stop() == 0
        finally:
            operator.kill()


def test_check_stays_within_its_memory(world: World, attacked: str) -> None:
    # check is the command that lists Secrets.
    words = [str(Path(sys.executable).parent / "s3-operator"), "check", "--watch-namespace", attacked, "--wait", "0"]
    _, output, peak = run_and_measure(words, world.environment())
    assert f"ok      namespace {attacked}:" in output
    assert peak < _PEAK_MB, output
