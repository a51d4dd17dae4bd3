"""The conformance table: each value of a setting as AWS's own read calls return it.

For each setting the example is applied unchanged. Then its spec is changed to each case of tests/settings/, and at last
the field is removed.
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.examples import example_fields, example_of, make_targets
from runner.yaml_file import read_yaml
from s3bucket.api import GROUP, PLURAL, VERSION
from s3bucket.outcome import Reason
from s3bucket.setting import Setting
from tests.support import ack
from tests.support.settings import OPTIONAL, Case, reads_of_others, tables
from tests.support.world import PROJECT, World, deleting, requests_of

SCHEMA: dict[str, Any] = read_yaml(PROJECT / "crds" / "s3s.agill.apps.yaml")["spec"]["versions"][0]["schema"][
    "openAPIV3Schema"
]["properties"]["spec"]["properties"]
each_setting = pytest.mark.parametrize("setting", OPTIONAL, ids=lambda setting: setting.name)


@pytest.fixture(scope="module")
def _targets(world: World) -> None:
    make_targets(world.s3, world.account)


def answer_of(world: World, bucket: str, setting: Setting) -> Any:
    """The answer of AWS's read call, or its error code."""
    try:
        answer = getattr(world.s3, setting.read.operation.method)(Bucket=bucket)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return {name: value for name, value in answer.items() if name not in ("ResponseMetadata", "IsTruncated")}


def apply(world: World, cr: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """Replace the object's spec in the API server, and run the role."""
    metadata = cr["metadata"]
    current = world.custom.get_namespaced_custom_object(GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"])
    stored: dict[str, Any] = world.custom.replace_namespaced_custom_object(
        GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"], {**current, "spec": spec}
    )
    run = world.reconcile(stored)
    assert run.outcome["reason"] == Reason.READY, run.output
    assert world.differs(stored) == [], "what AWS adds is not a difference"
    return stored


@each_setting
@pytest.mark.usefixtures("_targets")
def test_each_value_is_what_aws_returns_and_is_cleared(world: World, namespace: str, setting: Setting) -> None:
    table, example = tables()[setting.name], example_of(setting.name)
    cases: dict[str, Case] = table.CASES
    cr = world.make_object(namespace, example["metadata"]["name"], example["spec"])
    bucket = cr["spec"]["bucketName"]
    for name, case in cases.items():
        cr = apply(world, cr, {**example["spec"], **case.spec})
        assert answer_of(world, bucket, setting) == case.answer, name
    cr = apply(world, cr, {key: value for key, value in cr["spec"].items() if key != setting.field})
    assert answer_of(world, bucket, setting) == table.CLEARED
    with requests_of(world) as requests:
        assert world.differs(cr) == []
    reads = [request["action"] for request in requests].count(setting.read.operation.name)
    assert reads == reads_of_others(setting), "cleared: not read again"
    assert world.reconcile(deleting(cr)).outcome["done"]


@each_setting
def test_cases_have_each_field_of_the_crd(setting: Setting) -> None:
    given: set[str] = set()
    for spec in (example_fields(setting.name), *(case.spec for case in tables()[setting.name].CASES.values())):
        given |= set(paths_in(spec.get(setting.field), setting.field))
    assert set(leaves_of(SCHEMA[setting.field], setting.field)) - given == set()


def leaves_of(schema: dict[str, Any], path: str) -> list[str]:
    """The leaves of a schema, as paths."""
    if "items" in schema and schema["items"]["type"] in ("object", "array"):
        return leaves_of(schema["items"], path)
    if "properties" not in schema:
        return [path]
    return [leaf for name, part in schema["properties"].items() for leaf in leaves_of(part, f"{path}.{name}")]


def paths_in(value: Any, path: str) -> list[str]:
    """The paths of a value, in the same form."""
    if isinstance(value, dict):
        return [path, *(leaf for name, part in value.items() for leaf in paths_in(part, f"{path}.{name}"))]
    if isinstance(value, list):
        return [path, *(leaf for part in value for leaf in paths_in(part, path))]
    return [path]


@pytest.mark.parametrize("leaf", ack.LEAVES)
def test_each_leaf_of_acks_spec_is_in_a_case_or_left_out_for_a_reason(leaf: str) -> None:
    if leaf in ack.LEFT_OUT or leaf in ack.ELSEWHERE:
        return
    field = leaf.partition(".")[0].removesuffix("[]")
    names = keys_in([case.answer for case in tables()[ack.SETTING_OF[field]].CASES.values()])
    last = leaf.rpartition(".")[2].removesuffix("[]")
    assert ack.NAMES.get(leaf, last).lower() in names


def keys_in(value: Any) -> set[str]:
    """All keys of an answer at any depth, in lower case."""
    if isinstance(value, dict):
        return {str(key).lower() for key in value} | {key for part in value.values() for key in keys_in(part)}
    if isinstance(value, list):
        return {key for part in value for key in keys_in(part)}
    return set()


def test_acks_leaves_are_166() -> None:
    assert len(ack.LEAVES) == 166
    assert set(ack.LEFT_OUT) | set(ack.ELSEWHERE) <= set(ack.LEAVES)
    for where in ack.ELSEWHERE.values():
        assert (PROJECT / where).exists()


def test_each_setting_has_a_table_and_an_example() -> None:
    assert sorted(tables()) == sorted(setting.name for setting in OPTIONAL)
