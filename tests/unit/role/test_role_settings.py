"""One table defines the settings. The CLI, the role and the README use its names and accept the same values."""

from __future__ import annotations

import ast
import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from runner.commands.options import ROLE_OPTIONS
from runner.commands.run import run
from runner.yaml_file import read_yaml
from s3bucket import allowed
from s3bucket.errors import ReconcileError
from s3bucket.role_settings import (
    TABLE,
    Read,
    RoleSettings,
    find_differences,
    of_environment,
    of_variables,
    read_deployment,
    refuse_former_names,
    watches,
)
from s3bucket.variables import find_unknown
from tests.support.world import ROLE

ARN = "arn:aws:iam::123456789012:policy/tenant"
CORE = ROLE / "module_utils" / "s3bucket"
SPECS = read_yaml(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["object"]["options"]


def test_names_are_those_of_the_operator_the_role_and_the_table_of_the_readme() -> None:
    options = {option.opts[0]: option for option in run.params if isinstance(option, click.Option)}
    readme = (ROLE / "README.md").read_text()
    for setting in TABLE:
        assert (options[setting.option].name, options[setting.option].envvar) == (setting.name, setting.environment)
        assert SPECS[setting.variable]["default"] == setting.default
        rows = [line for line in readme.splitlines() if line.startswith(f"| `{setting.variable}` |")]
        assert len(rows) == 1, setting.variable
        assert f"`{setting.environment}`" in rows[0]
        assert f"`{setting.option}`" in rows[0]
    of_role = {option.opts[0] for option in _role_options()} - {"--project-dir", "--work-dir"}
    assert of_role == {setting.option for setting in TABLE}
    # What the operator has found out about a store is in the record, and is not a person's to set.
    fields = {field.name for field in dataclasses.fields(RoleSettings)}
    assert fields == {"capabilities", *(setting.name for setting in TABLE)}


def _role_options() -> list[click.Option]:
    command = click.Command("plan")
    for add in ROLE_OPTIONS:
        add(command)
    return [option for option in command.params if isinstance(option, click.Option)]


# A setting of the table, its value in an environment variable, and whether the value is valid.
VALUES = [
    ("DELETION_POLICY", "Retain", True), ("DELETION_POLICY", "retain", False), ("DELETION_POLICY", "Keep", False),
    ("IAM_PATH", "/a/b/", True), ("IAM_PATH", "a", False), ("IAM_PATH", "/a*/", False),
    ("PERMISSIONS_BOUNDARY", ARN, True), ("PERMISSIONS_BOUNDARY", "tenant", False),
    ("OIDC_PROVIDER_ARN", "arn:aws:iam::123456789012:oidc-provider/issuer.example/id", True),
    ("OIDC_PROVIDER_ARN", "issuer.example/id", False),
    ("EKS_CLUSTER_ARN", "arn:aws:eks:eu-west-1:123456789012:cluster/a", True), ("EKS_CLUSTER_ARN", "a", False),
    ("ANNOTATE_SERVICE_ACCOUNTS", "true", True), ("ANNOTATE_SERVICE_ACCOUNTS", "yes", False),
    ("TAGS", '{"team": "a"}', True), ("TAGS", '{"aws:a": "b"}', False), ("TAGS", "team=a", False),
    ("TAGS", '{"a": 1}', False), ("TAGS", "[]", False), ("TAGS", '{"Agill.apps/a": "b"}', False),
    ("RESOURCE_LABELS", '{"team": "a"}', True), ("RESOURCE_LABELS", '{"team": "a b"}', False),
    ("RESOURCE_LABELS", '{"agill.apps/s3": "a"}', False), ("RESOURCE_LABELS", "team=a", False),
    ("RESOURCE_ANNOTATIONS", '{"note": "a b"}', True), ("RESOURCE_ANNOTATIONS", '{"a b": "c"}', False),
    ("ALLOWED_POLICIES", f"{ARN},{ARN}2", True), ("ALLOWED_POLICIES", f"{ARN}, tenant", False),
    ("ALLOWED_GROUPS", "a,b", True), ("ALLOWED_GROUPS", "a b", True), ("ALLOWED_GROUPS", "a/b", False),
    ("ALLOWED_SETTINGS", "corsRules,notifications", True), ("ALLOWED_SETTINGS", "all", True),
    ("ALLOWED_SETTINGS", "none", True), ("ALLOWED_SETTINGS", "cors", False), ("ALLOWED_SETTINGS", "all,none", False),
    ("ALLOWED_SETTINGS", "bucketACL", False),
    ("IAM_SETTLE", "0", True), ("IAM_SETTLE", "-1", False), ("IAM_SETTLE", "soon", False),
    ("EMPTY_TIME", "10", True), ("EMPTY_TIME", "0", True), ("EMPTY_TIME", "-1", False), ("EMPTY_TIME", "1.5", False),
    ("PROVIDER", "Other", True), ("PROVIDER", "other", False), ("PROVIDER", "Ceph", False),
    ("ACCOUNT_ID", "RGW33567154695143645", True), ("ACCOUNT_ID", "000000000000", True),
    ("ACCOUNT_ID", "a b", False), ("ACCOUNT_ID", "arn:aws:iam::1:root", False),
    ("CLUSTER_NAME", "production", True), ("SERVICE_EXTERNAL_NAME", "s3.example", True),
]  # fmt: skip


@pytest.mark.parametrize(("name", "text", "is_valid"), VALUES, ids=[f"{name}={text[:20]}" for name, text, _ in VALUES])
def test_playbook_and_operator_take_the_same_values(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str, is_valid: bool
) -> None:
    setting = next(setting for setting in TABLE if setting.environment == name)
    monkeypatch.setenv(name, text)
    try:
        given: Any = run.make_context("run", []).params[setting.name]
    except click.BadParameter:
        given = None
    try:
        read = of_environment({name: text})[setting.name]
        message = ""
    except ReconcileError as refusal:
        read, message = None, refusal.message
    assert (given is not None, read is not None) == (is_valid, is_valid)
    assert is_valid or message.startswith(name), "the error names the variable that a person gave"
    assert (list(given) if isinstance(given, tuple) else given) == read


def test_wrong_variable_of_the_role_is_named_and_defaults_are_not_given() -> None:
    assert of_variables({"iam_path": "", "tags": {}, "deletion_policy": "Retain"}) == {"deletion_policy": "Retain"}
    with pytest.raises(ReconcileError, match="s3bucket_deletion_policy: must be Delete or Retain"):
        of_variables({"deletion_policy": "retain"})


@pytest.mark.parametrize("name", ["S3_OPERATOR_TAGS", "S3_OPERATOR_IAM_SETTLE_S", "S3_OPERATOR_EMPTY_TIME_S"])
def test_variable_that_earlier_playbooks_read_is_refused_with_its_name_of_today(name: str) -> None:
    today = name.removeprefix("S3_OPERATOR_").removesuffix("_S")
    with pytest.raises(ReconcileError, match=f"{name}: is not read: its name is {today},"):
        refuse_former_names({name: "", "S3_OPERATOR_PORT": "tcp://10.0.0.1"})


def test_misspelled_variable_has_a_suggestion_and_ones_of_a_persons_own_are_left() -> None:
    known = ["s3bucket_deletion_policy", "s3bucket_cr", "s3bucket_name", "s3bucket_iam_path"]
    unknown = ["s3bucket_deletionpolicy", "S3BUCKET_IAM_PATH", "s3-bucket_iam_pth", "s3bucket_crs", "s3bucket_owner"]
    misspelled, others = find_unknown([*known, *unknown, "bucket", "_s3bucket_iam_path"], known)
    assert misspelled == [
        "S3BUCKET_IAM_PATH (did you mean s3bucket_iam_path?)",
        "s3-bucket_iam_pth (did you mean s3bucket_iam_path?)",
        "s3bucket_deletionpolicy (did you mean s3bucket_deletion_policy?)",
    ]
    assert others == ["s3bucket_crs", "s3bucket_owner"]


def deployment(*arguments: str, env: Any = (), command: Any = ("s3-operator",), **container: Any) -> dict[str, Any]:
    """The Deployment of an operator."""
    one = {"name": "main", "command": list(command), "args": ["run", *arguments], "env": list(env), **container}
    pod = {"spec": {"containers": [{"name": "sidecar", "image": "a"}, one]}}
    return {"metadata": {"namespace": "ops", "name": "s3"}, "spec": {"replicas": 0, "template": pod}}


def read_of(*arguments: str, **parts: Any) -> Read:
    found = read_deployment(deployment(*arguments, **parts))
    assert found is not None
    return found


def test_deployment_has_the_settings_of_its_arguments_which_count_more_than_its_variables() -> None:
    env = [{"name": "IAM_PATH", "value": "/env/"}, {"name": "TAGS", "value": '{"a": "b"}'}, {"name": "CLUSTER_NAME"}]
    read = read_of("--iam-path", "/args/", "--allowed-group=a", "--allowed-group=b,c", env=env)
    assert read == Read({"iam_path": "/args/", "tags": {"a": "b"}, "allowed_groups": ["a", "b", "c"]}, {})


@pytest.mark.parametrize(
    ("parts", "source"),
    [
        ({"env": [{"name": "IAM_PATH", "valueFrom": {"secretKeyRef": {"name": "a"}}}]}, "comes from a secretKeyRef"),
        ({"envFrom": [{"configMapRef": {"name": "a"}}]}, "may come from envFrom"),
        ({"env": [{"name": "IAM_PATH", "value": "$(BASE)"}]}, "comes from a reference"),
    ],
    ids=["configmap", "env-from", "reference"],
)  # fmt: skip
def test_value_that_the_deployment_does_not_show_must_be_given(parts: dict[str, Any], source: str) -> None:
    read = read_of(**parts)
    assert f"IAM_PATH of Deployment ops/s3 {source}" == read.unknown["iam_path"]
    assert any("give its value with -e s3bucket_iam_path=VALUE" in text for text in find_differences({}, read))
    assert not any("iam_path" in text for text in find_differences({"iam_path": "/a/"}, read))
    assert read_of("--iam-path=/a/", **parts).given["iam_path"] == "/a/"


def test_other_deployments_are_none_of_an_operator() -> None:
    assert read_deployment(deployment(command=["/manager"])) is None
    assert read_deployment(deployment(command=["s3-operator"], args=["check"])) is None


def test_differences_name_both_values_and_leave_out_what_means_the_same() -> None:
    read = read_of("--deletion-policy=Retain", "--iam-path=/", "--iam-settle=5")
    assert find_differences({"deletion_policy": "Retain"}, read) == []
    assert find_differences({"tags": {"a": "b"}}, read) == [
        's3bucket_deletion_policy is not set here and "Retain" there',
        's3bucket_tags is {"a": "b"} here and not set there',
    ]
    assert find_differences({"deletion_policy": "Delete"}, read_of()) == []


def test_operator_of_other_namespaces_is_not_compared() -> None:
    by_env = deployment(env=[{"name": "WATCH_NAMESPACE", "value": "a,b"}])
    assert [watches(by_env, name) for name in ("a", "c", "")] == [True, False, True]
    assert not watches(deployment("--watch-namespace=a"), "c")
    assert watches(deployment(), "c")


def strings_in(path: Path) -> Iterator[str]:
    """The string constants of a Python file without the docstrings. Each f-string is one text."""
    tree = ast.parse(path.read_text())
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            skipped.update(id(part) for part in node.values)
            yield "".join(part.value for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
            yield node.value


def test_message_that_names_an_option_of_the_operator_names_the_roles_variable_too() -> None:
    """Users of the operator and users of the role read the same message."""
    files = [path for path in CORE.rglob("*.py") if path.name != "role_settings.py"]
    texts = [text for path in files for text in strings_in(path)]
    for setting in TABLE:
        naming = [text for text in texts if re.search(rf"{setting.option}\b", text)]
        assert all(setting.variable in text for text in naming), naming
    assert any("--cluster-name" in text for text in texts), "the texts are found"


def test_all_optional_settings_but_replication_are_allowed_by_default() -> None:
    assert set(allowed.FIELDS) - set(allowed.DEFAULT) == {"replication"}
    assert RoleSettings().allowed_settings == allowed.DEFAULT
    assert RoleSettings.from_record({"allowed_settings": []}).allowed_settings == ()
    with pytest.raises(
        ReconcileError, match="s3bucket_allowed_settings: there is no optional setting cors: it must be"
    ):
        RoleSettings.from_record({"allowed_settings": ["corsRules", "cors"]})
