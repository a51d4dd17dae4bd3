"""Calls with a tenant's key, and the access modes that allow each of them: of moto and of versitygw the same."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

OWN, OTHER = "own/", "own-other/"
UNTIL = "2031-01-01T00:00:00Z"
Call = Callable[["Tenant", str], Any]
BucketCall = Callable[["Tenant"], Any]


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
# Calls about objects below a prefix.
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
        "put_object_retention", at, "copy", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL}),
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
# Calls without a prefix.
WHOLE: dict[str, BucketCall] = {
    "location": lambda it: it.bucket_call("get_bucket_location"),
    "list-all": lambda it: it.bucket_call("list_objects_v2"),
    "list-root": lambda it: it.bucket_call("list_objects_v2", Prefix="", Delimiter="/"),
    "list-all-versions": lambda it: it.bucket_call("list_object_versions"),
    "head-bucket": lambda it: it.bucket_call("head_bucket"),
    "list-uploads": lambda it: it.bucket_call("list_multipart_uploads", Prefix=OWN),
}
# With these a tenant could remove the owner tags, give itself more, give others access, or lock the operator out.
CONFIGURES: dict[str, BucketCall] = {
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
    """Whether a call is not denied. A missing configuration is another answer than a denial.

    What a store does not implement does nothing, so it is no danger either.
    """
    try:
        answer = call()
    except ClientError as error:
        return error.response["Error"]["Code"] not in ("AccessDenied", "403", "NotImplemented")
    return not isinstance(answer, dict) or not answer.get("Errors")


def allowed_of(tenant: Tenant, calls: dict[str, Call], prefix: str) -> set[str]:
    """The calls that the key is allowed with this prefix."""
    return {name for name, call in calls.items() if is_allowed(partial(call, tenant, prefix))}


def allowed_on_bucket(tenant: Tenant, calls: dict[str, BucketCall]) -> set[str]:
    """The calls without a prefix that the key is allowed."""
    return {name for name, call in calls.items() if is_allowed(partial(call, tenant))}
