"""A run uses one connection: everything that the role reads and writes is in one cluster and one AWS account.

The user can choose them in several ways. A run must reach the chosen ones and send no request to the others, so the
requests to both clusters and both accounts are counted. By default, a run's environment names the first cluster and
the first account.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from typing import Any

import ansible_collections
import botocore.session
import pytest
import yaml
from ansible.parsing.vault import VaultLib, VaultSecret

from s3bucket.api import GROUP, PLURAL, VERSION
from tests.direct.project import Account, Cluster, Project, Run, warm_ansible
from tests.support.versions import COLLECTIONS
from tests.support.world import PROJECT, World

# A word that no output may contain.
SECRET = "secret-word"


VAULT_PASSWORD = "open-sesame"


def encrypted(text: str) -> str:
    """A text, encrypted as ansible-vault does."""
    return str(VaultLib([("default", VaultSecret(VAULT_PASSWORD.encode()))]).encrypt(text).decode())


@dataclass
class Two:
    """A project, and the cluster and account that its environment does not name."""

    project: Project
    cluster: Cluster
    account: Account
    more: dict[str, str] = field(default_factory=dict)
    """Further variables of the environment."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a user with one profile for each account. Each profile has the account's endpoint."""
        aws = {name: str(self.project.folder / f"aws-{name}") for name in ("config", "credentials")}
        return {
            "KUBECONFIG": str(self.project.cluster.kubeconfig),
            "AWS_CONFIG_FILE": aws["config"],
            "AWS_SHARED_CREDENTIALS_FILE": aws["credentials"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PROFILE": "account",
            # With pipelining, a run takes a fifth of the time.
            "ANSIBLE_PIPELINING": "1",
            **self.more,
        }

    def run(self, playbook: str | Path, *arguments: str, **environment: str) -> Run:
        """Run a playbook. Environment variables with an empty value are not set."""
        given = {**self.environment, **environment}
        return self.project.run(
            playbook, *arguments, environment={name: value for name, value in given.items() if value}
        )

    def write_vaulted(self, **values: str) -> None:
        """Write variables of all hosts, each encrypted with ansible-vault."""
        lines = [f"{name}: !vault |\n{indent(encrypted(value), '  ')}" for name, value in values.items()]
        self.project.write("inventory/host_vars/localhost.yml", "\n".join(lines))

    def write_play(self, name: str, *plays: dict[str, Any]) -> list[dict[str, Any]]:
        """Write a playbook. Each play runs the role on an object of its own. Returns the objects.

        :param plays: their keywords, the ``variables`` of the role, and how many ``times`` the role is run, by default
            once. Only objects with more than one run have an IAM user, because a user doubles the duration of a run.
        """
        texts, crs = [], []
        for number, play in enumerate(plays):
            user = f"{name}-{number}"
            times = play.get("times", 1)
            spec = {"iamUser": {"username": user}} if times > 1 else {}
            crs.append(self.project.write_cr(user, "default", bucketName=user, **spec))
            keywords = {key: value for key, value in play.items() if key not in ("variables", "times")}
            variables = {
                "s3bucket_cr": f"{{{{ lookup('file', 'crs/{user}.yml') | from_yaml }}}}",
                "s3bucket_fail_on_error": False,
                **play.get("variables", {}),
            }
            role = {"ansible.builtin.include_role": {"name": "s3bucket"}, "vars": variables}
            tasks = [role] * times
            texts.append({"hosts": "all", "gather_facts": False, "tasks": tasks, **keywords})
        self.project.write("site.yml", texts)
        return crs


@pytest.fixture
def refusing(two: Two, world: World, tmp_path: Path) -> Iterator[Two]:
    """The project with the ansible-playbook of a warm process, for plays that the role refuses: its code does that."""
    with warm_ansible(two.project, world.environment(), tmp_path / "warm") as (program, environment):
        two.project.program, two.more = program, environment
        yield two


@pytest.fixture
def two(project: Project, other_cluster: Cluster, other_account: Account) -> Two:
    lines: dict[str, str] = {"config": "", "credentials": ""}
    for account in (project.account, other_account):
        key_id, secret = account.keys()
        endpoint = f"region = us-east-1\nendpoint_url = {account.aws.endpoint_url}"
        lines["config"] += f"[profile {account.name}]\n{endpoint}\n"
        keys = f"aws_access_key_id = {key_id}\naws_secret_access_key = {secret}"
        lines["credentials"] += f"[{account.name}]\n{keys}\n"
    for name, text in lines.items():
        project.write(f"aws-{name}", text)
    configs = [yaml.safe_load(cluster.kubeconfig.read_text()) for cluster in (project.cluster, other_cluster)]
    for name, config in zip(("cluster", "other"), configs, strict=True):
        for entry in (*config["clusters"], *config["users"], *config["contexts"]):
            entry["name"] = name
        config["contexts"][0]["context"] = {"cluster": name, "user": name}
    merged = {key: configs[0][key] + configs[1][key] for key in ("clusters", "users", "contexts")}
    project.write("merged", {**configs[0], **merged, "current-context": "cluster"})
    return Two(project, other_cluster, other_account)


def keys_of(account: Account) -> dict[str, str]:
    """The access key of an account, in the variables that AWX's AWS credential sets."""
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    return {**dict(zip(names, account.keys(), strict=True)), "AWS_ENDPOINT_URL": account.aws.endpoint_url}


def assert_other_side_only(two: Two, run: Run, crs: list[dict[str, Any]]) -> None:
    """Each object is Ready, with one access key after two runs.

    The first cluster and the first account received no request.
    """
    with_user = [cr for cr in crs if "iamUser" in cr["spec"]]
    assert run.code == 0, run.output
    assert [result["reason"] for result in run.results()] == ["Ready"] * (len(crs) + len(with_user)), run.output
    assert [result["changed"] for result in run.results()].count([]) == len(with_user)
    assert (run.kubernetes["cluster"], run.aws["account"]) == ([], [])
    assert None not in [two.cluster.world.service(cr) for cr in crs]
    assert run.aws_writes("other_account").count("CreateAccessKey") == len(with_user)
    secrets = [two.cluster.api_key, two.account.keys()[1], *(two.cluster.world.credentials(cr)[1] for cr in with_user)]
    assert not [secret for secret in secrets if secret in run.output]


def test_environment_k8s_auth_kubeconfig_and_aws_profile_name_the_connection(two: Two, new_name: Any) -> None:
    # AWX sets some variables to the empty string. These count as not set, so the profile is used.
    empty = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "")
    crs = two.write_play(new_name("direct"), {"times": 2, "environment": empty})
    run = two.run("site.yml", K8S_AUTH_KUBECONFIG=str(two.cluster.kubeconfig), AWS_PROFILE="other_account")
    assert_other_side_only(two, run, crs)


