"""The Secret in the shape that a spec requests: its layout, its name, its labels and annotations.

A change of the shape keeps the access key, and each entry is repaired without a new key.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import pytest

from dev.apigate import ApiGate
from dev.wait import wait_until
from runner.drift.check import DriftCheck
from runner.objects import S3Object
from s3bucket import secrets
from s3bucket.cluster import ApiServer
from s3bucket.keys import fingerprint_of
from s3bucket.metadata import RECORD
from s3bucket.observe import observe
from tests.support.drift import cached, set_as_operator
from tests.support.objects import user_of, user_tags
from tests.support.world import PROJECT, SETTINGS, Run, World, deleting, requests_of

MARKUP = "{{ lookup('pipe', 'id') }}"
LABELS = {"labels": {"team": "photos"}, "annotations": {"reloader.stakater.com/match": "true", "markup": MARKUP}}
KEYS = {"access_key": "accessKeyID", "AWS_ACCESS_KEY_ID": "accessKeyID", "secret_key": "secretAccessKey", "arn": "arn"}
# Each is applied after the one before it.
SHAPES: dict[str, dict[str, Any]] = {
    "Env": {"layout": "Env"},
    "File": {"layout": "File", **LABELS},
    "keys": {"keys": KEYS, "labels": {"tier": "1"}},
    "OBC": {"layout": "OBC", **LABELS},
    "COSI": {"layout": "COSI"},
    "AWS": {},
}


class Shaped:
    """An object of which the tests change ``spec.secret``."""

    def __init__(self, world: World, cr: dict[str, Any]) -> None:
        self.world = world
        self.cr = cr
        self.namespace = cr["metadata"]["namespace"]
        run = world.reconcile(cr)
        assert run.outcome.get("reason") == "Ready", run.output
        self.key_id, self.secret = world.credentials(cr)

    def give(self, **secret: Any) -> dict[str, Any]:
        """The object with another ``spec.secret``."""
        self.cr = copy.deepcopy(self.cr)
        self.cr["spec"]["secret"] = secret
        return self.cr

    def reconcile(self) -> Run:
        """Run the role. It must succeed without any change to the user's keys, and show no secret."""
        with requests_of(self.world) as requests:
            run = self.world.reconcile(self.cr)
        assert run.outcome.get("done"), run.output
        assert not {"CreateAccessKey", "DeleteAccessKey"} & {request["action"] for request in requests}
        assert self.secret not in run.output
        assert self.world.differs(self.cr) == []
        return run

    def read(self) -> dict[str, Any]:
        """The Secret."""
        found = self.world.secret(self.cr)
        assert found is not None
        return found

    def texts(self) -> dict[str, str]:
        """The entries of the Secret."""
        return {name: base64.b64decode(value).decode() for name, value in self.read()["data"].items()}

    def wanted_texts(self) -> dict[str, str]:
        wanted, spec = self.world.wanted(self.cr), self.cr["spec"]
        url, bucket = self.world.s3.meta.endpoint_url, spec["bucketName"]
        facts = secrets.Facts(bucket, spec["region"], url, f"arn:aws:s3:::{bucket}")
        return secrets.texts_of(wanted.users[0].secret.entries, facts, self.key_id, self.secret)

    def patch(self, patch: dict[str, Any]) -> None:
        self.world.core.patch_namespaced_secret(self.world.wanted(self.cr).secret_name, self.namespace, patch)


@pytest.fixture(scope="module")
def shaped(world: World, new_name: Callable[[str], str]) -> Shaped:
    namespace = new_name("ns")
    world.make_namespace(namespace)
    spec = {"region": "us-east-1", "bucketName": new_name("shaped"), "iamUser": {"username": new_name("user")}}
    shaped = Shaped(world, world.make_object(namespace, "shaped", spec))
    # What others add to the Secret survives everything that follows.
    shaped.patch({"metadata": {"labels": {"others": "x"}}, "data": {"others": "eA=="}})
    return shaped


@pytest.fixture
def check(world: World, monkeypatch: pytest.MonkeyPatch) -> DriftCheck:
    """The operator's own drift check, with its caches."""
    set_as_operator(world, monkeypatch)
    return DriftCheck(PROJECT, SETTINGS, cached)


def drift_of(check: DriftCheck, cr: dict[str, Any]) -> tuple[str, ...]:
    # As the operator does after each run.
    check.forget(S3Object(cr))
    return check.compare(S3Object(cr)).drift


