"""``/healthz``, ``/readyz`` and ``/metrics`` over HTTP."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_LOG = logging.getLogger(__name__)

Page = Callable[[], tuple[int, str, bytes]]
"""Gives HTTP status, content type and body."""


class AddressError(Exception):
    """An address cannot be served on."""


def check_page(check: Callable[[], str]) -> Page:
    """A page that is 200 while ``check`` answers with an empty string, and 503 with its words otherwise."""

    def page() -> tuple[int, str, bytes]:
        problem = check()
        return (503, "text/plain", problem.encode()) if problem else (200, "text/plain", b"ok")

    return page


def serve(address: str, pages: dict[str, Page]) -> ThreadingHTTPServer | None:
    """Serve pages by path in a daemon thread. An address is ``host:port`` or ``:port``; empty or 0 serves nothing.

    Port 0 of an address with a colon takes a free port; the log says which.

    :raises AddressError: when the address is in use, or none of ours
    """
    host, colon, port = address.rpartition(":")
    if not colon:
        return None

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, kind, body = page() if page else (404, "text/plain", b"not found")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Probes are no news."""

    try:
        server = ThreadingHTTPServer((host, int(port)), Handler)
    except (OSError, ValueError) as error:
        raise AddressError(f"cannot serve on {address}: {error}") from error
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name=f"http-{server.server_port}", daemon=True).start()
    _LOG.info("serving", extra={"port": server.server_port, "paths": sorted(pages)})
    return server
