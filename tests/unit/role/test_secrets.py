"""The entries of a Secret in each layout, and their comparison without secret values."""

from __future__ import annotations

import base64
import configparser
import json
from dataclasses import replace
from typing import Any

import pytest

from s3bucket import children, secrets
from s3bucket.errors import ReconcileError
from s3bucket.keys import Pair, fingerprint_of
from s3bucket.metadata import Metadata, Record
from s3bucket.secrets import LAYOUTS, SOURCES, Facts, WantedSecret

ID, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
PAIR = Pair(ID, fingerprint_of(SECRET))
FACTS = Facts("photos", "eu-west-1", "https://s3.eu-west-1.amazonaws.com", "arn:aws:s3:::photos")
ALL_KEYS = {f"my-{source}": source for source in SOURCES}
_AWS = {"AWS_ACCESS_KEY_ID": ID, "AWS_SECRET_ACCESS_KEY": SECRET}


def texts_of(layout: str, keys: dict[str, str] | None = None) -> dict[str, str]:
    return secrets.texts_of(WantedSecret("a", layout=layout, keys=keys or {}).entries, FACTS, ID, SECRET)


def data_of(layout: str, keys: dict[str, str] | None = None) -> dict[str, str]:
    return secrets.data_of(WantedSecret("a", layout=layout, keys=keys or {}).entries, FACTS, ID, SECRET)


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_aws_layout_is_that_of_the_go_operator() -> None:
    assert texts_of("AWS") == _AWS


def test_env_layout_has_what_sdks_read_from_the_environment() -> None:
    assert texts_of("Env") == {
        **_AWS,
        "AWS_REGION": "eu-west-1",
        "BUCKET_NAME": "photos",
        "AWS_ENDPOINT_URL_S3": "https://s3.eu-west-1.amazonaws.com",
    }


def test_file_layout_is_a_shared_credentials_file() -> None:
    found = configparser.ConfigParser()
    found.read_string(texts_of("File")["credentials"])
    assert dict(found["default"]) == {
        "aws_access_key_id": ID,
        "aws_secret_access_key": SECRET,
        "region": "eu-west-1",
    }


def test_cosi_layout_is_a_bucket_info() -> None:
    found = json.loads(texts_of("COSI")["BucketInfo"])
    assert found["spec"] == {
        "bucketName": "photos",
        "authenticationType": "KEY",
        "secretS3": {
            "endpoint": "https://s3.eu-west-1.amazonaws.com",
            "region": "eu-west-1",
            "accessKeyID": ID,
            "accessSecretKey": SECRET,
        },
        "secretAzure": None,
        "protocols": ["s3"],
    }


@pytest.mark.parametrize(
    ("endpoint", "host", "port"),
    [
        ("https://s3.eu-west-1.amazonaws.com", "s3.eu-west-1.amazonaws.com", "443"),
        ("http://minio:9000", "minio", "9000"),
        ("http://minio", "minio", "80"),
        ("http://[::1]:9000", "::1", "9000"),
    ],
)
def test_obc_layout_has_rooks_config_map(endpoint: str, host: str, port: str) -> None:
    assert texts_of("OBC") == _AWS
    assert secrets.config_map_data(replace(FACTS, endpoint=endpoint)) == {
        "BUCKET_HOST": host,
        "BUCKET_NAME": "photos",
        "BUCKET_PORT": port,
        "BUCKET_REGION": "eu-west-1",
        "BUCKET_SUBREGION": "",
    }


