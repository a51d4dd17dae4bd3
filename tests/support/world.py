"""One S3 object in a real API server and a real AWS endpoint, and role runs on it as users start them.

The drift matrix and the other tests of the role use it. Every helper waits until its action is complete. Nothing here
is a fake.
"""

from __future__ import annotations

import base64
import copy
import itertools
import json
import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kubernetes.client as k8s
import kubernetes.config
import yaml
from botocore.exceptions import ClientError
from kubernetes.client.exceptions import ApiException

from dev.awsgate.client import write_key
from runner.commands.iam_policy import PolicySettings, policy_for
from runner.execution import processes
from runner.execution.job import extra_vars, orphan_vars
from runner.execution.warm.process import WarmProcess
from runner.objects import Owned, S3Object
from s3bucket import allowed, children, owner, read, secrets
from s3bucket.api import API_VERSION, GROUP, PLURAL, VERSION
from s3bucket.capabilities import AWS
from s3bucket.cluster import ApiServer
from s3bucket.metadata import read_record
from s3bucket.observe import Sources, observe
from s3bucket.outcome import Outcome
from s3bucket.role_settings import RoleSettings, of_environment
from s3bucket.roles import NO_ROLES, RoleRules
from s3bucket.rotation import OldKey, Phase
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import UNSUPPORTED
from s3bucket.users import NO_RULES, UserRules

PROJECT = Path(__file__).parents[2]
ROLE = PROJECT / "roles" / "s3bucket"

DEFAULTS: dict[str, Any] = {
    **yaml.safe_load((ROLE / "defaults" / "main.yml").read_text())["s3bucket_defaults"],
    # The administrator of the tests allows every setting; tests/role/test_allowed_settings.py has the others.
    allowed.KEY: list(allowed.FIELDS),
}
CLUSTER = "test-cluster"
# The role's settings in tests. The role does not wait for IAM, because the gate shows every write at once.
SETTINGS = RoleSettings(cluster_name=CLUSTER, iam_settle_s=0, allowed_settings=allowed.FIELDS)
# The cluster's identity provider, for objects that have an IAM role. The tests of roles set it.
EKS_CLUSTER = "arn:aws:eks:us-west-2:123456789012:cluster/production"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.us-east-1.amazonaws.com/id/EXAMPLE"
OPERATOR_USERS = "operator-"
"""Prefix of the names of IAM users that operators use in tests."""
EXECUTOR = os.environ.get("S3_OPERATOR_TEST_EXECUTOR", "warm")
_RUN_TIMEOUT_S = 240

NewObject = Callable[..., dict[str, Any]]
"""Makes an S3 object with these fields of the spec."""


@dataclass
class Run:
    """The output and the result of one playbook run."""

    code: int
    output: str
    outcome: dict[str, Any] = field(default_factory=dict)

    @property
    def changed(self) -> list[str]:
        """The aspects that the role reports as changed."""
        return list(self.outcome["changed"])


