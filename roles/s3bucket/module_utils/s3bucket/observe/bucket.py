# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bucket of an object that should be there: whether it is owned, and what of it differs."""

from __future__ import annotations

from datetime import datetime, timedelta

from .. import aspects, owner
from ..errors import ReconcileError
from ..json_types import ApiObject, AwsClient
from ..keys import Pair
from ..outcome import Reason
from ..policy import find_replaced
from ..read import read_settings
from ..setting import Comparison
from ..spec import Wanted
from ..state import BucketState, UserState
from ..users import claims, may_use
from .observation import Observation
from .sources import Found, Sources

# So long after its user was made, a bucket without tags may be one of ours that is being created.
_CREATION = timedelta(minutes=5)
# Of the names in a message so many are shown.
_MAX_NAMED = 2


def wait_for_s3(wanted: Wanted, sources: Sources, found: Found) -> None:
    """Take no bucket for another owner's that a run of ours has created, and that S3 shows without its tags yet.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
    :raises ReconcileError: Pending
    """
    bucket, user = found.bucket, found.user
    if bucket is None or bucket.tags or user is None or not wanted.identity.is_owner(user.tags):
        return
    is_creating = user.tags.get(owner.BUCKET) == wanted.bucket and not may_use(wanted.username, user, wanted.bucket)
    if is_creating and sources.now - datetime.fromisoformat(user.created) < _CREATION:
        raise ReconcileError(Reason.PENDING, f"bucket {wanted.bucket} was created, and S3 does not show its tags yet")


def check_ownership(wanted: Wanted, found: Found, proof: Pair | None) -> bool:
    """Whether the bucket is adopted now. Returns only if the bucket may be created, changed or adopted.

    :param proof: of the Go operator's ownership (``legacy.find_proof``)
    :raises ReconcileError: Conflict, WrongRegion, BucketNotFound
    """
    bucket, user = found.bucket, found.user
    if bucket is None:
        _check_required(wanted)
        return False
    if wanted.identity.is_owner(bucket.tags) or proof:
        _check_region(wanted, bucket)
    is_planted = _is_planted(wanted, bucket, user)
    is_owned = wanted.identity.is_owner(bucket.tags) and not is_planted
    if is_owned or (proof is not None and not owner.has_owner_tag(bucket.tags)):
        return False
    _check_adoption(wanted, bucket, is_planted, is_created=recorded_origin(wanted, user, proof) == owner.CREATED_ORIGIN)
    _check_region(wanted, bucket)
    return True


def _check_required(wanted: Wanted) -> None:
    if wanted.adoption_policy == "Required":
        raise ReconcileError(
            Reason.BUCKET_NOT_FOUND,
            f"bucket {wanted.bucket} does not exist, and adoptionPolicy is Required: create it",
        )


def _check_region(wanted: Wanted, bucket: BucketState) -> None:
    if bucket.region and wanted.region != bucket.region:
        message = f"bucket {wanted.bucket} is in {bucket.region}, spec.region says {wanted.region}"
        raise ReconcileError(Reason.WRONG_REGION, message)


def _check_adoption(wanted: Wanted, bucket: BucketState, is_planted: bool, is_created: bool) -> None:
    """Refuse a bucket that is not this object's and must not be adopted.

    :param is_created: whether IAM records that the operator created the bucket for this object
    """
    identity, name = wanted.identity, wanted.bucket
    other = identity.owner_of(bucket.tags)
    if other and not is_planted:
        hint = identity.cluster_hint(bucket.tags)
        message = f"bucket {name} belongs to S3 object {other}: choose another bucketName{hint}"
        raise ReconcileError(Reason.CONFLICT, message)
    if is_created:
        raise _created_before(wanted)
    if wanted.adoption_policy == "Never" or not identity.consents_to_adoption(bucket.tags):
        what = "with owner tags that nothing in IAM confirms" if is_planted else "without this operator's owner tags"
        raise ReconcileError(
            Reason.CONFLICT,
            f"bucket {name} exists in this AWS account {what}: choose another bucketName, "
            f"or, to hand it to this object, tag it {owner.ADOPT}={identity} and set spec.adoptionPolicy: IfExists",
        )


def _is_planted(wanted: Wanted, bucket: BucketState, user: UserState | None) -> bool:
    """Whether only tags name this object as the bucket's owner: it may be one that another tenant has prepared.

    Whoever had a key for it may have written any tags on it, and rules that delete or copy what is stored later. What
    the tags of a bucket that we made for this object have, and nobody else knows, is its uid. A re-created object has
    another one, and its user, which claims the bucket's name in IAM. Of an object without a user there are only tags.
    """
    if not wanted.username or not wanted.is_live or bucket.tags.get(owner.UID) == wanted.identity.uid:
        return False
    is_claimed = (
        user is not None and wanted.identity.is_owner(user.tags) and claims(wanted.username, user, wanted.bucket)
    )
    return wanted.identity.is_owner(bucket.tags) and not is_claimed


