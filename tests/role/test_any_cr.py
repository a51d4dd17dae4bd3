"""Property: any object that the API server admits becomes Ready or gets a permanent reason.

A second reconcile then changes nothing, and the deletion of the object leaves AWS as it was before.

The objects are generated from the CRD's schema, with unusual but legal text. The environment variable
``FUZZ_EXAMPLES`` sets their number (``make fuzz``); each run then generates others. A failure prints the object. It is
not reduced to a smaller one.
"""

from __future__ import annotations

import json
import os
import re
from collections import ChainMap
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, given, note, settings
from hypothesis import strategies as st
from kubernetes.client.exceptions import ApiException

from dev.examples import example_fields, make_targets
from runner.drift.check import DriftCheck
from runner.objects import S3Object
from runner.yaml_file import read_yaml
from s3bucket.observe import observe_deletion
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.settings import OPTIONAL, tables
from tests.support.world import PROJECT, SETTINGS, World, deleting, requests_of

SCHEMA: dict[str, Any] = read_yaml(PROJECT / "crds" / "s3s.agill.apps.yaml")["spec"]["versions"][0]["schema"][
    "openAPIV3Schema"
]["properties"]["spec"]
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 0)
TEMPLATES = (
    "{{ lookup('pipe', 'id') }}",
    "{% raw %}",
    "__ansible_unsafe",
    "!unsafe",
    "$(id)",
    "\x00",
    "\u202e",
    "'\"\\",
)
# All tests share the names in AWS. The number in the suffix keeps them distinct.
SUFFIX = "-{number}"


def texts(alphabet: str, largest: int) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(alphabet), min_size=1, max_size=largest)


def bucket_names() -> st.SearchStrategy[str]:
    legal = st.from_regex(r"[a-z0-9][a-z0-9.-]{0,52}", fullmatch=True)
    return legal.map(lambda name: f"{name}{SUFFIX}")


def user_names() -> st.SearchStrategy[str]:
    characters = "azAZ09_+=,.@-"
    return st.one_of(texts(characters, 12), texts(characters, 54)).map(lambda name: f"{name}{SUFFIX}")


def tags() -> st.SearchStrategy[dict[str, str]]:
    legal = st.text(st.characters(categories=["L", "N", "Zs"], include_characters="_.:/=+@-"), max_size=20)
    text = st.one_of(legal, st.sampled_from(TEMPLATES), st.sampled_from(["a" * 128, "aws", "AWS:x", "é" * 100]))
    return st.dictionaries(text.filter(len), text, max_size=5)


def statements() -> st.SearchStrategy[dict[str, Any]]:
    arn = "arn:aws:s3:::{bucket}"
    parts = {
        "Effect": st.sampled_from(["Allow", "Deny", "Perhaps"]),
        "Principal": st.sampled_from([
            "*", {"AWS": "*"}, {"AWS": "123456789012"}, {"AWS": ["arn:aws:iam::123456789012:root"]},
            {"AWS": "arn:aws:iam::123456789012:user/nobody"}, {"Service": "logging.s3.amazonaws.com"}, "nobody",
        ]),
        "Action": st.sampled_from([
            f"s3:{'*' * 30}x", f"s3:{'*Get*' * 30}",
            "s3:GetObject", "S3:getobject", "s3:*", ["s3:GetObject", "s3:PutObject"], "s3:ListBucket", "s3:Put*",
            "ec2:RunInstances", "s3:PutBucketTagging", "*",
        ]),
        "Resource": st.sampled_from([f"{arn}/*", arn, [arn, f"{arn}/*"], f"{arn}/a/b", "arn:aws:s3:::other/*", "*"]),
    }  # fmt: skip
    more = {
        "Sid": st.one_of(texts("aZ09", 8), st.sampled_from(TEMPLATES)),
        "Condition": st.sampled_from([
            {"Bool": {"aws:SecureTransport": "false"}}, {"StringEquals": {"aws:PrincipalAccount": "999999999999"}},
        ]),
        "Extra": st.just("field"),
    }  # fmt: skip
    return st.fixed_dictionaries(parts, optional=more)


