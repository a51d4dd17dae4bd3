"""The rate of this replica's requests to a service that limits the rate of the account, as IAM does.

It is botocore's adaptive mode (a token bucket that each throttled request makes slower, and time faster), with one
difference: it knows how many replicas share the account. When one joins, each of the others at once leaves it its share
of what the account was found to allow, instead of losing it by throttled requests; when one ends, they use its share.

https://boto3.amazonaws.com/v1/documentation/api/latest/guide/retries.html#adaptive-retry-mode
"""

from __future__ import annotations

from typing import Any

from botocore.retries import adaptive


class AccountRate:
    """The rate of one client. Threads: any.

    :param client: of boto3, with the retry mode ``standard``
    """

    def __init__(self, client: Any) -> None:
        self._limiter = adaptive.register_retry_handler(client)

    @property
    def limit(self) -> float | None:
        """Requests a second; None as long as none was throttled."""
        limiter = self._limiter
        return float(limiter._token_bucket.max_rate) if limiter._enabled else None

    def share(self, factor: float) -> None:
        """Change the limit, if there is one, as many replicas more or fewer share it from now on."""
        limiter = self._limiter
        with limiter._lock:
            if not limiter._enabled:
                return
            adjustor, bucket = limiter._rate_adjustor, limiter._token_bucket
            # As if the last throttled request had been sent at this rate: the limit grows again from here.
            full = bucket.max_rate * factor / adjustor._beta
            bucket.max_rate = adjustor.error_received(full, limiter._clock.current_time())