def test_keys_add_entries_and_rename_those_of_the_layout() -> None:
    assert texts_of("AWS", {"id": "accessKeyID", "host": "host", "arn": "arn"}) == {
        "id": ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "host": "s3.eu-west-1.amazonaws.com",
        "arn": "arn:aws:s3:::photos",
    }
    both = {"id": "accessKeyID", "AWS_ACCESS_KEY_ID": "accessKeyID"}
    assert texts_of("AWS", both) == {**_AWS, "id": ID}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"layout": "Vault"}, "spec.secret.layout: must be one of AWS, Env", id="layout"),
        pytest.param({"name": "A"}, "spec.secret.name: is not a name of a Secret", id="name"),
        pytest.param({"name": "a" * 254}, "spec.secret.name: is not a name of a Secret", id="name-long"),
        pytest.param({"type": "Opaque"}, "spec.secret.type: there is no such field", id="field"),
        pytest.param({"keys": {"a": "password"}}, "spec.secret.keys[a]: must be one of accessKeyID", id="source"),
        pytest.param({"keys": {"a/b": "arn"}}, "spec.secret.keys[a/b]: is not a key of a Secret", id="key"),
        pytest.param({"keys": {"__ansible_unsafe": "arn"}}, "spec.secret.keys[__ansible_unsafe]", id="key-ansible"),
        pytest.param({"keys": {f"k{n}": "arn" for n in range(17)}}, "at most 16", id="many-keys"),
        pytest.param(
            {"keys": {"AWS_SECRET_ACCESS_KEY": "arn"}},
            "replaces secretAccessKey, which the Secret must hold",
            id="lost",
        ),
        pytest.param(
            {"layout": "File", "keys": {"credentials": "arn"}}, "replaces credentials, which the Secret", id="lost-file"
        ),
        pytest.param(
            {"labels": {"agill.apps/s3": "a"}}, "spec.secret.labels[agill.apps/s3]: the prefix", id="reserved"
        ),
        pytest.param({"labels": {"app.kubernetes.io/managed-by": "a"}}, "are reserved", id="reserved-manager"),
        pytest.param({"annotations": {"agill.apps/key": "a"}}, "annotations[agill.apps/key]: the prefix", id="note"),
        pytest.param({"labels": {"a": "b c"}}, "spec.secret.labels[a]: is not a value of a label", id="value"),
        pytest.param({"labels": {"a b": "c"}}, "spec.secret.labels[a b]: is not a key", id="label"),
        pytest.param({"labels": {"/a": "c"}}, "spec.secret.labels[/a]: is not a key", id="label-slash"),
        pytest.param({"labels": {"a": 1}}, "spec.secret.labels[a]: must be a string", id="number"),
        pytest.param({"annotations": {"a": "b" * 1025}}, "has more than 1024 characters", id="note-long"),
        pytest.param({"annotations": {f"k{n}": "" for n in range(17)}}, "at most 16", id="many-notes"),
        pytest.param([], "spec.secret: must be an object", id="list"),
    ],
)
def test_error_names_the_field(spec: Any, message: str) -> None:
    with pytest.raises(ReconcileError) as caught:
        secrets.secret_of(spec, "spec.secret", "photos-iam-secret")
    assert message in caught.value.message


def test_labels_of_the_spec_have_precedence_over_common_ones() -> None:
    common = Metadata({"team": "all", "tier": "1"}, {"note": "all"})
    assert secrets.secret_of(None, "spec.secret", "a", common).labels == common.labels
    found = secrets.secret_of({"labels": {"team": "photos"}}, "spec.secret", "a", common)
    assert (found.labels, found.annotations) == ({"team": "photos", "tier": "1"}, {"note": "all"})


def test_bad_name_does_not_keep_an_object_from_being_deleted() -> None:
    assert secrets.former_secret_of({"name": "A B"}, "photos-iam-secret").name == "photos-iam-secret"
    assert secrets.former_secret_of({"name": "keys"}, "photos-iam-secret").name == "keys"