def _created_before(wanted: Wanted) -> ReconcileError:
    """The refusal to adopt a bucket under the name of one that the operator created for the object.

    The key that the object's user has could delete that bucket, create another one and offer it; or write an offer on
    the bucket itself, whose unset fields would no longer be managed. So a person with rights in IAM decides.
    """
    return ReconcileError(
        Reason.CONFLICT,
        f"bucket {wanted.bucket} no longer has this object's owner tags, and IAM user {wanted.username} records that "
        f"the operator created it: remove the bucket's tags that begin with {owner.PREFIX}, and the operator puts "
        f"its own back; or, to adopt the bucket as it is, take the tag {owner.ORIGIN} off the user, tag the bucket "
        f"{owner.ADOPT}={wanted.identity} and set spec.adoptionPolicy: IfExists",
    )


def recorded_origin(wanted: Wanted, user: UserState | None, proof: Pair | None) -> str:
    """How the bucket came to be this object's, as IAM shows it, where no key that we issue can write.

    An empty string where IAM does not: there is no user, or it was made before the record existed.
    """
    if user is None:
        return ""
    if proof is not None and not owner.has_owner_tag(user.tags):
        # Of the Go operator, taken over now: so this operator has adopted nothing for it.
        return owner.CREATED_ORIGIN
    return owner.origin_in(user.tags, wanted.bucket) if wanted.identity.is_owner(user.tags) else ""


def new_origin(bucket: BucketState | None, is_adopting: bool) -> str:
    """What this run makes of the bucket's origin; empty where it leaves it as it is."""
    if bucket is None:
        return owner.CREATED_ORIGIN
    return owner.ADOPTED_ORIGIN if is_adopting else ""


def is_adopted(origin: str, bucket: BucketState) -> bool:
    """Whether a bucket was adopted. Its tag, which a tenant may write, counts only where IAM has no record."""
    return origin == owner.ADOPTED_ORIGIN if origin else owner.ADOPTED in bucket.tags


def compare_bucket(wanted: Wanted, sources: Sources, seen: Observation, found: Found) -> None:
    """Fill in what of the bucket differs, and what repairs it.

    :raises ReconcileError: InvalidSpec for what this bucket or endpoint cannot have
    """
    bucket = found.bucket
    if bucket is None:
        seen.differs.append("bucket")
        seen.settings, seen.tags = aspects.new_bucket(wanted), ({}, wanted.tags)
        # Only to refuse in time what a new bucket could not have either.
        aspects.differing(seen.comparison_with(wanted))
        return
    seen.bucket_exists = True
    seen.is_adopted = is_adopted(seen.origin, bucket)
    _compare_settings(wanted, sources, seen, found)
    tags = aspects.wanted_tags(wanted, bucket, seen.is_adopted)
    seen.tags = bucket.tags, tags
    if tags != bucket.tags:
        seen.differs.append("tags")
        purges = any(key not in tags for key in bucket.tags)
        seen.bucket_arguments |= {"tags": tags, "purge_tags": purges}


def _compare_settings(wanted: Wanted, sources: Sources, seen: Observation, found: Found) -> None:
    tags = found.bucket.tags if found.bucket else {}
    due = aspects.due_settings(wanted, tags)
    record = _policy_record(wanted, found)
    seen.settings = {**read_settings(sources.s3, wanted.bucket, seen.account, due), "policy_record": record}
    if sources.try_policy and isinstance(seen.settings["policy"], str):
        sources.try_policy(seen.settings["policy"])
    seen.unmanaged = aspects.unmanaged_now(wanted, tags)
    seen.recorded = owner.recorded_settings(tags)
    case = seen.comparison_with(wanted)
    seen.differs += aspects.differing(case, seen.unmanaged, seen.recorded)
    if "policy" in seen.differs:
        _leave_replaced_principals(wanted, seen)
    seen.bucket_arguments = aspects.arguments(case, seen.differs)


def _policy_record(wanted: Wanted, found: Found) -> str:
    """The record of what AWS made of the policy. Of an object with a user never the bucket's tag: its key writes it."""
    place = found.user if wanted.username else found.bucket
    return place.tags.get(owner.POLICY, "") if place else ""


def _leave_replaced_principals(wanted: Wanted, seen: Observation) -> None:
    """Keep a policy as it is whose only difference is that somebody whom it names was deleted.

    Written again it would give access to a later user or role of that name, who may be anybody's. The object's own
    user is made again by the operator, and has the access that the spec gives it.
    """
    settings = seen.settings
    arns, ids = find_replaced(settings["policy"], wanted.policy, settings["policy_record"])
    others = [arn for arn in arns if arn != seen.user_arn]
    if not others:
        return
    message = (
        f"spec.bucketPolicy: {', '.join(others[:_MAX_NAMED])} was deleted after the policy was written: AWS shows "
        f"{', '.join(ids[:_MAX_NAMED])} in its place. The policy is left as it is, since a later user or role of that "
        "name would get the access. Take the name out; or, if the present one is to have the access, change the "
        "policy in any other way too, for example its Id or a Sid"
    )
    seen.defer(ReconcileError(Reason.INVALID_SPEC, message), "policy")


def differing_settings(wanted: Wanted, s3: AwsClient, account: str) -> ApiObject:
    """The arguments of s3bucket_settings for a bucket that was created just now."""
    case = Comparison(wanted, read_settings(s3, wanted.bucket, account, aspects.due_settings(wanted, {})))
    found = aspects.arguments(case, aspects.differing(case))
    if owner.INITIAL in wanted.creation_tags:
        found |= {"tags": wanted.bucket_tags, "purge_tags": True}
    return found
