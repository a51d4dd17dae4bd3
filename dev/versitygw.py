"""versitygw on this machine: an S3 implementation that is independent of moto, with its data in a folder.

Only its S3 process runs. The key of its administrator is generated at each start. It has neither IAM nor STS; its other
accounts have the rights that the policies of buckets give them.
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
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from .binaries import find_binaries
from .processes import Child, get_free_port, plain_environment

_HEALTH = "/health"
_PROBE_TIMEOUT_S = 2.0
_ADMIN_TIMEOUT_S = 10.0


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
        data, versions, accounts = (self.folder / name for name in ("data", "versions", "accounts"))
        for folder in (data, versions, accounts):
            folder.mkdir(parents=True, exist_ok=True)
        command = [str(find_binaries(["versitygw"])["versitygw"]), "--quiet", "--health", _HEALTH]
        command += ["--port", f"127.0.0.1:{self._port}", "--region", self.region]
        command += ["--iam-dir", str(accounts)]
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
        """A boto3 client of the administrator."""
        return self._client_of(self._key_id, self._secret_key, service)

    def create_account(self, name: str) -> Any:
        """Create an account without rights; its name is the id of its key. Return its boto3 client of S3.

        https://github.com/versity/versitygw/wiki/Admin-APIs
        """
        secret = secrets.token_hex(20)
        fields = {"Access": name, "Secret": secret, "Role": "user", "UserID": 0, "GroupID": 0}
        body = "".join(f"<{field}>{value}</{field}>" for field, value in fields.items())
        request = AWSRequest("PATCH", f"{self.endpoint_url}/create-user", data=f"<Account>{body}</Account>".encode())
        S3SigV4Auth(Credentials(self._key_id, self._secret_key), "s3", self.region).add_auth(request)
        sent = urllib.request.Request(
            request.url, data=request.data, headers=dict(request.headers.items()), method=request.method
        )
        with urllib.request.urlopen(sent, timeout=_ADMIN_TIMEOUT_S):
            return self._client_of(name, secret)

    def _client_of(self, key_id: str, secret_key: str, service: str = "s3") -> Any:
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url,
            region_name=self.region,
            aws_access_key_id=key_id,
            aws_secret_access_key=secret_key,
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
