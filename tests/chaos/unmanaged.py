"""Resources in AWS and in the namespace that the operator does not own.

No run, killed or not, may change any byte of them.
"""

from __future__ import annotations

import json
from typing import Any

from tests.support.world import World

_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
_TAGS = [{"Key": "agill.apps/name", "Value": "somebody-else"}, {"Key": "team", "Value": "others"}]


class Unmanaged:
    """A bucket with contents, a user with two access keys, and a Secret and a Service in the object's namespace."""

    def __init__(self, world: World, namespace: str, name: str) -> None:
        self._world, self._namespace, self._name = world, namespace, name
        world.s3.create_bucket(Bucket=name)
        world.s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": _TAGS})
        world.s3.put_object(Bucket=name, Key="precious", Body=b"data")
        world.iam.create_user(UserName=name, Tags=_TAGS)
        world.iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(_POLICY))
        for _ in range(2):
            world.iam.create_access_key(UserName=name)
        metadata = {"name": name, "labels": {"app.kubernetes.io/managed-by": "somebody-else"}}
        world.core.create_namespaced_secret(namespace, {"metadata": metadata, "stringData": {"a": "b"}})
        service = {"type": "ExternalName", "externalName": "example.com"}
        world.core.create_namespaced_service(namespace, {"metadata": metadata, "spec": service})
        self.before = self.read()

    def read(self) -> str:
        """Return all of these resources as text."""
        s3, iam, name = self._world.s3, self._world.iam, self._name
        found = {
            "tags": s3.get_bucket_tagging(Bucket=name)["TagSet"],
            "objects": s3.list_object_versions(Bucket=name)["Versions"],
            "user": iam.get_user(UserName=name)["User"],
            "keys": iam.list_access_keys(UserName=name)["AccessKeyMetadata"],
            "policy": iam.get_user_policy(UserName=name, PolicyName="all")["PolicyDocument"],
            "secret": self._in_kubernetes("secret"),
            "service": self._in_kubernetes("service"),
        }
        return json.dumps(found, default=str, sort_keys=True)

    def _in_kubernetes(self, kind: str) -> Any:
        read = getattr(self._world.core, f"read_namespaced_{kind}")
        # Includes the resourceVersion, so that a write of identical bytes shows as well.
        return json.loads(read(self._name, self._namespace, _preload_content=False).data)
