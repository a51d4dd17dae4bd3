"""The role's connection variables are the options of the collections. All places name the same required versions."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible._internal._datatag._tags import Origin
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.amazon.aws.plugins.module_utils.modules import aws_argument_spec
from ansible_collections.kubernetes.core.plugins.module_utils.args_common import AUTH_ARG_SPEC
from kubernetes.client import Configuration

from runner.yaml_file import read_yaml
from s3bucket.cluster import ApiServer
from s3bucket.connection import connect, find_kubeconfig
from s3bucket.errors import ReconcileError
from tests.support.modules import load
from tests.support.world import PROJECT, ROLE

SPECS = read_yaml(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["object"]["options"]
# Neither is a part of a connection: the region belongs to the object.
NOT_GIVEN = {"region", "debug_botocore_endpoint_logs"}


ACTION = load(ROLE / "action_plugins" / "s3bucket_info.py")


def with_aliases(specs: dict[str, Any]) -> dict[str, set[str]]:
    return {name: {name, *spec.get("aliases", ())} for name, spec in specs.items()}


def test_every_connection_option_of_the_collections_is_known_by_all_its_names() -> None:
    kubernetes = {name: {name, *aliases} for name, aliases in ACTION._KUBERNETES.items()}
    assert kubernetes == with_aliases(AUTH_ARG_SPEC)
    aws = {name: names for name, names in with_aliases(aws_argument_spec()).items() if name not in NOT_GIVEN}
    own = {
        f"aws_{name}" if name in ("ca_bundle", "config") else name: {name, *aliases} - {"ca_bundle", "config"}
        for name, aliases in ACTION._AWS.items()
    }
    assert own == aws


def test_every_connection_option_is_a_role_variable_and_secret_where_it_is_in_the_collection() -> None:
    aws = aws_argument_spec()
    pairs = {f"s3bucket_{name}": AUTH_ARG_SPEC[name] for name in ACTION._KUBERNETES}
    pairs |= {f"s3bucket_aws_{name}": aws.get(f"aws_{name}") or aws[name] for name in ACTION._AWS}
    for variable, spec in pairs.items():
        assert SPECS[variable]["default"] is None
        assert SPECS[variable].get("no_log") or not spec.get("no_log"), variable


def test_required_versions_are_those_of_the_requirements_and_the_role() -> None:
    listed = yaml.safe_load((PROJECT / "requirements.yml").read_text())["collections"]
    least = {item["name"]: re.search(r">=(\d+)\.(\d+)", item["version"]) for item in listed}
    assert {
        name: tuple(map(int, found.groups())) for name, found in least.items() if found
    } == ACTION.REQUIRED_COLLECTIONS
    galaxy = yaml.safe_load((ROLE / "meta" / "main.yml").read_text())["galaxy_info"]
    assert tuple(map(int, galaxy["min_ansible_version"].split("."))) == ACTION.REQUIRED_CORE


def test_installed_versions_are_sufficient_and_found() -> None:
    assert ACTION.find_outdated() == ""
    assert all(ACTION.find_collection_version(name) for name in ACTION.REQUIRED_COLLECTIONS)
    assert ACTION.find_collection_version("nosuch.collection") is None


@pytest.mark.parametrize(("text", "version"), [("10.1.2", (10, 1)), ("9.0.0-dev1", (9, 0)), ("2.19.0b1", (2, 19))])
def test_version_of_a_text(text: str, version: tuple[int, int]) -> None:
    assert ACTION._version(text) == version


@pytest.mark.parametrize(
    ("kubeconfig", "shown"),
    [("/nosuch/config", "/nosuch/config"), ("nosuch/config:", "{folder}/nosuch/config")],
    ids=["absolute", "relative"],
)
def test_kubeconfig_that_is_missing_is_named(tmp_path: Path, kubeconfig: str, shown: str) -> None:
    message = f"KUBECONFIG names no file that exists: {shown.format(folder=tmp_path)}: correct it, or unset it"
    with pytest.raises(ReconcileError, match=message):
        find_kubeconfig({"KUBECONFIG": kubeconfig}, str(tmp_path))


def test_relative_kubeconfig_is_that_of_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "config").touch()
    found = find_kubeconfig({"KUBECONFIG": f"/nosuch:config:{tmp_path / 'config'}"}, str(tmp_path))
    assert found == {"kubeconfig": f"{tmp_path / 'config'}:{tmp_path / 'config'}"}


CR = {"metadata": {"name": "photos"}, "spec": {"region": "us-east-1", "bucketName": "photos"}}


def tagged(value: Any) -> Any:
    """A value as Ansible passes it, an instance of a class of Ansible's."""
    return Origin(path="/play.yml").tag(value)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"s3bucket_tags": tagged(["a"])}, "s3bucket_tags: must be a map, not a list"),
        ({"s3bucket_tags": "team"}, "s3bucket_tags: must be a map, not text"),
        ({"s3bucket_iam_settle_s": "soon"}, "s3bucket_iam_settle_s: must be a whole number, not text"),
        ({"s3bucket_fail_on_error": tagged([1])}, "s3bucket_fail_on_error: must be true or false, not a list"),
        (
            {"s3bucket_cr": {**CR, "spec": {**CR["spec"], "tags": tagged([1])}}},
            "s3bucket_cr.spec.tags: must be a map, not a list",
        ),
        (
            {"s3bucket_deletion_policy": "retain"},
            "value of s3bucket_deletion_policy must be empty or one of: Delete, Retain, got: retain",
        ),
    ],
    ids=["list", "text", "number", "boolean", "field", "choice"],
)  # fmt: skip
def test_variable_of_a_wrong_type_is_reported_in_plain_words(variables: dict[str, Any], message: str) -> None:
    validator = ArgumentSpecValidator(ACTION.find_options())
    result = validator.validate({"s3bucket_cr": CR, **variables}, validate_role_argument_spec=True)
    assert [ACTION.readable(text) for text in result.error_messages] == [message]


def test_default_of_the_object_is_the_one_that_the_checks_know() -> None:
    assert yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["s3bucket_cr"] == ACTION.DEFAULT_CR


def test_connection_is_shared_by_the_modules_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each connection costs a TLS handshake. In a warm run, the modules are in one process."""
    for name in [name for name in os.environ if name.startswith("K8S_AUTH_") or name == "KUBECONFIG"]:
        monkeypatch.delenv(name)
    # Other tests in this process may have left one, which refreshes its token.
    monkeypatch.setattr(Configuration, "_default", None)
    module: Any = SimpleNamespace(no_log_values=set(), params={"working_directory": "/"})

    def server(**more: str) -> ApiServer:
        return connect(module, json.dumps({"host": "https://kubernetes.example", "api_key": "one", **more}))[0]

    assert server() is server()
    for other in ({"host": "https://other.example"}, {"api_key": "two"}, {"impersonate_user": "somebody"}):
        assert server(**other) is not server(), other
    monkeypatch.setenv("K8S_AUTH_VERIFY_SSL", "false")
    without_check = server()
    monkeypatch.delenv("K8S_AUTH_VERIFY_SSL")
    assert without_check is not server()
