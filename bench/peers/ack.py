"""ACK's controllers for S3 and IAM as processes, with the same credentials as the operator.

Both are built by hand from their repositories: README.md in this folder.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from bench import BenchError
from bench.accounting import make_tree
from bench.meter import Memory, Meter
from bench.objects import Item, new_object, policy_of
from bench.place import OPERATOR, Place
from bench.watching import Kind
from dev.binaries import find_binaries
from dev.processes import Child, get_free_port

ACK = "ack"
SERVICES = ("s3", "iam")
_SYNCED = "ACK.ResourceSynced"
_REGION = "us-east-1"
_START_S = 60.0


def _is_synced(item: Item) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(one["type"] == _SYNCED and one["status"] == "True" for one in conditions)


BUCKET = Kind(("s3.services.k8s.aws", "v1alpha1", "buckets"), _is_synced)
USER = Kind(("iam.services.k8s.aws", "v1alpha1", "users"), _is_synced)


def bucket(name: str, namespace: str) -> Item:
    """A Bucket as a user writes it."""
    return _item(BUCKET, "Bucket", name, namespace, {"name": name})


def user(name: str, namespace: str) -> Item:
    """A User of that bucket alone, with the same policy as this operator gives its users."""
    policies = {f"{name}-{name}-s3-restricted": json.dumps(policy_of(new_object(name, namespace)))}
    return _item(USER, "User", name, namespace, {"name": name, "inlinePolicies": policies})


class AckProcess:
    """Both controllers, one account of CPU and memory.

    :param folder: for their logs; made
    :param checkouts: the folder with ``s3-controller`` and ``iam-controller``
    :raises BenchError: where a controller is missing
    """

    executor = ACK

    def __init__(self, place: Place, folder: Path, checkouts: Path, resync_s: int) -> None:
        folder.mkdir()
        self._place = place
        self._folder = folder
        self._programs = {service: _program_of(checkouts, service) for service in SERVICES}
        self._resync_s = resync_s
        self._tree = make_tree()
        self._children: list[Child] = []
        self.memory = Memory(self._tree)
        self.meter = Meter(self._tree, self.memory, place.aws_calls(), place.kubernetes_calls())

    def __enter__(self) -> AckProcess:
        for service in SERVICES:
            self._start(service)
        self.memory.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.memory.stop()
        for child in self._children:
            child.stop()
        self._tree.close()

    def tail(self) -> str:
        """The ends of their logs."""
        return "\n".join(child.log.read_text(errors="replace")[-1500:] for child in self._children)

    def _start(self, service: str) -> None:
        words = [str(self._programs[service]), *self._flags()]
        environment = {**self._place.environment(), "ACK_SYSTEM_NAMESPACE": OPERATOR}
        child = Child(self._tree.command(words), self._folder / f"{service}.log", environment)
        self._children.append(child)
        self._tree.follow(child.process.pid)
        child.wait_until(lambda: "Starting workers" in child.log.read_text(), f"ACK's {service} controller", _START_S)

    def _flags(self) -> list[str]:
        endpoint = self._place.aws.endpoint_url
        return [
            "--aws-region", _REGION, "--aws-endpoint-url", endpoint, "--aws-identity-endpoint-url", endpoint,
            "--allow-unsafe-aws-endpoint-urls", "--aws-endpoint-use-path-style",
            "--deletion-policy", "delete", "--reconcile-default-resync-seconds", str(self._resync_s),
            "--metrics-addr", f"127.0.0.1:{get_free_port()}", "--healthz-addr", f"127.0.0.1:{get_free_port()}",
        ]  # fmt: skip


def install_crds(place: Place, checkouts: Path) -> None:
    """Install their CRDs and wait until they are served.

    :raises BenchError: where a controller is missing
    """
    folders = [_program_of(checkouts, service).parent / "config" / "crd" for service in SERVICES]
    files = [f"--filename={path}" for folder in folders for path in sorted(folder.glob("**/bases/*.yaml"))]
    kubectl = [str(find_binaries()["kubectl"]), "--kubeconfig", str(place.plane.kubeconfig)]
    subprocess.run([*kubectl, "apply", "--server-side", *files], check=True, stdout=subprocess.DEVNULL)
    names = [f"crd/{plural}.{group}" for group, _, plural in (BUCKET.resource, USER.resource)]
    for state in ("create", "condition=Established"):
        wait = ["wait", f"--for={state}", *names, "--timeout=60s"]
        subprocess.run([*kubectl, *wait], check=True, stdout=subprocess.DEVNULL)


def _program_of(checkouts: Path, service: str) -> Path:
    program = checkouts / f"{service}-controller" / "controller"
    if not program.exists():
        raise BenchError(f"there is no {program}: PEERS names the folder of bench/peers/README.md")
    return program


def _item(kind: Kind, name_of_kind: str, name: str, namespace: str, spec: dict[str, Any]) -> Item:
    group, version, _ = kind.resource
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": f"{group}/{version}", "kind": name_of_kind, "metadata": metadata, "spec": spec}
