"""What an access mode and its prefixes allow, and that no text in a prefix can allow more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dev.awsgate.evaluate import is_allowed
from dev.awsgate.rights import Right
from s3bucket.errors import ReconcileError
from s3bucket.grants import (
    MAX_PREFIX,
    MAX_PREFIXES,
    MAX_USER_POLICY,
    MODES,
    check_size,
    document,
    mode_of,
    prefixes_of,
    statements,
)
from s3bucket.spec import wanted_of
from tests.support.world import DEFAULTS

BUCKET = "arn:aws:s3:::photos"
FIELD = "spec.iamUser.prefixes"


def policy(mode: str, *prefixes: str) -> dict[str, Any]:
    return document(statements(BUCKET, mode, prefixes_of(list(prefixes), FIELD)))


def test_full_is_the_policy_of_the_go_operator_byte_for_byte() -> None:
    text = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], '
        '"Resource": ["arn:aws:s3:::photos", "arn:aws:s3:::photos/*"]}]}'
    )
    assert json.dumps(policy("Full")) == text


@pytest.mark.parametrize("mode", MODES)
def test_in_a_store_no_policy_names_what_stores_do_not_know(mode: str) -> None:
    """SeaweedFS refuses a policy with s3:RestoreObject."""
    in_store = document(statements(BUCKET, mode, (), is_aws=False))
    assert "RestoreObject" not in json.dumps(in_store)
    assert is_allowed(policy(mode), Right("s3:RestoreObject", f"{BUCKET}/a")) == (mode in ("Full", "ReadWrite"))
    assert is_allowed(in_store, Right("s3:PutObject", f"{BUCKET}/a")) == (mode != "ReadOnly")
    metadata = {"name": "photos", "namespace": "team", "uid": "u"}
    spec = {"region": "us-east-1", "bucketName": "photos", "iamUser": {"username": "photos", "accessMode": mode}}
    wanted = wanted_of({"metadata": metadata, "spec": spec}, "cluster", DEFAULTS, is_aws=False)
    assert wanted.policy_of(wanted.users[0]) == in_store


# What would let the holder of a key lock the operator out, take the bucket from it, or give others access.
@pytest.mark.parametrize(
    "action",
    [
        "PutBucketTagging", "TagResource", "UntagResource", "PutBucketPolicy", "DeleteBucketPolicy", "PutBucketAcl",
        "PutBucketAbac", "PutBucketOwnershipControls", "PutBucketPublicAccessBlock", "PutBucketVersioning",
        "PutLifecycleConfiguration", "PutReplicationConfiguration", "PutBucketNotification", "DeleteBucket",
        "PutBucketObjectLockConfiguration", "PutBucketWebsite", "GetBucketPolicy", "GetBucketTagging",
    ],
)  # fmt: skip
@pytest.mark.parametrize(("mode", "prefixes"), [*((mode, ()) for mode in MODES[1:]), *((m, ("a/",)) for m in MODES)])
def test_only_full_without_prefixes_configures_the_bucket(mode: str, prefixes: tuple[str, ...], action: str) -> None:
    right = Right(f"s3:{action}", BUCKET)
    assert not is_allowed(policy(mode, *prefixes), right)
    assert is_allowed(policy("Full"), right)


@pytest.mark.parametrize("mode", MODES[1:])
@pytest.mark.parametrize(
    "action",
    ["PutObjectAcl", "PutObjectRetention", "PutObjectLegalHold", "BypassGovernanceRetention", "DeleteObjectVersion"],
)
def test_no_other_mode_shares_locks_or_destroys_objects(mode: str, action: str) -> None:
    assert not is_allowed(policy(mode), Right(f"s3:{action}", f"{BUCKET}/a"))


# Text that would be more than itself in a policy, or more than a folder.
@pytest.mark.parametrize(
    ("prefix", "problem"),
    [
        ("", "is empty, which would be the whole bucket"),
        ("logs", "must end with /: logs would also give access to keys such as logs-other"),
        ("*/", "may have only"),
        ("a*/", "may have only"),
        ("?/", "may have only"),
        ("${aws:username}/", "may have only"),
        ("${*}/", "may have only"),
        ("$/", "may have only"),
        ("a/\n/", "may have only"),
        ("a\0/", "NUL character"),
        ("é/", "may have only"),
        ('a"/', "may have only"),
        ("a/" * 129, f"has more than {MAX_PREFIX} characters"),
        (1, "must be a string"),
    ],
)
def test_prefix_that_could_widen_access_is_refused_by_its_place(prefix: Any, problem: str) -> None:
    with pytest.raises(ReconcileError) as refused:
        prefixes_of(["good/", prefix], FIELD)
    assert refused.value.reason == "InvalidSpec"
    assert refused.value.message.startswith(f"{FIELD}[1]: ")
    assert problem in refused.value.message


@pytest.mark.parametrize("value", ["a/", {"a/": 1}, [f"{at}/" for at in range(MAX_PREFIXES + 1)]])
def test_prefixes_that_are_no_list_or_too_many_are_refused(value: Any) -> None:
    with pytest.raises(ReconcileError, match=rf"{FIELD}: must be a list of at most {MAX_PREFIXES} prefixes"):
        prefixes_of(value, FIELD)


@example("*/", "secret/a")
@example("a?/", "ab/x")
@example("${aws:username}/", "photos/x")
@given(st.text("ab/.-*?${} ", max_size=12).map(lambda text: f"{text}/"), st.text("ab/.-", max_size=12))
def test_prefix_allows_only_the_keys_that_begin_with_it(prefix: str, key: str) -> None:
    """IAM's wildcards are expanded here; a policy variable could only be in a prefix that has a ``$``."""
    try:
        (taken,) = prefixes_of([prefix], FIELD)
    except ReconcileError:
        return
    assert not set(taken) & set("*?$")
    found = policy("ReadWrite", taken)
    for name in (key, f"{taken}{key}", f"{taken[:-1]}{key}"):
        assert is_allowed(found, Right("s3:GetObject", f"{BUCKET}/{name}")) == name.startswith(taken)
        listing = Right("s3:ListBucket", BUCKET, {"s3:prefix": [name]})
        assert is_allowed(found, listing) == name.startswith(taken)
    assert not is_allowed(found, Right("s3:ListBucket", BUCKET))


