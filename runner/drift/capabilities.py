"""What the endpoint has of AWS: a constant for AWS; a store is probed once, and again when its clients are made anew.

Which id a store compares ExpectedBucketOwner with shows only a bucket. So a store without any is probed again.

Threads: any; one probes, the others wait for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from runner.drift.aws_clients import AWSClients, Client, home_region
from s3bucket.capabilities import Capabilities, probe
from s3bucket.errors import ReconcileError
from s3bucket.role_settings import RoleSettings

_LOG = logging.getLogger(__name__)
_MAX_MESSAGE = 600
# How long what was found in a store without a bucket is used.
_UNTRIED_S = 60.0


class EndpointCapabilities:
    """Finds out what the endpoint has, and logs it when it is new."""

    def __init__(
        self, clients: AWSClients, settings: RoleSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clients = clients
        self._clock = clock
        self._settings = settings
        self._lock = threading.Lock()
        # With the client of the probe: another one may have other credentials.
        self._found: tuple[Client, Capabilities] | None = None
        self._found_at = 0.0
        self._logged: Capabilities | None = None

    def get(self) -> Capabilities:
        """What the endpoint has.

        :raises ReconcileError: when the store does not answer, or the settings do not fit it
        """
        known = self._settings.known_capabilities
        if known is not None:
            return known
        s3, iam, identity = self._clients.get(home_region())
        with self._lock:
            if self._found is None or self._found[0] is not s3 or self._is_outdated(self._found[1]):
                self._found = s3, probe(s3, iam, identity.sts, self._settings.account_id)
                self._found_at = self._clock()
                self._log(self._found[1])
            return self._found[1]

    def find(self) -> Capabilities | None:
        """What was found out of a store; None for AWS, and while it is not known. Makes no request.

        What was found with other credentials is not known for these: a run then finds it out by itself.
        """
        found = self._found
        if found is None:
            return None
        try:
            s3 = self._clients.get(home_region()).s3
        except ReconcileError:
            return None
        return found[1] if found[0] is s3 and not self._is_outdated(found[1]) else None

    def _is_outdated(self, found: Capabilities) -> bool:
        return not found.is_owner_tried and self._clock() >= self._found_at + _UNTRIED_S

    def try_get(self) -> None:
        """Probe a store in advance. It is tried again when it is needed."""
        try:
            self.get()
        except ReconcileError as refusal:
            _LOG.warning("the store was not probed", extra={"error": refusal.message[:_MAX_MESSAGE]})

    def _log(self, found: Capabilities) -> None:
        if found != self._logged:
            self._logged = found
            _LOG.info("capabilities of the store", extra={"capabilities": found.to_record()})
