"""Check mode predicts a run: whether it changes something, each field that it changes, and its final reason."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s3bucket.api import GROUP, PLURAL, VERSION
from s3bucket.errors import ReconcileError
from s3bucket.observe import observe, observe_deletion
from s3bucket.outcome import Reason
from s3bucket.prediction import Prediction, predict, predict_deletion, result_of
from tests.direct.test_result import role, run_play
from tests.support.objects import taken_bucket, taken_secret
from tests.support.world import CLUSTER, NewObject, World, deleting, requests_of


def foretell(world: World, cr: dict[str, Any]) -> tuple[dict[str, Any], Prediction]:
    """The result in check mode, and the changes. s3bucket_info calls the same code for them."""
    try:
        wanted, sources = world.wanted(cr), world.sources()
        if wanted.is_deleting:
            prediction = predict_deletion(wanted, observe_deletion(wanted, sources), sources)
        else:
            prediction = predict(wanted, observe(wanted, sources), sources)
    except ReconcileError as refusal:
        return dict(refusal.outcome.to_record()), Prediction()
    return dict(result_of(wanted, prediction).to_record()), prediction


@dataclass(frozen=True)
class Situation:
    """The state before a run, and the result of the run.

    ``spec``: fields of the object. ``is_made``: the role has run on it before. ``spoil``: what happens after that.
    ``reason``: what check mode reports. ``changed``: what a run changes.
    """

    reason: str
    changed: tuple[str, ...]
    spec: dict[str, Any] = field(default_factory=dict)
    is_made: bool = False
    is_deleting: bool = False
    spoil: Callable[[World, dict[str, Any]], object] = lambda _world, _cr: None


def delete_secret(world: World, cr: dict[str, Any]) -> None:
    world.core.delete_namespaced_secret(f"{cr['metadata']['name']}-iam-secret", cr["metadata"]["namespace"])


def enable_versioning(world: World, cr: dict[str, Any]) -> None:
    world.s3.put_bucket_versioning(Bucket=cr["spec"]["bucketName"], VersioningConfiguration={"Status": "Enabled"})


def spoil_three(world: World, cr: dict[str, Any]) -> None:
    delete_secret(world, cr)
    enable_versioning(world, cr)
    world.core.delete_namespaced_service(cr["metadata"]["name"], cr["metadata"]["namespace"])


def give_unmanaged_rights(world: World, cr: dict[str, Any]) -> None:
    delete_secret(world, cr)
    enable_versioning(world, cr)
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    user = cr["spec"]["iamUser"]["username"]
    world.iam.put_user_policy(UserName=user, PolicyName="more", PolicyDocument=json.dumps(policy))


def fill(world: World, cr: dict[str, Any], **lock: Any) -> None:
    world.s3.put_object(Bucket=cr["spec"]["bucketName"], Key="a", Body=b"x", **lock)


def lock_version(world: World, cr: dict[str, Any]) -> None:
    until = datetime.now(UTC) + timedelta(days=30)
    fill(world, cr, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)


def offer(world: World, cr: dict[str, Any]) -> None:
    identity = f"{CLUSTER}/{cr['metadata']['namespace']}/{cr['metadata']['name']}"
    tags = [{"Key": "agill.apps/adopt", "Value": identity}, {"Key": "team", "Value": "x"}]
    world.s3.create_bucket(Bucket=cr["spec"]["bucketName"], CreateBucketConfiguration={"Tags": tags})


# The aspects that a run writes together with a new access key, and with a new user.
NEW_KEY = ("access_key", "secret")
NEW_USER = ("user", "user_policy", *NEW_KEY)
ALL = ("bucket", "user", "secret", "service")
NO_USER: dict[str, Any] = {"iamUser": None}
SITUATIONS: dict[str, Situation] = {
    "new": Situation(Reason.WOULD_CHANGE, ("bucket", *NEW_USER, "service"), {"tags": {"a": "b"}}),
    "new-without-user": Situation(Reason.WOULD_CHANGE, ("bucket", "service"), NO_USER),
    "drift-and-deleted-secret": Situation(
        Reason.WOULD_CHANGE, ("versioning", *NEW_KEY, "service"), is_made=True, spoil=spoil_three
    ),
    "invalid-spec": Situation("InvalidSpec", (), {"bucketPolicy": '{"Statement": [}'}),
    "bucket-of-another": Situation("Conflict", (), spoil=taken_bucket),
    "unmanaged-secret": Situation("Conflict", (), spoil=taken_secret),
    "unmanaged-rights": Situation("Conflict", ("versioning",), is_made=True, spoil=give_unmanaged_rights),
    "adoption": Situation(
        Reason.WOULD_CHANGE, ("versioning", "tags", *NEW_USER, "service"),
        {"adoptionPolicy": "IfExists", "enableVersioning": True}, spoil=offer,
    ),
    "deleting-full": Situation(Reason.WOULD_CHANGE, ALL, is_made=True, is_deleting=True, spoil=fill),
    "deleting-full-without-force": Situation(
        "BucketNotEmpty", ("user",), {"forceDelete": False}, is_made=True, is_deleting=True, spoil=fill
    ),
    "deleting-empty-without-force": Situation(
        Reason.WOULD_CHANGE, ("bucket", "service"), {"forceDelete": False, **NO_USER}, is_made=True, is_deleting=True
    ),
    "deleting-locked": Situation(
        "ObjectLocked", (), {"enableObjectLock": True, **NO_USER}, is_made=True, is_deleting=True, spoil=lock_version
    ),
    "retained": Situation(
        Reason.WOULD_CHANGE, ALL, {"deletionPolicy": "Retain"}, is_made=True, is_deleting=True, spoil=fill
    ),
    "deleting-nothing": Situation("Ready", (), is_deleting=True),
}  # fmt: skip


@dataclass(frozen=True)
class Predicted:
    """The prediction of check mode for one situation, and the result of the run that followed."""

    cr: dict[str, Any]
    predicted: dict[str, Any]
    prediction: Prediction
    writes: list[str]
    result: dict[str, Any]


@pytest.fixture(scope="module")
def predictions(
    world: World, new_name: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Predicted]:
    """All situations, in two plays. A run for each situation would cost a second and a process."""
    namespace, folder = new_name("ns"), tmp_path_factory.mktemp("check")
    world.make_namespace(namespace)
    crs: dict[str, dict[str, Any]] = {}
    for row, situation in SITUATIONS.items():
        spec = {"region": "us-east-1", "bucketName": new_name("b"), "iamUser": {"username": new_name("u")}}
        given = {name: value for name, value in (spec | situation.spec).items() if value is not None}
        crs[row] = world.make_object(namespace, new_name("cr"), given)
    made = run_all(world, folder, {row: cr for row, cr in crs.items() if SITUATIONS[row].is_made})
    assert [result["reason"] for result in made.values()] == ["Ready"] * len(made), made
    seen = {}
    for row, cr in crs.items():
        SITUATIONS[row].spoil(world, cr)
        crs[row] = deleting(cr) if SITUATIONS[row].is_deleting else cr
        with requests_of(world) as requests:
            found = foretell(world, crs[row])
        seen[row] = (*found, [request["action"] for request in requests if request["write"]])
    results = run_all(world, folder, crs)
    return {row: Predicted(cr, *seen[row], results[row]) for row, cr in crs.items()}


def run_all(world: World, folder: Path, crs: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Run the role on each object, also after failures. Returns the results."""
    tasks: list[dict[str, Any]] = []
    for row, cr in crs.items():
        tasks.append(role(cr, s3bucket_fail_on_error=False))
        kept = f"{{{{ _results | default({{}}) | combine({{'{row}': s3bucket_result}}) }}}}"
        tasks.append({"ansible.builtin.set_fact": {"_results": kept}})
    file = folder / "results.json"
    write = {"content": "{{ _results | to_json }}", "dest": str(file), "mode": "0600"}
    run = run_play(world, folder, [*tasks, {"ansible.builtin.copy": write}])
    assert run.code == 0, run.output
    return dict(json.loads(file.read_text()))


