# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The observation of an object that is being deleted: what it owns, and what happens to it.

Only resources with this object's owner tags and uid, or with proof of Go-operator ownership, are removed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from dataclasses import field as field_of

from .. import children as manifests
from .. import owner
from ..access import USER_NAME
from ..closing import is_closing
from ..errors import ReconcileError, UnknownStateError
from ..json_types import ApiObject
from ..keys import Pair
from ..outcome import Reason
from ..read import find_bucket_policy
from ..read_roles import find_role
from ..spec import BUCKET_NAME, Wanted
from ..state import BucketState, RoleState
from ..steps import STOPS
from .account import ask_account, find_bucket_of_deletion
from .bucket import is_adopted, recorded_origin
from .children import find_children_of_deletion, owned_only
from .legacy import find_proof, may_be_proven
from .observation import UserDeletion
from .removal import deletion_of, existing, find_removed
from .role import former_accounts, former_associations
from .sources import Found, FoundUser, Sources
from .user import wait_for_iam


@dataclass
class Deletion:
    """The resources of an object that exist and are owned, for the role's tasks of a deletion.

    ``users``: the first one is deleted last, because its tags record the names of the others.
    ``bucket_tags``: all tags that the bucket needs before the users are deleted, if it does not have them.
    ``reopens_bucket``: an earlier run closed the bucket to writers, and it is not to be emptied any more.
    ``role``: the name of a role that is deleted; empty for none. ``role_arn``: that of the role, also if it is gone.
    ``associations``: the ids of EKS Pod Identity associations that are deleted.
    ``accounts``: ServiceAccounts with the annotation of an earlier run, as they were read.
    ``deferred``: why the state of the bucket, or of the role and its ServiceAccounts, is not known. Everything else is
    deleted, and the object is not done. The bucket stays while the role does: its Pods would reach the next bucket of
    the name.
    """

    account: str
    deletes_bucket: bool = False
    reopens_bucket: bool = False
    retained_tags: dict[str, str] | None = None
    bucket_tags: dict[str, str] | None = None
    users: list[UserDeletion] = field_of(default_factory=list)
    service_uid: str = ""
    role: str = ""
    role_arn: str = ""
    accounts: list[ApiObject] = field_of(default_factory=list)
    associations: list[str] = field_of(default_factory=list)
    notes: list[str] = field_of(default_factory=list)
    deferred: list[ReconcileError] = field_of(default_factory=list)

    @property
    def deletes_user(self) -> bool:
        """Whether any user is deleted."""
        return any(user.is_deleted for user in self.users)

    @property
    def differs(self) -> list[str]:
        """The aspects that still exist."""
        found = {
            "bucket": self.deletes_bucket or self.retained_tags is not None,
            "user": self.deletes_user,
            "secret": any(user.secret_uid or user.more for user in self.users),
            "service": bool(self.service_uid),
            "role": bool(self.role or self.accounts or self.associations),
        }
        return [name for name, is_there in found.items() if is_there]


def observe_deletion(wanted: Wanted, sources: Sources) -> Deletion:
    """Find what is to be removed.

    :raises ReconcileError: when AWS does not return the state; NoSuchRegionError: ask again in a region that exists
    """
    deletion = Deletion(account=ask_account(wanted, sources.sts, sources.sts_of, sources.capabilities))
    found = _read(wanted, sources, deletion)
    _check_users_are_shown(sources, found)
    proof = _find_proof(wanted, sources, found)
    for one in found.users:
        if one.user is None and USER_NAME.fullmatch(one.wanted.username):
            # An existing user is deleted, whatever key the Secret holds: a tenant can write the Secret.
            wait_for_iam(one, sources)
    if found.bucket is not None:
        _plan_bucket(wanted, deletion, found.bucket, proof, recorded_origin(wanted, found.user, proof))
        is_kept = deletion.retained_tags is not None or (deletion.deletes_bucket and not wanted.force_delete)
        deletion.reopens_bucket = is_kept and _is_closed(wanted, sources, deletion.account)
    deletion.users = [_plan_user(wanted, deletion, one, proof) for one in found.users]
    _plan_role_if_shown(wanted, deletion, sources)
    removed = existing(find_removed(wanted, sources, found.user))
    deletion.users += [_plan_user(wanted, deletion, one, None) for one in removed]
    if found.service is not None and manifests.is_owned(found.service, wanted):
        deletion.service_uid = found.service["metadata"].get("uid", "")
    return deletion


def _read(wanted: Wanted, sources: Sources, deletion: Deletion) -> Found:
    """Read what exists; a Secret only if it is owned."""
    # A name that AWS does not allow cannot exist, and a request for it would fail every time.
    has_bucket = bool(BUCKET_NAME.fullmatch(wanted.bucket))
    bucket = _find_if_shown(wanted, sources, deletion) if has_bucket else None
    users = [
        (one, sources.users.find(one.username) if USER_NAME.fullmatch(one.username) else None)
        for one in wanted.former_users
    ]
    found, service = find_children_of_deletion(wanted, sources, users)
    owned = [
        replace(one, secret=owned_only(wanted, one.secret), config_map=owned_only(wanted, one.config_map))
        for one in found
    ]
    return Found(deletion.account, bucket, tuple(owned), service)


def _find_proof(wanted: Wanted, sources: Sources, found: Found) -> Pair | None:
    """The proof that the Go operator created bucket and user. Nothing else depends on the user's rights."""
    if found.user is None or not may_be_proven(wanted, found):
        return None
    sources.users.read_rights(wanted.username, found.user)
    return find_proof(wanted, sources, found)


