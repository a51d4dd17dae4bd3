"""Where health and metrics are served: on both address families, or on the one that the machine has."""

from __future__ import annotations

import errno
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from typing import Any

import pytest

from runner.health import AddressError, check_page, serve


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
    # A name stands for one address.
    assert found == families if address != "localhost:0" else found and found <= families


@pytest.mark.parametrize("error", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL], ids=["no-ipv6", "ipv6-off"])
def test_machine_without_ipv6_serves_on_ipv4(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    stock = socket.socket

    def make(family: int = -1, *arguments: Any, **more: Any) -> socket.socket:
        # As a kernel booted with ipv6.disable=1 answers, or one whose interfaces have none.
        if family == socket.AF_INET6:
            raise OSError(error, "no IPv6")
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
