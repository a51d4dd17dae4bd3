"""S3 objects, and helpers that read and create their resources in AWS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from s3bucket.api import API_VERSION
from s3bucket.errors import ReconcileError
from s3bucket.observe import observe
from tests.support.world import CLUSTER, World, requests_of


def refusal(world: World, cr: dict[str, Any], iam_propagation_s: float = 0) -> ReconcileError:
    """The error with which the object is refused. The comparison may write nothing."""
    with requests_of(world) as requests, pytest.raises(ReconcileError) as refused:
        observe(world.wanted(cr), world.sources(iam_propagation_s))
    assert [request["action"] for request in requests if request["write"]] == []
    return refused.value


def owner_tags(namespace: str, name: str, cluster: str = CLUSTER) -> list[dict[str, str]]:
    values = {"cluster": cluster, "namespace": namespace, "name": name, "uid": "u"}
    return [{"Key": f"agill.apps/{key}", "Value": value} for key, value in values.items()]


def bucket_of(cr: dict[str, Any]) -> str:
    return str(cr["spec"]["bucketName"])


def identity_of(cr: dict[str, Any]) -> str:
    return f"{CLUSTER}/{cr['metadata']['namespace']}/{cr['metadata']['name']}"


def tags_of(world: World, cr: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in world.s3.get_bucket_tagging(Bucket=bucket_of(cr))["TagSet"]}


def writes_in(requests: list[dict[str, Any]]) -> list[str]:
    return [request["action"] for request in requests if request["write"]]


def user_of(cr: dict[str, Any]) -> str:
    return str(cr["spec"]["iamUser"]["username"])


def user_tags(world: World, name: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in world.iam.list_user_tags(UserName=name)["Tags"]}


def fill(world: World, bucket: str) -> None:
    """Fill a bucket.

    It has objects from before versioning (``null`` versions), versions, delete markers, and an incomplete upload.
    """
    s3 = world.s3
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"old/{number}", Body=b"x")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"new/{number}", Body=b"x")
        s3.put_object(Bucket=bucket, Key=f"new/{number}", Body=b"y")
    s3.delete_object(Bucket=bucket, Key="new/1")
    s3.delete_object(Bucket=bucket, Key="old/1")
    s3.create_multipart_upload(Bucket=bucket, Key="half")


def taken_bucket(world: World, cr: dict[str, Any]) -> None:
    bucket, tags = cr["spec"]["bucketName"], owner_tags("team-b", "other")
    world.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"Tags": tags})
    world.s3.put_object(Bucket=bucket, Key="other", Body=b"x")


def taken_secret(world: World, cr: dict[str, Any]) -> None:
    metadata = {"name": f"{cr['metadata']['name']}-iam-secret", "labels": {"other": "yes"}}
    body = {"metadata": metadata, "stringData": {"password": "x"}}
    world.core.create_namespaced_secret(cr["metadata"]["namespace"], body)


def write_cr(path: Path, namespace: str, name: str, **spec: Any) -> Path:
    cr = {
        "apiVersion": API_VERSION, "kind": "S3", "metadata": {"name": name, "namespace": namespace},
        "spec": {"region": "us-east-1", **spec},
    }  # fmt: skip
    path.write_text(yaml.safe_dump(cr))
    return path


def secret_of(cr: dict[str, Any], data: dict[str, str]) -> dict[str, Any]:
    """The body of a Secret for an S3 object, with any data. A tenant can create one that the operator has to read."""
    metadata = cr["metadata"]
    owner = {
        "apiVersion": cr["apiVersion"], "kind": "S3", "name": metadata["name"], "uid": metadata["uid"],
        "controller": True,
    }  # fmt: skip
    labels = {"app.kubernetes.io/managed-by": "s3-operator", "agill.apps/s3": metadata["name"]}
    name = f"{metadata['name']}-iam-secret"
    return {"metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}, "stringData": data}
