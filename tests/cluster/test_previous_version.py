"""An object that the version before additional users, roles and key rotation made: an upgrade changes nothing of it.

What that version wrote was recorded from a run of it (commit 6bbfdad).
"""

from __future__ import annotations

import json
from typing import Any

from dev.wait import wait_until
from s3bucket.api import API_VERSION, GROUP, PLURAL, VERSION
from s3bucket.keys import fingerprint_of
from tests.support.objects import bucket_of, user_of, writes_in
from tests.support.operator import StartOperator, live
from tests.support.world import CLUSTER, NewObject, World, requests_of

Cr = dict[str, Any]
LABELS = {"app.kubernetes.io/managed-by": "s3-operator", "agill.apps/s3": ""}
BLOCK = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
# The settings in force, as the status showed them.
EFFECTIVE = {
    "adoptionPolicy": "Never", "bucketACL": "private", "deletionPolicy": "Delete", "driftPolicy": "Correct",
    "enableObjectLock": False, "enableTransferAcceleration": False, "enableVersioning": True, "forceDelete": True,
    "publicAccessBlock": dict.fromkeys(
        ("blockPublicACLs", "blockPublicPolicy", "ignorePublicACLs", "restrictPublicBuckets"), True
    ),
    "service": {"enabled": True}, "unmanagedFields": [],
}  # fmt: skip


def listed(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def make_in_aws(world: World, cr: Cr) -> tuple[str, str]:
    """Create bucket, user and key as that version did. Returns the key."""
    bucket, user, metadata = bucket_of(cr), user_of(cr), cr["metadata"]
    values = {"cluster": CLUSTER, "namespace": metadata["namespace"], "name": metadata["name"], "uid": metadata["uid"]}
    owned = {f"agill.apps/{key}": value for key, value in values.items()}
    tags = {"team": "a", "agill.apps/tags": "yosi0", **owned}
    world.s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"Tags": listed(tags)})
    world.s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    world.s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules)
    world.s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=dict.fromkeys(BLOCK, True))
    claims = {"agill.apps/bucket": bucket, "agill.apps/origin": f"created:{bucket}"}
    world.iam.create_user(UserName=user, Tags=listed({**owned, **claims}))
    resource = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": resource}]}
    name = f"{user}-{bucket}-s3-restricted"
    world.iam.put_user_policy(UserName=user, PolicyName=name, PolicyDocument=json.dumps(policy))
    key = world.iam.create_access_key(UserName=user)["AccessKey"]
    pair = key["AccessKeyId"], key["SecretAccessKey"]
    world.iam.tag_user(UserName=user, Tags=listed({"agill.apps/key": f"{pair[0]}:{fingerprint_of(pair[1])}"}))
    return pair


def make_in_kubernetes(world: World, cr: Cr, pair: tuple[str, str]) -> None:
    """Create Secret and Service, and write the finalizer and the status, as that version did."""
    namespace, name, uid = (cr["metadata"][key] for key in ("namespace", "name", "uid"))
    owner = {"apiVersion": API_VERSION, "kind": "S3", "name": name, "uid": uid}
    common = {
        "labels": {**LABELS, "agill.apps/s3": name},
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    issued = {"agill.apps/key": f"{pair[0]}:{fingerprint_of(pair[1])}", "agill.apps/key-issued": "2026-11-26T10:00:00Z"}
    data = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), pair, strict=True))
    secret = {"name": f"{name}-iam-secret", "annotations": issued, **common}
    world.core.create_namespaced_secret(namespace, {"metadata": secret, "stringData": data, "type": "Opaque"})
    spec = {"type": "ExternalName", "externalName": "s3.amazonaws.com"}
    world.core.create_namespaced_service(namespace, {"metadata": {"name": name, **common}, "spec": spec})
    at = (GROUP, VERSION, namespace, PLURAL, name)
    world.custom.patch_namespaced_custom_object(*at, {"metadata": {"finalizers": ["agill.apps.s3"]}})
    conditions = [
        {
            "type": kind, "status": "True", "reason": reason, "message": "", "observedGeneration": 1,
            "lastTransitionTime": "2026-11-26T10:00:00Z",
        }
        for kind, reason in (("Ready", "Ready"), ("Synced", "InSync"))
    ]  # fmt: skip
    status = {
        "accessKeyID": pair[0], "appliedGeneration": 1, "bucketARN": f"arn:aws:s3:::{bucket_of(cr)}",
        "conditions": conditions, "effective": EFFECTIVE, "lastSyncTime": "2026-11-26T10:00:00Z",
        "observedGeneration": 1, "secretName": f"{name}-iam-secret", "status": "Ready",
        "userARN": f"arn:aws:iam::{world.account}:user/{user_of(cr)}",
    }  # fmt: skip
    world.custom.patch_namespaced_custom_object_status(*at, {"status": status})


def versions_of(world: World, cr: Cr) -> list[str]:
    """The resourceVersions of its Secret and its Service: any write changes them."""
    items = (world.secret(cr), world.service(cr))
    return [str((item or {})["metadata"]["resourceVersion"]) for item in items]


def test_object_of_the_previous_version_gets_no_write_and_keeps_its_key(
    world: World, new_object: NewObject, start_operator: StartOperator
) -> None:
    cr = new_object(enableVersioning=True, tags={"team": "a"})
    pair = make_in_aws(world, cr)
    make_in_kubernetes(world, cr, pair)
    before, status = versions_of(world, cr), (live(world, cr) or {})["status"]
    with requests_of(world) as requests:
        # A run of the role, as in a full sync and in a playbook.
        run = world.reconcile(cr)
        operator = start_operator("--sync-period", "1")
        wait_until(lambda: len(operator.reconciles_of(cr)) >= 3, "checks of the object")
        assert operator.stop() == 0
    assert (run.outcome["done"], run.changed, run.outcome["message"]) == (True, [], ""), run.output
    assert operator.runs_of(cr) == []
    assert writes_in(requests) == []
    assert versions_of(world, cr) == before
    after = (live(world, cr) or {})["status"]
    # The only write to the object itself: what is in force of a field that is new.
    assert after["effective"].pop("verify") == "Access"
    assert after == status
    assert world.credentials(cr) == pair
