"""Buckets in a store that ignores, or refuses, tags in the call that creates a bucket.

The store is versitygw with a client that leaves the tags out. What an ended run leaves is made here as it leaves it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.store import Store
from s3bucket import owner
from s3bucket.capabilities import Capabilities, probe
from s3bucket.closing import Closing, is_closing
from s3bucket.errors import ReconcileError
from s3bucket.observe import Sources
from s3bucket.observe.bucket import check_ownership, wait_for_s3
from s3bucket.observe.sources import Found, FoundUser
from s3bucket.outcome import Reason
from s3bucket.read import PerUserReader, find_bucket, get_bucket_tags, listed
from s3bucket.spec import Wanted, wanted_of
from s3bucket.users import policy_name_of
from tests.support.modules import load_module
from tests.support.world import DEFAULTS

NOW = datetime.now(UTC)
UID = "0b2a4f0e-7e0f-4d51-9d2b-0c8f0f0c3f3a"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    return load_module("s3bucket_create", monkeypatch)


@pytest.fixture(scope="module")
def capabilities(store: Store) -> Capabilities:
    return probe(store.client(), store.client("iam"), store.client("sts"), store.account)


@pytest.fixture
def wanted(new_name: Callable[[str], str]) -> Wanted:
    name = new_name("bucket")
    spec = {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}}
    return wanted_of({"metadata": {"name": name, "namespace": "team", "uid": UID}, "spec": spec}, "c", DEFAULTS)


def ignore_tags(params: dict[str, Any], **_: object) -> None:
    params["body"] = b""


def refuse_tags(params: dict[str, Any], **_: object) -> tuple[Any, dict[str, Any]] | None:
    if b"<Tags>" not in params["body"]:
        return None
    return SimpleNamespace(status_code=HTTPStatus.BAD_REQUEST), {"Error": {"Code": "MalformedXML", "Message": "no"}}


@pytest.mark.parametrize("handler", [ignore_tags, refuse_tags])
def test_bucket_is_tagged_in_a_second_request(
    module: Any, store: Store, capabilities: Capabilities, wanted: Wanted, handler: Callable[..., Any]
) -> None:
    s3, bucket_owner = store.client(), str(capabilities.bucket_owner)
    s3.meta.events.register("before-call.s3.CreateBucket", handler)
    assert module.create_bucket(s3, wanted, is_aws=False)
    assert get_bucket_tags(s3, wanted.bucket, bucket_owner) == {}
    module.tag_new_bucket(s3, wanted, bucket_owner)
    assert get_bucket_tags(s3, wanted.bucket, bucket_owner) == wanted.creation_tags
    # It exists now: a second run does not take it for a new one.
    assert not module.create_bucket(s3, wanted, is_aws=False)


def test_bucket_with_contents_is_not_tagged(
    module: Any, store: Store, capabilities: Capabilities, wanted: Wanted
) -> None:
    s3, bucket_owner = store.client(), str(capabilities.bucket_owner)
    s3.create_bucket(Bucket=wanted.bucket)
    s3.put_object(Bucket=wanted.bucket, Key="of-someone-else", Body=b"x")
    module.tag_new_bucket(s3, wanted, bucket_owner)
    assert get_bucket_tags(s3, wanted.bucket, bucket_owner) == {}


class Left:
    """What a run leaves that ends between the creation of the bucket and its tags."""

    def __init__(self, store: Store, capabilities: Capabilities, wanted: Wanted) -> None:
        self.s3, self.iam = store.client(), store.client("iam")
        self.wanted, self.capabilities = wanted, capabilities
        tags = wanted.tags_of(wanted.users[0])
        self.iam.create_user(UserName=wanted.username, Tags=listed(tags))
        # SeaweedFS ignores them in the first call.
        self.iam.tag_user(UserName=wanted.username, Tags=listed(tags))
        self.s3.create_bucket(Bucket=wanted.bucket)

    def check(self) -> bool:
        """Check the ownership of the bucket, as the next run does; return whether it would be adopted."""
        reader, none = PerUserReader(self.iam, self.capabilities), object()
        user = reader.find(self.wanted.username)
        assert user is not None
        reader.read_rights(self.wanted.username, user)
        bucket = find_bucket(self.s3, self.wanted.bucket, str(self.capabilities.bucket_owner))
        found = Found(self.capabilities.account, bucket, (FoundUser(self.wanted.users[0], user),))
        sources = Sources(
            self.s3, reader, none, None, lambda _: (none, none), NOW, 0, "", capabilities=self.capabilities
        )
        wait_for_s3(self.wanted, sources, found)
        return check_ownership(self.wanted, sources, found, None)


def test_empty_bucket_of_a_run_that_was_killed_is_the_objects(
    store: Store, capabilities: Capabilities, wanted: Wanted
) -> None:
    assert Left(store, capabilities, wanted).check() is False


def put_object(left: Left) -> None:
    left.s3.put_object(Bucket=left.wanted.bucket, Key="of-someone-else", Body=b"x")


def give_rights(left: Left) -> None:
    name = policy_name_of(left.wanted.username, left.wanted.bucket)
    text = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}'
    left.iam.put_user_policy(UserName=left.wanted.username, PolicyName=name, PolicyDocument=text)


def claim_another(left: Left) -> None:
    left.iam.tag_user(UserName=left.wanted.username, Tags=[{"Key": owner.BUCKET, "Value": "another"}])


def tag_bucket(left: Left) -> None:
    left.s3.put_bucket_tagging(Bucket=left.wanted.bucket, Tagging={"TagSet": [{"Key": "team", "Value": "b"}]})


@pytest.mark.parametrize("change", [put_object, give_rights, claim_another, tag_bucket])
def test_other_untagged_bucket_is_a_conflict(
    store: Store, capabilities: Capabilities, wanted: Wanted, change: Callable[[Left], None]
) -> None:
    left = Left(store, capabilities, wanted)
    change(left)
    with pytest.raises(ReconcileError, match="without this operator's owner tags") as refused:
        left.check()
    assert refused.value.reason == Reason.CONFLICT


def test_bucket_is_closed_to_writers_with_a_policy_that_the_store_accepts(
    store: Store, capabilities: Capabilities, new_name: Callable[[str], str]
) -> None:
    s3, name = store.client(), new_name("bucket")
    arn = f"arn:aws:s3:::{name}"
    s3.create_bucket(Bucket=name)
    rights = {"Effect": "Allow", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]}
    tenant = store.client(**store.create_user(new_name("tenant"), {"Version": "2012-10-17", "Statement": [rights]}))
    tenant.put_object(Bucket=name, Key="before", Body=b"x")
    closing = Closing(s3, name, str(capabilities.bucket_owner), arn)
    closing.run()
    assert closing.problem == ""
    # So a later run that retains the bucket after all recognizes the policy.
    assert is_closing(s3.get_bucket_policy(Bucket=name)["Policy"], arn)
    with pytest.raises(ClientError, match="AccessDenied"):
        tenant.put_object(Bucket=name, Key="after", Body=b"x")
