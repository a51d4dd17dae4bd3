"""AWS on this machine: moto as an HTTP server with IAM enforced, and the gate that follows AWS where moto does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import boto3

from dev.awsgate.client import Gate

from .processes import Child, get_free_port, plain_environment

_PROJECT = Path(__file__).parents[1]


class Aws:
    """One AWS account. Started by :meth:`start`, ended by :meth:`stop`; also a context manager.

    :param account: its number, where it must differ from that of another one; moto's own by default
    """

    region = "us-east-1"

    def __init__(self, folder: Path, *, is_tied: bool = True, host: str = "127.0.0.1", account: str = "") -> None:
        self.folder = folder
        self._account = account
        self.credentials_file = folder / "credentials"
        self._is_tied = is_tied
        self._port = get_free_port()
        self._host = host
        self.endpoint_url = f"http://{f'[{host}]' if ':' in host else host}:{self._port}"
        self.gate = Gate(self.endpoint_url)
        self._child: Child | None = None

    def __enter__(self) -> Aws:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The processes, for a later run to end."""
        return [self._child.process.pid] if self._child else []

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "dev.awsgate", "--host", self._host, "--port", str(self._port)]
        command += ["--credentials-file", str(self.credentials_file), "--region", self.region]
        environment = {**plain_environment(), "PYTHONPATH": str(_PROJECT)}
        environment |= {"MOTO_ACCOUNT_ID": self._account} if self._account else {}
        self._child = Child(command, self.folder / "aws.log", environment, is_tied=self._is_tied)
        self._child.wait_until(self.gate.is_ready, "AWS")

    def stop(self) -> None:
        """End it."""
        if self._child:
            self._child.stop()
            self._child = None

    def env(self) -> dict[str, str]:
        """What a client needs in its environment: no keys."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials_file),
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self, service: str, **settings: Any) -> Any:
        """A boto3 client: the administrator's unless other keys are given."""
        if "aws_access_key_id" not in settings:
            key_id, secret = self.admin_key()
            settings |= {"aws_access_key_id": key_id, "aws_secret_access_key": secret}
        settings.setdefault("region_name", self.region)
        return boto3.client(service, endpoint_url=self.endpoint_url, **settings)

    def admin_key(self) -> tuple[str, str]:
        """The administrator's key id and secret access key."""
        return admin_key_in(self.credentials_file)


def admin_key_in(credentials_file: Path) -> tuple[str, str]:
    """The key id and secret access key of a credentials file with one profile."""
    lines = credentials_file.read_text().splitlines()
    found = {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in lines)}
    return found["aws_access_key_id"], found["aws_secret_access_key"]
