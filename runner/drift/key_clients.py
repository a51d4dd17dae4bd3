"""S3 clients that sign each request with the access key that this thread verifies at the moment.

One client a region is kept for all keys, because making one takes 20 ms of CPU and more. A request outside of
:meth:`KeyClients.signing` fails: the client has no key of its own, and never the operator's. Time limits are short, and
nothing is tried twice, because the next verification does that. Threads: any.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.config import Config
from botocore.credentials import Credentials

from runner.drift.aws_clients import MAX_REGIONS, AWSClients, Client

_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 1})


class KeyClients:
    """Makes and keeps the clients.

    :param operator: makes them with the session of the operator's own clients, which takes 20 MB
    """

    def __init__(self, operator: AWSClients) -> None:
        self._operator = operator
        self._lock = threading.Lock()
        # The one that was used last is at the end.
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._signer = threading.local()

    @contextmanager
    def signing(self, region: str, key_id: str, secret: str) -> Iterator[Client]:
        """A client of the region. In this thread it signs with the key until the block ends.

        :raises ReconcileError: when there can be no client
        """
        client = self._get(region)
        self._signer.credentials = Credentials(key_id, secret)
        try:
            yield client
        finally:
            self._signer.credentials = None

    def _get(self, region: str) -> Client:
        with self._lock:
            if region not in self._clients:
                self._clients[region] = self._make(region)
                if len(self._clients) > MAX_REGIONS:
                    self._clients.popitem(last=False)
            self._clients.move_to_end(region)
            return self._clients[region]

    def _make(self, region: str) -> Client:
        client = self._operator.make_keyless(region, _CONFIG)
        client.meta.events.register("before-call.s3", self._set_signer)
        return client

    def _set_signer(self, context: dict[str, Any], **_: object) -> None:
        """Sign the request that is about to be sent with the key of this thread (a handler for botocore's event)."""
        credentials = getattr(self._signer, "credentials", None)
        if credentials is None:
            raise RuntimeError("a request with no access key to sign it with")
        context["signing"] = {**context.get("signing", {}), "request_credentials": credentials}
