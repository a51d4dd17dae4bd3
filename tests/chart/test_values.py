"""Every value of the chart: what it changes in what is rendered, and which values are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from dev.chart_docs import find_stale
from tests.support.chart import CHART, HELMS, pods, render, run_helm

Objects = list[dict[str, Any]]


def get(found: Any, *path: str | int) -> Any:
    """What is at a path of maps and lists; None where there is nothing."""
    for step in path:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def at(kind: str, *path: str | int) -> Callable[[Objects], Any]:
    """Finds what is at a path of the first object of a kind."""
    return lambda objects: get(next((item for item in objects if item["kind"] == kind), None), *path)


def in_pods(*path: str | int) -> Callable[[Objects], Any]:
    """Finds what is at a path of each Pod's spec: the operator's and the test's."""
    return lambda objects: [get(pod, *path) for pod in pods(objects)]


def in_env(name: str) -> Callable[[Objects], Any]:
    """Finds the value of an environment variable in each Pod."""
    return lambda objects: [
        next((item.get("value") for item in pod["containers"][0]["env"] if item["name"] == name), None)
        for pod in pods(objects)
    ]


def in_args(option: str) -> Callable[[Objects], Any]:
    """Finds the operator's arguments that begin with an option."""
    return lambda objects: [text for text in container("args")(objects) if text.startswith(option)]


def pod(*path: str | int) -> Callable[[Objects], Any]:
    return at("Deployment", "spec", "template", "spec", *path)


def container(*path: str | int) -> Callable[[Objects], Any]:
    return pod("containers", 0, *path)


def volume(name: str, *path: str | int) -> Callable[[Objects], Any]:
    """Finds what is at a path of a volume of each Pod."""
    return lambda objects: [
        get(next((item for item in pod["volumes"] if item["name"] == name), None), *path) for pod in pods(objects)
    ]


def each(field: str, key: str) -> Callable[[Objects], Any]:
    """Finds the different values of a label or annotation of all objects but the extra ones, which are ConfigMaps."""
    return lambda objects: {get(item, "metadata", field, key) for item in objects if item["kind"] != "ConfigMap"}


def exists(kind: str) -> Callable[[Objects], Any]:
    return lambda objects: any(item["kind"] == kind for item in objects)


def rule(alert: str, *path: str) -> Callable[[Objects], Any]:
    """Finds what is at a path of an alert."""

    def find(objects: Objects) -> Any:
        rules = at("PrometheusRule", "spec", "groups", 0, "rules")(objects) or []
        return get(next((item for item in rules if item["alert"] == alert), None), *path)

    return find  # fmt: skip


class Row(NamedTuple):
    """A value that is given, where its effect is, and what is found there."""

    given: Any
    where: Callable[[Objects], Any]
    found: Any


ARN = "arn:aws:iam::123456789012:policy/tenant"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
WHOLE = f"registry.example:5000/team/s3:2.0@{DIGEST}"
HEALTHZ, READYZ = ({"httpGet": {"path": path, "port": "health"}} for path in ("/healthz", "/readyz"))
PROBE = {"initialDelaySeconds": 1, "periodSeconds": 7, "timeoutSeconds": 3, "failureThreshold": 9}
SIDECAR = {"name": "proxy", "image": "proxy:1", "ports": [{"containerPort": 9}]}
RELABELING = [{"targetLabel": "cluster", "replacement": "prod"}]
SPREAD = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
EGRESS = {"ports": [{"port": 3128, "protocol": "TCP"}]}
TWICE = 2  # Pods: the operator's and the test's

