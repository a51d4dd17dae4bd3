"""Waiting for a condition of another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Found = TypeVar("_Found")
_INTERVAL_S = 0.05


def wait_until(check: Callable[[], _Found], what: str, timeout_s: float = 90.0) -> _Found:
    """Poll a condition until it holds, and return what it gave.

    :raises TimeoutError: naming ``what``
    """
    deadline = time.monotonic() + timeout_s
    while not (found := check()):
        if time.monotonic() >= deadline:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(_INTERVAL_S)
    return found
