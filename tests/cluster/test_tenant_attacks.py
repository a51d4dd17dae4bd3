"""Attacks on the running operator, with the edit role of one namespace and the access keys in its Secrets.

The attacker is a ServiceAccount with the ClusterRole ``edit`` of Kubernetes, to which the chart's role is aggregated.
Another namespace has an object with data. After each attack that object is unchanged, no key of the attacker opens its
bucket, and a new object in that namespace becomes Ready.
"""

from __future__ import annotations

import base64
import contextlib
import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes.client as k8s
import pytest
from botocore.exceptions import ClientError
from kubernetes.client.exceptions import ApiException

from dev.wait import wait_until
from s3bucket.api import API_VERSION, GROUP, PLURAL, VERSION
from tests.support.chart import render
from tests.support.operator import Operator, condition, delete, live, wait_gone, wait_ready
from tests.support.world import World

_TRANSITIONAL = ("", "Pending", "WaitingForIAM")
_NO_KEY = ("AccessDenied", "InvalidAccessKeyId", "403")


class Attacker:
    """What the ServiceAccount of one namespace can do."""

    def __init__(self, world: World, namespace: str, new_name: Callable[[str], str]) -> None:
        self._world = world
        self.namespace = namespace
        self.new_name = new_name
        # Every access key that was ever in a Secret of this namespace and was copied.
        self.keys: list[tuple[str, str]] = []
        world.core.create_namespaced_service_account(namespace, {"metadata": {"name": "tenant"}})
        subject = {"kind": "ServiceAccount", "name": "tenant", "namespace": namespace}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"}
        k8s.RbacAuthorizationV1Api(world.core.api_client).create_namespaced_role_binding(
            namespace, {"metadata": {"name": "tenant"}, "roleRef": role, "subjects": [subject]}
        )
        request = {"spec": {"audiences": None, "expirationSeconds": 3600}}
        token = world.core.create_namespaced_service_account_token("tenant", namespace, request).status.token
        config = copy.deepcopy(world.core.api_client.configuration)
        config.api_key, config.api_key_prefix = {"authorization": f"Bearer {token}"}, {}
        config.refresh_api_key_hook = None
        client = k8s.ApiClient(config)
        self.core, self.custom = k8s.CoreV1Api(client), k8s.CustomObjectsApi(client)

    def order(self, *, metadata: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
        """Create an S3 object."""
        names = {"bucketName": self.new_name("mine"), "iamUser": {"username": self.new_name("mine")}}
        name = self.new_name("cr")
        body = {
            "apiVersion": API_VERSION, "kind": "S3", "metadata": {"name": name, **(metadata or {})},
            "spec": {"region": "us-east-1", **names, **spec},
        }  # fmt: skip
        return dict(self.custom.create_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, body))

    def patch(self, cr: dict[str, Any], body: dict[str, Any]) -> None:
        self.custom.patch_namespaced_custom_object(GROUP, VERSION, self.namespace, PLURAL, cr["metadata"]["name"], body)

    def steal(self, cr: dict[str, Any]) -> tuple[str, str]:
        """Copy the access key in a Secret."""
        data = self.core.read_namespaced_secret(secret_of(cr), self.namespace).data
        pair = tuple(base64.b64decode(data[name]).decode() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"))
        self.keys.append((pair[0], pair[1]))
        return self.keys[-1]

    def s3(self, pair: tuple[str, str]) -> Any:
        return self._world.aws.client("s3", aws_access_key_id=pair[0], aws_secret_access_key=pair[1])

    def strip(self, cr: dict[str, Any]) -> None:
        """Delete an object and remove its finalizer."""
        delete(self._world, cr)
        with contextlib.suppress(ApiException):
            self.patch(cr, {"metadata": {"finalizers": None}})
        wait_gone(self._world, cr)


class Victim:
    """Another namespace, with data."""

    def __init__(self, world: World, namespace: str, new_name: Callable[[str], str]) -> None:
        self._world = world
        self.namespace = namespace
        self._new_name = new_name
        self.cr = self.order()

    def order(self, **spec: Any) -> dict[str, Any]:
        names = {"bucketName": self._new_name("victim"), "iamUser": {"username": self._new_name("victim")}}
        return self._world.make_object(self.namespace, self._new_name("cr"), {"region": "us-east-1", **names, **spec})

    def fill(self) -> None:
        wait_ready(self._world, self.cr)
        self._world.tenant(self.cr).put_object(Bucket=self.bucket, Key="precious", Body=b"data")
        self.before = self._world.snapshot(self.cr)

    @property
    def bucket(self) -> str:
        return str(self.cr["spec"]["bucketName"])

    @property
    def user(self) -> str:
        return str(self.cr["spec"]["iamUser"]["username"])


@pytest.fixture(scope="module")
def edit_role(world: World, new_name: Callable[[str], str]) -> Iterator[None]:
    """The aggregated roles of the chart."""
    api, suffix = k8s.RbacAuthorizationV1Api(world.core.api_client), new_name("role")
    roles = render("--show-only=templates/aggregate.yaml")
    for role in roles:
        role["metadata"]["name"] += f"-{suffix}"
        api.create_cluster_role(role)
    wait_until(
        lambda: any("agill.apps" in (rule.api_groups or []) for rule in api.read_cluster_role("edit").rules), "edit"
    )
    yield
    for role in roles:
        api.delete_cluster_role(role["metadata"]["name"])


@pytest.fixture(scope="module")
def attacker(world: World, edit_role: None, new_name: Callable[[str], str]) -> Attacker:
    namespace = new_name("attacker")
    world.make_namespace(namespace)
    return Attacker(world, namespace, new_name)


@pytest.fixture(scope="module")
def victim(world: World, new_name: Callable[[str], str]) -> Victim:
    namespace = new_name("victim")
    world.make_namespace(namespace)
    return Victim(world, namespace, new_name)


class Service:
    """The operator, which can be restarted."""

    def __init__(self, start: Callable[[], Operator]) -> None:
        self._start = start
        self.operator = start()

    def restart(self) -> None:
        # The tests that follow need an operator, whatever happens to the first one.
        try:
            assert self.operator.stop(timeout_s=180) == 0
        finally:
            self.operator.kill()
            self.operator = self._start()


@pytest.fixture(scope="module")
def service(
    world: World, attacker: Attacker, victim: Victim, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    namespaces = f"{attacker.namespace},{victim.namespace}"
    arguments = ("--watch-namespace", namespaces, "--no-leader-elect", "--sync-period", "20", "--log-level", "debug")
    running = Service(lambda: Operator(world, tmp_path_factory.mktemp("operator"), *arguments))
    yield running
    running.operator.kill()


@pytest.fixture(autouse=True)
def _intact(world: World, service: Service, attacker: Attacker, victim: Victim) -> Iterator[None]:
    """What must be true after every attack."""
    if not hasattr(victim, "before"):
        victim.fill()
    yield
    assert service.operator.process.poll() is None, "the operator ended"
    assert world.snapshot(victim.cr) == victim.before
    assert world.tenant(victim.cr).get_object(Bucket=victim.bucket, Key="precious")["Body"].read() == b"data"
    for pair in attacker.keys:
        assert_denied(attacker.s3(pair), victim.bucket)
    wait_ready(world, victim.order())


def assert_denied(s3: Any, bucket: str) -> None:
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="precious")
    assert refused.value.response["Error"]["Code"] in _NO_KEY
    with pytest.raises(ClientError):
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": []})


def secret_of(cr: dict[str, Any]) -> str:
    return f"{cr['metadata']['name']}-iam-secret"


def reason_of(world: World, cr: dict[str, Any]) -> str:
    """The reason of the Ready condition in the object's current generation."""
    generation = (live(world, cr) or {})["metadata"]["generation"]

    def find_reason() -> str:
        found = condition(world, cr)
        is_now = found.get("observedGeneration") == generation and found["reason"] not in _TRANSITIONAL
        return str(found["reason"]) if is_now else ""

    try:
        return str(wait_until(find_reason, f"a reason for {cr['metadata']['name']}"))
    except TimeoutError as error:
        raise TimeoutError(f"still {condition(world, cr)}") from error


def keys_of(world: World, cr: dict[str, Any]) -> list[str]:
    try:
        listed = world.iam.list_access_keys(UserName=cr["spec"]["iamUser"]["username"])["AccessKeyMetadata"]
    except world.iam.exceptions.NoSuchEntityException:
        return []
    return [key["AccessKeyId"] for key in listed]


def statement(bucket: str, **parts: Any) -> dict[str, Any]:
    allow = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return {**allow, **parts}


def text_of(**parts: Any) -> Callable[[str], str]:
    return lambda bucket: json.dumps({"Version": "2012-10-17", "Statement": [statement(bucket, **parts)]})


_BOMBS: dict[str, Callable[[str], str]] = {
    "stars-in-the-action": text_of(Action=f"s3:{'*' * 30}x"),
    "stars-in-the-resource": lambda bucket: text_of(Resource=f"arn:aws:s3:::{bucket}/{'*a' * 12}*b")(bucket),
    "stars-and-letters": text_of(Action=f"s3:{'*e' * 60}x"),
    "deep": lambda _: f'{{"Version": "2012-10-17", "Statement": {"[" * 9000}{"]" * 9000}}}',
    "long-number": text_of(Condition={"NumericEquals": {"s3:max-keys": 10**4000}}),
    "huge-exponent": lambda bucket: text_of(Condition={"NumericEquals": {"s3:max-keys": 0}})(bucket).replace(
        "0}", "1e999999}"
    ),
    "not-a-number": text_of(Condition={"NumericEquals": {"s3:max-keys": float("nan")}}),
    "surrogate": text_of(Sid="\ud800"),
    "two-conditions": lambda bucket: text_of(Condition={"Bool": {"aws:SecureTransport": "true"}})(bucket).replace(
        '"Effect"', '"Condition": {}, "Effect"'
    ),
    "many-statements": lambda bucket: json.dumps(
        {"Version": "2012-10-17", "Statement": [statement("b", Sid=f"s{number}") for number in range(180)]}
    ),
    "list-of-lists": text_of(Action=[[["s3:GetObject"]]]),
}


def test_bucket_policies_that_are_costly_or_no_policies(world: World, attacker: Attacker) -> None:
    objects = {}
    for name, policy_for in _BOMBS.items():
        bucket = attacker.new_name("bomb")
        # An object that the API server rejects has no effect.
        with contextlib.suppress(ApiException):
            objects[name] = attacker.order(bucketName=bucket, bucketPolicy=policy_for(bucket))
    assert {"stars-in-the-action", "stars-in-the-resource", "deep", "two-conditions"} <= set(objects)
    found = {name: reason_of(world, cr) for name, cr in objects.items()}
    assert set(found.values()) <= {"InvalidSpec", "Ready"}, found
    assert [found[name] for name in ("deep", "two-conditions")] == ["InvalidSpec"] * 2


def test_name_of_another_namespaces_bucket(world: World, attacker: Attacker, victim: Victim) -> None:
    objects = [
        attacker.order(bucketName=victim.bucket, adoptionPolicy=name) for name in ("Never", "IfExists", "Required")
    ]
    for cr in objects:
        assert reason_of(world, cr) == "Conflict"
        assert (keys_of(world, cr), world.secret(cr)) == ([], None)
        delete(world, cr)
    for cr in objects:
        wait_gone(world, cr)


def test_name_that_two_namespaces_order_at_once(world: World, attacker: Attacker, victim: Victim) -> None:
    for _ in range(2):
        name = attacker.new_name("both")
        objects = [attacker.order(bucketName=name), victim.order(bucketName=name)]
        found = [reason_of(world, cr) for cr in objects]
        assert sorted(found) == ["Conflict", "Ready"]
        loser = objects[found.index("Conflict")]
        assert (keys_of(world, loser), world.secret(loser)) == ([], None)
        for cr in objects:
            delete(world, cr)
            wait_gone(world, cr)


@pytest.mark.parametrize("spelled", [str, str.upper], ids=["same", "other-case"])
def test_name_of_another_namespaces_user(
    world: World, attacker: Attacker, victim: Victim, spelled: Callable[[str], str]
) -> None:
    cr = attacker.order(iamUser={"username": spelled(victim.user)})
    assert reason_of(world, cr) == "Conflict"
    with pytest.raises(ClientError, match="404"):
        world.s3.head_bucket(Bucket=cr["spec"]["bucketName"])
    delete(world, cr)
    wait_gone(world, cr)


def test_copied_key_after_the_finalizer_was_stripped_and_the_bucket_deleted(
    world: World, attacker: Attacker, victim: Victim, service: Service
) -> None:
    """The key of the previous owner must not read the bucket of the next owner of the name.

    The operator is restarted, so only IAM shows who had the name.
    """
    cr = attacker.order()
    wait_ready(world, cr)
    pair, bucket = attacker.steal(cr), cr["spec"]["bucketName"]
    attacker.strip(cr)
    attacker.s3(pair).delete_bucket(Bucket=bucket)
    service.restart()
    assert_next_owner_is_safe(world, attacker, victim, bucket, pair)


def test_copied_key_of_an_object_that_is_made_never_ready(world: World, attacker: Attacker, victim: Victim) -> None:
    """The Service is replaced once the access key exists, so that the object is a Conflict from then on."""
    cr = attacker.order()
    wait_until(lambda: world.secret(cr), "the Secret")
    pair, bucket, name = attacker.steal(cr), cr["spec"]["bucketName"], cr["metadata"]["name"]
    take_service(attacker, name)
    wait_until(lambda: condition(world, cr).get("reason") == "Conflict", "Conflict")
    attacker.s3(pair).delete_bucket(Bucket=bucket)
    assert_next_owner_is_safe(world, attacker, victim, bucket, pair)


def take_service(attacker: Attacker, name: str) -> None:
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "0f0f0f0f-0000-4000-8000-000000000000"}
    config_map = attacker.core.create_namespaced_config_map(attacker.namespace, {"metadata": {"name": name}})
    owner |= {"name": name, "uid": config_map.metadata.uid, "controller": True}
    body = {
        "metadata": {"name": name, "ownerReferences": [owner]},
        "spec": {"type": "ExternalName", "externalName": "mine.example.com"},
    }

    def is_taken() -> bool:
        with contextlib.suppress(ApiException):
            attacker.core.delete_namespaced_service(name, attacker.namespace)
        try:
            attacker.core.create_namespaced_service(attacker.namespace, body)
        except ApiException as error:
            # The operator created it first.
            assert error.status == 409  # noqa: PT017
            return False
        return True

    wait_until(is_taken, "a Service that the operator does not own")


