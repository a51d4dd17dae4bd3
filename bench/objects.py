"""S3 objects that are Ready with all they have, as the role would have left them, without a run of the role.

:class:`ReadyMade` describes one, without any call; :func:`make` makes them in Kubernetes and AWS, directly.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from bench.place import CLUSTER, OBJECT, Place
from bench.role import (
    DEFAULTS,
    EXTERNAL_NAME,
    NO_RULES,
    KeyPlan,
    Observation,
    UserObservation,
    Wanted,
    children,
    fingerprint_of,
    outcome_status,
    owner,
    wanted_of,
)
from runner.control.publish import utc_now
from runner.control.status import status_of
from runner.objects import FINALIZER, S3Object
from s3bucket import secrets
from s3bucket.api import PLURAL
from s3bucket.outcome import Outcome, Reason

# moto has one process: more would only wait.
_THREADS = 4
Item = dict[str, Any]


def new_object(name: str, namespace: str, spec: Item | None = None) -> Item:
    """An S3 object as a user writes it: bucket and user have its name. With other fields of the spec, if any."""
    return {
        "apiVersion": "/".join(OBJECT),
        "kind": "S3",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}, **(spec or {})},
    }


def policy_of(item: Item) -> Item:
    """The inline policy that the user of a new object gets."""
    found: Item = wanted_of(item, CLUSTER, DEFAULTS).user_policy
    return found


@dataclass(frozen=True)
class ReadyMade:
    """One object with its key pair.

    ``item``: the S3 object with uid and generation, as the API server has it
    """

    item: Item
    account: str
    key_id: str
    secret_key: str

    @property
    def wanted(self) -> Wanted:
        """What the role reads out of it."""
        return wanted_of(self.item, CLUSTER, DEFAULTS)

    @property
    def user_tags(self) -> dict[str, str]:
        """All tags of the IAM user."""
        return {**self.wanted.identity.tags, owner.KEY: self._key_record}

    def status(self) -> Item:
        """What the operator would write of it."""
        wanted = self.wanted
        arn = NO_RULES.arn_of(wanted.partition, self.account, wanted.username)
        user = UserObservation(wanted.users[0], arn=arn, keys=KeyPlan(live=self.key_id))
        seen = Observation(account=self.account, users=[user], service_host=self._host)
        outcome = Outcome(True, Reason.READY, status=outcome_status(wanted, seen))
        return status_of(S3Object(self.item), outcome, utc_now()) or {}

    def secret(self) -> Item:
        """The Secret."""
        values = {secrets.KEY_ID: self.key_id, secrets.SECRET_KEY: self.secret_key}
        annotations = {children.ANNOTATION_KEY: self._key_record, children.ANNOTATION_ISSUED: utc_now()}
        return {
            "metadata": {**self._metadata(self.wanted.secret_name), "annotations": annotations},
            "type": "Opaque",
            "data": {name: base64.b64encode(value.encode()).decode() for name, value in values.items()},
        }

    def service(self) -> Item:
        """The Service."""
        return {"metadata": self._metadata(self.wanted.identity.name), "spec": children.service_spec(self._host)}

    @property
    def _host(self) -> str:
        return children.service_host(self.wanted, EXTERNAL_NAME)

    @property
    def _key_record(self) -> str:
        return f"{self.key_id}:{fingerprint_of(self.secret_key)}"

    def _metadata(self, name: str) -> Item:
        wanted = self.wanted
        return {
            "name": name,
            "namespace": wanted.identity.namespace,
            "labels": children.labels_of(wanted),
            "ownerReferences": children.owner_references(wanted),
        }


def make(place: Place, namespace: str, names: Sequence[str]) -> list[ReadyMade]:
    """Make objects of these names, Ready, and return them."""
    s3, iam = place.aws.client("s3"), place.aws.client("iam")

    def make_one(name: str) -> ReadyMade:
        body = new_object(name, namespace)
        body["metadata"]["finalizers"] = [FINALIZER]
        item = dict(place.custom.create_namespaced_custom_object(*OBJECT, namespace, PLURAL, body))
        made = _make_in_aws(s3, iam, item, place.account)
        _make_in_kubernetes(place, made)
        return made

    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(make_one, names))


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags as AWS takes them."""
    return [{"Key": key, "Value": text} for key, text in tags.items()]


def _make_in_aws(s3: Any, iam: Any, item: Item, account: str) -> ReadyMade:
    wanted = wanted_of(item, CLUSTER, DEFAULTS)
    s3.create_bucket(Bucket=wanted.bucket, CreateBucketConfiguration={"Tags": tag_list(wanted.bucket_tags)})
    iam.create_user(UserName=wanted.username, Tags=tag_list(wanted.identity.tags))
    document = json.dumps(wanted.user_policy)
    iam.put_user_policy(UserName=wanted.username, PolicyName=wanted.policy_name, PolicyDocument=document)
    key = iam.create_access_key(UserName=wanted.username)["AccessKey"]
    made = ReadyMade(item, account, key["AccessKeyId"], key["SecretAccessKey"])
    iam.tag_user(UserName=wanted.username, Tags=tag_list({owner.KEY: made.user_tags[owner.KEY]}))
    return made


def _make_in_kubernetes(place: Place, made: ReadyMade) -> None:
    metadata = made.item["metadata"]
    namespace = metadata["namespace"]
    place.core.create_namespaced_secret(namespace, made.secret())
    place.core.create_namespaced_service(namespace, made.service())
    place.custom.patch_namespaced_custom_object_status(
        *OBJECT,
        namespace,
        PLURAL,
        metadata["name"],
        {"status": made.status()},
        _content_type="application/merge-patch+json",
    )
