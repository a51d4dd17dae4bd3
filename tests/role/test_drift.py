"""The drift matrix.

Each row changes one thing in AWS or Kubernetes. The check must report exactly that aspect, and a run of the role must
repair it and change nothing else. Rows that do not affect each other are repaired by the same run.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import yaml
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from dev.examples import make_targets, optional_settings
from dev.processes import get_free_port
from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket import recent
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Outcome, Reason
from s3bucket.settings import ALL
from tests.support.drift import cached, set_as_operator
from tests.support.settings import Row, Subject, Wave, make_subject, table_of, waves_of
from tests.support.world import PROJECT, SETTINGS, NewObject, Run, World, requests_of, without_keys

POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Sid": "Tls", "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
         "Resource": "arn:aws:s3:::{bucket}/*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}
    ],
}  # fmt: skip


def spec_to_break(new_name: Callable[[str], str]) -> dict[str, Any]:
    """What the rows break, apart from the optional settings."""
    bucket = new_name("drift")
    return {
        "region": "us-east-1",
        "bucketName": bucket,
        "enableVersioning": True,
        "bucketPolicy": json.dumps(POLICY).replace("{bucket}", bucket),
        "tags": {"team": "photos"},
        "iamUser": {"username": new_name("user"), "tags": {"team": "photos"}},
    }


@pytest.fixture(scope="module")
def subject(world: World, new_name: Callable[[str], str]) -> Subject:
    make_targets(world.s3, world.account)
    spec = {**spec_to_break(new_name), "bucketACL": "private", **optional_settings()}
    subject = make_subject(world, new_name, "drift", spec)
    # A tag of another tool must survive everything that follows.
    subject.retag(lambda tags: tags.update({"cost-center": "42"}))
    return subject


@pytest.fixture(scope="module")
def needy_subject(world: World, new_name: Callable[[str], str]) -> Subject:
    """An object with all settings, among them those that need others, such as object lock."""
    make_targets(world.s3, world.account)
    given = {"region": "us-east-1", "bucketName": new_name("needy"), "iamUser": {"username": new_name("user")}}
    return make_subject(world, new_name, "needy", {**given, **optional_settings(with_needy=True)})


def delete_user(subject: Subject) -> None:
    iam, user = subject.world.iam, subject.user
    for key in iam.list_access_keys(UserName=user)["AccessKeyMetadata"]:
        iam.delete_access_key(UserName=user, AccessKeyId=key["AccessKeyId"])
    for policy in iam.list_user_policies(UserName=user)["PolicyNames"]:
        iam.delete_user_policy(UserName=user, PolicyName=policy)
    iam.delete_user(UserName=user)


def widen_policy(subject: Subject) -> None:
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    subject.world.iam.put_user_policy(
        UserName=subject.user,
        PolicyName=f"{subject.user}-{subject.bucket}-s3-restricted",
        PolicyDocument=json.dumps(document),
    )


def open_acl(subject: Subject) -> None:
    s3, bucket = subject.world.s3, subject.bucket
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked(acl=False))
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read")
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=blocked())


def blocked(*, acl: bool = True) -> dict[str, bool]:
    return {"BlockPublicAcls": acl, "IgnorePublicAcls": acl, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}


def make_secret_immutable_and_edit_labels(subject: Subject) -> None:
    subject.patch_secret({"immutable": True, "metadata": {"labels": {"app.kubernetes.io/managed-by": None}}})


@pytest.fixture
def _as_operator(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator's AWS settings, set in this process."""
    set_as_operator(world, monkeypatch)


@pytest.fixture
def check(world: World, _as_operator: None) -> DriftCheck:
    """The operator's own drift check."""
    return DriftCheck(PROJECT, SETTINGS, cached)


def without_other_tags(subject: Subject, before: dict[str, Any], _: dict[str, Any]) -> None:
    """A new bucket does not have the tags of other tools."""
    del before["bucket"]["tags"]["cost-center"]
    subject.retag(lambda tags: tags.update({"cost-center": "42"}))


