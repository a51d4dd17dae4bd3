"""Bucket policies: which texts are documents, which are equal, which are public, and which would lock everyone out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3bucket.policy import (
    MAX_BYTES,
    PolicyError,
    Replaced,
    find_replaced,
    is_applied,
    is_public,
    is_same,
    is_same_text,
    locks_out,
    matches,
    names_principal,
    parse,
    record_of,
    shown,
)
from s3bucket.settings import ALL

READ_ACTIONS = ["s3:ListBucket", "s3:GetBucketTagging", *(setting.read.operation.action for setting in ALL)]
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
        pytest.param({"Action": "s3:ListBucket"}, "s3:ListBucket", id="read"),
        pytest.param({"Action": "s3:*Acl"}, "s3:GetBucketAcl", id="read-wildcard"),
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
    assert locks_out(given, ARN, ACCOUNT, READ_ACTIONS) == action


def test_is_same_ignores_order_and_single_element_lists() -> None:
    one = statement(Action=["s3:GetObject", "s3:PutObject"])
    other = statement(Action=["s3:PutObject", "s3:GetObject"])
    assert is_same(one, other)
    assert is_same(statement(), statement(Action=["s3:GetObject"]))
    assert not is_same(statement(), statement(Action="s3:*"))
    assert is_same(None, {})
    assert not is_same(None, one)


def of_statement(text: str) -> str:
    return '{"Statement": [' + text + "]}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("{", "is not JSON", id="no-json"),
        pytest.param("\ufeff{}", "is not JSON", id="byte-order-mark"),
        pytest.param("[]", "must hold a JSON object", id="list"),
        pytest.param('{"Version": "2012-10-17"}', "has no Statement", id="no-statement"),
        pytest.param('{"Statement": "x"}', "neither an object nor a list of objects", id="statement-text"),
        pytest.param(of_statement('{"Effect": "Deny"}, 1'), "neither an object nor a list", id="statement-number"),
        pytest.param(of_statement("{}"), "neither an object nor a list of objects", id="statement-empty"),
        pytest.param(of_statement('{"Condition": {"a": 1}, "Condition": {}}'), "'Condition' twice", id="key-twice"),
        pytest.param(of_statement('{"Condition": {"B": {"k": 1, "k": 1}}}'), "'k' twice", id="key-twice-deep"),
        pytest.param('{"Statement": [], "Statement": [{"Effect": "Deny"}]}', "'Statement' twice", id="key-twice-top"),
        pytest.param(of_statement('{"Sid": "\\ud800"}'), "half of a surrogate pair", id="surrogate-escaped"),
        pytest.param(of_statement('{"\\udc00": 1}'), "half of a surrogate pair", id="surrogate-in-key"),
        pytest.param(of_statement('{"Sid": "\ud800"}'), "half of a surrogate pair", id="surrogate"),
        pytest.param(of_statement('{"Sid": "\\u0000"}'), "a NUL character", id="nul-escaped"),
        pytest.param(of_statement('{"Sid": "\0"}'), "a NUL character", id="nul"),
        pytest.param(of_statement('{"Sid": NaN}'), "NaN is not a number", id="nan"),
        pytest.param(of_statement('{"Sid": -Infinity}'), "-Infinity is not a number", id="infinity"),
        pytest.param(of_statement('{"Sid": 1e999}'), "1e999, which is too large", id="too-large"),
        pytest.param(of_statement('{"Sid": %s}' % ("9" * 5000)), "more than 40 digits", id="long-number"),
        pytest.param(of_statement('{"Sid": 0.%s}' % ("9" * 5000)), "more than 40 digits", id="long-fraction"),
        pytest.param("[" * 10_000, "more than 12 levels", id="deep-list"),
        pytest.param('{"a":' * 3000 + "1" + "}" * 3000, "more than 12 levels", id="deep-object"),
        pytest.param(of_statement('{"Sid": "%s"}' % ("x" * MAX_BYTES)), "more than 20480 bytes", id="long"),
        pytest.param(of_statement('{"Sid": "%s"}' % ("é" * 11_000)), "more than 20480 bytes", id="long-in-bytes"),
    ],
)
def test_parse_refuses_what_is_no_policy(text: str, problem: str) -> None:
    with pytest.raises(PolicyError, match=r"^[a-z]") as caught:
        parse(text)
    assert problem in str(caught.value)
    assert str(caught.value).isprintable()
    # When AWS returns this text, it is a difference and not an error.
    assert not is_same_text(text, statement())
    assert not is_same_text(text, None)
    assert shown(text).isprintable()


@pytest.mark.parametrize("text", ["", " \n", "{}", "{ }"])
def test_parse_blank_text_is_no_policy(text: str) -> None:
    assert parse(text) == {}


def test_parse_takes_brackets_in_texts_and_all_levels_of_a_policy() -> None:
    document = statement(
        Sid='[[[[[[[{{{{{{{{"\\', Condition={"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": ["a"]}}
    )
    assert parse(json.dumps(document)) == document


def test_is_same_ignores_what_aws_rewrites() -> None:
    account = statement(Principal={"AWS": ACCOUNT})
    for partition in ("aws", "aws-cn", "aws-us-gov", "aws-eusc"):
        assert is_same(account, statement(Principal={"AWS": [f"arn:{partition}:iam::{ACCOUNT}:root"]}))
    assert is_same(statement(), statement(Principal={"AWS": "*"}))
    assert is_same(statement(Action=["a", "b"]), statement(Action=["b", "a", "b"]))
    assert is_same(statement(), {**statement(), "Id": "", "Statement": [*statement()["Statement"]] * 2})
    assert is_same(statement(), statement(Condition={}))
    assert is_same(statement(), {**statement(), "Statement": statement()["Statement"][0]})
    number, text = ({"NumericLessThan": {"s3:max-keys": value}} for value in (10, "10"))
    assert is_same(statement(Condition=number), statement(Condition=text))
    assert is_same({**statement(), "Version": "2008-10-17"}, {"Statement": statement()["Statement"]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(0.25, 0.75, id="floats"),
        pytest.param(1, 1.5, id="number-and-float"),
        pytest.param(0.1, 0.10000000000000002, id="close-floats"),
        pytest.param("true", "false", id="texts"),
        pytest.param(["a", ["b"]], ["a", "b"], id="nested-list"),
        pytest.param({"a": "b"}, ["a", "b"], id="object-and-list"),
        pytest.param(None, "null", id="null"),
        pytest.param([], "", id="empty"),
        # The ID of an account and the ARN of its root are the same only in a principal.
        pytest.param(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", id="account-in-a-condition"),
    ],
)
def test_is_same_sees_any_other_difference(one: Any, other: Any) -> None:
    policies = [statement(Condition={"NumericLessThan": {"s3:max-keys": value}}) for value in (one, other)]
    assert not is_same(*policies)
    assert all(is_same(policy, policy) for policy in policies)


def test_is_same_document_that_is_too_deep_differs_from_all() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    assert not is_same(statement(Sid=deep), statement())


@pytest.mark.parametrize(
    ("pattern", "value", "expected"),
    [
        ("*", "", True), ("", "", True), ("", "a", False), ("?", "", False), ("s3:*", "s3:getobject", True),
        ("s3:get?bject", "s3:getobject", True), ("*object", "s3:getobject", True), ("*get*ject", "s3:getobject", True),
        ("s3:[g]etobject", "s3:getobject", False), ("a*b*c", "abbc", True), ("a*bc", "abbcc", False),
        ("a**", "a", True),
    ],
)  # fmt: skip
def test_matches(pattern: str, value: str, expected: bool) -> None:
    assert matches(pattern, value) is expected


OAI = "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E1"
IDENTITY = statement(Principal={"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"})


def answered(**parts: Any) -> str:
    return json.dumps(statement(**parts))


@pytest.mark.parametrize("is_record_safe", [True, False], ids=["on-the-user", "on-the-bucket"])
def test_is_applied_what_aws_made_of_a_policy_is_equal_until_either_side_changes(is_record_safe: bool) -> None:
    answer = answered(Principal={"AWS": OAI})
    record = record_of(IDENTITY, answer)
    assert len(record) <= 256
    assert not is_applied(answer, IDENTITY, "", is_record_safe=is_record_safe)
    assert is_applied(answer, IDENTITY, record, is_record_safe=is_record_safe)
    # The order in which AWS returns the parts makes no difference. Neither do spaces.
    reordered = json.dumps(dict(reversed(list(json.loads(answer).items()))), indent=1)
    assert is_applied(reordered, IDENTITY, record, is_record_safe=is_record_safe)
    for other in (answered(Principal={"AWS": OAI}, Action="s3:*"), answered(Principal={"AWS": f"{OAI}2"}), None, "{"):
        assert not is_applied(other, IDENTITY, record, is_record_safe=is_record_safe)
    for wanted in (statement(), statement(Principal={"CanonicalUser": "another"}), None):
        assert not is_applied(answer, wanted, record, is_record_safe=is_record_safe)
    # A policy that is equal without a record needs no record, and a wrong record does not matter.
    assert is_applied(answered(), statement(), "forged", is_record_safe=is_record_safe)


@pytest.mark.parametrize(
    ("parts", "is_hidden"),
    [
        pytest.param({"Principal": {"AWS": OAI}}, True, id="another-form"),
        pytest.param({"Principal": {"AWS": [OAI, "999999999999"]}}, False, id="one-more-principal"),
        pytest.param({"Principal": {"AWS": OAI}, "Action": "s3:*"}, False, id="action"),
        pytest.param({"Principal": "*"}, False, id="everyone"),
        pytest.param({"Principal": {"AWS": "arn:aws:iam::cloudfront:user/another"}}, False, id="no-identity"),
        pytest.param({"Principal": {"AWS": OAI}, "Effect": "Deny"}, False, id="effect"),
        pytest.param({"Principal": {"AWS": OAI}, "Condition": {"Bool": {"a": "1"}}}, False, id="condition"),
    ],
)
def test_is_applied_record_on_the_bucket_stands_for_no_other_policy(parts: dict[str, Any], is_hidden: bool) -> None:
    answer = answered(**parts)
    assert is_applied(answer, IDENTITY, record_of(IDENTITY, answer), is_record_safe=False) is is_hidden


@pytest.mark.parametrize(
    "parts",
    [{"Action": "s3:*"}, {"Effect": "Deny"}, {"Resource": "*"}, {"Principal": "*"}, {"Statement": []}],
    ids=["action", "effect", "resource", "everyone", "no-statement"],
)
def test_is_applied_a_policy_written_in_between_is_not_what_aws_made(parts: dict[str, Any]) -> None:
    answer = json.dumps({**json.loads(answered()), **parts}) if "Statement" in parts else answered(**parts)
    assert not is_applied(answer, IDENTITY, record_of(IDENTITY, answer), is_record_safe=True)


_GUARD = statement(Effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}})


@pytest.mark.parametrize(
    ("wanted", "parts"),
    [
        pytest.param(_GUARD, {"Condition": {"StringEquals": {"aws:userid": "nobody"}}}, id="another-condition"),
        pytest.param(_GUARD, {"Condition": {"Bool": {"aws:SecureTransport": "none"}}}, id="another-value"),
        pytest.param(_GUARD, {"Principal": {"AWS": "9" * 12}}, id="nobody-is-denied"),
        pytest.param(statement(Principal={"AWS": "1" * 12}), {"Principal": {"AWS": "9" * 12}}, id="another-account"),
    ],
)
def test_is_applied_a_guard_cannot_be_made_void_between_write_and_answer(
    wanted: dict[str, Any], parts: dict[str, Any]
) -> None:
    """The holder of the access key could write its own policy repeatedly, until the record is made from that one."""
    answer = json.dumps(statement(**{**wanted["Statement"][0], **parts}))
    assert not is_applied(answer, wanted, record_of(wanted, answer), is_record_safe=True)


def test_is_applied_account_in_place_of_a_canonical_user_needs_a_safe_record() -> None:
    answer = answered(Principal={"AWS": "arn:aws:iam::123456789012:root"})
    record = record_of(IDENTITY, answer)
    assert is_applied(answer, IDENTITY, record, is_record_safe=True)
    assert not is_applied(answer, IDENTITY, record, is_record_safe=False)
    # Not applied when the answer has no other account next to the named one, or when the other principal is not an
    # account.
    named = statement(Principal={"AWS": "1" * 12, "CanonicalUser": "79a59df900b949e55d96"})
    other = f"arn:aws:iam::{'2' * 12}:user/x"
    cases = {("1" * 12, "2" * 12): True, ("1" * 12,): False, (other,): False, ("1" * 12, other): False}
    for names, expected in cases.items():
        text = answered(Principal={"AWS": list(names)})
        assert is_applied(text, named, record_of(named, text), is_record_safe=True) is expected


def test_is_applied_numbers_in_another_form_need_a_record() -> None:
    wanted, answer = (
        statement(Condition={"NumericLessThan": {"s3:max-keys": value}}) for value in (12345678.5, ["1.23456785E7"])
    )
    assert not is_same(wanted, answer)
    assert is_applied(json.dumps(answer), wanted, record_of(wanted, json.dumps(answer)), is_record_safe=False)


BOB, ANN = "arn:aws:iam::1:user/team/bob", "arn:aws:iam::1:role/ann"
BOB_ID, ANN_ID = "AIDAJQABLZS4A3QDU576Q", "AROAKSCDLFT9R5DQP782U"


@pytest.mark.parametrize(
    ("wanted", "answer", "expected"),
    [
        pytest.param({"Principal": {"AWS": BOB}}, {"Principal": {"AWS": BOB_ID}}, ([BOB], [BOB_ID]), id="user"),
        pytest.param({"Principal": {"AWS": [ANN]}}, {"Principal": {"AWS": ANN_ID}}, ([ANN], [ANN_ID]), id="role"),
        pytest.param(
            {"Principal": {"AWS": [BOB, ANN, "1"]}}, {"Principal": {"AWS": ["1", BOB_ID, ANN]}}, ([BOB], [BOB_ID]),
            id="one-of-several",
        ),
        pytest.param(
            {"Principal": {"AWS": [BOB, ANN]}}, {"Principal": {"AWS": [ANN_ID, BOB_ID]}},
            ([ANN, BOB], [BOB_ID, ANN_ID]),
            id="all",
        ),
        pytest.param(
            {"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": BOB}},
            {"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": BOB_ID}}, ([BOB], [BOB_ID]), id="exempted",
        ),
        # Nothing to report: writing the policy again would give no one access, or something else differs.
        pytest.param(
            {"Effect": "Deny", "Principal": {"AWS": BOB}}, {"Effect": "Deny", "Principal": {"AWS": BOB_ID}}, ([], []),
            id="denied",
        ),
        pytest.param({"Principal": {"AWS": BOB}}, {"Principal": {"AWS": [BOB_ID, "2"]}}, ([], []), id="one-more"),
        pytest.param({"Principal": {"AWS": [BOB, ANN]}}, {"Principal": {"AWS": BOB_ID}}, ([], []), id="one-less"),
        pytest.param({"Principal": {"AWS": BOB}}, {"Principal": {"AWS": ANN}}, ([], []), id="another"),
        pytest.param({"Principal": {"AWS": "1"}}, {"Principal": {"AWS": BOB_ID}}, ([], []), id="account"),
        pytest.param({"Principal": {"AWS": OAI}}, {"Principal": {"AWS": BOB_ID}}, ([], []), id="cloudfront"),
        pytest.param(
            {"Principal": {"AWS": BOB}}, {"Principal": {"AWS": BOB_ID}, "Action": "s3:*"}, ([], []), id="action"
        ),
        pytest.param({"Principal": {"AWS": BOB}}, {"Principal": {"AWS": "AIDA*"}}, ([], []), id="no-id"),
    ],
)  # fmt: skip
def test_find_replaced(wanted: dict[str, Any], answer: dict[str, Any], expected: tuple[list[str], list[str]]) -> None:
    policy, text = statement(**wanted), answered(**answer)
    found = Replaced(*map(tuple, expected))
    assert find_replaced(text, policy, "") == found
    assert find_replaced(text, policy, record_of(policy, answered(**wanted))) == found
    # The last written policy is another one, so this one is a change of the spec.
    other = {**policy, "Id": "another"}
    assert find_replaced(text, policy, record_of(other, text)) == Replaced()
    assert find_replaced(text, other, "") == Replaced()


@pytest.mark.parametrize("text", [None, "", "{", "[]", answered(Principal={"AWS": [[BOB_ID], 1, {}]})])
def test_find_replaced_in_what_is_no_policy(text: str | None) -> None:
    assert find_replaced(text, statement(Principal={"AWS": BOB}), "") == Replaced()
    assert find_replaced(answered(Principal={"AWS": BOB_ID}), None, "") == Replaced()


def test_names_principal() -> None:
    arn = "arn:aws:iam::1:user/photos"
    assert names_principal(statement(Principal={"AWS": ["2", arn]}), arn)
    assert names_principal({"Statement": {"NotPrincipal": {"AWS": arn}}}, arn)
    assert not names_principal(statement(Principal={"AWS": f"{arn}2"}), arn)
    assert not names_principal(statement(), arn)
