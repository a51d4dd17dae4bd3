"""The operator as a process, as a user starts it: ``s3-operator run``, with defaults but where a row needs others."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from bench.accounting import make_tree
from bench.meter import Memory, Meter
from bench.place import CLUSTER, OPERATOR, Place
from dev.processes import Child

# A run of the role that no difference asks for comes to each object once in this time: no row is about it.
_NEVER_S = 10**9
_START_S = 120.0


class OperatorProcess:
    """Started by :meth:`start`, ended by :meth:`stop`; also a context manager.

    :param folder: for its log and its work; made
    :param only: the namespace that it watches; none: all
    :param more: further options
    """

    def __init__(
        self,
        place: Place,
        folder: Path,
        executor: str,
        sync_period_s: float,
        only: str = "",
        *,
        more: Sequence[str] = (),
    ) -> None:
        folder.mkdir()
        self.executor = executor
        self._place = place
        self._log = folder / "operator.log"
        self._tree = make_tree()
        self.accounting = self._tree.how
        self.memory = Memory(self._tree)
        self.meter = Meter(self._tree, self.memory, place.aws_calls(), place.kubernetes_calls())
        self._words = [str(Path(sys.executable).parent / "s3-operator"), "run", "--executor", executor]
        self._words += ["--sync-period", str(sync_period_s), "--full-sync-period", str(_NEVER_S)]
        self._words += ["--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"]
        self._words += ["--cluster-name", CLUSTER, "--work-dir", str(folder / "work")]
        self._words += ["--leader-election-namespace", OPERATOR, *(["--watch-namespace", only] if only else [])]
        self._words += more
        # With shards, several have some: that of a replica that started late may be none yet.
        self._is_sharded = "--sharding" in more
        self._child: Child | None = None

    def __enter__(self) -> OperatorProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it is ready and leads."""
        self._child = Child(self._tree.command(self._words), self._log, self._place.environment())
        self._tree.follow(self._child.process.pid)
        self.memory.start()
        self._child.wait_until(self._leads, "the operator", _START_S)

    def stop(self) -> None:
        """End it with all that it started."""
        self.memory.stop()
        if self._child:
            self._child.stop()
            self._child = None
        self._tree.close()

    def kill(self) -> None:
        """End it as a failed node does."""
        if self._child:
            self._child.process.kill()
            self._child.process.wait()

    def shards(self) -> int:
        """How many shards it has."""
        return self._counter("s3_operator_shard_held").total()

    def checks(self) -> Counter[str]:
        """The drift checks so far by what they found."""
        return self._counter("s3_operator_drift_checks", "result")

    def runs(self) -> int:
        """The runs of the role so far."""
        return self._counter("s3_operator_reconcile", "reason").total()

    def runs_s(self) -> float:
        """How long the runs so far took together, in seconds."""
        return sum(sample.value for sample in self._samples("s3_operator_reconcile_duration_seconds_sum"))

    def events(self) -> Counter[str]:
        """The messages about changes in AWS so far by what became of them."""
        return self._counter("s3_operator_events", "result")

    def progress(self) -> tuple[int, int]:
        """The runs so far, and how many new, changed and differing objects wait. It changes as long as it works."""
        depths = self._counter("s3_operator_queue_depth", "lane")
        return self.runs(), depths["fresh"] + depths["repair"]

    def tail(self) -> str:
        """The end of its log."""
        return self._log.read_text(errors="replace")[-3000:]

    def _leads(self) -> bool:
        try:
            works = self._is_sharded or self._counter("s3_operator_leader").total() == 1
            return self._get("/readyz") == "ok" and works
        except (OSError, urllib.error.URLError, KeyError):
            return False

    def _counter(self, name: str, label: str = "") -> Counter[str]:
        found: Counter[str] = Counter()
        for sample in self._samples(name, f"{name}_total"):
            found[sample.labels.get(label, "")] += int(sample.value)
        return found

    def _samples(self, *names: str) -> Iterator[Sample]:
        for family in text_string_to_metric_families(self._get("/metrics")):
            yield from (sample for sample in family.samples if sample.name in names)

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports()[path]}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def _ports(self) -> dict[str, int]:
        ports = {}
        for line in self._log.read_text().rpartition("\n")[0].splitlines():
            record = json.loads(line) if line.startswith("{") else {}
            if record.get("msg") == "serving":
                ports.update(dict.fromkeys(record["paths"], record["port"]))
        return ports
