# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Proof that the Go operator created bucket and user for this object. The Go operator wrote no owner tags."""

from __future__ import annotations

from .. import children, owner
from ..keys import Pair
from ..policy import is_same
from ..read import is_proven
from ..spec import Wanted
from ..state import BucketState, UserState
from .sources import Found, Sources


def find_proof(wanted: Wanted, sources: Sources, found: Found) -> Pair | None:
    """Return the Secret's key pair if it proves that the Go operator created bucket and user for this object.

    Neither may have another owner's tags. The user must have exactly the Go operator's policy. The key pair must belong
    to that user and reach that bucket. The proof is needed only while one of the two has no owner tags.
    """
    pair, bucket, user = children.pair_in(found.secret), found.bucket, found.user
    if bucket is None or user is None or found.secret is None or not may_be_proven(wanted, found):
        return None
    if not _is_unchanged(wanted, sources, bucket, user):
        return None
    if not sources.capabilities.has_sts:
        # The Go operator worked with AWS. Without STS a key pair does not show which user it belongs to.
        return None
    sts, s3 = sources.clients_of(found.secret)
    return pair if is_proven(sts, s3, user.arn, wanted.bucket, sources.owner_of(found.account)) else None


def may_be_proven(wanted: Wanted, found: Found) -> bool:
    """Whether such a proof is needed and possible. The rights of the user need not be known."""
    if found.bucket is None or found.user is None or not wanted.is_live:
        return False
    return children.pair_in(found.secret) is not None and _is_partly_tagged(wanted, found.bucket, found.user)


def _is_partly_tagged(wanted: Wanted, bucket: BucketState, user: UserState) -> bool:
    """Whether bucket or user has no owner tags, and neither has those of another object."""
    is_tagged = [owner.has_owner_tag(thing.tags) for thing in (bucket, user)]
    is_owned = [wanted.identity.is_same_object(thing.tags) for thing in (bucket, user)]
    return not all(is_tagged) and not any(
        tagged and not owned for tagged, owned in zip(is_tagged, is_owned, strict=True)
    )


def _is_unchanged(wanted: Wanted, sources: Sources, bucket: BucketState, user: UserState) -> bool:
    # A bucket that another object has left, or that is offered to one, is not owned because the Secret has a key for
    # it.
    return (
        owner.RETAINED_FROM not in bucket.tags
        and bucket.tags.get(owner.ADOPT, str(wanted.identity)) == str(wanted.identity)
        and list(user.policies) == [wanted.policy_name]
        and not sources.rules.unmanaged_rights(user, [wanted.policy_name])
        and is_same(user.policies[wanted.policy_name], wanted.user_policy)
    )