def test_environment_that_awx_injects_names_the_connection(two: Two, new_name: Any) -> None:
    # tests/direct/test_awx.py has an object with a user.
    crs = two.write_play(new_name("direct"), {})
    injected = {
        "K8S_AUTH_HOST": two.cluster.host,
        "K8S_AUTH_API_KEY": two.cluster.api_key,
        "K8S_AUTH_VERIFY_SSL": "True",
        "K8S_AUTH_SSL_CA_CERT": two.cluster.ca_cert,
        **keys_of(two.account),
        "AWS_PROFILE": "",
    }
    assert_other_side_only(two, two.run("site.yml", "-vvv", **injected), crs)


def test_role_variables_name_the_connection_over_the_environment(two: Two, new_name: Any) -> None:
    first, key_id, secret = two.project.cluster, *two.account.keys()
    merged = f"{two.project.folder / 'nosuch'}:{two.project.folder / 'merged'}"
    keys = {**dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "none")}
    host = {
        "s3bucket_host": two.cluster.host,
        "s3bucket_api_key": "{{ vaulted_api_key }}",
        "s3bucket_ca_cert": two.cluster.ca_cert,
        "s3bucket_aws_access_key": key_id,
        "s3bucket_aws_secret_key": "{{ vaulted_secret_key }}",
        "s3bucket_aws_endpoint_url": two.account.aws.endpoint_url,
    }
    two.write_vaulted(vaulted_api_key=two.cluster.api_key, vaulted_secret_key=secret)
    two.project.write("vaulted-kubeconfig", encrypted(two.cluster.kubeconfig.read_text()))
    content = "{{ lookup('ansible.builtin.unvault', 'vaulted-kubeconfig') | from_yaml }}"
    profile = {"s3bucket_aws_profile": "other_account"}
    crs = two.write_play(
        new_name("direct"),
        # The kubeconfig is relative to the working directory.
        {
            "environment": {"K8S_AUTH_KUBECONFIG": str(first.kubeconfig), **keys},
            "variables": {"s3bucket_kubeconfig": "other-kubeconfig", **profile},
        },
        {"environment": {"AWS_SESSION_TOKEN": "none"}, "variables": host, "times": 2},
        {"variables": {"s3bucket_kubeconfig": content, **profile}},
        {
            "environment": {"KUBECONFIG": merged},
            "variables": {"s3bucket_context": "other", **profile},
        },
        # A context from the environment; module defaults that the role's variables override, and module defaults with
        # equal values.
        {
            "environment": {"KUBECONFIG": merged, "K8S_AUTH_CONTEXT": "other"},
            "module_defaults": {
                "group/amazon.aws.aws": {"profile": "account", "region": "eu-west-1"},
                "group/kubernetes.core.k8s": {"kubeconfig": merged},
            },
            "variables": profile,
        },
    )
    two.project.write("other-kubeconfig", two.cluster.kubeconfig.read_text())
    password = two.project.write("vault-password", VAULT_PASSWORD)
    run = two.run("site.yml", "-vvv", "--vault-password-file", str(password))
    assert_other_side_only(two, run, crs)


