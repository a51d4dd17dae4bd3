"""The rows as a picture, beside them. The only file that needs matplotlib, which only ``make bench`` installs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot

from bench.rows import Row

_INCHES = (11, 7)
_SYNCS = ("steady", "restart", "drift", "aws_30ms", "throttled_iam")


def draw(rows: list[Row], file: Path) -> None:
    """Write the picture of what there is."""
    figure, panes = pyplot.subplots(2, 2, figsize=_INCHES, layout="constrained")
    latencies = [row for row in rows if row.metric == "wall_median"]
    _bars(panes[0][0], "one new object to Ready (median)", "s", _labeled(latencies, "latency_"), 1.5)
    rates = [row for row in rows if row.metric == "rate"]
    _bars(panes[0][1], "bursts", "objects/s", _labeled(rates, "burst_"))
    checks = [row for name in _SYNCS for row in rows if row.name == name and row.metric == "cpu_each"]
    _bars(panes[1][0], "a sync, CPU for each object", "s", _labeled(checks), 0.025)
    _memory(panes[1][1], rows)
    figure.savefig(file, dpi=100, metadata={"Software": None})
    pyplot.close(figure)


def _labeled(rows: list[Row], prefix: str = "") -> dict[str, float]:
    return {
        f"{row.name.removeprefix(prefix)}\n{row.executor}": row.value
        for row in rows
        if not row.name.startswith("goal_")
    }


def _bars(pane: Any, title: str, unit: str, values: dict[str, float], goal: float | None = None) -> None:
    pane.set_title(title)
    pane.set_ylabel(unit)
    pane.bar_label(pane.bar(list(values), list(values.values())), fmt="%.3g")
    pane.margins(y=0.15)
    pane.tick_params(axis="x", labelsize="small")
    if goal is not None and values:
        pane.axhline(goal, color="gray", linestyle="--", linewidth=1)


def _memory(pane: Any, rows: list[Row]) -> None:
    pane.set_title("memory (PSS) of the operator and its children")
    pane.set_xlabel("minutes")
    pane.set_ylabel("MB")
    points = {
        int(row.metric.split("_")[1]): row.value for row in rows if row.name == "memory" and row.metric.endswith("_min")
    }
    pane.plot(list(points), list(points.values()), marker="o")
    pane.set_ylim(bottom=0, top=1.15 * max(points.values(), default=1))
