"""What is kept of objects that a tenant writes is small, and its size is bounded."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from runner.kube.projection import (
    FINALIZER,
    MAX_SPEC,
    keep_child,
    keep_listed_object,
    keep_object,
    oversized_message,
)
from s3bucket.api import API_VERSION
from s3bucket.metadata import RECORD, Metadata, is_same, record_of

OWNER = {"apiVersion": API_VERSION, "kind": "S3", "name": "photos", "uid": "u1", "controller": True}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def secret(**metadata: Any) -> dict[str, Any]:
    labels = {"app.kubernetes.io/managed-by": "s3-operator", "agill.apps/s3": "photos"}
    base = {"name": "photos-iam-secret", "namespace": "team", "uid": "s1", "labels": labels, "ownerReferences": [OWNER]}
    data = {"AWS_ACCESS_KEY_ID": encoded("AKIAEXAMPLE"), "AWS_SECRET_ACCESS_KEY": encoded("value")}
    return {"metadata": {**base, **metadata}, "type": "Opaque", "data": data}


def item(**spec: Any) -> dict[str, Any]:
    metadata = {"name": "photos", "namespace": "team", "uid": "u1", "finalizers": [FINALIZER, "other/one"]}
    return {"metadata": metadata, "spec": {"region": "eu-west-1", "bucketName": "photos", **spec}}


def test_secret_is_kept_with_fingerprints_of_some_entries_only() -> None:
    found = secret()
    found["data"] |= {f"AAA-{number}": encoded("x") for number in range(1000)}
    kept = keep_child("Secret", found)
    assert kept is not None
    fingerprint = hashlib.sha256(b"value").hexdigest()[:32]
    assert kept.item["fingerprints"]["AWS_SECRET_ACCESS_KEY"] == fingerprint
    assert len(kept.item["fingerprints"]) == 32
    assert kept.item["pairs"] == [f"AKIAEXAMPLE:{fingerprint}"]
    assert "data" not in kept.item
    assert not {"value", encoded("value")} & set(re.findall(r"[\w=]+", json.dumps(kept.item)))


@pytest.mark.parametrize("kind", ["Secret", "Service"])
def test_labels_and_annotations_of_the_spec_are_kept(kind: str) -> None:
    given = Metadata({"team": "photos"}, {"reloader": "true"})
    note = {RECORD: record_of(given).text}
    found = secret(labels={**given.labels, "others": "x"}, annotations={**given.annotations, **note, "others": "x"})
    found["metadata"]["name"] = "photos"
    kept = keep_child(kind, found)
    assert kept is not None
    assert is_same(kept.item, given, record_of(given))
    assert "others" not in json.dumps(kept.item)


@pytest.mark.parametrize(
    "metadata",
    [
        {"ownerReferences": []},
        {"ownerReferences": [{**OWNER, "controller": False}]},
        {"ownerReferences": [{**OWNER, "kind": "Deployment", "apiVersion": "apps/v1"}]},
        {"ownerReferences": [{**OWNER, "apiVersion": "other.example/v1"}]},
        {"ownerReferences": [{**OWNER, "uid": "u" * 1000}]},
    ],
    ids=["no-owner", "no-controller", "other-kind", "other-group", "long-uid"],
)
def test_secret_that_is_not_an_objects_is_not_kept(metadata: dict[str, Any]) -> None:
    assert keep_child("Secret", secret(**metadata)) is None


def test_service_of_another_name_is_not_kept() -> None:
    assert keep_child("Service", secret(name="other")) is None


def test_secret_with_everything_large_is_kept_small() -> None:
    labels = {f"label-{number}": "x" * 63 for number in range(3000)}
    annotations = {f"agill.apps/{number}": "x" * 10_000 for number in range(25)}
    owners = [{**OWNER, "controller": False, "name": f"o{number}"} for number in range(3000)]
    found = secret(labels=labels, annotations=annotations, ownerReferences=[*owners, OWNER])
    found["data"]["AWS_ACCESS_KEY_ID"] = "QUFB" * 100_000
    kept = keep_child("Secret", found)
    assert kept is not None
    assert len(json.dumps(kept.item)) < 6000
    # The value cannot be a key ID, so the Secret counts as one without a key.
    assert kept.item["pairs"] == []


def test_secret_with_a_large_record_is_kept_small() -> None:
    names = [f"label-{number:0>240}" for number in range(90)]
    record = json.dumps({"labels": names, "annotations": names, "entries": names})
    annotations = {**dict.fromkeys(names, "x" * 2000), RECORD: record}
    found = secret(labels=dict.fromkeys(names, "x" * 63), annotations=annotations)
    found["data"] |= dict.fromkeys(names, encoded("x" * 10_000))
    kept = keep_child("Secret", found)
    assert kept is not None
    assert len(json.dumps(kept.item)) < 64 * 1024


def test_service_is_kept_with_its_target_only() -> None:
    ports = [{"port": number} for number in range(1, 2000)]
    spec = {"type": "ExternalName", "externalName": "s3.amazonaws.com", "ports": ports}
    found = {"metadata": {"name": "photos", "namespace": "team", "ownerReferences": [OWNER]}, "spec": spec}
    kept = keep_child("Service", found)
    assert kept is not None
    assert kept.item["spec"] == {"type": "ExternalName", "externalName": "s3.amazonaws.com"}


def test_object_of_the_largest_admitted_spec_is_kept_whole() -> None:
    tags = {f"{number:0>128}": "v" * 256 for number in range(42)}
    found = item(bucketPolicy=json.dumps({"Statement": ["x" * 20_000]}), tags=tags)
    assert keep_object(found).spec == found["spec"]
    assert oversized_message(keep_object(found)) == ""


def test_object_that_is_too_large_keeps_what_a_deletion_needs_and_names_the_field() -> None:
    # The CRD of the Go operator has no maxLength.
    user = {"username": "photos-user", "more": "x" * MAX_SPEC}
    users = [{"username": f"u{number}", "more": "x" * MAX_SPEC} for number in range(1000)]
    fields = {"bucketPolicy": "x" * 1_000_000, "iamUser": user, "additionalUsers": [*users[:1], "x", *users]}
    kept = keep_object(item(**fields, deletionPolicy="Retain"))
    assert kept.spec == {
        "region": "eu-west-1",
        "bucketName": "photos",
        "deletionPolicy": "Retain",
        "iamUser": {"username": "photos-user"},
        "additionalUsers": [{"username": f"u{number}"} for number in (0, *range(8))],
    }
    assert "spec.bucketPolicy" in oversized_message(kept)
    assert str(MAX_SPEC) in oversized_message(kept)


def test_listed_object_has_only_our_finalizer_and_annotations() -> None:
    found = item()
    found["metadata"] |= {
        "annotations": {"agill.apps/reconcile-requested-at": "now", "kubectl/last-applied": "x" * 100_000},
        "labels": {"a": "b"},
        "managedFields": [{"fieldsV1": {}}],
    }
    kept = keep_listed_object(found).metadata
    assert kept["finalizers"] == [FINALIZER]
    assert kept["annotations"] == {"agill.apps/reconcile-requested-at": "now"}
    assert not {"labels", "managedFields"} & set(kept)
    # A patch of the finalizers starts with a read by name.
    assert keep_object(found).finalizers == (FINALIZER, "other/one")
