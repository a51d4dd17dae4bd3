"""Every value of the chart: what it changes in the rendered objects, and which values are refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.chart_docs import find_stale
from runner.yaml_file import read_yaml
from s3bucket import allowed
from tests.support.chart import CHART, HELMS, render, run_helm
from tests.support.chart_values import (
    APART,
    NEEDED,
    TOGETHER,
    TWICE,
    Objects,
    at,
    container,
    in_pods,
    nested,
    rule,
)

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = read_yaml(CHART / "values.yaml")
GROUPS = {"together": TOGETHER, "apart": APART, "defaults": {}}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Objects]:
    """Returns all objects rendered with the values of a group. Each group is rendered once."""

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


def test_allowed_settings_are_those_that_the_operator_knows() -> None:
    assert SCHEMA["properties"]["allowedSettings"]["items"]["enum"] == ["all", "none", *allowed.FIELDS]


def test_every_value_has_a_row() -> None:
    documented = re.findall(r"^\| `([^`]+)` \| .* \| .+ \|$", (CHART / "README.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(ROWS)


@pytest.mark.parametrize("group", ["together", "apart"])
def test_helm_3_and_helm_4_render_the_same(rendered: Callable[..., Objects], group: str) -> None:
    assert rendered(group, "helm3") == rendered(group)


def test_minimum_replaces_the_maximum_of_the_budget(rendered: Callable[..., Objects]) -> None:
    assert "maxUnavailable" not in at("PodDisruptionBudget", "spec")(rendered("apart"))
    assert "minAvailable" not in at("PodDisruptionBudget", "spec")(rendered("together"))


def test_pods_have_their_token_whatever_the_service_account_has(rendered: Callable[..., Objects]) -> None:
    assert in_pods("automountServiceAccountToken")(rendered("together")) == [True] * TWICE


def test_namespace_override_moves_everything_of_the_release(rendered: Callable[..., Objects]) -> None:
    objects = rendered("together")
    namespaces = {item["metadata"].get("namespace") for item in objects if item["kind"] != "ConfigMap"}
    # None: cluster-scoped objects. a and b: the namespaces of watchNamespaces.
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


# Values that the schema refuses, and the path that the message names.
REFUSED = {
    "misspelled": ("image.nmae=a", "/image"),
    "misspelled-top": ("syncperiod=3", ""),
    "misspelled-aws": ("aws.endpointUrl=http://a", "/aws"),
    "misspelled-metrics": ("metrics.serviceMonitor.enable=true", "/metrics/serviceMonitor"),
    "sync-period-text": ("syncPeriod=5m", "/syncPeriod"),
    "sync-period-zero": ("syncPeriod=0", "/syncPeriod"),
    "event-queue-arn": ("eventQueueURL=arn:aws:sqs:eu-west-1:123456789012:events", "/eventQueueURL"),
    "event-queue-fifo": ("eventQueueURL=https://sqs.eu-west-1.amazonaws.com/123456789012/a.fifo", "/eventQueueURL"),
    "sync-period-with-events": ("syncPeriodWithEvents=1h", "/syncPeriodWithEvents"),
    "event-delay": ("eventDelay=-1", "/eventDelay"),
    "executor": ("executor=mitogen", "/executor"),
    "drift-check": ("driftCheck=sometimes", "/driftCheck"),
    "resync-workers": ("resyncWorkers=0", "/resyncWorkers"),
    "reserved-workers": ("reservedWorkers=-1", "/reservedWorkers"),
    "full-sync-period": ("fullSyncPeriod=24h", "/fullSyncPeriod"),
    "deletion-policy": ("deletionPolicy=Keep", "/deletionPolicy"),
    "orphan-policy": ("orphanPolicy=Delete", "/orphanPolicy"),
    "allowed-settings": ("allowedSettings={lifecycle}", "/allowedSettings/0"),
    "iam-path": ("iam.path=team", "/iam/path"),
    "iam-path-pattern": ("iam.path=/*/", "/iam/path"),
    "allowed-policy": ("iam.allowedPolicies={admin}", "/iam/allowedPolicies/0"),
    "tags": ("tags.team=1", "/tags/team"),
    "oidc-provider": ("iam.oidcProviderARN=photos", "/iam/oidcProviderARN"),
    "eks-cluster": ("iam.eksClusterARN=production", "/iam/eksClusterARN"),
    "annotate-service-accounts": ("iam.annotateServiceAccounts=always", "/iam/annotateServiceAccounts"),
    "boundary-name": ("iam.permissionsBoundary=tenant", "/iam/permissionsBoundary"),
    "misspelled-iam": ("iam.boundary=arn:aws:iam::123456789012:policy/tenant", "/iam"),
    "namespace": ("watchNamespaces={Team_A}", "/watchNamespaces/0"),
    "namespaces-text": ("watchNamespaces=team", "/watchNamespaces"),
    "endpoint": ("aws.endpointURL=minio:9000", "/aws/endpointURL"),
    "provider": ("aws.provider=Ceph", "/aws/provider"),
    "account-id": ("aws.accountID=of the store", "/aws/accountID"),
    "addressing-style": ("aws.addressingStyle=host", "/aws/addressingStyle"),
    "checksums": ("aws.checksums=never", "/aws/checksums"),
    "misspelled-ca": ("aws.caBundle.configmap=roots", "/aws/caBundle"),
    "proxy": ("proxy.https=proxy:3128", "/proxy/https"),
    "proxy-with-a-password": ("proxy.http=http://user:pass@proxy:3128", "/proxy/http"),
    "no-proxy-list-in-a-text": (r"proxy.noProxy={a\,b}", "/proxy/noProxy/0"),
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
    "max-unavailable": ("podDisruptionBudget.maxUnavailable=", "/podDisruptionBudget/maxUnavailable"),
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
    "label": ("resourceLabels.team=a b", "/resourceLabels/team"),
    "label-key": ("resourceLabels.a!b=c", "/resourceLabels"),
    "annotation": ("resourceAnnotations.team=$(HOME)", "/resourceAnnotations/team"),
    "tag-key": ("tags.a!b=c", "/tags"),
    "namespace-override": ("namespaceOverride=Team_A", "/namespaceOverride"),
}
# Values that the templates refuse, and a part of the message.
IMPOSSIBLE = {
    "no-section": ("metrics=null", "the value metrics is null"),
    "one-port-for-both": ("health.port=8080", "must differ"),
    "one-key-only": ("AWS_ACCESS_KEY_ID=AKIA", "given together"),
    "two-sources-of-keys": ("AWS_ACCESS_KEY_ID=a,AWS_SECRET_ACCESS_KEY=b,aws.existingSecret=c", "not both"),
    "two-bundles": ("aws.caBundle.configMap=a,aws.caBundle.secret=b", "not both"),
    "queue-of-a-store": (
        "aws.provider=Other,eventQueueURL=https://sqs.eu-central-1.amazonaws.com/111122223333/x",
        "eventQueueURL needs AWS",
    ),
    "event-delay-of-aws": (
        "eventDelay=299,eventQueueURL=https://sqs.eu-central-1.amazonaws.com/111122223333/x",
        "eventDelay must be at least 300",
    ),
    "too-many-replicas": ("sharding.enabled=true,replicas=17", "replicas must be at most 16"),
    "two-config-files": (
        "aws.addressingStyle=path,extraEnv[0].name=AWS_CONFIG_FILE,extraEnv[0].value=/x",
        "belongs in that file",
    ),
    "two-images": ("image.name=a:1,image.digest=sha256:%s" % ("0" * 64), "not both"),
    "two-monitors": ("metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true", "enable either"),
    "hook-for-all": (r"commonAnnotations.helm\.sh/hook=pre-install", "commonAnnotations must not have helm.sh/hook"),
    "kept-deployment": (r"deploymentAnnotations.helm\.sh/resource-policy=keep", "deploymentAnnotations must not have"),
    "values-of-an-earlier-version": ("metrics.podMonitor=null", "--reset-then-reuse-values"),
}


def rounds() -> list[list[str]]:
    """The ids of REFUSED, in groups of cases that can all be given at once.

    Helm reports every value that it refuses.
    """
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
    """What must be unique within a group: the value that is set, and the path in the message."""
    given, place = REFUSED[name]
    return given.partition("=")[0].partition("[")[0], place


def is_named(output: str, place: str) -> bool:
    """Whether an error is about this path itself, and not about something below it."""
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


def test_every_template_checks_first_that_no_section_is_missing() -> None:
    templates = CHART / "templates"
    first = {path.name: path.read_text().splitlines()[0] for path in templates.rglob("*.yaml")}
    assert set(first.values()) == {'{{- include "s3-operator.checkValues" . }}'}, first
    helper = (templates / "_helpers.tpl").read_text()
    checked = set(re.findall(r'"([^"]+)"', helper.partition("{{- range list ")[2].partition("-}}")[0]))
    # Maps of Kubernetes types are used as a whole or not at all.
    whole = {"podSecurityContext", "resources", "securityContext"}
    assert {name for name, value in VALUES.items() if isinstance(value, dict) and value} - whole <= checked


def closed_maps(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The paths of the maps, outside lists, of which the schema lists all keys."""
    if schema.get("additionalProperties") is False:
        yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from closed_maps(child, f"{path}/{name}")


def open_maps(schema: Any, path: str = "") -> Iterator[str]:
    """The maps of which the schema lists the known keys, but accepts unknown ones."""
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
        section["unknown!"] = "x"
    assert sorted(unnamed(given, places, helm, tmp_path)) == []


@pytest.mark.parametrize("helm", HELMS)
def test_wrong_type_is_refused_in_every_value(helm: str, tmp_path: Path) -> None:
    # A list where another type is expected, or a string where a list is expected.
    given = nested({place: "x" if isinstance(row.given, list) else [1] for place, (_, row) in ROWS.items()})
    places = [f"/{place.replace('.', '/')}" for place in ROWS]
    assert sorted(unnamed(given, places, helm, tmp_path)) == []


def unnamed(given: dict[str, Any], places: list[str], helm: str, folder: Path) -> list[str]:
    """The paths of wrong values that Helm's message does not name."""
    (folder / "bad.yaml").write_text(yaml.safe_dump(given))
    done = run_helm("template", "s3-operator", str(CHART), f"--values={folder / 'bad.yaml'}", helm=helm)
    assert done.returncode != 0
    return [place for place in places if not is_named(done.stdout, place)]
