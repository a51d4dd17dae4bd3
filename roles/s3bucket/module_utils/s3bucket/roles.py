# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an S3 object requests of an IAM role, and who may assume that role. Pure.

The Pods of the ServiceAccounts that the object names may assume the role, in the object's own namespace and in this
cluster only. The namespace is never text of the spec, and no name can hold a wildcard, so a spec cannot name Pods of
another namespace. The cluster's administrator sets through which identity provider the Pods come (:class:`RoleRules`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from . import grants
from .errors import ReconcileError
from .json_types import ApiObject
from .outcome import Reason
from .values import fields_of, flag_of, invalid, text_of

FIELD = "iamRole"
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
ROLE_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
# https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
SERVICE_ACCOUNT = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
MAX_SERVICE_ACCOUNTS = 10
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: a role's trust policy
MAX_TRUST_POLICY = 2048
PROVIDER = re.compile(r"arn:aws[a-z-]*:iam::\d{12}:oidc-provider/[A-Za-z0-9.-]+(?::\d+)?(?:/[\w.~/-]+)?", re.ASCII)
# https://docs.aws.amazon.com/eks/latest/APIReference/API_CreateCluster.html (name)
CLUSTER = re.compile(r"arn:aws[a-z-]*:eks:([a-z0-9-]+):\d{12}:cluster/([A-Za-z0-9][\w-]{0,99})", re.ASCII)
# https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html
_CLUSTER_TAG = "aws:RequestTag/eks-cluster-arn"
POD_IDENTITY_SERVICE = "pods.eks.amazonaws.com"
# The audience of the tokens that EKS mounts for a ServiceAccount with the annotation.
# https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
AUDIENCE = "sts.amazonaws.com"
_NAMES = ("name", "serviceAccounts", "annotate", "accessMode", "prefixes", "podIdentity")


@dataclass(frozen=True)
class WantedRole:
    """What an S3 object requests of its IAM role."""

    name: str
    service_accounts: tuple[str, ...] = ()
    annotate: bool = False
    mode: str = grants.FULL
    prefixes: tuple[str, ...] = ()
    pod_identity: bool = False


@dataclass(frozen=True)
class RoleRules:
    """Through what the Pods of the cluster can assume roles, and what else the administrator allows.

    ``oidc_provider``: the ARN of the cluster's provider in IAM. ``eks_cluster``: the ARN of the EKS cluster, for Pod
    Identity. Without both there are no roles. ``annotates``: the operator may annotate ServiceAccounts.
    """

    oidc_provider: str = ""
    annotates: bool = False
    eks_cluster: str = ""

    @property
    def is_enabled(self) -> bool:
        """Whether S3 objects may have roles at all."""
        return bool(self.oidc_provider or self.eks_cluster)

    @property
    def eks_region(self) -> str:
        """The region of the EKS cluster."""
        found = CLUSTER.fullmatch(self.eks_cluster)
        return found[1] if found else ""

    @property
    def eks_name(self) -> str:
        """The name of the EKS cluster, as its API has it."""
        found = CLUSTER.fullmatch(self.eks_cluster)
        return found[2] if found else ""


NO_ROLES = RoleRules()


def role_of(spec: ApiObject, *, is_deleting: bool) -> WantedRole | None:
    """Read the role that a spec requests. Of an object that is being deleted only names are read.

    :raises ReconcileError: InvalidSpec
    """
    value = spec.get(FIELD)
    if value is None:
        return None
    path = f"spec.{FIELD}"
    if is_deleting:
        return _former_role(value)
    given = fields_of(value, path, _NAMES)
    name = text_of(given.get("name", ""), f"{path}.name")
    if not ROLE_NAME.fullmatch(name):
        raise invalid(f"{path}.name", "is not a name that IAM allows: 1 to 64 of A-Z, a-z, 0-9, _+=,.@-")
    return WantedRole(
        name,
        _service_accounts(given.get("serviceAccounts"), f"{path}.serviceAccounts"),
        flag_of(given.get("annotate", False), f"{path}.annotate"),
        grants.mode_of(given.get("accessMode"), f"{path}.accessMode"),
        grants.prefixes_of(given.get("prefixes"), f"{path}.prefixes"),
        flag_of(given.get("podIdentity", False), f"{path}.podIdentity"),
    )


def _former_role(value: object) -> WantedRole | None:
    """Of a role that is being deleted, the names that can exist."""
    given = value if isinstance(value, dict) else {}
    name, accounts = given.get("name"), given.get("serviceAccounts")
    if not isinstance(name, str) or not ROLE_NAME.fullmatch(name):
        return None
    names = [item for item in accounts if isinstance(item, str)] if isinstance(accounts, list) else []
    valid = sorted({item for item in names[:MAX_SERVICE_ACCOUNTS] if SERVICE_ACCOUNT.fullmatch(item)})
    is_true = {field: given.get(field) is True for field in ("annotate", "podIdentity")}
    return WantedRole(name, tuple(valid), is_true["annotate"], pod_identity=is_true["podIdentity"])