@pytest.mark.parametrize("name", SHAPES)
def test_secret_takes_another_shape_with_the_same_key(shaped: Shaped, check: DriftCheck, name: str) -> None:
    shape = SHAPES[name]
    cr = shaped.give(**shape)
    assert drift_of(check, cr) == ("secret",)
    run = shaped.reconcile()
    assert run.outcome["changed"] == ["secret"]
    assert drift_of(check, cr) == ()
    # The operator signs a request with the key, whatever entry it is in.
    verified = check.keys.verify(S3Object(cr)) if check.keys else None
    assert verified is not None
    assert verified.ok, verified
    assert shaped.texts() == {**shaped.wanted_texts(), "others": "x"}
    metadata, given = shaped.read()["metadata"], shape.get("annotations", {})
    own = {"app.kubernetes.io/managed-by": "s3-operator", "agill.apps/s3": "shaped"}
    assert metadata["labels"] == {**own, "others": "x", **shape.get("labels", {})}
    assert {key for key in metadata["annotations"] if not key.startswith("agill.apps/")} == set(given)
    assert given.items() <= metadata["annotations"].items()
    assert (RECORD in metadata["annotations"]) == (name != "AWS")
    config_map = shaped.world.config_map(cr)
    assert (config_map is not None) == (name == "OBC")
    if config_map:
        assert config_map["data"]["BUCKET_NAME"] == cr["spec"]["bucketName"]
        assert config_map["metadata"]["labels"] == {**own, **shape["labels"]}


def edited(name: str, old: str = "", new: str = "x") -> Callable[[Shaped], None]:
    """Replaces a part of an entry, or adds to it."""

    def edit(shaped: Shaped) -> None:
        text = shaped.texts()[name]
        assert old in text
        changed = text.replace(old, new) if old else text + new
        shaped.patch({"data": {name: base64.b64encode(changed.encode()).decode()}})

    return edit


def edit_config_map(shaped: Shaped) -> None:
    name = shaped.world.wanted(shaped.cr).secret_name
    shaped.world.core.patch_namespaced_config_map(name, shaped.namespace, {"data": {"BUCKET_PORT": "1"}})


# Every entry that is edited or deleted in an object with all of these is repaired, without a new key.
MANY = {"layout": "OBC", "keys": {**KEYS, "AWS_SECRET_ACCESS_KEY": "secretAccessKey", "region": "region"}, **LABELS}
DRIFT: dict[str, Callable[[Shaped], None]] = {
    "key-id": edited("access_key"),
    "secret": edited("AWS_SECRET_ACCESS_KEY"),
    "region": edited("region"),
    "deleted": lambda shaped: shaped.patch({"data": {"arn": None}}),
    "label": lambda shaped: shaped.patch({"metadata": {"labels": {"team": "other"}}}),
    "annotation": lambda shaped: shaped.patch({"metadata": {"annotations": {"markup": None}}}),
    "record": lambda shaped: shaped.patch({"metadata": {"annotations": {RECORD: None}}}),
    "config-map": edit_config_map,
}


def test_each_part_of_the_secret_is_repaired_with_the_same_key(shaped: Shaped, check: DriftCheck) -> None:
    """One run repairs all. The check reports each of them alone."""
    cr = shaped.give(**MANY)
    shaped.reconcile()
    before = shaped.read()
    for name, change in DRIFT.items():
        assert drift_of(check, cr) == (), name
        change(shaped)
        assert drift_of(check, cr) == ("secret",), name
        plan = check.plan(S3Object(cr))
        assert plan.changes, name
        assert shaped.secret not in repr(plan), name
        if name != "config-map":
            shaped.world.core.replace_namespaced_secret(
                before["metadata"]["name"],
                shaped.namespace,
                {**before, "metadata": {**before["metadata"], "resourceVersion": None}},
            )
    for change in DRIFT.values():
        change(shaped)
    shaped.reconcile()
    assert shaped.texts() == {**shaped.wanted_texts(), "others": "x"}
    found = shaped.read()["metadata"]
    assert (found["labels"], found["annotations"]) == (before["metadata"]["labels"], before["metadata"]["annotations"])
    assert drift_of(check, cr) == ()


