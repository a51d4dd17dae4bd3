"""The rows of the table: what was measured, and the file that keeps them, written anew after each measurement."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.meter import Cost

_DIGITS = 4


@dataclass(frozen=True)
class Row:
    """One number. ``name`` is what was measured, ``metric`` what of it, ``objects`` with how many S3 objects."""

    name: str
    executor: str
    objects: int
    metric: str
    value: float
    unit: str
    goal: str = ""
    is_met: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """As in the file: a goal stands in a row that has one."""
        found = {**asdict(self), "value": float(f"{self.value:.{_DIGITS}g}")}
        return found if self.goal else {name: found[name] for name in found if name not in ("goal", "is_met")}


def rows_of(name: str, executor: str, objects: int, cost: Cost, of: int = 1) -> list[Row]:
    """What each measurement reports: wall time, CPU, peak memory and calls; of ``of`` objects also what each cost."""
    found = [
        ("wall", cost.wall_s, "s"),
        ("cpu", cost.cpu_s, "s"),
        ("peak_pss", cost.peak_pss_mb, "MB"),
        ("aws_calls", cost.aws_calls, "requests"),
        ("kubernetes_calls", cost.kubernetes_calls, "requests"),
    ]
    if of > 1:
        found += [
            ("cpu_each", cost.cpu_s / of, "s"),
            ("aws_calls_each", cost.aws_calls / of, "requests"),
            ("kubernetes_calls_each", cost.kubernetes_calls / of, "requests"),
        ]
    return [Row(name, executor, objects, metric, value, unit) for metric, value, unit in found]


class Results:
    """All rows so far, in ``latest.json`` of a folder; ``machine.json`` beside it names the machine and the commit."""

    def __init__(self, folder: Path, machine: dict[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.rows: list[Row] = []
        (folder / "machine.json").write_text(json.dumps(machine, indent=2) + "\n")
        self._write()

    def add(self, rows: Iterable[Row]) -> None:
        """Keep rows, in the file too: a run that is cut off leaves what it measured."""
        self.rows += rows
        self._write()

    def find(self, name: str, executor: str, metric: str) -> float | None:
        """The value of a row."""
        keys = (name, executor, metric)
        return next((row.value for row in self.rows if (row.name, row.executor, row.metric) == keys), None)

    def _write(self) -> None:
        lines = ",\n".join(json.dumps(row.as_json()) for row in self.rows)
        partial = self.folder / "latest.json.partial"
        partial.write_text(f"[\n{lines}\n]\n" if lines else "[]\n")
        partial.rename(self.folder / "latest.json")


def table(rows: Iterable[Row]) -> str:
    """The rows for people."""
    head = ("name", "executor", "objects", "metric", "value", "unit", "goal")
    cells = [head]
    for row in rows:
        verdict = {None: "", True: ": met", False: ": NOT met"}[row.is_met]
        value = f"{row.as_json()['value']:g}"
        cells.append((row.name, row.executor, str(row.objects), row.metric, value, row.unit, f"{row.goal}{verdict}"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in cells)