def test_module_defaults_of_another_connection_are_refused_before_any_request(refusing: Two, new_name: Any) -> None:
    other = str(refusing.cluster.kubeconfig)
    # The defaults, the role's variable that the error names, and the other text that it names.
    leaks: list[tuple[dict[str, Any], str, str]] = [
        ({"group/kubernetes.core.k8s": {"kubeconfig": other}}, "s3bucket_kubeconfig", f"kubeconfig={other}"),
        ({"kubernetes.core.k8s": {"context": "other"}}, "s3bucket_context", "context=other"),
        (
            {"group/amazon.aws.aws": {"profile": "other_account", "region": "eu-west-1"}},
            "s3bucket_aws_profile",
            "profile=other_account",
        ),
        ({"amazon.aws.iam_policy": {"aws_secret_key": SECRET}}, "s3bucket_aws_secret_key", "aws_secret_key"),
    ]
    refusing.write_play(new_name("direct"), *({"module_defaults": defaults} for defaults, _, _ in leaks))
    run = refusing.run("site.yml", "-vvv")
    assert len(run.results()) == len(leaks), run.output
    own = [f"KUBECONFIG={refusing.project.cluster.kubeconfig}"] * 2 + ["AWS_PROFILE=account"] * 2
    for (_, remedy, named), mine, result in zip(leaks, own, run.results(), strict=True):
        assert not result["done"]
        assert all(text in result["message"] for text in (f"give {remedy} to the role", named, mine)), result
    assert [*run.kubernetes.values(), *run.aws.values()] == [[], [], [], []]
    assert SECRET not in run.output