def test_document_whose_key_was_edited_gets_a_new_key(shaped: Shaped) -> None:
    """Nothing else holds the key, so the role has to issue one."""
    shaped.give(layout="COSI")
    shaped.reconcile()
    edited("BucketInfo", shaped.secret, "x" * 40)(shaped)
    run = shaped.world.reconcile(shaped.cr)
    assert run.outcome.get("done"), run.output
    part = json.loads(shaped.texts()["BucketInfo"])["spec"]["secretS3"]
    assert part["accessKeyID"] != shaped.key_id
    keys = {"aws_access_key_id": part["accessKeyID"], "aws_secret_access_key": part["accessSecretKey"]}
    assert shaped.world.aws.client("sts", **keys).get_caller_identity()["Arn"].endswith(user_of(shaped.cr))
    shaped.key_id, shaped.secret = part["accessKeyID"], part["accessSecretKey"]
    assert user_tags(shaped.world, user_of(shaped.cr))["agill.apps/key"] == (
        f"{shaped.key_id}:{fingerprint_of(shaped.secret)}"
    )


@contextmanager
def gated(shaped: Shaped, folder: Path) -> Iterator[ApiGate]:
    """Runs go through a gate in front of the API server, which keeps their requests."""
    with ApiGate(shaped.world.kubeconfig, folder) as gate:
        world = World(gate.kubeconfig, shaped.world.aws, folder)
        shaped.world, before = world, shaped.world
        try:
            yield gate
        finally:
            shaped.world = before
            world.close()


def test_secret_moves_with_its_key_before_the_old_one_is_deleted(
    shaped: Shaped, check: DriftCheck, tmp_path: Path
) -> None:
    shaped.give(layout="OBC", **LABELS)
    shaped.reconcile()
    old = shaped.cr
    cr = shaped.give(name="photos-keys", layout="OBC", **LABELS)
    assert drift_of(check, cr) == ("secret",)
    with gated(shaped, tmp_path) as gate:
        run = shaped.reconcile()
        writes = [item.action for item in gate.requests() if item.is_write]
    made, deleted = writes.index("POST secrets"), writes.index("DELETE secrets")
    assert max(made, writes.index("POST configmaps")) < min(deleted, writes.index("DELETE configmaps"))
    # One request each, by uid. Nothing is read for them.
    actions = [item.action for item in gate.requests()]
    first = actions.index("DELETE secrets")
    assert actions[first - 1] == "POST configmaps"
    assert actions[first : first + 2] == ["DELETE secrets", "DELETE configmaps"]
    assert run.outcome["status"]["secretName"] == "photos-keys"
    # An entry of others stays with the old Secret.
    assert shaped.texts() == shaped.wanted_texts()
    assert (shaped.world.secret(old), shaped.world.config_map(old)) == (None, None)
    assert shaped.world.config_map(cr) is not None
    assert user_tags(shaped.world, user_of(cr))["agill.apps/secret"] == "photos-keys"
    assert drift_of(check, cr) == ()


def test_check_mode_moves_no_secret_and_reports_that_it_would(shaped: Shaped) -> None:
    before = shaped.cr
    cr = shaped.give(name="checked-keys", layout="OBC", **LABELS)
    run = shaped.world.reconcile(cr, "--check")
    assert (run.outcome["reason"], run.changed) == ("WouldChange", ["secret"]), run.output
    assert shaped.world.secret(cr) is shaped.world.config_map(cr) is None
    shaped.cr = before
    assert shaped.world.differs(before) == []


@contextmanager
def deletions_refused(shaped: Shaped) -> Iterator[None]:
    """A ValidatingAdmissionPolicy refuses to delete Secrets, with a message that has what is in them."""
    core, namespace = shaped.world.core, shaped.namespace
    api, name = k8s.AdmissionregistrationV1Api(core.api_client), f"deletions-{namespace}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": ["secrets"]}
    content = "'it holds ' + oldObject.data.map(name, name + ' ' + string(oldObject.data[name])).join(' ')"
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"resourceRules": [rule]},
        "validations": [{"expression": "false", "messageExpression": content}],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selector}}
    core.create_namespaced_secret(namespace, {"metadata": {"name": "probe"}, "data": {"a": "cHJvYmU="}})

    def answer() -> str:
        try:
            core.delete_namespaced_secret("probe", namespace, dry_run="All")
        except k8s.ApiException as error:
            return str(error.body)
        return ""

    api.create_validating_admission_policy({"metadata": {"name": name}, "spec": spec})
    api.create_validating_admission_policy_binding({"metadata": {"name": name}, "spec": binding})
    try:
        wait_until(answer, "the policy is in force")
        assert "it holds a cHJvYmU=" in answer()
        yield
    finally:
        api.delete_validating_admission_policy_binding(name)
        api.delete_validating_admission_policy(name)
    wait_until(lambda: not answer(), "the policy is no longer in force")
    core.delete_namespaced_secret("probe", namespace)


