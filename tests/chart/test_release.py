"""Releases on a real API server.

No node runs the Pod here (tests/e2e does that). The operator is a process with the command, arguments and environment
of the Deployment. Its only permissions are those of a token of the ServiceAccount.
"""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.aws import Aws
from dev.controlplane import ControlPlane
from dev.deployment import read_container
from dev.wait import wait_until
from tests.support.chart import CHART, EVERYTHING, HELMS, OPENSHIFT, Release, find, pods, render, run_helm
from tests.support.chart_values import TOGETHER, nested
from tests.support.docs import commands
from tests.support.operator import delete, live, wait_gone, wait_ready
from tests.support.world import PROJECT, World, make_as_go_operator

_GO_CHART = PROJECT / "tests" / "chart" / "go-operator"


@pytest.fixture
def release(world: World, new_name: Callable[[str], str], tmp_path: Path) -> Iterator[Release]:
    release = Release(world, new_name("release"), tmp_path)
    yield release
    release.stop()


@pytest.fixture
def own_plane(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane without this project's CRD, and without the objects of other tests."""
    with ControlPlane(tmp_path / "kubernetes") as plane:
        yield plane


@pytest.fixture
def own_world(own_plane: ControlPlane, aws: Aws, tmp_path: Path) -> World:
    return World(own_plane.kubeconfig, aws, tmp_path)


@pytest.fixture
def own_release(own_world: World, tmp_path: Path) -> Iterator[Release]:
    release = Release(own_world, "s3-operator", tmp_path)
    yield release
    release.stop()


Rule = tuple[str, str, str, str]
"""Namespace (or * for all), resource, verb, name (or * for all)."""


def granted(release: Release) -> set[Rule]:
    """The rules that the roles of the release grant."""
    found = set()
    kinds = "roles.rbac.authorization.k8s.io,clusterroles.rbac.authorization.k8s.io"
    selector = "app.kubernetes.io/instance=s3-operator"
    items = json.loads(release.kubectl("get", kinds, "-A", "-l", selector, "-o", "json"))["items"]
    for item in items:
        name = item["metadata"]["name"]
        if name.startswith(f"{release.namespace}:s3-operator:"):
            # The aggregated roles are for users, not for the operator.
            continue
        for rule in item["rules"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    for one in rule.get("resourceNames", ["*"]):
                        found.add((item["metadata"].get("namespace", "*"), resource, verb, one))
    return found


def used(release: Release, rules: set[Rule], audit_log: Path) -> tuple[set[Rule], set[str]]:
    """Returns the rules that the requests of the release's ServiceAccount needed, and the requests that were denied."""
    needed, denied = set(), set()
    account = f"system:serviceaccount:{release.namespace}:s3-operator"
    for line in audit_log.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] != account or "objectRef" not in event:
            continue
        ref = event["objectRef"]
        resource = "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)
        place = ref.get("name") if resource == "namespaces" else ref.get("namespace")
        matching = {
            rule
            for rule in rules
            if rule[0] in ("*", place) and rule[1:3] == (resource, event["verb"]) and rule[3] in ("*", ref.get("name"))
        }
        needed |= matching
        if event.get("responseStatus", {}).get("code") == 403:
            denied.add(f"{event['verb']} {resource} {ref.get('namespace')}/{ref.get('name')}")
    return needed, denied


def of_shards(release: Release, resource_names: str) -> set[Rule]:
    """The rules for the Leases by which replicas share the objects."""
    names = [f"s3-operator-{resource_names}-{number:02}" for number in range(16)]
    return {(release.namespace, "leases", verb, name) for name in names for verb in ("get", "update")}


@pytest.mark.parametrize("scope", ["all-namespaces", "one-namespace-with-shards"])
def test_rights_are_just_what_the_operator_calls(
    own_release: Release, own_plane: ControlPlane, new_name: Callable[[str], str], scope: str
) -> None:
    # The release watches all namespaces, so the cluster must not have objects of other tests.
    world, namespace, release = own_release.world, "team", own_release
    world.make_namespace(namespace)
    is_sharded = scope == "one-namespace-with-shards"
    more = [f"--set=watchNamespaces={{{namespace}}}", "--set=sharding.enabled=true"] if is_sharded else []
    release.upgrade(*release.values, *more)
    operator = release.start()
    user = new_name("user")
    spec = {"region": "us-east-1", "bucketName": new_name("bucket"), "iamUser": {"username": user}}
    cr = world.make_object(namespace, new_name("cr"), spec)
    wait_ready(world, cr)
    key = world.credentials(cr)

    # Each kind of repair in Kubernetes: a Secret that is created again, a patched label, a deleted Service.
    name = f"{cr['metadata']['name']}-iam-secret"
    world.core.patch_namespaced_secret(name, namespace, {"metadata": {"labels": {"agill.apps/s3": None}}})
    wait_until(lambda: "agill.apps/s3" in (world.secret(cr) or {})["metadata"]["labels"], "the label")
    assert world.credentials(cr) == key
    body = {"immutable": True, "metadata": {"labels": {"agill.apps/s3": None}}}
    uid = (world.secret(cr) or {})["metadata"]["uid"]
    world.core.patch_namespaced_secret(name, namespace, body)
    wait_until(lambda: (world.secret(cr) or {}).get("metadata", {}).get("uid", uid) != uid, "a Secret made anew")
    world.core.patch_namespaced_service(
        cr["metadata"]["name"], namespace, {"metadata": {"labels": {"agill.apps/s3": None}}}
    )
    wait_until(lambda: "agill.apps/s3" in (world.service(cr) or {})["metadata"]["labels"], "the Service's label")
    release.patch(cr, {"spec": {"service": {"enabled": False}}})
    wait_ready(world, cr, generation=2)
    wait_until(lambda: world.service(cr) is None, "no Service")
    delete(world, cr)
    wait_gone(world, cr)
    operator.stop()

    rules = granted(release)
    needed, denied = used(release, rules, own_plane.audit_log)
    assert denied == set()
    # This rule is needed only where OwnerReferencesPermissionEnforcement is on (docs/explanation/chart-and-image.md).
    openshift = {rule for rule in rules if rule[1:3] == ("s3s/finalizers", "update")}
    assert len(openshift) == 1
    shards, replicas = of_shards(release, "shard"), of_shards(release, "replica")
    claims = {rule for rule in rules if "-claims-" in rule[3]}
    assert len(claims) == 2 * 16 * is_sharded
    alone = (release.namespace, "leases", "update", "s3-operator")
    if is_sharded:
        # A replica has the first of their Leases that is free.
        others = {rule for rule in replicas if not rule[3].endswith("-00")}
        assert rules - needed - claims == openshift | others | {alone}
    else:
        # Granted all the same: when sharding is turned off, Pods with the old value have them to release.
        assert rules - needed == openshift | shards | replicas


def test_viewer_and_editor_roles_reach_view_edit_and_admin(world: World, release: Release, namespace: str) -> None:
    release.upgrade("--set=crds.install=false", *release.values)
    for role in ("view", "edit", "admin"):
        binding = [f"--clusterrole={role}", f"--user={role}-person", f"--namespace={namespace}"]
        release.kubectl("create", "rolebinding", role, *binding)

    def may(role: str, verb: str, resource: str = "s3s.agill.apps", *more: str) -> bool:
        command = ["auth", "can-i", verb, resource, f"--as={role}-person", f"--namespace={namespace}", *more]
        return release.kubectl(*command, is_checked=False).endswith("yes")

    wait_until(lambda: may("view", "list") and may("edit", "create") and may("admin", "delete"), "the aggregation")
    assert not may("view", "create")
    assert not may("edit", "patch", "s3s.agill.apps", "--subresource=status")
    assert not may("view", "get", "secrets")


def crd_field(release: Release, path: str) -> str:
    return release.kubectl("get", "crd", "s3s.agill.apps", "-o", f"jsonpath={{.{path}}}")


def crd_uid(release: Release) -> str:
    return crd_field(release, "metadata.uid")


def store_as_v1beta1(plane: ControlPlane) -> None:
    """Set ``preserveUnknownFields: true`` in the stored CRD, as Kubernetes before 1.22 could store it.

    The API server no longer accepts this value, so it is written directly into etcd through its JSON gateway.
    """
    key = base64.b64encode(b"/registry/apiextensions.k8s.io/customresourcedefinitions/s3s.agill.apps").decode()

    def call(verb: str, body: dict[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(f"{plane.etcd_url}/v3/kv/{verb}", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request) as answer:
            return dict(json.load(answer))

    stored = json.loads(base64.b64decode(call("range", {"key": key})["kvs"][0]["value"]))
    stored["spec"]["preserveUnknownFields"] = True
    call("put", {"key": key, "value": base64.b64encode(json.dumps(stored).encode()).decode()})


# Program, its arguments for the upgrade, and whether the Go operator's Helm release exists.
UPGRADES: dict[str, tuple[str, list[str], bool]] = {
    "upgraded": ("helm", [], True),
    "taken-over": ("helm", ["--take-ownership"], False),
    # The command that the Go operator documented.
    "forced-by-helm-3": ("helm3", ["--force"], True),
}


@pytest.mark.parametrize(("program", "more", "has_record"), UPGRADES.values(), ids=UPGRADES)
def test_upgrade_from_the_go_operators_release_and_on(
    own_release: Release,
    own_plane: ControlPlane,
    new_name: Callable[[str], str],
    tmp_path: Path,
    program: str,
    more: list[str],
    has_record: bool,
) -> None:
    world, release = own_release.world, own_release
    release.program = program
    release.upgrade("--set=AWS_ACCESS_KEY_ID=a,AWS_SECRET_ACCESS_KEY=b", chart=_GO_CHART)
    # Two steps, as in dev.cluster: a new CRD briefly has no conditions at all, and kubectl fails on that.
    release.kubectl("wait", "--for=jsonpath={.status.acceptedNames.kind}=S3", "crd/s3s.agill.apps")
    release.kubectl("wait", "--for=condition=Established", "crd/s3s.agill.apps")
    first_crd = crd_uid(release)
    world.make_namespace("team")
    name = new_name("legacy")
    spec = {"region": "us-east-1", "bucketName": name, "bucketACL": "private", "iamUser": {"username": name}}
    cr = world.make_object("team", name, spec)
    key_id = make_as_go_operator(world, cr)
    release.patch(cr, {"metadata": {"finalizers": ["agill.apps.s3"]}})
    release.patch(cr, {"status": {"status": "Ready"}}, "--subresource=status")
    pair = world.credentials(cr)
    made = world.iam.get_user(UserName=name)["User"]["UserId"]

    surging = "--set=updateStrategy.rollingUpdate.maxSurge=1"

    def check() -> None:
        item = live(world, cr)
        assert item is not None
        assert item["metadata"]["uid"] == cr["metadata"]["uid"]
        assert crd_uid(release) == first_crd
        # A CRD that is being deleted would delete its objects as soon as an operator runs again.
        assert "deletionTimestamp" not in item["metadata"]
        assert not release.kubectl("get", "crd", "s3s.agill.apps", "-o", "jsonpath={.metadata.deletionTimestamp}")
        assert world.credentials(cr) == pair
        keys = world.iam.list_access_keys(UserName=name)["AccessKeyMetadata"]
        assert [key["AccessKeyId"] for key in keys] == [key_id]
        assert world.iam.get_user(UserName=name)["User"]["UserId"] == made
        body = world.tenant(cr).get_object(Bucket=name, Key="precious")["Body"].read()
        assert body == b"data"

    if has_record:
        reused = ["upgrade", "s3-operator", str(CHART), "--namespace=s3-operator", "--reuse-values"]
        refused = run_helm(*reused, kubeconfig=world.kubeconfig, helm=program)
        assert refused.returncode != 0
        assert "--reset-then-reuse-values" in refused.stdout
        refused = run_helm(*reused[:-1], *release.values, surging, kubeconfig=world.kubeconfig, helm=program)
        assert "the Go operator's, which has no Lease" in refused.stdout
        check()
        release.upgrade(*release.values, *more)
        # The cluster-wide objects of the Go chart are deleted with its release.
        assert "NotFound" in release.kubectl("get", "clusterrole", "s3-operator", is_checked=False)
    else:
        # Helm cannot upgrade a release record with a v1beta1 CRD (the guide describes what to do). The stored CRD has a
        # value that v1 no longer accepts.
        store_as_v1beta1(own_plane)
        assert crd_field(release, "spec.preserveUnknownFields") == "true"
        selector = "--selector=owner=helm,name=s3-operator"
        release.kubectl("--namespace=s3-operator", "delete", "secret", selector)
        release.upgrade(*release.values, *more)
    check()
    assert not crd_field(release, "spec.preserveUnknownFields")
    deployment = json.loads(release.kubectl("-n", "s3-operator", "get", "deployment", "s3-operator", "-o", "json"))
    assert deployment["spec"]["template"]["spec"]["containers"][0]["command"] == ["s3-operator"]
    assert "AWS_SECRET_ACCESS_KEY" not in json.dumps(deployment)
    with release.running():
        wait_ready(world, cr)
        check()
        tags = {tag["Key"]: tag["Value"] for tag in world.s3.get_bucket_tagging(Bucket=name)["TagSet"]}
        assert (tags["agill.apps/namespace"], tags["agill.apps/name"]) == ("team", name)
        assert tags["agill.apps/uid"] == cr["metadata"]["uid"]
        user_tags = {tag["Key"] for tag in world.iam.list_user_tags(UserName=name)["Tags"]}
        assert {"agill.apps/cluster", "agill.apps/namespace", "agill.apps/name", "agill.apps/key"} <= user_tags
        assert live(world, cr)["status"]["accessKeyID"] == key_id  # type: ignore[index]

    # Upgrade from one version to the next.
    before = world.snapshot(cr)
    copied = tmp_path / "next" / "s3-operator"
    copy_chart(copied, "1.0.1")
    release.upgrade(*release.values, *more, "--set=replicas=2,syncPeriod=2", surging, chart=copied)
    with release.running() as operator:
        wait_until(lambda: '"msg": "checked"' in operator.log.read_text(), "a check of the object")
        check()
        assert world.snapshot(cr) == before

    # An uninstall keeps the CRD, and therefore the objects and the buckets.
    release.helm("uninstall", "s3-operator")
    check()
    assert world.snapshot(cr) == before
    release.upgrade(*release.values, *more)
    check()


def copy_chart(target: Path, version: str) -> None:
    """Copy the chart under a later version number."""
    shutil.copytree(CHART, target)
    file = target / "Chart.yaml"
    lines = file.read_text().splitlines()
    file.write_text("\n".join(f"version: {version}" if line.startswith("version:") else line for line in lines) + "\n")


def test_second_release_that_brings_the_crd_again_is_reported(world: World, release: Release) -> None:
    # kubectl created the CRD of the session's control plane.
    done = run_helm(
        "install", "s3-operator", str(CHART), "--create-namespace", f"--namespace={release.namespace}",
        kubeconfig=world.kubeconfig,
    )  # fmt: skip
    assert done.returncode != 0
    assert "s3s.agill.apps" in done.stdout


def test_everything_on_is_what_the_api_server_takes(release: Release) -> None:
    # The API server has no kinds of Prometheus Operator, and some of the namespaces do not exist.
    left_out = (
        "metrics.serviceMonitor.enabled",
        "metrics.prometheusRule.enabled",
        "namespaceOverride",
        "watchNamespaces",
    )
    values = {place: row.given for place, row in TOGETHER.items() if place not in left_out}
    file = release.folder / "all.yaml"
    file.write_text(yaml.safe_dump(nested({**values, "metrics.service.enabled": True, "nameOverride": ""})))
    release.upgrade(f"--values={file}")
    pod = json.loads(release.kubectl("-n", release.namespace, "get", "deployment", "s3-operator", "-o", "json"))
    spec = pod["spec"]["template"]["spec"]
    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert "--grace-period=45" in spec["containers"][0]["args"]


def test_every_pod_is_admitted_where_only_restricted_ones_are(release: Release) -> None:
    release.kubectl("create", "namespace", release.namespace)
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    release.kubectl("label", "namespace", release.namespace, enforce)
    release.kubectl("create", "serviceaccount", "s3-operator", f"--namespace={release.namespace}")
    for number, spec in enumerate(pods(render(*release.values))):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{number}"}, "spec": spec}
        file = release.folder / "pod.json"
        file.write_text(json.dumps(pod))
        answer = release.kubectl("create", "--dry-run=server", f"--namespace={release.namespace}", "-f", str(file))
        assert answer == f"pod/pod-{number} created (server dry run)"


# As the SCC restricted-v2 admits Pods: a UID or fsGroup that is set must be in the range of the namespace (OpenShift,
# "Managing security context constraints": MustRunAsRange, MustRunAs). OpenShift sets the values that are not set.
SCC = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {name}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - {{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [pods]}}
  variables:
    - name: range
      expression: namespaceObject.metadata.annotations['openshift.io/sa.scc.uid-range'].split('/').map(text, int(text))
    - name: contexts
      expression: "[object.spec.?securityContext] + object.spec.containers.map(one, one.?securityContext)"
    - name: ids
      expression: >-
        variables.contexts.filter(one, one.hasValue()).map(one, one.value()).map(one,
        [one.?runAsUser, one.?fsGroup].filter(id, id.hasValue()).map(id, id.value())).flatten()
  validations:
    - expression: variables.ids.all(id, id >= variables.range[0] && id < variables.range[0] + variables.range[1])
      message: must be in the ranges of restricted-v2
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {name}
spec:
  policyName: {name}
  validationActions: [Deny]
  matchResources:
    namespaceSelector:
      matchLabels:
        kubernetes.io/metadata.name: {name}
"""


def create_pod(release: Release, pod: dict[str, Any]) -> str:
    """What the API server returns for a Pod that is created as a dry run."""
    file = release.folder / "pod.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "tried"}, "spec": pod}))
    command = ["create", "--dry-run=server", f"--namespace={release.namespace}", "-f", str(file)]
    return release.kubectl(*command, is_checked=False)


@pytest.fixture
def openshift(release: Release) -> Iterator[None]:
    """Admission of Pods in the release's namespace, as in OpenShift."""
    release.kubectl("create", "namespace", release.namespace)
    release.kubectl("annotate", "namespace", release.namespace, "openshift.io/sa.scc.uid-range=1000680000/10000")
    file = release.folder / "scc.yaml"
    file.write_text(SCC.format(name=release.namespace))
    release.kubectl("apply", "-f", str(file))
    yield
    release.kubectl("delete", "-f", str(file))


@pytest.mark.usefixtures("openshift")
def test_openshift_admits_every_pod_without_fixed_ids(release: Release) -> None:
    namespace = f"--namespace={release.namespace}"
    release.kubectl("create", "serviceaccount", "s3-operator", namespace, "--save-config")
    fixed = pods(render(*release.values))
    wait_until(lambda: "ranges of restricted-v2" in create_pod(release, fixed[0]), "the policy is in force")
    assert all("ranges of restricted-v2" in create_pod(release, pod) for pod in fixed)
    for pod in pods(render(*release.values, OPENSHIFT)):
        assert "created" in create_pod(release, pod)
    # A UID within the range may also be set.
    chosen = "--set=podSecurityContext.runAsUser=1000680000,podSecurityContext.fsGroup=1000680000"
    assert "created" in create_pod(release, pods(render(*release.values, chosen))[0])
    # The Pod that the Deployment creates is admitted as well.
    release.upgrade("--set=crds.install=false", *release.values, OPENSHIFT, "--take-ownership")
    get = ["get", "pods", namespace, "--selector=name=s3-operator", "-o", "jsonpath={.items[*].spec.securityContext}"]
    found = wait_until(lambda: release.kubectl(*get), "the Deployment's Pod")
    assert json.loads(found) == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


QUOTA = "--hard=requests.cpu=4,requests.memory=4Gi,limits.cpu=4,limits.memory=4Gi"


@pytest.mark.parametrize("program", HELMS)
def test_uninstall_completes_where_no_pod_may_start(release: Release, program: str) -> None:
    release.program = program
    namespace = f"--namespace={release.namespace}"
    release.upgrade("--set=crds.install=false", *release.values)
    # The quota allows no Pod, no Job and no ConfigMap, so no hook could create one.
    release.kubectl("create", "quota", "nothing", namespace, "--hard=pods=0,count/jobs.batch=0,configmaps=0")
    done = release.helm("uninstall", "s3-operator", "--timeout=60s", "--wait")
    assert 'release "s3-operator" uninstalled' in done


def test_quota_on_requests_and_limits_admits_the_test_pod(release: Release) -> None:
    namespace = f"--namespace={release.namespace}"
    release.upgrade("--set=crds.install=false", *release.values)
    release.kubectl("create", "quota", "compute", namespace, QUOTA)
    pod = find(render(*release.values), "Pod")["spec"]
    without = {**pod, "containers": [{**pod["containers"][0], "resources": {}}]}
    wait_until(lambda: "must specify limits.cpu" in create_pod(release, without), "the quota is in force")
    assert "created" in create_pod(release, pod)


MONITORING = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: {plural}.monitoring.coreos.com
spec:
  group: monitoring.coreos.com
  names: {{kind: {kind}, plural: {plural}}}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}
"""


def differences(rendered: Any, stored: Any, path: str = "") -> list[str]:
    """The fields of a rendered object that are stored with a different value.

    Defaults that the API server adds do not count.
    """
    if isinstance(rendered, dict) and isinstance(stored, dict):
        return [
            line
            for key, value in rendered.items()
            for line in (
                differences(value, stored[key], f"{path}.{key}") if key in stored else [f"{path}.{key}: not stored"]
            )
        ]
    if isinstance(rendered, list) and isinstance(stored, list) and len(rendered) == len(stored):
        return [
            line
            for number, (one, other) in enumerate(zip(rendered, stored, strict=True))
            for line in differences(one, other, f"{path}[{number}]")
        ]
    return [] if rendered == stored else [f"{path}: {rendered!r} is stored as {stored!r}"]


def test_objects_are_stored_as_they_are_rendered(own_release: Release, own_plane: ControlPlane) -> None:
    """Argo CD compares the same: it reports a field as OutOfSync when it is rendered and stored differently."""
    release = own_release
    file = release.folder / "monitoring.yaml"
    kinds = {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}
    file.write_text("---".join(MONITORING.format(kind=kind, plural=plural) for kind, plural in kinds.items()))
    release.kubectl("apply", "-f", str(file))
    release.kubectl("wait", "--for=condition=Established", "-f", str(file))
    release.upgrade(*EVERYTHING)
    items = [item for item in render(*EVERYTHING) if "helm.sh/hook" not in item["metadata"].get("annotations", {})]
    for item in items:
        kind = f"{item['kind'].lower()}.{item['apiVersion'].rpartition('/')[0]}".rstrip(".")
        namespace = f"--namespace={item['metadata'].get('namespace', 'default')}"
        stored = json.loads(release.kubectl("get", kind, item["metadata"]["name"], namespace, "-o", "json"))
        assert differences(item, stored) == [], item["kind"]
        if item["kind"] == "CustomResourceDefinition":
            # The only default that the API server adds.
            assert stored["spec"].pop("conversion") == {"strategy": "None"}
            assert stored["spec"] == item["spec"]
    # Apply repeatedly as Argo CD does with server-side apply: nothing changes after the first time.
    file.write_text(yaml.safe_dump_all(items))
    apply = ["apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", str(file)]
    release.kubectl(*apply)
    versions = [*("get", "-f", str(file)), "-o", "jsonpath={.items[*].metadata.resourceVersion}"]
    before = release.kubectl(*versions)
    release.kubectl(*apply)
    assert release.kubectl(*versions) == before
    # A chart that is rendered without the cluster cannot know that an old CRD stores true. The guide's patch removes
    # it.
    store_as_v1beta1(own_plane)
    (patch,) = commands("docs/guides/argocd-and-flux.md", "Install the chart with them")
    release.kubectl(*shlex.split(patch)[1:])
    assert not crd_field(release, "spec.preserveUnknownFields")


def test_check_and_warning_report_what_is_there(world: World, release: Release, namespace: str, new_name: Any) -> None:
    release.upgrade("--set=crds.install=false", *release.values, f"--set=watchNamespaces={{{namespace}}}")
    folder = release.folder / "check"
    folder.mkdir()
    container = read_container(world.kubeconfig, release.namespace, "s3-operator", folder)

    def ask(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [container.command[0], *arguments, f"--watch-namespace={namespace}"]
        environment = {**container.environment, **environment}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    lease = f"--leader-election-namespace={release.namespace}"
    nobody = ask("check", lease, "--wait=0")
    assert nobody.returncode == 1
    assert "FAILED  operator: no operator is at work" in nobody.stdout
    assert ask("warn-uninstall").stdout.strip() == "No S3 object is left."

    operator = release.start()
    cr = world.make_object(namespace, new_name("cr"), {"region": "us-east-1", "bucketName": new_name("bucket")})
    wait_ready(world, cr)
    well = ask("check", lease)
    assert well.returncode == 0, well.stdout
    assert [line[:6] for line in well.stdout.splitlines()] == ["ok    "] * 5
    assert f"account {world.account}" in well.stdout
    warning = ask("warn-uninstall")
    assert warning.returncode == 0
    assert f"S3 objects are still there (1): {namespace}/{cr['metadata']['name']}" in warning.stdout
    wrong = folder / "wrong"
    wrong.write_text("[default]\naws_access_key_id = AKIAWRONG\naws_secret_access_key = wrong\n")
    denied = ask("check", lease, AWS_SHARED_CREDENTIALS_FILE=str(wrong))
    assert denied.returncode == 1
    assert "FAILED  AWS: AWS does not accept the operator's credentials" in denied.stdout
    delete(world, cr)
    wait_gone(world, cr)
    operator.stop()