def policies() -> st.SearchStrategy[str]:
    documents = st.fixed_dictionaries(
        {"Statement": st.one_of(st.lists(statements(), max_size=2), statements())},
        optional={"Version": st.sampled_from(["2012-10-17", "2008-10-17"]), "Id": st.sampled_from(TEMPLATES)},
    )
    broken = ["", " \n", "{}", "{ }", '{"Statement": [}', '{"a": 1}', "{" + TEMPLATES[0] + "}", '{"Statement": "x"}']
    broken += ['{"Statement": [{"Sid": "\\ud800"}]}', '{"Id": "a", "Id": "b"}', '{"a":' * 50 + "1" + "}" * 50]
    return st.one_of(documents.map(json.dumps), st.sampled_from(broken))


# Values to try in fields for which the schema allows any text.
TEXTS: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
    "region": lambda: st.sampled_from(["us-east-1", "eu-west-1", "ap-southeast-2", "xx-nowhere-1"]),
    "bucketName": bucket_names,
    "iamUser.username": user_names,
    "bucketPolicy": policies,
    "tags": tags,
}


def values_of(schema: dict[str, Any], path: str = "") -> st.SearchStrategy[Any]:
    """Values that match a schema. The CEL rules are not taken into account."""
    if path in TEXTS:
        return TEXTS[path]()
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema["type"] == "boolean":
        return st.booleans()
    if schema["type"] == "integer":
        return st.integers(schema["minimum"], schema["maximum"])
    if schema["type"] == "string":
        return st.one_of(texts("aZ09*:/.", 20), st.sampled_from(TEMPLATES))
    if schema["type"] == "array":
        size = min(schema["maxItems"], 3)
        return st.lists(values_of(schema["items"], f"{path}[]"), max_size=size, unique_by=json.dumps)
    if "properties" not in schema:
        # A map of strings, such as the tags of a filter.
        return st.dictionaries(texts("aZ09", 9), texts("aZ09", 9), max_size=3)
    fields = {
        name: values_of(field, f"{path}.{name}".lstrip(".")) for name, field in sorted(schema["properties"].items())
    }
    required = schema.get("required", [])
    return st.fixed_dictionaries(
        {name: fields[name] for name in required},
        optional={name: values for name, values in fields.items() if name not in required},
    )


def optional_values() -> st.SearchStrategy[dict[str, Any]]:
    """A few of the optional settings, mostly with values of their tables: hardly any value of a schema alone is legal.

    A case may have other fields that its value needs.
    """
    legal = [
        {**example_fields(setting.name), **case.spec}
        for setting in OPTIONAL
        for case in tables()[setting.name].CASES.values()
    ]
    fields = [field for setting in OPTIONAL for field in (setting.field, *setting.more_fields)]
    generated = st.one_of(
        [st.fixed_dictionaries({field: values_of(SCHEMA["properties"][field], field)}) for field in fields]
    )
    # Four of five are legal.
    one = st.integers(0, 4).flatmap(lambda number: st.sampled_from(legal) if number else generated)
    return st.lists(one, max_size=3).map(lambda parts: dict(ChainMap(*parts)))


def specs() -> st.SearchStrategy[dict[str, Any]]:
    """Whole specs."""
    optional = {field for setting in OPTIONAL for field in (setting.field, *setting.more_fields)}
    others = {name: field for name, field in SCHEMA["properties"].items() if name not in optional}
    plain = values_of({**SCHEMA, "properties": others})
    return st.tuples(plain, optional_values()).map(lambda parts: {**parts[1], **parts[0], **needs(parts[1])})


def needs(optional: dict[str, Any]) -> dict[str, Any]:
    """The fields of older settings that optional ones need."""
    return {name: value for name, value in optional.items() if name.startswith("enable")}


def object_names() -> st.SearchStrategy[str]:
    return st.from_regex(r"[a-z][-a-z0-9]{0,55}", fullmatch=True).map(lambda name: f"{name}{SUFFIX}")


@pytest.fixture(scope="module")
def room(world: World, new_name: Callable[[str], str]) -> str:
    name = new_name("any")
    world.make_namespace(name)
    make_targets(world.s3, world.account)
    return name