def test_former_secret_that_cannot_be_deleted_is_named_and_not_shown_and_the_key_stays(shaped: Shaped) -> None:
    former = shaped.cr
    cr = shaped.give(name="later-keys", layout="OBC", **LABELS)
    with deletions_refused(shaped), requests_of(shaped.world) as requests:
        runs = [shaped.world.reconcile(cr, "-vvv") for _ in range(2)]
    for run in runs:
        assert run.outcome["reason"] == "KubernetesError", run.output
        assert run.outcome["retry"] == "slow", "Kubernetes would reject it again"
        assert "failed to delete Secret photos-keys: " in run.outcome["message"]
        for text in (shaped.secret, base64.b64encode(shaped.secret.encode()).decode()):
            assert text not in run.output
    assert shaped.world.secret(former) is not None
    # No run issued another key: the one before has put it into the new Secret.
    assert not {"CreateAccessKey", "DeleteAccessKey"} & {request["action"] for request in requests}
    assert shaped.texts() == shaped.wanted_texts()
    shaped.reconcile()
    assert shaped.world.secret(former) is None


def test_former_secret_that_a_finalizer_keeps_is_not_shown(shaped: Shaped) -> None:
    """The answer to its deletion is the whole Secret."""
    former, namespace = shaped.cr, shaped.namespace
    shaped.patch({"metadata": {"finalizers": ["example.com/keep"]}})
    cr = shaped.give(name="photos-keys", layout="OBC", **LABELS)
    run = shaped.world.reconcile(cr, "-vvv")
    for text in (shaped.secret, base64.b64encode(shaped.secret.encode()).decode()):
        assert text not in run.output
    patch = {"metadata": {"finalizers": None}}
    shaped.world.core.patch_namespaced_secret(former["spec"]["secret"]["name"], namespace, patch)
    shaped.reconcile()
    assert shaped.world.secret(former) is None


def test_move_that_was_interrupted_is_completed(shaped: Shaped, check: DriftCheck) -> None:
    """A run was killed after it had written the new Secret."""
    old = shaped.cr
    body = shaped.read()
    cr = shaped.give(name="other-keys", layout="OBC", **LABELS)
    metadata = {key: body["metadata"][key] for key in ("namespace", "labels", "annotations", "ownerReferences")}
    copied = {**body, "metadata": {**metadata, "name": "other-keys"}}
    shaped.world.core.create_namespaced_secret(shaped.namespace, copied)
    assert drift_of(check, cr) == ("secret",)
    shaped.reconcile()
    assert shaped.world.secret(old) is None
    assert shaped.texts() == shaped.wanted_texts()
    assert user_tags(shaped.world, user_of(cr))["agill.apps/secret"] == "other-keys"


