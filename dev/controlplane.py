"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager.

The controllers are those that the operator's promises rest on: garbage collection by ownerReferences,
namespaces that terminate, service accounts with tokens.
"""

from __future__ import annotations

import secrets
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from .binaries import find_binaries
from .processes import Child, get_free_port, plain_environment

_CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "root-ca-certificate-publisher-controller",
    "deployment-controller",
    "replicaset-controller",
    "job-controller",
    "clusterrole-aggregation-controller",
    # Quotas that are real: their status is what admission goes by.
    "resourcequota-controller",
)
_TOKEN_BYTES = 16
# What ServiceAccounts ask, one line a request: a test compares it with what they may. Kubernetes' own are left out.
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
        {"level": "None"},
    ],
}


class ControlPlane:
    """Started by :meth:`start`, ended by :meth:`stop`; also a context manager.

    :param folder: for data, keys and logs
    :param is_tied: whether it ends with this process
    """

    def __init__(self, folder: Path, *, is_tied: bool = True) -> None:
        self.folder = folder
        self.kubeconfig = folder / "kubeconfig"
        self.audit_log = folder / "audit.log"
        self._is_tied = is_tied
        self._etcd_port, self._peer_port, self._port = (get_free_port() for _ in range(3))
        self._children: dict[str, Child] = {}
        self._token = secrets.token_hex(_TOKEN_BYTES)

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def etcd_url(self) -> str:
        """The address of etcd, for tests of objects that older versions of Kubernetes have stored."""
        return f"http://127.0.0.1:{self._etcd_port}"

    @property
    def pids(self) -> list[int]:
        """The processes, for a later run to end."""
        return [child.process.pid for child in reversed(self._children.values())]

    def __enter__(self) -> ControlPlane:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Bring all three up and wait until the API server is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._binaries = find_binaries()
        self._write_keys()
        self._write_kubeconfig()
        try:
            self._start_etcd()
            self.start_apiserver()
            self._start_controller_manager()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End all three, the last started first."""
        while self._children:
            self._children.popitem()[1].stop()

    def start_apiserver(self) -> None:
        """Start the API server (again): same port, same data."""
        key, address = self.folder / "sa.key", f"http://127.0.0.1:{self._etcd_port}"
        self._run(
            "kube-apiserver",
            f"--etcd-servers={address}",
            f"--secure-port={self._port}",
            "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder / 'certs'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--service-account-key-file={self.folder / 'sa.pub'}",
            f"--service-account-signing-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            "--kubelet-preferred-address-types=InternalIP",
            f"--audit-policy-file={self.folder / 'audit.yaml'}",
            f"--audit-log-path={self.audit_log}",
        )
        self._children["kube-apiserver"].wait_until(self._is_ready, "kube-apiserver")

    def stop_apiserver(self) -> None:
        """Take only the API server away; its data stay."""
        self._children.pop("kube-apiserver").stop()

    def _run(self, name: str, *arguments: str) -> None:
        self._children[name] = Child(
            [str(self._binaries[name]), *arguments],
            self.folder / f"{name}.log",
            # Go collects garbage less often: a fifth less CPU, for 0.1 GiB.
            {**plain_environment(), "GOGC": "300"},
            is_tied=self._is_tied,
        )

    def _start_etcd(self) -> None:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        self._run(
            "etcd",
            f"--data-dir={self.folder / 'etcd'}",
            "--unsafe-no-fsync",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--log-level=error",
        )

    def _start_controller_manager(self) -> None:
        self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={','.join(_CONTROLLERS)}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={self.folder / 'sa.key'}",
            # Without it Pods get an empty CA and in-cluster clients fail.
            f"--root-ca-file={self.folder / 'certs' / 'apiserver.crt'}",
            "--leader-elect=false",
            f"--secure-port={get_free_port()}",
            "--bind-address=127.0.0.1",
        )

    def _write_keys(self) -> None:
        key, public = self.folder / "sa.key", self.folder / "sa.pub"
        if not key.exists():
            _make_rsa_key(key, public)
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(_AUDIT_POLICY))
        tokens = self.folder / "tokens.csv"
        tokens.touch(mode=0o600)
        tokens.write_text(f'{self._token},admin,admin,"system:masters"\n')

    def _write_kubeconfig(self) -> None:
        # The server's certificate is made by itself at its first start, so the file can name it already.
        cluster = {"server": self.url, "certificate-authority": str(self.folder / "certs" / "apiserver.crt")}
        config: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "local", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": self._token}}],
            "contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin"}}],
            "current-context": "local",
        }
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(config))

    def _is_ready(self) -> bool:
        # Only the server that has this plane's token answers: another one on this port would not be taken for it.
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {self._token}"})
        try:
            context = ssl.create_default_context(cafile=str(self.folder / "certs" / "apiserver.crt"))
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:
                return bool(answer.status == 200)
        except (OSError, urllib.error.URLError, ssl.SSLError):
            return False


def _make_rsa_key(key: Path, public: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    pair = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.touch(mode=0o600)
    key.write_bytes(
        pair.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )
    public.write_bytes(
        pair.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
