"""Check mode predicts what a run does: whether it changes something, field by field, and the reason it ends with."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3bucket.api import GROUP, PLURAL, VERSION
from s3bucket.errors import Refused
from s3bucket.observe import observe, observe_deletion
from s3bucket.outcome import Reason
from s3bucket.prediction import Prediction, predict, predict_deletion, result_of
from tests.support.objects import taken_bucket, taken_secret
from tests.support.world import CLUSTER, NewObject, World, deleting, requests_of


def foretell(world: World, cr: dict[str, Any]) -> tuple[dict[str, Any], Prediction]:
    """The result in check mode, and the changes; made by the code that s3bucket_info calls."""
    try:
        wanted, sources = world.wanted(cr), world.sources()
        if wanted.is_deleting:
            prediction = predict_deletion(wanted, observe_deletion(wanted, sources), sources)
        else:
            prediction = predict(wanted, observe(wanted, sources), sources)
    except Refused as refusal:
        return dict(refusal.outcome.to_record()), Prediction()
    return dict(result_of(wanted, prediction).to_record()), prediction


def make(world: World, cr: dict[str, Any]) -> dict[str, Any]:
    assert world.reconcile(cr).outcome["done"]
    return cr


def without_secret(world: World, new: NewObject) -> dict[str, Any]:
    cr = make(world, new())
    world.core.delete_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"])
    return cr


def drifted(world: World, new: NewObject) -> dict[str, Any]:
    cr = without_secret(world, new)
    world.s3.put_bucket_versioning(Bucket=cr["spec"]["bucketName"], VersioningConfiguration={"Status": "Enabled"})
    world.core.delete_namespaced_service(cr["metadata"]["name"], cr["metadata"]["namespace"])
    return cr


def filled(world: World, new: NewObject, **spec: Any) -> dict[str, Any]:
    cr = make(world, new(**spec))
    world.s3.put_object(Bucket=cr["spec"]["bucketName"], Key="a", Body=b"x")
    return deleting(cr)


def locked(world: World, new: NewObject) -> dict[str, Any]:
    cr = make(world, new(enableObjectLock=True, iamUser=None))
    until = datetime.now(UTC) + timedelta(days=30)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    world.s3.put_object(Bucket=cr["spec"]["bucketName"], Key="a", Body=b"x", **lock)
    return deleting(cr)


def taken(world: World, new: NewObject, take: Callable[[World, dict[str, Any]], None]) -> dict[str, Any]:
    cr = new()
    take(world, cr)
    return cr


def offered(world: World, new: NewObject) -> dict[str, Any]:
    cr = new(adoptionPolicy="IfExists", enableVersioning=True)
    identity = f"{CLUSTER}/{cr['metadata']['namespace']}/{cr['metadata']['name']}"
    tags = [{"Key": "agill.apps/adopt", "Value": identity}, {"Key": "team", "Value": "x"}]
    world.s3.create_bucket(Bucket=cr["spec"]["bucketName"], CreateBucketConfiguration={"Tags": tags})
    return cr


def with_foreign_rights(world: World, new: NewObject) -> dict[str, Any]:
    cr = without_secret(world, new)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    user = cr["spec"]["iamUser"]["username"]
    world.iam.put_user_policy(UserName=user, PolicyName="more", PolicyDocument=json.dumps(policy))
    world.s3.put_bucket_versioning(Bucket=cr["spec"]["bucketName"], VersioningConfiguration={"Status": "Enabled"})
    return cr


# What is there: the object, what check mode reports as its reason, and which aspects a run changes.
SITUATIONS: dict[str, tuple[Callable[[World, NewObject], dict[str, Any]], str, list[str]]] = {
    "new": (lambda world, new: new(tags={"a": "b"}), Reason.WOULD_CHANGE, ["bucket", "user", "service"]),
    "drift-and-deleted-secret": (drifted, Reason.WOULD_CHANGE, ["versioning", "secret", "service"]),
    "invalid-spec": (lambda world, new: new(bucketPolicy='{"Statement": [}'), "InvalidSpec", []),
    "bucket-of-another": (lambda world, new: taken(world, new, taken_bucket), "Conflict", []),
    "foreign-secret": (lambda world, new: taken(world, new, taken_secret), "Conflict", []),
    "foreign-rights": (with_foreign_rights, "Conflict", ["versioning"]),
    "adoption": (offered, Reason.WOULD_CHANGE, ["versioning", "tags", "user", "service"]),
    "deleting-full": (filled, Reason.WOULD_CHANGE, ["bucket", "user", "secret", "service"]),
    "deleting-full-without-force": (
        lambda world, new: filled(world, new, forceDelete=False), "BucketNotEmpty", ["user"],
    ),
    "deleting-empty-without-force": (
        lambda world, new: deleting(make(world, new(forceDelete=False, iamUser=None))),
        Reason.WOULD_CHANGE, ["bucket", "service"],
    ),
    "deleting-locked": (locked, "ObjectLocked", []),
    "retained": (
        lambda world, new: filled(world, new, deletionPolicy="Retain"),
        Reason.WOULD_CHANGE, ["bucket", "user", "secret", "service"],
    ),
    "deleting-nothing": (lambda world, new: deleting(new()), "Ready", []),
}  # fmt: skip


@pytest.mark.parametrize("row", SITUATIONS)
def test_prediction_is_what_the_run_does(world: World, new_object: NewObject, row: str) -> None:
    situation, reason, changed = SITUATIONS[row]
    cr = situation(world, new_object)
    with requests_of(world) as requests:
        predicted, prediction = foretell(world, cr)
    assert [request["action"] for request in requests if request["write"]] == []
    assert (predicted["reason"], predicted["changed"]) == (reason, changed), predicted
    assert predicted["done"] == (reason == "Ready")
    assert bool(prediction.changes) == bool(changed)
    run = world.reconcile(cr)
    assert (run.outcome["reason"], run.changed) == ("Ready" if reason == Reason.WOULD_CHANGE else reason, changed), (
        run.output
    )
    # An object that is done has nothing left to do; of one that is not the reason stays.
    again, left = foretell(world, cr)
    if run.outcome["done"]:
        assert (again["reason"], left.changes) == ("Ready", []), left
    else:
        assert (again["reason"], again["changed"]) == (reason, []), again


def test_result_of_check_mode_names_what_a_run_would_create_and_no_status(world: World, new_object: NewObject) -> None:
    cr = new_object()
    bucket, user, name = cr["spec"]["bucketName"], cr["spec"]["iamUser"]["username"], cr["metadata"]["name"]
    predicted, _ = foretell(world, cr)
    created = f"create bucket {bucket}, IAM user {user}, Service {name}"
    assert predicted["message"] == f"check mode: a run would {created}"
    assert (predicted["done"], predicted["retry"], predicted["status"]) == (False, "none", {})


def summary_in(output: str, namespace: str) -> dict[str, str]:
    """Of the summary of sync.yml: an object's line, by its name."""
    lines = [line.strip().strip('",') for line in output.splitlines()]
    return {
        line.partition("/")[2].partition(": ")[0]: line.partition(": ")[2]
        for line in lines
        if line.startswith(f"{namespace}/")
    }


