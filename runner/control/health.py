"""``/healthz``, ``/readyz`` and ``/metrics`` over HTTP, on IPv4, IPv6 or both, whichever the machine has.

Any Pod of the cluster may connect, unless a NetworkPolicy forbids it. So connections are limited in number and time,
and a probe is answered also while another Pod opens as many as it can. Threads: one a server, and one a connection.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import re
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_LOG = logging.getLogger(__name__)
# host:port, [IPv6]:port or :port. An IPv6 address without brackets would be ambiguous.
_ADDRESS = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+(?:%\w+)?)\]|(?P<host>[^\[\]:]*)):(?P<port>[0-9]{1,5})")
_NOWHERE = ("", "0")
_MAX_PORT = 65535
# Connections at a time, of one server; Prometheus and a kubelet need a few.
MAX_CONNECTIONS = 64
# So long a connection may send or take nothing.
_IDLE_S = 10.0
_ALL_V6, _ALL_V4 = "::", "0.0.0.0"  # noqa: S104 - a Pod's probes and Prometheus come from outside
# What a kernel without IPv6, or with it turned off, answers.
_NO_V6 = (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT, errno.EADDRNOTAVAIL)

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


def kept_page(page: Page, keep_s: float, clock: Callable[[], float] = time.monotonic) -> Page:
    """A page that is made at most once in ``keep_s`` seconds, by one thread, however often it is requested."""
    lock = threading.Lock()
    kept: list[tuple[float, tuple[int, str, bytes]]] = []

    def found() -> tuple[int, str, bytes]:
        with lock:
            if not kept or clock() >= kept[0][0] + keep_s:
                kept[:] = [(clock(), page())]
            return kept[0][1]

    return found


def serve(address: str, pages: dict[str, Page]) -> ThreadingHTTPServer | None:
    """Serve pages by path in a daemon thread.

    :param address: ``host:port``, ``[IPv6]:port``, or ``:port`` for all addresses of both families; ``0`` or nothing
        serves nothing. Port 0 takes a free port, which is logged.
    :raises AddressError: when the address is in use, not of this machine, or not an address
    """
    if address in _NOWHERE:
        return None
    host, port = _parse(address)
    try:
        server = _listen(host, port, _handler_for(pages))
    except OSError as error:
        raise AddressError(f"cannot serve on {address}: {error}") from error
    threading.Thread(target=server.serve_forever, name=f"http-{server.server_port}", daemon=True).start()
    _LOG.info("serving", extra={"port": server.server_port, "paths": sorted(pages)})
    return server


class _Server(ThreadingHTTPServer):
    """A server that closes a connection of the peer that has most, once there are too many."""

    daemon_threads = True
    request_queue_size = 2 * MAX_CONNECTIONS

    def __init__(self, *arguments: Any) -> None:
        self._lock = threading.Lock()
        # The oldest first, with the peer's address.
        self._open: dict[Any, str] = {}
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            if len(self._open) >= MAX_CONNECTIONS:
                self._close_one()
            self._open[request] = client_address[0]
        super().process_request(request, client_address)

    def _close_one(self) -> None:
        [(peer, _)] = Counter(self._open.values()).most_common(1)
        oldest = next(connection for connection, found in self._open.items() if found == peer)
        del self._open[oldest]
        # Its thread wakes up, and ends.
        with contextlib.suppress(OSError):
            oldest.shutdown(socket.SHUT_RDWR)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A connection that breaks off is not logged: whoever connects could fill the log."""
        _LOG.debug("connection broken off", exc_info=True)

    def server_bind(self) -> None:
        if self.address_family is socket.AF_INET6:
            # IPv4 too; the default is the machine's (net.ipv6.bindv6only).
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # Not HTTPServer's, which asks DNS for the machine's name.
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]


class _ServerV6(_Server):
    address_family = socket.AF_INET6


def _parse(address: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found["port"]) > _MAX_PORT:
        raise AddressError(f"cannot serve on {address}: it is not host:port, [IPv6 address]:port, :port or 0")
    return found["v6"] or found["host"], int(found["port"])


def _listen(host: str, port: int, handler: type[BaseHTTPRequestHandler]) -> _Server:
    """Listen on a host's first address; on all addresses of both families for none, or of the one that there is."""
    if not host:
        try:
            return _ServerV6((_ALL_V6, port), handler)
        except OSError as error:
            if error.errno not in _NO_V6:
                raise
            return _Server((_ALL_V4, port), handler)
    family, _, _, _, found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return (_ServerV6 if family is socket.AF_INET6 else _Server)(found[:2], handler)


def _handler_for(pages: dict[str, Page]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _IDLE_S

        def do_GET(self) -> None:
            page = pages.get(self.path.partition("?")[0])
            status, kind, body = page() if page else (404, "text/plain", b"not found")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Probes are not logged."""

    return Handler
