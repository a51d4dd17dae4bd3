"""The AWS clients of the drift check: a region that a tenant writes costs little memory, and is not kept forever."""

from __future__ import annotations

import gc
import threading
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import botocore.session
import pytest

from runner.drift import aws_clients
from runner.drift.aws_clients import AWSClients, Clients, Identity
from runner.drift.capabilities import EndpointCapabilities
from runner.drift.check import DriftCheck
from runner.drift.time_limit import TimeLimit
from runner.drift.user_cache import PackedUsers, UserCache
from s3bucket.capabilities import AWS, OPTIONAL_READS, Capabilities
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Reason
from s3bucket.role_settings import RoleSettings
from s3bucket.state import UserState
from tests.support.fakes import make_object
from tests.support.store_answers import INVALID_ACTION, StoreAnswers, buckets
from tests.support.world import PROJECT


def test_clients_of_many_regions_share_a_session_and_only_the_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    sessions: list[Any] = []

    class Counted(botocore.session.Session):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            sessions.append(self)
            super().__init__(*args, **kwargs)

    monkeypatch.setattr(botocore.session, "Session", Counted)
    monkeypatch.setattr(aws_clients, "MAX_REGIONS", 2)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    clients = AWSClients(lambda operation: None)
    used = clients.get("eu-west-1").s3
    others = []
    for number in range(4):
        others.append(weakref.ref(clients.get(f"nowhere-{number}").s3))
        assert clients.get("eu-west-1").s3 is used, "the region that is used is kept"
    gc.collect()
    assert clients.regions == ["nowhere-3", "eu-west-1"]
    # Not all of them are collected: something in botocore may still refer to the first client.
    assert sum(other() is not None for other in others) <= 2
    assert len(sessions) == 1


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("AWS_ENDPOINT_URL", "minio:9000", Reason.AWS_UNREACHABLE),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/nosuch/token", Reason.CREDENTIALS_INVALID),
    ],
)
def test_setting_of_aws_that_cannot_work_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, value: str, reason: Reason
) -> None:
    for file in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(file, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/operator")
    monkeypatch.setenv(name, value)
    check = DriftCheck(PROJECT, RoleSettings(cluster_name="cluster", iam_settle_s=0), has_cluster=False)
    seen = check.compare(make_object())
    assert (seen.is_done, seen.reason) == (False, reason)
    assert name in seen.message
    assert value in seen.message


@pytest.mark.parametrize(
    ("is_aws", "signed_for"), [(True, ("RegionOne", "us-east-1", "RegionOne")), (False, ("RegionOne", "home", "home"))]
)
def test_iam_and_sts_of_a_store_are_asked_in_its_own_region(
    monkeypatch: pytest.MonkeyPatch, is_aws: bool, signed_for: tuple[str, str, str]
) -> None:
    settings = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_DEFAULT_REGION": "home"}
    for name, value in {**settings, "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"}.items():
        monkeypatch.setenv(name, value)
    clients = AWSClients(lambda operation: None, is_aws=is_aws)
    s3, iam, sts = clients.get("RegionOne")
    found = [client._request_signer.region_name for client in (s3, iam, sts.sts)]
    assert tuple(found) == signed_for
    assert clients.get_iam()[0] == signed_for[1]


def test_aws_is_never_probed_and_a_store_without_an_endpoint_is_reported(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No request is sent in either case: there is no network here."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    requests: list[str] = []
    clients = AWSClients(requests.append)
    aws = EndpointCapabilities(clients, RoleSettings())
    aws.try_get()
    assert (aws.get(), aws.find(), clients.regions) == (AWS, None, [])
    store = EndpointCapabilities(clients, RoleSettings(provider="Other"))
    store.try_get()
    assert [record.message for record in caplog.records] == ["the store was not probed"]
    with pytest.raises(ReconcileError, match="s3bucket_provider: is Other, and no endpoint of a store is set"):
        store.get()
    assert requests == []


def test_users_of_a_store_are_read_one_by_one_for_a_check_and_all_for_orphans() -> None:
    store, lacking = StoreAnswers(), Capabilities(is_aws=False, lacking_actions=frozenset(OPTIONAL_READS))
    iam = store.client("iam")
    users = UserCache(300, lambda: 0.0, TimeLimit(10, lambda: 0.0), lambda: lacking)
    assert users.get_reader(iam, ["photos"]).find("photos") is None
    assert store.requests == ["GetUser"]
    users.read_all(iam)
    assert store.requests == ["GetUser", "ListUsers"]


def test_what_no_longer_holds_is_noted_while_all_users_are_read() -> None:
    """Whoever receives events must not wait for AWS."""
    store, lacking = StoreAnswers(), Capabilities(is_aws=False, lacking_actions=frozenset(OPTIONAL_READS))
    iam, asked, answer = store.client("iam"), threading.Event(), threading.Event()
    users = UserCache(300, lambda: 0.0, TimeLimit(10, lambda: 0.0), lambda: lacking)

    def hold(**_: object) -> None:
        asked.set()
        answer.wait()

    iam.meta.events.register("before-call", hold)
    reading = threading.Thread(target=users.read_all, args=(iam,), daemon=True)
    reading.start()
    asked.wait()
    noting = threading.Thread(target=users.forget, args=(["photos"],), daemon=True)
    noting.start()
    noting.join(30)
    assert not noting.is_alive()
    answer.set()
    reading.join()
    assert store.requests == ["ListUsers"]


class Clock:
    """A clock that stands still."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_store_without_a_bucket_is_probed_again_because_only_a_bucket_shows_the_owner_that_it_compares() -> None:
    store, clock = StoreAnswers(compared="account"), Clock()
    clients: Any = SimpleNamespace(made=None)
    clients.get = lambda _: clients.made

    def make_anew() -> None:
        clients.made = Clients(store.client("s3"), store.client("iam"), Identity(store.client("sts")))

    make_anew()
    found = EndpointCapabilities(clients, RoleSettings(provider="Other", account_id="account"), clock)
    store.answer("GetCallerIdentity", INVALID_ACTION)
    assert found.get().bucket_owner == "owner"
    store.answer("ListBuckets", buckets("owner", "a"))
    assert found.find() == found.get() != AWS, "not at each check"
    clock.now = 61
    assert found.find() is None, "a run finds it out by itself"
    assert found.get().bucket_owner == "account"
    clock.now = 1000
    requests = len(store.requests)
    assert found.find() == found.get()
    assert len(store.requests) == requests, "once a bucket has shown it, never again"
    make_anew()
    assert found.find() is None, "with other credentials it is not known"
    assert found.get() == found.find()


def test_packed_user_is_the_user_and_each_access_returns_another_one() -> None:
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "é*"}]}
    user = UserState(
        "arn:aws:iam::123456789012:user/a", {"team": "f\u00fcr \ud800"}, {"p": policy}, ["arn:aws:iam::aws:policy/x"],
        ["g"], boundary="b", created="2026-01-01 00:00:00+00:00",
    )  # fmt: skip
    packed = PackedUsers([("a", user)])
    assert (dict(packed), len(packed), packed.get("b")) == ({"a": user}, 1, None)
    packed["a"].tags.clear()
    assert packed["a"] == user
