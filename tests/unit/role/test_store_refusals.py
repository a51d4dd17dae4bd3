"""What is refused in a store, and in which words: the store is not AWS, and a run may be ended between two requests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from runner.drift.aws_clients import make_tenant_clients
from s3bucket.capabilities import AWS, OPTIONAL_READS, Capabilities
from s3bucket.errors import ReconcileError
from s3bucket.observe import bucket as buckets
from s3bucket.observe import user as users
from s3bucket.observe.sources import Found, FoundUser
from s3bucket.role_settings import RoleSettings
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import BucketState, UserState
from tests.support.modules import load_module
from tests.support.store_answers import StoreAnswers, answer_of
from tests.support.world import DEFAULTS

STORE = Capabilities(is_aws=False, account="RGW1", lacking_actions=frozenset(OPTIONAL_READS))


def want(*, is_aws: bool, **spec: Any) -> Wanted:
    metadata = {"name": "photos", "namespace": "team", "uid": "u"}
    spec = {"region": "us-east-1", "bucketName": "photos", **spec}
    return wanted_of({"metadata": metadata, "spec": spec}, "c", DEFAULTS, is_aws=is_aws)


@pytest.mark.parametrize(
    ("is_aws", "tags", "may_be_left"), [(True, {}, False), (False, {}, True), (False, {"team": "b"}, False)]
)
def test_bucket_that_an_ended_run_may_have_left_has_the_remedy(
    is_aws: bool, tags: dict[str, str], may_be_left: bool
) -> None:
    sources: Any = SimpleNamespace(capabilities=AWS if is_aws else STORE)
    with pytest.raises(ReconcileError, match="without this operator's owner tags") as refused:
        buckets.check_ownership(want(is_aws=is_aws), sources, Found("1", BucketState("", tags)), None)
    assert ("if it is empty because a run that created it was ended, delete it" in refused.value.message) == may_be_left
    assert ("this AWS account" in refused.value.message) == is_aws


@pytest.mark.parametrize(
    ("is_aws", "tags", "may_be_left"), [(True, {}, False), (False, {}, True), (False, {"team": "b"}, False)]
)
def test_user_that_an_ended_run_may_have_left_has_the_remedy(
    is_aws: bool, tags: dict[str, str], may_be_left: bool
) -> None:
    wanted = want(is_aws=is_aws, iamUser={"username": "photos"})
    with pytest.raises(ReconcileError, match="was not made for this S3 object") as refused:
        users.check_ownership(wanted, FoundUser(wanted.users[0], UserState(arn="arn", tags=tags)), None)
    assert ("because a run that created it was ended, delete it" in refused.value.message) == may_be_left


def settings_of(iam: Any, capabilities: Capabilities, monkeypatch: pytest.MonkeyPatch) -> Any:
    module = load_module("s3bucket_settings", monkeypatch)
    wanted = want(is_aws=capabilities.is_aws, iamUser={"username": "photos"})
    params = {"bucket_owner": "root-key", "settings": "{}"}
    clients = {"iam": iam, "s3": StoreAnswers().client("s3")}
    ansible = SimpleNamespace(client=lambda name, **_: clients[name], params=params, region="us-east-1")
    given = RoleSettings() if capabilities.is_aws else RoleSettings(provider="Other", capabilities=capabilities)
    return module.Settings(ansible, wanted, given)


def test_policy_that_names_a_new_user_of_a_store_has_the_account_of_its_arn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of buckets in versitygw is the id of a key. SeaweedFS does not return when a user was created."""
    assert settings_of(StoreAnswers().client("iam"), STORE, monkeypatch)._arn_if_new("user", "photos") == (
        "arn:aws:iam::RGW1:user/photos"
    )
    undated = answer_of("GetUser", "<User><UserName>photos</UserName><Arn>arn</Arn></User>")
    iam = StoreAnswers({"GetUser": undated}).client("iam")
    assert settings_of(iam, STORE, monkeypatch)._arn_if_new("user", "photos") == ""


def test_sts_of_a_store_is_asked_in_its_own_region_with_the_key_of_a_tenant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "home")
    for is_aws, expected in ((True, ["RegionOne", "RegionOne"]), (False, ["home", "RegionOne"])):
        found = make_tenant_clients("id", "key", "RegionOne", is_aws=is_aws)
        assert [client._request_signer.region_name for client in found] == expected
