"""The statements of each access mode as a store evaluates them: another implementation than the gate."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.store import Store
from s3bucket.grants import MODES, document, statements
from tests.support.access import (
    ALLOWED,
    CONFIGURES,
    ON_OBJECTS,
    OTHER,
    OWN,
    WHOLE,
    Tenant,
    allowed_of,
    allowed_on_bucket,
)
from tests.support.store import STORE

NewTenant = Callable[..., Tenant]


@pytest.fixture(scope="module")
def new_tenant(store: Store, new_name: Callable[[str], str]) -> NewTenant:
    """A bucket, and the client of a user with a policy of the statements of a mode."""
    admin = store.client()

    def make(mode: str, *prefixes: str) -> Tenant:
        bucket = new_name("bucket")
        policy = document(statements(f"arn:aws:s3:::{bucket}", mode, prefixes, is_aws=False))
        s3 = store.client(**store.create_user(new_name("tenant"), policy))
        admin.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True, ObjectOwnership="BucketOwnerPreferred")
        versions, uploads = {}, {}
        for prefix in (OWN, OTHER):
            versions[prefix] = admin.put_object(Bucket=bucket, Key=f"{prefix}a", Body=b"x")["VersionId"]
            uploads[prefix] = admin.create_multipart_upload(Bucket=bucket, Key=f"{prefix}part")["UploadId"]
        return Tenant(s3, bucket, versions, uploads)

    return make


# versitygw takes the header of put-with-acl without the right, and does not implement the others. SeaweedFS takes both
# headers, and does not implement the others.
LEFT_OUT = {
    "versitygw": {"put-with-acl", "get-acl", "put-acl", "restore"},
    "seaweedfs": {"put-with-acl", "put-with-tags", "put-acl", "restore"},
}[STORE]


@pytest.mark.parametrize("mode", MODES)
def test_mode_allows_its_calls_and_no_other(new_tenant: NewTenant, mode: str) -> None:
    tenant = new_tenant(mode)
    for prefix in (OWN, OTHER):
        assert allowed_of(tenant, ON_OBJECTS, prefix) - LEFT_OUT == ALLOWED[mode] - LEFT_OUT
    lists = set() if mode == "WriteOnly" else WHOLE.keys() - {"location", "list-uploads"}
    uploads = {"list-uploads"} if mode in ("Full", "ReadWrite") else set()
    assert allowed_on_bucket(tenant, WHOLE) == {"location", *lists, *uploads}
    # Full allows everything on the bucket, as in the Go operator.
    assert mode == "Full" or allowed_on_bucket(tenant, CONFIGURES) == set()


@pytest.mark.parametrize("mode", MODES)
def test_prefix_limits_every_mode_to_the_objects_below_it(new_tenant: NewTenant, mode: str) -> None:
    tenant = new_tenant(mode, OWN)
    assert allowed_on_bucket(tenant, {**WHOLE, **CONFIGURES}) == {"location"}
    assert allowed_of(tenant, ON_OBJECTS, OTHER) - LEFT_OUT == set()
    assert allowed_of(tenant, ON_OBJECTS, OWN) - LEFT_OUT == ALLOWED[mode] - LEFT_OUT
