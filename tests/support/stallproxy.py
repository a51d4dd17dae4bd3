"""A TCP proxy with connections that can stall: they stay open, but no data passes.

A firewall that lost its state behaves like this. While it stalls, it still accepts new connections and passes none of
their data. It runs in threads of this process.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from types import TracebackType
from urllib.parse import urlsplit

import yaml

_CHUNK = 64 * 1024


class StallProxy:
    """A context manager. ``kubeconfig`` names this proxy instead of the API server.

    :param folder: directory for the kubeconfig
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        server = urlsplit(cluster["server"])
        self._target = (str(server.hostname), int(server.port or 443))
        self._passes = threading.Event()
        self._passes.set()
        self._is_over = threading.Event()
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        cluster["server"] = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self.kubeconfig = folder / "kubeconfig-stall"
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def __enter__(self) -> StallProxy:
        threading.Thread(target=self._accept, name="stall-proxy", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._is_over.set()
        self._passes.set()
        for open_socket in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                open_socket.shutdown(socket.SHUT_RDWR)
            open_socket.close()

    def stall(self) -> None:
        """Stop passing data."""
        self._passes.clear()

    def pass_again(self) -> None:
        """Pass data again, including what is waiting."""
        self._passes.set()

    def _accept(self) -> None:
        while not self._is_over.is_set():
            try:
                near = self._listener.accept()[0]
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._sockets += [near, far]
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(_CHUNK):
                self._passes.wait()
                if self._is_over.is_set():
                    return
                target.sendall(part)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
