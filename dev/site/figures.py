"""The figures of README and docs, from ``bench/results``: no one writes one by hand."""

from __future__ import annotations

import json
from pathlib import Path

_FOLDER = Path(__file__).parents[2] / "bench" / "results"
_RESULTS = _FOLDER / "latest.json"
_MACHINE = _FOLDER / "machine.json"

# What, with --executor stock, with --executor warm. {row/executor/metric:format} is a measured value.
_ROWS = [
    (
        "one new object, until Ready",
        "{latency_alone/stock/wall_median:.1f} s, CPU {latency_alone/stock/cpu:.1f} s",
        "{latency_alone/warm/wall_median:.2f} s, CPU {latency_alone/warm/cpu:.2f} s",
    ),
    (
        "{burst_create/warm/objects} new objects at once (stock: {burst_create/stock/objects})",
        "{burst_create/stock/rate:.2f} objects/s",
        "{burst_create/warm/rate:.2f} objects/s",
    ),
    (
        "{burst_delete/warm/objects} deletions at once (stock: {burst_delete/stock/objects})",
        "{burst_delete/stock/rate:.2f} objects/s",
        "{burst_delete/warm/rate:.2f} objects/s",
    ),
    (
        "one new object while {latency_in_resync/warm/objects} objects are in resync",
        "",
        "{latency_in_resync/warm/wall_median:.2f} s",
    ),
    (
        "a sync of {steady/warm/objects} objects that finds nothing, per object",
        "",
        "CPU {steady/warm/cpu_each:.3f} s, {steady/warm/aws_calls_each:.0f} requests to AWS",
    ),
    ("the same right after a restart", "", "CPU {restart/warm/cpu_each:.3f} s"),
    ("the same with 1 % drifting, repairs included", "", "CPU {drift/warm/cpu_each:.3f} s"),
    ("the same with 30 ms before each answer of AWS", "", "CPU {aws_30ms/warm/cpu_each:.3f} s"),
    (
        "the same with IAM refusing requests beyond 60 %",
        "",
        "{throttled_iam/warm/checks:.0f} checks in the period, {throttled_iam/warm/failed:.0f} failed",
    ),
    (
        "memory (PSS) with {steady/warm/objects} objects, in a steady sync",
        "",
        "{steady/warm/peak_pss:.0f} MB; {burst_delete/warm/peak_pss:.0f} MB in a burst of deletions",
    ),
    (
        "requests to AWS per object and day, with a queue of events",
        "",
        "{events/warm/requests_a_day:.0f}; without {events/warm/requests_a_day_without_queue:,.0f}",
    ),
    (
        "requests to AWS for 10,000 objects in a month, with a queue of events",
        "",
        "{events/warm/dollars_a_month:.0f} dollars; without {events/warm/dollars_a_month_without_queue:.0f}",
    ),
    (
        "a change in AWS, from the message until it is repaired",
        "",
        "{events/warm/repaired_median:.1f} s",
    ),
    (
        "the drift check alone with {check_alone/check/objects} objects, per object",
        "",
        "CPU {check_alone/check/cpu_each:.3f} s; {check_alone/check/peak_pss:.0f} MB in all",
    ),
]
# Of the rows above, those for the README, which has warm runs only.
_SHORT = (0, 1, 3, 4, 9)


def table() -> str:
    """All figures, as a Markdown table."""
    lines = ["| what | `executor: stock` | `executor: warm` |", "|---|---|---|"]
    rows = [f"| {' | '.join(cells)} |" for cells in _filled() if cells]
    return "\n".join([*lines, *rows, "", f"Measured {_measured_at()}."]) + "\n"


def short_table() -> str:
    """The figures of the README, with warm runs, which are the default."""
    rows = _filled()
    lines = [f"| measured on 2 cores, {_measured_at()} | |", "|---|---|"]
    cells = ((rows[number][0].partition(" (stock")[0], rows[number][2]) for number in _SHORT)
    return "\n".join([*lines, *(f"| {what} | {value} |" for what, value in cells)]) + "\n"


def _measured_at() -> str:
    """When the figures were measured, and of which commit."""
    machine = json.loads(_MACHINE.read_text())
    return f"on {machine['began'][:10]} at commit {machine['commit'][:7]}"


def _filled() -> list[tuple[str, ...]]:
    """The rows with their values; empty for one that the results do not have."""
    measured = _measured()
    return [_fill(row, measured) for row in _ROWS]


def _fill(row: tuple[str, ...], measured: dict[str, float | str]) -> tuple[str, ...]:
    try:
        return tuple(cell.format_map(measured) for cell in row)
    except KeyError:
        return ()


def _measured() -> dict[str, float | str]:
    """The values by ``row/executor/metric``, and how many objects a row had, with a comma."""
    values: dict[str, float | str] = {}
    for row in json.loads(_RESULTS.read_text()):
        prefix = f"{row['name']}/{row['executor']}"
        values[f"{prefix}/{row['metric']}"] = row["value"]
        values[f"{prefix}/objects"] = f"{row['objects']:,}"
    return values
