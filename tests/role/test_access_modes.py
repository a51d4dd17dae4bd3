"""What a key may do under each access mode, call by call, as the gate judges the policy that the role writes.

moto evaluates neither conditions nor several of the actions, so the gate judges each request by the user's inline
policy as IAM has it. A call counts as allowed unless AWS denies it: a missing configuration is another answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3bucket.grants import MODES
from s3bucket.users import policy_name_of
from tests.support.objects import bucket_of, user_of
from tests.support.world import World

OWN, OTHER = "own/", "own-other/"
UNTIL = "2031-01-01T00:00:00Z"
Call = Callable[["Tenant", str], Any]


class Tenant:
    """A key and its bucket. ``versions``: of the key ``<prefix>a``; ``uploads``: of the key ``<prefix>part``."""

    def __init__(self, s3: Any, bucket: str, versions: dict[str, str], uploads: dict[str, str]) -> None:
        self.s3, self.bucket, self.versions, self.uploads = s3, bucket, versions, uploads

    def on(self, operation: str, prefix: str, key: str = "a", **arguments: Any) -> Any:
        return getattr(self.s3, operation)(Bucket=self.bucket, Key=f"{prefix}{key}", **arguments)

    def of_version(self, operation: str, prefix: str, **arguments: Any) -> Any:
        return self.on(operation, prefix, VersionId=self.versions[prefix], **arguments)

    def upload(self, operation: str, prefix: str, **arguments: Any) -> Any:
        return self.on(operation, prefix, "part", UploadId=self.uploads[prefix], **arguments)

    def bucket_call(self, operation: str, **arguments: Any) -> Any:
        return getattr(self.s3, operation)(Bucket=self.bucket, **arguments)


TAGGING = {"TagSet": [{"Key": "a", "Value": "b"}]}
# Calls on an object: of which modes, and the call with a prefix that the key has, or has not.
READS: dict[str, Call] = {
    "get": lambda it, at: it.on("get_object", at),
    "head": lambda it, at: it.on("head_object", at),
    "attributes": lambda it, at: it.on("get_object_attributes", at, ObjectAttributes=["ETag"]),
    "get-version": lambda it, at: it.of_version("get_object", at),
    "get-tags": lambda it, at: it.on("get_object_tagging", at),
    "get-tags-of-version": lambda it, at: it.of_version("get_object_tagging", at),
}
LISTS: dict[str, Call] = {
    "list": lambda it, at: it.bucket_call("list_objects", Prefix=at),
    "list-v2": lambda it, at: it.bucket_call("list_objects_v2", Prefix=at, Delimiter="/"),
    "list-below": lambda it, at: it.bucket_call("list_objects_v2", Prefix=f"{at}a"),
    "list-versions": lambda it, at: it.bucket_call("list_object_versions", Prefix=at),
}
WRITES: dict[str, Call] = {
    "put": lambda it, at: it.on("put_object", at, "new", Body=b"x"),
    "create-upload": lambda it, at: it.on("create_multipart_upload", at, "new-upload"),
    "upload-part": lambda it, at: it.upload("upload_part", at, PartNumber=1, Body=b"x"),
    "list-parts": lambda it, at: it.upload("list_parts", at),
    "abort-upload": lambda it, at: it.upload("abort_multipart_upload", at),
}
CHANGES: dict[str, Call] = {
    "copy": lambda it, at: it.on("copy_object", at, "copy", CopySource={"Bucket": it.bucket, "Key": f"{at}a"}),
    "put-tags": lambda it, at: it.on("put_object_tagging", at, Tagging=TAGGING),
    "put-with-tags": lambda it, at: it.on("put_object", at, "new", Body=b"x", Tagging="a=b"),
    "delete-tags": lambda it, at: it.on("delete_object_tagging", at),
    "restore": lambda it, at: it.on("restore_object", at, RestoreRequest={"Days": 1}),
    "delete": lambda it, at: it.on("delete_object", at, "new"),
    "delete-many": lambda it, at: it.bucket_call("delete_objects", Delete={"Objects": [{"Key": f"{at}new"}]}),
}
OF_FULL: dict[str, Call] = {
    "get-acl": lambda it, at: it.on("get_object_acl", at),
    "put-acl": lambda it, at: it.on("put_object_acl", at, ACL="private"),
    "put-with-acl": lambda it, at: it.on("put_object", at, "new", Body=b"x", ACL="private"),
    "get-retention": lambda it, at: it.on("get_object_retention", at),
    "put-retention": lambda it, at: it.on(
        "put_object_retention", at, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL}),
    "put-with-retention": lambda it, at: it.on(
        "put_object", at, "new", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=UNTIL),
    "put-legal-hold": lambda it, at: it.on("put_object_legal_hold", at, LegalHold={"Status": "OFF"}),
    "delete-version": lambda it, at: it.of_version("delete_object", at),
}  # fmt: skip
ON_OBJECTS = {**READS, **LISTS, **WRITES, **CHANGES, **OF_FULL}
ALLOWED = {
    "Full": set(ON_OBJECTS),
    "ReadWrite": {*READS, *LISTS, *WRITES, *CHANGES},
    "ReadOnly": {*READS, *LISTS},
    "WriteOnly": set(WRITES),
}
# Calls without a prefix. Of the last ones, which any key but that of Full must be denied, none may be left out: with
# them a tenant could remove the owner tags, give itself more, give others access, or lock the operator out.
WHOLE: dict[str, Callable[[Tenant], Any]] = {
    "location": lambda it: it.bucket_call("get_bucket_location"),
    "list-all": lambda it: it.bucket_call("list_objects_v2"),
    "list-root": lambda it: it.bucket_call("list_objects_v2", Prefix="", Delimiter="/"),
    "list-all-versions": lambda it: it.bucket_call("list_object_versions"),
    "head-bucket": lambda it: it.bucket_call("head_bucket"),
    "list-uploads": lambda it: it.bucket_call("list_multipart_uploads", Prefix=OWN),
}
CONFIGURES: dict[str, Callable[[Tenant], Any]] = {
    "get-tagging": lambda it: it.bucket_call("get_bucket_tagging"),
    "put-tagging": lambda it: it.bucket_call("put_bucket_tagging", Tagging=TAGGING),
    "delete-tagging": lambda it: it.bucket_call("delete_bucket_tagging"),
    "get-policy": lambda it: it.bucket_call("get_bucket_policy"),
    "delete-policy": lambda it: it.bucket_call("delete_bucket_policy"),
    "put-policy": lambda it: it.bucket_call("put_bucket_policy", Policy='{"Statement": []}'),
    "get-bucket-acl": lambda it: it.bucket_call("get_bucket_acl"),
    "put-bucket-acl": lambda it: it.bucket_call("put_bucket_acl", ACL="private"),
    "put-versioning": lambda it: it.bucket_call(
        "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"}),
    "put-access-block": lambda it: it.bucket_call(
        "put_public_access_block", PublicAccessBlockConfiguration={"BlockPublicAcls": True}),
    "put-lifecycle": lambda it: it.bucket_call(
        "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": []}),
    "put-cors": lambda it: it.bucket_call("put_bucket_cors", CORSConfiguration={"CORSRules": []}),
    "put-notification": lambda it: it.bucket_call(
        "put_bucket_notification_configuration", NotificationConfiguration={}),
    "put-ownership": lambda it: it.bucket_call(
        "put_bucket_ownership_controls", OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}),
    "put-object-lock": lambda it: it.bucket_call("put_object_lock_configuration", ObjectLockConfiguration={}),
    "delete-bucket": lambda it: it.bucket_call("delete_bucket"),
}  # fmt: skip


def is_allowed(call: Callable[[], Any]) -> bool:
    try:
        answer = call()
    except ClientError as error:
        return error.response["Error"]["Code"] not in ("AccessDenied", "403")
    return not isinstance(answer, dict) or not answer.get("Errors")


def allowed_of(tenant: Tenant, calls: dict[str, Call], prefix: str) -> set[str]:
    return {name for name, call in calls.items() if is_allowed(lambda call=call: call(tenant, prefix))}  # type: ignore[misc]


@pytest.fixture(scope="module")
def cr(world: World, new_name: Callable[[str], str]) -> dict[str, Any]:
    """A Ready object. Each test changes what its user may do."""
    namespace = new_name("ns")
    world.make_namespace(namespace)
    spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
    cr = world.make_object(namespace, new_name("cr"), spec)
    assert world.reconcile(cr).outcome["done"]
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
    assert {name for name, call in WHOLE.items() if is_allowed(lambda call=call: call(tenant))} == {  # type: ignore[misc]
        "location", *lists, *uploads}  # fmt: skip
    for prefix in (OWN, OTHER):
        assert allowed_of(tenant, ON_OBJECTS, prefix) == ALLOWED[mode]
    assert [name for name, call in CONFIGURES.items() if is_allowed(lambda call=call: call(tenant))] == []  # type: ignore[misc]


@pytest.mark.parametrize("mode", MODES)
def test_prefix_limits_every_mode_to_the_objects_below_it(new_tenant: Callable[..., Tenant], mode: str) -> None:
    tenant = new_tenant(accessMode=mode, prefixes=[OWN])
    assert {name for name, call in WHOLE.items() if is_allowed(lambda call=call: call(tenant))} == {"location"}  # type: ignore[misc]
    assert allowed_of(tenant, ON_OBJECTS, OTHER) == set()
    assert allowed_of(tenant, ON_OBJECTS, OWN) == ALLOWED[mode]
    assert [name for name, call in CONFIGURES.items() if is_allowed(lambda call=call: call(tenant))] == []  # type: ignore[misc]


def test_full_allows_every_call(new_tenant: Callable[..., Tenant]) -> None:
    tenant = new_tenant()
    assert allowed_of(tenant, ON_OBJECTS, OWN) == set(ON_OBJECTS)
    calls = {**WHOLE, **CONFIGURES}
    assert {name for name, call in calls.items() if not is_allowed(lambda call=call: call(tenant))} == set()  # type: ignore[misc]