@pytest.mark.parametrize("name", ["third-keys", "other-keys"], ids=["moved-again", "moved-back"])
def test_secret_in_between_is_deleted_when_the_name_changes_twice(shaped: Shaped, check: DriftCheck, name: str) -> None:
    """A run was killed before it had completed the first move."""
    core, namespace, user = shaped.world.core, shaped.namespace, user_of(shaped.cr)
    former, body = shaped.cr["spec"]["secret"]["name"], shaped.read()
    metadata = {key: body["metadata"][key] for key in ("labels", "annotations", "ownerReferences")}
    core.create_namespaced_secret(namespace, {**body, "metadata": {**metadata, "name": "between"}})
    core.create_namespaced_config_map(namespace, {"metadata": {**metadata, "name": "between"}})
    # Not owned, though it has the labels.
    others = {"name": "others-copy", "labels": metadata["labels"]}
    core.create_namespaced_secret(namespace, {"metadata": others})
    shaped.world.iam.tag_user(UserName=user, Tags=[{"Key": "agill.apps/secret", "Value": f"{former}:"}])
    cr = shaped.give(name=name, layout="OBC", **LABELS)
    assert drift_of(check, cr) == ("secret",)
    lines = check.plan(S3Object(cr)).lines
    assert "secret[between]: there -> deleted" in lines
    assert "configMap[between]: there -> deleted" in lines
    shaped.reconcile()
    label = {"label_selector": "agill.apps/s3=shaped"}
    found = {item.metadata.name for item in core.list_namespaced_secret(namespace, **label).items}
    assert found == {name, "others-copy"}
    assert [item.metadata.name for item in core.list_namespaced_config_map(namespace, **label).items] == [name]
    assert user_tags(shaped.world, user)["agill.apps/secret"] == name
    assert drift_of(check, cr) == ()
    core.delete_namespaced_secret("others-copy", namespace)


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
def test_other_object_of_the_new_name_is_a_conflict(shaped: Shaped, kind: str) -> None:
    before, name = shaped.cr, f"others-{kind.lower()}"
    core, body = shaped.world.core, {"metadata": {"name": name}}
    create = core.create_namespaced_secret if kind == "Secret" else core.create_namespaced_config_map
    create(shaped.namespace, body)
    cr = shaped.give(name=name, layout="OBC")
    outcome = shaped.world.reconcile(cr).outcome
    assert outcome["reason"] == "Conflict"
    assert f"{kind} {name} exists" in outcome["message"]
    assert "set another spec.secret.name" in outcome["message"]
    shaped.cr = before
    assert shaped.world.differs(before) == []


def without_config_maps(shaped: Shaped) -> ApiServer:
    """The API server for an operator without rbac.configMaps in the values of its chart."""
    kinds = ["secrets", "services", "s3s"]
    rule = {"apiGroups": ["", "agill.apps"], "resources": kinds, "verbs": ["get", "list", "patch", "create"]}
    api = kubernetes.config.new_client_from_config(str(shaped.world.kubeconfig))
    rbac = k8s.RbacAuthorizationV1Api(api)
    rbac.create_namespaced_role(shaped.namespace, {"metadata": {"name": "limited"}, "rules": [rule]})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "limited"}
    subjects = [{"kind": "User", "name": "limited", "apiGroup": "rbac.authorization.k8s.io"}]
    binding = {"metadata": {"name": "limited"}, "roleRef": reference, "subjects": subjects}
    rbac.create_namespaced_role_binding(shaped.namespace, binding)
    api.set_default_header("Impersonate-User", "limited")
    return ApiServer(api)


def test_layout_that_needs_a_missing_right_keeps_nothing_else_from_being_maintained(shaped: Shaped) -> None:
    before, world = shaped.cr, shaped.world
    sources = dataclasses.replace(world.sources(), cluster=without_config_maps(shaped))
    world.s3.put_bucket_versioning(Bucket=before["spec"]["bucketName"], VersioningConfiguration={"Status": "Enabled"})
    cr = {**before, "spec": {**before["spec"], "secret": {"name": "limited-keys", "layout": "OBC"}}}
    seen = observe(world.wanted(cr), sources)
    assert [problem.reason for problem in seen.deferred] == ["KubernetesError"]
    assert "set rbac.configMaps of its chart" in seen.deferred[0].message
    assert seen.differs == ["versioning"]
    # Without the right to list Secrets, those of an unfinished move are left.
    assert sources.cluster is not None
    assert sources.cluster.list_secrets("kube-system", "shaped") == []
    world.s3.put_bucket_versioning(Bucket=before["spec"]["bucketName"], VersioningConfiguration={"Status": "Suspended"})


def test_immutable_secret_is_replaced_with_the_same_key(shaped: Shaped) -> None:
    shaped.give(name="other-keys")
    shaped.reconcile()
    shaped.patch({"immutable": True})
    shaped.give(name="other-keys", layout="Env")
    shaped.reconcile()
    assert shaped.texts() == shaped.wanted_texts()
    assert not shaped.read().get("immutable")


def test_immutable_secret_that_cannot_be_deleted_is_named_and_not_shown(shaped: Shaped) -> None:
    shaped.give(name="kept-keys")
    shaped.reconcile()
    shaped.patch({"immutable": True})
    cr = shaped.give(name="kept-keys", layout="Env")
    with deletions_refused(shaped):
        run = shaped.world.reconcile(cr, "-vvv")
    assert (run.outcome["reason"], run.outcome["retry"]) == ("KubernetesError", "slow"), run.output
    assert "failed to delete Secret kept-keys: " in run.outcome["message"]
    for text in (shaped.secret, base64.b64encode(shaped.secret.encode()).decode()):
        assert text not in run.output
    shaped.reconcile()
    assert shaped.texts() == shaped.wanted_texts()