def test_connections_that_contradict_each_other_are_refused_before_any_write(refusing: Two, new_name: Any) -> None:
    keys = {"s3bucket_aws_access_key": "a", "s3bucket_aws_secret_key": SECRET}
    plays: list[tuple[dict[str, str], dict[str, Any], str]] = [
        ({}, {"s3bucket_context": ""}, "s3bucket_context is empty"),
        ({}, {"s3bucket_aws_profile": "", **keys}, "s3bucket_aws_profile is empty"),
        ({}, {"s3bucket_host": refusing.cluster.host}, "s3bucket_host has no effect beside a kubeconfig"),
        ({}, {"s3bucket_api_key": SECRET}, "s3bucket_api_key has no effect beside a kubeconfig"),
        ({"K8S_AUTH_HOST": refusing.cluster.host}, {}, "K8S_AUTH_HOST has no effect beside a kubeconfig"),
        (
            {"K8S_AUTH_HOST": "https://127.0.0.1:1"},
            {"s3bucket_kubeconfig": "merged"},
            "s3bucket_kubeconfig is given, and K8S_AUTH_HOST",
        ),
        (
            {"K8S_AUTH_KEY_FILE": "/nosuch"},
            {"s3bucket_context": "cluster"},
            "s3bucket_context is given, and K8S_AUTH_KEY_FILE",
        ),
        ({}, {"s3bucket_proxy_headers": {"nosuch": "x"}}, "s3bucket_proxy_headers"),
        ({"KUBECONFIG": "/nosuch"}, {}, "KUBECONFIG names no file that exists: /nosuch"),
        ({"K8S_AUTH_KUBECONFIG": "nosuch"}, {}, "K8S_AUTH_KUBECONFIG names no file that exists: nosuch: give its abs"),
        ({}, {"s3bucket_kubeconfig": "/nosuch"}, "s3bucket_kubeconfig names no file that exists: /nosuch: correct it"),
        ({}, {"s3bucket_kubeconfig": "vaulted"}, "/vaulted is encrypted with ansible-vault: decrypt it, or give its"),
        (
            {"KUBECONFIG": ""},
            {},
            "no Kubernetes configuration found: set s3bucket_kubeconfig or KUBECONFIG, or run in a Pod",
        ),
        (
            {},
            {
                "s3bucket_host": refusing.cluster.host,
                "s3bucket_api_key": refusing.cluster.api_key,
                "s3bucket_ca_cert": refusing.project.cluster.ca_cert,
            },
            "the certificate of the API server is not accepted (",
        ),
        ({}, {"s3bucket_aws_profile": "account", **keys}, "s3bucket_aws_profile and s3bucket_aws_access_key are both"),
        ({}, {**keys, "s3bucket_aws_secret_key": ""}, "s3bucket_aws_secret_key is empty"),
        ({}, {"s3bucket_aws_access_key": "a"}, "s3bucket_aws_access_key is given without s3bucket_aws_secret_key"),
        ({"AWS_ACCESS_KEY_ID": "a"}, {}, "AWS_ACCESS_KEY_ID is given without AWS_SECRET_ACCESS_KEY"),
        (
            # Not the secret that is searched for: with -vvv Ansible itself prints the environment of a play.
            {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "b"},
            {},
            "AWS_SECRET_ACCESS_KEY is given without AWS_ACCESS_KEY_ID",
        ),
    ]
    refusing.project.write("vaulted", encrypted("apiVersion: v1"))
    refusing.write_play(
        new_name("direct"), *({"environment": of, "variables": variables} for of, variables, _ in plays)
    )
    run = refusing.run("site.yml", "-vvv")
    assert len(run.results()) == len(plays), run.output
    for (_, _, message), result in zip(plays, run.results(), strict=True):
        assert not result["done"]
        assert message in result["message"]
        assert result["reason"] == ("CredentialsInvalid" if "aws_" in message.lower() else "KubernetesError")
    assert run.writes() == {}
    assert SECRET not in run.output


