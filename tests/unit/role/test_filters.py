"""Filters: the form of a spec, and AWS's."""

from __future__ import annotations

from typing import Any

import pytest

from s3bucket.errors import ReconcileError
from s3bucket.filters import filter_from_aws, filter_to_aws, parse_filter

ALL = ("prefix", "tags", "objectSizeGreaterThan", "objectSizeLessThan", "accessPointARN")
POINT = "arn:aws:s3:us-east-1:123456789012:accesspoint/photos"
TAG = {"Key": "a", "Value": "1"}
PAIRS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "empty": ({}, {}),
    "tag-of-any-letters": ({"tags": {"Ü 1/\u00a0": "a@"}}, {"Tag": {"Key": "Ü 1/\u00a0", "Value": "a@"}}),
    "prefix": ({"prefix": "logs/"}, {"Prefix": "logs/"}),
    "tag": ({"tags": {"a": "1"}}, {"Tag": TAG}),
    "size-above": ({"objectSizeGreaterThan": 0}, {"ObjectSizeGreaterThan": 0}),
    "size-below": ({"objectSizeLessThan": 1024}, {"ObjectSizeLessThan": 1024}),
    "access-point": ({"accessPointARN": POINT}, {"AccessPointArn": POINT}),
    "two-tags": ({"tags": {"a": "1", "b": ""}}, {"And": {"Tags": [TAG, {"Key": "b", "Value": ""}]}}),
    "prefix-and-tag": ({"prefix": "logs/", "tags": {"a": "1"}}, {"And": {"Prefix": "logs/", "Tags": [TAG]}}),
    "sizes": (
        {"objectSizeGreaterThan": 0, "objectSizeLessThan": 1024},
        {"And": {"ObjectSizeGreaterThan": 0, "ObjectSizeLessThan": 1024}},
    ),
    "access-point-and-tag": (
        {"tags": {"a": "1"}, "accessPointARN": POINT}, {"And": {"Tags": [TAG], "AccessPointArn": POINT}},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spec", "aws"), PAIRS.values(), ids=PAIRS)
def test_filter_has_one_predicate_or_and_and_is_read_back(spec: dict[str, Any], aws: dict[str, Any]) -> None:
    assert parse_filter(spec, "spec.f", ALL) == spec
    assert filter_to_aws(spec) == aws
    assert filter_from_aws(aws) == spec


@pytest.mark.parametrize("value", [None, {}, {"prefix": ""}, {"tags": {}}, {"prefix": None, "tags": None}], ids=str)
def test_filter_that_selects_everything_is_the_empty_one(value: Any) -> None:
    assert parse_filter(value, "spec.f") == {}


@pytest.mark.parametrize(
    "answer", [None, {}, {"Prefix": ""}, {"And": {"Prefix": "", "Tags": []}}], ids=["none", "empty", "prefix", "and"]
)
def test_answer_that_selects_everything_is_the_empty_filter(answer: dict[str, Any] | None) -> None:
    assert filter_from_aws(answer) == {}


def test_and_of_one_predicate_and_an_empty_prefix_is_that_predicate() -> None:
    assert filter_from_aws({"And": {"Prefix": "", "Tags": [TAG]}}) == {"tags": {"a": "1"}}


REFUSED: dict[str, tuple[Any, str]] = {
    "text-empty": ("", "spec.f: must be an object"),
    "tag-newline": ({"tags": {"a": "1\n"}}, "spec.f.tags[a]: is not a tag that AWS allows"),
    "text": ("logs/", "spec.f: must be an object"),
    "field": ({"prefixes": "a"}, "spec.f.prefixes: there is no such field: use prefix, tags"),
    "field-of-others": ({"accessPointARN": POINT}, "spec.f.accessPointARN: there is no such field"),
    "prefix-number": ({"prefix": 1}, "spec.f.prefix: must be a string"),
    "prefix-long": ({"prefix": "a" * 1025}, "spec.f.prefix: may have at most 1024 characters"),
    "tags-list": ({"tags": ["a"]}, "spec.f.tags: must be an object"),
    "tags-many": ({"tags": {str(n): "" for n in range(11)}}, "spec.f.tags: may have at most 10 tags"),
    "tag-number": ({"tags": {"a": 1}}, "spec.f.tags[a]: must be a string: put it in quotes"),
    "tag-key-empty": ({"tags": {"": "1"}}, "spec.f.tags[]: is not a tag that AWS allows"),
    "tag-value": ({"tags": {"a": "{{ x }}"}}, "spec.f.tags[a]: is not a tag that AWS allows"),
}


@pytest.mark.parametrize(("value", "message"), REFUSED.values(), ids=REFUSED)
def test_filter_that_aws_would_not_take_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ReconcileError) as refused:
        parse_filter(value, "spec.f")
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize("size", [-1, True, "1", 1.5], ids=str)
def test_size_that_is_no_number_of_bytes_is_refused(size: Any) -> None:
    with pytest.raises(ReconcileError, match=r"spec\.f\.objectSizeLessThan: must be a number of bytes"):
        parse_filter({"objectSizeLessThan": size}, "spec.f", ALL)
