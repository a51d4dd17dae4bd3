"""A gate in front of the API server: passes requests on, records them, and holds writes as the one of AWS does.

HTTP on loopback, or HTTPS with the API server's own certificate, in threads of this process. Streams, so that watches
work through it.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import yaml
from werkzeug.serving import WSGIRequestHandler, make_server

from dev.awsgate.holds import Holds

_READS = ("GET", "HEAD", "OPTIONS")
_CHUNK = 64 * 1024
# https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1: what is about one connection only.
_HOP_BY_HOP = ("connection", "keep-alive", "transfer-encoding", "content-length", "host")


@dataclass(frozen=True)
class ApiRequest:
    """One request that the API server answered. A dry run is no write."""

    action: str
    namespace: str
    is_write: bool
    status: int


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *_: Any) -> None:
        """Nothing."""


class ApiGate:
    """A context manager; ``kubeconfig`` names this gate in place of the API server.

    Actions are the method and the kind's plural, with its subresource: ``PATCH s3s/status``. They are about the
    namespace.

    :param is_tls: serve HTTPS with the API server's certificate, so that the CA file of one is that of the other
    """

    def __init__(self, kubeconfig: Path, folder: Path, *, is_tls: bool = False) -> None:
        self.holds = Holds()
        self._lock = threading.Lock()
        self._requests: list[ApiRequest] = []
        self._sockets: set[socket.socket] = set()
        self.kubeconfig = folder / "kubeconfig-gate"
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._address = urlsplit(cluster["server"]).netloc
        certificate = cluster["certificate-authority"] if is_tls else cluster.pop("certificate-authority")
        self._context = ssl.create_default_context(cafile=certificate)
        pair = (certificate, str(Path(certificate).with_suffix(".key"))) if is_tls else None
        self._server = make_server(
            "127.0.0.1", 0, self._pass, threaded=True, request_handler=_QuietHandler, ssl_context=pair
        )
        # Threads that wait for a watch must not keep the process.
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        self.url = f"{'https' if is_tls else 'http'}://127.0.0.1:{self._server.port}"
        cluster["server"] = self.url
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def requests(self) -> list[ApiRequest]:
        """The requests since the last clear, in the order of their answers."""
        with self._lock:
            return list(self._requests)

    def clear_requests(self) -> None:
        """Forget the requests."""
        with self._lock:
            self._requests.clear()

    def __enter__(self) -> ApiGate:
        threading.Thread(target=self._server.serve_forever, name="api-gate", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.holds.disarm()
        self._server.shutdown()
        self._server.socket.close()
        # Watches without readers would keep the API server from ending.
        for open_socket in list(self._sockets):
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)

    def _pass(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        namespace, kind = _what_of(environ["PATH_INFO"])
        action = f"{environ['REQUEST_METHOD']} {kind}"
        is_write = environ["REQUEST_METHOD"] not in _READS and "dryRun=All" not in environ.get("QUERY_STRING", "")
        when = self.holds.find(action, {namespace}) if is_write else ""
        if when == "before" and self.holds.stay(action):
            start_response("500 Dropped", [])
            return
        connection, answer = self._ask(environ)
        with self._lock:
            self._requests.append(ApiRequest(action, namespace, is_write, answer.status))
        used = connection.sock
        self._sockets.add(used)
        try:
            if when == "after":
                self.holds.stay(action)
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP]
            start_response(f"{answer.status} {answer.reason}", kept)
            # An answer that breaks off is one that ends: what it lacks its reader notices.
            with contextlib.suppress(http.client.IncompleteRead, OSError):
                while part := answer.read1(_CHUNK):
                    yield part
        finally:
            self._sockets.discard(used)
            connection.close()

    def _ask(self, environ: dict[str, Any]) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPSConnection(self._address, context=self._context)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        headers = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
        if environ.get("CONTENT_TYPE"):
            headers["Content-Type"] = environ["CONTENT_TYPE"]
        connection.request(environ["REQUEST_METHOD"], environ["REQUEST_URI"], body or None, headers)
        return connection, connection.getresponse()


def _what_of(path: str) -> tuple[str, str]:
    """Namespace and kind: ``/api/v1/namespaces/team/secrets/photos`` is team and secrets."""
    _, is_namespaced, rest = path.partition("/namespaces/")
    namespace, _, rest = rest.partition("/")
    kind, _, rest = rest.partition("/")
    subresource = rest.partition("/")[2]
    return (namespace, f"{kind}/{subresource}" if subresource else kind) if is_namespaced else ("", path)
