"""``make demo``: the operator at work on a Kubernetes and an AWS on this machine, a step a line.

At a terminal everything stays up afterwards until Ctrl-C; otherwise it ends by itself, and its exit
status tells whether every step did what it should.
"""

from __future__ import annotations

import base64
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .aws import Aws
from .binaries import find_binaries
from .cluster import install_crd
from .controlplane import ControlPlane
from .processes import Child, plain_environment

_PROJECT = Path(__file__).parents[1]
_WAIT_S = 120.0
_READY = ("minimal", "full", "go-operator", "bucket-only")


class DemoError(Exception):
    """A step did not do what it should."""


class Demo:
    """One demonstration in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = time.monotonic()
        self.plane = ControlPlane(folder / "kubernetes")
        self.aws = Aws(folder / "aws")
        self._operator: Child | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a user sets to talk to both."""
        return {**plain_environment(), **self.aws.env(), "KUBECONFIG": str(self.plane.kubeconfig)}

    def show(self) -> None:
        """All steps.

        :raises DemoError: naming the step
        """
        self._say("starting Kubernetes (etcd, kube-apiserver, kube-controller-manager)")
        self.plane.start()
        self._say("starting AWS (moto, with IAM enforced)")
        self.aws.start()
        self._say("installing the CRD")
        install_crd(self.plane.kubeconfig)
        self._say("starting the operator")
        self._start_operator()
        self._say(f"applying examples/: {', '.join(_READY)}")
        self._kubectl("apply", "-f", str(_PROJECT / "examples"))
        names = [f"s3/{name}" for name in _READY]
        self._kubectl("wait", "--for=condition=Ready", *names, f"--timeout={_WAIT_S:.0f}s")
        self._say("all are Ready: kubectl get s3")
        self._print(self._kubectl("get", "s3"))
        self._show_secret()
        self._show_bucket()
        self._use_bucket()
        self._show_repair()
        self._show_deletion()
        self._say("done: every step did what it should")

    def stop(self) -> None:
        """End everything that was started."""
        if self._operator:
            self._operator.stop()
        self.aws.stop()
        self.plane.stop()

    def _start_operator(self) -> None:
        command = [str(Path(sys.executable).parent / "s3-operator"), "run", "--iam-settle", "0", "--sync-period", "10"]
        command += ["--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"]
        log = self._folder / "operator.log"
        self._operator = Child(command, log, self.environment)
        self._operator.wait_until(lambda: '"leading"' in log.read_text(), "the operator")

    def _show_secret(self) -> None:
        self._say("the Secret minimal-iam-secret holds (names only):")
        self._print("\n".join(self._secret("minimal")))

    def _show_bucket(self) -> None:
        self._say("the bucket of full, as AWS reports it:")
        s3, name = self.aws.client("s3"), "s3-operator-example-full"
        report = {
            "region": s3.get_bucket_location(Bucket=name)["LocationConstraint"],
            "versioning": s3.get_bucket_versioning(Bucket=name).get("Status"),
            "public access block": s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"],
            "policy": [item["Sid"] for item in json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]],
            "tags": {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=name)["TagSet"]},
        }
        self._print("\n".join(f"{key}: {value}" for key, value in report.items()))
        self._check(report["versioning"] == "Enabled", "the bucket has versions")

    def _use_bucket(self) -> None:
        self._say("put and get an object with the Secret's credentials")
        secret, bucket = self._secret("minimal"), "s3-operator-example-minimal"
        tenant = self.aws.client(
            "s3",
            aws_access_key_id=secret["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret["AWS_SECRET_ACCESS_KEY"],
        )
        tenant.put_object(Bucket=bucket, Key="hello", Body=b"hello, world")
        body = tenant.get_object(Bucket=bucket, Key="hello")["Body"].read()
        self._print(f"hello -> {body.decode()}")
        self._check(body == b"hello, world", "the object is what was put")
        try:
            tenant.list_objects_v2(Bucket="s3-operator-example-full")
        except tenant.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
        else:
            code = "allowed"
        self._print(f"another bucket -> {code}")
        self._check(code == "AccessDenied", "another bucket is denied")

    def _show_repair(self) -> None:
        self._say("deleting a bucket behind the operator's back")
        s3, name = self.aws.client("s3"), "s3-operator-example-bucket-only"
        s3.delete_bucket(Bucket=name)
        self._wait(lambda: self._exists(name), "the bucket was made again at the next sync (here: 10 s)")
        self._say("the bucket was made again at the next sync (here: 10 s)")

    def _show_deletion(self) -> None:
        self._say("kubectl delete s3 minimal (its bucket is not empty)")
        self._kubectl("delete", "s3", "minimal", f"--timeout={_WAIT_S:.0f}s")
        left = self._kubectl("get", "secret,service", "-l", "agill.apps/s3=minimal", "-o", "name").split()
        users = [user["UserName"] for user in self.aws.client("iam").list_users()["Users"]]
        self._check(not left, "Secret and Service are gone")
        self._check("s3-operator-example-minimal" not in users, "the user is gone")
        self._check(not self._exists("s3-operator-example-minimal"), "the bucket is gone")
        self._say("bucket, objects, user, key, Secret and Service are gone")

    def _secret(self, name: str) -> dict[str, str]:
        data = json.loads(self._kubectl("get", "secret", f"{name}-iam-secret", "-o", "json"))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def _exists(self, bucket: str) -> bool:
        return bucket in [found["Name"] for found in self.aws.client("s3").list_buckets()["Buckets"]]

    def _kubectl(self, *arguments: str) -> str:
        command = [str(find_binaries()["kubectl"]), *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoError(f"kubectl {' '.join(arguments[:2])}: {done.stderr.strip()}")
        return done.stdout

    def _wait(self, check: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + _WAIT_S
        while not check():
            self._check(time.monotonic() < deadline, what)
            time.sleep(0.2)

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            raise DemoError(f"not so: {what}")

    def _say(self, line: str) -> None:
        print(f"[{time.monotonic() - self._started:6.1f} s] {line}", flush=True)

    def _print(self, text: str) -> None:
        print("\n".join(f"             {line}" for line in text.splitlines()), flush=True)


def main() -> int:
    """Show it; at a terminal stay until Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="s3-operator-demo-") as folder:
        demo = Demo(Path(folder))
        try:
            demo.show()
            if sys.stdin.isatty() and sys.stdout.isatty():
                _stay(demo)
        except DemoError as failure:
            print(f"FAILED: {failure}\n{_tail(Path(folder) / 'operator.log')}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nstopping", flush=True)
        finally:
            demo.stop()
    return 0


def _stay(demo: Demo) -> None:
    print("\nIt stays up until Ctrl-C. In another terminal:")
    for name in ("KUBECONFIG", "AWS_ENDPOINT_URL", "AWS_SHARED_CREDENTIALS_FILE", "AWS_DEFAULT_REGION"):
        print(f"  export {name}={demo.environment[name]}")
    print("  kubectl get s3", flush=True)
    signal.pause()


def _tail(path: Path) -> str:
    return path.read_text()[-3000:] if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
