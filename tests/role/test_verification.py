"""The operator verifies access keys against AWS: with the key itself, and without a trace in the bucket."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from dev.aws import Aws
from runner.drift.aws_clients import AWSClients
from runner.drift.key_clients import KeyClients
from runner.drift.verification import KeyVerification
from runner.objects import S3Object
from s3bucket import grants
from s3bucket.outcome import Reason
from s3bucket.verification import Verification
from tests.support.fakes import make_item

Names = Callable[[str], str]
WHOLE = ["HeadBucket", "PutObject", "GetObject", "DeleteObject"]


class Tenant:
    """A bucket, a user with a key, and the S3 object that they belong to. ``find_secret``: as the API server has it."""

    def __init__(self, aws: Aws, name: str, *, has_lock: bool = False) -> None:
        self.aws, self.name = aws, name
        self.s3, self.iam = aws.client("s3"), aws.client("iam")
        self.s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=has_lock)
        self.iam.create_user(UserName=name)
        self.allow("s3:*")
        self.key = self.iam.create_access_key(UserName=name)["AccessKey"]

    def allow(self, *actions: str) -> None:
        """Give the user exactly these rights on the bucket."""
        arn = f"arn:aws:s3:::{self.name}"
        statement = {"Effect": "Allow", "Action": actions, "Resource": [arn, f"{arn}/*"]}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.iam.put_user_policy(UserName=self.name, PolicyName="own", PolicyDocument=document)

    def deny(self, *actions: str) -> None:
        """Deny everyone these actions on the objects, as a bucket policy does."""
        deny = {"Effect": "Deny", "Principal": "*", "Action": actions, "Resource": f"arn:aws:s3:::{self.name}/*"}
        self.s3.put_bucket_policy(Bucket=self.name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))

    def find_secret(self, namespace: str, name: str) -> dict[str, Any]:
        assert (namespace, name) == ("team", "photos-iam-secret")
        pair = {"AWS_ACCESS_KEY_ID": self.key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": self.key["SecretAccessKey"]}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in pair.items()}
        return {"metadata": {"ownerReferences": [{"uid": "u1", "controller": True}]}, "data": data}

    def verify(self, verify: str = "ReadWrite", *, may_write: bool = True, **rights: Any) -> Verification:
        """Verify the key of an S3 object; ``rights``: further fields of its user."""
        item = make_item()
        user = {"username": self.name, **rights}
        item["spec"] = {"region": "us-east-1", "bucketName": self.name, "iamUser": user, "verify": verify}
        verification = KeyVerification(AWSClients(lambda operation: None), self)  # type: ignore[arg-type]
        found = verification.verify(S3Object.from_item(item), may_write=may_write)
        assert found is not None
        assert self.key["SecretAccessKey"] not in repr(found)
        return found

    @property
    def left(self) -> list[str]:
        """What is in the bucket."""
        found = self.s3.list_object_versions(Bucket=self.name)
        return [item["Key"] for item in found.get("Versions", []) + found.get("DeleteMarkers", [])]


@pytest.fixture
def tenant(aws: Aws, new_name: Names, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tenant]:
    for name, value in aws.env().items():
        monkeypatch.setenv(name, value)
    made = Tenant(aws, new_name("verify"))
    yield made
    aws.gate.clear_faults()


def actions_of(tenant: Tenant, access_key: str) -> list[str]:
    return [item["action"] for item in tenant.aws.gate.requests() if item["access_key"] == access_key]


@pytest.mark.parametrize("status", ["", "Enabled", "Suspended"])
def test_writing_leaves_nothing_in_the_bucket(tenant: Tenant, status: str) -> None:
    if status:
        tenant.s3.put_bucket_versioning(Bucket=tenant.name, VersioningConfiguration={"Status": "Enabled"})
        tenant.s3.put_bucket_versioning(Bucket=tenant.name, VersioningConfiguration={"Status": status})
    tenant.aws.gate.clear_requests()
    found = tenant.verify()
    assert (found.ok, found.message) == (True, "")
    assert tenant.left == []
    assert actions_of(tenant, tenant.key["AccessKeyId"]) == WHOLE


def test_versions_that_a_killed_verification_has_left_are_deleted(tenant: Tenant) -> None:
    tenant.s3.put_bucket_versioning(Bucket=tenant.name, VersioningConfiguration={"Status": "Enabled"})
    for key in (".s3-operator/u1", ".s3-operator/u1", ".s3-operator/u12"):
        tenant.s3.put_object(Bucket=tenant.name, Key=key, Body=b"x")
    tenant.s3.delete_object(Bucket=tenant.name, Key=".s3-operator/u1")
    assert tenant.verify().ok
    assert tenant.left == [".s3-operator/u12"]


def test_access_reads_and_writes_no_object(tenant: Tenant) -> None:
    tenant.s3.put_object(Bucket=tenant.name, Key="precious", Body=b"x")
    tenant.aws.gate.clear_requests()
    assert tenant.verify("Access").ok
    assert actions_of(tenant, tenant.key["AccessKeyId"]) == ["HeadBucket"]
    assert tenant.verify("ReadWrite", may_write=False).ok
    assert actions_of(tenant, tenant.key["AccessKeyId"]) == ["HeadBucket", "HeadBucket"]
    assert tenant.left == ["precious"]


@pytest.mark.parametrize(
    ("mode", "prefixes", "requests"),
    [
        ("ReadWrite", [], WHOLE),
        ("ReadOnly", [], ["HeadBucket"]),
        ("WriteOnly", [], ["GetBucketLocation", "PutObject"]),
        ("Full", ["a/", "b/"], ["ListObjects", *WHOLE[1:]]),
        ("ReadWrite", ["a/", "b/"], ["ListObjects", *WHOLE[1:]]),
        ("ReadOnly", ["a/"], ["ListObjects"]),
        ("WriteOnly", ["a/"], ["GetBucketLocation", "PutObject"]),
    ],
)
@pytest.mark.parametrize("status", ["", "Enabled"])
def test_access_mode_and_prefixes_decide_what_is_tried(
    tenant: Tenant, mode: str, prefixes: list[str], requests: list[str], status: str
) -> None:
    """Each request is one that the user's own policy allows, so that a denial is always one by something else."""
    if status:
        tenant.s3.put_bucket_versioning(Bucket=tenant.name, VersioningConfiguration={"Status": status})
    document = grants.document(grants.statements(f"arn:aws:s3:::{tenant.name}", mode, tuple(prefixes)))
    tenant.iam.put_user_policy(UserName=tenant.name, PolicyName="own", PolicyDocument=json.dumps(document))
    tenant.aws.gate.judge(tenant.key["AccessKeyId"], document)
    tenant.aws.gate.clear_requests()
    found = tenant.verify(accessMode=mode, **({"prefixes": prefixes} if prefixes else {}))
    assert (found.ok, found.message) == (True, "")
    assert actions_of(tenant, tenant.key["AccessKeyId"]) == requests
    assert tenant.left == []


