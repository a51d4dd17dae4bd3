# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The bucket of a present object: whether it is owned, and which of its aspects differ."""

from __future__ import annotations

from datetime import datetime, timedelta

from .. import aspects, owner, recent
from ..errors import ReconcileError
from ..keys import Pair
from ..outcome import Reason
from ..policy import find_replaced
from ..read import is_empty, read_settings
from ..settings import BY_NAME
from ..spec import Wanted, check_tag_count
from ..state import BucketState, UserState
from ..users import claims, may_use
from .observation import Observation
from .sources import Found, Sources

# For this time after the creation of its user, a bucket without tags may be one that a run is creating.
_CREATION = timedelta(minutes=5)
# The number of names that a message shows.
_MAX_NAMED = 2
# In a store, the tags of a new bucket may be written in a second request.
_LEFT_BUCKET = "; or, if it is empty because a run that created it was ended, delete it"


def wait_for_s3(wanted: Wanted, sources: Sources, found: Found) -> None:
    """Raise Pending while S3 does not yet show the tags of a bucket that a run has created.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
    :raises ReconcileError: Pending
    """
    bucket, user = found.bucket, found.user
    if bucket is None or bucket.tags or user is None or not wanted.identity.is_owner(user.tags):
        return
    if (
        sources.capabilities.is_aws
        and _is_creating(wanted, user)
        and sources.now - datetime.fromisoformat(user.created) < _CREATION
    ):
        raise ReconcileError(Reason.PENDING, f"bucket {wanted.bucket} was created, and S3 does not show its tags yet")


def _is_creating(wanted: Wanted, user: UserState) -> bool:
    """Whether the user claims the bucket's name and has no rights on it yet. It gets them when the bucket is there."""
    return user.tags.get(owner.BUCKET) == wanted.bucket and not may_use(wanted.username, user, wanted.bucket)


def _is_left_untagged(wanted: Wanted, sources: Sources, found: Found) -> bool:
    """Whether the bucket is one that an ended run created in a store that ignores the tags of that call.

    Then IAM has the object's claim to the name, no user has rights on it through the claim, and the bucket is empty.
    """
    bucket, user = found.bucket, found.user
    if sources.capabilities.is_aws or bucket is None or bucket.tags or user is None:
        return False
    if not (wanted.identity.is_owner(user.tags) and _is_creating(wanted, user)):
        return False
    return is_empty(sources.s3, wanted.bucket, sources.owner_of(found.account))


def check_ownership(wanted: Wanted, sources: Sources, found: Found, proof: Pair | None) -> bool:
    """Return whether this run adopts the bucket. Returns only if the bucket may be created, changed or adopted.

    :param proof: the proof of Go-operator ownership (``legacy.find_proof``)
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
    if _is_left_untagged(wanted, sources, found):
        _check_region(wanted, bucket)
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
        message = f"bucket {wanted.bucket} is in {bucket.region}, spec.region is {wanted.region}"
        raise ReconcileError(Reason.WRONG_REGION, message)


def _check_adoption(wanted: Wanted, bucket: BucketState, is_planted: bool, is_created: bool) -> None:
    """Refuse a bucket that this object does not own and must not adopt.

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
        place = "this AWS account" if wanted.is_aws else "the store"
        raise ReconcileError(
            Reason.CONFLICT,
            f"bucket {name} exists in {place} {what}: choose another bucketName, "
            f"or, to hand it to this object, tag it {owner.ADOPT}={identity} and set spec.adoptionPolicy: IfExists"
            f"{'' if wanted.is_aws or bucket.tags else _LEFT_BUCKET}",
        )


def _is_planted(wanted: Wanted, bucket: BucketState, user: UserState | None) -> bool:
    """Whether only tags name this object as the bucket's owner: another tenant may have prepared the bucket.

    Whoever had a key for it may have written any tags, and rules that delete or copy what is stored later. A bucket
    that the operator created for this object has the object's uid in its tags, which no one else knows. A re-created
    object has another uid; then its user, which claims the bucket's name in IAM, is the proof. For an object without a
    user there is no proof but the tags.
    """
    if not wanted.username or not wanted.is_live or bucket.tags.get(owner.UID) == wanted.identity.uid:
        return False
    is_claimed = (
        user is not None and wanted.identity.is_owner(user.tags) and claims(wanted.username, user, wanted.bucket)
    )
    return wanted.identity.is_owner(bucket.tags) and not is_claimed


def _created_before(wanted: Wanted) -> ReconcileError:
    """The error for a bucket to adopt that has the name of one that the operator created for this object.

    The object's user has a key. With it someone could delete that bucket, create another one and offer it for adoption.
    Or they could write an offer on the bucket itself. Its unset fields would then no longer be managed. So a person
    with rights in IAM has to decide.
    """
    return ReconcileError(
        Reason.CONFLICT,
        f"bucket {wanted.bucket} no longer has this object's owner tags, and IAM user {wanted.username} records that "
        f"the operator created it: remove the bucket's tags that begin with {owner.PREFIX}, and the operator puts "
        f"its own back; or, to adopt the bucket as it is, take the tag {owner.ORIGIN} off the user, tag the bucket "
        f"{owner.ADOPT}={wanted.identity} and set spec.adoptionPolicy: IfExists",
    )


def recorded_origin(wanted: Wanted, user: UserState | None, proof: Pair | None) -> str:
    """The origin of the object's bucket as IAM records it, where no key that the operator creates can write.

    An empty string when there is no record: there is no user, or it was created before the record existed.
    """
    if user is None:
        return ""
    if proof is not None and not owner.has_owner_tag(user.tags):
        # This run takes over the Go operator's user, so this operator has adopted no bucket for it yet.
        return owner.CREATED_ORIGIN
    return owner.origin_in(user.tags, wanted.bucket) if wanted.identity.is_owner(user.tags) else ""