@pytest.fixture(scope="module")
def check(world: World) -> Iterator[DriftCheck]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in world.environment().items():
            if name == "KUBECONFIG" or name.startswith("AWS_"):
                patch.setenv(name, value)
        yield DriftCheck(PROJECT, SETTINGS)


def in_aws(world: World) -> dict[str, Any]:
    """All buckets and users that exist, with their tags."""
    buckets = [bucket["Name"] for bucket in world.s3.list_buckets()["Buckets"]]
    details = world.iam.get_account_authorization_details(Filter=["User"])["UserDetailList"]
    return {"buckets": sorted(buckets), "users": sorted(user["UserName"] for user in details)}


def in_namespace(world: World, namespace: str) -> list[str]:
    secrets = world.core.list_namespaced_secret(namespace).items
    services = world.core.list_namespaced_service(namespace).items
    return sorted(item.metadata.name for item in [*secrets, *services])


def changes_in(requests: list[dict[str, Any]]) -> list[str]:
    """The successful writes. A write that AWS rejected is rejected again in the next run."""
    return [request["action"] for request in requests if request["write"] and request["status"] < 400]


@settings(
    max_examples=EXAMPLES or 8,
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    # Each attempt takes seconds, so reducing the example would take longer than reading it.
    phases=[Phase.generate],
    print_blob=False,
    suppress_health_check=list(HealthCheck),
)
@given(name=object_names(), spec=specs())
def test_any_admitted_object_ends_well_and_leaves_nothing(
    world: World, room: str, check: DriftCheck, new_name: Callable[[str], str], name: str, spec: dict[str, Any]
) -> None:
    # An object that is created takes two runs of the role. An object that is refused before that takes none.
    number = new_name("n").partition("-")[2]
    text = json.dumps(spec).replace("{number}", number)
    bucket = json.loads(text)["bucketName"]
    spec = json.loads(text.replace("{bucket}", bucket))
    note(json.dumps(spec, indent=1))
    try:
        cr = world.make_object(room, name.replace("{number}", number), spec)
    except ApiException as error:
        # Objects that the CRD's rules reject are not part of the property.
        assume(error.status not in (400, 422))
        raise
    before = in_aws(world), in_namespace(world, room)

    with requests_of(world) as requests:
        seen = check.compare(S3Object(cr))
    assert [request["action"] for request in requests if request["write"]] == []
    outcome = run_until_it_rests(world, check, cr) if seen.drift else seen
    note(f"{outcome.reason}: {outcome.message}")
    assert outcome.is_done or outcome.retry == Retry.PERMANENT
    if not outcome.is_done:
        assert re.match(r"spec\.|metadata\.|bucket |IAM user ", outcome.message), "it names what is wrong"

    if seen.drift:
        gone = world.reconcile(deleting(cr)).outcome
        check.forget(S3Object(cr))
        note(json.dumps(gone))
        assert gone["done"]
        if "was retained" in gone["message"]:
            assert spec["deletionPolicy"] == "Retain"
            world.aws.gate.delete_policy_as_root(bucket)
            world.s3.delete_bucket(Bucket=bucket)
    assert observe_deletion(world.wanted(deleting(cr)), world.sources()).differs == []
    assert (in_aws(world), in_namespace(world, room)) == before


def run_until_it_rests(world: World, check: DriftCheck, cr: dict[str, Any]) -> Outcome:
    """Run the role, and compare again: the second time nothing changes, and the result is the same."""
    run = world.reconcile(cr)
    check.forget(S3Object(cr))
    assert run.outcome, run.output
    outcome = run.outcome
    with requests_of(world) as requests:
        seen = check.compare(S3Object(cr))
        # An error that only AWS reports is reported again by a second role run.
        again = world.reconcile(cr).outcome if seen.drift else None
    assert changes_in(requests) == []
    assert not (outcome["done"] and seen.drift), f"differs still: {seen.drift}"
    again = again or {"done": seen.is_done, "reason": seen.reason.value, "message": seen.message}
    words = ("done", "reason", "message")
    assert {word: again[word] for word in words} == {word: outcome[word] for word in words}
    return Outcome(outcome["done"], Reason(outcome["reason"]), outcome["message"], outcome["retry"])