def test_check_and_diff_of_a_whole_run_show_what_the_run_does_finalizers_too(
    world: World, namespace: str, new_name: Callable[[str], str]
) -> None:
    at = (GROUP, VERSION, namespace, PLURAL)

    def new(name: str, **spec: Any) -> None:
        world.make_object(namespace, name, {"region": "us-east-1", "bucketName": new_name(name), **spec})

    def bucket_of(name: str) -> str:
        return str(world.custom.get_namespaced_custom_object(*at, name)["spec"]["bucketName"])

    user = new_name("check")
    new("lost"), new("full", forceDelete=False), new("gone", iamUser={"username": user})
    first = world.playbook("sync.yml", "-e", f"s3bucket_namespace={namespace}")
    assert first.code == 0, first.output
    world.custom.patch_namespaced_custom_object(*at, "lost", {"metadata": {"finalizers": None}})
    world.s3.put_object(Bucket=bucket_of("full"), Key="a", Body=b"x")
    world.s3.put_bucket_versioning(Bucket=bucket_of("lost"), VersioningConfiguration={"Status": "Enabled"})
    for name in ("full", "gone"):
        world.custom.delete_namespaced_custom_object(*at, name)
    new("new", iamUser={"username": new_name("check")})
    before = world.custom.list_namespaced_custom_object(*at)["items"]

    with requests_of(world) as requests:
        check = world.playbook("sync.yml", "-e", f"s3bucket_namespace={namespace}", "--check", "--diff")
    assert [request["action"] for request in requests if request["write"]] == []
    assert world.custom.list_namespaced_custom_object(*at)["items"] == before
    predicted = summary_in(check.output, namespace)
    old_secret = world.core.read_namespaced_secret("gone-iam-secret", namespace).data
    run = world.playbook("sync.yml", "-e", f"s3bucket_namespace={namespace}", "--diff")
    made = summary_in(run.output, namespace)

    assert (check.code, run.code) == (2, 2), check.output
    would = "WouldChange (would change: "
    creates = f"bucket, user, service): check mode: a run would create bucket {bucket_of('new')}"
    assert predicted["new"].startswith(would + creates)
    assert predicted["lost"].startswith(f"{would}versioning)")
    assert predicted["gone"].startswith(f"{would}bucket, user, secret, service)"), predicted
    assert predicted["full"].startswith("BucketNotEmpty (would change: nothing)")
    for name, line in made.items():
        reason, changed = line.split(" (changed: ")
        assert reason == {"full": "BucketNotEmpty", "gone": "Deleted"}.get(name, "Ready"), line
        assert predicted[name].partition(" (would change: ")[2].partition(")")[0] == changed.partition(")")[0]
    # A finalizer that is added (two), one that leaves (one), and a field of a bucket, in both.
    for output in (check.output, run.output):
        assert output.count("agill.apps.s3") >= 3
        assert '-    "enableVersioning": true' in output
        assert '+    "enableVersioning": false' in output
    new_secret = world.core.read_namespaced_secret("new-iam-secret", namespace).data
    for value in (secret["AWS_SECRET_ACCESS_KEY"] for secret in (old_secret, new_secret)):
        assert value not in check.output + run.output
        assert b64decode(value).decode() not in check.output + run.output
