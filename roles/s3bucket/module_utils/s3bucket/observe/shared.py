# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The buckets of other S3 objects that a user may also use (``iamUser.alsoUses``), and the policies that allow it.

A grant begins when the other object, of the same namespace, is Ready. It ends when that object is deleted or no longer
has its bucket. A failure that passes does not end it: applications use the bucket. In each check, the tags of the
bucket and of the other object's user must name that object with its uid: status alone proves nothing.

Each bucket has an inline policy of its own. Its name, as that of the user's own bucket, claims the name of the bucket:
no other namespace gets a bucket of that name while the user could use it (``claims``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from .. import grants, owner
from ..access import USER_NAME, OtherBucket, WantedUser
from ..errors import ReconcileError
from ..json_types import ApiObject
from ..policy import is_same
from ..read import get_bucket_tags
from ..spec import BUCKET_NAME, MAX_POLICY_NAME, Wanted
from ..state import UserState
from ..users import bucket_of_policy, policy_name_of
from ..values import invalid
from .sources import Sources


@dataclass
class Shared:
    """The policies for the buckets of other objects, by the bucket's name.

    ``wanted``: those that the user should have. ``stale``: the buckets with a policy of the operator's that is not
    wanted any more. ``problems``: what the spec requests and AWS would not allow.
    """

    wanted: dict[str, ApiObject] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[ReconcileError] = field(default_factory=list)

    @property
    def buckets(self) -> list[str]:
        """The buckets with a policy that is the operator's."""
        return [*self.wanted, *self.stale]


def find_shared(wanted: Wanted, sources: Sources, account: str, user: WantedUser, found: UserState | None) -> Shared:
    """Find the policies for the buckets of other objects. Reads nothing for a user that may use no other bucket.

    :param found: the user; None for a new one
    """
    finder, shared = _Finder(wanted, sources, account, user, found.policies if found else {}), Shared()
    if user.also_uses:
        finder.find_wanted(shared)
    if sources.cluster is not None or not user.also_uses:
        # Without a cluster it is not known which objects exist.
        shared.stale = finder.find_stale({wanted.bucket, *shared.wanted})
    return shared


@dataclass(frozen=True)
class _Finder:
    """Finds them for one user. ``policies``: its inline policies."""

    wanted: Wanted
    sources: Sources
    account: str
    user: WantedUser
    policies: dict[str, ApiObject]

    def find_wanted(self, shared: Shared) -> None:
        """Fill in the policies that the user should have, and why it has not all that the spec requests."""
        wanted, user = self.wanted, self.user
        room = grants.MAX_USER_POLICY - grants.size_of(wanted.policy_of(user))
        for other in user.also_uses:
            bucket, reason = self._find_bucket(other)
            if not bucket:
                shared.notes.append(f"spec.{user.field}.alsoUses[{other.name}] is not in force: {reason}")
                continue
            document = _document(wanted, bucket, other.mode, is_aws=wanted.is_aws)
            room -= grants.size_of(document)
            if room < 0 or len(policy_name_of(user.username, bucket)) > MAX_POLICY_NAME:
                shared.problems.append(_too_large(user, other, bucket))
                continue
            shared.wanted[bucket] = document

    def find_stale(self, kept: set[str]) -> list[str]:
        """The buckets, apart from these, for which the user has a policy exactly as the operator writes it."""
        found = []
        for name, policy in self.policies.items():
            bucket = bucket_of_policy(self.user.username, name)
            if not bucket or bucket in kept:
                continue
            if any(is_same(policy, document) for document in _documents(self.wanted, bucket)):
                found.append(bucket)
        return found

    def _find_bucket(self, other: OtherBucket) -> tuple[str, str]:
        """The bucket of another object; or an empty string and why the user may not use it."""
        mine, cluster = self.wanted.identity, self.sources.cluster
        if cluster is None:
            return "", "without a cluster, its S3 object is not read"
        item = cluster.find_object(mine.namespace, other.name)
        if item is None or item["metadata"].get("deletionTimestamp"):
            return "", f"S3 object {other.name} does not exist, or is being deleted"
        spec, uid = _mapping(item, "spec"), str(item["metadata"].get("uid", ""))
        bucket = str(spec.get("bucketName", ""))
        if not BUCKET_NAME.fullmatch(bucket) or not uid:
            return "", f"S3 object {other.name} has no bucket"
        is_granted = policy_name_of(self.user.username, bucket) in self.policies
        if not is_granted and not _is_ready(item, f"arn:{self.wanted.partition}:s3:::{bucket}"):
            return "", f"S3 object {other.name} is not Ready"
        try:
            is_owned = self._has_bucket(owner.Identity(mine.cluster, mine.namespace, other.name, uid), spec)
        except ReconcileError as refusal:
            # Unknown is not absent: a policy that exists stays as it is.
            return (bucket, "") if is_granted else ("", refusal.message)
        return (bucket, "") if is_owned else ("", f"bucket {bucket} does not belong to S3 object {other.name}")

    def _has_bucket(self, identity: owner.Identity, spec: ApiObject) -> bool:
        """Whether another object has its bucket, by the bucket's tags, and by IAM where the object has a user.

        Whoever has a key for a bucket can write its tags, and nothing in IAM.
        """
        bucket, username = str(spec["bucketName"]), str(_mapping(spec, "iamUser").get("username", ""))
        if not _names(identity, get_bucket_tags(self.sources.s3, bucket, self.sources.owner_of(self.account)) or {}):
            return False
        if not USER_NAME.fullmatch(username):
            return True
        user = self.sources.users.find(username)
        return user is not None and _names(identity, user.tags) and user.tags.get(owner.BUCKET, bucket) == bucket


def _names(identity: owner.Identity, tags: dict[str, str]) -> bool:
    return identity.is_owner(tags) and tags.get(owner.UID) == identity.uid


def _is_ready(item: ApiObject, arn: str) -> bool:
    status = _mapping(item, "status")
    conditions = {item.get("type"): item.get("status") for item in status.get("conditions") or []}
    return conditions.get("Ready") == "True" and status.get("bucketARN") == arn


def _mapping(parent: ApiObject, name: str) -> ApiObject:
    found = parent.get(name)
    return found if isinstance(found, dict) else {}


def _document(wanted: Wanted, bucket: str, mode: str, *, is_aws: bool) -> ApiObject:
    arn = f"arn:{wanted.partition}:s3:::{bucket}"
    return grants.document(grants.statements(arn, mode, (), is_aws=is_aws))


def _documents(wanted: Wanted, bucket: str) -> Iterator[ApiObject]:
    """All policies that the operator writes. Earlier versions wrote those of AWS in stores, too."""
    for mode in grants.MODES:
        for is_aws in {True, wanted.is_aws}:
            yield _document(wanted, bucket, mode, is_aws=is_aws)


def _too_large(user: WantedUser, other: OtherBucket, bucket: str) -> ReconcileError:
    return invalid(
        f"spec.{user.field}.alsoUses[{other.name}]",
        f"the policies of IAM user {user.username} would be larger than the {grants.MAX_USER_POLICY} characters that "
        f"IAM allows, or the name of the policy for bucket {bucket} longer than {MAX_POLICY_NAME}: use fewer buckets, "
        "or accessMode Full, which takes the fewest characters",
    )