class World:
    """The control plane and AWS endpoint of a test session, and the ways to run the role against them."""

    def __init__(self, kubeconfig: Path, aws: Any, folder: Path) -> None:
        self.kubeconfig = kubeconfig
        self.aws = aws
        self.folder = folder
        # A separate client: the library's default client is one per process, and this cluster may end earlier.
        api = kubernetes.config.new_client_from_config(str(kubeconfig))
        self.core = k8s.CoreV1Api(api)
        self.custom = k8s.CustomObjectsApi(api)
        self.s3 = aws.client("s3")
        self.iam = aws.client("iam")
        self.sts = aws.client("sts")
        self.account = self.find_account()
        # The role and the operator have only the documented permissions.
        self.operator_file = folder / f"operator-{uuid.uuid4().hex[:8]}"
        self.settings, self.capabilities = SETTINGS, AWS
        self._run_numbers = itertools.count()
        self._warm: WarmProcess | None = None
        self.make_operator()

    def find_account(self) -> str:
        """The account that users have in their ARNs."""
        return str(self.sts.get_caller_identity()["Account"])

    def make_operator(self) -> None:
        """Create the key of the operator, with the documented permissions."""
        every = PolicySettings(
            self.account,
            settings=allowed.FIELDS,
            replication_roles=(f"arn:aws:iam::{self.account}:role/s3-operator-example-*",),
            oidc_provider_arn=PROVIDER,
            eks_cluster_arn=EKS_CLUSTER,
        )
        make_operator_key(self.aws, policy_for(every), self.operator_file)

    def close(self) -> None:
        if self._warm:
            self._warm.stop()

    def environment(self, **more: str) -> dict[str, str]:
        """The environment of a child process: it inherits no AWS or Ansible setting of the machine."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return {
            **kept,
            **self.aws.env(),
            "AWS_SHARED_CREDENTIALS_FILE": str(self.operator_file),
            "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}",
            "KUBECONFIG": str(self.kubeconfig),
            "ANSIBLE_LOCALHOST_WARNING": "False",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "False",
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_NOCOLOR": "1",
            "EXECUTOR": EXECUTOR,
            "ALLOWED_SETTINGS": "all",
            **more,
        }

    def ansible_playbook(self, executor: str = EXECUTOR) -> str:
        """The program to run: the stock ansible-playbook, or the shim of a warm process."""
        if executor == "stock":
            return str(Path(sys.executable).parent / "ansible-playbook")
        if self._warm is None:
            folder = Path(tempfile.mkdtemp(dir=self.folder))
            run_id = f"{processes.operator_id()}-warm".ljust(64, "-")
            roles = {"ANSIBLE_ROLES_PATH": str(PROJECT / "roles"), processes.RUN_ID: run_id}
            self._warm = WarmProcess(folder, self.environment(**roles))
            self._warm.start()
        path = self._warm.find_path()
        assert path is not None, "the warm process reports that it is not supported"
        return str(path / "ansible-playbook")

    def playbook(
        self, name: str, *arguments: str, executor: str = EXECUTOR, cwd: Path = PROJECT, **environment: str
    ) -> Run:
        """Run a playbook of the project to its end."""
        command = [self.ansible_playbook(executor), str(PROJECT / "playbooks" / name), *arguments]
        environment = {
            processes.RUN_ID: f"{processes.operator_id()}-{next(self._run_numbers)}",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_SHOW_CUSTOM_STATS": "1",
            # SETTINGS, in the form in which a user sets them for a playbook.
            "CLUSTER_NAME": CLUSTER,
            "IAM_SETTLE": "0",
            **(caching(self.folder / "cache") if executor == "stock" else {}),
            **environment,
        }
        done = subprocess.run(
            command,
            cwd=cwd,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_RUN_TIMEOUT_S,
            check=False,
        )
        return Run(done.returncode, done.stdout, _outcome_in(done.stdout))

    def reconcile(
        self, cr: dict[str, Any], *arguments: str, executor: str = EXECUTOR,
        settings: dict[str, Any] | None = None, **environment: str,
    ) -> Run:  # fmt: skip
        """Run the role on one object, passed as the operator passes it, with settings from its environment or these."""
        path = self.folder / f"extra-{cr['metadata']['name']}.json"
        given = extra_vars(S3Object(cr), self.settings)
        # Not validated here: the role refuses invalid settings.
        record = {**self.settings.to_record(), **of_environment(environment), **(settings or {})}
        given["s3bucket_operator_settings_json"] = {"__ansible_unsafe": json.dumps(record)}
        # The operator leaves out most of the metadata.
        given["s3bucket_cr_json"] = {"__ansible_unsafe": json.dumps(cr)}
        path.write_text(json.dumps(given))
        given_arguments = ("-e", f"@{path}", *arguments)
        return self.playbook("operator.yml", *given_arguments, executor=executor, cwd=PROJECT, **environment)

    def deactivate(self, user: str, cr: dict[str, Any], *arguments: str, **environment: str) -> Run:
        """Deactivate an IAM user's access keys as the operator does for an object that no longer exists."""
        metadata = cr["metadata"]
        owned = Owned("user", user, metadata["namespace"], metadata["name"], metadata["uid"], "", "us-east-1")
        path = self.folder / f"orphan-{metadata['name']}.json"
        path.write_text(json.dumps(orphan_vars(owned, CLUSTER, self.settings.provider)))
        return self.playbook("deactivate.yml", "-e", f"@{path}", *arguments, cwd=PROJECT, **environment)

    def wanted(self, cr: dict[str, Any]) -> Wanted:
        return wanted_of(cr, CLUSTER, DEFAULTS)

    def sources(
        self, iam_propagation_s: float = 0, rules: UserRules = NO_RULES, role_rules: RoleRules = NO_ROLES
    ) -> Sources:
        """The sources that the role's own module reads from, in this process."""

        def clients_of(pair: dict[str, Any]) -> tuple[Any, Any]:
            key_id, secret = children.values_in(pair)
            keys = {"aws_access_key_id": key_id, "aws_secret_access_key": secret}
            return self.aws.client("sts", **keys), self.aws.client("s3", **keys)

        cluster, now = ApiServer(self.core.api_client), datetime.now(UTC)
        return Sources(
            self.s3,
            read.PerUserReader(self.iam, self.capabilities),
            self.sts,
            cluster,
            clients_of,
            now,
            iam_propagation_s,
            self.settings.service_external_name or "s3.amazonaws.com",
            rules,
            read_users=lambda naming: read.read_all_users(self.iam, self.capabilities, naming),
            iam=self.iam,
            role_rules=role_rules,
            eks_of=lambda region: self.aws.client("eks", region_name=region),
            endpoint=self.s3.meta.endpoint_url,
            capabilities=self.capabilities,
        )

    def differs(self, cr: dict[str, Any]) -> list[str]:
        """The aspects that differ now."""
        return observe(self.wanted(cr), self.sources()).differs

    def make_namespace(self, name: str) -> None:
        self.core.create_namespace({"metadata": {"name": name}})

    def make_object(self, namespace: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        """Create the S3 object in the API server and return it as stored."""
        body = {
            "apiVersion": API_VERSION,
            "kind": "S3",
            "metadata": {"name": name, "namespace": namespace},
            "spec": spec,
        }
        return dict(self.custom.create_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, body))

    def secret(self, cr: dict[str, Any]) -> dict[str, Any] | None:
        name = cr.get("spec", {}).get("secret", {}).get("name") or f"{cr['metadata']['name']}-iam-secret"
        return _plain(self.core.read_namespaced_secret, name, cr["metadata"]["namespace"])

    def config_map(self, cr: dict[str, Any]) -> dict[str, Any] | None:
        name = self.wanted(cr).secret_name
        return _plain(self.core.read_namespaced_config_map, name, cr["metadata"]["namespace"])

    def service(self, cr: dict[str, Any]) -> dict[str, Any] | None:
        return _plain(self.core.read_namespaced_service, cr["metadata"]["name"], cr["metadata"]["namespace"])

    def credentials(self, cr: dict[str, Any]) -> tuple[str, str]:
        """The access key in the Secret: key ID and secret."""
        data = (self.secret(cr) or {})["data"]
        return tuple(base64.b64decode(data[name]).decode() for name in (secrets.KEY_ID, secrets.SECRET_KEY))  # type: ignore[return-value]

    def tenant(self, cr: dict[str, Any], service: str = "s3") -> Any:
        """A client with the access key from the Secret."""
        key_id, secret = self.credentials(cr)
        return self.aws.client(service, aws_access_key_id=key_id, aws_secret_access_key=secret)

    def snapshot(self, cr: dict[str, Any]) -> dict[str, Any]:
        """Everything that AWS and Kubernetes have for the object, in a comparable form. Secrets are fingerprints."""
        wanted, bucket_owner = self.wanted(cr), self.capabilities.owner_of(self.account)
        bucket = read.find_bucket(self.s3, wanted.bucket, bucket_owner)
        user = read.find_user(self.iam, wanted.username, self.capabilities) if wanted.username else None
        if user is not None:
            read.read_rights(self.iam, wanted.username, user, self.capabilities)
            # A key that replaces another one is not created at the same time.
            user.keys_created = {}
        if bucket is not None:
            found = read.read_settings(self.s3, wanted.bucket, bucket_owner)
            bucket.settings = {name: value for name, value in found.items() if value is not UNSUPPORTED}
        secret, service = self.secret(cr), self.service(cr)
        return {
            "bucket": asdict(bucket) if bucket else None,
            "user": asdict(user) if user else None,
            "secret": {**secrets.reduced(secret["data"], read_record(secret)), **_kept(secret)} if secret else None,
            "service": {"spec": service["spec"], **_kept(service)} if service else None,
        }


