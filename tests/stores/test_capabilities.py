"""What a store has is found out by reads, and drift check, plan, orphans and the verification of keys work with it.

versitygw compares ExpectedBucketOwner with its own id of the owner. It has no groups, no managed policies, and no
request for all users at once. Its process for S3 alone is a store without IAM and STS.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from dev.store import Store
from runner.cli import main
from runner.drift.check import DriftCheck
from runner.drift.verification import KeyVerification
from runner.objects import S3Object
from s3bucket.capabilities import OPTIONAL_READS, Capabilities
from s3bucket.outcome import Reason
from s3bucket.read import listed
from s3bucket.role_settings import RoleSettings
from s3bucket.settings import ALL
from s3bucket.spec import wanted_of
from s3bucket.users import policy_name_of
from tests.support.store import HAVING, READ_ONLY, STORE, STORE_CLASS, lack
from tests.support.world import DEFAULTS, PROJECT, NewObject, Run, World

CLUSTER = "cluster"
SETTINGS = RoleSettings(cluster_name=CLUSTER, provider="Other", account_id=STORE_CLASS.account)
LACKING = {
    "versitygw": {
        "GetAccountAuthorizationDetails", "ListAttachedRolePolicies", "ListAttachedUserPolicies",
        "ListGroupsForUser",
    },
    "seaweedfs": {
        "GetAccessKeyLastUsed", "GetAccountAuthorizationDetails", "GetRole",
        "ListAttachedRolePolicies",
    },
}[STORE]  # fmt: skip
# What the bucket of a Tenant has not, where the store has public access blocks.
LEFT = {"public_access_block"} if "GetPublicAccessBlock" in HAVING else set[str]()
# SeaweedFS compares neither ExpectedBucketOwner nor the paths of users, and answers no request for STS.
IS_SEAWEEDFS = STORE == "seaweedfs"


class Tenant:
    """An S3 object with its bucket and, where it has one, its user with a key, as a run of the role leaves them."""

    def __init__(self, store: Store, name: str, *, has_user: bool = True) -> None:
        self.name = name
        user = {"iamUser": {"username": name}} if has_user else {}
        self.item = {
            "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}"},
            "spec": {"region": store.region, "bucketName": name, **user},
        }
        self.wanted = wanted_of(self.item, CLUSTER, DEFAULTS)
        s3, iam = store.client(), store.client("iam")
        s3.create_bucket(Bucket=name, ObjectOwnership="BucketOwnerEnforced")
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": listed(self.wanted.bucket_tags)})
        if has_user:
            tags = listed({**self.wanted.tags_of(self.wanted.users[0])})
            iam.create_user(UserName=name, Tags=tags)
            # SeaweedFS ignores them in the first call.
            iam.tag_user(UserName=name, Tags=tags)
            self.key = iam.create_access_key(UserName=name)["AccessKey"]
            iam.put_user_policy(
                UserName=name, PolicyName=policy_name_of(name, name), PolicyDocument=json.dumps(self.wanted.user_policy)
            )

    @property
    def s3(self) -> S3Object:
        return S3Object.from_item(self.item)

    def find_secret(self, namespace: str, name: str) -> dict[str, Any]:
        """The Secret, as the API server has it."""
        pair = {"AWS_ACCESS_KEY_ID": self.key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": self.key["SecretAccessKey"]}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in pair.items()}
        return {"metadata": {"ownerReferences": [{"uid": self.s3.uid, "controller": True}]}, "data": data}


@pytest.fixture
def environment(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Make this process an operator of the store, with no cluster."""
    for name, value in {**store.env(), "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("KUBECONFIG", raising=False)


@pytest.fixture
def without_iam(environment: None, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with the process for S3 in place of IAM and STS, which it does not have."""
    if store.endpoint_url == store.iam_endpoint_url:
        lack("an endpoint for S3 alone")
    for name in ("AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_STS"):
        monkeypatch.setenv(name, store.endpoint_url)


@pytest.fixture
def check(environment: None) -> Iterator[DriftCheck]:
    found = DriftCheck(PROJECT, SETTINGS, has_cluster=False)
    yield found
    found.close()


def probed(settings: RoleSettings = SETTINGS) -> Capabilities:
    return DriftCheck(PROJECT, settings, has_cluster=False).capabilities.get()


def owner_id(store: Store) -> str:
    return str(store.client().list_buckets()["Owner"]["ID"])


def test_store_is_probed(environment: None, store: Store, new_name: Callable[[str], str]) -> None:
    expected = Capabilities(
        is_aws=False,
        account="000000000000",
        bucket_owner=None if IS_SEAWEEDFS else owner_id(store),
        lacking_actions=frozenset(LACKING),
        has_sts=not IS_SEAWEEDFS,
        user_paths=not IS_SEAWEEDFS,
    )
    store.client().create_bucket(Bucket=new_name("bucket"))
    assert probed() == expected


@pytest.mark.parametrize("endpoint", ["S3", "AWS"])
def test_process_for_s3_is_a_store_without_iam(
    without_iam: None, store: Store, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    if endpoint == "AWS":
        # Only the endpoint of S3 is set, as for a store that has nothing else.
        for name in ("AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_STS"):
            monkeypatch.delenv(name)
    found = probed()
    assert (found.has_iam, found.has_sts, found.account, found.bucket_owner) == (False, False, "", owner_id(store))


def test_store_is_probed_once_and_again_with_another_key(
    check: DriftCheck,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "runner")
    assert check.capabilities.find() is None
    first = check.capabilities.get()
    assert check.capabilities.get() is check.capabilities.find() is first
    other = tmp_path / "credentials"
    other.write_text(store.credentials_file.read_text())
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(other))
    again = check.capabilities.get()
    assert again is not first
    assert again == first
    assert [record.message for record in caplog.records] == ["capabilities of the store"], "it is logged once"


def test_check_shows_a_table_of_what_the_store_has(
    environment: None, store: Store, new_name: Callable[[str], str]
) -> None:
    Tenant(store, new_name("bucket"), has_user=False)
    account = ["--account-id", store.account] if store.account else []
    done = CliRunner().invoke(main, ["check", "--wait", "0", "--provider", "Other", *account])
    rows = dict(line.strip().split(maxsplit=1) for line in done.output.splitlines() if line.startswith(" "))
    assert {name.removeprefix("iam:") for name, text in rows.items() if text.startswith("no: ")} - {"STS"} == LACKING
    assert {f"iam:{action}" for action in OPTIONAL_READS} <= rows.keys()
    assert rows["ExpectedBucketOwner"].startswith("not sent: " if IS_SEAWEEDFS else owner_id(store))
    has = {f"spec.{setting.field}": setting.read.operation.name in HAVING | READ_ONLY for setting in ALL}
    assert {name: text == "yes" for name, text in rows.items() if name.startswith("spec.")} == has
    assert f"ok      store: {store.endpoint_url}, account 000000000000" in done.output


def test_check_reports_that_the_endpoint_is_not_aws(environment: None, store: Store) -> None:
    done = CliRunner().invoke(main, ["check", "--wait", "0"])
    assert f"FAILED  AWS: {store.endpoint_url} is not AWS" in done.output
    assert ("its STS does not answer" if IS_SEAWEEDFS else "iam:ListGroupsForUser") in done.output
    assert "give --provider Other" in done.output


@pytest.mark.usefixtures("without_iam")
def test_check_without_a_provider_reports_a_store_without_sts() -> None:
    done = CliRunner().invoke(main, ["check", "--wait", "0"])
    assert "FAILED  AWS: the endpoint is not AWS, as it has no STS" in done.output
    assert "give --provider Other" in done.output


def test_existing_bucket_and_user_are_found_and_owned(
    check: DriftCheck, store: Store, new_name: Callable[[str], str]
) -> None:
    tenant = Tenant(store, new_name("bucket"))
    plan = check.plan(tenant.s3)
    assert plan.refusal is None
    # Without a cluster, the key is recorded nowhere.
    assert {change.aspect for change in plan.changes} <= {"access_key", "secret", "user", *LEFT}
    store.client().put_bucket_tagging(Bucket=tenant.name, Tagging={"TagSet": []})
    refused = check.plan(tenant.s3).refusal
    assert refused is not None
    assert refused.reason == Reason.CONFLICT


def test_other_owner_id_hides_the_bucket_and_the_message_is_about_the_store(
    check: DriftCheck, store: Store, new_name: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if IS_SEAWEEDFS:
        lack("a comparison of ExpectedBucketOwner")
    tenant = Tenant(store, new_name("bucket"), has_user=False)
    other = dataclasses.replace(check.capabilities.get(), bucket_owner="someone-else")
    monkeypatch.setattr(check.capabilities, "get", lambda: other)
    refused = check.plan(tenant.s3).refusal
    assert refused is not None
    assert refused.reason == Reason.ACCESS_DENIED
    assert "AWS" not in refused.message
    assert f"the store lists bucket {tenant.name} and denies the operator access to it" in refused.message


def test_drift_of_an_existing_object_is_found(check: DriftCheck, store: Store, new_name: Callable[[str], str]) -> None:
    tenant = Tenant(store, new_name("bucket"))
    store.client("iam").delete_user_policy(UserName=tenant.name, PolicyName=policy_name_of(tenant.name, tenant.name))
    store.client().put_bucket_versioning(Bucket=tenant.name, VersioningConfiguration={"Status": "Enabled"})
    found = check.compare(tenant.s3)
    assert {"versioning", "user_policy"} <= set(found.drift)


@pytest.mark.usefixtures("without_iam")
def test_object_without_a_user_needs_no_iam_and_one_with_a_user_is_refused(
    store: Store, new_name: Callable[[str], str]
) -> None:
    check = DriftCheck(PROJECT, SETTINGS, has_cluster=False)
    tenant = Tenant(store, new_name("bucket"), has_user=False)
    found = check.compare(tenant.s3)
    assert (found.reason, found.drift) == (Reason.READY, ())
    tenant.item["spec"]["iamUser"] = {"username": tenant.name}
    refused = check.compare(tenant.s3)
    assert refused.reason == Reason.INVALID_SPEC
    assert refused.message.startswith("spec.iamUser: the store has no IAM")
    assert check.owned.find_users() is None


def test_deletion_of_a_bucket_that_is_not_empty_is_predicted(
    check: DriftCheck, store: Store, new_name: Callable[[str], str]
) -> None:
    tenant, s3 = Tenant(store, new_name("bucket"), has_user=False), store.client()
    s3.put_object(Bucket=tenant.name, Key="a", Body=b"x")
    tenant.item["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:05Z"
    tenant.item["spec"]["forceDelete"] = False
    refused = check.plan(tenant.s3).refusal
    assert refused is not None
    assert refused.reason == Reason.BUCKET_NOT_EMPTY


def test_orphans_are_found_by_their_tags(check: DriftCheck, store: Store, new_name: Callable[[str], str]) -> None:
    tenant = Tenant(store, new_name("bucket"))
    users = check.owned.find_users()
    assert users is not None
    assert tenant.name in [user.name for user in users[1]]
    buckets, unread = check.owned.find_buckets()
    assert tenant.name in [bucket.name for bucket in buckets]
    assert unread == []
    assert check.owned.has_active_key(next(user for user in users[1] if user.name == tenant.name))


def test_access_key_is_verified(check: DriftCheck, store: Store, new_name: Callable[[str], str]) -> None:
    tenant = Tenant(store, new_name("bucket"))
    tenant.item["spec"]["verify"] = "ReadWrite"
    keys = KeyVerification(check._clients, tenant, check.capabilities.get)  # type: ignore[arg-type]
    found = keys.verify(tenant.s3)
    assert found is not None
    assert (found.reason, found.message) == (Reason.VERIFIED, "")
    assert "Contents" not in store.client().list_objects_v2(Bucket=tenant.name)
    store.client("iam").delete_access_key(UserName=tenant.name, AccessKeyId=tenant.key["AccessKeyId"])
    found = keys.verify(tenant.s3)
    assert found is not None
    assert (found.ok, found.reason) == (False, Reason.CREDENTIALS_INVALID)


def test_object_without_a_user_works_completely_in_a_store_without_iam(
    world: World, store: Store, new_object: NewObject
) -> None:
    if store.endpoint_url == store.iam_endpoint_url:
        lack("an endpoint for S3 alone")
    cr = new_object(iamUser=None, enableVersioning=True, forceDelete=True, region=store.region)
    environment = {
        # Its process for S3 alone.
        **{f"AWS_ENDPOINT_URL_{service}": store.endpoint_url for service in ("S3", "IAM", "STS")},
        "AWS_SHARED_CREDENTIALS_FILE": str(store.credentials_file),
        "AWS_CONFIG_FILE": str(store.folder / "config"),
    }

    def run(cr: dict[str, Any]) -> Run:
        return world.reconcile(cr, settings={"provider": "Other"}, **environment)

    s3, name = store.client(), cr["spec"]["bucketName"]
    created = run(cr)
    assert created.outcome["reason"] == Reason.READY, created.output
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    assert run(cr).changed == []
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    deleted = run({**cr, "metadata": {**cr["metadata"], "deletionTimestamp": "2026-01-02T03:04:05Z"}})
    assert deleted.outcome["reason"] == Reason.READY, deleted.output
    assert name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    with_user = {**cr, "spec": {**cr["spec"], "iamUser": {"username": name}}}
    refused = run(with_user).outcome
    assert (refused["reason"], refused["changed"]) == (Reason.INVALID_SPEC, [])
    assert refused["message"].startswith("spec.iamUser: the store has no IAM")
