"""How the Secret and the Service are written.

An object that another user created in the meantime is not overwritten. No access key is issued that cannot be stored.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import pytest
from kubernetes import watch
from kubernetes.client.exceptions import ApiException

from dev.apigate import ApiGate
from dev.awsgate.holds import Hold
from dev.wait import wait_until
from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket import children
from s3bucket.cluster import ApiServer
from s3bucket.errors import ReconcileError
from s3bucket.observe import observe
from s3bucket.role_settings import RoleSettings
from tests.support.world import CLUSTER, PROJECT, NewObject, Run, World, deleting, requests_of

_HELD_S = 0.2
_RUN_S = 240
AWS, KUBERNETES = "aws", "kubernetes"


@dataclass(frozen=True)
class Moment:
    """A write of the run that is held before it takes effect."""

    gate: str
    action: str

    def __str__(self) -> str:
        return f"{self.gate}-{self.action.replace(' ', '-')}"


class GatedWorld(World):
    """A world in which runs go through a gate in front of the API server."""

    def __init__(self, world: World, api: ApiGate, folder: Path) -> None:
        super().__init__(api.kubeconfig, world.aws, folder)
        self.holds = api.holds


@pytest.fixture(scope="module")
def gated(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatedWorld]:
    folder = tmp_path_factory.mktemp("gated")
    with ApiGate(world.kubeconfig, folder) as gate:
        made = GatedWorld(world, gate, folder)
        yield made
        made.close()


def reconcile_with(gated: GatedWorld, cr: dict[str, Any], moment: Moment, act: Callable[[], Any]) -> Run:
    """Run the role, and do something while one of its writes is held."""
    bucket, namespace = cr["spec"]["bucketName"], cr["metadata"]["namespace"]
    gate, runs = gated.aws.gate, []
    run = threading.Thread(target=lambda: runs.append(gated.reconcile(cr)), daemon=True)
    if moment.gate == AWS:
        gate.arm(bucket, cr["spec"]["iamUser"]["username"], action=moment.action, number=1)
    else:
        gated.holds.arm(Hold((namespace,), moment.action, 1))
    run.start()
    try:
        while not (gate.wait_held(_HELD_S) if moment.gate == AWS else gated.holds.wait(_HELD_S)):
            assert run.is_alive(), f"{moment} did not come: {runs[0].output}"
        act()
    finally:
        gate.disarm()
        gated.holds.disarm()
        run.join(_RUN_S)
    return runs[0]


def unowned_child(world: World, cr: dict[str, Any], kind: str) -> dict[str, Any]:
    """Create an object as another user, with the name of the Secret or Service and the operator's labels.

    Returns it as stored.
    """
    namespace, name = cr["metadata"]["namespace"], cr["metadata"]["name"]
    labels = {"app.kubernetes.io/managed-by": "s3-operator", "agill.apps/s3": name}
    if kind == "Secret":
        body = {"metadata": {"name": f"{name}-iam-secret", "labels": labels}, "stringData": {"other": "value"}}
        world.core.create_namespaced_secret(namespace, body)
    else:
        spec = {"type": "ExternalName", "externalName": "other.example.com"}
        world.core.create_namespaced_service(namespace, {"metadata": {"name": name, "labels": labels}, "spec": spec})
    return child_of(world, cr, kind)


def child_of(world: World, cr: dict[str, Any], kind: str) -> dict[str, Any]:
    found = world.secret(cr) if kind == "Secret" else world.service(cr)
    assert found is not None
    return found


def delete_child(world: World, cr: dict[str, Any], kind: str) -> None:
    namespace, name = cr["metadata"]["namespace"], cr["metadata"]["name"]
    if kind == "Secret":
        world.core.delete_namespaced_secret(f"{name}-iam-secret", namespace)
    else:
        world.core.delete_namespaced_service(name, namespace)


def issued(requests: list[dict[str, Any]]) -> int:
    return [request["action"] for request in requests if request["status"] < 300].count("CreateAccessKey")


# After the reads, between two writes, and while the write of the child itself is held.
_SERVICE = [Moment(AWS, "CreateUser"), Moment(AWS, "PutUserPolicy"), Moment(KUBERNETES, "POST services")]
_SECRET = [Moment(AWS, "CreateUser"), Moment(AWS, "CreateAccessKey"), Moment(KUBERNETES, "POST secrets")]


@pytest.mark.parametrize(
    ("kind", "moment"), [*(("Service", moment) for moment in _SERVICE), *(("Secret", moment) for moment in _SECRET)],
    ids=str,
)  # fmt: skip
def test_object_that_appears_during_a_run_is_a_conflict(
    world: World, gated: GatedWorld, new_object: NewObject, kind: str, moment: Moment
) -> None:
    cr, unowned = new_object(), {}
    with requests_of(world) as requests:
        run = reconcile_with(gated, cr, moment, lambda: unowned.update(unowned_child(world, cr, kind)))
    assert (run.outcome["reason"], run.outcome["retry"]) == ("Conflict", "permanent"), run.output
    assert kind in run.outcome["message"]
    assert child_of(world, cr, kind) == unowned
    if kind == "Service":
        assert (issued(requests), world.secret(cr)) == (0, None), "no key is issued while the object is a Conflict"
    assert world.reconcile(deleting(cr)).outcome["done"]
    assert child_of(world, cr, kind) == unowned


@pytest.mark.parametrize("kind", ["Secret", "Service"])
def test_object_that_replaces_a_child_during_a_run_is_a_conflict(
    world: World, gated: GatedWorld, new_object: NewObject, kind: str
) -> None:
    cr, unowned = new_object(), {}
    assert world.reconcile(cr).outcome["done"]
    drift(world, cr)

    def replace() -> None:
        delete_child(world, cr, kind)
        unowned.update(unowned_child(world, cr, kind))

    run = reconcile_with(gated, cr, Moment(AWS, "PutBucketVersioning"), replace)
    assert run.outcome["reason"] == "Conflict", run.output
    assert child_of(world, cr, kind) == unowned


@pytest.mark.parametrize("kind", ["Secret", "Service"])
def test_object_that_is_deleted_during_a_run_is_made_by_the_next_one(
    world: World, gated: GatedWorld, new_object: NewObject, kind: str
) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    drift(world, cr)
    run = reconcile_with(gated, cr, Moment(AWS, "PutBucketVersioning"), lambda: delete_child(world, cr, kind))
    assert (run.outcome["reason"], run.outcome["retry"]) == ("KubernetesError", "transient"), run.output
    assert world.reconcile(cr).outcome["done"]
    assert world.differs(cr) == []


def drift(world: World, cr: dict[str, Any]) -> None:
    """Change a setting of the bucket, the Secret's labels and the Service."""
    namespace, name = cr["metadata"]["namespace"], cr["metadata"]["name"]
    world.s3.put_bucket_versioning(Bucket=cr["spec"]["bucketName"], VersioningConfiguration={"Status": "Enabled"})
    world.core.patch_namespaced_secret(f"{name}-iam-secret", namespace, {"metadata": {"labels": None}})
    world.core.patch_namespaced_service(name, namespace, {"spec": {"externalName": "other.example.com"}})


