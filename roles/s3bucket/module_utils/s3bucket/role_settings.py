# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The settings that operator, playbooks and role share: :class:`RoleSettings`, with names, defaults and valid values.

A setting has one name: option ``--iam-path``, environment variable ``IAM_PATH``, role variable ``s3bucket_iam_path``.
Settings are read from variables, from an environment, and from the Deployment of an installed operator. Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Required, TypedDict, TypeVar, cast
from urllib.parse import urlsplit

from . import allowed, metadata
from .capabilities import AWS, PROVIDERS, Capabilities
from .defaults import map_of
from .errors import ReconcileError
from .json_types import Json, JsonMapping, JsonObject
from .roles import RoleRules, role_rules_of
from .spec import invalid, operator_tags_of
from .users import UserRules, rules_of
from .values import mapping_of

POLICIES = ("Delete", "Retain")
_PREFIX = "s3bucket_"
# The playbooks of earlier versions read variables with this prefix.
_FORMER_PREFIX = "S3_OPERATOR_"
_SEPARATORS = re.compile(r"[\s,]+")
# https://kubernetes.io/docs/tasks/inject-data-application/define-environment-variable-container/
_REFERENCE = re.compile(r"\$\([A-Za-z_][A-Za-z0-9_.-]*\)")
_ACCOUNT = re.compile(r"[A-Za-z0-9_.-]{1,64}")
# A part of the record that is no setting: what the operator has found out about a store.
_CAPABILITIES = "capabilities"
_T = TypeVar("_T")


def _text(value: Json) -> str:
    if not isinstance(value, str):
        raise ValueError("must be a string")
    return value


def _policy(value: Json) -> str:
    if value not in ("", *POLICIES):
        raise ValueError(f"must be {' or '.join(POLICIES)}, or empty")
    return str(value)


def _seconds(value: Json) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("must be a number of seconds, 0 or more")
    return value


def _path(value: Json) -> str:
    return rules_of(iam_path=_text(value)).path


def _boundary(value: Json) -> str:
    return rules_of(permissions_boundary=_text(value)).boundary


def _store(value: Json) -> str:
    if value not in ("", *PROVIDERS):
        raise ValueError(f"must be {' or '.join(PROVIDERS)}, or empty")
    return str(value)


def _account(value: Json) -> str:
    text = _text(value)
    if text and not _ACCOUNT.fullmatch(text):
        raise ValueError("must be the id of an account, 1 to 64 letters, digits and _.-, in quotes")
    return text


def _oidc_provider(value: Json) -> str:
    return role_rules_of(oidc_provider=_text(value)).oidc_provider


def _eks_cluster(value: Json) -> str:
    return role_rules_of(eks_cluster=_text(value)).eks_cluster


def _flag(value: Json) -> bool:
    # An empty text is an option or a variable that is not given.
    found = {"": False, "true": True, "false": False}.get(str(value).lower())
    if found is None:
        raise ValueError("must be true or false")
    return found


def _policies(value: Json) -> list[Json]:
    names = _names(value)
    rules_of(allowed_policies=names)
    return [*names]


def _groups(value: Json) -> list[Json]:
    names = _names(value)
    rules_of(allowed_groups=names)
    return [*names]


def _names(value: Json) -> list[str]:
    if isinstance(value, str):
        return [item for item in _SEPARATORS.split(value) if item]
    names = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    if not isinstance(value, list) or len(names) < len(value):
        raise ValueError("must be a list of names")
    return names


def _settings(value: Json) -> list[Json]:
    # An empty text is an option or a variable that is not given. An empty list allows no setting.
    return [*(allowed.DEFAULT if value == "" else allowed.fields_of(_names(value)))]


def _labels(value: Json) -> JsonObject:
    name = "s3bucket_resource_labels"
    return {**metadata.labels_of(map_of(value or {}, name), name, metadata.MAX_DEFAULTS)}


def _annotations(value: Json) -> JsonObject:
    name = "s3bucket_resource_annotations"
    return {**metadata.annotations_of(map_of(value or {}, name), name, metadata.MAX_DEFAULTS)}


def _tags(value: Json) -> JsonObject:
    return {**operator_tags_of(map_of(value or {}, "s3bucket_tags"))}


