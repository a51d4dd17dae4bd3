"""versitygw on this machine: S3, IAM and STS that are independent of moto, with all their data in a folder.

Two processes: one for IAM and STS, one for S3, which asks the first one about keys and policies through a socket. The
key of the administrator is generated at each start.

What IAM and STS of versitygw 1.8.0 have (``iamapi/router.go`` of its source):

- users with paths, and with tags that CreateUser, TagUser and UntagUser write. GetUser and ListUsers return them;
- two access keys of a user, with their last use, and inline policies, which S3 and IAM enforce at once. So an operator
  may have a user with only the rights that it needs;
- roles with inline policies, and identity providers (OIDC);
- GetCallerIdentity, which always answers with the account 000000000000, and AssumeRoleWithWebIdentity.

It has no managed policies, groups, login profiles, multi-factor devices and instance profiles, and no
GetAccountAuthorizationDetails: these actions answer InvalidAction. CreateUser ignores a permissions boundary.

In S3 all buckets belong to the administrator, whoever creates them. The owner's id, which ListBuckets returns and
ExpectedBucketOwner must be equal to, is the id of the administrator's key. CreateBucket takes tags, and knows no region
but ``us-east-1``, for which there may be no LocationConstraint.
"""

from __future__ import annotations

import json
import os
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
from .binaries import find_binaries
from .processes import Child, get_free_port, plain_environment

_HEALTH = "/health"
_PROBE_TIMEOUT_S = 2.0
_BY_PATH = "s3 =\n    addressing_style = path\n"


class Versitygw:
    """One store. Started by :meth:`start`, ended by :meth:`stop`; also a context manager.

    :param is_tied: whether it ends with this process
    """

    region = "us-east-1"

    def __init__(self, folder: Path, *, is_tied: bool = True) -> None:
        self.folder = folder
        self.credentials_file = folder / "credentials"
        self._is_tied = is_tied
        self._key_id, self._secret_key = secrets.token_hex(10), secrets.token_hex(20)
        self._port, self._iam_port = get_free_port(), get_free_port()
        self.endpoint_url = f"http://127.0.0.1:{self._port}"
        self.iam_endpoint_url = f"http://127.0.0.1:{self._iam_port}"
        # Not in the folder: the path of a socket has at most 107 characters.
        self._sockets = Path()
        self._children: list[Child] = []

    def __enter__(self) -> Versitygw:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pids(self) -> list[int]:
        """The processes, for a later run to end."""
        return [child.process.pid for child in self._children]

    def start(self) -> None:
        """Start both processes and wait until they answer."""
        data, versions, users = (self.folder / name for name in ("data", "versions", "iam"))
        for folder in (data, versions, users):
            folder.mkdir(parents=True, exist_ok=True)
        write_key(self.credentials_file, self._key_id, self._secret_key)
        (self.folder / "config").write_text(f"[default]\n{_BY_PATH}")
        self._sockets = Path(tempfile.mkdtemp(prefix="versitygw-"))
        socket = str(self._sockets / "iam")
        self._run("iam", self._iam_port, [], ["iam", "--dir", str(users), "--private-ports", socket])
        store = ["posix", "--versioning-dir", str(versions), *self._sidecar(data), str(data)]
        self._run("s3", self._port, ["--iam-standalone-endpoint", socket], store)

    def stop(self) -> None:
        """End it."""
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

    def _run(self, name: str, port: int, options: list[str], command: list[str]) -> None:
        """Start one process and wait until it answers."""
        program = [str(find_binaries(["versitygw"])["versitygw"]), "--quiet", "--health", _HEALTH]
        program += ["--port", f"127.0.0.1:{port}", "--region", self.region, *options, *command]
        # In the environment, because other users of the machine can read a process's arguments.
        keys = {"ROOT_ACCESS_KEY_ID": self._key_id, "ROOT_SECRET_ACCESS_KEY": self._secret_key}
        log = self.folder / f"versitygw-{name}.log"
        child = Child(program, log, {**plain_environment(), **keys}, is_tied=self._is_tied)
        self._children.append(child)
        child.wait_until(lambda: _is_ready(port), f"versitygw {name}")

    def _sidecar(self, data: Path) -> list[str]:
        """The option for a file system without extended attributes, where versitygw keeps its metadata in files."""
        try:
            os.setxattr(data, "user.s3-operator", b"probe")
        except (AttributeError, OSError):
            folder = self.folder / "metadata"
            folder.mkdir(exist_ok=True)
            return ["--sidecar", str(folder)]
        return []


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{_HEALTH}", timeout=_PROBE_TIMEOUT_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