def assert_next_owner_is_safe(
    world: World, attacker: Attacker, victim: Victim, bucket: str, pair: tuple[str, str]
) -> None:
    """Another namespace that asks for the name is refused, or gets it in such a way that the old key does not work."""
    claim = victim.order(bucketName=bucket)

    def is_answered() -> bool:
        found = condition(world, claim)
        # While IAM may not show the claim of the first object yet, the operator keeps it in memory.
        return found.get("reason") in ("Ready", "Conflict") or "first: waiting" in found.get("message", "")

    wait_until(is_answered, "an answer to the order")
    if condition(world, claim)["reason"] == "Ready":
        world.tenant(claim).put_object(Bucket=bucket, Key="precious", Body=b"data")
        assert_denied(attacker.s3(pair), bucket)
    else:
        assert (keys_of(world, claim), world.secret(claim)) == ([], None)
    delete(world, claim)
    wait_gone(world, claim)


def test_service_that_is_there_first_gets_no_key(world: World, attacker: Attacker) -> None:
    name = attacker.new_name("first")
    take_service(attacker, name)
    cr = attacker.order(metadata={"name": name})
    assert reason_of(world, cr) == "Conflict"
    assert (keys_of(world, cr), world.secret(cr)) == ([], None)
    delete(world, cr)
    wait_gone(world, cr)
    assert attacker.core.read_namespaced_service(name, attacker.namespace).spec.external_name == "mine.example.com"


