"""One connection in a run: what the role reads and what it writes is in one cluster and one AWS account.

Two API servers and two AWS accounts. A run must reach those that the person chose, in whichever way, and the other ones
not at all: requests are counted on both sides.
"""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import pytest
import yaml

from dev.aws import Aws
from dev.cluster import install_crd
from dev.controlplane import ControlPlane
from runner import processes
from tests.apigate import ApiGate
from tests.versions import COLLECTIONS
from tests.world import EXECUTOR, PROJECT, Run, World

_TIMEOUT_S = 240
# Others than those of World.
_run_numbers = itertools.count(100_000)
# What a run ended with: printed, as several are in one run.
_OUTCOME = "ONE ENDED WITH "
_PLAY = """
- hosts: localhost
  connection: local
  gather_facts: false
  vars: {{ansible_python_interpreter: "{interpreter}"}}
  module_defaults: {defaults}
  environment: {environment}
  tasks:
    - ansible.builtin.include_role: {{name: s3bucket}}
      vars:
        s3bucket_cr: "{{{{ lookup('ansible.builtin.file', cr_file) | from_yaml }}}}"
        s3bucket_iam_settle_s: 0
        s3bucket_fail_on_error: false
{variables}
      loop: [1, 2]
    - ansible.builtin.debug:
        msg: "{outcome}{{{{ _s3bucket_outcome | to_json }}}}"
"""


@dataclass
class Side:
    """One API server behind a gate, and one AWS account behind its own."""

    name: str
    plane: ControlPlane
    gate: ApiGate
    aws: Aws

    @property
    def kubeconfig(self) -> str:
        return str(self.gate.kubeconfig)

    @property
    def token(self) -> str:
        return str(yaml.safe_load(self.plane.kubeconfig.read_text())["users"][0]["user"]["token"])

    @property
    def ca_cert(self) -> str:
        return str(self.plane.folder / "certs" / "apiserver.crt")

    def clear(self) -> None:
        self.gate.requests.clear()
        self.aws.gate.clear_requests()

    def counts(self) -> tuple[int, int]:
        """How many requests Kubernetes and AWS got."""
        return len(self.gate.requests), len(self.aws.gate.requests())

    def writes(self) -> tuple[list[str], list[str]]:
        return self.gate.writes(), self.aws.gate.writes()

    def secret(self, name: str) -> dict[str, str] | None:
        """The Secret's data, decoded."""
        api = k8s.CoreV1Api(kubernetes.config.new_client_from_config(str(self.plane.kubeconfig)))
        found = [item for item in api.list_namespaced_secret("default").items if item.metadata.name == name]
        return {key: base64.b64decode(value).decode() for key, value in found[0].data.items()} if found else None


@dataclass
class Sides:
    first: Side
    second: Side
    folder: Path
    world: World

    def environment(self, **more: str) -> dict[str, str]:
        """That of a person who uses the first side by default."""
        kept = {name: text for name, text in self.world.environment().items() if not name.startswith("AWS_")}
        files = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}
        given = {
            **kept,
            **{name: str(self.folder / file) for name, file in files.items()},
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_PROFILE": "first",
            "KUBECONFIG": self.first.kubeconfig,
            "ANSIBLE_ROLES_PATH": str(PROJECT / "roles"),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
            processes.RUN_ID: f"{processes.operator_id()}-{next(_run_numbers)}",
            **more,
        }
        return {name: text for name, text in given.items() if text}

    def run(self, *arguments: str, executor: str = EXECUTOR, **environment: str) -> Run:
        """Run ansible-playbook in the folder."""
        for side in (self.first, self.second):
            side.clear()
        done = subprocess.run(
            [self.world.ansible_playbook(executor), *arguments],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        _, mark, rest = done.stdout.rpartition("\tRUN: ")
        stats = json.JSONDecoder().raw_decode(rest)[0] if mark else {}
        return Run(done.returncode, done.stdout, dict(stats.get("s3bucket_result", stats.get("s3bucket_outcome", {}))))

    def play(self, *sections: dict[str, Any], interpreter: str = "{{ ansible_playbook_python }}") -> str:
        """Plays of one's own, outside of the checkout, that run the role twice each. Returns their file.

        :param sections: of each play ``module_defaults``, ``environment`` and the role's ``variables``
        """
        path, texts = self.folder / "play.yml", []
        for section in sections or ({},):
            defaults, environment = (json.dumps(section.get(key, {})) for key in ("module_defaults", "environment"))
            lines = [f"        {name}: {json.dumps(value)}" for name, value in section.get("variables", {}).items()]
            texts.append(
                _PLAY.format(
                    interpreter=interpreter,
                    defaults=defaults,
                    environment=environment,
                    variables="\n".join(lines),
                    outcome=_OUTCOME,
                )
            )
        path.write_text("".join(texts))
        return str(path)

    def cr(self, name: str) -> str:
        """A file with an object. Returns its name."""
        spec = {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}}
        metadata = {"name": name, "namespace": "default"}
        cr = {"apiVersion": "agill.apps/v1alpha1", "kind": "S3", "metadata": metadata, "spec": spec}
        (self.folder / f"{name}.yaml").write_text(yaml.safe_dump(cr))
        return str(self.folder / f"{name}.yaml")