@dataclass(frozen=True)
class Setting:
    """One setting. ``name`` is the role variable's name without its prefix; ``check`` returns the valid value.

    ``operator_default`` is the operator's default where it differs from the role's. ``changes`` is True when two
    clients with different values of the setting would write different things.
    """

    option: str
    environment: str
    help: str
    check: Callable[[Json], Json]
    operator_default: Json = None
    choices: tuple[str, ...] = ()
    changes: bool = True
    name: str = ""
    default: Json = None

    @property
    def variable(self) -> str:
        """The role variable."""
        return _PREFIX + self.name

    def value_of(self, value: Json, label: str) -> Json:
        """Return the valid value.

        :param label: the name for error messages: the variable of the role or of the environment
        :raises ReconcileError: InvalidSpec with the label
        """
        if value is None:
            raise invalid(label, "must not be null: leave it out for its default")
        try:
            return self.check(value)
        except ValueError as error:
            raise invalid(label, str(error)) from error
        except ReconcileError as refusal:
            raise ReconcileError(refusal.reason, refusal.message.replace(self.variable, label, 1)) from refusal


def _setting(value: _T, setting: Setting) -> _T:
    """Make a field of :class:`RoleSettings` with this default and the setting as metadata."""
    made: _T = field(default_factory=lambda: value, metadata={"setting": setting})
    return made


