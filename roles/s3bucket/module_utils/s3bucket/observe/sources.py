# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The sources of an observation, and the state that was read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from ..access import WantedUser
from ..capabilities import AWS, Capabilities
from ..errors import ReconcileError
from ..json_types import ApiObject, AwsClient
from ..roles import NO_ROLES, RoleRules
from ..rotation import LastUse
from ..state import BucketState, RoleState, UserState
from ..users import NO_RULES, UserRules


class Users(Protocol):
    """Reads IAM users: each by itself (``read.PerUserReader``), or all at once (``read.BulkUserReader``)."""

    def find(self, name: str) -> UserState | None:
        """The user, without its rights; None when there is none."""

    def read_rights(self, name: str, user: UserState) -> None:
        """Fill in the user's rights and its keys."""

    def find_last_use(self, key: str) -> LastUse:
        """What AWS shows of the last use of an access key."""


class Buckets(Protocol):
    """The bucket of the object, as requests for many buckets returned it some time ago."""

    def find(self, is_wanted: Callable[[BucketState], bool]) -> BucketState | None:
        """The bucket with its region and tags, if it is known and is as it should be."""

    def find_region(self) -> str:
        """The region of the bucket; empty when it is not known."""


class Cluster(Protocol):
    """Reads Secrets and Services: from the API server, or from the operator's informer caches.

    ``is_wanted`` False: none should exist, so one that is not in a cache need not be requested.
    """

    def find_secret(self, namespace: str, name: str, *, is_wanted: bool = True) -> ApiObject | None:
        """The Secret; None when there is none."""

    def find_service(self, namespace: str, name: str, *, is_wanted: bool = True) -> ApiObject | None:
        """The Service; None when there is none."""

    def find_config_map(self, namespace: str, name: str) -> ApiObject | None:
        """The ConfigMap; None when there is none. No cache has ConfigMaps."""

    def find_service_account(self, namespace: str, name: str) -> ApiObject | None:
        """The ServiceAccount; None when there is none. No cache has ServiceAccounts."""

    def list_secrets(self, namespace: str, name: str) -> list[ApiObject]:
        """The metadata of the Secrets with the label of this S3 object. No cache is asked. None without the right."""

    def find_object(self, namespace: str, name: str) -> ApiObject | None:
        """The S3 object with its status; None when there is none."""

    def is_terminating(self, namespace: str) -> bool:
        """Whether the namespace is being deleted."""

    def dry_run(self, manifest: ApiObject) -> None:
        """Ask the API server whether it would store the manifest.

        :raises ReconcileError: when it would not
        """


@dataclass(frozen=True)
class Sources:
    """The sources, and the role's settings that matter for reading.

    ``clients_of`` makes (sts, s3) clients of the key pair in a Secret, for the proof of adoption.
    ``iam_propagation_s``: seconds to allow for IAM's eventual consistency after a write.
    ``external_name``: the target of the Service; empty for the one that follows from the region.
    ``endpoint``: the URL of S3 for applications.
    ``rules``: what the cluster requires of users.
    ``read_users``: reads the users of the account that have one of these names somewhere, and maybe others, to check
    which of them claim the bucket's name. None skips that check, for a caller that changes nothing.
    ``cluster``: None means that Secret and Service are not compared and count as in sync.
    ``try_policy`` is called with the text of the bucket's policy before it is parsed.
    ``sts_of`` makes an STS client of another region.
    ``capabilities``: what the endpoint has.
    ``buckets``: only for a caller that changes nothing, and that observes again without it where it was wrong.
    ``eks_of`` makes an EKS client of a region.
    ``iam``, ``role_rules``: for the IAM role of an object that requests one, and who may assume it.
    """

    s3: AwsClient
    users: Users
    sts: AwsClient
    cluster: Cluster | None
    clients_of: Callable[[ApiObject], tuple[AwsClient, AwsClient]]
    now: datetime
    iam_propagation_s: float
    external_name: str
    rules: UserRules = NO_RULES
    read_users: Callable[[Collection[str]], dict[str, UserState]] | None = None
    try_policy: Callable[[str], None] | None = None
    sts_of: Callable[[str], Any] | None = None
    endpoint: str = ""
    iam: AwsClient = None
    role_rules: RoleRules = NO_ROLES
    eks_of: Callable[[str], AwsClient] | None = None
    capabilities: Capabilities = AWS
    buckets: Buckets | None = None

    def owner_of(self, account: str) -> str:
        """The value of ExpectedBucketOwner; empty where it is left out.

        :param account: of the operator's credentials
        """
        return self.capabilities.owner_of(account)


@dataclass(frozen=True)
class FoundUser:
    """One of the users that an object requests, with its Secret; None for what does not exist.

    ``former``: the owned Secret of the name that the user's tags record, while the spec gives another name.
    ``config_map``, ``former_config_map``: the ConfigMaps beside both, where there should be or was one.
    ``strays``: kind and item of Secrets and ConfigMaps that an unfinished move of the object's Secrets, or removal of
    its users, has left.
    ``problem``: why nothing is done about its key and its Secret. ``refusal``: why nothing at all is done about it.
    """

    wanted: WantedUser
    user: UserState | None
    secret: ApiObject | None = None
    former: ApiObject | None = None
    config_map: ApiObject | None = None
    former_config_map: ApiObject | None = None
    strays: tuple[tuple[str, ApiObject], ...] = ()
    problem: ReconcileError | None = None
    refusal: ReconcileError | None = None

    @property
    def with_key(self) -> ApiObject | None:
        """The Secret that should hold the key now, before this run."""
        return self.secret if self.secret is not None else self.former


@dataclass(frozen=True)
class Found:
    """The resources of an object in AWS and Kubernetes; None for one that does not exist.

    ``removed``: what is left of users that an earlier spec requested. ``role_problem``: why nothing is done about the
    role.
    """

    account: str
    bucket: BucketState | None
    users: tuple[FoundUser, ...] = ()
    service: ApiObject | None = None
    removed: tuple[FoundUser, ...] = ()
    role: RoleState | None = None
    role_problem: ReconcileError | None = None

    @property
    def user(self) -> UserState | None:
        """The first user, which claims the bucket's name in IAM."""
        return self.users[0].user if self.users else None

    @property
    def secret(self) -> ApiObject | None:
        """The first user's Secret."""
        return self.users[0].with_key if self.users else None
