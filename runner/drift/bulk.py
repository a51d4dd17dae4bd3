"""What requests for many buckets return, kept for a part of the sync period. Each check reads one page at most.

So no check waits for all pages, and none waits for another check. A page is read when the requests that answers of
earlier readings can save, or could have saved, are worth it. A reading that takes too long to be worth it, or that AWS
refuses, is not tried again for a time. Threads: any.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from s3bucket import errors
from s3bucket.outcome import Reason

_LOG = logging.getLogger(__name__)
_MAX_MESSAGE = 600
# An answer is used for this part of the sync period. The next reading begins earlier.
_KEPT, _RENEWED = 0.5, 0.35
# A reading that takes more than this part of the time for which it is used costs more requests than it saves.
_LONGEST = 0.5
_RETRY_S = 3600.0
# Of a reading. An account may have any number.
_MAX_BUCKETS = 50_000
# What earlier checks have paid for, in pages. It must not buy all pages of a large account at once.
_MAX_CREDIT = 50
# Also what an endpoint answers that does not have the request, and whatever else is no answer of AWS.
_ERRORS = (*errors.AWS_ERRORS, AttributeError, KeyError, TypeError, ValueError)


class Page(NamedTuple):
    """The answer to one request: a value by bucket name, and the token of the next page; empty for the last one."""

    values: dict[str, str]
    token: str


ReadPage = Callable[[str], Page]


@dataclass
class _Reading:
    started_at: float
    token: str = ""
    values: dict[str, str] = field(default_factory=dict)


class BulkReading:
    """The values that one kind of request returns, by bucket name.

    :param what: for the log: what is read for each bucket alone when the request is not answered
    :param period_s: the sync period
    :param price: how many of the requests that it saves cost as much as one page
    """

    def __init__(self, what: str, period_s: float, clock: Callable[[], float], price: int) -> None:
        self._what = what
        self._period_s = period_s
        self._kept_s = period_s * _KEPT
        self._clock = clock
        self._price = price
        self._lock = threading.Lock()
        # With the client of the values: another one may have other credentials.
        self._client: object = None
        self._read: tuple[float, dict[str, str]] = (-math.inf, {})
        self._reading: _Reading | None = None
        self._credit = 0
        self._paused_until = -math.inf
        self._pause_s = period_s
        self._logged = ""

    def find(self, name: str, client: object, read_page: ReadPage, not_before: float) -> str | None:
        """The value of a bucket, as it was at a time or later; None when it is not known. May read a page.

        :param client: with which ``read_page`` makes its request
        """
        if self._lock.acquire(blocking=False):
            try:
                self._advance(client, read_page)
            finally:
                self._lock.release()
        read_at, values = self._read
        if client is not self._client or read_at < max(not_before, self._clock() - self._kept_s):
            return None
        return values.get(name)

    def _advance(self, client: object, read_page: ReadPage) -> None:
        if client is not self._client:
            self._read, self._reading, self._client = (-math.inf, {}), None, client
            self._paused_until = -math.inf
        self._credit = min(self._credit + 1, _MAX_CREDIT * self._price)
        if self._is_due():
            self._credit -= self._price
            try:
                self._add(read_page(self._reading.token if self._reading else ""))
            except _ERRORS as error:
                self._give_up(error)

    def _is_due(self) -> bool:
        now = self._clock()
        if now < self._paused_until or self._credit < self._price:
            return False
        if self._reading is None and now >= self._read[0] + self._period_s * _RENEWED:
            self._reading = _Reading(now)
        return self._reading is not None

    def _add(self, page: Page) -> None:
        reading = self._reading
        assert reading is not None  # noqa: S101 - _is_due begins one
        reading.values.update(page.values)
        reading.token = page.token
        is_long = self._clock() - reading.started_at > self._kept_s * _LONGEST
        if page.token and (is_long or len(reading.values) > _MAX_BUCKETS):
            self._pause(_RETRY_S)
        elif not page.token:
            self._read, self._reading = (reading.started_at, reading.values), None
            self._pause_s, self._logged = self._period_s, ""

    def _give_up(self, error: Exception) -> None:
        refusal = errors.unknown(self._what, error)
        self._pause(_RETRY_S if refusal.reason == Reason.ACCESS_DENIED else self._pause_s)
        self._pause_s = min(self._pause_s * 2, _RETRY_S)
        text = refusal.message[:_MAX_MESSAGE]
        if text != self._logged:
            self._logged = text
            _LOG.warning("buckets are read one by one", extra={"error": text})

    def _pause(self, seconds: float) -> None:
        self._reading, self._credit = None, 0
        self._paused_until = self._clock() + seconds
