"""Each bucket setting against a store, an S3 implementation that is independent of moto and of the gate.

What it has is written, read back, compared and cleared, with the values of ``examples/settings/``. What it does not
have must read as UNSUPPORTED, so that nothing is ever written: with a query parameter that it does not know, versitygw
takes a PUT for CreateBucket and a DELETE for DeleteBucket, and answers a GET with a list of the objects. SeaweedFS
answers some reads as if nothing was set, and refuses the writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev.examples import example_fields
from dev.store import Store
from s3bucket import owner
from s3bucket.aspects import arguments, differing, due_settings, unsupported
from s3bucket.errors import unknown
from s3bucket.outcome import Reason
from s3bucket.read import read_settings
from s3bucket.setting import Comparison, Operation, Setting
from s3bucket.settings import ALL, BY_NAME
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import UNSUPPORTED
from tests.support.store import HAVING, PARTS, READ_ONLY, STORE
from tests.support.world import DEFAULTS

# All operations that read settings of a bucket, but for those; also such that no setting uses yet.
LACKING = {
    "GetBucketAbac", "GetBucketAccelerateConfiguration", "GetBucketEncryption", "GetBucketLifecycleConfiguration",
    "GetBucketLogging", "GetBucketMetadataConfiguration", "GetBucketMetadataTableConfiguration",
    "GetBucketNotificationConfiguration", "GetBucketReplication", "GetBucketRequestPayment", "GetPublicAccessBlock",
    "ListBucketAnalyticsConfigurations", "ListBucketIntelligentTieringConfigurations",
    "ListBucketInventoryConfigurations", "ListBucketMetricsConfigurations",
} - HAVING - READ_ONLY  # fmt: skip
PUBLIC = (
    '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",'
    ' "Resource": "arn:aws:s3:::%s/*"}]}'
)
# What the spec of a test must give for a setting that is not optional.
VALUES = {
    "bucketACL": "public-read", "bucketPolicy": PUBLIC, "enableObjectLock": True, "enableTransferAcceleration": True,
    "enableVersioning": True, "publicAccessBlock": {"blockPublicACLs": STORE == "versitygw"},
}  # fmt: skip
# Object lock can never be removed.
KEPT = {"object_lock"}
# As a new bucket of AWS has it.
BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
HAD = [setting for setting in ALL if setting.read.operation.name in HAVING]
LACKED = [setting for setting in ALL if setting.read.operation.name in LACKING]
READ = [setting for setting in ALL if setting.read.operation.name in READ_ONLY]


class Bucket:
    """One bucket, and what the role's core finds, compares and writes for its S3 object."""

    def __init__(self, s3: Any, account: str, name: str) -> None:
        self.s3, self.account, self.name = s3, account, name
        # What the tag agill.apps/settings records, which is written elsewhere.
        self.recorded: frozenset[str] = frozenset()
        self.sent: list[Operation] = []

    def wanted(self, spec: dict[str, Any]) -> Wanted:
        metadata = {"name": "photos", "namespace": "team", "uid": "u"}
        spec = {"region": Store.region, "bucketName": self.name, **spec}
        return wanted_of({"metadata": metadata, "spec": spec}, "cluster", DEFAULTS)

    def find(self, spec: dict[str, Any]) -> Comparison:
        wanted = self.wanted(spec)
        tags = {**wanted.identity.tags, owner.SETTINGS: " ".join(self.recorded)}
        return Comparison(wanted, read_settings(self.s3, self.name, self.account, due_settings(wanted, tags)))

    def differing(self, spec: dict[str, Any]) -> list[str]:
        return differing(self.find(spec), recorded=self.recorded)

    def apply(self, spec: dict[str, Any]) -> list[str]:
        """Write what differs, as the module s3bucket_settings does; return the names of the settings."""
        case = self.find(spec)
        names = differing(case, recorded=self.recorded)
        self.recorded |= {name for name in names if BY_NAME[name].is_optional}
        values = arguments(case, names)
        for name in sorted(names, key=lambda name: BY_NAME[name].write_order(values[name])):
            for call in BY_NAME[name].calls(values[name]):
                self.sent.append(call.operation)
                getattr(self.s3, call.operation.method)(
                    Bucket=self.name, ExpectedBucketOwner=self.account, **call.arguments
                )
        return names


@pytest.fixture(scope="module")
def s3(store: Store) -> Any:
    return store.client()


