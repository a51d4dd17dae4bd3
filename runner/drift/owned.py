"""What carries this cluster's owner tags in AWS: users, roles, associations and buckets. Reads only; for orphans."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from runner.drift.aws_clients import AWSClients, home_region
from runner.drift.user_cache import UserCache
from runner.objects import Owned, ReadError
from s3bucket import errors, owner, read
from s3bucket import users as user_rules
from s3bucket.associations import find_all_associations
from s3bucket.capabilities import Capabilities
from s3bucket.errors import ReconcileError
from s3bucket.read_roles import read_all_roles
from s3bucket.role_settings import RoleSettings

# The number of buckets that have their tags read at a time.
_AT_ONCE = 16


class OwnedReader:
    """Reads owner tags.

    :param settings: have the cluster's name in owner tags, and the EKS cluster
    """

    def __init__(
        self,
        clients: AWSClients,
        users: UserCache,
        settings: RoleSettings,
        get_capabilities: Callable[[], Capabilities],
    ) -> None:
        self._get_capabilities = get_capabilities
        self._clients = clients
        self._users = users
        self._cluster = settings.cluster_name
        self._roles = settings.role_rules

    def find_users(self) -> tuple[float, list[Owned]] | None:
        """The IAM users with this cluster's owner tags, and when they were read; None when they are not read now.

        A user of an object that was only a file, which has no uid, is not among them.

        :raises ReadError: when AWS does not return them
        """
        try:
            region, iam = self._clients.get_iam()
            if not self._get_capabilities().has_iam:
                return None
            found = self._users.read_all(iam)
        except ReconcileError as refusal:
            raise ReadError(refusal.message) from refusal
        if found is None:
            return None
        users = [
            self._owned("user", name, user.tags, region, user_rules.claim_of(name, user))
            for name, user in found[1].items()
        ]
        return found[0], [user for user in users if user is not None]

    def find_roles(self) -> list[Owned]:
        """The IAM roles with this cluster's owner tags. Also where the settings allow none any more.

        :raises ReadError: when AWS does not return them
        """
        try:
            region, iam = self._clients.get_iam()
            capabilities = self._get_capabilities()
            found = {} if capabilities.lacks("GetRole") else read_all_roles(iam, capabilities)
        except ReconcileError as refusal:
            raise ReadError(refusal.message) from refusal
        roles = [
            self._owned("role", name, role.tags, region, role.tags.get(owner.BUCKET, ""))
            for name, role in found.items()
        ]
        return [role for role in roles if role is not None]

    def find_associations(self) -> list[Owned]:
        """The EKS Pod Identity associations with this cluster's owner tags; none where the settings name no cluster.

        :raises ReadError: when AWS does not return them
        """
        if not self._roles.eks_cluster:
            return []
        region = self._roles.eks_region
        try:
            found = find_all_associations(self._clients.get_eks(region), self._roles.eks_name)
        except ReconcileError as refusal:
            raise ReadError(refusal.message) from refusal
        owned = [(item, self._owned("association", item.id, item.tags, region, "")) for item in found]
        return [replace(one, service_account=item.service_account) for item, one in owned if one is not None]

    def has_active_key(self, user: Owned) -> bool:
        """Whether an IAM user has an active access key. A user that no longer exists has none.

        :raises ReadError: when AWS does not return it
        """
        try:
            return bool(read.find_active_keys(self._clients.get_iam()[1], user.name))
        except ReconcileError as refusal:
            raise ReadError(refusal.message) from refusal

    def find_buckets(self) -> tuple[list[Owned], list[str]]:
        """The buckets with this cluster's owner tags, and the names of those without readable tags.

        :raises ReadError: when AWS does not list the buckets
        """
        region = home_region()
        try:
            s3, _, sts = self._clients.get(region)
            capabilities = self._get_capabilities()
            account = read.get_account(sts, capabilities)
            pages = s3.get_paginator("list_buckets").paginate()
            names = [bucket["Name"] for page in pages for bucket in page.get("Buckets", [])]
        except ReconcileError as refusal:
            raise ReadError(refusal.message) from refusal
        except errors.AWS_ERRORS as error:
            raise ReadError(f"failed to list the buckets (s3:ListAllMyBuckets): {error}") from error

        def find_tags(name: str) -> dict[str, str] | None:
            try:
                return read.get_bucket_tags(s3, name, capabilities.owner_of(account)) or {}
            except ReconcileError:
                return None

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            tags = dict(zip(names, pool.map(find_tags, names), strict=True))
        found = [self._owned("bucket", name, of_it, region, name) for name, of_it in tags.items() if of_it]
        return [bucket for bucket in found if bucket], [name for name, of_it in tags.items() if of_it is None]

    def _owned(self, kind: str, name: str, tags: dict[str, str], region: str, bucket: str) -> Owned | None:
        if tags.get(owner.CLUSTER) != self._cluster or not owner.Identity.owner_of(tags):
            return None
        uid = tags.get(owner.UID, "")
        return Owned(kind, name, tags[owner.NAMESPACE], tags[owner.NAME], uid, bucket, region) if uid else None