@pytest.mark.parametrize("row", SITUATIONS)
def test_prediction_is_what_the_run_does(world: World, predictions: dict[str, Predicted], row: str) -> None:
    reason, changed, found = SITUATIONS[row].reason, list(SITUATIONS[row].changed), predictions[row]
    assert found.writes == []
    assert (found.predicted["reason"], found.predicted["changed"]) == (reason, changed), found.predicted
    assert found.predicted["done"] == (reason == "Ready")
    assert bool(found.prediction.changes) == bool(changed)
    result = found.result
    ends_with = "Ready" if reason == Reason.WOULD_CHANGE else reason
    assert (result["reason"], result["changed"]) == (ends_with, changed), result
    # A finished object has no changes left. For an unfinished object, the reason stays the same.
    again, left = foretell(world, found.cr)
    if result["done"]:
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
    """The line of an object in the summary of sync.yml, by its name."""
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
    creates = f"bucket, {', '.join(NEW_USER)}, service): check mode: a run would create bucket {bucket_of('new')}"
    assert predicted["new"].startswith(would + creates)
    assert predicted["lost"].startswith(f"{would}versioning)")
    assert predicted["gone"].startswith(f"{would}bucket, user, secret, service)"), predicted
    assert predicted["full"].startswith("BucketNotEmpty (would change: nothing)")
    for name, line in made.items():
        reason, changed = line.split(" (changed: ")
        assert reason == {"full": "BucketNotEmpty", "gone": "Deleted"}.get(name, "Ready"), line
        assert predicted[name].partition(" (would change: ")[2].partition(")")[0] == changed.partition(")")[0]
    # In both outputs: a finalizer that is added (twice), one that is removed (once), and a field of a bucket.
    for output in (check.output, run.output):
        assert output.count("agill.apps.s3") >= 3
        assert '-    "enableVersioning": true' in output
        assert '+    "enableVersioning": false' in output
    new_secret = world.core.read_namespaced_secret("new-iam-secret", namespace).data
    for value in (secret["AWS_SECRET_ACCESS_KEY"] for secret in (old_secret, new_secret)):
        assert value not in check.output + run.output
        assert b64decode(value).decode() not in check.output + run.output