def start_side(name: str, plane: ControlPlane, aws: Aws, folder: Path) -> Side:
    (folder / name).mkdir()
    key_id, secret = aws.admin_key()
    with (folder / "config").open("a") as file:
        file.write(f"[profile {name}]\nregion = us-east-1\nendpoint_url = {aws.endpoint_url}\n")
    with (folder / "credentials").open("a") as file:
        file.write(f"[{name}]\naws_access_key_id = {key_id}\naws_secret_access_key = {secret}\n")
    return Side(name, plane, ApiGate(plane.kubeconfig, folder / name), aws)


@pytest.fixture(scope="module")
def sides(world: World, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sides]:
    folder = tmp_path_factory.mktemp("sides")
    with ControlPlane(folder / "plane") as plane, Aws(folder / "aws") as aws:
        install_crd(plane.kubeconfig)
        first = start_side("first", control_plane, world.aws, folder)
        second = start_side("second", plane, aws, folder)
        # Both clusters by contexts of one file.
        configs = [yaml.safe_load(side.gate.kubeconfig.read_text()) for side in (first, second)]
        for side, config in zip((first, second), configs, strict=True):
            for entry in (*config["clusters"], *config["users"], *config["contexts"]):
                entry["name"] = side.name
            config["contexts"][0]["context"] = {"cluster": side.name, "user": side.name}
        merged = {**configs[0], "current-context": "first"}
        for key in ("clusters", "users", "contexts"):
            merged[key] = configs[0][key] + configs[1][key]
        (folder / "merged").write_text(yaml.safe_dump(merged))
        with first.gate, second.gate:
            yield Sides(first, second, folder, world)


WAYS = ["AWX", "context and keys", "dictionary", "host and keys", "kubeconfig and profile", "variables"]


def way_of(sides: Sides, way: str) -> tuple[dict[str, str], dict[str, Any]]:
    """How a person names the second side: variables of the environment, and of the role."""
    second = sides.second
    key_id, secret = second.aws.admin_key()
    keys = {"AWS_ACCESS_KEY_ID": key_id, "AWS_SECRET_ACCESS_KEY": secret, "AWS_ENDPOINT_URL": second.aws.endpoint_url}
    # AWX's Kubernetes and AWS credentials set these.
    awx = {
        "K8S_AUTH_HOST": second.plane.url, "K8S_AUTH_API_KEY": second.token, "K8S_AUTH_VERIFY_SSL": "True",
        "K8S_AUTH_SSL_CA_CERT": second.ca_cert,
    }  # fmt: skip
    role_keys = {
        "s3bucket_aws_access_key": key_id, "s3bucket_aws_secret_key": secret,
        "s3bucket_aws_endpoint_url": second.aws.endpoint_url,
    }  # fmt: skip
    host = {"s3bucket_host": second.plane.url, "s3bucket_api_key": second.token, "s3bucket_ca_cert": second.ca_cert}
    content = yaml.safe_load(second.gate.kubeconfig.read_text())
    first_keys = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), sides.first.aws.admin_key(), strict=True))
    merged = f"{sides.folder / 'nosuch'}:{sides.folder / 'merged'}"
    ways: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
        "kubeconfig and profile": ({"K8S_AUTH_KUBECONFIG": second.kubeconfig, "AWS_PROFILE": "second"}, {}),
        "context and keys": ({"KUBECONFIG": merged, "K8S_AUTH_CONTEXT": "second", "AWS_PROFILE": "", **keys}, {}),
        "AWX": ({**awx, **keys, "AWS_PROFILE": ""}, {}),
        # Over what the environment says, and relative to the working directory.
        "variables": (
            {"K8S_AUTH_KUBECONFIG": sides.first.kubeconfig, "AWS_PROFILE": "", **first_keys, "AWS_SESSION_TOKEN": "no"},
            {"s3bucket_kubeconfig": "second/kubeconfig-gate", "s3bucket_aws_profile": "second"},
        ),
        "host and keys": ({"AWS_SESSION_TOKEN": "no"}, {**host, **role_keys}),
        "dictionary": ({"AWS_PROFILE": "second"}, {"s3bucket_kubeconfig": content, "s3bucket_validate_certs": False}),
    }
    return ways[way]


