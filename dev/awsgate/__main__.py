"""``python -m dev.awsgate --port PORT --credentials-file FILE``: runs until SIGTERM."""

from __future__ import annotations

import argparse
import functools
import json
from pathlib import Path
from typing import Any

from moto import settings
from moto.backends import get_backend
from moto.core import responses
from moto.core.utils import method_names_from_class
from moto.iam.models import AccessKey, iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from .calls import ACCOUNT
from .client import write_key
from .gate import ADMIN, Gate

_ADMIN_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Dispatcher(DomainDispatcherApplication):
    """Finds the service of a host once. moto searches its own folders for it twice a request: a third of the time."""

    def __init__(self) -> None:
        super().__init__(create_backend_app)
        self._services: dict[str | None, Any] = {}

    def get_backend_for_host(self, host: str | None) -> Any:
        """The service, by moto's own search."""
        if host not in self._services:
            self._services[host] = super().get_backend_for_host(host)
        return self._services[host]


class QuietHandler(MotoRequestHandler):
    """Writes no access log: the gate has its own."""

    protocol_version = "HTTP/1.1"

    def log_request(self, *_: Any) -> None:
        """Nothing."""


def make_admin(key: AccessKey | None = None) -> AccessKey:
    """The administrator, for the tests and the operator; with a given key after a reset."""
    backend = iam_backends[ACCOUNT]["aws"]
    backend.create_user("us-east-1", ADMIN)
    backend.put_user_policy(ADMIN, "all", json.dumps(_ADMIN_POLICY))
    made = backend.create_access_key(ADMIN)
    if key is not None:
        del backend.access_keys[made.access_key_id]
        made.access_key_id, made.secret_access_key = key.access_key_id, key.secret_access_key
        backend.access_keys[key.access_key_id] = made
    return made


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1", help="an IPv6 address too, without brackets")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--credentials-file", type=Path, required=True)
    parser.add_argument("--region", default="us-east-1")
    given = parser.parse_args()

    key = make_admin()
    write_key(given.credentials_file, key.access_key_id, key.secret_access_key)

    def reset() -> None:
        for service in ("s3", "iam", "sts", "sqs"):
            get_backend(service).reset()
        make_admin(key)

    # From here on every request needs a right.
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0.0
    # A class's methods do not change, and moto lists them for each request.
    responses.method_names_from_class = functools.cache(method_names_from_class)  # type: ignore[attr-defined]
    gate = Gate(Dispatcher(), reset)
    server = make_server(given.host, given.port, gate, threaded=True, request_handler=QuietHandler)
    host = f"[{given.host}]" if ":" in given.host else given.host
    print(json.dumps({"endpoint_url": f"http://{host}:{server.port}", "region": given.region}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
