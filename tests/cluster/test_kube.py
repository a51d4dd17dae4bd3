"""A watch whose server falls silent is given up: a half-open connection is noticed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from kubernetes import client

from runner import kube
from runner.kube import Kube, KubeError


@pytest.fixture
def silent_server() -> Iterator[str]:
    """Answers a watch with headers and then says nothing, with the connection open, until the test ends."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.flush()
            over.wait()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def test_silent_watch_is_an_error(silent_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube, "_WATCH_SILENCE_S", (1, 0.5))
    default = client.Configuration.get_default_copy()
    client.Configuration.set_default(client.Configuration(host=silent_server))
    try:
        silent = Kube()
    finally:
        client.Configuration.set_default(default)
    with pytest.raises(KubeError, match="failed to watch"):
        next(silent.watch_objects(None, "1"))