@pytest.mark.parametrize("way", WAYS)
def test_a_run_reads_and_writes_the_chosen_cluster_and_account_only(sides: Sides, new_name: Any, way: str) -> None:
    environment, variables = way_of(sides, way)
    name = new_name("side")
    path = sides.folder / "variables.json"
    path.write_text(json.dumps(variables))
    arguments = (sides.play(), "-e", f"cr_file={sides.cr(name)}", "-e", f"@{path}", "-vvv")
    run = sides.run(*arguments, **environment)
    # The second time in the same play: nothing was left to do.
    assert (run.code, run.outcome.get("reason"), run.changed) == (0, "Ready", []), run.output
    assert sides.first.counts() == (0, 0)
    key = sides.second.secret(f"{name}-iam-secret")
    assert key is not None
    assert sides.second.writes()[1].count("CreateAccessKey") == 1
    secrets = {sides.second.token, sides.second.aws.admin_key()[1], key["AWS_SECRET_ACCESS_KEY"]}
    assert not [secret for secret in secrets if secret in run.output]


LEAKS: dict[str, tuple[dict[str, Any], str, str]] = {
    "group kubernetes.core": ({"group/kubernetes.core.k8s": {"kubeconfig": "SECOND"}}, "s3bucket_kubeconfig", "SECOND"),
    "module of kubernetes.core": ({"kubernetes.core.k8s": {"context": "second"}}, "s3bucket_context", "second"),
    "group amazon.aws": (
        {"group/amazon.aws.aws": {"profile": "second", "region": "eu-west-1"}}, "s3bucket_aws_profile", "second",
    ),
    "module of amazon.aws": (
        {"amazon.aws.iam_user": {"aws_secret_key": "secret-word"}}, "s3bucket_aws_secret_key", "aws_secret_key",
    ),
}  # fmt: skip


def test_module_defaults_that_name_another_connection_are_refused_before_any_request(
    sides: Sides, new_name: Any
) -> None:
    given = {name: replaced(defaults, sides) for name, (defaults, _, _) in LEAKS.items()}
    play = sides.play(*({"module_defaults": defaults} for defaults in given.values()))
    run = sides.run(play, "-e", f"cr_file={sides.cr(new_name('leak'))}")
    outcomes = outcomes_in(run.output)
    assert len(outcomes) == len(LEAKS), run.output
    for (_, remedy, named), outcome in zip(LEAKS.values(), outcomes, strict=True):
        assert not outcome["done"]
        assert f"give {remedy} to the role" in outcome["message"]
        # Both connections are named.
        assert replaced(named, sides) in outcome["message"]
        assert f"KUBECONFIG={sides.first.kubeconfig}" in outcome["message"] or "AWS_PROFILE=first" in outcome["message"]
    assert "secret-word" not in run.output
    assert (sides.first.counts(), sides.second.counts()) == ((0, 0), (0, 0))


def replaced(value: Any, sides: Sides) -> Any:
    return json.loads(json.dumps(value).replace("SECOND", sides.second.kubeconfig))


def outcomes_in(output: str) -> list[dict[str, Any]]:
    """What each play ended with."""
    lines = [line.strip().removeprefix('"msg": ') for line in output.splitlines() if _OUTCOME in line]
    return [json.loads(json.loads(line).removeprefix(_OUTCOME)) for line in lines]


def test_module_defaults_of_groups_give_way_to_the_role_variables(sides: Sides, new_name: Any) -> None:
    defaults = {
        "group/kubernetes.core.k8s": {"kubeconfig": sides.first.kubeconfig},
        "group/amazon.aws.aws": {"profile": "first", "region": "eu-west-1"},
    }
    name = new_name("side")
    variables = {"s3bucket_kubeconfig": sides.second.kubeconfig, "s3bucket_aws_profile": "second"}
    run = sides.run(
        sides.play({"module_defaults": defaults}), "-e", f"cr_file={sides.cr(name)}", "-e", json.dumps(variables)
    )
    assert run.outcome.get("reason") == "Ready", run.output
    assert sides.second.secret(f"{name}-iam-secret") is not None
    assert sides.first.counts() == (0, 0)


MIXTURES = {
    "empty": ({}, {"s3bucket_context": ""}, "s3bucket_context is empty"),
    "kubeconfig, and a host of the environment": (
        {"K8S_AUTH_HOST": "https://127.0.0.1:1"}, {"s3bucket_kubeconfig": "merged"},
        "s3bucket_kubeconfig is given, and K8S_AUTH_HOST",
    ),
    "type": ({}, {"s3bucket_proxy_headers": {"nosuch": "x"}}, "s3bucket_proxy_headers"),
    "no such file": ({"KUBECONFIG": "/nosuch"}, {}, "KUBECONFIG names no file that exists: /nosuch"),
    "profile and keys": (
        {},
        {"s3bucket_aws_profile": "second", "s3bucket_aws_access_key": "a", "s3bucket_aws_secret_key": "secret-word"},
        "profile",
    ),
}  # fmt: skip


