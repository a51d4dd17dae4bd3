"""The contents of a CR, its defaults, and what is refused before any request."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3bucket.errors import ReconcileError
from s3bucket.spec import Wanted, check_namespace, wanted_of


def read(defaults: dict[str, Any], metadata: dict[str, Any] | None = None, **spec: Any) -> Wanted:
    cr = {
        "metadata": {"name": "photos", "namespace": "team", "uid": "u1", **(metadata or {})},
        "spec": {"region": "eu-west-1", "bucketName": "photos-bucket", "iamUser": {"username": "photos"}, **spec},
    }
    return wanted_of(cr, "cluster", defaults)


def test_wanted_of_minimal_cr_has_the_go_operators_meaning(defaults: dict[str, Any]) -> None:
    wanted = read(defaults)
    settings = wanted.settings
    assert (settings["acl"], settings["versioning"], wanted.policy, wanted.deletion_policy, wanted.force_delete) == (
        "private",
        False,
        None,
        "Delete",
        True,
    )
    assert all(settings["public_access_block"].values())
    assert wanted.policy_name == "photos-photos-bucket-s3-restricted"
    assert wanted.secret_name == "photos-iam-secret"
    assert wanted.user_policy["Statement"][0]["Resource"] == [
        "arn:aws:s3:::photos-bucket",
        "arn:aws:s3:::photos-bucket/*",
    ]


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("eusc-de-east-1", "aws-eusc")]
)
def test_wanted_of_region_gives_the_partition(defaults: dict[str, Any], region: str, partition: str) -> None:
    wanted = read(defaults, region=region)
    assert wanted.bucket_arn == f"arn:{partition}:s3:::photos-bucket"
    assert wanted.user_policy["Statement"][0]["Resource"] == [wanted.bucket_arn, f"{wanted.bucket_arn}/*"]


@pytest.mark.parametrize(
    ("bucket", "namespace"),
    [
        ("photos-123456789012-eu-west-1-an", ("123456789012", "eu-west-1")),
        ("photos-999999999999-us-iso-east-1-an", ("999999999999", "us-iso-east-1")),
        ("photos-an", None),
        ("photos-123-eu-west-1-an", None),
        ("photos-123456789012-elsewhere-an", None),
        ("-123456789012-eu-west-1-an", None),
    ],
)
def test_name_of_a_namespace_is_recognized(
    defaults: dict[str, Any], bucket: str, namespace: tuple[str, str] | None
) -> None:
    wanted = read(defaults, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, bucketName=bucket)
    assert wanted.namespace == namespace


@pytest.mark.parametrize(("account", "region"), [("999999999999", "eu-west-1"), ("123456789012", "us-east-1")])
def test_name_in_another_accounts_namespace_is_refused(defaults: dict[str, Any], account: str, region: str) -> None:
    wanted = read(defaults, bucketName="photos-123456789012-eu-west-1-an", region=region)
    with pytest.raises(ReconcileError, match="AWS reserves the name for account 123456789012 in eu-west-1") as refused:
        check_namespace(wanted, account)
    assert (refused.value.reason, refused.value.message.split(":")[0]) == ("InvalidSpec", "spec.bucketName")
    check_namespace(read(defaults, bucketName="photos-123456789012-eu-west-1-an"), "123456789012")


def test_wanted_of_public_acl_opens_only_the_acl_guards(defaults: dict[str, Any]) -> None:
    block = read(defaults, bucketACL="public-read").settings["public_access_block"]
    assert block == {
        "blockPublicACLs": False,
        "ignorePublicACLs": False,
        "blockPublicPolicy": True,
        "restrictPublicBuckets": True,
    }


def test_wanted_of_given_guard_wins_over_what_follows(defaults: dict[str, Any]) -> None:
    block = read(defaults, bucketACL="public-read", publicAccessBlock={"ignorePublicACLs": True}).settings[
        "public_access_block"
    ]
    assert (block["blockPublicACLs"], block["ignorePublicACLs"]) == (False, True)


def test_wanted_of_object_lock_implies_versioning(defaults: dict[str, Any]) -> None:
    assert read(defaults, enableObjectLock=True).settings["versioning"]


def test_wanted_of_service_without_enabled_is_enabled(defaults: dict[str, Any]) -> None:
    assert read(defaults, service={}).service


DENY_ALL = json.dumps({"Statement": [{"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}]})


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"bucketName": "A_b"}, "spec.bucketName: ", id="bucket-name"),
        pytest.param({"bucketName": "192.168.0.1"}, "spec.bucketName: ", id="ip"),
        pytest.param({"bucketName": "a..b"}, "spec.bucketName: ", id="dots"),
        pytest.param({"iamUser": {"username": "a b"}}, "spec.iamUser.username: ", id="user-name"),
        pytest.param({"iamUser": {"username": ""}}, "spec.iamUser.username: ", id="no-user-name"),
        pytest.param({"iamUser": {"username": "u" * 64}, "bucketName": "b" * 50}, "at most 113", id="sum"),
        pytest.param(
            {"iamUser": {"username": "u", "alsoUses": {}}}, "spec.iamUser.alsoUses: must be a list", id="also"
        ),
        pytest.param(
            {"iamUser": {"username": "u", "alsoUses": [{"name": "a/b"}]}},
            "is not the name of an S3 object",
            id="also-name",
        ),
        pytest.param(
            {"iamUser": {"username": "u", "alsoUses": [{"name": "photos"}]}}, "is that of this object", id="also-itself"
        ),
        pytest.param(
            {"iamUser": {"username": "u", "alsoUses": [{"name": "a", "namespace": "b"}]}},
            "there is no such field",
            id="also-namespace",
        ),
        pytest.param({"additionalUsers": {}}, "spec.additionalUsers: must be a list", id="users"),
        pytest.param({"additionalUsers": ["bob"]}, r"spec.additionalUsers\[0\]: must be an object", id="users-text"),
        pytest.param({"additionalUsers": [{}]}, r"spec.additionalUsers\[0\].username: ", id="users-none"),
        pytest.param(
            {"additionalUsers": [{"username": "a b"}]}, r"spec.additionalUsers\[0\].username: ", id="users-name"
        ),
        pytest.param(
            {"additionalUsers": [{"name": "bob"}]}, r"spec.additionalUsers\[0\].name: there is no", id="users-field"
        ),
        pytest.param(
            {"additionalUsers": [{"username": "b_b"}]}, "cannot be part of the name of its Secret", id="users-secret"
        ),
        pytest.param({"additionalUsers": [{"username": "photos"}]}, "is the name of iamUser, too", id="users-first"),
        pytest.param({"additionalUsers": [{"username": "b"}], "iamUser": None}, "needs spec.iamUser", id="users-alone"),
        pytest.param(
            {"additionalUsers": [{"username": "u" * 64}], "bucketName": "b" * 50}, "at most 113", id="users-sum"
        ),
        pytest.param({"bucketPolicy": "{"}, "spec.bucketPolicy: is not JSON", id="no-json"),
        pytest.param({"bucketPolicy": "[]"}, "must hold a JSON object", id="json-list"),
        pytest.param({"bucketPolicy": '{"a": 1}'}, "has no Statement", id="no-statement"),
        pytest.param({"bucketPolicy": DENY_ALL}, "only the account's root user", id="lock-out"),
        pytest.param({"bucketACL": "log-delivery-write"}, "spec.bucketACL: must be one of", id="acl"),
        pytest.param({"deletionPolicy": "Orphan"}, "spec.deletionPolicy: must be one of", id="deletion-policy"),
        pytest.param({"unmanagedFields": ["region"]}, "spec.unmanagedFields: must be a list of", id="unmanaged-field"),
        pytest.param({"unmanagedFields": "tags"}, "spec.unmanagedFields: must be a list of", id="unmanaged-fields"),
        pytest.param({"unmanagedFields": [["tags"]]}, "spec.unmanagedFields: must be a list of", id="unmanaged-list"),
        pytest.param({"driftPolicy": "Ignore"}, "spec.driftPolicy: must be one of Correct, Report", id="drift-policy"),
        pytest.param({"verify": "Write"}, "spec.verify: must be one of Never, Access, ReadWrite", id="verify"),
        pytest.param({"verify": "ReadWrite", "enableObjectLock": True}, "spec.verify: must not be", id="verify-lock"),
        pytest.param({"enableObjectLock": True, "enableVersioning": False}, "spec.enableVersioning", id="lock"),
        pytest.param({"enableTransferAcceleration": True, "bucketName": "a.b.c"}, "with a dot", id="acceleration"),
        pytest.param({"enableVersioning": "yes"}, "spec.enableVersioning: must be true or false", id="no-bool"),
        pytest.param({"tags": {"aws:x": "1"}}, "spec.tags\\[aws:x\\]", id="aws-tag"),
        pytest.param({"tags": {"agill.apps/name": "1"}}, "reserved", id="owner-tag"),
        pytest.param({"tags": {"__ansible_unsafe": "1"}}, "reserved", id="ansible-key"),
        pytest.param({"tags": {"a": 1}}, "put it in quotes", id="tag-number"),
        pytest.param({"tags": {f"k{n}": "" for n in range(43)}}, "at most 42", id="too-many-tags"),
        pytest.param({"region": None}, "spec.region", id="no-region"),
        pytest.param({"region": "Ireland, please"}, "spec.region: is not the name of a region", id="region-words"),
    ],
)
def test_wanted_of_bad_spec_is_refused_by_field(defaults: dict[str, Any], spec: dict[str, Any], message: str) -> None:
    with pytest.raises(ReconcileError, match=message) as refused:
        read(defaults, **spec)
    assert (refused.value.reason, refused.value.retry) == ("InvalidSpec", "permanent")


@pytest.mark.parametrize("spec", [{"bucketPolicy": "{"}, {"bucketName": "A_b"}, {"tags": {"aws:x": "1"}}])
def test_wanted_of_bad_spec_being_deleted_is_read(defaults: dict[str, Any], spec: dict[str, Any]) -> None:
    assert read(defaults, {"deletionTimestamp": "2026-01-01T00:00:00Z"}, **spec).is_deleting


def test_wanted_of_templates_stay_text(defaults: dict[str, Any]) -> None:
    text = "{{ lookup('pipe', 'id') }}"
    assert read(defaults, tags={"a": text}).tags == {"a": text}


def test_effective_of_adopted_bucket_shows_given_fields_only(defaults: dict[str, Any]) -> None:
    effective = read(defaults, enableVersioning=True).effective(is_adopted=True)
    assert effective["enableVersioning"] is True
    assert "bucketACL" not in effective
    assert effective["deletionPolicy"] == "Retain"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param(
            {"bucketPolicy": '{"Statement": [{"Sid": "\\ud800"}]}'}, "spec.bucketPolicy", id="policy-surrogate"
        ),
        pytest.param({"bucketPolicy": "\ud800"}, "spec.bucketPolicy", id="policy-raw-surrogate"),
        pytest.param({"bucketPolicy": "[" * 20_000}, "spec.bucketPolicy", id="policy-deep"),
        pytest.param({"bucketPolicy": "x" * 10**6}, "spec.bucketPolicy", id="policy-long"),
        pytest.param({"bucketPolicy": '{"Statement": [1]}'}, "spec.bucketPolicy", id="policy-statement"),
        pytest.param({"bucketPolicy": 1}, "spec.bucketPolicy", id="policy-number"),
        pytest.param({"region": "\udc00"}, "spec.region", id="region"),
        pytest.param({"tags": {"a": "\ud800"}}, "spec.tags[a]", id="tag"),
        pytest.param({"tags": {"\ud800": "a"}}, "spec.tags[\\ud800]", id="tag-key"),
        pytest.param({"tags": {"a": "b\0"}}, "spec.tags[a]", id="tag-nul"),
    ],
)
def test_wanted_of_text_that_cannot_be_used_names_its_field(
    defaults: dict[str, Any], spec: dict[str, Any], field: str
) -> None:
    with pytest.raises(ReconcileError) as refused:
        read(defaults, **spec)
    assert refused.value.reason == "InvalidSpec"
    assert refused.value.message.startswith(f"{field}: ")
    # The message can be printed, logged, and stored in a status.
    assert refused.value.message.isprintable()
    assert len(refused.value.message) < 200