@dataclass(frozen=True)
class RoleSettings:
    """The settings of the role that are the same for all S3 objects of a cluster."""

    cluster_name: str = _setting("", Setting(
        "--cluster-name", "CLUSTER_NAME",
        "The cluster's name in owner tags. Default: the uid of the namespace kube-system.", _text,
    ))  # fmt: skip
    deletion_policy: str = _setting("", Setting(
        "--deletion-policy", "DELETION_POLICY",
        "What an object means that does not give spec.deletionPolicy. Default: Delete.", _policy,
        choices=("", *POLICIES),
    ))  # fmt: skip
    iam_settle_s: int = _setting(60, Setting(
        "--iam-settle", "IAM_SETTLE",
        "Seconds to allow for IAM eventual consistency after a key was created.", _seconds, changes=False,
    ))  # fmt: skip
    service_external_name: str = _setting("", Setting(
        "--service-external-name", "SERVICE_EXTERNAL_NAME",
        "The host that Services point to. With an IP address there are no Services. Default: the store's, or AWS's for "
        "the region.",
        _text,
    ))  # fmt: skip
    iam_path: str = _setting("", Setting(
        "--iam-path", "IAM_PATH", "The IAM path of users that are created. Default: /.", _path,
    ))  # fmt: skip
    permissions_boundary: str = _setting("", Setting(
        "--permissions-boundary", "PERMISSIONS_BOUNDARY",
        "The ARN of the permissions boundary that every user gets and must keep. Default: none.", _boundary,
    ))  # fmt: skip
    tags: Mapping[str, str] = _setting({}, Setting(
        "--tags", "TAGS",
        "Tags for every bucket and user. They override spec.tags. Default: none.", _tags,
    ))  # fmt: skip
    resource_labels: Mapping[str, str] = _setting({}, Setting(
        "--resource-labels", "RESOURCE_LABELS",
        "Labels of every Secret, Service and ConfigMap. Those of an object's spec override them. Default: none.",
        _labels,
    ))  # fmt: skip
    resource_annotations: Mapping[str, str] = _setting({}, Setting(
        "--resource-annotations", "RESOURCE_ANNOTATIONS",
        "Annotations of every Secret, Service and ConfigMap. Those of an object's spec override them. Default: none.",
        _annotations,
    ))  # fmt: skip
    allowed_policies: tuple[str, ...] = _setting((), Setting(
        "--allowed-policy", "ALLOWED_POLICIES",
        "The ARNs of managed policies that others may attach to users. Default: none.", _policies,
    ))  # fmt: skip
    allowed_groups: tuple[str, ...] = _setting((), Setting(
        "--allowed-group", "ALLOWED_GROUPS",
        "The groups that others may add users to. Default: none.",
        _groups,
    ))  # fmt: skip
    oidc_provider_arn: str = _setting("", Setting(
        "--oidc-provider-arn", "OIDC_PROVIDER_ARN",
        "The ARN of the cluster's OIDC provider in IAM, through which Pods assume the roles of spec.iamRole. Default: "
        "none, and no such roles.", _oidc_provider,
    ))  # fmt: skip
    eks_cluster_arn: str = _setting("", Setting(
        "--eks-cluster-arn", "EKS_CLUSTER_ARN",
        "The ARN of the EKS cluster, for spec.iamRole.podIdentity. Default: none, and no Pod Identity.", _eks_cluster,
    ))  # fmt: skip
    annotate_service_accounts: bool = _setting(False, Setting(
        "--annotate-service-accounts", "ANNOTATE_SERVICE_ACCOUNTS",
        "Whether the ServiceAccounts of spec.iamRole may get the annotation eks.amazonaws.com/role-arn. It needs the "
        "rights to get and patch ServiceAccounts.", _flag,
    ))  # fmt: skip
    allowed_settings: tuple[str, ...] = _setting(allowed.DEFAULT, Setting(
        "--allowed-settings", "ALLOWED_SETTINGS",
        "The fields of the optional bucket settings that S3 objects may use; all, or none. Default: all except "
        "replication.", _settings,
    ))  # fmt: skip
    empty_time_s: int = _setting(300, Setting(
        "--empty-time", "EMPTY_TIME",
        "Seconds for which one run deletes objects from a bucket, for the operator at most half of --run-timeout. The "
        "next run continues.", _seconds, operator_default=60, changes=False,
    ))  # fmt: skip
    provider: str = _setting("", Setting(
        "--provider", "PROVIDER",
        "Other for an S3-compatible store: what it has of AWS is found out by reads. Default: AWS.", _store,
        choices=("", *PROVIDERS),
    ))  # fmt: skip
    account_id: str = _setting("", Setting(
        "--account-id", "ACCOUNT_ID",
        "The account in the ARNs of the users of a store that has no STS. Default: the one that STS shows.", _account,
    ))  # fmt: skip
    capabilities: Capabilities | None = None
    """What the operator has found out about a store; None for AWS, and where it is not known yet."""

    @property
    def is_aws(self) -> bool:
        """Whether the endpoint is AWS, or behaves exactly as AWS does."""
        return self.provider != "Other"

    @property
    def known_capabilities(self) -> Capabilities | None:
        """What the endpoint can do, as far as it is known; None for a store that was not probed yet."""
        return AWS if self.is_aws else self.capabilities

    def check(self) -> None:
        """Refuse an account of AWS, which is never taken from a setting.

        :raises ReconcileError: InvalidSpec
        """
        if self.is_aws and self.account_id:
            raise invalid(
                "s3bucket_account_id",
                "is only for a store (s3bucket_provider: Other, --provider Other): leave it out, AWS shows the account",
            )

    def external_name_at(self, endpoint: str) -> str:
        """The host that Services point to; empty to derive it from the region of an object, as at AWS.

        :param endpoint: the URL of S3
        """
        return self.service_external_name or ("" if self.is_aws else urlsplit(endpoint).hostname or "")

    @property
    def rules(self) -> UserRules:
        """What the settings require of IAM users.

        :raises ReconcileError: InvalidSpec for a value that IAM would refuse
        """
        return rules_of(self.iam_path, self.permissions_boundary, self.allowed_policies, self.allowed_groups)

    @property
    def role_rules(self) -> RoleRules:
        """Through what Pods may assume IAM roles, and whether their ServiceAccounts may be annotated.

        :raises ReconcileError: InvalidSpec for a value that is not an ARN
        """
        return role_rules_of(self.oidc_provider_arn, self.eks_cluster_arn, annotates=self.annotate_service_accounts)

    def to_record(self) -> JsonObject:
        """The settings as plain data: ``s3bucket_operator_settings``, of fixed shape."""
        found = self.capabilities.to_record() if self.capabilities else {}
        return {setting.name: _plain(getattr(self, setting.name)) for setting in TABLE} | {_CAPABILITIES: found}

    @classmethod
    def from_record(cls, record: object) -> RoleSettings:
        """The settings in a record. A setting that the record does not name has the role's default.

        :raises ReconcileError: InvalidSpec naming the role variable
        """
        if not isinstance(record, Mapping):
            raise invalid("s3bucket_operator_settings", "must be a map")
        given = {name: value for name, value in record.items() if name != _CAPABILITIES}
        unknown = sorted(str(name) for name in given.keys() - _BY_NAME.keys())
        if unknown:
            raise invalid("s3bucket_operator_settings", f"there is no setting {', '.join(unknown)}")
        valid = {name: _BY_NAME[name].value_of(value, _BY_NAME[name].variable) for name, value in given.items()}
        return replace(cls.from_valid(valid), capabilities=_capabilities_in(record.get(_CAPABILITIES)))

    @classmethod
    def from_valid(cls, values: Mapping[str, object]) -> RoleSettings:
        """The settings from values that were checked. A list of names may be a tuple."""
        given = {name: values[name] for name in _BY_NAME if name in values}
        frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        # The checks return the types of the fields.
        return replace(cls(), **cast("dict[str, str]", frozen))  # type: ignore[arg-type]


