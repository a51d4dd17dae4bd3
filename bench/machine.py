"""Where and of which commit is measured."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).parents[1]
_PACKAGES = ("ansible-core", "ansible-runner", "boto3", "kubernetes", "moto")


def describe(accounting: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The machine's size, the versions, the commit, and how CPU is counted."""
    return {
        "commit": _git("rev-parse", "HEAD") or "unknown",
        "changed": _git("status", "--porcelain", "--untracked-files=no").splitlines(),
        "began": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_mb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6),
        "cpu": _field("/proc/cpuinfo", "model name"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in _PACKAGES},
        "cpu_counted_by": accounting,
        "settings": settings,
    }


def _git(*words: str) -> str:
    done = subprocess.run(["git", *words], cwd=_PROJECT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _field(file: str, name: str) -> str:
    lines = (line.partition(":") for line in Path(file).read_text().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == name), "unknown")
