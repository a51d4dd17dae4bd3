# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Name conflicts: when two S3 objects request one bucket or user name, the object that owns it keeps it."""

from __future__ import annotations

from .. import owner
from ..access import WantedUser
from ..errors import ReconcileError
from ..outcome import Reason
from ..read_roles import read_all_roles
from ..spec import Wanted
from ..state import UserState
from ..users import claims, may_use, policy_name_of
from .sources import Found, Sources


def check_claims(wanted: Wanted, sources: Sources, found: Found) -> dict[str, ReconcileError]:
    """Refuse a bucket name that another IAM user claims, and a user name that IAM would not allow.

    Returns why an additional user is not created, by its name. Everything else of the object is maintained.

    Nothing is created or taken over while another user's key would reach it. The bucket itself proves nothing: whoever
    has a key for it may delete it, create it again, and write any tags on it. The object's own user got its policy when
    the object owned the bucket. So when bucket, users and policy exist, no other user is read.

    :raises ReconcileError: Conflict
    """
    user = found.user
    is_in_use = found.bucket is not None and user is not None and may_use(wanted.username, user, wanted.bucket)
    missing = [one.wanted for one in found.users if one.user is None and one.refusal is None]
    if sources.read_users is None or (is_in_use and not missing):
        return {}
    try:
        users = sources.read_users((wanted.bucket, *(one.username for one in missing)))
        _check_name(wanted, sources, found, users)
    except ReconcileError as refusal:
        if not is_in_use or refusal.reason.is_general:
            raise
        return {absent.username: refusal for absent in missing}
    taken = {absent.username: problem for absent in missing if (problem := _find_taken_case(absent, users))}
    if wanted.username in taken:
        raise taken[wanted.username]
    return taken


def _check_name(wanted: Wanted, sources: Sources, found: Found, users: dict[str, UserState]) -> None:
    user = found.user
    others = {
        name: other
        for name, other in users.items()
        if not _is_own(wanted, found, name, other)
        and claims(name, other, wanted.bucket)
        and not _is_shared(wanted, other)
        and not _yields(wanted, user, name, other)
    }
    if others:
        raise _claimed(wanted, others)
    _check_roles(wanted, sources)


def _check_roles(wanted: Wanted, sources: Sources) -> None:
    """Refuse a bucket name that another object's role may use: its Pods would reach what this object's users store."""
    if not sources.role_rules.is_enabled:
        return
    for name, role in read_all_roles(sources.iam, sources.capabilities, (wanted.bucket,)).items():
        is_own = wanted.role is not None and name == wanted.role.name and wanted.identity.is_owner(role.tags)
        is_claim = policy_name_of(name, wanted.bucket) in role.policies or role.tags.get(owner.BUCKET) == wanted.bucket
        if is_claim and not is_own:
            raise ReconcileError(
                Reason.CONFLICT,
                f"bucket name {wanted.bucket} is claimed by IAM role {name} of S3 object "
                f"{wanted.identity.owner_of(role.tags) or 'unknown'}: delete that S3 object first (or the IAM role, if "
                "its S3 object no longer exists), or choose another bucketName"
                f"{wanted.identity.cluster_hint(role.tags)}",
            )


def _is_own(wanted: Wanted, found: Found, name: str, other: UserState) -> bool:
    """Whether a user is one of the object's own. The spec may name a user of another object, which is refused later.

    The ownership of the first user was checked before: a user of the Go operator has no owner tags.
    """
    names = [one.wanted.username for one in (*found.users, *found.removed)]
    return name == wanted.username or (name in names and wanted.identity.is_owner(other.tags))


def _is_shared(wanted: Wanted, other: UserState) -> bool:
    """Whether another user of the same namespace has the policy because its S3 object also uses the bucket.

    The user claims the name of another bucket. When this object no longer exists, its policy is deleted.
    """
    tags, identity = other.tags, wanted.identity
    is_near = (tags.get(owner.CLUSTER), tags.get(owner.NAMESPACE)) == (identity.cluster, identity.namespace)
    return is_near and tags.get(owner.BUCKET, wanted.bucket) != wanted.bucket


def _yields(wanted: Wanted, user: UserState | None, name: str, other: UserState) -> bool:
    """Whether another user's claim yields: it has no rights, and this object's user has them or is older.

    When two clusters create at the same time, each may have missed the other's claim. S3 gives the bucket to one of
    them, and its user then gets rights.
    """
    if user is None or may_use(name, other, wanted.bucket):
        return False
    if may_use(wanted.username, user, wanted.bucket):
        return True
    is_claiming = user.tags.get(owner.BUCKET) == wanted.bucket
    return is_claiming and (user.created, user.arn) < (other.created, other.arn)


def _claimed(wanted: Wanted, others: dict[str, UserState]) -> ReconcileError:
    named = [f"{name} of S3 object {wanted.identity.owner_of(user.tags) or 'unknown'}" for name, user in others.items()]
    hint = next((text for user in others.values() if (text := wanted.identity.cluster_hint(user.tags))), "")
    return ReconcileError(
        Reason.CONFLICT,
        f"bucket name {wanted.bucket} is claimed by IAM user {', '.join(sorted(named))}: delete that S3 object first "
        f"(or the IAM user, if its S3 object no longer exists), or choose another bucketName{hint}",
    )


def _find_taken_case(absent: WantedUser, users: dict[str, UserState]) -> ReconcileError | None:
    # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html: names are case-insensitive.
    name = absent.username
    same = next((other for other in users if other.lower() == name.lower() and other != name), "")
    if not same:
        return None
    return ReconcileError(
        Reason.CONFLICT,
        f"IAM user {same} exists, and IAM does not distinguish user names by case: choose another "
        f"{absent.field}.username",
    )