@contextmanager
def quota(world: World, namespace: str, counted: str) -> Iterator[None]:
    """Allow no more objects of a kind, once the controller has counted the existing ones."""
    body = {"metadata": {"name": "none"}, "spec": {"hard": {f"count/{counted}": "0"}}}
    made = world.core.create_namespaced_resource_quota(namespace, body)
    follow = watch.Watch().stream(
        world.core.list_namespaced_resource_quota, namespace, timeout_seconds=60,
        resource_version=made.metadata.resource_version,
    )  # fmt: skip
    assert any((event["object"].status.hard or {}) for event in follow), "the quota controller did not count"
    yield
    world.core.delete_namespaced_resource_quota("none", namespace)


@contextmanager
def admission(world: World, namespace: str, expression: str, message: str, shown: str = "") -> Iterator[None]:
    """A ValidatingAdmissionPolicy for Secrets that is in effect. ``shown``: an expression for its message."""
    api, name = k8s.AdmissionregistrationV1Api(world.core.api_client), f"policy-{uuid.uuid4().hex[:8]}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["secrets"]}
    probe = {"expression": "object.metadata.name != 'probe'", "message": "in force"}
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [probe, {"expression": expression, "message": message, "messageExpression": shown}],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}}
    api.create_validating_admission_policy({"metadata": {"name": name}, "spec": spec})
    api.create_validating_admission_policy_binding({"metadata": {"name": name}, "spec": binding})

    def is_in_force() -> bool:
        try:
            world.core.create_namespaced_secret(namespace, {"metadata": {"name": "probe"}}, dry_run="All")
        except ApiException as error:
            return error.status == 422
        return False

    try:
        wait_until(is_in_force, "the policy is in force")
        yield
    finally:
        api.delete_validating_admission_policy_binding(name)
        api.delete_validating_admission_policy(name)
    wait_until(lambda: not is_in_force(), "the policy is no longer in force")