def test_prefixes_are_sorted_so_that_their_order_is_no_drift() -> None:
    assert policy("ReadOnly", "b/", "a/", "b/") == policy("ReadOnly", "a/", "b/")


@pytest.mark.parametrize("mode", MODES)
def test_all_uploads_are_listed_only_without_prefixes(mode: str) -> None:
    """AWS has no condition that limits the list to a prefix."""
    right = Right("s3:ListBucketMultipartUploads", BUCKET)
    assert is_allowed(policy(mode), right) == (mode in ("Full", "ReadWrite"))
    assert not is_allowed(policy(mode, "a/"), right)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("prefixes", [(), ("a/",)], ids=["whole", "prefix"])
def test_every_user_may_ask_for_the_region(mode: str, prefixes: tuple[str, ...]) -> None:
    assert is_allowed(policy(mode, *prefixes), Right("s3:GetBucketLocation", BUCKET))


def test_policy_that_iam_would_refuse_for_its_size_names_the_field() -> None:
    fits = policy("ReadWrite", *(f"{at}/" for at in range(MAX_PREFIXES)))
    check_size(fits, MAX_USER_POLICY, FIELD)
    large = policy("ReadWrite", *(f"{at}{'x' * 200}/" for at in range(4)))
    size = len(json.dumps(large, separators=(",", ":")))
    with pytest.raises(ReconcileError, match=rf"{FIELD}: the inline policy would have {size} .* allows 2048"):
        check_size(large, MAX_USER_POLICY, FIELD)


@pytest.mark.parametrize(("value", "mode"), [(None, "Full"), *((mode, mode) for mode in MODES)])
def test_mode_is_full_unless_given(value: Any, mode: str) -> None:
    assert mode_of(value, "spec.iamUser.accessMode") == mode


@pytest.mark.parametrize("value", ["full", "", 1, ["Full"]])
def test_mode_that_does_not_exist_is_refused(value: Any) -> None:
    with pytest.raises(ReconcileError, match=r"spec.iamUser.accessMode: must be"):
        mode_of(value, "spec.iamUser.accessMode")