def _capabilities_in(record: object) -> Capabilities | None:
    if not record:
        return None
    try:
        return Capabilities.from_record(mapping_of(record, f"s3bucket_operator_settings.{_CAPABILITIES}"))
    except ValueError as error:
        raise invalid(f"s3bucket_operator_settings.{_CAPABILITIES}", str(error)) from error


def _plain(value: str | int | Mapping[str, str] | tuple[str, ...]) -> Json:
    if isinstance(value, tuple):
        return [*value]
    return {**value} if isinstance(value, Mapping) else value


def _table() -> tuple[Setting, ...]:
    defaults = RoleSettings()
    return tuple(
        replace(one.metadata["setting"], name=one.name, default=_plain(getattr(defaults, one.name)))
        for one in fields(RoleSettings)
        if "setting" in one.metadata
    )


TABLE = _table()
_BY_NAME = {setting.name: setting for setting in TABLE}


class EnvVar(TypedDict, total=False):
    """A variable of a container's environment."""

    name: Required[str]
    value: str | None
    valueFrom: JsonObject


class Container(TypedDict, total=False):
    """A container, as far as it is read."""

    command: list[str] | None
    args: list[str] | None
    env: list[EnvVar] | None
    envFrom: list[JsonObject] | None


class PodSpec(TypedDict):
    """The specification of a Pod."""

    containers: list[Container]


class PodTemplate(TypedDict):
    """The template of a Pod."""

    spec: PodSpec


class DeploymentSpec(TypedDict):
    """The specification of a Deployment."""

    template: PodTemplate


class Metadata(TypedDict, total=False):
    """The metadata of an object, as far as it is read."""

    name: Required[str]
    namespace: Required[str]
    labels: dict[str, str] | None


class Deployment(TypedDict):
    """A Deployment, as far as it is read."""

    metadata: Metadata
    spec: DeploymentSpec


@dataclass(frozen=True)
class Read:
    """Settings that were read. ``unknown``: those that the operator's Deployment does not show."""

    given: JsonObject
    unknown: dict[str, str]


def of_variables(variables: JsonMapping) -> JsonObject:
    """The settings from role variables that differ from the role's defaults.

    :param variables: values by the names of the table
    :raises ReconcileError: InvalidSpec naming the variable
    """
    given = {name: value for name, value in variables.items() if name != _CAPABILITIES}
    values = {name: _BY_NAME[name].value_of(value, _BY_NAME[name].variable) for name, value in given.items()}
    return {name: value for name, value in values.items() if value != _BY_NAME[name].default}


def of_environment(environment: Mapping[str, str], where: str = "") -> JsonObject:
    """The settings from an environment. An empty variable counts as not set, as in the operator.

    :param where: what is appended to the name of a variable in an error
    :raises ReconcileError: InvalidSpec naming the variable
    """
    found = {setting.name: environment.get(setting.environment, "") for setting in TABLE}
    return {
        name: _BY_NAME[name].value_of(value, f"{_BY_NAME[name].environment}{where}")
        for name, value in found.items()
        if value
    }


def refuse_former_names(environment: Mapping[str, str]) -> None:
    """Refuse variables of earlier playbooks. Ignoring them would change what happens to a bucket.

    :raises ReconcileError: InvalidSpec naming the variable and its successor
    """
    former = {f"{_FORMER_PREFIX}{item.environment}{end}": item.environment for item in TABLE for end in ("", "_S")}
    for name in sorted(former.keys() & environment.keys()):
        raise invalid(name, f"is not read: its name is {former[name]}, as for the operator")