def _service_accounts(value: object, field: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_SERVICE_ACCOUNTS:
        raise invalid(field, f"must be a list of 1 to {MAX_SERVICE_ACCOUNTS} names of ServiceAccounts")
    for at, item in enumerate(value):
        # A name has neither ':' nor a wildcard, so it cannot become one of another namespace.
        if not SERVICE_ACCOUNT.fullmatch(text_of(item, f"{field}[{at}]")):
            raise invalid(f"{field}[{at}]", "is not the name of a ServiceAccount: a-z, 0-9, '-' and '.'")
    return tuple(sorted(set(value)))


def check(role: WantedRole, rules: RoleRules) -> None:
    """Refuse a role that the operator's settings do not allow.

    :raises ReconcileError: InvalidSpec naming the field and the setting
    """
    if role.pod_identity and not rules.eks_cluster:
        raise invalid(
            f"spec.{FIELD}.podIdentity",
            "the operator does not know the EKS cluster: set iam.eksClusterARN of its chart (--eks-cluster-arn, "
            "s3bucket_eks_cluster_arn), or remove the field",
        )
    if role.pod_identity and role.annotate:
        raise invalid(f"spec.{FIELD}.annotate", "must not be true with podIdentity, which needs no annotation")
    if not role.pod_identity and not rules.oidc_provider:
        raise invalid(
            f"spec.{FIELD}",
            "the operator does not know the cluster's OIDC provider: set iam.oidcProviderARN of its chart "
            "(--oidc-provider-arn, s3bucket_oidc_provider_arn)",
        )
    if role.annotate and not rules.annotates:
        raise invalid(
            f"spec.{FIELD}.annotate",
            "the operator may not annotate ServiceAccounts: set iam.annotateServiceAccounts of its chart "
            "(--annotate-service-accounts, s3bucket_annotate_service_accounts), or remove the field",
        )


def trust_policy(role: WantedRole, namespace: str, rules: RoleRules) -> ApiObject:
    """The document that decides who may assume the role: Pods of exactly these ServiceAccounts."""
    statement = _pod_identity(role, namespace, rules) if role.pod_identity else _web_identity(role, namespace, rules)
    return grants.document([statement])


def _web_identity(role: WantedRole, namespace: str, rules: RoleRules) -> ApiObject:
    # https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
    issuer = rules.oidc_provider.partition(":oidc-provider/")[2]
    subjects = [f"system:serviceaccount:{namespace}:{name}" for name in role.service_accounts]
    return {
        "Effect": "Allow",
        "Principal": {"Federated": rules.oidc_provider},
        "Action": "sts:AssumeRoleWithWebIdentity",
        # StringEquals, not StringLike: no character of a name is a wildcard.
        "Condition": {"StringEquals": {f"{issuer}:aud": AUDIENCE, f"{issuer}:sub": subjects}},
    }


def _pod_identity(role: WantedRole, namespace: str, rules: RoleRules) -> ApiObject:
    """Without the conditions, any association in the account could give Pods the role.

    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-role.html (Setting Conditions),
    https://docs.aws.amazon.com/eks/latest/userguide/pod-id-abac.html (the session tags)
    """
    return {
        "Effect": "Allow",
        "Principal": {"Service": POD_IDENTITY_SERVICE},
        "Action": ["sts:AssumeRole", "sts:TagSession"],
        "Condition": {
            "StringEquals": {
                _CLUSTER_TAG: rules.eks_cluster,
                "aws:RequestTag/kubernetes-namespace": namespace,
                "aws:RequestTag/kubernetes-service-account": list(role.service_accounts),
            }
        },
    }


def eks_cluster_in(trust: ApiObject) -> str:
    """The ARN of the EKS cluster that a role's trust policy names, so that its Pods may assume it; empty for none."""
    statements = trust.get("Statement")
    for statement in statements if isinstance(statements, list) else []:
        found: object = statement
        for name in ("Condition", "StringEquals", _CLUSTER_TAG):
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, str) and CLUSTER.fullmatch(found):
            return found
    return ""


def check_sizes(role: WantedRole, trust: ApiObject, policy: ApiObject) -> None:
    """Refuse a role with documents that IAM would refuse for their size.

    :raises ReconcileError: InvalidSpec
    """
    grants.check_size(policy, grants.MAX_ROLE_POLICY, f"spec.{FIELD}.prefixes")
    size = grants.size_of(trust)
    if size > MAX_TRUST_POLICY:
        raise invalid(
            f"spec.{FIELD}.serviceAccounts",
            f"the trust policy of role {role.name} would have {size} characters, and IAM allows {MAX_TRUST_POLICY}: "
            "give fewer ServiceAccounts",
        )


def role_rules_of(oidc_provider: str = "", eks_cluster: str = "", *, annotates: bool = False) -> RoleRules:
    """The rules that the role's settings give.

    :raises ReconcileError: InvalidSpec for a value that is not the ARN of a provider or cluster
    """
    if oidc_provider and not PROVIDER.fullmatch(oidc_provider):
        raise _invalid("oidc_provider_arn", f"{oidc_provider} is not the ARN of an OIDC provider of IAM")
    if eks_cluster and not CLUSTER.fullmatch(eks_cluster):
        raise _invalid("eks_cluster_arn", f"{eks_cluster} is not the ARN of an EKS cluster")
    return RoleRules(oidc_provider, annotates, eks_cluster)


def _invalid(setting: str, message: str) -> ReconcileError:
    return ReconcileError(Reason.INVALID_SPEC, f"s3bucket_{setting}: {message}")
