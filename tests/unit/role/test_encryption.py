"""encryption: what a request keeps of the bucket's own."""

from __future__ import annotations

from typing import Any

import pytest

from s3bucket.aspects import extended_record
from s3bucket.setting import Comparison
from s3bucket.settings.encryption import SETTING
from s3bucket.spec import wanted_of

BLOCKED = "blockedEncryptionTypes"


def case_of(defaults: dict[str, Any], given: Any, recorded: tuple[str, ...] = (), **found: Any) -> Comparison:
    spec = {"region": "eu-west-1", "bucketName": "a-bucket", "encryption": given}
    wanted = wanted_of({"metadata": {"name": "a"}, "spec": spec}, "", defaults)
    return Comparison(wanted, {"encryption": {"type": "AES256", **found}}, recorded=frozenset(recorded))


@pytest.mark.parametrize("blocked", [[], ["SSE-C"]], ids=str)
def test_blocked_types_that_the_spec_does_not_name_are_written_as_they_were_read(
    defaults: dict[str, Any], blocked: list[str]
) -> None:
    case = case_of(defaults, {"type": "aws:kms"}, **{BLOCKED: blocked})
    assert SETTING.argument(case) == {"type": "aws:kms", BLOCKED: blocked}
    rule = SETTING.calls(SETTING.argument(case))[0].arguments["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert rule["BlockedEncryptionTypes"] == {"EncryptionType": blocked or ["NONE"]}


def test_bucket_that_never_had_blocked_types_gets_none(defaults: dict[str, Any]) -> None:
    assert SETTING.argument(case_of(defaults, {"type": "aws:kms"})) == {"type": "aws:kms"}


@pytest.mark.parametrize(
    ("given", "found", "differs"),
    [
        ({"type": "AES256"}, {BLOCKED: ["SSE-C"], "bucketKeyEnabled": False}, False),
        ({"type": "AES256", BLOCKED: []}, {}, False),
        ({"type": "AES256", BLOCKED: []}, {BLOCKED: ["SSE-C"]}, True),
        (None, {BLOCKED: ["SSE-C"]}, False),
        (None, {"type": "aws:kms", BLOCKED: ["SSE-C"]}, True),
    ],
    ids=["aws-adds", "none-blocked", "unblocked", "cleared", "to-clear"],
)
def test_what_aws_adds_is_no_difference(
    defaults: dict[str, Any], given: Any, found: dict[str, Any], *, differs: bool
) -> None:
    case = case_of(defaults, given, **found)
    assert SETTING.differs(case) is differs


def test_clearing_resets_to_the_default_of_aws(defaults: dict[str, Any]) -> None:
    case = case_of(defaults, None, type="aws:kms", **{BLOCKED: ["SSE-C"]})
    assert [call.operation.name for call in SETTING.calls(SETTING.argument(case))] == ["DeleteBucketEncryption"]


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ({"type": "AES256"}, [], ["SSE-C"]),
        ({"type": "AES256"}, ["SSE-C"], None),
        ({"type": "AES256", BLOCKED: []}, [], None),
    ],
    ids=["taken-out", "reset", "still-given"],
)
def test_blocked_types_that_are_taken_out_are_reset_to_what_aws_blocks(
    defaults: dict[str, Any], given: Any, found: list[str], expected: list[str] | None
) -> None:
    case = case_of(defaults, given, ("encryption", "encryption.blocked"), **{BLOCKED: found})
    assert SETTING.differs(case) is (expected is not None)
    if expected is not None:
        assert SETTING.argument(case)[BLOCKED] == expected


def test_record_names_blocked_types_only_while_the_spec_gives_them(defaults: dict[str, Any]) -> None:
    with_types = case_of(defaults, {"type": "AES256", BLOCKED: []}).wanted
    without = case_of(defaults, {"type": "AES256"}).wanted
    tags = [wanted.settings_record(is_adopted=False)["agill.apps/settings"] for wanted in (with_types, without)]
    assert tags == ["encryption encryption.blocked", "encryption"]
    assert extended_record(with_types, without.bucket_tags, ["encryption"]) == tags[0]
