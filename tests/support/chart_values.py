"""Every value of the chart, with an example of it and the place where its effect appears."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.support.chart import pods

Objects = list[dict[str, Any]]


def get(found: Any, *path: str | int) -> Any:
    """The item at a path of maps and lists; None if it does not exist."""
    for step in path:
        try:
            found = found[step]
        except (KeyError, IndexError, TypeError):
            return None
    return found


def at(kind: str, *path: str | int) -> Callable[[Objects], Any]:
    """Returns a function that finds the item at a path of the first object of a kind."""
    return lambda objects: get(next((item for item in objects if item["kind"] == kind), None), *path)


def in_pods(*path: str | int) -> Callable[[Objects], Any]:
    """Returns a function that finds the item at a path of each Pod's spec: the operator's Pod and the test Pod."""
    return lambda objects: [get(pod, *path) for pod in pods(objects)]


def in_env(name: str) -> Callable[[Objects], Any]:
    """Returns a function that finds the value of an environment variable in each Pod."""
    return lambda objects: [
        next((item.get("value") for item in pod["containers"][0]["env"] if item["name"] == name), None)
        for pod in pods(objects)
    ]


def in_args(option: str) -> Callable[[Objects], Any]:
    """Returns a function that finds the operator's arguments that begin with an option."""
    return lambda objects: [text for text in container("args")(objects) if text.startswith(option)]


def pod(*path: str | int) -> Callable[[Objects], Any]:
    return at("Deployment", "spec", "template", "spec", *path)


def in_file(name: str) -> Callable[[Objects], Any]:
    """Returns a function that finds a file in the ConfigMap of the AWS config file."""
    return lambda objects: next(
        (get(item, "data", name) for item in objects if item["metadata"]["name"].endswith("-aws-config")), None
    )


def container(*path: str | int) -> Callable[[Objects], Any]:
    return pod("containers", 0, *path)


def volume(name: str, *path: str | int) -> Callable[[Objects], Any]:
    """Returns a function that finds the item at a path of a volume of each Pod."""
    return lambda objects: [
        get(next((item for item in pod["volumes"] if item["name"] == name), None), *path) for pod in pods(objects)
    ]


def each(field: str, key: str) -> Callable[[Objects], Any]:
    """Returns a function that finds the distinct values of a label or annotation.

    It reads all objects but the extra ones, which are ConfigMaps.
    """
    return lambda objects: {get(item, "metadata", field, key) for item in objects if item["kind"] != "ConfigMap"}


def exists(kind: str) -> Callable[[Objects], Any]:
    return lambda objects: any(item["kind"] == kind for item in objects)


def rule(alert: str, *path: str) -> Callable[[Objects], Any]:
    """Returns a function that finds the item at a path of an alert."""

    def find(objects: Objects) -> Any:
        rules = at("PrometheusRule", "spec", "groups", 0, "rules")(objects) or []
        return get(next((item for item in rules if item["alert"] == alert), None), *path)

    return find  # fmt: skip


class Row(NamedTuple):
    """A value to set, where its effect appears, and what is expected there."""

    given: Any
    where: Callable[[Objects], Any]
    found: Any


