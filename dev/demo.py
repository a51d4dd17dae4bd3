"""``make demo``: the operator at work on a Kubernetes and an AWS on this machine, a step a line.

With ``STORE=versitygw`` it is an S3-compatible store that keeps its data in a folder, in place of AWS.

At a terminal everything stays up afterwards until Ctrl-C; otherwise it ends by itself, and its exit
status is 0 only if every step did what it should. `make recording` shows a run of it as docs/demo.svg.
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
from typing import Any, Protocol

import yaml

from .aws import Aws
from .binaries import find_binaries
from .cluster import install_crd
from .controlplane import ControlPlane
from .processes import Child, plain_environment
from .versitygw import Versitygw

_PROJECT = Path(__file__).parents[1]
_WAIT_S = 120.0
_READY = ("minimal", "full", "go-operator", "bucket-only")


class DemoError(Exception):
    """A step did not do what it should."""


class Place(Protocol):
    """Where the buckets are."""

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """End it."""

    def env(self) -> dict[str, str]:
        """What a client needs in its environment."""

    def client(self, service: str, **settings: Any) -> Any:
        """A boto3 client."""


class Demo:
    """One demonstration in a temporary folder."""

    name, short_name = "AWS (moto, with IAM enforced)", "AWS"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = time.monotonic()
        self.plane = ControlPlane(folder / "kubernetes")
        self.aws = self._make_place(folder)
        self._operator: Child | None = None

    def _make_place(self, folder: Path) -> Place:
        return Aws(folder / "aws")

    @property
    def connection(self) -> dict[str, str]:
        """What a user sets to talk to both, and the operator to work with them."""
        return {**self.aws.env(), "KUBECONFIG": str(self.plane.kubeconfig)}

    @property
    def environment(self) -> dict[str, str]:
        """The environment of all programs."""
        return {**plain_environment(), **self.connection}

    def show(self) -> None:
        """All steps.

        :raises DemoError: naming the step
        """
        self._step("starting Kubernetes (etcd, kube-apiserver, kube-controller-manager)")
        self.plane.start()
        self._step(f"starting {self.name}")
        self.aws.start()
        self._step("installing the CRD")
        install_crd(self.plane.kubeconfig)
        self._step("starting the operator")
        self._start_operator()
        self._step(f"applying examples/: {', '.join(_READY)}")
        self._kubectl("apply", "-f", str(self._find_examples()))
        names = [f"s3/{name}" for name in _READY]
        self._kubectl("wait", "--for=condition=Ready", *names, f"--timeout={_WAIT_S:.0f}s")
        self._step("all are Ready")
        self._print("$ kubectl get s3\n" + self._kubectl("get", "s3"))
        self._show_secret()
        self._show_bucket()
        self._use_bucket()
        self._show_repair()
        self._show_deletion()
        self._show_end()
        self._step("done: every step did what it should")

    def stop(self) -> None:
        """End everything that was started."""
        if self._operator:
            self._operator.stop()
        self.aws.stop()
        self.plane.stop()

    def _find_examples(self) -> Path:
        return _PROJECT / "examples"

    def _show_end(self) -> None:
        """Show what is special about this place."""

    def _start_operator(self) -> None:
        command = [str(Path(sys.executable).parent / "s3-operator"), "run", "--iam-settle", "0", "--sync-period", "10"]
        command += ["--metrics-bind-address", "127.0.0.1:0", "--health-probe-bind-address", "127.0.0.1:0"]
        log = self._folder / "operator.log"
        self._operator = Child(command, log, self.environment)
        self._operator.wait_until(lambda: '"leading"' in log.read_text(), "the operator")

    def _show_secret(self) -> None:
        self._step("the user's access key is in a Secret, to be used with envFrom")
        self._print(f"minimal-iam-secret: {', '.join(self._secret('minimal'))}")

    def _show_bucket(self) -> None:
        self._step(f"the bucket of full, as {self.short_name} reports it")
        s3, name = self.aws.client("s3"), "s3-operator-example-full"
        report = {
            "region": s3.get_bucket_location(Bucket=name)["LocationConstraint"] or "us-east-1",
            "versioning": s3.get_bucket_versioning(Bucket=name).get("Status"),
            **self._access_of(name),
            "policy": [item["Sid"] for item in json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]],
            "tags": [f"{tag['Key']}={tag['Value']}" for tag in s3.get_bucket_tagging(Bucket=name)["TagSet"]],
        }
        self._print("\n".join(f"{key + ':':15}{_shown(value)}" for key, value in report.items()))
        self._check(report["versioning"] == "Enabled", "the bucket has versions")

    def _access_of(self, bucket: str) -> dict[str, str]:
        answer = self.aws.client("s3").get_public_access_block(Bucket=bucket)
        is_blocked = all(answer["PublicAccessBlockConfiguration"].values())
        return {"public access": "blocked" if is_blocked else "partly blocked"}

    def _use_bucket(self) -> None:
        self._step("the Secret's credentials open this bucket and no other")
        secret, bucket = self._secret("minimal"), "s3-operator-example-minimal"
        tenant = self.aws.client(
            "s3",
            aws_access_key_id=secret["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret["AWS_SECRET_ACCESS_KEY"],
        )
        tenant.put_object(Bucket=bucket, Key="hello", Body=b"hello, world")
        body = tenant.get_object(Bucket=bucket, Key="hello")["Body"].read()
        self._print(f"put and get an object: {body.decode()}")
        self._check(body == b"hello, world", "the object is what was put")
        try:
            tenant.list_objects_v2(Bucket="s3-operator-example-full")
        except tenant.exceptions.ClientError as error:
            code = error.response["Error"]["Code"]
        else:
            code = "allowed"
        self._print(f"another bucket: {code}")
        self._check(code == "AccessDenied", "another bucket is denied")

    def _show_repair(self) -> None:
        self._step("drift: somebody deletes the bucket of bucket-only")
        s3, name = self.aws.client("s3"), "s3-operator-example-bucket-only"
        s3.delete_bucket(Bucket=name)
        self._wait(lambda: self._exists(name), "the operator creates the bucket again")
        self._step("the operator has created it again at the next sync (here every 10 s, by default every 300 s)")

    def _show_deletion(self) -> None:
        self._step("delete an object whose bucket is not empty")
        self._print("$ kubectl delete s3 minimal")
        self._kubectl("delete", "s3", "minimal", f"--timeout={_WAIT_S:.0f}s")
        left = self._kubectl("get", "secret,service", "-l", "agill.apps/s3=minimal", "-o", "name").split()
        users = [user["UserName"] for user in self.aws.client("iam").list_users()["Users"]]
        self._check(not left, "Secret and Service are deleted")
        self._check("s3-operator-example-minimal" not in users, "the user is deleted")
        self._check(not self._exists("s3-operator-example-minimal"), "the bucket is deleted")
        self._step("its bucket, user, key, Secret and Service are deleted")

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

    def _step(self, line: str) -> None:
        print(f"[{time.monotonic() - self._started:6.1f} s] {line}", flush=True)

    def _print(self, text: str) -> None:
        print("\n".join(f"             {line}" for line in text.splitlines()), flush=True)


class StoreDemo(Demo):
    """The same on versitygw."""

    name, short_name = "versitygw (S3, IAM and STS, which keep their data in a folder)", "the store"

    def _make_place(self, folder: Path) -> Place:
        return Versitygw(folder / "store")

    @property
    def connection(self) -> dict[str, str]:
        """As for AWS, and the setting that it is not AWS."""
        return {**super().connection, "PROVIDER": "Other"}

    def _find_examples(self) -> Path:
        """The examples in the store's only region."""
        folder = self._folder / "examples"
        folder.mkdir()
        for path in (_PROJECT / "examples").glob("*.yaml"):
            cr = yaml.safe_load(path.read_text())
            cr["spec"]["region"] = Versitygw.region
            (folder / path.name).write_text(yaml.safe_dump(cr))
        return folder

    def _access_of(self, bucket: str) -> dict[str, str]:
        # It has no public access block.
        return {"data": str(self._folder / "store" / "data" / bucket)}

    def _show_end(self) -> None:
        self._step("the endpoint is an IP address here, so there are no Services, and the message of Ready states it")
        ready = self._kubectl(
            "get", "s3", "go-operator", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].message}"
        )
        self._print(f"Ready: {ready}")
        self._check("is an IP address" in ready, "the status explains it")


_DEMOS = {"": Demo, "versitygw": StoreDemo}


def main() -> int:
    """Show it; at a terminal stay until Ctrl-C."""
    store = sys.argv[1] if len(sys.argv) > 1 else ""
    if store not in _DEMOS:
        print(f"there is no demo of the store {store}: {', '.join(filter(None, _DEMOS))}", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="s3-operator-demo-") as folder:
        demo = _DEMOS[store](Path(folder))
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


def _shown(value: object) -> str:
    """A value of a report; a list on lines of its own."""
    return ("\n" + " " * 15).join(map(str, value)) if isinstance(value, list) else str(value)


def _stay(demo: Demo) -> None:
    print("\nIt stays up until Ctrl-C. In another terminal:")
    for name, value in demo.connection.items():
        print(f"  export {name}={value}")
    print("  kubectl get s3", flush=True)
    signal.pause()


def _tail(path: Path) -> str:
    return path.read_text()[-3000:] if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
