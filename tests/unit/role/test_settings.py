"""What every bucket setting must define."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from botocore.loaders import create_loader

from dev.examples import optional_settings
from s3bucket.aspects import (
    differing,
    due_settings,
    extended_record,
    recorded_now,
    unmanaged_now,
    unread,
    unsupported,
)
from s3bucket.errors import ClientError, ReconcileError, unknown
from s3bucket.outcome import Reason
from s3bucket.read import read_settings
from s3bucket.setting import Comparison, Setting
from s3bucket.settings import ALL, BY_NAME
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import Unread
from tests.support.world import PROJECT, ROLE

OPERATIONS = create_loader().load_service_model("s3", "service-2")["operations"]
each_setting = pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)


def want(defaults: dict[str, Any], **spec: Any) -> Wanted:
    metadata = {"name": "photos", "namespace": "team", "uid": "u"}
    spec = {"region": "eu-west-1", "bucketName": "photos-bucket", **spec}
    return wanted_of({"metadata": metadata, "spec": spec}, "cluster", defaults)


def test_each_file_is_one_setting_of_its_name() -> None:
    files = {path.stem for path in (ROLE / "module_utils" / "s3bucket" / "settings").glob("*.py")} - {"__init__"}
    assert sorted(files) == sorted(setting.name for setting in ALL)
    assert [(setting.order, setting.name) for setting in ALL] == sorted((item.order, item.name) for item in ALL)


@each_setting
def test_operations_are_those_of_the_api_and_have_an_action(setting: Setting) -> None:
    for operation in (setting.read.operation, *setting.writes):
        assert operation.name in OPERATIONS
        assert re.fullmatch(r"s3:[A-Z][A-Za-z]+", operation.action)
    assert setting.writes, "what creates, changes or clears it"


@each_setting
def test_new_bucket_has_nothing_that_a_plain_object_would_change(defaults: dict[str, Any], setting: Setting) -> None:
    wanted = want(defaults)
    case = Comparison(wanted, {item.name: item.new_bucket for item in ALL})
    assert not setting.differs(case)
    assert not setting.is_asked(wanted)


@each_setting
def test_requests_use_only_the_stated_operations(defaults: dict[str, Any], setting: Setting) -> None:
    wanted = want(defaults, **optional_settings(with_needy=True))
    new = {item.name: item.new_bucket for item in ALL}
    cases = [Comparison(wanted, new)]
    if setting.is_optional:
        # It is cleared.
        cases.append(Comparison(want(defaults), {**new, setting.name: wanted.settings[setting.name]}))
    used = [call.operation for case in cases for call in setting.calls(setting.argument(case))]
    assert used
    assert set(used) <= set(setting.writes)


def test_settings_are_imported_without_the_collections() -> None:
    """The command line starts when the collections are missing, and names the missing ones."""
    code = "import sys; sys.modules['ansible_collections'] = None; import runner.commands.iam_policy, s3bucket.settings"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_optional_setting_is_recorded_and_may_have_a_default_of_the_operator(defaults: dict[str, Any]) -> None:
    given = optional_settings(with_needy=True)
    optional = [setting for setting in ALL if setting.is_optional]
    names = " ".join(sorted(part for setting in optional for part in (setting.name, *setting.more_parts)))
    for wanted in (want(defaults, **given), want({**defaults, **given})):
        assert wanted.bucket_tags["agill.apps/settings"] == names
    assert "agill.apps/settings" not in want(defaults).bucket_tags
    # Defaults are not applied to an adopted bucket.
    assert want({**defaults, **given}).settings_record(is_adopted=True) == {}
    assert want(defaults, **given).settings_record(is_adopted=True) == {"agill.apps/settings": names}


@pytest.mark.parametrize("setting", [item for item in ALL if item.is_optional], ids=lambda setting: setting.name)
def test_setting_taken_out_of_an_adopted_bucket_is_cleared_whatever_the_default(
    defaults: dict[str, Any], setting: Setting
) -> None:
    given = optional_settings(with_needy=True)
    wanted, new = want({**defaults, **given}), {item.name: item.new_bucket for item in ALL}
    applied = {**new, setting.name: wanted.settings[setting.name]}
    assert setting.differs(Comparison(wanted, applied, is_adopted=True)), "the default is no longer applied"
    assert not setting.differs(Comparison(wanted, new, is_adopted=True))
    assert not setting.differs(Comparison(wanted, applied))


def refusal_of(code: str, message: str = "no") -> ReconcileError:
    cause = ClientError({"Error": {"Code": code, "Message": message}}, "PutIt")
    refusal = unknown("write it", cause)
    refusal.__cause__ = cause
    return refusal


@pytest.mark.parametrize(
    ("name", "code", "reason", "start"),
    [
        ("logging", "InvalidTargetBucketForLogging", "AWSError", "spec.logging: create the target bucket in this"),
        ("inventory", "InvalidS3DestinationBucket", "AWSError", "spec.inventory: create the destination bucket"),
        ("analytics", "InvalidS3DestinationBucket", "AWSError", "spec.analytics: create the destination bucket"),
        ("logging", "CrossLocationLoggingProhibited", "InvalidSpec", "spec.logging: AWS refuses it: failed to"),
        ("replication", "AccessDenied", "AccessDenied", "spec.replication: if AWS refuses the role, have the"),
        ("object_lock", "InvalidBucketState", "InvalidSpec", "spec.enableObjectLock: AWS refuses it: failed to"),
        ("cors", "AccessDenied", "AccessDenied", "failed to write it"),
        ("cors", "NotImplemented", "InvalidSpec", "spec.corsRules: https://s3.test does not support it"),
    ],
)
def test_refusal_of_aws_names_the_field_and_the_remedy(name: str, code: str, reason: str, start: str) -> None:
    """A target that may be created later is no error of the spec, for which nobody would wait."""
    refused = BY_NAME[name].refused(refusal_of(code), "https://s3.test")
    assert (refused.reason, refused.message[: len(start)]) == (reason, start)


def test_suspending_versions_is_tried_again_while_s3_still_shows_the_replication() -> None:
    message = "A replication configuration is present on this bucket, so you cannot change the versioning state."
    assert any(text in message for text in BY_NAME["versioning"].lag_texts)


def test_record_written_by_others_cannot_make_the_tag_too_long(defaults: dict[str, Any]) -> None:
    names, wanted = [setting.name for setting in ALL if setting.is_optional], want(defaults)
    own = wanted.identity.tags
    forged = f"cors encryption.{'x' * 220}"
    assert extended_record(wanted, {**own, "agill.apps/settings": forged}, ["metrics"]) == "cors metrics"
    assert extended_record(wanted, {**own, "agill.apps/settings": "cors metrics"}, ["metrics"]) == ""
    assert len(extended_record(wanted, own, names)) <= 256, "the longest value of a tag"


def test_record_of_another_object_in_a_bucket_to_adopt_clears_nothing(defaults: dict[str, Any]) -> None:
    wanted, record = want(defaults, requesterPays=True), {"agill.apps/settings": "cors lifecycle"}
    due = {setting.name for setting in due_settings(wanted, {**wanted.identity.tags, **record})}
    assert due - {setting.name for setting in due_settings(wanted, record)} == {"cors", "lifecycle"}
    assert extended_record(wanted, record, ["requester_pays"]) == "requester_pays"


def test_record_with_names_of_other_settings_takes_none_of_them_into_management(defaults: dict[str, Any]) -> None:
    wanted = want(defaults)
    tags = {**wanted.identity.tags, "agill.apps/settings": "acl cors policy versioning"}
    found = {item.name: item.new_bucket for item in ALL} | {"versioning": "Enabled", "cors": [{"id": "by-hand"}]}
    case = Comparison(wanted, found, is_adopted=True)
    assert differing(case, recorded=recorded_now(wanted, tags)) == ["cors"]


@each_setting
def test_read_that_is_denied_names_the_field_and_the_action(setting: Setting) -> None:
    class Denied:
        """A client of S3 that may do nothing."""

        def __getattr__(self, name: str) -> Any:
            def refuse(**_: object) -> None:
                raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetIt")

            return self if name in ("meta", "events") else (lambda *_, **__: None) if name == "register" else refuse

    try:
        problem = read_settings(Denied(), "photos-bucket", "123456789012", [setting])[setting.name].problem
    except ReconcileError as denied:
        assert not setting.is_optional, "only what each object has stops everything else"
        problem = denied
    assert problem.reason == "AccessDenied"
    action = setting.read.operation.action
    assert problem.message.startswith(f"failed to read {setting.field} of bucket photos-bucket ({action})")


def test_setting_that_may_not_be_read_is_no_difference_and_stays_on_record(defaults: dict[str, Any]) -> None:
    wanted = want(defaults, corsRules=[{"allowedMethods": ["GET"], "allowedOrigins": ["*"]}])
    problem = ReconcileError(Reason.ACCESS_DENIED, "failed to read corsRules")
    new = {item.name: item.of_new_bucket(wanted) for item in ALL}
    found = {**new, "cors": Unread(problem), "website": Unread(problem), "policy_record": ""}
    case, recorded = Comparison(wanted, found), frozenset(["website", "cors"])
    assert differing(case, recorded=recorded) == []
    assert unsupported(case) == []
    assert set(unread(case, recorded=recorded)) == {"cors", "website"}, (
        "one is written, the other one was to be cleared"
    )
    assert set(unread(case, frozenset(["corsRules"]))) == set(), "what is not managed is not missed"


@pytest.mark.parametrize(
    ("spec", "recorded", "expected"),
    [
        # The ACL is managed by others, and with it the ownership that it needs.
        ({"bucketACL": "public-read", "unmanagedFields": ["bucketACL"]}, [], False),
        # A value that was in the spec once is reset.
        ({"unmanagedFields": ["bucketACL"]}, ["ownership"], True),
        ({"objectOwnership": "ObjectWriter", "unmanagedFields": ["bucketACL"]}, [], True),
        ({"unmanagedFields": ["bucketACL"]}, [], False),
    ],
    ids=["of-others", "taken-out", "given", "never-given"],
)
def test_ownership_is_reset_although_others_manage_the_acl(
    defaults: dict[str, Any], spec: dict[str, Any], recorded: list[str], *, expected: bool
) -> None:
    wanted = want(defaults, **spec)
    tags = {**wanted.identity.tags, "agill.apps/settings": " ".join(recorded)}
    due = {setting.name for setting in due_settings(wanted, tags)}
    case = Comparison(wanted, {"ownership": "BucketOwnerPreferred"})
    names = differing(case, unmanaged_now(wanted, tags), frozenset(recorded))
    assert ("ownership" in due, "ownership" in names) == (expected, expected)
