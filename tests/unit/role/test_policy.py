"""What counts as public, and what would lock everyone out."""

from __future__ import annotations

from typing import Any

import pytest
from s3bucket.policy import is_public, is_same, locks_out

ARN, ACCOUNT = "arn:aws:s3:::photos", "123456789012"


def statement(**parts: Any) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*", **parts}],
    }


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        pytest.param(None, False, id="none"),
        pytest.param(statement(), True, id="star"),
        pytest.param(statement(Principal={"AWS": "*"}), True, id="aws-star"),
        pytest.param(statement(Principal={"AWS": ["arn:aws:iam::1:root", "*"]}), True, id="list-with-star"),
        pytest.param(statement(Principal={"AWS": "arn:aws:iam::1:root"}), False, id="account"),
        pytest.param(statement(Effect="Deny"), False, id="deny"),
        pytest.param(statement(Condition={"StringEquals": {"aws:SourceVpc": "vpc-1"}}), False, id="vpc"),
        pytest.param(statement(Condition={"StringLike": {"aws:SourceVpc": "vpc-*"}}), True, id="vpc-wildcard"),
        pytest.param(statement(Condition={"StringNotEquals": {"aws:SourceVpc": "vpc-1"}}), True, id="not-vpc"),
        pytest.param(statement(Condition={"Bool": {"aws:SecureTransport": "true"}}), True, id="tls-only"),
        pytest.param({"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:*"}}, True, id="no-list"),
    ],
)
def test_is_public(policy: dict[str, Any] | None, expected: bool) -> None:
    assert is_public(policy) is expected


@pytest.mark.parametrize(
    ("parts", "action"),
    [
        pytest.param({"Action": "s3:*"}, "s3:PutBucketPolicy", id="all"),
        pytest.param({"Action": "*"}, "s3:PutBucketPolicy", id="star"),
        pytest.param({"Action": ["s3:GetObject", "S3:DeleteBucketPolicy"]}, "s3:DeleteBucketPolicy", id="case"),
        pytest.param({"Action": "s3:Get*"}, "s3:GetBucketPolicy", id="wildcard"),
        pytest.param({"Action": None, "NotAction": "s3:GetObject"}, "s3:PutBucketPolicy", id="not-action"),
        pytest.param({"Action": "s3:PutObject"}, None, id="objects-only"),
        pytest.param({"Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}, None, id="condition"),
        pytest.param({"Action": "s3:*", "Principal": {"AWS": "arn:aws:iam::1:user/x"}}, None, id="one-user"),
        pytest.param({"Action": "s3:*", "Effect": "Allow"}, None, id="allow"),
        pytest.param({"Action": "s3:ListBucket"}, "s3:ListBucket", id="look"),
        pytest.param({"Action": "s3:*Acl"}, "s3:GetBucketAcl", id="look-wildcard"),
        pytest.param({"Action": "s3:DeleteBucket"}, None, id="deletion"),
        pytest.param({"Action": "s3:*", "Resource": f"{ARN}/*"}, None, id="objects-of-all-actions"),
        pytest.param({"Action": "s3:*", "Resource": [f"{ARN}/*", ARN]}, "s3:PutBucketPolicy", id="bucket-and-objects"),
        pytest.param({"Action": "s3:*", "Resource": None, "NotResource": f"{ARN}/*"}, "s3:PutBucketPolicy", id="not"),
        pytest.param({"Action": "s3:*", "Principal": {"AWS": ["1", ACCOUNT]}}, "s3:PutBucketPolicy", id="account"),
        pytest.param(
            {"Action": "s3:*", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}, "s3:PutBucketPolicy", id="root"
        ),
        pytest.param({"Action": "s3:*", "Principal": {"AWS": "2" * 12}}, None, id="another-account"),
    ],
)
def test_locks_out(parts: dict[str, Any], action: str | None) -> None:
    given = statement(**{"Effect": "Deny", **parts})
    given["Statement"] = [{name: value for name, value in given["Statement"][0].items() if value is not None}]
    assert locks_out(given, ARN, ACCOUNT) == action


def test_is_same_ignores_order_and_single_element_lists() -> None:
    one = statement(Action=["s3:GetObject", "s3:PutObject"])
    other = statement(Action=["s3:PutObject", "s3:GetObject"])
    assert is_same(one, other)
    assert is_same(statement(), statement(Action=["s3:GetObject"]))
    assert not is_same(statement(), statement(Action="s3:*"))
    assert is_same(None, {})
    assert not is_same(None, one)