def read_deployment(deployment: Deployment) -> Read | None:
    """The settings in an operator's Deployment; None when the Deployment is not one of this operator.

    :raises ReconcileError: InvalidSpec for a value that the operator itself would refuse
    """
    metadata = deployment["metadata"]
    where = f" of Deployment {metadata['namespace']}/{metadata['name']}"
    container = _container_of(deployment)
    if container is None:
        return None
    environment, unknown = _environment_of(container, where)
    given = of_environment(environment, where)
    for setting in TABLE:
        values, is_reference = _option_values(container.get("args") or [], setting.option)
        if not values:
            continue
        unknown.pop(setting.name, None)
        given.pop(setting.name, None)
        if is_reference:
            unknown[setting.name] = f"{setting.option}{where} refers to another variable"
        else:
            text = ",".join(values) if isinstance(setting.default, list) else values[-1]
            given[setting.name] = setting.value_of(text, f"{setting.option}{where}")
    return Read(given, unknown)


def watches(deployment: Deployment, namespace: str) -> bool:
    """Whether an operator's Deployment serves a namespace; an empty namespace means all."""
    container = _container_of(deployment) or {}
    values, _ = _option_values(container.get("args") or [], "--watch-namespace")
    texts = values or [item.get("value") or "" for item in _env(container) if item["name"] == "WATCH_NAMESPACE"]
    watched = {name for text in texts for name in _SEPARATORS.split(text) if name}
    return not namespace or not watched or namespace in watched


def _container_of(deployment: Deployment) -> Container | None:
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        command = [*(container.get("command") or []), *(container.get("args") or [])]
        if command and str(command[0]).rpartition("/")[2] == "s3-operator" and "run" in command[1:2]:
            return container
    return None


def _env(container: Container) -> list[EnvVar]:
    return container.get("env") or []


def _environment_of(container: Container, where: str) -> tuple[dict[str, str], dict[str, str]]:
    """The plain variables of a container, and the settings from other sources, with the source."""
    by_variable = {setting.environment: setting.name for setting in TABLE}
    plain: dict[str, str] = {}
    unknown: dict[str, str] = {}
    if container.get("envFrom"):
        unknown = {name: f"{variable}{where} may come from envFrom" for variable, name in by_variable.items()}
    for item in _env(container):
        name = item["name"]
        if name not in by_variable:
            continue
        plain.pop(name, None)
        unknown.pop(by_variable[name], None)
        if item.get("valueFrom") or _REFERENCE.search(item.get("value") or ""):
            source = next(iter(item.get("valueFrom") or {"reference": 0}))
            unknown[by_variable[name]] = f"{name}{where} comes from a {source}"
        else:
            plain[name] = item.get("value") or ""
    return plain, unknown


def _option_values(arguments: list[str], option: str) -> tuple[list[str], bool]:
    """The values of an option on a command line, in order, and whether any of them refers to a variable."""
    found = []
    for index, argument in enumerate(arguments):
        if argument.startswith(f"{option}="):
            found.append(argument.partition("=")[2])
        elif argument == option and index + 1 < len(arguments):
            found.append(arguments[index + 1])
    return found, any(_REFERENCE.search(value) for value in found)


def find_differences(own: JsonMapping, operator: Read) -> list[str]:
    """The settings that would make a playbook write other things than an operator, one phrase each.

    For a value that the Deployment does not show, the value that the person gives is assumed to be equal.
    """
    phrases = []
    for setting in (setting for setting in TABLE if setting.changes):
        unknown = operator.unknown.get(setting.name)
        if unknown and setting.name not in own:
            phrases.append(f"{unknown}: give its value with -e {setting.variable}=VALUE")
        elif not unknown and not _same(setting, own.get(setting.name), operator.given.get(setting.name)):
            here, there = (_shown(setting, values) for values in (own, operator.given))
            phrases.append(f"{setting.variable} is {here} here and {there} there")
    return phrases


def _same(setting: Setting, one: Json, other: Json) -> bool:
    return _normal(setting, one) == _normal(setting, other)


def _normal(setting: Setting, value: Json) -> Json:
    value = setting.default if value is None else value
    if isinstance(value, list):
        return [*sorted(map(str, value))]
    meaning = {"deletion_policy": "Delete", "iam_path": "/", "provider": "AWS"}
    return value or meaning.get(setting.name, value)


def _shown(setting: Setting, values: JsonMapping) -> str:
    value = values.get(setting.name, setting.default)
    return json.dumps(value) if value or setting.default else "not set"