def rejections() -> list[Any]:
    return [
        pytest.param(lambda world, name: quota(world, name, "secrets"), "exceeded quota: none", id="quota"),
        pytest.param(
            lambda world, name: admission(world, name, "!has(object.data)", "Secrets come from the vault"),
            "Secrets come from the vault",
            id="admission-policy",
        ),
    ]


@pytest.mark.parametrize(("reject", "message"), rejections())
def test_secret_that_kubernetes_rejects_issues_no_key_however_often_tried(
    world: World, new_object: NewObject, reject: Callable[..., Any], message: str
) -> None:
    cr = new_object(enableVersioning=True)
    with reject(world, cr["metadata"]["namespace"]):
        with requests_of(world) as requests:
            runs = [world.reconcile(cr) for _ in range(3)]
        for run in runs:
            assert (run.outcome["done"], run.outcome["reason"]) == (False, "KubernetesError"), run.output
            assert message in run.outcome["message"]
            assert run.outcome["status"]["bucketARN"]
            assert "accessKeyID" not in run.outcome["status"]
        assert issued(requests) == 0
        assert runs[0].changed == ["bucket", "user", "user_policy", "service"], "all else is there"
        assert runs[1].changed == []
    healed = world.reconcile(cr)
    assert healed.outcome["done"], healed.output
    assert healed.changed == ["access_key", "secret"]
    assert world.differs(cr) == []
    world.tenant(cr).list_objects_v2(Bucket=cr["spec"]["bucketName"])