TOGETHER = {
    "image.registry": Row("registry.example:5000", container("image"), WHOLE),
    "image.repository": Row("team/s3", container("image"), WHOLE),
    "image.tag": Row("2.0", container("image"), WHOLE),
    "image.digest": Row(DIGEST, in_pods("containers", 0, "image"), [WHOLE] * TWICE),
    "image.pullPolicy": Row("Always", in_pods("containers", 0, "imagePullPolicy"), ["Always"] * TWICE),
    "imagePullSecrets": Row([{"name": "pull"}], in_pods("imagePullSecrets"), [[{"name": "pull"}]] * TWICE),
    "AWS_ACCESS_KEY_ID": Row("AKIAEXAMPLE", volume("aws", "secret", "secretName"), ["s3-operator-own-aws"] * TWICE),
    "AWS_SECRET_ACCESS_KEY": Row("secret", exists("Secret"), True),
    "aws.profile": Row("prod", in_env("AWS_PROFILE"), ["prod"] * TWICE),
    "aws.region": Row("eu-west-1", in_env("AWS_DEFAULT_REGION"), ["eu-west-1"] * TWICE),
    "aws.endpointURL": Row("http://store:1", in_env("AWS_ENDPOINT_URL"), ["http://store:1"] * TWICE),
    "aws.s3EndpointURL": Row("http://s3:1", in_env("AWS_ENDPOINT_URL_S3"), ["http://s3:1"] * TWICE),
    "aws.iamEndpointURL": Row("http://iam:1", in_env("AWS_ENDPOINT_URL_IAM"), ["http://iam:1"] * TWICE),
    "aws.stsEndpointURL": Row("http://sts:1", in_env("AWS_ENDPOINT_URL_STS"), ["http://sts:1"] * TWICE),
    "syncPeriod": Row(60, in_args("--sync-period"), ["--sync-period=60"]),
    "maxConcurrentReconciles": Row(5, in_args("--max-con"), ["--max-concurrent-reconciles=5"]),
    "executor": Row("stock", in_args("--executor"), ["--executor=stock"]),
    "driftCheck": Row(False, in_args("--no-drift"), ["--no-drift-check"]),
    "resyncWorkers": Row(3, in_args("--resync"), ["--resync-workers=3"]),
    "fullSyncPeriod": Row(3600, in_args("--full"), ["--full-sync-period=3600"]),
    "runTimeout": Row(30, in_args("--run-timeout"), ["--run-timeout=30"]),
    "watchNamespaces": Row(["a", "b"], in_env("WATCH_NAMESPACE"), ["a,b"] * TWICE),
    "clusterName": Row("prod", in_env("CLUSTER_NAME"), ["prod"] * TWICE),
    "deletionPolicy": Row("Retain", in_env("DELETION_POLICY"), ["Retain"] * TWICE),
    "orphanPolicy": Row("Report", in_args("--orphan"), ["--orphan-policy=Report"]),
    "tags": Row({"team": "a"}, in_env("TAGS"), ['{"team":"a"}'] * TWICE),
    "iam.path": Row("/team/", in_env("IAM_PATH"), ["/team/"] * TWICE),
    "iam.permissionsBoundary": Row(ARN, in_env("PERMISSIONS_BOUNDARY"), [ARN] * TWICE),
    "iam.allowedPolicies": Row([ARN], in_env("ALLOWED_POLICIES"), [ARN] * TWICE),
    "iam.allowedGroups": Row(["staff", "ops"], in_env("ALLOWED_GROUPS"), ["staff,ops"] * TWICE),
    "logFormat": Row("text", in_args("--log-format"), ["--log-format=text"]),
    "logLevel": Row("error", in_args("--log-level"), ["--log-level=error"]),
    "crds.install": Row(False, exists("CustomResourceDefinition"), False),
    "rbac.aggregate": Row(False, lambda objects: str(objects).count("aggregate-to-"), 0),
    "serviceAccount.annotations": Row({"role": "arn"}, at("ServiceAccount", "metadata", "annotations", "role"), "arn"),
    "serviceAccount.labels": Row({"use": "yes"}, at("ServiceAccount", "metadata", "labels", "use"), "yes"),
    "serviceAccount.name": Row("own", in_pods("serviceAccountName"), ["own"] * TWICE),
    "serviceAccount.automount": Row(False, at("ServiceAccount", "automountServiceAccountToken"), False),
    "replicas": Row(2, at("Deployment", "spec", "replicas"), 2),
    "revisionHistoryLimit": Row(0, at("Deployment", "spec", "revisionHistoryLimit"), 0),
    "updateStrategy.rollingUpdate": Row(
        {"maxSurge": 1, "maxUnavailable": 0},
        at("Deployment", "spec", "strategy"),
        {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
    ),
    "terminationGracePeriodSeconds": Row(60, pod("terminationGracePeriodSeconds"), 60),
    "lifecycle": Row({"preStop": {"sleep": {"seconds": 1}}}, container("lifecycle", "preStop", "sleep", "seconds"), 1),
    "resources": Row({"limits": {"cpu": "2"}}, container("resources", "limits"), {"cpu": "2", "memory": "1Gi"}),
    "startupProbe": Row(PROBE, container("startupProbe"), {**HEALTHZ, **PROBE}),
    "livenessProbe": Row(PROBE, container("livenessProbe"), {**HEALTHZ, **PROBE}),
    "readinessProbe": Row(PROBE, container("readinessProbe"), {**READYZ, **PROBE}),
    "podSecurityContext": Row({"fsGroup": 7}, in_pods("securityContext", "fsGroup"), [7] * TWICE),
    "securityContext": Row({"runAsUser": 7}, in_pods("containers", 0, "securityContext", "runAsUser"), [7] * TWICE),
    "emptyDir.work": Row(
        "1Gi", volume("work", "emptyDir"), [{"medium": "Memory", "sizeLimit": "1Gi"}] * TWICE,
    ),
    "emptyDir.tmp": Row("2Gi", volume("tmp", "emptyDir"), [{"sizeLimit": "2Gi"}] * TWICE),
    "extraEnv": Row([{"name": "HTTPS_PROXY", "value": "http://p"}], in_env("HTTPS_PROXY"), ["http://p"] * TWICE),
    "extraEnvFrom": Row(
        [{"configMapRef": {"name": "proxy"}, "prefix": "X_"}],
        in_pods("containers", 0, "envFrom"),
        [[{"configMapRef": {"name": "proxy"}, "prefix": "X_"}]] * TWICE,
    ),
    "extraArgs": Row(["--iam-settle=0"], in_args("--iam-settle"), ["--iam-settle=0"]),
    "extraVolumes": Row(
        [{"name": "ca", "configMap": {"name": "ca"}}], volume("ca", "configMap", "name"), ["ca"] * TWICE
    ),
    "extraVolumeMounts": Row(
        [{"name": "ca", "mountPath": "/ca"}],
        in_pods("containers", 0, "volumeMounts", 3),
        [{"name": "ca", "mountPath": "/ca"}] * TWICE,
    ),
    "initContainers": Row([SIDECAR], in_pods("initContainers"), [[SIDECAR]] * TWICE),
    # After the operator's own, and not in the test Pod, which would never complete.
    "extraContainers": Row([SIDECAR], in_pods("containers", 1), [SIDECAR, None]),
    "hostNetwork": Row(True, in_pods("dnsPolicy"), ["ClusterFirstWithHostNet"] * TWICE),
    "dnsConfig": Row({"searches": ["x"]}, in_pods("dnsConfig"), [{"searches": ["x"]}] * TWICE),
    "hostAliases": Row(
        [{"ip": "10.0.0.1", "hostnames": ["store"]}],
        in_pods("hostAliases"),
        [[{"ip": "10.0.0.1", "hostnames": ["store"]}]] * TWICE,
    ),
    "runtimeClassName": Row("gvisor", in_pods("runtimeClassName"), ["gvisor"] * TWICE),
    "nodeSelector": Row({"disk": "ssd"}, in_pods("nodeSelector"), [{"disk": "ssd"}] * TWICE),
    "tolerations": Row([{"operator": "Exists"}], in_pods("tolerations"), [[{"operator": "Exists"}]] * TWICE),
    "affinity": Row({"nodeAffinity": {}}, in_pods("affinity"), [{"nodeAffinity": {}}] * TWICE),
    "topologySpreadConstraints": Row([SPREAD], pod("topologySpreadConstraints"), [SPREAD]),
    "priorityClassName": Row("high", in_pods("priorityClassName"), ["high"] * TWICE),
    "commonLabels": Row({"team": "a"}, each("labels", "team"), {"a"}),
    "extraLabels": Row({"team": "b", "old": "c"}, each("labels", "old"), {"c"}),
    "commonAnnotations": Row({"contact": "a"}, each("annotations", "contact"), {"a"}),
    "deploymentAnnotations": Row(
        {"reloader": "true"}, at("Deployment", "metadata", "annotations", "reloader"), "true"
    ),
    "podLabels": Row({"pod": "a"}, at("Deployment", "spec", "template", "metadata", "labels", "pod"), "a"),
    "podAnnotations": Row({"pod": "b"}, at("Deployment", "spec", "template", "metadata", "annotations", "pod"), "b"),
    "nameOverride": Row("own", at("Deployment", "metadata", "name"), "s3-operator-own"),
    "namespaceOverride": Row("elsewhere", in_env("LEADER_ELECTION_NAMESPACE"), ["elsewhere"] * TWICE),
    "extraObjects": Row(
        [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "as-it-is"}, "data": {"a": "{{ .A }}"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-x}",
        ],
        lambda objects: [(item["metadata"]["name"], item.get("data")) for item in objects if "Config" in item["kind"]],
        [("as-it-is", {"a": "{{ .A }}"}), ("s3-operator-x", None)],
    ),
    "metrics.port": Row(9000, in_args("--metrics"), ["--metrics-bind-address=:9000"]),
    "metrics.serviceMonitor.enabled": Row(True, exists("ServiceMonitor"), True),
    "metrics.serviceMonitor.interval": Row("1m", at("ServiceMonitor", "spec", "endpoints", 0, "interval"), "1m"),
    "metrics.serviceMonitor.labels": Row({"prom": "a"}, at("ServiceMonitor", "metadata", "labels", "prom"), "a"),
    "metrics.serviceMonitor.relabelings": Row(
        RELABELING, at("ServiceMonitor", "spec", "endpoints", 0, "relabelings"), RELABELING
    ),
    "metrics.serviceMonitor.metricRelabelings": Row(
        RELABELING, at("ServiceMonitor", "spec", "endpoints", 0, "metricRelabelings"), RELABELING
    ),
    "metrics.prometheusRule.enabled": Row(True, exists("PrometheusRule"), True),
    "metrics.prometheusRule.labels": Row({"prom": "b"}, at("PrometheusRule", "metadata", "labels", "prom"), "b"),
    "metrics.prometheusRule.runbookURL": Row(
        "https://x/#", rule("S3ObjectNotReady", "annotations", "runbook_url"), "https://x/#s3objectnotready"
    ),
    "metrics.prometheusRule.alerts.S3OperatorNotLeading": Row(
        {"severity": "page"}, rule("S3OperatorNotLeading", "labels", "severity"), "page"
    ),
    "metrics.prometheusRule.alerts.S3NamespaceNotWatched": Row(
        {"runbookURL": "https://y/"}, rule("S3NamespaceNotWatched", "annotations", "runbook_url"), "https://y/"
    ),
    "metrics.prometheusRule.alerts.S3OperatorsOverlap": Row({"for": "1h"}, rule("S3OperatorsOverlap", "for"), "1h"),
    "metrics.prometheusRule.alerts.S3ObjectNotReady": Row({"for": "2h"}, rule("S3ObjectNotReady", "for"), "2h"),
    "metrics.prometheusRule.alerts.S3OperatorAWSErrors": Row(
        {"threshold": 1000000},
        rule("S3OperatorAWSErrors", "expr"),
        "sum by (reason) (increase(s3_operator_aws_errors_total[15m])) > 1000000",
    ),
    "metrics.prometheusRule.alerts.S3OperatorCredentialsInvalid": Row(
        {"threshold": 0},
        rule("S3OperatorCredentialsInvalid", "expr"),
        'sum(increase(s3_operator_aws_errors_total{reason="CredentialsInvalid"}[1h])) > 0',
    ),
    "metrics.prometheusRule.alerts.S3OperatorQueueGrows": Row(
        {"threshold": 7}, rule("S3OperatorQueueGrows", "expr"), 's3_operator_queue_depth{lane="fresh"} > 7'
    ),
    "metrics.prometheusRule.alerts.S3ObjectNotSynced": Row({"for": "3h"}, rule("S3ObjectNotSynced", "for"), "3h"),
    "metrics.prometheusRule.alerts.S3ObjectDrifts": Row(
        {"threshold": 3, "for": "5m"}, rule("S3ObjectDrifts", "for"), "5m"
    ),
    "health.port": Row(9001, in_args("--health"), ["--health-probe-bind-address=:9001"]),
    "podDisruptionBudget.enabled": Row(True, exists("PodDisruptionBudget"), True),
    "podDisruptionBudget.maxUnavailable": Row("50%", at("PodDisruptionBudget", "spec", "maxUnavailable"), "50%"),
    "networkPolicy.enabled": Row(True, exists("NetworkPolicy"), True),
    "networkPolicy.egressPorts": Row(
        [8443], at("NetworkPolicy", "spec", "egress", 1, "ports", 0), {"port": 8443, "protocol": "TCP"}
    ),
    "networkPolicy.dnsPorts": Row([1053], at("NetworkPolicy", "spec", "egress", 0, "ports", 0, "port"), 1053),
    "networkPolicy.credentialEndpoints": Row(
        [{"cidr": "169.254.170.2/32", "port": 81}],
        at("NetworkPolicy", "spec", "egress", 2),
        {"to": [{"ipBlock": {"cidr": "169.254.170.2/32"}}], "ports": [{"port": 81, "protocol": "TCP"}]},
    ),
    "networkPolicy.metricsFrom": Row(
        [{"podSelector": {}}], at("NetworkPolicy", "spec", "ingress", 1, "from"), [{"podSelector": {}}]
    ),
    "networkPolicy.extraIngress": Row([EGRESS], at("NetworkPolicy", "spec", "ingress", 2), EGRESS),
    "networkPolicy.extraEgress": Row([EGRESS], at("NetworkPolicy", "spec", "egress", 3), EGRESS),
    "testPod.resources": Row(
        {"limits": {"cpu": "3"}}, at("Pod", "spec", "containers", 0, "resources", "limits", "cpu"), "3"
    ),
    "testPod.labels": Row({"test": "a"}, at("Pod", "metadata", "labels", "test"), "a"),
    "testPod.annotations": Row({"test": "b"}, at("Pod", "metadata", "annotations", "test"), "b"),
}  # fmt: skip
"""Values that go together, by their place in values.yaml."""

