"""SeaweedFS on this machine: S3 and IAM that are independent of moto and of versitygw, with all their data in a folder.

One process with one endpoint. What IAM has (``weed/s3api/s3api_embedded_iam.go`` of its source):

- users, with tags that TagUser and UntagUser write and only ListUserTags returns. CreateUser ignores tags and paths;
- access keys, without their last use, and inline policies, which S3 and IAM enforce at once. So an operator may have a
  user with only the rights that it needs;
- managed policies and groups. Roles and STS need a configuration (``-s3.iam.config``). Without one STS answers 503, and
  requests for roles answer 500.

With its defaults IAM only reads, and each user may create keys for itself. Two options change that.

In S3, CreateBucket ignores tags, and no request compares ExpectedBucketOwner. The owner of a bucket is the identity
that created it.
"""

from __future__ import annotations

import json

from .binaries import find_binaries
from .processes import Child, get_free_port, plain_environment
from .store import Store, is_answered

_PROGRAM = "weed"
_OPTIONS = {
    # It sends statistics by default.
    "master.telemetry": "false",
    # A bucket has volumes of its own, which are made in advance.
    "master.volumeSizeLimitMB": "16",
    "volume.max": "0",
    "s3": "true",
    "s3.iam.readOnly": "false",
    "s3.iam.selfServiceRequiresGrant": "true",
    # Catalogs, which nothing here uses.
    "s3.port.iceberg": "0",
    "s3.port.lance": "0",
}


class Seaweedfs(Store):
    """One store."""

    name = "seaweedfs"
    account = "000000000000"

    def _start(self) -> None:
        data, users = self.folder / "data", self.folder / "s3.json"
        data.mkdir(exist_ok=True)
        # Not in the arguments, because other users of the machine can read them.
        key = {"accessKey": self._key_id, "secretKey": self._secret_key}
        users.touch(mode=0o600)
        users.write_text(json.dumps({"identities": [{"name": "admin", "credentials": [key], "actions": ["Admin"]}]}))
        options = {
            **_OPTIONS,
            **self._addresses(),
            "dir": str(data),
            "s3.config": str(users),
            "s3.localSocket": str(self._sockets / "s3"),
            "filer.localSocket": str(self._sockets / "filer"),
        }
        arguments = [f"-{name}={value}" for name, value in options.items()]
        program = [str(find_binaries([_PROGRAM])[_PROGRAM]), "-logtostderr=true", "server", *arguments]
        child = Child(program, self.folder / "seaweedfs.log", plain_environment(), is_tied=self._is_tied)
        self._children.append(child)
        child.wait_until(lambda: is_answered(f"{self.endpoint_url}/healthz"), "SeaweedFS")

    def _addresses(self) -> dict[str, str]:
        """Everything listens on the loopback address, at ports that are free."""
        names = ("master.port", "volume.port", "filer.port", "s3.port")
        ports = {name: str(get_free_port()) for one in names for name in (one, f"{one}.grpc")}
        return {"ip": "127.0.0.1", "ip.bind": "127.0.0.1", **ports, "s3.port": str(self._port)}