def test_playbooks_have_one_connection(two: Two, new_name: Any) -> None:
    (from_file,) = two.write_play(new_name("direct"), {})
    name, at = from_file["metadata"]["name"], (GROUP, VERSION, "default", PLURAL)
    profile = {"AWS_PROFILE": "other_account"}
    two.project.write("other-kubeconfig", two.cluster.kubeconfig.read_text())
    file = str(two.project.folder / "crs" / f"{name}.yml")
    reconcile = PROJECT / "playbooks" / "reconcile.yml"
    # A relative path is relative to the working directory, which is not the playbook's directory.
    run = two.run(reconcile, "-e", f"cr={file}", "--check", KUBECONFIG="other-kubeconfig", **profile)
    assert run.code == 0, run.output
    assert (run.kubernetes["other_cluster"], run.aws["other_account"]) != ([], [])
    assert (run.kubernetes["cluster"], run.aws["account"]) == ([], [])
    user = new_name("direct")
    live = two.cluster.world.make_object("default", user, {"region": "us-east-1", "bucketName": user})
    kubeconfig = str(two.cluster.kubeconfig)
    run = two.run(PROJECT / "playbooks" / "sync.yml", "-e", f"name={user}", K8S_AUTH_KUBECONFIG=kubeconfig, **profile)
    assert run.code == 0, run.output
    stored = two.cluster.world.custom.get_namespaced_custom_object(*at, user)
    assert stored["metadata"]["finalizers"] == ["agill.apps.s3"]
    assert two.cluster.world.service(live) is not None
    assert (run.kubernetes["cluster"], run.aws["account"]) == ([], [])


def older_collections(folder: Path) -> str:
    """A copy of the installed collections, as links, with versions older than the required ones."""
    for name, version in zip(COLLECTIONS, ("9.5.2", "5.4.1"), strict=True):
        place = name.replace(".", "/")
        found = next(Path(path) / place for path in ansible_collections.__path__ if (Path(path) / place).exists())
        copy = folder / "ansible_collections" / place
        copy.mkdir(parents=True)
        for item in found.iterdir():
            if item.name != "MANIFEST.json":
                (copy / item.name).symlink_to(item)
        manifest = json.loads((found / "MANIFEST.json").read_text())
        manifest["collection_info"]["version"] = version
        (copy / "MANIFEST.json").write_text(json.dumps(manifest))
    return str(folder)


def older_botocore(folder: Path) -> str:
    """A data path of botocore with a model of S3 in which CreateBucket has no tags yet."""
    model = botocore.session.get_session().get_component("data_loader").load_service_model("s3", "service-2")
    old = json.loads(json.dumps(model))
    del old["shapes"]["CreateBucketConfiguration"]["members"]["Tags"]
    (folder / "s3" / "2006-03-01").mkdir(parents=True)
    (folder / "s3" / "2006-03-01" / "service-2.json").write_text(json.dumps(old))
    return str(folder)


def test_what_is_missing_or_too_old_is_named_before_any_request(two: Two, new_name: Any, tmp_path: Path) -> None:
    too_old = (
        "collection amazon.aws 9.5.2 is too old, 10.1 or newer is needed: ansible-galaxy collection install --upgrade "
        "'amazon.aws:>=10.1'; collection kubernetes.core 5.4.1 is too old, 6.0 or newer is needed"
    )
    # A Python without any package, as interpreter discovery may find.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = str(tmp_path / "bare" / "bin" / "python")
    no_packages = f"{bare} has no boto3, botocore, kubernetes: {bare} -m pip install boto3 kubernetes"
    path = older_collections(tmp_path / "collections")
    # Without a cluster name, the first request would be for the cluster's ID.
    failing = {"s3bucket_fail_on_error": True, "s3bucket_cluster_name": ""}
    models = older_botocore(tmp_path / "models")
    two.write_play(new_name("direct"), {"variables": failing})
    runs = [
        (two.run("site.yml", ANSIBLE_COLLECTIONS_PATH=path), too_old),
        (two.run(PROJECT / "playbooks" / "sync.yml", ANSIBLE_COLLECTIONS_PATH=path), too_old),
        (two.run("site.yml", "-e", f"ansible_python_interpreter={bare}"), no_packages),
        (two.run("site.yml", AWS_DATA_PATH=models), "is too old to create a bucket with its tags"),
        (two.run(PROJECT / "playbooks" / "sync.yml", AWS_DATA_PATH=models), "is too old to create a bucket with its"),
    ]
    for run, message in runs:
        assert run.code != 0
        assert message in run.output
        assert [*run.kubernetes.values(), *run.aws.values()] == [[], [], [], []]
    assert [run.results()[0]["reason"] for run, _ in (runs[0], runs[2], runs[3])] == ["MissingRequirement"] * 3