def _check_users_are_shown(sources: Sources, found: Found) -> None:
    """Refuse where a store shows no IAM, and a Secret has the key of a user that it has had: the key may still work.

    :raises UnknownStateError: naming the user and the remedy
    """
    if sources.capabilities.has_iam:
        return
    for one in found.users:
        if one.wanted.username and manifests.pair_in(one.secret) is not None:
            raise UnknownStateError(
                Reason.AWS_ERROR,
                f"IAM user {one.wanted.username} has a key in Secret {one.wanted.secret.name}, and the store shows no "
                "IAM now: set the endpoint of its IAM again (AWS_ENDPOINT_URL_IAM; aws.iamEndpointURL of the "
                "operator's chart), or, if the user no longer exists, delete the Secret",
            )


def _find_if_shown(wanted: Wanted, sources: Sources, deletion: Deletion) -> BucketState | None:
    try:
        return find_bucket_of_deletion(wanted, sources, deletion.account)
    except ReconcileError as refusal:
        if refusal.reason == Reason.BUCKET_NAME_TAKEN:
            deletion.notes.append(refusal.message)
        elif refusal.reason == Reason.ACCESS_DENIED:
            # The holder of the key can write a policy that denies the operator the bucket. This must not keep the key.
            deletion.deferred.append(refusal)
        else:
            raise
        return None


def _plan_bucket(wanted: Wanted, deletion: Deletion, bucket: BucketState, proof: Pair | None, origin: str) -> None:
    is_legacy = proof is not None and not owner.has_owner_tag(bucket.tags)
    if not is_legacy and not wanted.identity.is_same_object(bucket.tags):
        hint = wanted.identity.cluster_hint(bucket.tags)
        deletion.notes.append(f"bucket {wanted.bucket} is not this object's and was left alone{hint}")
        return
    was_adopted = is_adopted(origin, bucket)
    tags = {key: value for key, value in bucket.tags.items() if key != owner.ADOPTED or was_adopted}
    if was_adopted:
        tags.setdefault(owner.ADOPTED, "true")
    if wanted.deletion_policy_for(was_adopted) == "Retain":
        kept = owner.without_owner_tags(bucket.tags)
        deletion.retained_tags = {**kept, owner.RETAINED_FROM: str(wanted.identity)}
        deletion.notes.append(f"bucket {wanted.bucket} was retained")
    else:
        deletion.deletes_bucket = True
        if is_legacy:
            tags |= wanted.identity.tags
    # The user is deleted first, and IAM's record with it. A later run has only the bucket's tags.
    deletion.bucket_tags = tags if tags != bucket.tags else None


def _is_closed(wanted: Wanted, sources: Sources, account: str) -> bool:
    """Whether an earlier run began to empty the bucket, before the spec was changed to keep it or its contents."""
    try:
        text = find_bucket_policy(sources.s3, wanted.bucket, sources.owner_of(account))
    except UnknownStateError as refusal:
        if refusal.reason == Reason.ACCESS_DENIED:
            # The policy that closes a bucket does not deny this request.
            return False
        raise
    if sources.try_policy and text is not None:
        sources.try_policy(text)
    return is_closing(text, wanted.bucket_arn)


def _plan_role_if_shown(wanted: Wanted, deletion: Deletion, sources: Sources) -> None:
    try:
        _plan_role(wanted, deletion, sources)
    except ReconcileError as refusal:
        if refusal.reason in STOPS:
            raise
        # This must not keep the users' keys. The role stays: its tags record the ServiceAccounts.
        deletion.deferred.append(refusal)
        deletion.role, deletion.deletes_bucket = "", False


def _plan_role(wanted: Wanted, deletion: Deletion, sources: Sources) -> None:
    if wanted.role is None or sources.capabilities.lacks("GetRole"):
        return
    name = wanted.role.name
    found = _find_role_if_shown(name, deletion, sources)
    own = found if found and wanted.identity.is_same_object(found.tags) else None
    deletion.role = name if own else ""
    deletion.role_arn = (
        found.arn if found else sources.rules.arn_of(wanted.partition, deletion.account, name, kind="role")
    )
    deletion.accounts, notes = former_accounts(wanted, sources, own)
    deletion.notes += notes
    deletion.associations, notes = former_associations(wanted, sources, own)
    deletion.notes += notes
    if found and not own:
        hint = wanted.identity.cluster_hint(found.tags)
        deletion.notes.append(f"IAM role {name} is not this object's and was left alone{hint}")


def _find_role_if_shown(name: str, deletion: Deletion, sources: Sources) -> RoleState | None:
    try:
        return find_role(sources.iam, name)
    except UnknownStateError as refusal:
        if sources.role_rules.is_enabled or refusal.reason in STOPS:
            raise
        # Where no roles are allowed any more, the operator may have no rights on them, or the store has none. That must
        # not keep the object from being deleted. Otherwise the object waits until the role is gone.
        deletion.notes.append(
            f"IAM role {name} was left alone: the operator's settings allow no roles any more, and AWS does not show "
            "it the role. Delete the role before another bucket gets this bucket's name"
        )
        return None


def _plan_user(wanted: Wanted, deletion: Deletion, one: FoundUser, proof: Pair | None) -> UserDeletion:
    name, user = one.wanted.username, one.user
    plan = deletion_of(one, is_deleted=False)
    if user is None:
        return plan
    if proof is not None and one.wanted.is_first and not owner.has_owner_tag(user.tags):
        plan.tags = wanted.identity.tags
    plan.is_deleted = plan.tags is not None or wanted.identity.is_same_object(user.tags)
    if not plan.is_deleted:
        hint = wanted.identity.cluster_hint(user.tags)
        deletion.notes.append(f"IAM user {name} is not this object's and was left alone{hint}")
    return plan