def test_secret_that_is_there_first_is_left_alone(world: World, attacker: Attacker) -> None:
    name = attacker.new_name("first")
    labels = {"app.kubernetes.io/managed-by": "s3-operator", "agill.apps/s3": name}
    body = {"metadata": {"name": f"{name}-iam-secret", "labels": labels}, "stringData": {"AWS_ACCESS_KEY_ID": "x"}}
    attacker.core.create_namespaced_secret(attacker.namespace, body)
    cr = attacker.order(metadata={"name": name})
    assert reason_of(world, cr) == "Conflict"
    assert keys_of(world, cr) == []
    delete(world, cr)
    wait_gone(world, cr)
    assert set(attacker.core.read_namespaced_secret(f"{name}-iam-secret", attacker.namespace).data) == {
        "AWS_ACCESS_KEY_ID"
    }


def test_owner_tags_of_another_object_on_a_bucket(world: World, attacker: Attacker, victim: Victim) -> None:
    cr = attacker.order()
    wait_ready(world, cr)
    pair, bucket = attacker.steal(cr), cr["spec"]["bucketName"]
    listed = world.s3.get_bucket_tagging(Bucket=victim.bucket)["TagSet"]
    attacker.s3(pair).put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": listed})
    attacker.s3(pair).put_object(Bucket=bucket, Key="a", Body=b"x")
    wait_until(lambda: condition(world, cr).get("reason") == "Conflict", "Conflict")
    delete(world, cr)
    wait_gone(world, cr)
    assert keys_of(world, cr) == [], "its key is gone, and its bucket belongs to no object"
    assert world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == listed


