"""What a store has is found out by harmless reads; AWS is never probed."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from s3bucket import read
from s3bucket.capabilities import AWS, OPTIONAL_READS, Capabilities, bucket_arguments, check_has_iam, probe
from s3bucket.errors import ReconcileError
from s3bucket.keys import fingerprint_of
from s3bucket.observe import observe_deletion
from s3bucket.observe.sources import Sources
from s3bucket.role_settings import RoleSettings
from s3bucket.spec import wanted_of
from tests.support.store_answers import (
    ENDPOINT,
    INVALID_ACTION,
    NO_SUCH_ENTITY,
    StoreAnswers,
    answer_of,
    buckets,
    denied_by,
    identity,
)

ACCOUNT = "000000000000"
WRITES = ("Put", "Create", "Delete", "Update", "Tag", "Add", "Attach")


def probe_of(store: StoreAnswers, account: str = "", **endpoints: str | None) -> Capabilities:
    s3, iam, sts = (store.client(service, endpoints.get(service, ENDPOINT)) for service in ("s3", "iam", "sts"))
    return probe(s3, iam, sts, account)


def test_store_with_everything_is_probed_by_reads_alone() -> None:
    store = StoreAnswers()
    found = probe_of(store)
    expected = Capabilities(is_aws=False, account=ACCOUNT, bucket_owner="owner", is_owner_tried=False)
    assert found == expected
    assert not [name for name in store.requests if name.startswith(WRITES)]
    assert len(store.requests) == len(set(store.requests))


@pytest.mark.parametrize(
    "answer",
    [INVALID_ACTION, denied_by("NotImplemented", 501), denied_by("MethodNotAllowed", 405), (501, ""), (405, "")],
    ids=["InvalidAction", "NotImplemented", "MethodNotAllowed", "501", "405"],
)
@pytest.mark.parametrize("action", OPTIONAL_READS)
def test_read_that_the_store_does_not_know_is_lacking(action: str, answer: tuple[int, str]) -> None:
    found = probe_of(StoreAnswers({action: answer}))
    # A store without roles is not asked for their policies.
    assert found.lacking_actions == {action} | ({"ListAttachedRolePolicies"} if action == "GetRole" else set())
    assert found.lacks(action)
    assert found.last_used == (action != "GetAccessKeyLastUsed")
    assert found.user_tags == (action != "ListUserTags")


def test_read_that_is_denied_is_not_lacking_but_where_other_reads_replace_it() -> None:
    answers = dict.fromkeys(OPTIONAL_READS, denied_by("AccessDenied", 403))
    assert probe_of(StoreAnswers(answers)).lacking_actions == {"GetAccountAuthorizationDetails"}


@pytest.mark.parametrize("action", ["GetRole", "ListAttachedRolePolicies"])
def test_store_that_fails_only_for_roles_has_none(action: str) -> None:
    """SeaweedFS answers 500 where its roles are not configured. In an outage, other reads fail as well."""
    failed = denied_by("ServiceFailure", 500)
    store = StoreAnswers({action: failed})
    assert "ListAttachedRolePolicies" in probe_of(store).lacking_actions
    iam = store.client("iam")
    iam.meta.events.register(f"before-call.iam.{action}", lambda **_: store.answer("GetUser", failed))
    with pytest.raises(ReconcileError, match="failed to read IAM users") as refused:
        probe(store.client("s3"), iam, store.client("sts"))
    assert refused.value.retry == "transient"


@pytest.mark.parametrize("action", ["ListBuckets", "GetUser", "ListGroupsForUser", "GetCallerIdentity"])
def test_store_that_cannot_answer_now_is_not_taken_for_one_that_lacks_something(action: str) -> None:
    with pytest.raises(ReconcileError) as refused:
        probe_of(StoreAnswers({action: denied_by("ServiceUnavailable", 503)}))
    assert refused.value.retry == "transient"


# Of a store, or of a proxy in front of it. botocore cannot parse the last ones.
OUTAGES = [
    denied_by("Throttling", 400),
    denied_by("SlowDown", 503),
    (429, ""),
    (429, "slow down"),
    (502, "<!DOCTYPE html><title>Bad gateway"),
    (503, "no healthy upstream"),
]


@pytest.mark.parametrize("answer", OUTAGES, ids=["Throttling", "SlowDown", "429", "429 text", "502 page", "503 text"])
@pytest.mark.parametrize("action", ["GetUser", "ListGroupsForUser", "ListUsers", "GetCallerIdentity"])
def test_outage_in_any_form_is_not_taken_for_a_store_without_iam_or_sts(action: str, answer: tuple[int, str]) -> None:
    with pytest.raises(ReconcileError, match="failed to") as refused:
        probe_of(StoreAnswers({action: answer}))
    assert refused.value.retry == "transient"


@pytest.mark.parametrize("status", [429, 503])
def test_bucket_that_does_not_answer_now_decides_nothing_about_the_expected_owner(status: int) -> None:
    store = StoreAnswers({"ListBuckets": buckets("owner", "a"), "HeadBucket": (status, "")})
    with pytest.raises(ReconcileError, match="failed to read bucket a"):
        probe_of(store)


@pytest.mark.parametrize("answer", [*OUTAGES, denied_by("ServiceUnavailable", 503)])
def test_with_a_given_account_sts_need_not_answer(answer: tuple[int, str]) -> None:
    """SeaweedFS without STS answers 503."""
    found = probe_of(StoreAnswers({"GetCallerIdentity": answer}), "RGW1")
    assert (found.account, found.has_sts) == ("RGW1", False)
    with pytest.raises(ReconcileError, match=r"if the store has no STS, give the account .*aws\.accountID"):
        probe_of(StoreAnswers({"GetCallerIdentity": answer}))


@pytest.mark.parametrize(
    ("compared", "listed", "owner"),
    [
        ("owner", ["a"], "owner"),
        ("", ["a"], None),
        (ACCOUNT, ["a"], ACCOUNT),
        ("another", ["a", "b"], None),
        ("owner", [], "owner"),
    ],
    ids=["its id", "ignored", "the account", "an unknown id", "no bucket to try"],
)
def test_expected_owner_is_what_the_store_compares_with(compared: str, listed: list[str], owner: str | None) -> None:
    store = StoreAnswers({"ListBuckets": buckets("owner", *listed)}, compared=compared)
    found = probe_of(store, ACCOUNT)
    assert (found.bucket_owner, found.is_owner_tried) == (owner, bool(listed))


def test_aws_compares_the_account_and_a_store_its_own_id_or_nothing() -> None:
    assert bucket_arguments("b", AWS.owner_of("1")) == {"Bucket": "b", "ExpectedBucketOwner": "1"}
    store = Capabilities(is_aws=False, bucket_owner="owner")
    assert bucket_arguments("b", store.owner_of("1")) == {"Bucket": "b", "ExpectedBucketOwner": "owner"}
    assert bucket_arguments("b", dataclasses.replace(store, bucket_owner=None).owner_of("1")) == {"Bucket": "b"}


# What an endpoint that has only S3 answers to a request of another service.
NO_SERVICE = [
    (405, ""),
    denied_by("MethodNotAllowed", 405),
    INVALID_ACTION,
    (404, ""),
    (200, "<html>"),
    buckets("o", "a"),
]


@pytest.mark.parametrize("answer", NO_SERVICE, ids=["405", "code 405", "InvalidAction", "404", "no XML", "other XML"])
def test_store_without_iam_has_no_users_and_needs_no_account(answer: tuple[int, str]) -> None:
    found = probe_of(StoreAnswers({"GetUser": answer, "GetCallerIdentity": answer}))
    assert (found.has_iam, found.has_sts, found.account) == (False, False, "")
    assert all(found.lacks(action) for action in OPTIONAL_READS)
    assert not found.last_used


def test_clients_of_aws_get_no_request_with_the_keys_of_a_store() -> None:
    store = StoreAnswers()
    found = probe_of(store, iam=None, sts=None)
    assert (found.has_iam, found.has_sts) == (False, False)
    assert set(store.requests) == {"ListBuckets"}
    with pytest.raises(ReconcileError, match="s3bucket_provider: is Other, and no endpoint of a store is set"):
        probe_of(store, s3=None)


def test_account_of_a_store_without_sts_is_a_setting() -> None:
    answers = {"GetCallerIdentity": INVALID_ACTION}
    found = probe_of(StoreAnswers(answers), "RGW1")
    assert (found.account, found.has_sts, found.has_iam) == ("RGW1", False, True)
    with pytest.raises(ReconcileError, match="s3bucket_account_id: is needed, as the store has IAM and no STS"):
        probe_of(StoreAnswers(answers))
    with pytest.raises(ReconcileError, match="s3bucket_account_id: is 1, and the STS of the store returns 2"):
        probe_of(StoreAnswers({"GetCallerIdentity": identity("2")}), "1")


def test_account_of_aws_is_never_a_setting() -> None:
    assert RoleSettings().known_capabilities is AWS
    assert RoleSettings(provider="Other").known_capabilities is None
    with pytest.raises(ReconcileError, match="s3bucket_account_id: is only for a store"):
        RoleSettings(account_id="1").check()


def test_record_of_the_settings_carries_the_capabilities() -> None:
    store = Capabilities(is_aws=False, bucket_owner="o", lacking_actions=frozenset({"GetRole", "ListUserTags"}))
    settings = RoleSettings(provider="Other", capabilities=store)
    record = json.loads(json.dumps(settings.to_record()))
    assert RoleSettings.from_record(record) == settings
    assert RoleSettings.from_record(RoleSettings().to_record()) == RoleSettings()


@pytest.mark.parametrize(
    "record",
    [{"is_aws": False}, {**AWS.to_record(), "has_iam": "yes"}, {**AWS.to_record(), "more": 1}, "text"],
    ids=["incomplete", "type", "unknown", "no map"],
)
def test_wrong_record_of_capabilities_is_refused(record: Any) -> None:
    with pytest.raises(ReconcileError, match=r"s3bucket_operator_settings\.capabilities: "):
        RoleSettings.from_record({"provider": "Other", "capabilities": record})


def test_object_with_a_user_is_refused_by_a_store_without_iam(defaults: dict[str, Any]) -> None:
    def check(capabilities: Capabilities, **spec: Any) -> None:
        spec = {"region": "garage", "bucketName": "photos-bucket", **spec}
        metadata = {"name": "photos", "namespace": "team", "uid": "u"}
        check_has_iam(wanted_of({"metadata": metadata, "spec": spec}, "c", defaults).username, capabilities)

    without = Capabilities(is_aws=False, has_iam=False)
    check(without)
    with pytest.raises(ReconcileError, match=r"spec.iamUser: the store has no IAM.*AWS_ENDPOINT_URL_IAM"):
        check(without, iamUser={"username": "photos"})
    check(AWS, iamUser={"username": "photos"})


def test_deletion_from_a_store_that_shows_no_iam_any_more_does_not_leave_a_user_with_its_key(
    defaults: dict[str, Any],
) -> None:
    """Such as one that had an endpoint of IAM in the settings. An object that never had a key is deleted."""
    metadata = {"name": "photos", "namespace": "team", "uid": "u", "deletionTimestamp": "2026-11-26T00:00:00Z"}
    spec = {"region": "garage", "bucketName": "photos-bucket", "iamUser": {"username": "photos"}}
    wanted = wanted_of({"metadata": metadata, "spec": spec}, "c", defaults)
    pairs = [f"AKIAIOSFODNN7EXAMPLE:{fingerprint_of('x')}"]
    owned = {"name": wanted.secret_name, "ownerReferences": [{"uid": "u", "controller": True}]}

    def find(secret: dict[str, Any] | None) -> Any:
        store = StoreAnswers({"HeadBucket": (404, "")})
        cluster: Any = SimpleNamespace(
            find_secret=lambda *_, **__: secret,
            find_service=lambda *_, **__: None,
            find_config_map=lambda *_: None,
            list_secrets=lambda *_: [],
        )
        without = Capabilities(is_aws=False, has_iam=False)
        users = read.PerUserReader(store.client("iam"), without)
        sources = Sources(
            store.client("s3"), users, None, cluster, lambda _: (None, None), datetime.now(UTC), 0, "",
            capabilities=without,
        )  # fmt: skip
        return observe_deletion(wanted, sources)

    with pytest.raises(ReconcileError, match=r"IAM user photos has a key in Secret .*AWS_ENDPOINT_URL_IAM") as refused:
        find({"metadata": owned, "pairs": pairs})
    assert refused.value.retry == "transient"
    for harmless in (None, {"metadata": owned}, {"metadata": {"name": wanted.secret_name}, "pairs": pairs}):
        assert not find(harmless).deletes_user


@pytest.mark.parametrize("status", [405, 501])
def test_bucket_is_not_created_in_a_store_whose_buckets_have_no_tags(status: int) -> None:
    """Such as Garage: the bucket would have no owner, and would stay for good."""
    for answer in ((status, ""), (status, "<Error><Code>NotImplemented</Code></Error>")):
        s3 = StoreAnswers({"GetBucketTagging": answer}).client("s3")
        with pytest.raises(ReconcileError, match=r"spec.bucketName: the store has no tags of buckets") as refused:
            read.check_has_bucket_tags(s3, "photos", "")
        assert refused.value.reason == "InvalidSpec"
    for code, other in (("NoSuchBucket", 404), ("AccessDenied", 403), ("SlowDown", 503)):
        store = StoreAnswers({"GetBucketTagging": (other, f"<Error><Code>{code}</Code></Error>")})
        read.check_has_bucket_tags(store.client("s3"), "photos", "")


TAGS = "<Tags><member><Key>k</Key><Value>v</Value></member></Tags>"
READS = {
    operation: answer_of(operation, content)
    for operation, content in {
        "ListUsers": "<Users><member><UserName>a</UserName></member></Users>",
        "GetUser": f"<User><UserName>a</UserName><Arn>arn</Arn>{TAGS}</User>",
        "ListUserPolicies": "<PolicyNames><member>p</member></PolicyNames>",
        "GetUserPolicy": "<PolicyDocument>%7B%7D</PolicyDocument>",
        "ListAccessKeys": "<AccessKeyMetadata/>",
    }.items()
}
LACKING = Capabilities(is_aws=False, lacking_actions=frozenset(OPTIONAL_READS))


def test_tags_that_get_user_does_not_return_are_requested() -> None:
    """As in SeaweedFS. A store that returns them, or none, gets no further request; neither does AWS."""
    untagged = {**READS, "GetUser": answer_of("GetUser", "<User><UserName>a</UserName><Arn>arn</Arn></User>")}
    untagged["GetUserPolicy"] = NO_SUCH_ENTITY
    store = StoreAnswers({**untagged, "ListUserTags": answer_of("ListUserTags", TAGS)})
    with_tags = Capabilities(is_aws=False)
    iam = store.client("iam")
    each = dataclasses.replace(with_tags, lacking_actions=frozenset({"GetAccountAuthorizationDetails"}))
    store.answer("ListUserPolicies", answer_of("ListUserPolicies", "<PolicyNames/>"))
    for found in (read.find_user(iam, "a", with_tags), read.read_all_users(iam, each)["a"]):
        assert found is not None
        assert found.tags == {"k": "v"}
    for capabilities in (AWS, dataclasses.replace(with_tags, user_tags=False)):
        store.requests.clear()
        found = read.find_user(iam, "a", capabilities)
        assert found is not None
        assert found.tags == {}
        assert "ListUserTags" not in store.requests
    denied = StoreAnswers({**untagged, "ListUserTags": denied_by("AccessDenied", 403)})
    with pytest.raises(ReconcileError, match="iam:ListUserTags"):
        read.find_user(denied.client("iam"), "a", with_tags)


@pytest.mark.parametrize("lacking", [OPTIONAL_READS, ["GetAccountAuthorizationDetails"]], ids=["others", "one"])
def test_all_users_are_read_one_by_one_where_the_store_has_no_request_for_all(lacking: list[str]) -> None:
    """SeaweedFS lists its administrator, and answers NoSuchEntity to ListAttachedUserPolicies of it."""
    store = StoreAnswers({**READS, "ListAttachedUserPolicies": NO_SUCH_ENTITY})
    users = read.read_all_users(store.client("iam"), dataclasses.replace(LACKING, lacking_actions=frozenset(lacking)))
    assert {name: (user.tags, user.policies) for name, user in users.items()} == {"a": ({"k": "v"}, {"p": {}})}
    assert store.requests == ["ListUsers", "GetUser", "ListUserPolicies", "GetUserPolicy"]


def test_user_that_is_deleted_while_all_are_read_is_left_out() -> None:
    assert read.read_all_users(StoreAnswers({**READS, "GetUser": NO_SUCH_ENTITY}).client("iam"), LACKING) == {}
    store = StoreAnswers({**READS, "ListUserPolicies": NO_SUCH_ENTITY})
    iam = store.client("iam")
    iam.meta.events.register("before-call.iam.ListUserPolicies", lambda **_: store.answer("GetUser", NO_SUCH_ENTITY))
    assert read.read_all_users(iam, LACKING) == {}


def test_user_with_a_policy_that_is_deleted_while_all_are_read_still_counts() -> None:
    """Otherwise another namespace could get the name of the bucket that the user claims."""
    for action in ("ListUserPolicies", "GetUserPolicy"):
        store = StoreAnswers({**READS, action: NO_SUCH_ENTITY})
        with pytest.raises(ReconcileError, match="failed to read the policies of IAM user a"):
            read.read_all_users(store.client("iam"), LACKING)


def test_policies_of_users_that_are_denied_are_unknown() -> None:
    denied = StoreAnswers({**READS, "ListUserPolicies": denied_by("AccessDenied", 403)})
    with pytest.raises(ReconcileError, match="failed to read the policies of IAM user a"):
        read.read_all_users(denied.client("iam"), LACKING)


@pytest.mark.parametrize("action", ["ListUserPolicies", "ListAccessKeys", "GetUser"])
def test_policies_and_keys_that_the_store_does_not_show_are_unknown_and_never_absent(action: str) -> None:
    answers = {**READS, action: INVALID_ACTION}
    reader = read.PerUserReader(StoreAnswers(answers).client("iam"), LACKING)

    def find() -> None:
        user = reader.find("a")
        assert user is not None
        reader.read_rights("a", user)

    with pytest.raises(ReconcileError, match="InvalidAction"):
        find()


def test_store_without_iam_is_never_asked_for_users() -> None:
    store, without = StoreAnswers(READS), Capabilities(is_aws=False, has_iam=False)
    assert read.PerUserReader(store.client("iam"), without).find("a") is None
    assert read.read_all_users(store.client("iam"), without) == {}
    assert store.requests == []
