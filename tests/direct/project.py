"""An Ansible user's directory outside the checkout, and the runs of ansible-playbook in it.

Each run is a child process with its own environment. The tests take what a run wrote from the requests that the API
servers and AWS accounts received, not from the output of the run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from dev.apigate import ApiGate, ApiRequest
from dev.aws import Aws, admin_key_in
from runner.execution import processes
from runner.execution.warm.process import WarmProcess
from s3bucket.api import API_VERSION
from tests.support.world import CLUSTER, EXECUTOR, PROJECT, World, caching

BIN = Path(sys.executable).parent
_CALLBACKS = Path(__file__).parent / "callback_plugins"
_RUN_TIMEOUT_S = 600
# By default Ansible checks a thousand times a second whether a task has ended.
_CONFIGURATION = """[defaults]
roles_path = {}
inventory = inventory/hosts.yml
internal_poll_interval = 0.01
"""


class Cluster:
    """A Kubernetes cluster behind a gate (HTTPS, with the API server's certificate) that records its requests.

    ``world`` is the administrator's connection to the same cluster. It does not go through the gate.
    """

    def __init__(self, name: str, world: World, gate: ApiGate) -> None:
        self.name, self.world, self.gate = name, world, gate
        config = yaml.safe_load(gate.kubeconfig.read_text())
        self.kubeconfig, self.host = gate.kubeconfig, gate.url
        self.api_key = str(config["users"][0]["user"]["token"])
        self.ca_cert = str(config["clusters"][0]["cluster"]["certificate-authority"])

    def environment(self) -> dict[str, str]:
        """The environment variable that usually names a cluster."""
        return {"KUBECONFIG": str(self.kubeconfig)}


class Account:
    """An AWS account, and a credentials file with the operator's documented policy in that account."""

    def __init__(self, name: str, aws: Aws, credentials_file: Path) -> None:
        self.name, self.aws, self.credentials_file = name, aws, credentials_file

    def keys(self) -> tuple[str, str]:
        """The key ID and the secret access key in the credentials file."""
        return admin_key_in(self.credentials_file)

    def endpoint(self) -> dict[str, str]:
        """Environment variables with the account's endpoint and region, and without credentials."""
        names = ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_EC2_METADATA_DISABLED")
        return {name: self.aws.env()[name] for name in names}

    def environment(self) -> dict[str, str]:
        """The endpoint, and the credentials as the default profile of a file."""
        return {**self.endpoint(), "AWS_SHARED_CREDENTIALS_FILE": str(self.credentials_file)}


@dataclass
class Sides:
    """Every cluster and account that the test session has started so far."""

    clusters: list[Cluster] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)

    def clear(self) -> None:
        """Clear the recorded requests of all of them."""
        for cluster in self.clusters:
            cluster.gate.clear_requests()
        for account in self.accounts:
            account.aws.gate.clear_requests()


@dataclass
class Run:
    """The output of one run, and its tasks and requests."""

    code: int
    output: str
    """Standard output and standard error."""
    record: list[dict[str, Any]]
    """The lines of callback_plugins/record.py."""
    kubernetes: dict[str, list[ApiRequest]]
    """The requests to each cluster, by its name."""
    aws: dict[str, list[dict[str, Any]]]
    """The requests to each account, by its name."""

    def results(self, host: str = "localhost") -> list[dict[str, Any]]:
        """Every value of the fact s3bucket_result on a host, in order: one for each run of the role."""
        return self.facts("s3bucket_result", host)

    def facts(self, name: str, host: str = "localhost") -> list[Any]:
        """Every value of a fact on a host, in order."""
        facts = [line for line in self.record if line["kind"] == "fact"]
        return [line["value"] for line in facts if (line["name"], line["host"]) == (name, host)]

    def tasks(self, *statuses: str, host: str = "localhost") -> list[str]:
        """The names of the tasks that ended with one of these statuses (ok, changed, failed, skipped) on a host."""
        tasks = [line for line in self.record if line["kind"] == "task" and line["host"] == host]
        return [line["name"] for line in tasks if line["status"] in statuses]

    @property
    def stats(self) -> dict[str, dict[str, int]]:
        """The recap of each host: ok, changed, failures, rescued, ..."""
        return dict(next((line["hosts"] for line in self.record if line["kind"] == "stats"), {}))

    def kubernetes_writes(self, cluster: str = "cluster") -> list[str]:
        """The writes to a cluster, as method and kind, for example ``POST secrets``. Dry runs do not count."""
        return [item.action for item in self.kubernetes[cluster] if item.is_write]

    def aws_writes(self, account: str = "account") -> list[str]:
        """The writes to an account, as actions, for example ``CreateBucket``."""
        return [item["action"] for item in self.aws[account] if item["write"]]

    def writes(self) -> dict[str, list[str]]:
        """The writes to each cluster and account that received any. Empty when nothing was written."""
        found = {name: self.kubernetes_writes(name) for name in self.kubernetes}
        found |= {name: self.aws_writes(name) for name in self.aws}
        return {name: writes for name, writes in found.items() if writes}


