"""What a key may do under each access mode, call by call, as the gate judges the policy that the role writes.

moto evaluates neither conditions nor several of the actions, so the gate judges each request by the user's inline
policy as IAM has it. A call counts as allowed unless AWS denies it: a missing configuration is another answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from s3bucket.grants import MODES
from s3bucket.users import policy_name_of
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
from tests.support.objects import bucket_of, user_of
from tests.support.world import World


@pytest.fixture(scope="module")
def cr(world: World, new_name: Callable[[str], str]) -> dict[str, Any]:
    """A Ready object. Each test changes what its user may do."""
    namespace = new_name("ns")
    world.make_namespace(namespace)
    spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
    cr = world.make_object(namespace, new_name("cr"), spec)
    run = world.reconcile(cr)
    assert run.outcome.get("done"), run.output
    world.s3.put_bucket_versioning(Bucket=bucket_of(cr), VersioningConfiguration={"Status": "Enabled"})
    return cr


@pytest.fixture
def new_tenant(world: World, cr: dict[str, Any]) -> Iterator[Callable[..., Tenant]]:
    """The object's own key, with the policy that the role has written for an access mode."""

    def make(**access: Any) -> Tenant:
        user, bucket = user_of(cr), bucket_of(cr)
        changed = {**cr, "spec": {**cr["spec"], "enableVersioning": True, "iamUser": {"username": user, **access}}}
        run = world.reconcile(changed)
        assert (run.outcome["done"], set(run.changed) <= {"user_policy", "versioning"}) == (True, True), run.output
        assert world.differs(changed) == []
        policy = world.iam.get_user_policy(UserName=user, PolicyName=policy_name_of(user, bucket))["PolicyDocument"]
        world.aws.gate.judge(world.credentials(cr)[0], policy)
        versions, uploads = {}, {}
        for prefix in (OWN, OTHER):
            versions[prefix] = world.s3.put_object(Bucket=bucket, Key=f"{prefix}a", Body=b"x")["VersionId"]
            uploads[prefix] = world.s3.create_multipart_upload(Bucket=bucket, Key=f"{prefix}part")["UploadId"]
        return Tenant(world.tenant(cr), bucket, versions, uploads)

    yield make
    world.aws.gate.judge(world.credentials(cr)[0], {"Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


@pytest.mark.parametrize("mode", MODES[1:])
def test_mode_allows_its_calls_and_no_other(new_tenant: Callable[..., Tenant], mode: str) -> None:
    tenant = new_tenant(accessMode=mode)
    lists = {"list-all", "list-root", "list-all-versions", "head-bucket"} if mode != "WriteOnly" else set()
    uploads = {"list-uploads"} if mode == "ReadWrite" else set()
    assert allowed_on_bucket(tenant, WHOLE) == {"location", *lists, *uploads}
    for prefix in (OWN, OTHER):
        assert allowed_of(tenant, ON_OBJECTS, prefix) == ALLOWED[mode]
    assert allowed_on_bucket(tenant, CONFIGURES) == set()


@pytest.mark.parametrize("mode", MODES)
def test_prefix_limits_every_mode_to_the_objects_below_it(new_tenant: Callable[..., Tenant], mode: str) -> None:
    tenant = new_tenant(accessMode=mode, prefixes=[OWN])
    assert allowed_on_bucket(tenant, WHOLE) == {"location"}
    assert allowed_of(tenant, ON_OBJECTS, OTHER) == set()
    assert allowed_of(tenant, ON_OBJECTS, OWN) == ALLOWED[mode]
    assert allowed_on_bucket(tenant, CONFIGURES) == set()


def test_full_allows_every_call(new_tenant: Callable[..., Tenant]) -> None:
    tenant = new_tenant()
    assert allowed_of(tenant, ON_OBJECTS, OWN) == set(ON_OBJECTS)
    assert allowed_on_bucket(tenant, {**WHOLE, **CONFIGURES}) == WHOLE.keys() | CONFIGURES.keys()