@pytest.mark.parametrize("action", ["s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:DeleteObject"])
def test_missing_right_is_named_and_what_was_written_is_deleted(tenant: Tenant, action: str) -> None:
    rights = {"s3:ListBucket", "s3:PutObject", "s3:GetObject", "s3:DeleteObject"}
    tenant.aws.gate.judge(tenant.key["AccessKeyId"], policy_of(rights - {action}))
    found = tenant.verify()
    assert (found.ok, found.is_answer, found.reason) == (False, True, Reason.ACCESS_DENIED)
    assert found.message.startswith("iamUser: ")
    assert action in found.message
    assert tenant.left == []


def test_denial_by_a_bucket_policy_has_the_words_of_aws(tenant: Tenant) -> None:
    tenant.deny("s3:PutObject")
    found = tenant.verify()
    assert found.reason == Reason.ACCESS_DENIED
    assert "with an explicit deny in a resource-based policy" in found.message


def test_object_that_the_operator_may_not_delete_is_named(tenant: Tenant) -> None:
    tenant.s3.put_bucket_versioning(Bucket=tenant.name, VersioningConfiguration={"Status": "Enabled"})
    with tenant.aws.gate.marked("mfa-delete", tenant.name):
        found = tenant.verify()
    assert (found.ok, found.leaves_object) == (False, True)
    assert ".s3-operator/u1" in found.message


def test_nothing_is_written_to_a_bucket_with_object_lock(tenant: Tenant, aws: Aws, new_name: Names) -> None:
    locked = Tenant(aws, new_name("verify"), has_lock=True)
    found = locked.verify()
    assert (found.ok, "object lock" in found.message) == (True, True)
    assert locked.left == []


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("KMS.DisabledException", 400, (False, True)),
        ("InternalError", 500, (False, False)),
        ("SlowDown", 503, (False, False)),
    ],
)
def test_refusal_is_not_a_missing_answer(tenant: Tenant, code: str, status: int, expected: tuple[bool, bool]) -> None:
    tenant.aws.gate.add_fault("PutObject", code, status=status, bucket=tenant.name)
    found = tenant.verify()
    assert (found.ok, found.is_answer) == expected
    assert code in found.message


def test_deleted_key_is_rejected(tenant: Tenant) -> None:
    tenant.iam.delete_access_key(UserName=tenant.name, AccessKeyId=tenant.key["AccessKeyId"])
    found = tenant.verify("Access")
    assert (found.ok, found.is_answer, found.reason) == (False, True, Reason.CREDENTIALS_INVALID)


def test_secret_that_the_object_does_not_control_is_not_read(tenant: Tenant) -> None:
    item = make_item(uid="other")
    item["spec"]["iamUser"] = {"username": tenant.name}
    verification = KeyVerification(AWSClients(lambda operation: None), tenant)  # type: ignore[arg-type]
    assert verification.verify(S3Object.from_item(item)) is None


def test_threads_sign_with_their_own_keys_only(tenant: Tenant, aws: Aws, new_name: Names) -> None:
    """The clients of a region are shared, and never sign with the operator's key."""
    tenants = [tenant, Tenant(aws, new_name("verify"))]
    clients, both = KeyClients(AWSClients(lambda operation: None)), threading.Barrier(2)
    aws.gate.clear_requests()

    def list_own(one: Tenant) -> None:
        with clients.signing("us-east-1", one.key["AccessKeyId"], one.key["SecretAccessKey"]) as s3:
            for _ in range(20):
                both.wait()
                s3.head_bucket(Bucket=one.name)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(list_own, tenants))
    signed = {(item["bucket"], item["access_key"]) for item in aws.gate.requests()}
    assert signed == {(one.name, one.key["AccessKeyId"]) for one in tenants}
    with clients.signing("us-east-1", "AKIA", "x") as s3:
        pass
    with pytest.raises(RuntimeError, match="no access key"):
        s3.head_bucket(Bucket=tenant.name)


def policy_of(actions: set[str]) -> dict[str, Any]:
    return {
        "Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}],
    }  # fmt: skip
