"""The operator from an object's creation to its deletion, on stores that lack what versitygw has.

A proxy in front of versitygw gives it the behavior of each. All of them know no checksum but Content-MD5, and have
their buckets in a region that is no name of AWS's.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest

from dev.controlplane import ControlPlane
from dev.versitygw import Versitygw
from dev.wait import wait_until
from s3bucket.capabilities import Capabilities, probe
from s3bucket.owner import Identity
from tests.cluster.conftest import start_operator as start_operator
from tests.support.operator import StartOperator, condition, delete, wait_gone, wait_ready
from tests.support.store import HOST, STORE, StoreWorld
from tests.support.storeproxy import (
    Rule,
    StoreProxy,
    both,
    with_md5_only,
    without_actions,
    without_bucket_tags,
    without_user_tags,
)
from tests.support.world import CLUSTER, code_of

pytestmark = pytest.mark.skipif(STORE != "versitygw", reason="it is versitygw to which something is denied here")
REGION, HOME = "RegionOne", "us-east-1"
CHECKSUMS = ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION")


@dataclass(frozen=True)
class Other:
    """What a store lacks.

    :ivar rule: of the proxy, for the administrator's key
    :ivar environment: what its user must set
    :ivar sts: the service that has the endpoint for requests to STS
    """

    rule: Callable[[str, str], Rule] = lambda *_: lambda request: request
    environment: dict[str, str] = field(default_factory=dict)
    sts: str = "sts"


STORES = {
    "no-tags-in-create-bucket": Other(without_bucket_tags),
    "no-tag-user": Other(lambda *_: without_actions("TagUser")),
    # As Ceph RGW: a user's path alone shows its owner.
    "no-tags-of-users": Other(
        lambda *key: both(without_user_tags(*key), without_actions("TagUser", "UntagUser", "ListUserTags"))
    ),
    # The S3 process of versitygw gets the requests, and answers as stores do that have S3 only.
    "no-sts": Other(environment={"ACCOUNT_ID": "000000000000"}, sts="s3"),
}


class ProxiedStore(Versitygw):
    """A store of which everybody has the URL of a proxy in front of it."""

    region = REGION

    def __init__(self, folder: Path, other: Other) -> None:
        super().__init__(folder)
        self._endpoints = {"s3": self.endpoint_url, "iam": self.iam_endpoint_url, "sts": self.iam_endpoint_url}
        self._endpoints["sts"] = self._endpoints[other.sts]
        rule = both(with_md5_only, other.rule(self._key_id, self._secret_key))
        self.proxy = StoreProxy(self._endpoints, rule)

    def client(self, service: str = "s3", **settings: Any) -> Any:
        """A client of the store itself."""
        # IAM and STS of versitygw are in us-east-1, wherever its buckets are.
        return super().client(service, **{"region_name": REGION if service == "s3" else HOME, **settings})

    def proxied_client(self, service: str) -> Any:
        """A client as the operator has it."""
        region = REGION if service == "s3" else HOME
        keys = {"aws_access_key_id": self._key_id, "aws_secret_access_key": self._secret_key}
        return boto3.client(service, endpoint_url=self.proxy.url, region_name=region, **keys)

    def env(self) -> dict[str, str]:
        settings = {f"AWS_ENDPOINT_URL{suffix}": self.proxy.url for suffix in ("_S3", "_IAM", "_STS")}
        # IAM and STS of versitygw are in us-east-1, wherever its buckets are.
        return {
            **super().env(),
            **settings,
            **dict.fromkeys(CHECKSUMS, "when_required"),
            "AWS_DEFAULT_REGION": "us-east-1",
        }


class OtherWorld(StoreWorld):
    """A control plane, and a store that lacks something."""

    def __init__(self, kubeconfig: Path, store: ProxiedStore, folder: Path, environment: dict[str, str]) -> None:
        self._more, self._store = environment, store
        super().__init__(kubeconfig, store, folder)

    def find_capabilities(self) -> Capabilities:
        clients = (self._store.proxied_client(service) for service in ("s3", "iam", "sts"))
        return probe(*clients, self._more.get("ACCOUNT_ID", ""))

    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(**self._more, **more)


@pytest.fixture(scope="module", params=STORES.values(), ids=STORES)
def world(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OtherWorld]:
    with ProxiedStore(tmp_path_factory.mktemp("store"), request.param) as store, store.proxy:
        made = OtherWorld(control_plane.kubeconfig, store, tmp_path_factory.mktemp("runs"), request.param.environment)
        yield made
        made.close()


def test_object_from_creation_over_drift_to_deletion(
    world: OtherWorld, start_operator: StartOperator, new_object: Any
) -> None:
    operator = start_operator("--verify-credentials", "--verify-period=1", "--sync-period=1")
    cr = new_object(region=REGION, verify="ReadWrite", enableVersioning=True, secret={"layout": "Env"})
    bucket, user = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"]
    wait_ready(world, cr)
    assert_is_owned(world, cr)
    secret, service = world.secret(cr), world.service(cr)
    assert secret is not None
    assert service is not None
    assert base64.b64decode(secret["data"]["AWS_ENDPOINT_URL_S3"]).decode() == world.aws.env()["AWS_ENDPOINT_URL_S3"]
    assert service["spec"]["externalName"] == HOST
    # The key: it opens this bucket, and no other.
    wait_until(lambda: condition(world, cr, "CredentialsVerified").get("status") == "True", "the verified key")
    tenant = world.tenant(cr)
    tenant.put_object(Bucket=bucket, Key="a", Body=b"x")
    world.s3.create_bucket(Bucket=f"other-{bucket}", CreateBucketConfiguration={"LocationConstraint": REGION})
    assert code_of(lambda: tenant.list_objects_v2(Bucket=f"other-{bucket}")) == "AccessDenied"
    # Drift: of the bucket, and of the user.
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    world.iam.delete_user_policy(UserName=user, PolicyName=f"{user}-{bucket}-s3-restricted")
    wait_until(lambda: world.s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled", "versioning again")
    wait_until(lambda: code_of(lambda: tenant.list_objects_v2(Bucket=bucket)) == "allowed", "the right again")
    # A second operator, with an empty memory, finds nothing to do: all that counts is in the store.
    assert operator.stop() == 0
    second = start_operator("--sync-period=1")
    wait_until(lambda: len(second.reconciles_of(cr)) > 1, "checks after a restart")
    assert second.runs_of(cr) == []
    # Deletion, with versions.
    delete(world, cr)
    wait_gone(world, cr)
    assert bucket not in [found["Name"] for found in world.s3.list_buckets()["Buckets"]]
    assert user not in [found["UserName"] for found in world.iam.list_users()["Users"]]


def assert_is_owned(world: OtherWorld, cr: dict[str, Any]) -> None:
    """Bucket and user are the object's for everyone who reads the store."""
    snapshot = world.snapshot(cr)
    identity = Identity(CLUSTER, cr["metadata"]["namespace"], cr["metadata"]["name"], cr["metadata"]["uid"])
    for kind in ("bucket", "user"):
        assert identity.is_same_object(snapshot[kind]["tags"]), snapshot[kind]["tags"]