APART = {
    "image.name": Row("all:1", in_pods("containers", 0, "image"), ["all:1"] * TWICE),
    "aws.existingSecret": Row("mine", volume("aws", "secret", "secretName"), ["mine"] * TWICE),
    "aws.existingSecretKey": Row("file", volume("aws", "secret", "items", 0, "key"), ["file"] * TWICE),
    "serviceExternalName": Row("store.example", in_env("SERVICE_EXTERNAL_NAME"), ["store.example"] * TWICE),
    "devLogs": Row(True, in_args("--log"), ["--log-format=text", "--log-level=debug"]),
    "rbac.create": Row(False, exists("ClusterRole"), False),
    "serviceAccount.create": Row(False, exists("ServiceAccount"), False),
    "updateStrategy.type": Row("Recreate", at("Deployment", "spec", "strategy"), {"type": "Recreate"}),
    "dnsPolicy": Row("Default", in_pods("dnsPolicy"), ["Default"] * TWICE),
    "fullnameOverride": Row("whole", at("Deployment", "metadata", "name"), "whole"),
    "metrics.service.enabled": Row(True, at("Service", "spec", "ports", 0, "targetPort"), "metrics"),
    "metrics.podMonitor.enabled": Row(True, exists("PodMonitor"), True),
    "metrics.podMonitor.interval": Row("2m", at("PodMonitor", "spec", "podMetricsEndpoints", 0, "interval"), "2m"),
    "metrics.podMonitor.labels": Row({"prom": "c"}, at("PodMonitor", "metadata", "labels", "prom"), "c"),
    "metrics.podMonitor.relabelings": Row(
        RELABELING, at("PodMonitor", "spec", "podMetricsEndpoints", 0, "relabelings"), RELABELING
    ),
    "metrics.podMonitor.metricRelabelings": Row(
        RELABELING, at("PodMonitor", "spec", "podMetricsEndpoints", 0, "metricRelabelings"), RELABELING
    ),
    # 0 is a value, too.
    "podDisruptionBudget.minAvailable": Row(0, at("PodDisruptionBudget", "spec", "minAvailable"), 0),
}
"""Values that exclude those above."""
# What a row needs that is not about it.
NEEDED = {"podDisruptionBudget.enabled": True, "commonAnnotations": {"helm": "a"}}


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Values by their places as Helm takes them."""
    found: dict[str, Any] = {}
    for place, value in values.items():
        *path, last = place.split(".")
        section = found
        for name in path:
            section = section.setdefault(name, {})
        section[last] = value
    return found


GROUPS = {"together": TOGETHER, "apart": APART, "defaults": {}}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Objects]:
    """Gives all objects with the values of a group. Each group is rendered once."""

    @cache
    def objects(group: str, helm: str = "helm") -> Objects:
        values = {**NEEDED, **{place: row.given for place, row in GROUPS[group].items()}} if GROUPS[group] else {}
        return render(values=nested(values), folder=tmp_path_factory.mktemp(group), helm=helm)

    return objects


ROWS = {place: (group, row) for group, rows in GROUPS.items() for place, row in rows.items()}


@pytest.mark.parametrize("place", ROWS)
def test_value_has_its_effect(rendered: Callable[..., Objects], place: str) -> None:
    group, row = ROWS[place]
    assert row.where(rendered(group)) == row.found
    assert row.where(rendered("defaults")) != row.found


def test_every_value_has_a_row() -> None:
    documented = re.findall(r"^\| `([^`]+)` \| .* \| .+ \|$", (CHART / "README.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(ROWS)


@pytest.mark.parametrize("group", ["together", "apart"])
def test_helm_3_and_helm_4_render_the_same(rendered: Callable[..., Objects], group: str) -> None:
    assert rendered(group, "helm3") == rendered(group)


def test_minimum_replaces_the_maximum_of_the_budget(rendered: Callable[..., Objects]) -> None:
    assert "maxUnavailable" not in at("PodDisruptionBudget", "spec")(rendered("apart"))
    assert "minAvailable" not in at("PodDisruptionBudget", "spec")(rendered("together"))


def test_pods_have_their_token_whatever_the_service_account_says(rendered: Callable[..., Objects]) -> None:
    assert in_pods("automountServiceAccountToken")(rendered("together")) == [True] * TWICE


def test_namespace_override_moves_everything_of_the_release(rendered: Callable[..., Objects]) -> None:
    objects = rendered("together")
    namespaces = {item["metadata"].get("namespace") for item in objects if item["kind"] != "ConfigMap"}
    # None: objects of the cluster. a and b: watchNamespaces.
    assert namespaces == {"elsewhere", None, "a", "b"}
    subjects = [item["subjects"][0]["namespace"] for item in objects if item["kind"].endswith("Binding")]
    assert set(subjects) == {"elsewhere"}
    assert "namespace: s3-operator" not in yaml.safe_dump_all(objects)


def test_common_annotations_do_not_replace_those_of_helm(rendered: Callable[..., Objects]) -> None:
    objects = rendered("apart")
    for kind, annotation in (("CustomResourceDefinition", "helm.sh/resource-policy"), ("Pod", "helm.sh/hook")):
        assert at(kind, "metadata", "annotations", annotation)(objects)


def test_pod_monitor_selects_the_operators_pod(rendered: Callable[..., Objects]) -> None:
    objects = rendered("apart")
    selector = at("PodMonitor", "spec", "selector", "matchLabels")(objects)
    assert selector.items() <= at("Deployment", "spec", "template", "metadata", "labels")(objects).items()
    assert not selector.items() <= at("Pod", "metadata", "labels")(objects).items()
    assert at("PodMonitor", "spec", "podMetricsEndpoints", 0, "port")(objects) in [
        port["name"] for port in container("ports")(objects)
    ]


def test_alerts_can_be_disabled_and_keep_their_defaults_otherwise(tmp_path: Path) -> None:
    alerts = {"S3ObjectDrifts": {"enabled": False}, "S3ObjectNotReady": {"severity": "page"}}
    objects = render(values=nested({"metrics.prometheusRule": {"enabled": True, "alerts": alerts}}), folder=tmp_path)
    names = [item["alert"] for item in at("PrometheusRule", "spec", "groups", 0, "rules")(objects)]
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())["metrics"]["prometheusRule"]["alerts"]
    assert names == [name for name in defaults if name != "S3ObjectDrifts"]
    assert rule("S3ObjectNotReady", "for")(objects) == "15m"
    assert "THRESHOLD" not in str(objects)
    assert rule("S3ObjectNotReady", "annotations", "runbook_url")(objects) is None


def test_schema_and_readme_are_up_to_date() -> None:
    assert find_stale() == []


# What the schema refuses: what is given, and its place in the message.
REFUSED = {
    "misspelled": ("image.nmae=a", "/image"),
    "misspelled-top": ("syncperiod=3", ""),
    "misspelled-aws": ("aws.endpointUrl=http://a", "/aws"),
    "misspelled-metrics": ("metrics.serviceMonitor.enable=true", "/metrics/serviceMonitor"),
    "sync-period-text": ("syncPeriod=5m", "/syncPeriod"),
    "sync-period-zero": ("syncPeriod=0", "/syncPeriod"),
    "executor": ("executor=mitogen", "/executor"),
    "drift-check": ("driftCheck=sometimes", "/driftCheck"),
    "resync-workers": ("resyncWorkers=0", "/resyncWorkers"),
    "full-sync-period": ("fullSyncPeriod=24h", "/fullSyncPeriod"),
    "deletion-policy": ("deletionPolicy=Keep", "/deletionPolicy"),
    "orphan-policy": ("orphanPolicy=Delete", "/orphanPolicy"),
    "iam-path": ("iam.path=team", "/iam/path"),
    "iam-path-pattern": ("iam.path=/*/", "/iam/path"),
    "allowed-policy": ("iam.allowedPolicies={admin}", "/iam/allowedPolicies/0"),
    "tags": ("tags.team=1", "/tags/team"),
    "boundary-name": ("iam.permissionsBoundary=tenant", "/iam/permissionsBoundary"),
    "misspelled-iam": ("iam.boundary=arn:aws:iam::123456789012:policy/tenant", "/iam"),
    "namespace": ("watchNamespaces={Team_A}", "/watchNamespaces/0"),
    "namespaces-text": ("watchNamespaces=team", "/watchNamespaces"),
    "endpoint": ("aws.endpointURL=minio:9000", "/aws/endpointURL"),
    "port": ("metrics.port=70000", "/metrics/port"),
    "annotations": ("serviceAccount.annotations=arn", "/serviceAccount/annotations"),
    "key-in-environment": ("extraEnv[0].name=AWS_SECRET_ACCESS_KEY", "/extraEnv/0/name"),
    "uid-text": ("podSecurityContext.runAsUser=root", "/podSecurityContext/runAsUser"),
    "misspelled-pod-security": ("podSecurityContext.runAsuser=1", "/podSecurityContext"),
    "misspelled-security": ("securityContext.readonlyRootFilesystem=true", "/securityContext"),
    "capabilities-text": ("securityContext.capabilities.drop=ALL", "/securityContext/capabilities/drop"),
    "pod-field-of-a-container": ("securityContext.fsGroup=1", "/securityContext"),
    "dns-port": ("networkPolicy.dnsPorts={dns}", "/networkPolicy/dnsPorts/0"),
    "credential-address": (
        "networkPolicy.credentialEndpoints[0].cidr=169.254.170.23,networkPolicy.credentialEndpoints[0].port=80",
        "/networkPolicy/credentialEndpoints/0/cidr",
    ),
    "credential-port": (
        "networkPolicy.credentialEndpoints[0].cidr=169.254.170.23/32",
        "/networkPolicy/credentialEndpoints/0",
    ),
    "bracket": ("aws.endpointURL=http://[::1", "/aws/endpointURL"),
    "password": ("aws.endpointURL=http://user:pass@minio", "/aws/endpointURL"),
    "test-resources": ("testPod.resources.limit.cpu=1", "/testPod/resources"),
    "test-labels": ("testPod.labels=a", "/testPod/labels"),
    "misspelled-test": ("testPod.annotation.a=b", "/testPod"),
    "image-tag": ("image.tag=a/b", "/image/tag"),
    "image-digest": ("image.digest=latest", "/image/digest"),
    "image-repository": ("image.repository=", "/image/repository"),
    "update-strategy": ("updateStrategy.type=BlueGreen", "/updateStrategy/type"),
    "max-surge": ("updateStrategy.rollingUpdate.maxSurge=some", "/updateStrategy/rollingUpdate/maxSurge"),
    "probe-of-another-kind": ("livenessProbe.exec.command={true}", "/livenessProbe"),
    "volume-size": ("emptyDir.work=big", "/emptyDir/work"),
    "min-available": ("podDisruptionBudget.minAvailable=all", "/podDisruptionBudget/minAvailable"),
    "source-without-a-name": ("extraEnvFrom[0].secretRef.optional=true", "/extraEnvFrom/0/secretRef"),
    "misspelled-source": ("extraEnvFrom[0].secretref.name=a", "/extraEnvFrom/0"),
    "container-without-an-image": ("extraContainers[0].name=a", "/extraContainers/0"),
    "host-alias": ("hostAliases[0].ip=10.0.0.1", "/hostAliases/0"),
    "extra-object": ("extraObjects[0]=7", "/extraObjects/0"),
    "misspelled-alert": ("metrics.prometheusRule.alerts.S3Drift.enabled=true", "/metrics/prometheusRule/alerts"),
    "no-threshold": (
        "metrics.prometheusRule.alerts.S3ObjectNotReady.threshold=1",
        "/metrics/prometheusRule/alerts/S3ObjectNotReady",
    ),
    "threshold-text": (
        "metrics.prometheusRule.alerts.S3ObjectDrifts.threshold=ten",
        "/metrics/prometheusRule/alerts/S3ObjectDrifts/threshold",
    ),
    "runbook": ("metrics.prometheusRule.runbookURL=runbooks", "/metrics/prometheusRule/runbookURL"),
    "tag-key": ("tags.a!b=c", "/tags"),
    "namespace-override": ("namespaceOverride=Team_A", "/namespaceOverride"),
}
# What the templates refuse, and what the message says.
IMPOSSIBLE = {
    "no-section": ("metrics=null", "the value metrics is null"),
    "one-port-for-both": ("health.port=8080", "must differ"),
    "one-key-only": ("AWS_ACCESS_KEY_ID=AKIA", "given together"),
    "two-sources-of-keys": ("AWS_ACCESS_KEY_ID=a,AWS_SECRET_ACCESS_KEY=b,aws.existingSecret=c", "not both"),
    "two-images": ("image.name=a:1,image.digest=sha256:%s" % ("0" * 64), "not both"),
    "two-monitors": ("metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true", "enable either"),
    "hook-for-all": (r"commonAnnotations.helm\.sh/hook=pre-install", "commonAnnotations must not have helm.sh/hook"),
    "kept-deployment": (r"deploymentAnnotations.helm\.sh/resource-policy=keep", "deploymentAnnotations must not have"),
    "values-of-an-earlier-version": ("metrics.podMonitor=null", "--reset-then-reuse-values"),
}


def rounds() -> list[list[str]]:
    """The ids of REFUSED in groups of which each can be given at once, as Helm names everything that it refuses."""
    found: list[list[str]] = []
    for name, (given, place) in REFUSED.items():
        taken = {place, given.partition("=")[0].partition("[")[0]}
        group = next(
            (group for group in found if not taken & {text for other in group for text in claimed(other)}), None
        )
        if group is None:
            found.append(group := [])
        group.append(name)
    return found


def claimed(name: str) -> tuple[str, str]:
    """What no other case of a group may have: the value that is set, and the place in the message."""
    given, place = REFUSED[name]
    return given.partition("=")[0].partition("[")[0], place


def is_named(output: str, place: str) -> bool:
    """Whether an error is about a place itself, and not about something inside."""
    return any(f"at '{place}': " in line and not line.endswith("validation failed") for line in output.splitlines())


@pytest.mark.parametrize("group", rounds(), ids=lambda group: f"with-{group[0]}")
def test_bad_value_is_refused_by_its_place(group: list[str]) -> None:
    done = run_helm("template", "s3-operator", str(CHART), *(f"--set={REFUSED[name][0]}" for name in group))
    assert done.returncode != 0
    assert [name for name in group if not is_named(done.stdout, REFUSED[name][1])] == [], done.stdout


@pytest.mark.parametrize(("given", "named"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_combination_is_refused(given: str, named: str) -> None:
    done = run_helm("template", "s3-operator", str(CHART), f"--set={given}")
    assert done.returncode != 0
    assert named in done.stdout


SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())


def closed_maps(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The maps, outside lists, of which the schema lists all keys, by their paths."""
    if schema.get("additionalProperties") is False:
        yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from closed_maps(child, f"{path}/{name}")


