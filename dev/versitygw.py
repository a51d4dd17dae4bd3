"""versitygw on this machine: an S3 implementation that is independent of moto, with its data in a folder.

Only its S3 process runs, with one account, whose key is generated at each start. It has neither IAM nor STS.
"""

from __future__ import annotations

import os
import secrets
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from .binaries import find_binaries
from .processes import Child, get_free_port, plain_environment

_HEALTH = "/health"
_PROBE_TIMEOUT_S = 2.0


class Versitygw:
    """One store. Started by :meth:`start`, ended by :meth:`stop`; also a context manager."""

    region = "us-east-1"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key_id, self._secret_key = secrets.token_hex(10), secrets.token_hex(20)
        self._port = get_free_port()
        self.endpoint_url = f"http://127.0.0.1:{self._port}"
        self._child: Child | None = None

    def __enter__(self) -> Versitygw:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it answers."""
        data, versions = self.folder / "data", self.folder / "versions"
        for folder in (data, versions):
            folder.mkdir(parents=True, exist_ok=True)
        command = [str(find_binaries(["versitygw"])["versitygw"]), "--quiet", "--health", _HEALTH]
        command += ["--port", f"127.0.0.1:{self._port}", "--region", self.region]
        command += ["posix", "--versioning-dir", str(versions), *self._sidecar(data), str(data)]
        # In the environment, because other users of the machine can read a process's arguments.
        keys = {"ROOT_ACCESS_KEY_ID": self._key_id, "ROOT_SECRET_ACCESS_KEY": self._secret_key}
        self._child = Child(command, self.folder / "versitygw.log", {**plain_environment(), **keys})
        self._child.wait_until(self._is_ready, "versitygw")

    def stop(self) -> None:
        """End it."""
        if self._child:
            self._child.stop()
            self._child = None

    def client(self, service: str = "s3") -> Any:
        """A boto3 client with the store's only account."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=self._key_id,
            aws_secret_access_key=self._secret_key,
            config=botocore.config.Config(s3={"addressing_style": "path"}),
        )

    def _sidecar(self, data: Path) -> list[str]:
        """The option for a file system without extended attributes, where versitygw keeps its metadata in files."""
        try:
            os.setxattr(data, "user.s3-operator", b"probe")
        except (AttributeError, OSError):
            folder = self.folder / "metadata"
            folder.mkdir(exist_ok=True)
            return ["--sidecar", str(folder)]
        return []

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.endpoint_url + _HEALTH, timeout=_PROBE_TIMEOUT_S) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False
