"""A user's defaults may have only some fields. An error names the variable and the field."""

from __future__ import annotations

from typing import Any

import pytest

from s3bucket import allowed
from s3bucket.defaults import DEFAULTS, defaults_of
from s3bucket.errors import ReconcileError
from s3bucket.spec import OPERATOR_TAGS


def test_partial_defaults_are_merged_with_the_roles_own() -> None:
    found = defaults_of({"forceDelete": False, "service": {}}, "Retain", {"team": "a"})
    expected = {"forceDelete": False, "deletionPolicy": "Retain", OPERATOR_TAGS: {"team": "a"}}
    expected[allowed.KEY] = list(allowed.DEFAULT)
    assert found == {**DEFAULTS, **expected}
    # Ansible passes -e s3bucket_defaults='{...}' as text.
    assert defaults_of('{"bucketACL": "public-read"}')["bucketACL"] == "public-read"
    assert defaults_of({"service": {"enabled": False}})["service"] == {"enabled": False}
    assert defaults_of({}) == {**DEFAULTS, OPERATOR_TAGS: {}, allowed.KEY: list(allowed.DEFAULT)}


BAD: list[tuple[Any, str]] = [
    ([], "s3bucket_defaults: must be a map"),
    ("{", "s3bucket_defaults: must be a map"),
    (None, "s3bucket_defaults: must be a map"),
    ({"region": "us-east-1"}, "s3bucket_defaults.region: there is no such field"),
    ({"bucketAcl": "private"}, "s3bucket_defaults.bucketAcl: there is no such field: it must be one of bucketACL"),
    ({1: 2}, "s3bucket_defaults.1: there is no such field"),
    ({"bucketACL": None}, "s3bucket_defaults.bucketACL: must not be null"),
    ({"bucketACL": "public"}, "s3bucket_defaults.bucketACL: must be one of private"),
    ({"bucketACL": 1}, "s3bucket_defaults.bucketACL: must be a string"),
    ({"enableVersioning": "yes"}, "s3bucket_defaults.enableVersioning: must be true or false"),
    ({"enableVersioning": 1}, "s3bucket_defaults.enableVersioning: must be true or false"),
    ({"forceDelete": "false"}, "s3bucket_defaults.forceDelete: must be true or false"),
    ({"deletionPolicy": "retain"}, "s3bucket_defaults.deletionPolicy: must be one of Delete, Retain"),
    ({"adoptionPolicy": "Always"}, "s3bucket_defaults.adoptionPolicy: must be one of"),
    ({"driftPolicy": "Ignore"}, "s3bucket_defaults.driftPolicy: must be one of"),
    ({"bucketPolicy": "{"}, "s3bucket_defaults.bucketPolicy: is not JSON"),
    ({"bucketPolicy": {}}, "s3bucket_defaults.bucketPolicy: must be a string"),
    ({"tags": []}, "s3bucket_defaults.tags: must be an object"),
    ({"tags": {"a": 1}}, "s3bucket_defaults.tags[a]: must be a string"),
    ({"unmanagedFields": "tags"}, "s3bucket_defaults.unmanagedFields: must be a list"),
    ({"unmanagedFields": [{}]}, "s3bucket_defaults.unmanagedFields: must be a list"),
    ({"service": True}, "s3bucket_defaults.service: must be a map"),
    ({"service": {"enabled": "no"}}, "s3bucket_defaults.service.enabled: must be true or false"),
    ({"service": {"enabled": None}}, "s3bucket_defaults.service.enabled: must not be null"),
    ({"service": {"host": "x"}}, "s3bucket_defaults.service.host: there is no such field: it must be one of enabled"),
]


@pytest.mark.parametrize(("given", "message"), BAD, ids=[str(given) for given, _ in BAD])
def test_wrong_default_is_refused_by_its_field(given: Any, message: str) -> None:
    with pytest.raises(ReconcileError) as refused:
        defaults_of(given)
    assert refused.value.reason == "InvalidSpec"
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize("tags", [["a"], 5, "a", [], 0], ids=str)
def test_tags_of_the_operator_that_are_no_map_are_refused(tags: Any) -> None:
    with pytest.raises(ReconcileError, match="s3bucket_tags: must be a map"):
        defaults_of({}, "", tags)


@pytest.mark.parametrize("policy", ["retain", None, ["Delete"], {}, 0, False], ids=str)
def test_deletion_policy_that_does_not_exist_is_refused(policy: Any) -> None:
    with pytest.raises(ReconcileError, match="s3bucket_deletion_policy: must be Delete or Retain"):
        defaults_of({}, policy)