def open_maps(schema: Any, path: str = "") -> Iterator[str]:
    """The maps of a schema that let unknown keys pass although it lists the known ones."""
    if isinstance(schema, dict):
        if isinstance(schema.get("properties"), dict) and schema.get("additionalProperties") is not False:
            yield path
        for name, child in schema.items():
            yield from open_maps(child, f"{path}/{name}")
    elif isinstance(schema, list):
        for item in schema:
            yield from open_maps(item, path)


def test_schema_is_closed() -> None:
    assert list(open_maps(SCHEMA)) == []


@pytest.mark.parametrize("helm", HELMS)
def test_misspelled_key_is_refused_in_every_map(helm: str, tmp_path: Path) -> None:
    places = [place for place, _ in closed_maps(SCHEMA)]
    given: dict[str, Any] = {}
    for place in places:
        section = given
        for name in place.split("/")[1:]:
            section = section.setdefault(name, {})
        section["misSpelled!"] = "x"
    assert sorted(unnamed(given, places, helm, tmp_path)) == []


@pytest.mark.parametrize("helm", HELMS)
def test_wrong_type_is_refused_in_every_value(helm: str, tmp_path: Path) -> None:
    # A list, or a text where a list belongs.
    given = nested({place: "x" if isinstance(row.given, list) else [1] for place, (_, row) in ROWS.items()})
    places = [f"/{place.replace('.', '/')}" for place in ROWS]
    assert sorted(unnamed(given, places, helm, tmp_path)) == []


def unnamed(given: dict[str, Any], places: list[str], helm: str, folder: Path) -> list[str]:
    """The places that Helm's answer to bad values does not name."""
    (folder / "bad.yaml").write_text(yaml.safe_dump(given))
    done = run_helm("template", "s3-operator", str(CHART), f"--values={folder / 'bad.yaml'}", helm=helm)
    assert done.returncode != 0
    return [place for place in places if not is_named(done.stdout, place)]