def caching(folder: Path) -> dict[str, str]:
    """The environment with which stock runs share what Ansible packs and Python compiles (support/caching)."""
    return {"PYTHONPATH": str(Path(__file__).parent / "caching"), "S3_OPERATOR_TEST_CACHE": str(folder)}


def make_old_key_older(world: World, user: str, days: float, phase: Phase | None = None) -> None:
    """Record that the phase of a user's old key began a number of days ago."""
    tags = {tag["Key"]: tag["Value"] for tag in world.iam.list_user_tags(UserName=user)["Tags"]}
    old = OldKey.parse(tags[owner.OLD_KEY])
    assert old is not None
    since = datetime.now(UTC) - timedelta(days=days)
    record = str(replace(old, phase=phase or old.phase, since=since))
    world.iam.tag_user(UserName=user, Tags=[{"Key": owner.OLD_KEY, "Value": record}])


def make_operator_key(aws: Any, policy: dict[str, Any], file: Path) -> dict[str, str]:
    """Create an access key that the gate limits to a policy. Writes a credentials file and returns client arguments."""
    iam, name = aws.client("iam"), f"{OPERATOR_USERS}{uuid.uuid4().hex[:8]}"
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    write_key(file, key["AccessKeyId"], key["SecretAccessKey"])
    aws.gate.judge(key["AccessKeyId"], policy)
    return {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}