@pytest.mark.parametrize("keys", [{}, ALL_KEYS], ids=["layout", "all-keys"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_entry_is_compared_without_the_secret(layout: str, keys: dict[str, str]) -> None:
    wanted = WantedSecret("a", layout=layout, keys=keys)
    expected = secrets.wanted_fingerprints(wanted.entries, FACTS, PAIR)
    data = data_of(layout, keys)
    found = secrets.reduced(data, wanted.record)
    assert secrets.is_data_same(found, expected)
    assert secrets.pair_in(found, PAIR) == PAIR
    assert secrets.find_secret_value(data, PAIR, wanted.record) == SECRET
    # Whoever signs a request with the key finds it in any layout.
    assert children.values_in({"data": secrets.key_data(data, PAIR, wanted.record)}) == (ID, SECRET)
    assert SECRET not in repr(found)
    for name in data:
        for edited in ({**data, name: encoded("x")}, {key: data[key] for key in data if key != name}):
            assert not secrets.is_data_same(secrets.reduced(edited, wanted.record), expected), name


@pytest.mark.parametrize(
    ("layout", "old", "new"),
    [
        *((layout, old, new) for layout in ("File", "COSI") for old, new in ((SECRET, "x"), (ID, "y"), ("eu", "us"))),
        ("File", "\n", "\n\n"),
        ("COSI", "{", "{ "),
    ],
)
def test_any_edit_of_a_document_is_seen(layout: str, old: str, new: str) -> None:
    name, text = next(iter(texts_of(layout).items()))
    wanted = WantedSecret("a", layout=layout)
    found = secrets.reduced({name: encoded(text.replace(old, new))}, wanted.record)
    assert not secrets.is_data_same(found, secrets.wanted_fingerprints(wanted.entries, FACTS, PAIR))


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {"AWS_ACCESS_KEY_ID": None},
        {"AWS_SECRET_ACCESS_KEY": "not base64"},
        {"credentials": encoded("aws_secret_access_key = ")},
        {"BucketInfo": encoded('{"spec": {"secretS3": []}}')},
        {"BucketInfo": encoded('{"spec": [')},
        {"BucketInfo": encoded("[" * 4000)},
        {"BucketInfo": encoded("1")},
        {"BucketInfo": encoded('{"spec": {"secretS3": {"accessKeyID": "A", "accessSecretKey": "\\ud800"}}}')},
        {"BucketInfo": encoded('{"spec": {"secretS3": {"accessKeyID": "\\udfff", "accessSecretKey": "a"}}}')},
        {"BucketInfo": "/w=="},
    ],
)
def test_data_of_any_form_has_no_pair(data: Any) -> None:
    assert secrets.pair_in(secrets.reduced(data, Record()), PAIR) is None


def test_document_is_not_searched_when_it_is_large() -> None:
    secret = "a"
    text = f"aws_access_key_id = {ID}\naws_secret_access_key = {secret}\n" + secret * 1_000_000
    found = secrets.reduced({"credentials": encoded(text)}, Record())
    assert found["pairs"] == []


def test_own_entries_are_kept_beside_many_others() -> None:
    wanted = WantedSecret("a", layout="Env", keys=ALL_KEYS)
    data = {**{f"AAA-{number}": "eA==" for number in range(1000)}, **data_of("Env", ALL_KEYS)}
    found = secrets.reduced(data, wanted.record)
    assert secrets.is_data_same(found, secrets.wanted_fingerprints(wanted.entries, FACTS, PAIR))
    assert len(found["fingerprints"]) == 32


@pytest.mark.parametrize(
    ("url", "region", "endpoint"),
    [
        ("https://s3.amazonaws.com", "us-east-1", "https://s3.us-east-1.amazonaws.com"),
        ("https://s3.eu-west-1.amazonaws.com", "eu-west-1", "https://s3.eu-west-1.amazonaws.com"),
        ("https://s3.cn-north-1.amazonaws.com.cn", "cn-north-1", "https://s3.cn-north-1.amazonaws.com.cn"),
        ("http://minio:9000/", "eu-west-1", "http://minio:9000"),
        ("", "eu-west-1", "https://s3.eu-west-1.amazonaws.com"),
    ],
)
def test_endpoint_for_applications(url: str, region: str, endpoint: str) -> None:
    assert secrets.endpoint_of(url, region) == endpoint


def test_name_of_the_former_secret_comes_from_the_users_tags() -> None:
    moved = WantedSecret("keys", default_name="photos-iam-secret")
    assert moved.tags == {"agill.apps/secret": "keys"}
    assert moved.former_name({}) == "photos-iam-secret"
    assert moved.former_name({"agill.apps/secret": "other"}) == "other"
    assert moved.is_moving({})
    # From before the Secret is written until the former one is deleted, also where the name is changed back.
    assert moved.moving_tags({}) == {"agill.apps/secret": "photos-iam-secret:"}
    assert moved.moving_tags({"agill.apps/secret": "other:"}) == {"agill.apps/secret": "other:"}
    assert moved.former_name({"agill.apps/secret": "keys:"}) == "keys"
    assert moved.is_moving({"agill.apps/secret": "keys:"})
    assert not moved.is_moving({"agill.apps/secret": "keys"})
    assert WantedSecret("photos-iam-secret", default_name="photos-iam-secret").tags == {}
