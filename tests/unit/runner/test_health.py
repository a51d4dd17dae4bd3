"""The addresses of health and metrics: both address families, or the only one of the machine."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from runner.control.health import MAX_CONNECTIONS, AddressError, check_page, kept_page, serve


@contextmanager
def served(address: str) -> Iterator[ThreadingHTTPServer]:
    server = serve(address, {"/healthz": check_page(lambda: "")})
    assert server is not None
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def answers(server: ThreadingHTTPServer, host: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://{host}:{server.server_port}/healthz", timeout=10) as answer:
            return bool(answer.read() == b"ok")
    except urllib.error.URLError:
        return False


@pytest.mark.parametrize(
    ("address", "families"),
    [
        (":0", {4, 6}),
        ("[::]:0", {4, 6}),
        ("[::1]:0", {6}),
        ("127.0.0.1:0", {4}),
        ("0.0.0.0:0", {4}),
        ("localhost:0", {4, 6}),
    ],
)
def test_address_answers_on_its_families(address: str, families: set[int]) -> None:
    with served(address) as server:
        found = {family for family, host in ((4, "127.0.0.1"), (6, "[::1]")) if answers(server, host)}
    # A name resolves to one address, so only one family is served.
    assert found == families if address != "localhost:0" else found and found <= families


def test_peer_that_opens_many_connections_and_sends_nothing_keeps_no_probe_out() -> None:
    """Each connection used to be a thread, as long as the peer kept it open. Memory and file descriptors ran out."""
    number = 4 * MAX_CONNECTIONS
    with served("127.0.0.1:0") as server, contextlib.ExitStack() as stack:
        before = threading.active_count()
        address = ("127.0.0.1", server.server_port)
        for _ in range(number):
            stack.enter_context(socket.create_connection(address, timeout=10)).sendall(b"GET /healthz HTTP/1.1\r\n")
        # By now the server has accepted all of them.
        assert answers(server, "127.0.0.1")
        # Earlier than the time-out of a connection that sends nothing.
        deadline = time.monotonic() + 6
        while threading.active_count() - before > MAX_CONNECTIONS and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        assert threading.active_count() - before <= MAX_CONNECTIONS


def test_connection_of_another_peer_is_left_open() -> None:
    """The tenant's Pod has many connections. The kubelet has one, which is older than all of them."""
    with served("0.0.0.0:0") as server, contextlib.ExitStack() as stack:
        address = ("127.0.0.1", server.server_port)
        probe = stack.enter_context(socket.create_connection(address, timeout=10, source_address=("127.0.0.2", 0)))
        for _ in range(2 * MAX_CONNECTIONS):
            stack.enter_context(socket.create_connection(address, timeout=10))
        assert answers(server, "127.0.0.1")
        probe.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert probe.makefile("rb").read().endswith(b"ok")


def test_kept_page_is_made_once_in_its_time() -> None:
    now, made = [0.0], []

    def page() -> tuple[int, str, bytes]:
        made.append(now[0])
        return 200, "text/plain", str(len(made)).encode()

    kept = kept_page(page, 1.0, lambda: now[0])
    found = []
    for at in (0.0, 0.9, 1.0, 1.5, 3.0):
        now[0] = at
        found.append(kept()[2])
    assert found == [b"1", b"1", b"2", b"2", b"3"]


def test_connection_that_breaks_off_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with served("127.0.0.1:0") as server:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as connection:
                # Close the connection with a reset.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(b"GET /healthz HTTP/1.1\r\n")
        assert answers(server, "127.0.0.1")
        deadline = time.monotonic() + 30
        while any("process_request" in thread.name for thread in threading.enumerate()) and time.monotonic() < deadline:
            threading.Event().wait(0.01)
    assert capfd.readouterr().err == ""


# A network namespace acts as a separate machine. Without root, a user namespace permits creating one.
_OWN_NETWORK = ("unshare", "--net") if os.geteuid() == 0 else ("unshare", "--map-root-user", "--net")
_IPV4_ONLY = """
import fcntl, pathlib, socket, struct, urllib.request
from runner.control.health import check_page, serve

for name in ("all", "default", "lo"):
    pathlib.Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
    # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING: the loopback of a new namespace is down.
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x41))
server = serve(":0", {"/healthz": check_page(lambda: "")})
try:
    socket.create_server(("::1", 0), family=socket.AF_INET6)
except OSError:
    print(urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/healthz", timeout=10).read().decode())
"""


def test_machine_with_ipv6_turned_off_serves_on_ipv4() -> None:
    done = subprocess.run(
        [*_OWN_NETWORK, sys.executable, "-c", _IPV4_ONLY], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "ok\n", done.stderr


def test_kernel_without_ipv6_serves_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a kernel that was booted with ipv6.disable=1 answers like this."""
    stock = socket.socket

    def make(family: int = -1, *arguments: Any, **more: Any) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6")
        return stock(family, *arguments, **more)

    monkeypatch.setattr(socket, "socket", make)
    with served(":0") as server:
        monkeypatch.undo()
        assert answers(server, "127.0.0.1")


def test_address_in_use_is_an_error_and_no_reason_for_the_other_family() -> None:
    with served(":0") as server, pytest.raises(AddressError, match="Address already in use"):
        serve(f":{server.server_port}", {})


@pytest.mark.parametrize("address", ["", "0"])
def test_nowhere_serves_nothing(address: str) -> None:
    assert serve(address, {}) is None


@pytest.mark.parametrize(
    "address", ["8081", "::1:8081", "[::1]", "[::1]8081", "localhost:http", ":70000", "[x]:1", ":"]
)
def test_text_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(AddressError, match="it is not host:port"):
        serve(address, {})
