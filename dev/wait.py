"""Waiting for a condition of another process."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

_Found = TypeVar("_Found")
# The pause between two checks is a tenth of the time waited so far. A check costs 10 ms of CPU here and in the API
# server, which what is waited for then lacks.
_SHARE, _LEAST_S, _MOST_S = 0.1, 0.05, 0.5


def wait_until(check: Callable[[], _Found], what: str, timeout_s: float = 300.0) -> _Found:
    """Poll a condition until it holds, and return what it gave.

    The time-out is no claim: it is for what will never happen, and a machine with much other work takes its time.

    :raises TimeoutError: naming ``what``
    """
    started = time.monotonic()
    while not (found := check()):
        waited_s = time.monotonic() - started
        if waited_s >= timeout_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {what}")
        time.sleep(min(max(waited_s * _SHARE, _LEAST_S), _MOST_S))
    return found
