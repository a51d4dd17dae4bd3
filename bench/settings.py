"""The settings of a run of the bench, from environment variables: ``make bench OBJECTS=100`` sets them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_PROJECT = Path(__file__).parents[1]
GROUPS = (
    "latency", "burst", "fair", "stock", "settings", "steady", "resync", "drift", "delay", "throttle", "memory",
    "events", "shards", "check",
)  # fmt: skip
PEERS = "peers"
"""The group that only ``ROWS`` asks for: it needs the programs of others."""


@dataclass(frozen=True)
class Settings:
    """How much is measured. Times in seconds."""

    objects: int
    burst: int
    conflicting: int
    edited: int
    sync_period_s: int
    is_long: bool
    rows: tuple[str, ...]
    results: Path
    check_objects: int
    checks: int
    peers: Path

    @property
    def stock_burst(self) -> int:
        """A burst of stock runs takes minutes, and its rate is the same after ten."""
        return min(self.burst, 10)


def settings_of(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the variables; an empty one is as if it were not set.

    :raises ValueError: for a row that there is none of, or a number that is none
    """
    given = {name: value for name, value in environment.items() if value}
    rows = tuple(given["ROWS"].split(",")) if "ROWS" in given else GROUPS
    unknown = set(rows) - {*GROUPS, PEERS}
    if unknown:
        raise ValueError(f"ROWS names {', '.join(sorted(unknown))}: there are {', '.join((*GROUPS, PEERS))}")
    return Settings(
        objects=int(given.get("OBJECTS", 1000)),
        burst=int(given.get("BURST", 50)),
        conflicting=int(given.get("CONFLICTING", 300)),
        edited=int(given.get("EDITED", 60)),
        sync_period_s=int(given.get("BENCH_SYNC_PERIOD", 120)),
        is_long=given.get("LONG", "0") != "0",
        rows=rows,
        results=Path(given.get("RESULTS", _PROJECT / "bench" / "results")),
        check_objects=int(given.get("CHECK_OBJECTS", 10_000)),
        checks=int(given.get("CHECKS", 2_000)),
        peers=Path(given.get("PEERS", ".")).expanduser(),
    )
