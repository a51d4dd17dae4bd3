"""Runs the role in processes that do not pause between retries and have no network.

Retries happen as often as always. Only the pauses between the retries of botocore and amazon.aws, minutes in total,
are cut to a hundredth of a second. AWS's own host names lead nowhere: those of an unknown region do not resolve, and
all others resolve to an address where nothing listens.
"""

from __future__ import annotations

from typing import Any

from tests.support.world import World

_SITECUSTOMIZE = """
import socket
import time

_sleep, _getaddrinfo = time.sleep, socket.getaddrinfo


def getaddrinfo(host, *arguments, **more):
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name.endswith(("amazonaws.com", "amazonaws.com.cn")):
        if "nowhere" in name:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        host = "127.0.0.1"
    return _getaddrinfo(host, *arguments, **more)


time.sleep = lambda seconds: _sleep(min(seconds, 0.01))
socket.getaddrinfo = getaddrinfo
"""
NO_ENDPOINT = {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}


class HastyWorld(World):
    """A world with role runs that are changed in this way."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        (self.folder / "sitecustomize.py").write_text(_SITECUSTOMIZE)

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(PYTHONPATH=str(self.folder), **more)