def test_secret_that_kubernetes_rejects_keeps_its_key(world: World, new_object: NewObject) -> None:
    """The recorded access key stays in the Secret until another one can be stored. Settings are repaired meanwhile."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    user, before = cr["spec"]["iamUser"]["username"], world.iam.get_user
    keys = world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]
    delete_child(world, cr, "Secret")
    world.s3.put_bucket_versioning(Bucket=cr["spec"]["bucketName"], VersioningConfiguration={"Status": "Enabled"})
    with quota(world, cr["metadata"]["namespace"], "secrets"):
        run = world.reconcile(cr)
        assert (run.outcome["reason"], run.changed) == ("KubernetesError", ["versioning"]), run.output
        assert world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"] == keys
    assert before(UserName=user)
    assert world.reconcile(cr).outcome["done"]
    assert len(world.iam.list_access_keys(UserName=user)["AccessKeyMetadata"]) == 1


def test_service_that_kubernetes_rejects_leaves_the_key_in_its_secret(world: World, new_object: NewObject) -> None:
    cr = new_object()
    with quota(world, cr["metadata"]["namespace"], "services"):
        run = world.reconcile(cr)
    assert (run.outcome["done"], run.outcome["reason"]) == (False, "KubernetesError"), run.output
    assert "exceeded quota: none" in run.outcome["message"]
    assert run.changed == ["bucket", "user", "user_policy", "access_key", "secret"]
    assert run.outcome["status"]["accessKeyID"] == world.credentials(cr)[0]
    assert world.reconcile(cr).changed == ["service"]


def test_secret_rejected_for_its_content_is_retried_slowly_and_shown_without_it(
    world: World, new_object: NewObject
) -> None:
    """A dry run with an example key cannot detect this. The message of the policy would contain the Secret."""
    cr, message = new_object(), "this Secret holds a key"
    expression = "!has(object.data) || object.data['AWS_ACCESS_KEY_ID'] == 'QUtJQUlPU0ZPRE5ON0VYQU1QTEU='"
    with admission(world, cr["metadata"]["namespace"], expression, message):
        run = world.reconcile(cr)
    assert (run.outcome["reason"], run.outcome["retry"]) == ("KubernetesError", "slow"), run.output
    assert "Unprocessable Entity (422)" in run.outcome["message"]
    assert message not in run.output
    assert world.reconcile(cr).outcome["done"]
    listed = world.iam.list_access_keys(UserName=cr["spec"]["iamUser"]["username"])["AccessKeyMetadata"]
    assert [key["AccessKeyId"] for key in listed] == [world.credentials(cr)[0]]


def test_secret_that_exists_is_not_shown_by_the_policy_that_rejects_its_repair(
    world: World, new_object: NewObject
) -> None:
    """The dry run of a repair has no value of the Secret, but the policy sees the whole Secret."""
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    namespace, name = cr["metadata"]["namespace"], f"{cr['metadata']['name']}-iam-secret"
    world.core.patch_namespaced_secret(name, namespace, {"metadata": {"labels": None}})
    value = "object.data['AWS_SECRET_ACCESS_KEY']"
    with admission(world, namespace, "!has(object.metadata.labels)", "no labels", f"'no labels for ' + {value}"):
        run = world.reconcile(cr)
        seen = observe(world.wanted(cr), world.sources())
    assert (run.outcome["reason"], run.changed) == ("KubernetesError", []), run.output
    assert "Unprocessable Entity (422)" in run.outcome["message"]
    encoded = child_of(world, cr, "Secret")["data"]["AWS_SECRET_ACCESS_KEY"]
    for text in (run.output, *(refusal.message for refusal in seen.deferred)):
        assert encoded[:20] not in text
        assert "no labels" not in text
    assert world.reconcile(cr).outcome["done"]


def test_immutable_secret_kept_by_a_finalizer_issues_no_key(world: World, new_object: NewObject) -> None:
    cr = new_object()
    assert world.reconcile(cr).outcome["done"]
    namespace, name = cr["metadata"]["namespace"], f"{cr['metadata']['name']}-iam-secret"
    patch = {"metadata": {"labels": None, "finalizers": ["example.com/keep"]}, "immutable": True}
    world.core.patch_namespaced_secret(name, namespace, patch)
    with requests_of(world) as requests:
        run = world.reconcile(cr)
    assert (run.outcome["reason"], issued(requests)) == ("KubernetesError", 0), run.output
    assert "example.com/keep" in run.outcome["message"]
    world.core.patch_namespaced_secret(name, namespace, {"metadata": {"finalizers": None}})
    assert world.reconcile(cr).outcome["done"]
    assert world.differs(cr) == []


def test_check_of_a_rejected_secret_asks_for_no_run(
    world: World, new_object: NewObject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drift check reports the same reason as the run. A run follows only when something can be repaired."""
    cr = new_object()
    for name in ("KUBECONFIG", *world.aws.env()):
        monkeypatch.setenv(name, world.environment()[name])
    check = DriftCheck(PROJECT, RoleSettings(cluster_name=CLUSTER, iam_settle_s=0))
    with quota(world, cr["metadata"]["namespace"], "secrets"):
        run = world.reconcile(cr)
        found = check.compare(S3Object(cr))
        assert (found.is_done, found.reason.value, found.message) == (False, "KubernetesError", run.outcome["message"])
        assert found.drift == ()
        delete_child(world, cr, "Service")
        assert check.compare(S3Object(cr)).drift == ("service",)
    assert set(check.compare(S3Object(cr)).drift) == {"access_key", "secret", "service"}


def test_dry_run_stores_nothing_and_is_refused_like_the_write(world: World, new_object: NewObject) -> None:
    cr = new_object()
    seen = observe(world.wanted(cr), world.sources())
    assert {"bucket", "user", "service"} <= set(seen.differs)
    assert (world.secret(cr), world.service(cr)) == (None, None)
    manifest = {
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque",
        "metadata": {
            "name": "Not A Name", "namespace": cr["metadata"]["namespace"], "uid": children.NEW_UID
        },
    }  # fmt: skip
    with pytest.raises(ReconcileError, match=r"metadata\.name: Invalid value") as refused:
        ApiServer(world.core.api_client).dry_run(manifest)
    assert refused.value.reason == "KubernetesError"