ARN = "arn:aws:iam::123456789012:policy/tenant"
QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE"
EKS_CLUSTER = "arn:aws:eks:us-east-1:123456789012:cluster/production"
DIGEST = f"sha256:{'0123456789abcdef' * 4}"
WHOLE = f"registry.example:5000/team/s3:2.0@{DIGEST}"
HEALTHZ, READYZ = ({"httpGet": {"path": path, "port": "health"}} for path in ("/healthz", "/readyz"))
PROBE = {"initialDelaySeconds": 1, "periodSeconds": 7, "timeoutSeconds": 3, "failureThreshold": 9}
SIDECAR = {"name": "proxy", "image": "proxy:1", "ports": [{"containerPort": 9}]}
INIT = {"name": "init", "image": "init:1"}
RELABELING = [{"targetLabel": "cluster", "replacement": "prod"}]
SPREAD = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
EGRESS = {"ports": [{"port": 3128, "protocol": "TCP"}]}
TWICE = 2  # Two Pods: the operator's and the test's

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
    "aws.provider": Row("Other", in_env("PROVIDER"), ["Other"] * TWICE),
    "aws.accountID": Row("RGW1", in_env("ACCOUNT_ID"), ["RGW1"] * TWICE),
    "aws.addressingStyle": Row(
        "virtual", in_file("config"), "[profile prod]\ns3 =\n    addressing_style = virtual\n"
    ),
    "aws.checksums": Row(
        "when_required", in_env("AWS_REQUEST_CHECKSUM_CALCULATION"), ["when_required"] * TWICE
    ),
    "aws.caBundle.configMap": Row("roots", volume("ca-bundle", "configMap", "name"), ["roots"] * TWICE),
    "aws.caBundle.key": Row("root.pem", volume("ca-bundle", "configMap", "items", 0, "key"), ["root.pem"] * TWICE),
    "proxy.https": Row("http://proxy:1", in_env("HTTPS_PROXY"), ["http://proxy:1"] * TWICE),
    "proxy.http": Row("http://proxy:2", in_env("HTTP_PROXY"), ["http://proxy:2"] * TWICE),
    "proxy.noProxy": Row(
        ["store", ".internal"],
        in_env("NO_PROXY"),
        ["$(KUBERNETES_SERVICE_HOST),169.254.169.254,169.254.170.2,169.254.170.23,store,.internal"] * TWICE,
    ),
    "syncPeriod": Row(60, in_args("--sync-period="), ["--sync-period=60"]),
    "syncPeriodWithEvents": Row(7200, in_args("--sync-period-with"), ["--sync-period-with-events=7200"]),
    "eventDelay": Row(900, in_args("--event-delay"), ["--event-delay=900"]),
    "maxConcurrentReconciles": Row(5, in_args("--max-con"), ["--max-concurrent-reconciles=5"]),
    "executor": Row("stock", in_args("--executor"), ["--executor=stock"]),
    "driftCheck": Row(False, in_args("--no-drift"), ["--no-drift-check"]),
    "verifyCredentials": Row(False, in_args("--no-verify"), ["--no-verify-credentials"]),
    "verifyPeriod": Row(600, in_args("--verify-period"), ["--verify-period=600"]),
    "resyncWorkers": Row(3, in_args("--resync"), ["--resync-workers=3"]),
    "reservedWorkers": Row(0, in_args("--reserved"), ["--reserved-workers=0"]),
    "fullSyncPeriod": Row(3600, in_args("--full"), ["--full-sync-period=3600"]),
    "runTimeout": Row(30, in_args("--run-timeout"), ["--run-timeout=30"]),
    "watchNamespaces": Row(["a", "b"], in_env("WATCH_NAMESPACE"), ["a,b"] * TWICE),
    "clusterName": Row("prod", in_env("CLUSTER_NAME"), ["prod"] * TWICE),
    "deletionPolicy": Row("Retain", in_env("DELETION_POLICY"), ["Retain"] * TWICE),
    "orphanPolicy": Row("Report", in_args("--orphan"), ["--orphan-policy=Report"]),
    "tags": Row({"team": "a"}, in_env("TAGS"), ['{"team":"a"}'] * TWICE),
    "resourceLabels": Row({"team": "a"}, in_env("RESOURCE_LABELS"), ['{"team":"a"}'] * TWICE),
    "resourceAnnotations": Row({"a/b": "c"}, in_env("RESOURCE_ANNOTATIONS"), ['{"a/b":"c"}'] * TWICE),
    "iam.path": Row("/team/", in_env("IAM_PATH"), ["/team/"] * TWICE),
    "iam.permissionsBoundary": Row(ARN, in_env("PERMISSIONS_BOUNDARY"), [ARN] * TWICE),
    "iam.eksClusterARN": Row(EKS_CLUSTER, in_env("EKS_CLUSTER_ARN"), [EKS_CLUSTER] * TWICE),
    "iam.annotateServiceAccounts": Row(
        True,
        lambda objects: (in_env("ANNOTATE_SERVICE_ACCOUNTS")(objects), str(objects).count("'serviceaccounts'")),
        (["true"] * TWICE, 2),
    ),
    "iam.oidcProviderARN": Row(PROVIDER, in_env("OIDC_PROVIDER_ARN"), [PROVIDER] * TWICE),
    "iam.allowedPolicies": Row([ARN], in_env("ALLOWED_POLICIES"), [ARN] * TWICE),
    "iam.allowedGroups": Row(["staff", "ops"], in_env("ALLOWED_GROUPS"), ["staff,ops"] * TWICE),
    "allowedSettings": Row(["corsRules", "logging"], in_env("ALLOWED_SETTINGS"), ["corsRules,logging"] * TWICE),
    "logFormat": Row("text", in_args("--log-format"), ["--log-format=text"]),
    "logLevel": Row("error", in_args("--log-level"), ["--log-level=error"]),
    "crds.install": Row(False, exists("CustomResourceDefinition"), False),
    "rbac.configMaps": Row(True, lambda objects: str(objects).count("'get', 'create', 'patch', 'delete'"), 2),
    "rbac.aggregate": Row(False, lambda objects: str(objects).count("aggregate-to-"), 0),
    "serviceAccount.annotations": Row({"role": "arn"}, at("ServiceAccount", "metadata", "annotations", "role"), "arn"),
    "serviceAccount.labels": Row({"use": "yes"}, at("ServiceAccount", "metadata", "labels", "use"), "yes"),
    "serviceAccount.name": Row("own", in_pods("serviceAccountName"), ["own"] * TWICE),
    "serviceAccount.automount": Row(False, at("ServiceAccount", "automountServiceAccountToken"), False),
    "replicas": Row(2, at("Deployment", "spec", "replicas"), 2),
    "sharding.enabled": Row(True, in_env("SHARDING"), ["true"] * TWICE),
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
    "extraEnv": Row([{"name": "ALL_PROXY", "value": "http://p"}], in_env("ALL_PROXY"), ["http://p"] * TWICE),
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
        in_pods("containers", 0, "volumeMounts", -1),
        [{"name": "ca", "mountPath": "/ca"}] * TWICE,
    ),
    "initContainers": Row([INIT], in_pods("initContainers"), [[INIT]] * TWICE),
    # After the operator's container. The test Pod does not get it, because the Pod would never complete.
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
        lambda objects: [
            (item["metadata"]["name"], item.get("data"))
            for item in objects
            if "Config" in item["kind"] and "labels" not in item["metadata"]
        ],
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
    "metrics.prometheusRule.alerts.S3ShardsNotHeld": Row({"for": "1h"}, rule("S3ShardsNotHeld", "for"), "1h"),
    "metrics.prometheusRule.alerts.S3NamespaceNotWatched": Row(
        {"runbookURL": "https://y/"}, rule("S3NamespaceNotWatched", "annotations", "runbook_url"), "https://y/"
    ),
    "metrics.prometheusRule.alerts.S3CredentialsRefused": Row(
        {"for": "2h"}, rule("S3CredentialsRefused", "for"), "2h"
    ),
    "metrics.prometheusRule.alerts.S3OperatorsOverlap": Row({"for": "1h"}, rule("S3OperatorsOverlap", "for"), "1h"),
    "metrics.prometheusRule.alerts.S3EventQueueDown": Row({"for": "1h"}, rule("S3EventQueueDown", "for"), "1h"),
    "metrics.prometheusRule.alerts.S3EventsMissing": Row(
        {"threshold": 3600},
        rule("S3EventsMissing", "expr"),
        "time() - s3_operator_last_event_timestamp_seconds > 3600",
    ),
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
    "metrics.prometheusRule.alerts.S3KeyNotRotated": Row(
        {"threshold": 60},
        rule("S3KeyNotRotated", "expr"),
        "time() - s3_operator_access_key_due_timestamp_seconds > 60",
    ),
    "metrics.prometheusRule.alerts.S3OldKeyInUse": Row({"for": "2h"}, rule("S3OldKeyInUse", "for"), "2h"),
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
"""Values that can be set together, by their path in values.yaml."""

APART = {
    # Not with aws.provider Other.
    "eventQueueURL": Row(QUEUE, in_env("EVENT_QUEUE_URL"), [QUEUE] * TWICE),
    "image.name": Row("all:1", in_pods("containers", 0, "image"), ["all:1"] * TWICE),
    "aws.existingSecret": Row("mine", volume("aws", "secret", "secretName"), ["mine"] * TWICE),
    "aws.caBundle.secret": Row("mine", volume("ca-bundle", "secret", "secretName"), ["mine"] * TWICE),
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
    # 0 must not be treated as an empty value.
    "podDisruptionBudget.minAvailable": Row(0, at("PodDisruptionBudget", "spec", "minAvailable"), 0),
}
"""Values that cannot be combined with those above."""
# Values that a row needs and does not test.
NEEDED = {"podDisruptionBudget.enabled": True, "commonAnnotations": {"helm": "a"}}


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Nest values by their dotted paths, as Helm takes them."""
    found: dict[str, Any] = {}
    for place, value in values.items():
        *path, last = place.split(".")
        section = found
        for name in path:
            section = section.setdefault(name, {})
        section[last] = value
    return found