def test_deletion_removes_the_secret_and_its_config_map(shaped: Shaped) -> None:
    cr = shaped.give(name="other-keys", layout="OBC")
    shaped.reconcile()
    run = shaped.world.reconcile(deleting(cr))
    assert run.outcome.get("done"), run.output
    assert (shaped.world.secret(cr), shaped.world.config_map(cr)) == (None, None)


def test_object_of_a_file_has_a_secret_of_any_shape(world: World, new_object: Any) -> None:
    """Without a live object there are no ownerReferences, so what earlier runs wrote is found by names and labels."""
    cr = new_object(secret={"name": "file-keys", "layout": "OBC"})
    cr["metadata"] = {name: cr["metadata"][name] for name in ("name", "namespace")}
    assert world.reconcile(cr).outcome.get("done")
    old = copy.deepcopy(cr)
    cr["spec"]["secret"]["name"] = "other-file-keys"
    assert world.reconcile(cr).outcome["changed"] == ["secret"]
    assert (world.secret(old), world.config_map(old), world.differs(cr)) == (None, None, [])
    assert world.reconcile(deleting(cr)).outcome["done"]
    assert (world.secret(cr), world.config_map(cr)) == (None, None)


def test_additional_user_has_a_secret_of_any_shape(world: World, new_object: Any, new_name: Any) -> None:
    one = {"username": new_name("more"), "secret": {"name": "more-keys", "layout": "OBC", **LABELS}}
    cr = new_object(additionalUsers=[one])
    assert world.reconcile(cr).outcome.get("done")
    view = {**cr, "spec": {**cr["spec"], "secret": one["secret"], "additionalUsers": []}}
    found = world.secret(view)
    assert found is not None
    assert found["metadata"]["labels"]["team"] == "photos"
    assert world.differs(cr) == []
    moved = copy.deepcopy(cr)
    moved["spec"]["additionalUsers"][0]["secret"] = {"name": "moved-keys", "layout": "File"}
    run = world.reconcile(moved)
    assert run.outcome["changed"] == ["secret"]
    assert (world.secret(view), world.config_map(view), world.differs(moved)) == (None, None, [])
    view["spec"]["secret"] = moved["spec"]["additionalUsers"][0]["secret"]
    text = base64.b64decode((world.secret(view) or {})["data"]["credentials"]).decode()
    assert base64.b64decode(found["data"]["AWS_SECRET_ACCESS_KEY"]).decode() in text
    # Its Secret is found by the user's tags once the spec does not have the user any more.
    bare = copy.deepcopy(cr)
    del bare["spec"]["additionalUsers"]
    assert world.reconcile(bare).outcome.get("done")
    assert (world.secret(view), world.differs(bare)) == (None, [])


def test_service_has_the_labels_and_annotations_of_the_spec(world: World, new_object: Any, check: DriftCheck) -> None:
    cr = new_object(service=LABELS, secret={"name": "own-name", "layout": "File"})
    assert world.reconcile(cr).outcome["done"]
    assert user_tags(world, user_of(cr))["agill.apps/secret"] == "own-name"
    assert drift_of(check, cr) == ()
    metadata = (world.service(cr) or {})["metadata"]
    assert metadata["annotations"] == {**LABELS["annotations"], RECORD: metadata["annotations"][RECORD]}
    assert metadata["labels"]["team"] == "photos"
    name, namespace = metadata["name"], metadata["namespace"]
    world.core.patch_namespaced_service(name, namespace, {"metadata": {"labels": {"team": "x", "others": "x"}}})
    assert drift_of(check, cr) == ("service",)
    bare = copy.deepcopy(cr)
    del bare["spec"]["service"]
    run = world.reconcile(bare)
    assert run.outcome["changed"] == ["service"]
    metadata = (world.service(cr) or {})["metadata"]
    assert metadata["labels"] == {
        "app.kubernetes.io/managed-by": "s3-operator", "agill.apps/s3": name, "others": "x",
    }  # fmt: skip
    assert metadata.get("annotations") is None