def new_origin(bucket: BucketState | None, is_adopting: bool) -> str:
    """The origin that this run records for the bucket; empty when the record stays as it is."""
    if bucket is None:
        return owner.CREATED_ORIGIN
    return owner.ADOPTED_ORIGIN if is_adopting else ""


def is_adopted(origin: str, bucket: BucketState) -> bool:
    """Whether the bucket was adopted. A tenant may write its tag, so the tag is used only if IAM has no record."""
    return origin == owner.ADOPTED_ORIGIN if origin else owner.ADOPTED in bucket.tags


def compare_bucket(wanted: Wanted, sources: Sources, seen: Observation, found: Found) -> None:
    """Fill in which aspects of the bucket differ, and what repairs them.

    :raises ReconcileError: InvalidSpec for what this bucket cannot have
    """
    bucket = found.bucket
    if bucket is None:
        seen.bucket_differs.append("bucket")
        seen.settings, seen.tags = aspects.new_bucket(wanted), ({}, wanted.tags)
        # This also refuses early what a new bucket could not have either.
        seen.digests = _digests(seen, aspects.differing(seen.comparison_with(wanted)))
        return
    seen.bucket_exists = True
    seen.is_adopted = is_adopted(seen.origin, bucket)
    _compare_settings(wanted, sources, seen, found)
    _compare_tags(wanted, seen, bucket)
    seen.digests = _digests(seen, seen.bucket_differs)


def _compare_tags(wanted: Wanted, seen: Observation, bucket: BucketState) -> None:
    tags = aspects.wanted_tags(wanted, bucket, seen.is_adopted)
    unread = aspects.unread(seen.comparison_with(wanted), seen.unmanaged, seen.recorded)
    kept = {part for part in seen.recorded if part.partition(".")[0] in unread}
    if kept:
        # Whether a setting still has to be cleared is not known.
        tags[owner.SETTINGS] = " ".join(sorted({*tags.get(owner.SETTINGS, "").split(), *kept}))
    seen.tags = bucket.tags, tags
    if tags == bucket.tags:
        return
    try:
        check_tag_count(wanted.bucket, tags)
    except ReconcileError as problem:
        if not wanted.identity.is_owner(bucket.tags):
            # A bucket that cannot be marked as owned is not changed.
            raise
        seen.defer(problem)
        return
    seen.bucket_differs.append("tags")
    purges = any(key not in tags for key in bucket.tags)
    seen.bucket_arguments |= {"tags": tags, "purge_tags": purges}


def _digests(seen: Observation, differs: list[str]) -> dict[str, str]:
    """Digests of the current values, for the record of what a run replaces.

    Only of optional settings. A change of the others by hand, right after a run, is repaired at the next check.
    """
    optional = [BY_NAME[name] for name in differs if name in BY_NAME and BY_NAME[name].is_optional]
    return {item.name: recent.digest(item.canonical(seen.settings[item.name])) for item in optional}


def _compare_settings(wanted: Wanted, sources: Sources, seen: Observation, found: Found) -> None:
    tags = found.bucket.tags if found.bucket else {}
    due = aspects.due_settings(wanted, tags)
    record = _policy_record(wanted, found)
    read = read_settings(sources.s3, wanted.bucket, sources.owner_of(seen.account), due)
    seen.settings = {**read, "policy_record": record}
    if sources.try_policy and isinstance(seen.settings.get("policy"), str):
        sources.try_policy(seen.settings["policy"])
    seen.unmanaged = aspects.unmanaged_now(wanted, tags)
    seen.recorded = aspects.recorded_now(wanted, tags)
    case = seen.comparison_with(wanted)
    for setting in aspects.unsupported(case, seen.unmanaged):
        seen.defer(setting.unsupported(sources.s3.meta.endpoint_url))
    for problem in aspects.failures(case, seen.unmanaged):
        seen.defer(problem)
    for problem in aspects.unread(case, seen.unmanaged, seen.recorded).values():
        seen.defer(problem)
    seen.bucket_differs += aspects.differing(case, seen.unmanaged, seen.recorded)
    if "policy" in seen.bucket_differs:
        _leave_replaced_principals(wanted, seen)
    seen.bucket_arguments = aspects.arguments(case, seen.bucket_differs)


def _policy_record(wanted: Wanted, found: Found) -> str:
    """The record of what AWS made of the policy. A user's key can write the bucket's tag, which is then not used."""
    place = found.user if wanted.username else found.bucket
    return place.tags.get(owner.POLICY, "") if place else ""


def _leave_replaced_principals(wanted: Wanted, seen: Observation) -> None:
    """Keep a policy that differs only because AWS deleted a principal that it names.

    Writing it again would give access to a later user or role of that name, which may belong to anyone. This does not
    apply to the object's own users: the operator creates them again, and they have the access that the spec gives them.
    """
    settings = seen.settings
    arns, ids = find_replaced(settings["policy"], wanted.policy, settings["policy_record"])
    own = [user.arn for user in seen.users]
    others = [arn for arn in arns if arn not in own]
    if not others:
        return
    message = (
        f"spec.bucketPolicy: {', '.join(others[:_MAX_NAMED])} was deleted after the policy was written: AWS shows "
        f"{', '.join(ids[:_MAX_NAMED])} in its place. The policy is left as it is, since a later user or role of that "
        "name would get the access. Take the name out; or, if the present one is to have the access, change the "
        "policy in any other way too, for example its Id or a Sid"
    )
    seen.defer(ReconcileError(Reason.INVALID_SPEC, message), "policy")
