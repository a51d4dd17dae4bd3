"""``python -m bench``: measures everything, the most important first, and writes the rows after each measurement.

Phases: without other objects (new objects, bursts, with both executors); with many that are Ready (syncs); the check
alone. An interrupted run leaves the rows that it has. Exit status 1: a measurement was not what its row states.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench import BenchError
from bench.accounting import make_tree
from bench.all_settings import (
    make_with_all_settings,
    measure_checks_of_all_settings,
    measure_new_with_all_settings,
)
from bench.alone import measure_alone
from bench.burst import measure_burst
from bench.events import measure_events
from bench.fair import Fairness, make_edited
from bench.goals import STOCK, WARM, goal_rows
from bench.latency import measure_latency, warm_up
from bench.machine import describe
from bench.memory import first_minute_of_slope, measure_memory
from bench.objects import make
from bench.peers import ack
from bench.peers.measure import ACK_KINDS, OPERATOR_KINDS, RESYNC_S, Peer
from bench.place import Place, bring_up
from bench.process import OperatorProcess
from bench.rows import Results, Row, table
from bench.settings import GROUPS, PEERS, Settings, settings_of
from bench.shards import COUNTS, measure_shards
from bench.steady import measure_drift, measure_restart, measure_steady, measure_throttled

_REPEATS = {WARM: 7, STOCK: 3}
# No object is in resync while new objects are measured alone.
_QUIET_S = 3600.0
_DELAY_S = 0.03
# Of the requests that a sync makes IAM answers this share.
_IAM_SHARE = 0.6
_MINUTES, _LONG_MINUTES = 10, 30
_NEW, _MANY, _SETTINGS = "new", "many", "settings"
_SETTINGS_PERIOD_S = 20


class Bench:
    """One run."""

    def __init__(self, settings: Settings, folder: Path, results: Results) -> None:
        self._settings = settings
        self._folder = folder
        self._results = results
        self._started = time.monotonic()
        self._operator: OperatorProcess | ack.AckProcess | None = None
        self._has_many = False
        self.failures: list[str] = []

    def run(self) -> None:
        """All that is asked for."""
        if self._asks(PEERS, *(group for group in GROUPS if group != "check")):
            self._report("starting Kubernetes and AWS")
            plane, aws = bring_up(self._folder)
            try:
                self._in_place(Place(plane, aws, self._folder))
            finally:
                aws.stop()
                plane.stop()
        if self._asks("check"):
            settings = self._settings
            self._measure("check", lambda: measure_alone(self._folder, settings.check_objects, settings.checks))

    def _in_place(self, place: Place) -> None:
        place.make_namespace(_NEW)
        if self._asks("latency", "burst", "stock"):
            self._measure_new(place, WARM, self._asks("latency", "stock"), self._asks("burst", "stock"))
        if self._asks("fair"):
            self._measure_fairness(place)
        if self._asks("stock"):
            self._measure_new(place, STOCK, True, True)
        if self._asks("settings"):
            self._measure_all_settings(place)
        if self._asks(PEERS):
            self._measure("this operator, beside its peers", lambda: self._measure_beside_peers(place))
            self._measure("ACK's controllers", lambda: self._measure_ack(place))
        if self._asks("steady", "resync", "drift", "delay", "throttle", "memory"):
            self._measure_syncs(place)
        if self._asks("events"):
            self._measure_events(place)
        if self._asks("shards"):
            self._measure_shards(place)

    def _measure_new(self, place: Place, executor: str, has_latency: bool, has_burst: bool) -> None:
        with OperatorProcess(place, self._folder / executor, executor, _QUIET_S) as operator, self._with_log(operator):
            warm_up(place, _NEW, f"{executor}-first")
            if has_latency:
                names = [f"{executor}-{number}" for number in range(_REPEATS[executor])]
                self._measure(
                    f"latency {executor}",
                    lambda: measure_latency(place, operator, "latency_alone", _NEW, names, 1),
                )
            if has_burst:
                count = self._settings.burst if executor == WARM else self._settings.stock_burst
                burst = [f"{executor}-burst-{number}" for number in range(count)]
                self._measure(f"burst {executor}", lambda: measure_burst(place, operator, _NEW, burst))

    def _measure_fairness(self, place: Place) -> None:
        settings = self._settings
        edited = make_edited(place, settings.edited)
        folder = self._folder / "fair"
        with OperatorProcess(place, folder, WARM, settings.sync_period_s) as operator, self._with_log(operator):
            fairness = Fairness(place, operator, settings.conflicting, edited)
            self._measure("fair, alone", fairness.measure_alone)
            self._measure("fair, conflicting objects are made", fairness.measure_creation)
            self._measure("fair, they are deleted", fairness.measure_deletion)
            self._measure("fair, specs are edited", fairness.measure_specs)
            self._measure("fair, Secrets are edited", fairness.measure_secrets)

    def _measure_beside_peers(self, place: Place) -> list[Row]:
        place.make_namespace(PEERS)
        operator = OperatorProcess(place, self._folder / PEERS, WARM, RESYNC_S, PEERS)
        with operator, self._with_log(operator):
            return Peer(place, WARM, operator.meter, OPERATOR_KINDS, PEERS).measure(self._settings.burst)

    def _measure_ack(self, place: Place) -> list[Row]:
        ack.install_crds(place, self._settings.peers)
        place.make_namespace(ack.ACK)
        peer = ack.AckProcess(place, self._folder / ack.ACK, self._settings.peers, RESYNC_S)
        with peer, self._with_log(peer):
            return Peer(place, ack.ACK, peer.meter, ACK_KINDS, ack.ACK).measure(self._settings.burst)

    def _measure_all_settings(self, place: Place) -> None:
        period_s = min(self._settings.sync_period_s, _SETTINGS_PERIOD_S)
        with OperatorProcess(place, self._folder / "settings", WARM, _QUIET_S) as operator, self._with_log(operator):
            warm_up(place, _NEW, "settings-first")
            self._measure("new, all settings", lambda: measure_new_with_all_settings(place, operator, _NEW))
            place.make_namespace(_SETTINGS)
            make_with_all_settings(place, _SETTINGS)
        folder = self._folder / "settings-checks"
        with OperatorProcess(place, folder, WARM, period_s, _SETTINGS) as operator, self._with_log(operator):
            self._measure("checks, all settings", lambda: measure_checks_of_all_settings(operator, period_s))

    def _measure_syncs(self, place: Place) -> None:
        settings = self._settings
        count, period_s = settings.objects, settings.sync_period_s
        names = self._make_many(place)
        operator = OperatorProcess(place, self._folder / "syncs", WARM, period_s)
        try:
            with self._with_log(operator):
                self._measure("restart", lambda: measure_restart(operator, count, period_s))
                self._measure_running(place, operator, names)
        finally:
            operator.stop()

    def _make_many(self, place: Place) -> list[str]:
        """The names of objects that are Ready, made at the first call."""
        names = [f"bench-{number:06d}" for number in range(self._settings.objects)]
        if not self._has_many:
            self._report(f"making {len(names)} objects that are Ready")
            place.make_namespace(_MANY)
            make(place, _MANY, names)
        self._has_many = True
        return names

    def _measure_events(self, place: Place) -> None:
        names, period_s = self._make_many(place), self._settings.sync_period_s
        folder = self._folder / "events"
        self._measure("events", lambda: measure_events(place, folder, WARM, names, period_s))

    def _measure_shards(self, place: Place) -> None:
        count = len(self._make_many(place))
        for replicas in COUNTS:
            folder = self._folder / f"shards-{replicas}"
            self._measure(f"shards, {replicas} replicas", partial(measure_shards, place, folder, WARM, count, replicas))

    def _measure_running(self, place: Place, operator: OperatorProcess, names: list[str]) -> None:
        count, period_s, gate = len(names), self._settings.sync_period_s, place.aws.gate
        if self._asks("steady"):
            self._measure("steady", lambda: measure_steady(operator, count, period_s))
        if self._asks("memory"):
            # Before anything else is: its slope is that of a steady sync.
            is_long = self._settings.is_long
            minutes = _LONG_MINUTES if is_long else _MINUTES
            slope_from = first_minute_of_slope(period_s) if is_long else None
            self._measure(f"memory of {minutes} minutes", lambda: measure_memory(operator, count, minutes, slope_from))
        if self._asks("resync"):
            self._measure("resync", lambda: self._latency_in_resync(place, operator, count))
        if self._asks("drift"):
            drifting = names[:: count // max(1, count // 100)][: max(1, count // 100)]
            s3 = place.aws.client("s3")
            self._measure("drift", lambda: measure_drift(operator, count, period_s, drifting, s3))
        if self._asks("delay"):
            gate.add_fault("*", delay_s=_DELAY_S, access_key=place.access_key)
            self._measure("delay", lambda: measure_steady(operator, count, period_s, "aws_30ms"))
            gate.clear_faults()
        if self._asks("throttle"):
            limit = _IAM_SHARE * count / period_s
            gate.add_fault("*", "Throttling", spares_per_s=limit, service="iam", access_key=place.access_key)
            self._measure("throttle", lambda: measure_throttled(operator, count, period_s))
            gate.clear_faults()

    def _latency_in_resync(self, place: Place, operator: OperatorProcess, count: int) -> list[Row]:
        warm_up(place, _NEW, "resync-first")
        names = [f"resync-{number}" for number in range(_REPEATS[WARM])]
        checks = operator.checks().total()
        rows = measure_latency(place, operator, "latency_in_resync", _NEW, names, count)
        if operator.checks().total() == checks:
            raise BenchError("no object was in resync meanwhile")
        return rows

    def _asks(self, *groups: str) -> bool:
        return any(group in self._settings.rows for group in groups)

    def _measure(self, what: str, measure: Callable[[], list[Row]]) -> None:
        self._report(f"measuring: {what}")
        try:
            self._results.add(measure())
        except BenchError as error:
            self.failures.append(f"{what}: {error}")
            self._report(f"NOT MEASURED: {self.failures[-1]}\n{self._operator.tail() if self._operator else ''}")

    @contextmanager
    def _with_log(self, operator: OperatorProcess | ack.AckProcess) -> Iterator[None]:
        """Report the end of this operator's log when something goes wrong."""
        self._operator = operator
        try:
            yield
        except Exception:
            print(operator.tail(), file=sys.stderr)
            raise
        finally:
            self._operator = None

    def _report(self, line: str) -> None:
        print(f"[{time.monotonic() - self._started:6.0f} s] {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, and print the rows."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        settings = settings_of()
    except ValueError as error:
        sys.exit(str(error))
    results = Results(settings.results, describe(_accounting(), _shown(settings)))
    with tempfile.TemporaryDirectory(prefix="s3-operator-bench-") as folder:
        bench = Bench(settings, Path(folder), results)
        try:
            bench.run()
        finally:
            _print_rows(results)
    return 1 if bench.failures else 0


def _shown(settings: Settings) -> dict[str, Any]:
    # Paths are those of this machine.
    return {name: value for name, value in asdict(settings).items() if not isinstance(value, Path)}


def _accounting() -> str:
    tree = make_tree()
    tree.close()
    return tree.how


def _print_rows(results: Results) -> None:
    from bench.picture import draw

    results.add(goal_rows(results))
    print(table(results.rows), flush=True)
    draw(results.rows, results.folder / "latest.png")


if __name__ == "__main__":
    sys.exit(main())
