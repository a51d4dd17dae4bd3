"""objectOwnership."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject


def _answer(value: str) -> dict[str, Any]:
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": value}]}}


CASES = {
    "example": Case(_answer("BucketOwnerPreferred")),
    "writer": Case(_answer("ObjectWriter"), {"objectOwnership": "ObjectWriter", "bucketACL": "public-read"}),
    # The ACL is closed before ACLs are disabled, in one run.
    "enforced": Case(_answer("BucketOwnerEnforced"), {"objectOwnership": "BucketOwnerEnforced"}),
    "writer-of-private": Case(_answer("ObjectWriter"), {"objectOwnership": "ObjectWriter"}),
}
CLEARED = _answer("BucketOwnerEnforced")


def _put(subject: Subject, value: str) -> None:
    controls = {"Rules": [{"ObjectOwnership": value}]}
    subject.world.s3.put_bucket_ownership_controls(Bucket=subject.bucket, OwnershipControls=controls)


ROWS = {
    "ownership-enforced": Row("ownership", "objectOwnership", lambda s: _put(s, "BucketOwnerEnforced")),
    "ownership-of-the-writer": Row("ownership", "objectOwnership", lambda s: _put(s, "ObjectWriter")),
    "ownership-deleted": Row(
        "ownership", "objectOwnership", lambda s: s.world.s3.delete_bucket_ownership_controls(Bucket=s.bucket)
    ),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "ownership-word": (
        {"objectOwnership": "Mine"},
        "spec.objectOwnership: must be one of BucketOwnerEnforced, BucketOwnerPreferred, ObjectWriter",
    ),
    "ownership-and-acl": (
        {"objectOwnership": "BucketOwnerEnforced", "bucketACL": "public-read"},
        "spec.objectOwnership: AWS would refuse bucketACL public-read with BucketOwnerEnforced",
    ),
}
