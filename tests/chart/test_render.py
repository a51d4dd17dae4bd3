"""What the chart renders, and which values it refuses."""

from __future__ import annotations

import base64
import json
import re
import shutil
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from runner import __version__
from runner.cli import main
from runner.control.metrics import Metrics
from runner.kube.shard_leases import SHARDS, replica_lease, shard_lease
from runner.yaml_file import read_yaml
from s3bucket.role_settings import read_deployment, watches
from tests.support.chart import CHART, EVERYTHING, HELMS, OPENSHIFT, find, objects_in, pods, render, run_helm, settings
from tests.support.world import PROJECT

CRD = PROJECT / "crds" / "s3s.agill.apps.yaml"
VALUES = read_yaml(CHART / "values.yaml")


def test_crd_is_that_of_crds_and_stays(everything: list[dict[str, Any]]) -> None:
    rendered = find(everything, "CustomResourceDefinition")
    assert rendered["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert rendered["spec"] == read_yaml(CRD)["spec"]


def test_versions_are_those_of_the_operator(everything: list[dict[str, Any]]) -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)
    assert {pod["containers"][0]["image"] for pod in pods(everything)} == {f"agill17/s3-operator:{__version__}"}


def test_artifact_hub_shows_this_image_crd_and_example() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    shown = {key.partition("/")[2]: yaml.safe_load(value) for key, value in chart["annotations"].items()}
    assert [item["image"] for item in shown["images"]] == [f"agill17/s3-operator:{__version__}"]
    crd = read_yaml(CRD)
    [version] = [item["name"] for item in crd["spec"]["versions"]]
    [named] = shown["crds"]
    assert (named["kind"], named["version"], named["name"]) == ("S3", version, crd["metadata"]["name"])
    assert shown["crdsExamples"] == [yaml.safe_load((PROJECT / "examples" / "minimal.yaml").read_text())]
    # The icon is a file of this repository.
    assert chart["icon"].startswith("https://raw.githubusercontent.com/agill17/s3-operator/main/")
    assert (PROJECT / chart["icon"].partition("/main/")[2]).read_text().startswith("<svg")


@pytest.mark.parametrize("helm", HELMS)
def test_lint_is_clean(helm: str) -> None:
    done = run_helm("lint", "--strict", str(CHART), helm=helm)
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