def make_as_go_operator(world: World, cr: dict[str, Any]) -> str:
    """Create what the Go operator leaves: no tags, a controlled Secret, its own policy. Returns the key ID."""
    spec, metadata = cr["spec"], cr["metadata"]
    bucket, user = spec["bucketName"], spec["iamUser"]["username"]
    world.s3.create_bucket(Bucket=bucket)
    world.s3.put_object(Bucket=bucket, Key="precious", Body=b"data")
    world.iam.create_user(UserName=user)
    resource = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:*"], "Resource": resource}]}
    world.iam.put_user_policy(
        UserName=user, PolicyName=f"{user}-{bucket}-s3-restricted", PolicyDocument=json.dumps(document)
    )
    key = world.iam.create_access_key(UserName=user)["AccessKey"]
    owner = {
        "apiVersion": API_VERSION, "kind": "S3", "name": metadata["name"], "uid": metadata["uid"],
        "controller": True, "blockOwnerDeletion": True,
    }  # fmt: skip
    world.core.create_namespaced_secret(
        metadata["namespace"],
        {
            "metadata": {"name": f"{metadata['name']}-iam-secret", "ownerReferences": [owner]},
            "stringData": {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]},
        },
    )
    return str(key["AccessKeyId"])


def without_keys(snapshot: dict[str, Any]) -> dict[str, Any]:
    """A snapshot without the parts that a new access key must change."""
    left = copy.deepcopy(snapshot)
    left["user"]["keys"] = sorted(left["user"]["keys"].values())
    del left["user"]["tags"]["agill.apps/key"]
    del left["secret"]["pairs"], left["secret"]["fingerprints"]
    return left


def code_of(call: Callable[[], Any]) -> str:
    """The error code of a call that AWS rejects; "allowed" for a call that succeeds."""
    try:
        call()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "allowed"


def deleting(cr: dict[str, Any]) -> dict[str, Any]:
    """The object with a deletionTimestamp."""
    return {**cr, "metadata": {**cr["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


@contextmanager
def requests_of(world: World) -> Iterator[list[dict[str, Any]]]:
    """Collects the requests that AWS received while the block ran."""
    world.aws.gate.clear_requests()
    seen: list[dict[str, Any]] = []
    yield seen
    seen += world.aws.gate.requests()


def _plain(read_one: Any, name: str, namespace: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(read_one(name, namespace, _preload_content=False).data))
    except ApiException as error:
        if error.status == 404:
            return None
        raise


def _kept(item: dict[str, Any]) -> dict[str, Any]:
    metadata = item["metadata"]
    return {"labels": metadata.get("labels"), "owners": metadata.get("ownerReferences")}


def _outcome_in(output: str) -> dict[str, Any]:
    # The default callback prints custom stats as "RUN: { ...json... }" at the end.
    _, mark, rest = output.rpartition("\tRUN: ")
    if not mark:
        return {}
    found: dict[str, Any] = json.JSONDecoder().raw_decode(rest)[0]
    record: dict[str, Any] = found["s3bucket_result"]
    assert dict(Outcome.from_record(record).to_record()) == record, record
    return record
