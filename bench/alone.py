"""The drift check alone, with more objects than moto can hold, against ``stub``.

``python -m bench.alone OBJECTS CHECKS``: a process of its own makes the checks as the operator does, with all its
objects, Secrets and Services in memory as watch caches have them, and prints as one line of JSON what it cost. Nothing
asks Kubernetes.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench import BenchError
from bench.accounting import pss_mb
from bench.objects import Item
from bench.place import CLUSTER
from bench.role import PROJECT
from bench.rows import Row
from bench.stub import NAMESPACE, object_at
from dev.processes import plain_environment
from runner.drift.check import DriftCheck
from runner.kube.projection import keep_child
from runner.objects import S3Object
from s3bucket.role_settings import RoleSettings

# As many as the operator has workers for resyncs.
_WORKERS = 8
_TIMEOUT_S = 900
# Loaded, never connected to.
_KUBECONFIG: Item = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}],
    "users": [{"name": "none", "user": {"token": "none"}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "none"}}],
    "current-context": "none",
}


class Held:
    """All objects, their Secrets and Services, as the operator's watch caches hold them."""

    def __init__(self, objects: int) -> None:
        self.items: list[Item] = []
        self._children: dict[tuple[str, str, str], Item] = {}
        for number in range(objects):
            made = object_at.__wrapped__(number)
            self.items.append({**made.item, "status": made.status()})
            for kind, child in (("Secret", made.secret()), ("Service", made.service())):
                if kept := keep_child(kind, child):
                    self._children[kind, NAMESPACE, kept.name] = kept.item

    def __call__(self, kind: str, namespace: str, name: str) -> Item | None:
        """A child as the watch caches have it."""
        return self._children.get((kind, namespace, name))

    def find_secret(self, namespace: str, name: str, **_: Any) -> Item | None:
        """A Secret by name; None when there is none."""
        return self("Secret", namespace, name)

    def find_service(self, namespace: str, name: str, **_: Any) -> Item | None:
        """A Service by name; None when there is none."""
        return self("Service", namespace, name)

    def is_terminating(self, _: str) -> bool:
        """Whether the namespace is being deleted. Never here."""
        return False


def measure_alone(folder: Path, objects: int, checks: int) -> list[Row]:
    """Rows of CPU, memory and calls of a number of checks and objects.

    :raises BenchError: when a check did not find its object in order
    """
    kubeconfig = folder / "nowhere"
    kubeconfig.write_text(json.dumps(_KUBECONFIG))
    with _stub(objects) as port:
        environment = {
            **plain_environment(),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "stub",
            "AWS_SECRET_ACCESS_KEY": "stub",
            "KUBECONFIG": str(kubeconfig),
        }
        done = subprocess.run(
            [sys.executable, "-m", "bench.alone", str(objects), str(checks)],
            cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False,
        )  # fmt: skip
    if done.returncode:
        raise BenchError(f"the check alone: {done.stderr[-2000:]}")
    found = json.loads(done.stdout)
    units = {"cpu_each": "s", "aws_calls_each": "requests", "checks": "checks", "wall": "s", "cpu": "s"}
    return [
        Row("check_alone", "check", objects, metric, value, units.get(metric, "MB")) for metric, value in found.items()
    ]


@contextmanager
def _stub(objects: int) -> Iterator[int]:
    command = [sys.executable, "-m", "bench.stub", str(objects)]
    process = subprocess.Popen(command, cwd=PROJECT, env=plain_environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 - opened as a pipe
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def check_all(objects: int, checks: int) -> dict[str, float]:
    """Check objects of all numbers, evenly; what it cost.

    :raises BenchError: when a check did not find its object in order
    """
    calls: list[str] = []
    held = Held(objects)
    settings = RoleSettings(cluster_name=CLUSTER)
    check = DriftCheck(PROJECT, settings, held, count_call=calls.append)
    loaded_mb = _own_mb()
    wall, cpu = time.monotonic(), time.process_time()
    chosen = [held.items[number * objects // checks] for number in range(checks)]
    with ThreadPoolExecutor(_WORKERS) as pool:
        _compare(check, pool, chosen[: checks // 2])
        half_mb = _own_mb()
        _compare(check, pool, chosen[checks // 2 :])
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    return {
        "checks": checks,
        "wall": wall,
        "cpu": cpu,
        "cpu_each": cpu / checks,
        "aws_calls_each": len(calls) / checks,
        "pss_before": loaded_mb,
        "pss_after_half": half_mb,
        "peak_pss": max(loaded_mb, half_mb, _own_mb()),
    }


def _compare(check: DriftCheck, pool: ThreadPoolExecutor, items: list[Item]) -> None:
    for item, outcome in zip(items, pool.map(check.compare, map(S3Object.from_item, items)), strict=True):
        if outcome is None or not outcome.is_done:
            raise BenchError(f"{item['metadata']['name']} was not found in order: {outcome}")


def _own_mb() -> float:
    gc.collect()
    return pss_mb([os.getpid()])


if __name__ == "__main__":
    print(json.dumps(check_all(int(sys.argv[1]), int(sys.argv[2]))))
