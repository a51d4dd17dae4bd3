"""Waiting for a condition of another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_WAIT_S = 90.0


def wait_until(check: Callable[[], Any], what: str, timeout_s: float = _WAIT_S) -> Any:
    """Poll a condition of another process until it holds, and return what it gave."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.2)