def test_tag_adopted_and_a_bucket_that_is_opened(world: World, attacker: Attacker) -> None:
    """The access key alone cannot take a bucket out of management, and cannot exclude it from the object's deletion."""
    cr = attacker.order()
    wait_ready(world, cr)
    pair, bucket = attacker.steal(cr), cr["spec"]["bucketName"]
    before = world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    forged = [*before, {"Key": "agill.apps/adopted", "Value": "true"}]
    attacker.s3(pair).put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": forged})
    attacker.s3(pair).delete_public_access_block(Bucket=bucket)
    wait_until(lambda: world.s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == before, "the tag taken off")
    assert all(world.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    attacker.s3(pair).put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": forged})
    delete(world, cr)
    wait_gone(world, cr)
    with pytest.raises(ClientError, match="404"):
        world.s3.head_bucket(Bucket=bucket)


def test_name_of_a_bucket_whose_key_was_deleted_just_now(world: World, attacker: Attacker, victim: Victim) -> None:
    """AWS may accept the deleted key for some time, long enough to write settings to the next bucket with the name."""
    cr = attacker.order()
    wait_ready(world, cr)
    attacker.steal(cr)
    delete(world, cr)
    wait_gone(world, cr)
    claim = victim.order(bucketName=cr["spec"]["bucketName"])
    wait_until(lambda: "credentials" in condition(world, claim).get("message", ""), "the wait for AWS")
    assert (keys_of(world, claim), world.secret(claim)) == ([], None)
    # The namespace that had the key may use the name again at once.
    again = attacker.order(bucketName=cr["spec"]["bucketName"])
    wait_ready(world, again)
    for one in (claim, again):
        delete(world, one)
        wait_gone(world, one)


def test_specs_that_flip(world: World, attacker: Attacker, victim: Victim) -> None:
    objects = [attacker.order() for _ in range(8)]
    for number in range(8):
        for cr in objects:
            attacker.patch(cr, {"spec": {"enableVersioning": number % 2 == 0}})
    wait_ready(world, victim.order())
    attacker.custom.delete_collection_namespaced_custom_object(GROUP, VERSION, attacker.namespace, PLURAL)
    for cr in objects:
        wait_gone(world, cr)
        assert keys_of(world, cr) == []


def test_status_cannot_be_forged(world: World, attacker: Attacker, victim: Victim) -> None:
    forged = {"bucketARN": f"arn:aws:s3:::{victim.bucket}", "status": "Ready", "observedGeneration": 1}
    cr = attacker.order()
    with pytest.raises(ApiException, match="403"):
        attacker.custom.patch_namespaced_custom_object_status(
            GROUP, VERSION, attacker.namespace, PLURAL, cr["metadata"]["name"], {"status": forged}
        )
    attacker.patch(cr, {"status": forged})
    wait_ready(world, cr)
    assert (live(world, cr) or {})["status"]["bucketARN"] == f"arn:aws:s3:::{cr['spec']['bucketName']}"


def test_owner_references_to_other_objects(world: World, attacker: Attacker, victim: Victim) -> None:
    """Kubernetes deletes an object if its owner does not exist in its namespace. Nothing else is deleted."""
    owner = {
        "apiVersion": API_VERSION, "kind": "S3", "controller": True, "blockOwnerDeletion": True,
        "name": victim.cr["metadata"]["name"], "uid": victim.cr["metadata"]["uid"],
    }  # fmt: skip
    name = attacker.new_name("owned")
    body = {"metadata": {"name": f"{name}-iam-secret", "ownerReferences": [owner]}}
    attacker.core.create_namespaced_secret(attacker.namespace, body)
    cr = attacker.order(metadata={"name": name, "ownerReferences": [owner]})
    wait_gone(world, cr)
    assert keys_of(world, cr) == []


def test_secret_deleted_again_and_again(world: World, attacker: Attacker) -> None:
    cr = attacker.order()
    wait_ready(world, cr)
    for _ in range(4):
        uid = (world.secret(cr) or {})["metadata"]["uid"]
        attacker.core.delete_namespaced_secret(secret_of(cr), attacker.namespace)
        wait_until(lambda uid=uid: (world.secret(cr) or {}).get("metadata", {}).get("uid", uid) != uid, "a new Secret")
    wait_until(lambda: keys_of(world, cr) == [world.credentials(cr)[0]], "one key, in the Secret")


def test_secret_with_forged_record_does_not_hold_up_repair_nor_deletion(world: World, attacker: Attacker) -> None:
    """The annotations claim that this key was issued just now, or in a thousand years."""
    cr = attacker.order()
    wait_ready(world, cr)
    pair = {"AWS_ACCESS_KEY_ID": "AKIAFORGED", "AWS_SECRET_ACCESS_KEY": "x"}
    record = "AKIAFORGED:2d711642b726b04401627ca9fbac32f5"
    annotations = {"agill.apps/key": record, "agill.apps/key-issued": "3026-01-01T00:00:00Z"}
    body = {"metadata": {"annotations": annotations}, "stringData": pair}
    attacker.core.patch_namespaced_secret(secret_of(cr), attacker.namespace, body)
    wait_until(lambda: keys_of(world, cr) == [world.credentials(cr)[0]], "the recorded key in the Secret again")
    attacker.core.patch_namespaced_secret(secret_of(cr), attacker.namespace, body)
    delete(world, cr)
    wait_gone(world, cr)
    assert keys_of(world, cr) == []


def test_secret_that_nobody_can_delete(world: World, attacker: Attacker) -> None:
    cr = attacker.order()
    wait_ready(world, cr)
    patch = {"metadata": {"finalizers": ["example.com/keep"], "labels": None}, "immutable": True}
    attacker.core.patch_namespaced_secret(secret_of(cr), attacker.namespace, patch)
    wait_until(lambda: condition(world, cr).get("reason") == "KubernetesError", "the reason")
    keys = keys_of(world, cr)
    assert keys == [world.credentials(cr)[0]]
    delete(world, cr)
    wait_gone(world, cr)
    assert keys_of(world, cr) == []
    attacker.core.patch_namespaced_secret(secret_of(cr), attacker.namespace, {"metadata": {"finalizers": None}})


_TYPES: dict[str, dict[str, Any]] = {
    "other-host": {"externalName": "kubernetes.default.svc.cluster.local"},
    "cluster-ip": {"type": "ClusterIP", "externalName": None, "ports": [{"port": 443}], "selector": {"app": "mine"}},
    "node-port": {"type": "NodePort", "externalName": None, "ports": [{"port": 443}]},
    "load-balancer": {
        "type": "LoadBalancer", "externalName": None, "ports": [{"port": 443}], "externalIPs": ["192.0.2.1"]
    },
}  # fmt: skip


def test_service_of_another_type(world: World, attacker: Attacker) -> None:
    cr = attacker.order()
    wait_ready(world, cr)
    name = cr["metadata"]["name"]
    for kind, spec in _TYPES.items():
        attacker.core.patch_namespaced_service(name, attacker.namespace, {"spec": spec})

        def is_repaired() -> bool:
            found = (world.service(cr) or {}).get("spec", {})
            return (found.get("type"), found.get("externalName")) == ("ExternalName", "s3.amazonaws.com")

        wait_until(is_repaired, f"the Service, after {kind}")


def test_flood_of_labeled_secrets(world: World, attacker: Attacker) -> None:
    labels = {"app.kubernetes.io/managed-by": "s3-operator", "agill.apps/s3": "flood"}
    value, number = "x" * 300_000, 0
    for number in range(20):
        body = {"metadata": {"name": f"flood-{number}", "labels": labels}, "stringData": {"value": value}}
        attacker.core.create_namespaced_secret(attacker.namespace, body)
    many = {f"k{key}": "x" for key in range(20_000)}
    body = {"metadata": {"name": "flood-keys", "labels": labels}, "stringData": many}
    attacker.core.create_namespaced_secret(attacker.namespace, body)
    wait_ready(world, attacker.order())


def test_huge_object(world: World, attacker: Attacker) -> None:
    annotations = {f"example.com/{number}": "x" * 25_000 for number in range(10)}
    tags = {f"tag-{number}": "x" * 256 for number in range(40)}
    cr = attacker.order(metadata={"name": attacker.new_name("huge"), "annotations": annotations}, tags=tags)
    assert reason_of(world, cr) in ("Ready", "InvalidSpec")
    delete(world, cr)
    wait_gone(world, cr)


def ask(attacker: Attacker, method: str, path: str, body: str = "") -> int:
    """The status of a request. No client model could represent its body and response."""
    api, kind = attacker.core.api_client, "merge-patch+json" if method == "PATCH" else "json"
    headers = {"Content-Type": f"application/{kind}"}
    api.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
    url = f"{api.configuration.host}{path}"
    return int(api.rest_client.pool_manager.request(method, url, body=body or None, headers=headers).status)


def test_managed_fields_that_are_nested_too_deeply_to_be_parsed(
    world: World, attacker: Attacker, victim: Victim, service: Service
) -> None:
    """The API server stores them.

    Every list and watch of the operator returns them, together with the objects of all tenants.
    """
    # Go's JSON parser accepts 10,000 levels, Python's 1,000.
    fields = '{"f:a":' * 1_500 + "{}" + "}" * 1_500
    entry = (
        f'"manager":"x","operation":"Update","time":"2026-01-01T00:00:00Z","fieldsType":"FieldsV1","fieldsV1":{fields}'
    )
    secrets = f"/api/v1/namespaces/{attacker.namespace}/secrets"
    objects = f"/apis/agill.apps/v1alpha1/namespaces/{attacker.namespace}/s3s"
    cr = attacker.order()
    wait_ready(world, cr)
    own, name = f"{secrets}/{secret_of(cr)}", attacker.new_name("deep")

    def deep(version: str) -> str:
        return f'"managedFields":[{{"apiVersion":"{version}",{entry}}}]'

    spec = json.dumps({"region": "us-east-1", "bucketName": attacker.new_name("deep")})
    labels = '"labels":{"app.kubernetes.io/managed-by":"s3-operator"}'
    kind, group = '"apiVersion":"agill.apps/v1alpha1","kind":"S3"', API_VERSION
    assert (
        ask(attacker, "POST", objects, f'{{{kind},"metadata":{{"name":"{name}",{deep(group)}}},"spec":{spec}}}') == 201
    )
    body = f'{{"apiVersion":"v1","kind":"Secret","metadata":{{"name":"{name}",{labels},{deep("v1")}}}}}'
    assert ask(attacker, "POST", secrets, body) == 201
    assert ask(attacker, "PATCH", own, f'{{"metadata":{{{deep("v1")}}}}}') == 200
    wait_ready(world, victim.order())
    service.restart()
    wait_ready(world, victim.order())
    # Its Secret does not keep its access key active.
    delete(world, cr)
    wait_until(lambda: keys_of(world, cr) == [], "the key deleted")
    for path in (f"{objects}/{name}", f"{secrets}/{name}", own):
        assert ask(attacker, "DELETE", path) in (200, 404)
    wait_gone(world, cr)
    wait_until(lambda: ask(attacker, "GET", f"{objects}/{name}") == 404, "the object deleted")


def test_text_that_is_a_template(world: World, attacker: Attacker, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("template") / "ran"
    template = f"{{{{ lookup('pipe', 'touch {file}') }}}}"
    tags = {"team": template, "__ansible_unsafe": template}
    reasons = []
    for spec in ({"tags": tags}, {"bucketPolicy": template}, {"tags": {"team": template}}):
        try:
            reasons.append(reason_of(world, attacker.order(**spec)))
        except ApiException:
            reasons.append("not admitted")
    # Only as a bucket policy does the text reach the operator.
    assert reasons == ["not admitted", "InvalidSpec", "not admitted"]
    assert not file.exists()


def test_restart_with_everything_that_is_left(world: World, service: Service, victim: Victim) -> None:
    service.restart()
    wait_ready(world, victim.order())