def test_go_charts_values_are_taken(tmp_path: Path) -> None:
    values = yaml.safe_load((PROJECT / "tests" / "chart" / "go-operator" / "values.yaml").read_text())
    objects = render(values={**values, "syncPeriod": "60"}, folder=tmp_path)
    container = find(objects, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert (container["image"], container["imagePullPolicy"]) == ("agill17/s3-operator:0.6.7", "Always")
    assert "--sync-period=60" in container["args"]
    # Rendered from devLogs.
    assert {"--log-format=text", "--log-level=debug"} <= set(container["args"])


def test_keys_are_in_a_secret_that_is_mounted_and_nowhere_else(everything: list[dict[str, Any]]) -> None:
    secret = find(everything, "Secret")
    text = base64.b64decode(secret["data"]["credentials"]).decode()
    assert text == ("[default]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = plain/secret+value\n")
    others = json.dumps([item for item in everything if item["kind"] != "Secret"])
    assert "plain/secret+value" not in others
    assert "AKIAEXAMPLE" not in others
    for pod in pods(everything):
        names = {item["name"]: item.get("value") for item in pod["containers"][0]["env"]}
        assert names["AWS_SHARED_CREDENTIALS_FILE"] == "/etc/s3-operator/aws/credentials"
        volume = next(volume for volume in pod["volumes"] if volume["name"] == "aws")
        assert volume["secret"]["secretName"] == secret["metadata"]["name"]


def test_existing_secret_is_mounted_with_its_own_key_and_none_is_made() -> None:
    objects = render("--set=aws.existingSecret=mine,aws.existingSecretKey=file,aws.profile=prod")
    assert not [item for item in objects if item["kind"] == "Secret"]
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    volume = next(volume for volume in pod["volumes"] if volume["name"] == "aws")
    assert volume["secret"]["secretName"] == "mine"
    assert volume["secret"]["items"] == [{"key": "file", "path": "credentials"}]
    assert {"name": "AWS_PROFILE", "value": "prod"} in pod["containers"][0]["env"]


def test_role_of_the_service_account_is_applied_and_needs_no_secret() -> None:
    arn = "arn:aws:iam::123456789012:role/s3-operator"
    objects = render("--set", f"serviceAccount.annotations.eks\\.amazonaws\\.com/role-arn={arn}")
    account = find(objects, "ServiceAccount")
    assert account["metadata"]["annotations"] == {"eks.amazonaws.com/role-arn": arn}
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    assert {volume["name"] for volume in pod["volumes"]} == {"work", "tmp"}
    assert "AWS_SHARED_CREDENTIALS_FILE" not in json.dumps(pod)


def test_service_account_of_others_is_used_and_not_made() -> None:
    objects = render("--set=serviceAccount.create=false,serviceAccount.name=custom")
    assert not [item for item in objects if item["kind"] == "ServiceAccount"]
    assert find(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "custom"
    assert {item["subjects"][0]["name"] for item in objects if item["kind"].endswith("Binding")} == {"custom"}


def test_every_pod_is_hardened(everything: list[dict[str, Any]]) -> None:
    assert len(pods(everything)) == 2
    for pod in pods(everything):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 1001
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        context = pod["containers"][0]["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        work = next(volume for volume in pod["volumes"] if volume["name"] == "work")
        assert work["emptyDir"]["medium"] == "Memory"
    container = find(everything, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert {"livenessProbe", "readinessProbe", "resources"} <= set(container)


@pytest.mark.parametrize("helm", HELMS)
def test_null_removes_a_field_of_a_security_context(helm: str, tmp_path: Path) -> None:
    given = {
        "podSecurityContext": {"runAsUser": None, "fsGroup": 1000680000, "seccompProfile": {"type": None}},
        "securityContext": {"readOnlyRootFilesystem": None, "runAsUser": 1000680000, "capabilities": None},
    }
    umbrella = make_umbrella(tmp_path / "umbrella", {})
    for objects in (
        render(values=given, folder=tmp_path, helm=helm),
        render(values={"s3-operator": given}, folder=tmp_path, helm=helm, chart=umbrella),
    ):
        assert len(pods(objects)) == 2
        for pod in pods(objects):
            assert pod["securityContext"] == {"runAsNonRoot": True, "runAsGroup": 1001, "fsGroup": 1000680000}
            assert pod["containers"][0]["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "runAsUser": 1000680000,
            }


@pytest.mark.parametrize("helm", HELMS)
def test_empty_text_removes_an_id_in_a_parent_charts_values(helm: str, tmp_path: Path) -> None:
    # Helm removes the nulls in a parent chart's own values.yaml before they reach a dependency.
    given = {"podSecurityContext": {"runAsUser": "", "runAsGroup": "", "fsGroup": ""}}
    for pod in pods(render(helm=helm, chart=make_umbrella(tmp_path / "umbrella", given))):
        assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@pytest.mark.parametrize("helm", HELMS)
def test_null_removes_a_whole_security_context(helm: str) -> None:
    for pod in pods(render("--set=podSecurityContext=null,securityContext=null", helm=helm)):
        assert "securityContext" not in pod
        assert "securityContext" not in pod["containers"][0]


def make_umbrella(folder: Path, values: dict[str, Any]) -> Path:
    """Create a chart that has this chart as its dependency."""
    shutil.copytree(CHART, folder / "charts" / "s3-operator")
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
    dependency = {"name": "s3-operator", "version": version}
    chart = {"apiVersion": "v2", "name": "umbrella", "version": "1.0.0", "dependencies": [dependency]}
    (folder / "Chart.yaml").write_text(yaml.safe_dump(chart))
    (folder / "values.yaml").write_text(yaml.safe_dump({"s3-operator": values}))
    return folder


def test_helm_3_and_helm_4_render_the_same_on_openshift() -> None:
    four, three = (render(*EVERYTHING, OPENSHIFT, helm=helm) for helm in HELMS)
    assert three == four


def test_nothing_runs_at_an_uninstall(everything: list[dict[str, Any]]) -> None:
    # A hook waits for its Pod. A quota, a policy, a sidecar or a registry could keep that Pod from completing.
    hooks = {item["metadata"].get("annotations", {}).get("helm.sh/hook") for item in everything}
    assert hooks == {None, "test"}


def test_values_of_the_removed_uninstall_hook_are_still_accepted(defaults: list[dict[str, Any]]) -> None:
    assert render("--set=uninstallWarning.enabled=false") == defaults


def test_test_pod_has_resources_labels_and_annotations(defaults: list[dict[str, Any]], tmp_path: Path) -> None:
    pod = find(defaults, "Pod")
    assert pod["spec"]["containers"][0]["resources"] == VALUES["testPod"]["resources"]
    assert {"cpu", "memory"} == set(VALUES["testPod"]["resources"]["limits"])
    assert pod["metadata"]["labels"]["sidecar.istio.io/inject"] == "false"
    assert pod["metadata"]["annotations"]["linkerd.io/inject"] == "disabled"
    given = {"labels": {"team": "a"}, "annotations": {"b": "c"}, "resources": {"limits": {"cpu": "2"}}}
    pod = find(render(values={"testPod": given}, folder=tmp_path), "Pod")
    assert pod["metadata"]["labels"]["team"] == "a"
    assert pod["metadata"]["annotations"]["b"] == "c"
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"cpu": "2", "memory": "256Mi"}


def allowed(policy: dict[str, Any], address: str, protocol: str, port: int) -> bool:
    """Whether the egress rules of a NetworkPolicy allow a connection, as the API reference defines it."""
    for rule in policy["spec"]["egress"]:
        peers = [ip_network(peer["ipBlock"]["cidr"]) for peer in rule.get("to") or []]
        ports = [(item["protocol"], item["port"]) for item in rule.get("ports") or []]
        is_peer = not peers or any(ip_address(address) in peer for peer in peers)
        if is_peer and (not ports or (protocol, port) in ports):
            return True
    return False


# Sources: Amazon EKS, "EKS Pod Identity restrictions"; Amazon EC2, "Use the Instance Metadata Service"; OpenShift, "DNS
# Operator": the Pods of dns-default listen on 5353.
REACHED = {
    "pod-identity": ("169.254.170.23", "TCP", 80),
    "pod-identity-ipv6": ("fd00:ec2::23", "TCP", 80),
    "imds": ("169.254.169.254", "TCP", 80),
    "imds-ipv6": ("fd00:ec2::254", "TCP", 80),
    "dns": ("10.0.0.10", "UDP", 53),
    "dns-tcp": ("10.0.0.10", "TCP", 53),
    "dns-openshift": ("10.128.0.5", "UDP", 5353),
    "aws": ("52.95.110.1", "TCP", 443),
}


@pytest.mark.parametrize(("address", "protocol", "port"), REACHED.values(), ids=REACHED)
def test_network_policy_lets_the_operator_reach(
    everything: list[dict[str, Any]], address: str, protocol: str, port: int
) -> None:
    assert allowed(find(everything, "NetworkPolicy"), address, protocol, port)


def test_network_policy_allows_only_what_is_listed(everything: list[dict[str, Any]], tmp_path: Path) -> None:
    policy = find(everything, "NetworkPolicy")
    # Not allowed: port 80 of other hosts, other ports of the link-local address, and ports next to the DNS ports.
    assert not allowed(policy, "10.0.0.1", "TCP", 80)
    assert not allowed(policy, "169.254.169.254", "TCP", 8080)
    assert not allowed(policy, "10.0.0.10", "UDP", 5354)
    given = {"enabled": True, "dnsPorts": [8053], "egressPorts": [], "credentialEndpoints": []}
    policy = find(render(values={"networkPolicy": given}, folder=tmp_path), "NetworkPolicy")
    assert allowed(policy, "10.0.0.10", "UDP", 8053)
    # An empty list allows nothing. A rule without ports would allow everything.
    assert not allowed(policy, "52.95.110.1", "TCP", 443)
    assert not allowed(policy, "169.254.170.23", "TCP", 80)


def test_network_policy_allows_the_ports_of_endpoints_and_proxies() -> None:
    endpoints = (
        "aws.endpointURL=http://minio:9000,aws.iamEndpointURL=http://[fd00::1]:9001,aws.stsEndpointURL=http://sts"
    )
    proxies = "proxy.https=http://proxy:3128,proxy.http=http://[fd00::2]:3129"
    policy = find(render(f"--set=networkPolicy.enabled=true,{endpoints},{proxies}"), "NetworkPolicy")
    for port in (9000, 9001, 80, 3128, 3129):
        assert allowed(policy, "10.0.0.1", "TCP", port)
    assert not allowed(policy, "10.0.0.1", "TCP", 9002)


@pytest.mark.parametrize(
    "given",
    [
        {"proxy": {"https": "http://proxy:3128"}},
        {"proxy": {"noProxy": ["store"]}},
        {"extraEnv": [{"name": "HTTPS_PROXY", "valueFrom": {"secretKeyRef": {"name": "proxy", "key": "url"}}}]},
    ],
    ids=["value", "only exceptions", "proxy with a password"],
)
def test_api_server_is_never_reached_through_a_proxy(given: dict[str, Any], tmp_path: Path) -> None:
    def no_proxy(given: dict[str, Any]) -> str:
        (container,) = pods(render(values=given, folder=tmp_path))[0]["containers"]
        return str({item["name"]: item.get("value") for item in container["env"]}.get("NO_PROXY"))

    hosts = no_proxy(given).split(",")
    assert {"$(KUBERNETES_SERVICE_HOST)", "169.254.169.254", *given.get("proxy", {}).get("noProxy", [])} <= {*hosts}
    own = [*given.get("extraEnv", []), {"name": "NO_PROXY", "value": "mine"}]
    assert no_proxy({**given, "extraEnv": own}) == "mine"


def test_environment_has_no_proxy_by_default() -> None:
    (container,) = pods(render())[0]["containers"]
    assert not [item for item in container["env"] if "PROXY" in item["name"]]


@pytest.mark.parametrize("helm", HELMS)
def test_large_numbers_of_a_values_file_stay_numbers(helm: str, tmp_path: Path) -> None:
    # Helm reads numbers as floats, and Go prints floats from a million on as 1e+06.
    given = {
        "syncPeriod": 2000000,
        "runTimeout": 1000000,
        "fullSyncPeriod": 1000000,
        "terminationGracePeriodSeconds": 1000000,
    }
    deployment = find(render(values=given, folder=tmp_path, helm=helm), "Deployment")
    arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"]
    assert {"--sync-period=2000000", "--run-timeout=1000000", "--full-sync-period=1000000"} <= set(arguments)
    assert deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 1000000


def test_names_that_yaml_takes_for_numbers_stay_text() -> None:
    # Releases and namespaces may have such names, and Kubernetes rejects a label with a number as its value.
    arguments = ("2024", str(CHART), "--namespace=1e3", "--set=serviceAccount.create=false")
    done = run_helm("template", *arguments, "--set-string=serviceAccount.name=0,aws.existingSecret=8")
    assert done.returncode == 0, done.stdout
    for item in objects_in(done.stdout):
        assert item["metadata"].get("namespace") in (None, "1e3", "kube-system")
        assert all(isinstance(value, str) for value in item["metadata"]["labels"].values())
        assert item["metadata"]["labels"]["app.kubernetes.io/instance"] == "2024"
        for subject in item.get("subjects", []):
            assert (subject["name"], subject["namespace"]) == ("0", "1e3")
    for pod in pods(objects_in(done.stdout)):
        assert pod["serviceAccountName"] == "0"
        assert {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume} == {"8"}


def test_values_that_repeat_a_key_of_the_chart_render(tmp_path: Path) -> None:
    # YAML allows a key only once, and a server-side apply allows an environment variable only once.
    repeated = {"app.kubernetes.io/name": "x", "team": "a"}
    given = {
        "extraLabels": repeated,
        "podLabels": {"name": "x", "team": "b"},
        "podAnnotations": {"kubectl.kubernetes.io/default-container": "sidecar"},
        "testPod": {"labels": repeated, "annotations": {"helm.sh/hook": "pre-delete"}},
        "extraEnv": [{"name": "HOME", "value": "/home"}, {"name": "AWS_DEFAULT_REGION", "value": "eu-west-1"}],
        "metrics": {"serviceMonitor": {"enabled": True, "labels": {"team": "c"}}},
    }
    objects = render(values=given, folder=tmp_path)
    template = find(objects, "Deployment")["spec"]["template"]
    # The chart's value of the selector label wins. A label of the Pod wins over a label of all objects.
    assert template["metadata"]["labels"] == {
        "name": "s3-operator",
        "app.kubernetes.io/name": "s3-operator",
        "app.kubernetes.io/instance": "s3-operator",
        "team": "b",
    }
    assert template["metadata"]["annotations"] == {"kubectl.kubernetes.io/default-container": "sidecar"}
    assert find(objects, "Pod")["metadata"]["annotations"]["helm.sh/hook"] == "test"
    for pod in pods(objects):
        environment = pod["containers"][0]["env"]
        assert len(environment) == len({item["name"] for item in environment})
        assert {"name": "HOME", "value": "/home"} in environment


def test_deployment_keeps_the_go_operators_selector(everything: list[dict[str, Any]]) -> None:
    deployment = find(everything, "Deployment")
    assert deployment["metadata"]["name"] == "s3-operator"
    assert deployment["spec"]["selector"] == {"matchLabels": {"name": "s3-operator"}}
    assert deployment["spec"]["template"]["metadata"]["labels"]["name"] == "s3-operator"


def test_extra_labels_are_on_everything(everything: list[dict[str, Any]]) -> None:
    without = [item["kind"] for item in everything if item["metadata"]["labels"].get("team") != "storage"]
    assert without == []


def test_off_by_default(defaults: list[dict[str, Any]]) -> None:
    kinds = {item["kind"] for item in defaults}
    assert not kinds & {"NetworkPolicy", "PodDisruptionBudget", "ServiceMonitor", "PrometheusRule", "Service", "Secret"}


def test_replicas_that_all_work_are_spread_and_one_at_a_time_may_be_unavailable() -> None:
    objects = render("--set=sharding.enabled=true,replicas=3")
    deployment = find(objects, "Deployment")["spec"]
    assert deployment["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    term = deployment["template"]["spec"]["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ][0]["podAffinityTerm"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= deployment["template"]["metadata"]["labels"].items()
    assert find(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1
    own = render("--set=sharding.enabled=true,topologySpreadConstraints[0].maxSkew=1")
    assert "affinity" not in find(own, "Deployment")["spec"]["template"]["spec"]
    assert "PodDisruptionBudget" not in {item["kind"] for item in own}


def test_rights_to_leases_name_each_and_are_those_of_the_code() -> None:
    role = next(item for item in render() if item["kind"] == "Role" and item["metadata"]["name"].endswith("-lease"))
    names = {name for rule in role["rules"] if "update" in rule["verbs"] for name in rule["resourceNames"]}
    shared = {name("s3-operator", number) for name in (shard_lease, replica_lease) for number in range(SHARDS)}
    assert names == shared | {"s3-operator"}


def test_watched_namespaces_have_a_role_each_and_secrets_no_other() -> None:
    objects = render("--set=watchNamespaces={team-a,team-b},rbac.aggregate=false")
    roles = {item["metadata"]["namespace"]: item["rules"] for item in objects if item["kind"] == "Role"}
    assert roles.keys() == {"s3-operator", "team-a", "team-b"}
    assert roles["team-a"] == roles["team-b"]
    of_cluster = find(objects, "ClusterRole")["rules"]
    assert not {"secrets", "services"} & {resource for rule in of_cluster for resource in rule["resources"]}
    # A release that watches all namespaces has the same rules in its ClusterRole.
    assert [rule for rule in find(render("--set=rbac.aggregate=false"), "ClusterRole")["rules"]
            if rule["resources"] != ["namespaces"]] == [
                *(rule for rule in of_cluster if rule["resources"] != ["namespaces"]), *roles["team-a"]]  # fmt: skip
    assert {settings(pod)["WATCH_NAMESPACE"] for pod in pods(objects)} == {"team-a,team-b"}


ENDPOINTS = {
    "one-for-all": ("aws.endpointURL=http://minio.storage:9000", {"AWS_ENDPOINT_URL": "http://minio.storage:9000"},
                    "minio.storage"),
    "s3-only": ("aws.s3EndpointURL=https://s3.example.com", {"AWS_ENDPOINT_URL_S3": "https://s3.example.com"},
                "s3.example.com"),
    "name-given": ("aws.endpointURL=http://a:1,serviceExternalName=b.example", {"AWS_ENDPOINT_URL": "http://a:1"},
                   "b.example"),
    "ipv6": ("aws.endpointURL=http://[fd00::1]:9000", {"AWS_ENDPOINT_URL": "http://[fd00::1]:9000"}, "fd00::1"),
    # With an IP address the operator creates no Services.
    "ipv4": ("aws.endpointURL=http://10.0.0.1:9000", {"AWS_ENDPOINT_URL": "http://10.0.0.1:9000"}, "10.0.0.1"),
    "upper-case": ("aws.s3EndpointURL=https://S3.Example.COM:9000", {"AWS_ENDPOINT_URL_S3": "https://S3.Example.COM:9000"},
                   "s3.example.com"),
    "name-upper-case": ("serviceExternalName=B.Example", {}, "b.example"),
    "iam-only": ("aws.iamEndpointURL=https://iam.example", {"AWS_ENDPOINT_URL_IAM": "https://iam.example"}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("given", "environment", "external_name"), ENDPOINTS.values(), ids=ENDPOINTS)
def test_endpoint_reaches_operator_and_services(given: str, environment: dict[str, str], external_name: str) -> None:
    for pod in pods(render(f"--set={given}")):
        found = settings(pod)
        assert {name: value for name, value in found.items() if name.startswith("AWS_ENDPOINT")} == environment
        assert found.get("SERVICE_EXTERNAL_NAME", "") == external_name


def test_nothing_in_the_chart_is_bound_to_one_ip_family(everything: list[dict[str, Any]]) -> None:
    text = json.dumps([item for item in everything if item["kind"] != "NetworkPolicy"])
    assert not re.search(r"[0-9]+(\.[0-9]+){3}", text.replace(__version__, ""))
    container = find(everything, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert {"--metrics-bind-address=:8080", "--health-probe-bind-address=:8081"} <= set(container["args"])
    for probe in ("livenessProbe", "readinessProbe"):
        # Without a host, the kubelet uses the Pod's own address, whether IPv4 or IPv6.
        assert set(container[probe]["httpGet"]) == {"path", "port"}
    assert "ipFamilies" not in find(everything, "Service")["spec"]


def test_path_boundary_tags_and_allowed_policies_reach_the_operator(defaults: list[dict[str, Any]]) -> None:
    boundary = "arn:aws:iam::123456789012:policy/s3-operator-tenant"
    arns = "arn:aws:iam::aws:policy/a,arn:aws:iam::123456789012:policy/b"
    given = render(
        f"--set=iam.path=/s3-operator/,iam.permissionsBoundary={boundary}",
        '--set-json=tags={"team":"photos","cost center":"1"}',
        f"--set=iam.allowedPolicies={{{arns}}},iam.allowedGroups={{staff}}",
    )
    for pod in pods(given):
        found = settings(pod)
        assert (found["IAM_PATH"], found["PERMISSIONS_BOUNDARY"]) == ("/s3-operator/", boundary)
        assert json.loads(found["TAGS"]) == {"team": "photos", "cost center": "1"}
        assert (found["ALLOWED_POLICIES"], found["ALLOWED_GROUPS"]) == (arns, "staff")
    for pod in pods(defaults):
        names = {"IAM_PATH", "PERMISSIONS_BOUNDARY", "TAGS", "ALLOWED_POLICIES", "ALLOWED_GROUPS"}
        assert not names & set(settings(pod))


@pytest.mark.parametrize(
    ("value", "expected"),
    [("null", None), ("[]", "none"), ('["all"]', "all"), ('["logging","corsRules"]', "logging,corsRules")],
)
def test_allowed_settings_reach_the_operator_and_an_empty_list_allows_none(value: str, expected: str | None) -> None:
    for pod in pods(render(f"--set-json=allowedSettings={value}")):
        assert settings(pod).get("ALLOWED_SETTINGS") == expected


def test_every_command_in_the_pod_has_the_operators_settings() -> None:
    # kubectl exec gives a command (check, plan, warn-uninstall) the container's environment, but not its arguments.
    given = "--set=watchNamespaces={a,b},clusterName=prod,deletionPolicy=Retain,serviceExternalName=s3.example"
    wanted = {
        "WATCH_NAMESPACE": "a,b",
        "LEADER_ELECTION_NAMESPACE": "s3-operator",
        "LEASE_NAME": "s3-operator",
        "CLUSTER_NAME": "prod",
        "DELETION_POLICY": "Retain",
        "SERVICE_EXTERNAL_NAME": "s3.example",
    }
    for pod in pods(render(given)):
        assert wanted.items() <= settings(pod).items()
    # The chart uses the same names as the command line.
    options = {name for command in main.commands.values() for option in command.params for name in names(option)}
    assert wanted.keys() <= options
    assert {"IAM_PATH", "PERMISSIONS_BOUNDARY"} <= options


def names(option: click.Parameter) -> set[str]:
    """The environment variables of a command-line option."""
    return {option.envvar} if isinstance(option.envvar, str) else set(option.envvar or ())


def test_alerts_name_metrics_that_exist(everything: list[dict[str, Any]]) -> None:
    rules = find(everything, "PrometheusRule")["spec"]["groups"][0]["rules"]
    named = {name for rule in rules for name in re.findall(r"s3_operator_[a-z_]+", rule["expr"])}
    served = {sample for family in Metrics().registry.collect() for sample in (family.name, f"{family.name}_total")}
    assert named
    assert named <= served
    assert all("{{ $labels" not in rule["expr"] for rule in rules)
    # Helm must not evaluate the templates of Prometheus.
    assert any("{{ $labels.namespace }}" in rule["annotations"]["summary"] for rule in rules)


def test_monitor_selects_the_service_and_the_service_the_pod(everything: list[dict[str, Any]]) -> None:
    service = find(everything, "Service")
    monitor, deployment = find(everything, "ServiceMonitor"), find(everything, "Deployment")
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    budget = find(everything, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"]
    policy = find(everything, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    for selector in (service["spec"]["selector"], budget, policy):
        assert selector.items() <= labels.items()
    ports = {port["name"] for port in deployment["spec"]["template"]["spec"]["containers"][0]["ports"]}
    assert service["spec"]["ports"][0]["targetPort"] in ports
    assert monitor["spec"]["endpoints"][0]["port"] == service["spec"]["ports"][0]["name"]


def test_two_releases_share_no_object_of_the_cluster() -> None:
    def names(release: str, namespace: str) -> set[str]:
        done = run_helm("template", release, str(CHART), f"--namespace={namespace}", "--set=crds.install=false")
        items = objects_in(done.stdout)
        return {f"{item['kind']}/{item['metadata']['name']}" for item in items if item["kind"].startswith("Cluster")}

    first = names("s3-operator", "a")
    assert first
    assert not first & names("s3-operator", "b")
    assert not names("one", "a") & names("two", "a")


def test_executor_and_drift_check_are_flags(defaults: list[dict[str, Any]]) -> None:
    # Other values are tested with tests/support/chart_values.py.
    flags = ("--executor", "--drift-check", "--no-drift-check", "--resync-workers", "--full-sync-period")
    wanted = ["--executor=warm", "--drift-check", "--resync-workers=8", "--full-sync-period=86400"]
    arguments = find(defaults, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    assert [text for text in arguments if text.startswith(flags)] == wanted


def test_playbooks_read_the_settings_of_the_deployment() -> None:
    policy = "arn:aws:iam::123456789012:policy/tenant"
    given = (
        "--set=clusterName=prod,deletionPolicy=Retain,iam.path=/a/,iam.allowedGroups={x,y},tags.team=a,"
        "resourceLabels.team=b,resourceAnnotations.note=c,"
        "allowedSettings={requesterPays,corsRules}"
    )
    rendered = find(render(given, f"--set=iam.permissionsBoundary={policy},watchNamespaces={{team}}"), "Deployment")
    read = read_deployment(rendered)
    assert read is not None
    assert (read.unknown, read.given) == ({}, {
        "cluster_name": "prod", "deletion_policy": "Retain", "iam_path": "/a/", "permissions_boundary": policy,
        "allowed_groups": ["x", "y"], "tags": {"team": "a"}, "resource_labels": {"team": "b"},
        "resource_annotations": {"note": "c"}, "allowed_settings": ["corsRules", "requesterPays"],
    })  # fmt: skip
    assert [watches(rendered, name) for name in ("team", "other")] == [True, False]
    # The playbooks find the Deployment by this label, whatever its name is.
    assert rendered["metadata"]["labels"]["helm.sh/chart"].startswith("s3-operator-")
