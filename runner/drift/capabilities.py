"""What the endpoint has of AWS: a constant for AWS; a store is probed once, and again when its clients are made anew.

Threads: any; one probes, the others wait for it.
"""

from __future__ import annotations

import logging
import threading

from runner.drift.aws_clients import AWSClients, Client, home_region
from s3bucket.capabilities import Capabilities, probe
from s3bucket.errors import ReconcileError
from s3bucket.role_settings import RoleSettings

_LOG = logging.getLogger(__name__)
_MAX_MESSAGE = 600


class EndpointCapabilities:
    """Finds out what the endpoint has, and logs it when it is new."""

    def __init__(self, clients: AWSClients, settings: RoleSettings) -> None:
        self._clients = clients
        self._settings = settings
        self._lock = threading.Lock()
        # With the client of the probe: another one may have other credentials.
        self._found: tuple[Client, Capabilities] | None = None
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
            if self._found is None or self._found[0] is not s3:
                self._found = s3, probe(s3, iam, identity.sts, self._settings.account_id)
                self._log(self._found[1])
            return self._found[1]

    def find(self) -> Capabilities | None:
        """What was found out of a store; None for AWS, and while it is not known. Makes no request."""
        found = self._found
        return found[1] if found else None

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
