"""What a stretch of time has cost: wall time, CPU, peak memory, calls. One thread of its own samples the memory."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.accounting import Tree, pss_mb
from bench.calls import AwsCalls, KubernetesCalls, without_watches

# Reading the memory of one process takes some milliseconds of CPU: the bench's, but on the same cores.
_SAMPLE_S = 1.0


@dataclass
class Cost:
    """CPU of the operator and all its children, not of moto or Kubernetes; memory in 10^6 bytes."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_pss_mb: float = 0.0
    aws: Counter[str] = field(default_factory=Counter)
    kubernetes: Counter[str] = field(default_factory=Counter)

    @property
    def aws_calls(self) -> int:
        """All requests to AWS."""
        return self.aws.total()

    @property
    def kubernetes_calls(self) -> int:
        """Requests to Kubernetes without watches."""
        return without_watches(self.kubernetes)

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.wall_s + other.wall_s,
            self.cpu_s + other.cpu_s,
            max(self.peak_pss_mb, other.peak_pss_mb),
            self.aws + other.aws,
            self.kubernetes + other.kubernetes,
        )


class Memory:
    """Samples the memory of a tree of processes from :meth:`start` to :meth:`stop`."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self.samples: list[tuple[float, float]] = []
        """Monotonic time and 10^6 bytes."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stopped.set()
        self._thread.join()

    def peak_mb(self, since: float) -> float:
        """The maximum since then, with a sample now, so that a stretch that is shorter than the interval has one."""
        self._sample()
        return max(mb for at, mb in list(self.samples) if at >= since)

    def _run(self) -> None:
        while not self._stopped.wait(_SAMPLE_S):
            self._sample()

    def _sample(self) -> None:
        self.samples.append((time.monotonic(), pss_mb(self._tree.pids())))


class Meter:
    """Of one operator."""

    def __init__(self, tree: Tree, memory: Memory, aws: AwsCalls, kubernetes: KubernetesCalls) -> None:
        self._tree = tree
        self._memory = memory
        self._aws = aws
        self._kubernetes = kubernetes

    @contextmanager
    def measure(self) -> Iterator[Cost]:
        """The cost of the block; filled in at its end."""
        cost = Cost()
        aws, kubernetes = self._aws.count(), self._kubernetes.count()
        cpu_s, started = self._tree.cpu_s(), time.monotonic()
        yield cost
        cost.wall_s = time.monotonic() - started
        cost.cpu_s = self._tree.cpu_s() - cpu_s
        cost.peak_pss_mb = self._memory.peak_mb(started)
        cost.aws = self._aws.count() - aws
        cost.kubernetes = self._kubernetes.count() - kubernetes
