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

import os
from pathlib import Path

from .binaries import find_binaries
from .processes import Child, get_free_port, plain_environment
from .store import Store, is_answered

_HEALTH = "/health"


class Versitygw(Store):
    """One store."""

    name = "versitygw"

    def __init__(self, folder: Path, *, is_tied: bool = True) -> None:
        super().__init__(folder, is_tied=is_tied)
        self._iam_port = get_free_port()
        self.iam_endpoint_url = f"http://127.0.0.1:{self._iam_port}"

    def _start(self) -> None:
        data, versions, users = (self.folder / name for name in ("data", "versions", "iam"))
        for folder in (data, versions, users):
            folder.mkdir(exist_ok=True)
        socket = str(self._sockets / "iam")
        self._run("iam", self._iam_port, [], ["iam", "--dir", str(users), "--private-ports", socket])
        store = ["posix", "--versioning-dir", str(versions), *self._sidecar(data), str(data)]
        self._run("s3", self._port, ["--iam-standalone-endpoint", socket], store)

    def _run(self, name: str, port: int, options: list[str], command: list[str]) -> None:
        """Start one process and wait until it answers."""
        program = [str(find_binaries(["versitygw"])["versitygw"]), "--quiet", "--health", _HEALTH]
        program += ["--port", f"127.0.0.1:{port}", "--region", self.region, *options, *command]
        # In the environment, because other users of the machine can read a process's arguments.
        keys = {"ROOT_ACCESS_KEY_ID": self._key_id, "ROOT_SECRET_ACCESS_KEY": self._secret_key}
        log = self.folder / f"versitygw-{name}.log"
        child = Child(program, log, {**plain_environment(), **keys}, is_tied=self._is_tied)
        self._children.append(child)
        child.wait_until(lambda: is_answered(f"http://127.0.0.1:{port}{_HEALTH}"), f"versitygw {name}")

    def _sidecar(self, data: Path) -> list[str]:
        """The option for a file system without extended attributes, where versitygw keeps its metadata in files."""
        try:
            os.setxattr(data, "user.s3-operator", b"probe")
        except (AttributeError, OSError):
            folder = self.folder / "metadata"
            folder.mkdir(exist_ok=True)
            return ["--sidecar", str(folder)]
        return []