def test_a_mixture_of_connections_is_refused_before_any_write(sides: Sides, new_name: Any) -> None:
    play = sides.play(*({"environment": of, "variables": variables} for of, variables, _ in MIXTURES.values()))
    run = sides.run(play, "-e", f"cr_file={sides.cr(new_name('mixture'))}")
    outcomes = outcomes_in(run.output)
    assert len(outcomes) == len(MIXTURES), run.output
    for (_, _, message), outcome in zip(MIXTURES.values(), outcomes, strict=True):
        assert not outcome["done"]
        assert message in outcome["message"]
    assert "secret-word" not in run.output
    assert (sides.first.writes(), sides.second.writes()) == (([], []), ([], []))


def test_the_playbooks_have_one_connection_too(sides: Sides, new_name: Any) -> None:
    name = new_name("side")
    cr = sides.cr(name)
    key = {"S3_OPERATOR_IAM_SETTLE_S": "0", "AWS_PROFILE": "second"}
    reconcile, sync = (str(PROJECT / "playbooks" / playbook) for playbook in ("reconcile.yml", "sync.yml"))
    run = sides.run(reconcile, "-e", f"cr={cr}", "-e", "s3bucket_kubeconfig=second/kubeconfig-gate", **key)
    assert run.code == 0, run.output
    assert sides.second.secret(f"{name}-iam-secret") is not None
    assert sides.first.counts() == (0, 0)
    api = k8s.CustomObjectsApi(kubernetes.config.new_client_from_config(str(sides.second.plane.kubeconfig)))
    name = new_name("side")
    live = yaml.safe_load(Path(sides.cr(name)).read_text())
    at = ("agill.apps", "v1alpha1", "default", "s3s")
    api.create_namespaced_custom_object(*at, live)
    run = sides.run(sync, "-e", f"name={name}", K8S_AUTH_KUBECONFIG=sides.second.kubeconfig, **key)
    assert run.code == 0, run.output
    assert api.get_namespaced_custom_object(*at, name)["metadata"]["finalizers"] == ["agill.apps.s3"]
    assert sides.first.counts() == (0, 0)


def older_collections(folder: Path) -> Path:
    """A copy of the installed collections, in links, of versions before the required ones."""
    import ansible_collections

    for name in COLLECTIONS:
        place = name.replace(".", "/")
        found = next(Path(path) / place for path in ansible_collections.__path__ if (Path(path) / place).exists())
        copy = folder / "ansible_collections" / place
        copy.mkdir(parents=True)
        for item in found.iterdir():
            (copy / item.name).symlink_to(item)
        (copy / "MANIFEST.json").unlink()
        manifest = json.loads((found / "MANIFEST.json").read_text())
        manifest["collection_info"]["version"] = {"amazon.aws": "9.5.2", "kubernetes.core": "5.4.1"}[name]
        (copy / "MANIFEST.json").write_text(json.dumps(manifest))
    return folder


def test_what_is_too_old_or_missing_is_named_before_any_request(sides: Sides, new_name: Any, tmp_path: Path) -> None:
    cr = sides.cr(new_name("old"))
    path = str(older_collections(tmp_path / "collections"))
    too_old = (
        "collection amazon.aws 9.5.2 is too old, 10.1 or newer is needed: ansible-galaxy collection install --upgrade "
        "'amazon.aws:>=10.1'; collection kubernetes.core 5.4.1 is too old, 6.0 or newer is needed"
    )
    run = sides.run(sides.play(), "-e", f"cr_file={cr}", executor="stock", ANSIBLE_COLLECTIONS_PATH=path)
    assert run.outcome["reason"] == "MissingRequirement", run.output
    assert too_old in run.outcome["message"]
    sync = str(PROJECT / "playbooks" / "sync.yml")
    run = sides.run(sync, executor="stock", ANSIBLE_COLLECTIONS_PATH=path)
    assert run.code != 0
    assert too_old in run.output
    # A Python with nothing installed, as interpreter discovery may find.
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    bare = str(tmp_path / "bare" / "bin" / "python")
    run = sides.run(sides.play(interpreter=bare), "-e", f"cr_file={cr}", executor="stock")
    assert run.outcome["reason"] == "MissingRequirement", run.output
    assert (
        f"{bare} has no boto3, botocore, kubernetes: {bare} -m pip install boto3 kubernetes" in run.outcome["message"]
    )
    assert (sides.first.counts(), sides.second.counts()) == ((0, 0), (0, 0))
