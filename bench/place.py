"""Where is measured: a Kubernetes and an AWS account on this machine. In both the operator is someone of its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
from kubernetes.config import new_client_from_config

from bench.calls import AwsCalls, KubernetesCalls
from dev.aws import Aws
from dev.awsgate.client import write_key
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from dev.deployment import write_kubeconfig
from dev.processes import plain_environment
from s3bucket.api import GROUP, VERSION

CLUSTER = "bench"
OBJECT = (GROUP, VERSION)
OPERATOR = "bench-operator"
"""The operator's namespace, ServiceAccount and IAM user."""
_TOKEN_S = 6 * 3600
_EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Place:
    """Both, and the operator's credentials for them. What the bench itself asks, it asks as administrator.

    :param plane: a control plane that is up, with the CRD
    :param aws: an account that is up
    :param folder: for the credentials
    """

    def __init__(self, plane: ControlPlane, aws: Aws, folder: Path) -> None:
        self.plane = plane
        self.aws = aws
        self.folder = folder
        api = new_client_from_config(str(plane.kubeconfig))
        self.core = k8s.CoreV1Api(api)
        self.custom = k8s.CustomObjectsApi(api)
        self._make_service_account(k8s.RbacAuthorizationV1Api(api))
        self.access_key = self._make_user()
        self.account = str(aws.client("sts").get_caller_identity()["Account"])

    def environment(self) -> dict[str, str]:
        """The operator's, with nothing of the machine's settings."""
        plain = plain_environment()
        return {
            **plain,
            **self.aws.env(),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.folder / "credentials"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{plain['PATH']}",
            "KUBECONFIG": str(self.folder / "kubeconfig"),
            # The rows for all settings have replication, too.
            "ALLOWED_SETTINGS": "all",
        }

    def aws_calls(self) -> AwsCalls:
        """The operator's requests to AWS."""
        return AwsCalls(self.aws.gate, self.access_key)

    def kubernetes_calls(self) -> KubernetesCalls:
        """The operator's requests to Kubernetes."""
        return KubernetesCalls(self.plane.audit_log, f"system:serviceaccount:{OPERATOR}:{OPERATOR}")

    def make_namespace(self, name: str) -> None:
        """A namespace for objects."""
        self.core.create_namespace({"metadata": {"name": name}})

    def _make_service_account(self, rbac: Any) -> None:
        # The audit log has what ServiceAccounts ask, and nothing else.
        self.make_namespace(OPERATOR)
        self.core.create_namespaced_service_account(OPERATOR, {"metadata": {"name": OPERATOR}})
        subject = {"kind": "ServiceAccount", "name": OPERATOR, "namespace": OPERATOR}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        rbac.create_cluster_role_binding({"metadata": {"name": OPERATOR}, "roleRef": role, "subjects": [subject]})
        request = {"spec": {"audiences": [], "expirationSeconds": _TOKEN_S}}
        token = self.core.create_namespaced_service_account_token(OPERATOR, OPERATOR, request).status.token
        write_kubeconfig(self.plane.kubeconfig, token, self.folder / "kubeconfig")

    def _make_user(self) -> str:
        # Not judged by the gate as in the tests: that is the gate's CPU, on the same cores.
        iam = self.aws.client("iam")
        iam.create_user(UserName=OPERATOR)
        iam.put_user_policy(UserName=OPERATOR, PolicyName="all", PolicyDocument=json.dumps(_EVERYTHING))
        key = iam.create_access_key(UserName=OPERATOR)["AccessKey"]
        write_key(self.folder / "credentials", key["AccessKeyId"], key["SecretAccessKey"])
        return str(key["AccessKeyId"])


def bring_up(folder: Path) -> tuple[ControlPlane, Aws]:
    """Start both. Whoever calls it stops both."""
    plane, aws = ControlPlane(folder / "kubernetes"), Aws(folder / "aws")
    try:
        plane.start()
        install_crd(plane.kubeconfig)
        aws.start()
        aws.gate.keep_requests(False)
    except BaseException:
        aws.stop()
        plane.stop()
        raise
    return plane, aws