@pytest.fixture
def new_bucket(s3: Any, new_name: Callable[[str], str]) -> Callable[[], Bucket]:
    # versitygw compares ExpectedBucketOwner with its own id of the account; SeaweedFS ignores it.
    account = s3.list_buckets()["Owner"]["ID"]

    def make() -> Bucket:
        name = new_name("bucket")
        # As a new bucket of AWS has it.
        s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced")
        if "GetPublicAccessBlock" in HAVING:
            s3.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=BLOCKED)
        s3.put_object(Bucket=name, Key="kept", Body=b"x")
        return Bucket(s3, account, name)

    return make


def spec_for(setting: Setting, bucket: str) -> dict[str, Any]:
    """A spec that gives a value for the setting, and what the setting needs."""
    if setting.is_optional:
        return dict(PARTS.get(setting.name) or example_fields(setting.name))
    value = VALUES[setting.field]
    return {setting.field: value % bucket if setting.field == "bucketPolicy" else value}


def assert_is_kept(bucket: Bucket) -> None:
    """Assert that no request was taken for the deletion, or the creation, of the bucket."""
    listed = bucket.s3.list_objects_v2(Bucket=bucket.name)
    assert [item["Key"] for item in listed["Contents"]] == ["kept"]


@pytest.mark.parametrize("setting", ALL, ids=lambda setting: setting.name)
def test_it_is_stated_whether_the_store_has_the_setting(setting: Setting) -> None:
    name = setting.read.operation.name
    assert name in HAVING | READ_ONLY | LACKING, f"read with {name}: add {name} to HAVING or LACKING in {__file__}"


@pytest.mark.parametrize("setting", HAD, ids=lambda setting: setting.name)
def test_setting_is_written_read_back_and_cleared(new_bucket: Callable[[], Bucket], setting: Setting) -> None:
    bucket = new_bucket()
    spec = spec_for(setting, bucket.name)
    plain = {field: value for field, value in spec.items() if field != setting.field}
    assert setting.name in bucket.apply(spec)
    assert not setting.differs(bucket.find(spec))
    assert bucket.differing(spec) == []
    assert setting.name in bucket.apply(plain) or setting.name in KEPT
    assert bucket.differing(plain) == []
    if setting.is_optional and setting.name not in KEPT:
        assert setting.canonical(bucket.find(plain).found[setting.name]) == setting.canonical(setting.new_bucket)
    assert_is_kept(bucket)


def test_all_settings_are_written_at_once_and_a_second_pass_writes_nothing(new_bucket: Callable[[], Bucket]) -> None:
    bucket = new_bucket()
    specs = {setting: spec_for(setting, bucket.name) for setting in HAD}
    # Not those that need other fields, or restrict them as object lock does.
    alone = [setting for setting, spec in specs.items() if list(spec) == [setting.field] and setting.name not in KEPT]
    spec = {field: value for setting in alone for field, value in specs[setting].items()}
    names = [setting.name for setting in alone]
    assert bucket.apply(spec) == names
    assert bucket.apply(spec) == []
    assert bucket.apply({}) == names
    assert bucket.apply({}) == []
    assert_is_kept(bucket)


@pytest.mark.parametrize("setting", [*LACKED, *READ], ids=lambda setting: setting.name)
def test_setting_that_the_store_lacks_is_refused_and_keeps_the_bucket(
    new_bucket: Callable[[], Bucket], setting: Setting
) -> None:
    bucket = new_bucket()
    spec = spec_for(setting, bucket.name)
    # Once the field is removed, the setting is still recorded: nothing may be cleared that was never written.
    bucket.recorded = frozenset({setting.name}) if setting.is_optional else frozenset()
    for given, requested in (({}, []), (spec, [setting])):
        case = bucket.find(given)
        if setting in READ:
            assert setting.differs(case) == bool(requested)
        else:
            assert case.found[setting.name] is UNSUPPORTED
            assert unsupported(case) == requested
        if setting in READ and requested:
            with pytest.raises(ClientError) as refused:
                bucket.apply(given)
            error = unknown("write", refused.value)
            error.__cause__ = refused.value
            assert setting.refused(error, "the store").reason == Reason.INVALID_SPEC
        else:
            bucket.apply(given)
            assert not set(bucket.sent) & set(setting.writes)
    assert_is_kept(bucket)
