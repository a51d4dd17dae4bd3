"""An S3-compatible store on this machine, with its data in a folder: what versitygw and SeaweedFS have in common."""

from __future__ import annotations

import json
import secrets
import shutil
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import botocore.config

from .awsgate.client import write_key
from .processes import Child, get_free_port

_PROBE_TIMEOUT_S = 2.0
_BY_PATH = "s3 =\n    addressing_style = path\n"


class Store:
    """One store. Started by :meth:`start`, ended by :meth:`stop`; also a context manager.

    The key of the administrator is generated at each start.

    :cvar name: of the product
    :cvar account: the account that its user must set; empty where the STS of the store returns it
    :param is_tied: whether it ends with this process
    """

    name = ""
    region = "us-east-1"
    account = ""

    def __init__(self, folder: Path, *, is_tied: bool = True) -> None:
        self.folder = folder
        self.credentials_file = folder / "credentials"
        self._is_tied = is_tied
        self._key_id, self._secret_key = secrets.token_hex(10), secrets.token_hex(20)
        self._port = get_free_port()
        self.endpoint_url = self.iam_endpoint_url = f"http://127.0.0.1:{self._port}"
        # Not in the folder: the path of a socket has at most 107 characters.
        self._sockets = Path()
        self._children: list[Child] = []

    def __enter__(self) -> Store:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The processes, for a later run to end."""
        return [child.process.pid for child in self._children]

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_key(self.credentials_file, self._key_id, self._secret_key)
        (self.folder / "config").write_text(f"[default]\n{_BY_PATH}")
        self._sockets = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._start()

    def _start(self) -> None:
        """Start its processes."""
        raise NotImplementedError

    def stop(self) -> None:
        """End it. What it has stays in its folder."""
        for child in reversed(self._children):
            child.stop()
        self._children.clear()
        if self._sockets.name:
            shutil.rmtree(self._sockets, ignore_errors=True)
            self._sockets = Path()

    def env(self) -> dict[str, str]:
        """What a client needs in its environment: no keys."""
        return {
            "AWS_ENDPOINT_URL_S3": self.endpoint_url,
            "AWS_ENDPOINT_URL_IAM": self.iam_endpoint_url,
            "AWS_ENDPOINT_URL_STS": self.iam_endpoint_url,
            "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials_file),
            "AWS_CONFIG_FILE": str(self.folder / "config"),
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def settings(self) -> dict[str, str]:
        """What an operator of this store needs in its environment beside that."""
        return {"PROVIDER": "Other", **({"ACCOUNT_ID": self.account} if self.account else {})}

    def client(self, service: str = "s3", **settings: Any) -> Any:
        """A boto3 client: the administrator's unless other keys are given."""
        settings.setdefault("aws_access_key_id", self._key_id)
        settings.setdefault("aws_secret_access_key", self._secret_key)
        settings.setdefault("region_name", self.region)
        return boto3.client(
            service,
            endpoint_url=self.endpoint_url if service == "s3" else self.iam_endpoint_url,
            config=botocore.config.Config(s3={"addressing_style": "path"}),
            **settings,
        )

    def admin_key(self) -> tuple[str, str]:
        """The administrator's key id and secret access key."""
        return self._key_id, self._secret_key

    def create_user(self, name: str, policy: dict[str, Any] | None = None) -> dict[str, str]:
        """Create an IAM user, with or without a policy. Return its access key, as the arguments of :meth:`client`."""
        iam = self.client("iam")
        iam.create_user(UserName=name)
        if policy:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def is_answered(url: str) -> bool:
    """Whether a GET of the URL is answered with success."""
    try:
        with urllib.request.urlopen(url, timeout=_PROBE_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