def with_another_user(_: Subject, before: dict[str, Any], after: dict[str, Any]) -> None:
    """A new user. It records no origin: the record was deleted with the user, and nothing else proves it."""
    before["user"]["created"] = after["user"]["created"]
    assert before["user"]["tags"].pop("agill.apps/origin").startswith("created:")


def without_ports(_: Subject, before: dict[str, Any], after: dict[str, Any]) -> None:
    """The API server keeps the ports of an ExternalName Service. They have no effect there."""
    for snapshot in (before, after):
        snapshot["service"]["spec"].pop("ports", None)


ROWS: dict[str, Row] = {
    "bucket-deleted": Row(
        "bucket",
        "bucket",
        lambda s: s.world.s3.delete_bucket(Bucket=s.bucket),
        expect=without_other_tags,
        is_alone=True,
    ),
    "block-public-access-off": Row(
        "public_access_block",
        "publicAccessBlock.restrictPublicBuckets",
        lambda s: s.world.s3.delete_public_access_block(Bucket=s.bucket),
    ),
    "block-public-access-partly-off": Row(
        "public_access_block",
        "publicAccessBlock.blockPublicACLs",
        lambda s: s.world.s3.put_public_access_block(
            Bucket=s.bucket, PublicAccessBlockConfiguration=blocked(acl=False)
        ),
    ),
    "acl-opened": Row("acl", "bucketACL", open_acl, is_alone=True),
    "versioning-suspended": Row(
        "versioning",
        "enableVersioning",
        lambda s: s.world.s3.put_bucket_versioning(Bucket=s.bucket, VersioningConfiguration={"Status": "Suspended"}),
    ),
    "acceleration-on": Row(
        "acceleration",
        "enableTransferAcceleration",
        lambda s: s.world.s3.put_bucket_accelerate_configuration(
            Bucket=s.bucket, AccelerateConfiguration={"Status": "Enabled"}
        ),
    ),
    "policy-deleted": Row("policy", "bucketPolicy", lambda s: s.world.s3.delete_bucket_policy(Bucket=s.bucket)),
    "policy-replaced": Row(
        "policy",
        "bucketPolicy",
        lambda s: s.world.s3.put_bucket_policy(
            Bucket=s.bucket,
            Policy=json.dumps(POLICY).replace("{bucket}", s.bucket).replace("s3:GetObject", "s3:PutObject"),
        ),
    ),
    **table_of("ROWS", with_needy=False),
    "tag-edited": Row("tags", "tags.team", lambda s: s.retag(lambda tags: tags.update({"team": "other"}))),
    "tag-removed": Row("tags", "tags.team", lambda s: s.retag(lambda tags: tags.pop("team"))),
    "bucket-uid-tag-edited": Row(
        "tags", "tags.agill.apps/uid", lambda s: s.retag(lambda tags: tags.update({"agill.apps/uid": "another"}))
    ),
    "user-deleted": Row("user", "iamUser", delete_user, has_fresh_key=True, expect=with_another_user, is_alone=True),
    "user-uid-tag-edited": Row(
        "user",
        "iamUser.tags.agill.apps/uid",
        lambda s: s.world.iam.tag_user(UserName=s.user, Tags=[{"Key": "agill.apps/uid", "Value": "another"}]),
    ),
    "user-tag-edited": Row(
        "user",
        "iamUser.tags.team",
        lambda s: s.world.iam.tag_user(UserName=s.user, Tags=[{"Key": "team", "Value": "other"}]),
    ),
    "user-tag-removed": Row(
        "user", "iamUser.tags.team", lambda s: s.world.iam.untag_user(UserName=s.user, TagKeys=["team"])
    ),
    "user-policy-widened": Row("user_policy", "iamUser.policy", widen_policy),
    "user-policy-deleted": Row(
        "user_policy",
        "iamUser.policy",
        lambda s: s.world.iam.delete_user_policy(UserName=s.user, PolicyName=f"{s.user}-{s.bucket}-s3-restricted"),
    ),
    "key-deleted": Row(
        "access_key",
        "accessKey",
        lambda s: s.world.iam.delete_access_key(UserName=s.user, AccessKeyId=s.key_id),
        has_fresh_key=True,
    ),
    "key-inactive": Row(
        "access_key",
        "accessKey",
        lambda s: s.world.iam.update_access_key(UserName=s.user, AccessKeyId=s.key_id, Status="Inactive"),
        has_fresh_key=True,
    ),
    "rotation-left-unfinished": Row(
        "access_key",
        "accessKey",
        lambda s: s.world.iam.tag_user(UserName=s.user, Tags=[{"Key": "agill.apps/foreign-keys", "Value": "-"}]),
    ),
    "secret-deleted": Row(
        "secret",
        "secret",
        lambda s: s.world.core.delete_namespaced_secret("drift-iam-secret", s.cr["metadata"]["namespace"]),
        has_fresh_key=True,
    ),
    "secret-key-id-edited": Row(
        "secret",
        "secret",
        lambda s: s.patch_secret({"stringData": {"AWS_ACCESS_KEY_ID": "AKIAEDITED"}}),
        has_fresh_key=True,
    ),
    "secret-value-edited": Row(
        "secret",
        "secret",
        lambda s: s.patch_secret({"stringData": {"AWS_SECRET_ACCESS_KEY": "edited"}}),
        has_fresh_key=True,
    ),
    "secret-value-emptied": Row(
        "secret", "secret", lambda s: s.patch_secret({"data": {"AWS_SECRET_ACCESS_KEY": None}}), has_fresh_key=True
    ),
    "secret-label-stripped": Row(
        "secret",
        "secret.labels.app.kubernetes.io/managed-by",
        lambda s: s.patch_secret({"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
    ),
    "service-deleted": Row(
        "service",
        "service",
        lambda s: s.world.core.delete_namespaced_service("drift", s.cr["metadata"]["namespace"]),
        # Those that an earlier row has left.
        expect=without_ports,
    ),
    "service-host-edited": Row(
        "service", "service.externalName", lambda s: s.patch_service({"spec": {"externalName": "evil.example"}})
    ),
    "service-type-edited": Row(
        "service",
        "service.type",
        lambda s: s.patch_service({"spec": {"type": "ClusterIP", "externalName": None, "ports": [{"port": 80}]}}),
        expect=without_ports,
    ),
    "service-label-stripped": Row(
        "service",
        "service.labels.app.kubernetes.io/managed-by",
        lambda s: s.patch_service({"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}}),
    ),
    # This row is the last one, because an immutable Secret cannot be made mutable again.
    "secret-immutable": Row("secret", "secret", make_secret_immutable_and_edit_labels, is_alone=True),
}


NEEDY_ROWS: dict[str, Row] = {name: row for name, row in table_of("ROWS").items() if name not in ROWS}

# Values of the spec that are refused before any request, and the beginning of the message.
REFUSED: dict[str, tuple[dict[str, Any], str]] = table_of("REFUSED")


@pytest.mark.parametrize(("spec", "message"), REFUSED.values(), ids=REFUSED)
def test_value_that_aws_would_not_take_is_refused_by_its_field(
    subject: Subject, spec: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReconcileError) as refused:
        subject.world.wanted({**subject.cr, "spec": {**subject.cr["spec"], **spec}})
    assert (refused.value.reason, refused.value.message[: len(message)]) == (Reason.INVALID_SPEC, message)


# The aspects that a run writes together with a new access key, and with a new user.
NEW_KEY = ("access_key", "secret")
NEW_USER = ("user", "user_policy", *NEW_KEY)


WAVES = waves_of(ROWS)
NEEDY_WAVES = waves_of(NEEDY_ROWS)


@pytest.mark.usefixtures("_as_operator")
@pytest.mark.parametrize("wave", WAVES.values(), ids=WAVES)
def test_drift_is_reported_and_repaired_and_nothing_else_changes(subject: Subject, wave: Wave) -> None:
    assert_repaired(subject, wave)


@pytest.mark.usefixtures("_as_operator")
@pytest.mark.parametrize("wave", NEEDY_WAVES.values(), ids=NEEDY_WAVES)
def test_drift_of_a_setting_that_needs_others_is_repaired(needy_subject: Subject, wave: Wave) -> None:
    assert_repaired(needy_subject, wave)


def assert_repaired(subject: Subject, wave: Wave) -> None:
    """The drift of each row is reported by itself; one run repairs all rows, and nothing else changes."""
    world, cr = subject.world, subject.cr
    check = check_in_new_periods(world)
    before, key_before = world.snapshot(cr), world.credentials(cr)

    broken: set[str] = set()
    for name, row in wave.items():
        row.break_it(subject)
        broken.add(row.aspect)
        # Whatever else differed would be in the drift.
        assert set(check.compare(S3Object(cr)).drift) == broken, name
    planned = check.plan(S3Object(cr))
    assert {change.aspect for change in planned.changes} == broken, planned
    assert {(row.aspect, row.field) for row in wave.values()} <= {(item.aspect, item.field) for item in planned.changes}
    run = world.reconcile(cr)

    assert (run.outcome["reason"], set(run.changed)) == ("Ready", written_by(wave)), run.output
    assert check.compare(S3Object(cr)) == Outcome(True, Reason.READY, status=lasting(run))
    after = world.snapshot(cr)
    for row in wave.values():
        row.expect(subject, before, after)
    if any(row.has_fresh_key for row in wave.values()):
        assert without_keys(after) == without_keys(before)
        assert_only_key_is(subject, old=key_before[0])
    else:
        assert after == before
        assert world.credentials(cr) == key_before
    assert check.plan(S3Object(cr)).changes == ()
    assert key_before[1] not in run.output + repr(planned)
    assert world.credentials(cr)[1] not in run.output


def check_in_new_periods(world: World) -> DriftCheck:
    """The operator's own drift check. Each check is in a new period, so that it reads what others have changed."""
    now = itertools.count(0, 300)
    return DriftCheck(PROJECT, world.settings, cached, clock=lambda: next(now))


def written_by(wave: Wave) -> set[str]:
    """The aspects that the repair of these rows writes."""
    written = {row.aspect for row in wave.values()}
    if any(row.has_fresh_key for row in wave.values()):
        written |= {*NEW_KEY}
    return written | {*NEW_USER} if "user-deleted" in wave else written


def lasting(run: Run) -> dict[str, Any]:
    """The status of a run without what it just wrote, which a check does not repeat."""
    return {name: value for name, value in run.outcome["status"].items() if name != recent.STATUS}


def test_value_from_before_a_write_is_no_drift_until_aws_must_show_the_new_one(
    subject: Subject, check: DriftCheck
) -> None:
    cr, s3 = subject.cr, subject.world.s3
    s3.delete_bucket_cors(Bucket=subject.bucket)
    run = subject.world.reconcile(cr)
    assert run.changed == ["cors"]
    status = {**run.outcome["status"], "observedGeneration": 1}
    # What AWS may answer for some minutes yet: the value from before.
    s3.delete_bucket_cors(Bucket=subject.bucket)
    masked, seen = check.compare(S3Object({**cr, "status": status})), check.compare(S3Object(cr))
    assert (masked.is_done, masked.drift, masked.has_old_answers) == (True, (), True)
    assert (seen.drift, seen.has_old_answers) == (("cors",), False)
    written = [{**item, "time": "2026-01-01T00:00:00Z"} for item in status[recent.STATUS]]
    assert check.compare(S3Object({**cr, "status": {**status, recent.STATUS: written}})).drift == ("cors",)
    assert subject.world.reconcile(cr).changed == ["cors"]


def test_write_that_failed_is_not_on_record(subject: Subject) -> None:
    cr, gate = subject.cr, subject.world.aws.gate
    subject.world.s3.delete_bucket_cors(Bucket=subject.bucket)
    gate.add_fault("PutBucketCors", "AccessDenied", status=403, bucket=subject.bucket)
    try:
        outcome = subject.world.reconcile(cr).outcome
    finally:
        gate.clear_faults()
    assert outcome["reason"] == "AccessDenied"
    assert recent.STATUS not in outcome["status"]
    assert subject.world.reconcile(cr).changed == ["cors"]


def assert_only_key_is(subject: Subject, old: str) -> None:
    """There is one active access key, the one in the Secret. It works, and the old one is deleted."""
    keys = subject.world.iam.list_access_keys(UserName=subject.user)["AccessKeyMetadata"]
    assert [(key["AccessKeyId"], key["Status"]) for key in keys] == [(subject.key_id, "Active")]
    assert subject.key_id != old
    tenant = subject.world.tenant(subject.cr)
    tenant.put_object(Bucket=subject.bucket, Key="probe", Body=b"x")
    for version in tenant.list_object_versions(Bucket=subject.bucket).get("Versions", []):
        tenant.delete_object(Bucket=subject.bucket, Key="probe", VersionId=version["VersionId"])


SEVERAL = st.lists(st.sampled_from(sorted(ROWS)), min_size=2, max_size=6, unique=True)


# The examples are the same each time: a run of the role takes a second, and a CI failure must be reproducible.
@settings(
    max_examples=6, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(rows=SEVERAL)
@pytest.mark.usefixtures("_as_operator")
def test_check_plan_and_role_agree_on_whatever_is_broken_together(
    world: World, subject: Subject, rows: list[str]
) -> None:
    check = check_in_new_periods(world)
    for row in rows:
        # A row cannot break what an earlier row removed, or a key that is none since an earlier row edited the Secret.
        with suppress(ClientError, ParamValidationError, ApiException, KeyError):
            ROWS[row].break_it(subject)
    seen = check.compare(S3Object(subject.cr))
    assert seen.reason in (Reason.READY, Reason.DRIFTED), seen
    assert seen.drift
    assert list(seen.drift) == world.differs(subject.cr)
    assert {change.aspect for change in check.plan(S3Object(subject.cr)).changes} == set(seen.drift)
    run = world.reconcile(subject.cr)
    assert run.outcome["reason"] == "Ready", run.output
    assert set(seen.drift) <= set(run.changed) <= {*seen.drift, *NEW_USER}
    assert check.compare(S3Object(subject.cr)) == Outcome(True, Reason.READY, status=lasting(run))
    assert check.plan(S3Object(subject.cr)).changes == ()


def test_check_reads_only_and_answers_as_a_run_that_changes_nothing(subject: Subject, check: DriftCheck) -> None:
    with requests_of(subject.world) as requests:
        seen = check.compare(S3Object(subject.cr))
    run = subject.world.reconcile(subject.cr).outcome
    expected = Outcome(
        run["done"], Reason(run["reason"]), run["message"], run["retry"], tuple(run["changed"]), run["status"]
    )
    assert seen == expected
    assert requests
    assert [request["action"] for request in requests if request["write"]] == []


# Seven calls for an object without optional settings, and one for each optional setting that it has. One of the seven
# is a page of the tags of many buckets, which not every check reads.
MAX_CALLS = 7
MAX_CALLS_WITH_ALL = MAX_CALLS + len([setting for setting in ALL if setting.is_optional])
IAM_CALLS = (
    "GetAccountAuthorizationDetails", "GetUser", "GetUserPolicy", "ListAccessKeys", "ListAttachedUserPolicies",
    "ListGroupsForUser", "ListUserPolicies",
)  # fmt: skip


@pytest.mark.usefixtures("_as_operator")
def test_check_makes_seven_calls_at_most_and_reads_all_users_once_a_period(world: World, subject: Subject) -> None:
    calls: list[str] = []
    now = [0.0]
    check = DriftCheck(
        PROJECT,
        SETTINGS,
        cached,
        count_call=calls.append,
        clock=lambda: now[0],
    )
    check.compare(S3Object(subject.cr))
    first, calls[:] = list(calls), []
    assert first.count("GetAccountAuthorizationDetails") == 1
    for now[0] in (10.0, 20.0, 299.0):
        assert check.compare(S3Object(subject.cr)) == Outcome(True, Reason.READY, status=ANY)
        assert len(calls) <= MAX_CALLS_WITH_ALL
        assert [call for call in calls if call in IAM_CALLS] == ["ListAccessKeys"]
        calls.clear()
    now[0] = 300.0
    check.compare(S3Object(subject.cr))
    assert calls.count("GetAccountAuthorizationDetails") == 1


@pytest.mark.usefixtures("_as_operator")
@pytest.mark.parametrize("spec", [{}, {"service": {"enabled": False}}, {"iamUser": None}])
def test_check_of_an_object_in_order_asks_aws_seven_times_and_kubernetes_nothing(
    world: World, new_object: NewObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any]
) -> None:
    cr = new_object(**spec)
    assert world.reconcile(cr).outcome["done"]
    metadata = cr["metadata"]
    kinds = {"Secret": f"{metadata['name']}-iam-secret", "Service": metadata["name"]}
    seen = {kind: cached(kind, metadata["namespace"], name) for kind, name in kinds.items()}
    config = yaml.safe_load(world.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{get_free_port()}"
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    default = client.Configuration.get_default_copy()
    calls: list[str] = []
    try:
        check = DriftCheck(PROJECT, SETTINGS, lambda kind, namespace, name: seen[kind], count_call=calls.append)
    finally:
        client.Configuration.set_default(default)
    assert check.compare(S3Object(cr)) == Outcome(True, Reason.READY, status=ANY)
    calls.clear()
    assert check.compare(S3Object(cr)).is_done
    assert len(calls) <= MAX_CALLS


def test_check_sees_a_user_that_was_changed_after_the_shared_read_once_notified(
    subject: Subject, check: DriftCheck
) -> None:
    assert check.compare(S3Object(subject.cr)).drift == ()
    delete_user(subject)
    check.forget(S3Object(subject.cr))
    assert check.compare(S3Object(subject.cr)).drift == ("user",)
    assert subject.world.reconcile(subject.cr).changed == ["user", "user_policy", *NEW_KEY]


def test_check_and_run_refuse_in_the_same_words(subject: Subject, check: DriftCheck) -> None:
    cr = {**subject.cr, "spec": {**subject.cr["spec"], "region": "eu-west-1"}}
    seen, run = check.compare(S3Object(cr)), subject.world.reconcile(cr).outcome
    assert (seen.reason, seen.message, seen.retry) == (run["reason"], run["message"], run["retry"])
    assert seen.reason == Reason.WRONG_REGION


def test_check_follows_changed_credentials(
    subject: Subject, check: DriftCheck, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = wrong\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    seen = check.compare(S3Object(subject.cr))
    assert (seen.is_done, seen.reason) == (False, Reason.CREDENTIALS_INVALID)
    assert check.plan(S3Object(subject.cr)).refusal == seen
    file.write_text(subject.world.aws.credentials_file.read_text())
    seen = check.compare(S3Object(subject.cr))
    assert seen.reason is Reason.READY


def test_second_run_makes_no_write_call(subject: Subject) -> None:
    with requests_of(subject.world) as requests:
        run = subject.world.reconcile(subject.cr)
    assert "changed=0" in run.output
    assert run.changed == []
    assert [request["action"] for request in requests if request["write"]] == []
    assert requests, "the gate saw the reads"


def test_check_mode_reports_and_changes_nothing(subject: Subject) -> None:
    world, cr = subject.world, subject.cr
    world.s3.put_bucket_versioning(Bucket=subject.bucket, VersioningConfiguration={"Status": "Suspended"})
    world.core.delete_namespaced_service("drift", cr["metadata"]["namespace"])
    before = world.snapshot(cr)
    with requests_of(world) as requests:
        run = world.reconcile(cr, "--check")
    assert run.changed == ["versioning", "service"]
    assert "changed=1" in run.output
    assert [request["action"] for request in requests if request["write"]] == []
    assert world.snapshot(cr) == before
    assert world.reconcile(cr).outcome["reason"] == "Ready"


# Other forms of a value that mean the same as the spec. They stay in AWS, and other tests compare what they find. So
# this is the last test.
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = table_of("EQUAL_FORMS", with_needy=False)


@pytest.mark.parametrize("change", EQUAL_FORMS.values(), ids=EQUAL_FORMS)
def test_other_form_of_the_same_is_no_drift(subject: Subject, change: Callable[[Subject], Any]) -> None:
    change(subject)
    assert subject.world.differs(subject.cr) == []
