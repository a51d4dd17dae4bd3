"""Verifies the access keys of S3 objects: reads each from its Secret, and signs requests for the bucket with it.

A Secret is read by name each time, as the informer caches have only fingerprints, and nothing of it is kept. The rules
are those of ``s3bucket.verification``. Threads: any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from runner.drift.aws_clients import AWSClients
from runner.drift.key_clients import KeyClients
from runner.objects import S3Object
from s3bucket import access, children, metadata, read, verification
from s3bucket.access import WantedUser
from s3bucket.capabilities import AWS, Capabilities
from s3bucket.cluster import ApiServer
from s3bucket.errors import ReconcileError
from s3bucket.verification import KeyState, Target, Verification


class KeyVerification:
    """Verifies keys.

    :param operator: clients with the operator's own key
    :param get_capabilities: what the endpoint has
    """

    def __init__(
        self, operator: AWSClients, cluster: ApiServer, get_capabilities: Callable[[], Capabilities] = lambda: AWS
    ) -> None:
        self._get_capabilities = get_capabilities
        self._operator = operator
        self._cluster = cluster
        self._clients = KeyClients(operator)

    def verify(self, s3: S3Object, *, may_write: bool = True) -> Verification | None:
        """Verify the access keys of an object. The result is that of the first key that fails.

        None when a Secret that the object controls holds no key: then there is nothing to verify.

        :param may_write: False verifies only access, whatever the spec gives
        """
        result: Verification | None = None
        for user in _users_of(s3):
            try:
                found = self._verify(s3, user, may_write=may_write)
            except ReconcileError as error:
                # Of Kubernetes, or of the operator's own requests: nothing is known of the key.
                found = Verification(False, error.reason, error.message, KeyState.UNANSWERED, is_answer=False)
            if found is not None and not found.ok:
                return replace(found, message=f"{user.field}: {found.message}")
            result = found or result
        return result

    def _verify(self, s3: S3Object, user: WantedUser, *, may_write: bool) -> Verification | None:
        pair = self._find_pair(s3, user.secret.name)
        if pair is None:
            return None
        region, prefix = str(s3.spec.get("region", "")), user.prefixes[0] if user.prefixes else ""
        operator, _, identity = self._operator.get(region)
        capabilities = self._get_capabilities()
        owner = capabilities.owner_of(read.get_account(identity, capabilities))
        target = Target(s3.bucket_name, owner, prefix, user.mode, s3.uid)
        with self._clients.signing(region, *pair) as client:
            if may_write and s3.spec.get("verify") == verification.READ_WRITE:
                return verification.verify_writing(client, operator, target)
            return verification.verify_access(client, target)

    def _find_pair(self, s3: S3Object, name: str) -> tuple[str, str] | None:
        secret = self._cluster.find_secret(s3.namespace, name)
        if secret is None or not children.is_controlled(secret, s3.uid):
            return None
        key_id, value = children.values_in(secret)
        return (key_id, value) if key_id and value else None


def _users_of(s3: S3Object) -> tuple[WantedUser, ...]:
    try:
        return access.users_of(s3.spec, s3.name, metadata.NONE)
    except ReconcileError:
        # The condition Ready shows that the spec is invalid.
        return ()