class Project:
    """The user's directory, with an ansible.cfg, an inventory and the files that the test writes.

    ``program`` may be set to the ansible-playbook of another environment.
    """

    def __init__(self, folder: Path, cluster: Cluster, account: Account, sides: Sides) -> None:
        self.folder, self.home = folder / "project", folder / "home"
        self.cluster, self.account, self._sides = cluster, account, sides
        self.program = BIN / "ansible-playbook"
        self._record = folder / "record.jsonl"
        # Of all projects of the session.
        self._cache = folder.parent / "cache"
        self.home.mkdir(parents=True)
        self.roles_path = PROJECT / "roles"
        self.write("ansible.cfg", _CONFIGURATION.format(self.roles_path))
        self.write_inventory("localhost")
        interpreter = "{{ ansible_playbook_python }}"
        settings = {"s3bucket_cluster_name": CLUSTER, "s3bucket_iam_settle_s": 0}
        self.write("inventory/group_vars/all.yml", {"ansible_python_interpreter": interpreter, **settings})

    def write(self, name: str, content: str | list[Any] | dict[str, Any]) -> Path:
        """Write a file of the project: a string as it is, anything else as YAML."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))
        return path

    def write_inventory(self, *hosts: str, **variables: Any) -> None:
        """Write an inventory in which all hosts are this machine."""
        local = {"ansible_connection": "local", **variables}
        self.write("inventory/hosts.yml", {"all": {"hosts": {host: dict(local) for host in hosts}}})

    def write_cr(self, name: str, namespace: str, **spec: Any) -> dict[str, Any]:
        """Write ``crs/NAME.yml`` and return the object in it."""
        cr = {
            "apiVersion": API_VERSION,
            "kind": "S3",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"region": "us-east-1", **spec},
        }
        self.write(f"crs/{name}.yml", cr)
        return cr

    def run(self, playbook: str | Path, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Run:
        """Run ansible-playbook in the directory, to its end.

        :param playbook: relative to the directory
        :param environment: all variables of the run other than PATH and HOME; by default the kubeconfig of the
            project's cluster and the credentials of its account
        """
        if environment is None:
            environment = {**self.cluster.environment(), **self.account.environment()}
        return self.run_command([self.program, playbook, *arguments], environment)

    def run_command(self, command: list[str | Path], environment: Mapping[str, str]) -> Run:
        """Run a program that starts Ansible, to its end."""
        self._record.unlink(missing_ok=True)
        self._sides.clear()
        done = subprocess.run(
            [str(word) for word in command],
            cwd=self.folder,
            env={**self._base_environment(), **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_RUN_TIMEOUT_S,
            check=False,
        )
        lines = self._record.read_text().splitlines() if self._record.exists() else []
        kubernetes = {cluster.name: cluster.gate.requests() for cluster in self._sides.clusters}
        aws = {account.name: account.aws.gate.requests() for account in self._sides.accounts}
        return Run(done.returncode, done.stdout, [json.loads(line) for line in lines], kubernetes, aws)

    def _base_environment(self) -> dict[str, str]:
        recording = {
            "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": "record",
            "DIRECT_RECORD": str(self._record),
            **caching(self._cache),
        }
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        return {"PATH": path, "HOME": str(self.home), **recording}


@contextmanager
def warm_ansible(project: Project, environment: dict[str, str], folder: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """The ansible-playbook of a warm process, and the environment that a run of it needs besides the user's.

    For runs in which the stock program is not what the test is about: such a run takes 5 to 20 s of CPU. Both report
    and leave the same (tests/role/test_warm.py). A warm process reads no ansible.cfg of a project.

    :param environment: of a child process
    """
    if EXECUTOR == "stock":
        yield project.program, {}
        return
    own = {
        "ANSIBLE_ROLES_PATH": str(project.roles_path),
        "ANSIBLE_INVENTORY": str(project.folder / "inventory" / "hosts.yml"),
        "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
        # As long as the longest of its runs.
        processes.RUN_ID: f"{processes.operator_id()}-direct".ljust(64, "-"),
    }
    folder.mkdir(mode=0o700)
    # The Kubernetes client keeps the KUBECONFIG with which it is imported.
    warm = WarmProcess(folder, {**environment, **own, "KUBECONFIG": "/nosuch"})
    warm.start()
    path = warm.find_path()
    assert path is not None, "the warm process reports that it is not supported"
    yield path / "ansible-playbook", {**own, processes.RUN_ID: f"{processes.operator_id()}-1"}
    warm.stop()


CR = "{{ lookup('file', 'crs/' ~ %s ~ '.yml') | from_yaml }}"


CREATED = {"CreateBucket", "CreateUser", "CreateAccessKey"}
