# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An IAM user of a present object: whether it is owned, what differs, and what its keys need."""

from __future__ import annotations

from dataclasses import replace

from .. import children, owner, user_record, user_tags
from ..access import WantedUser
from ..errors import ReconcileError
from ..key_status import keys_now
from ..keys import KeyPlan, Pair, Turn, plan_keys
from ..outcome import Reason
from ..policy import is_same
from ..rotation import DEFAULT, KEEP_OLD_KEY, ROTATE_KEY, LastUse, Phase, needs_last_use
from ..secrets import Facts
from ..spec import Wanted
from ..state import UserState
from ..users import UserRules, due_tags, is_quarantine, policy_name_of
from .observation import Observation, UserObservation
from .shared import find_shared
from .sources import FoundUser, Sources


def check_ownership(wanted: Wanted, one: FoundUser, proof: Pair | None) -> None:
    """Return only if the user may be created or changed.

    :param proof: the proof of Go-operator ownership (``legacy.find_proof``), of the first user
    :raises ReconcileError: Conflict
    """
    user = one.user
    if user is None:
        return
    name, identity = one.wanted.username, wanted.identity
    is_proven = proof is not None and one.wanted.is_first and not owner.has_owner_tag(user.tags)
    if not identity.is_owner(user.tags) and not is_proven:
        other = identity.owner_of(user.tags)
        owned_by = f"belongs to S3 object {other}" if other else "exists and was not made for this S3 object"
        hint = identity.cluster_hint(user.tags)
        remedy = f"choose another {one.wanted.field}.username"
        if not wanted.is_aws and not user.tags:
            # The tags of a new user may be written in a second request.
            remedy += ", or, if it has neither keys nor policies because a run that created it was ended, delete it"
        raise ReconcileError(Reason.CONFLICT, f"IAM user {name} {owned_by}: {remedy}{hint}")


def wait_for_iam(one: FoundUser, sources: Sources) -> None:
    """Refuse while a missing resource was written within ``iam_propagation_s`` seconds: IAM is eventually consistent.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    :raises ReconcileError: WaitingForIAM
    """
    # Another clock, or a person, may have written a time in the future. The object must not have to wait until then.
    ago = children.issued_ago_s(one.with_key, sources.now)
    if ago is None or abs(ago) >= sources.iam_propagation_s:
        return
    user, pair = one.user, children.pair_in(one.with_key)
    recorded = Pair.parse(user.tags.get(owner.KEY, "")) if user else None
    if user is None or recorded != pair or (pair is not None and pair.id not in user.keys):
        raise ReconcileError(
            Reason.WAITING_FOR_IAM, f"IAM does not show user {one.wanted.username} and its new key everywhere yet"
        )


def find_rights_problem(name: str, own: list[str], rules: UserRules, user: UserState) -> ReconcileError | None:
    """Why no key may be created for an owned user: it has other rights, or AWS has put it under quarantine."""
    quarantine = [arn for arn in user.attached if is_quarantine(arn)]
    if quarantine:
        return ReconcileError(
            Reason.KEY_LEAKED,
            f"AWS found an access key of IAM user {name} in public and attached {', '.join(quarantine)}: find out what "
            "was done with the key, delete it, and detach the policy; then a new key is issued",
        )
    unmanaged = rules.unmanaged_rights(user, own)
    if not unmanaged:
        return None
    return ReconcileError(
        Reason.CONFLICT,
        f"IAM user {name} has rights that the operator did not give ({', '.join(unmanaged)}): remove them, or allow "
        "them with --allowed-policy and --allowed-group of the operator (iam.allowedPolicies and iam.allowedGroups of "
        "its chart), or s3bucket_allowed_policies and s3bucket_allowed_groups of the role",
    )


def begin(wanted: Wanted, sources: Sources, account: str, one: FoundUser) -> UserObservation:
    """The observation of a user, before it is compared."""
    rules = user_record.rules_for(sources.rules, sources.capabilities, wanted.identity)
    new_arn = rules.arn_of(wanted.partition, account, one.wanted.username)
    return UserObservation(
        one.wanted,
        one.user,
        one.secret,
        one.user.arn if one.user else new_arn,
        one.former,
        one.config_map,
        one.former_config_map,
        Facts(wanted.bucket, wanted.region, sources.endpoint, wanted.bucket_arn),
        problem=one.problem,
        strays=one.strays,
    )


def compare_user(
    wanted: Wanted, sources: Sources, seen: Observation, mine: UserObservation, proof: Pair | None
) -> None:
    """Fill in what differs in the user, its policy, its keys and the Secret, and what repairs it.

    :param proof: the proof of Go-operator ownership, of the first user
    """
    user, policy_name = mine.found, policy_name_of(mine.wanted.username, wanted.bucket)
    if user is None:
        _plan_new_user(wanted, sources, seen, mine)
        _compare_shared(wanted, sources, seen, mine)
        return
    _compare_tags(wanted, sources.rules, seen, mine, user)
    if sources.capabilities.user_tags:
        # Otherwise the path has the owner.
        seen.notes += sources.rules.notes_on(mine.wanted.username, user)
    mine.puts_policy = not is_same(user.policies.get(policy_name), wanted.policy_of(mine.wanted))
    own = [policy_name, *_compare_shared(wanted, sources, seen, mine)]
    if mine.puts_policy or mine.policies:
        mine.differs.append("user_policy")
    problem = _compare_keys(wanted, sources, mine, user, proof if mine.wanted.is_first else None)
    if mine.keys.unmanaged:
        unmanaged = ", ".join(mine.keys.unmanaged)
        seen.notes.append(f"IAM user {mine.wanted.username} has keys that the operator did not issue: {unmanaged}")
    seen.notes += _notes_on_rotation(mine)
    for found in (mine.problem, problem, find_rights_problem(mine.wanted.username, own, sources.rules, user)):
        if found is not None:
            seen.defer_key(mine, found)


def _users_record(wanted: Wanted, seen: Observation, mine: UserObservation, user: UserState) -> dict[str, str]:
    """The tags of the first user that record the others: also those that are still to be deleted."""
    if not mine.wanted.is_first:
        return {}
    return owner.replaced_users_record(
        user.tags, [*wanted.additional_names, *(one.name for one in seen.removed), *seen.unread]
    )


def _compare_shared(wanted: Wanted, sources: Sources, seen: Observation, mine: UserObservation) -> list[str]:
    """Fill in which policies for the buckets of other objects differ. Return the names of the operator's policies."""
    username, policies = mine.wanted.username, mine.found.policies if mine.found else {}
    shared = find_shared(wanted, sources, seen.account, mine.wanted, mine.found)
    due = {
        bucket: policy
        for bucket, policy in shared.wanted.items()
        if not is_same(policies.get(policy_name_of(username, bucket)), policy)
    }
    # Deleted first: all policies of a user share one limit.
    mine.policies = {**dict.fromkeys(shared.stale), **due}
    seen.notes += shared.notes
    for problem in shared.problems:
        seen.defer(problem)
    return [policy_name_of(username, bucket) for bucket in shared.buckets]


def _plan_new_user(wanted: Wanted, sources: Sources, seen: Observation, mine: UserObservation) -> None:
    mine.differs.append("user")
    mine.has_key = False
    mine.tags = {**wanted.tags_of(mine.wanted), **mine.wanted.secret.tags, **_origin_tags(wanted, seen, mine)}
    mine.puts_policy = True
    mine.turn = Turn(now=sources.now, rotation=mine.wanted.rotation or DEFAULT, requested=wanted.rotate_key)
    mine.keys = KeyPlan(create=True, record=mine.turn.answered)
    mine.shows_keys = mine.wanted.rotation is not None
    _compare_config_map(wanted, mine)


def _origin_tags(wanted: Wanted, seen: Observation, mine: UserObservation) -> dict[str, str]:
    has_origin = bool(seen.origin) and mine.wanted.is_first
    return {owner.ORIGIN: owner.origin_record(seen.origin, wanted.bucket)} if has_origin else {}


def _compare_tags(wanted: Wanted, rules: UserRules, seen: Observation, mine: UserObservation, user: UserState) -> None:
    """Fill in all tags that the user should have, and whether any of them differs.

    Where IAM would refuse that number, those of the spec are left out, and the object is not Ready.
    """
    record = _users_record(wanted, seen, mine, user)
    tags = {**wanted.tags_of(mine.wanted), **record}
    excess = user_tags.find_excess(
        f"IAM user {mine.wanted.username}", user_tags.merged(user.tags, tags), f"spec.{mine.wanted.field}.tags"
    )
    if excess is not None:
        tags = {**wanted.own_tags_of(mine.wanted), **record}
        seen.defer(excess)
    tags = {key: value for key, value in tags.items() if wanted.identity.uid or key != owner.UID}
    mine.stale_tags = [] if excess else user_tags.stale(user.tags, tags)
    kept = user.tags if excess else user_tags.merged(user.tags, tags)
    mine.tags = {**kept, **tags, **_origin_tags(wanted, seen, mine)}
    is_due = any(user.tags.get(key) != value for key, value in due_tags(user, tags).items())
    if rules.differ(user) or is_due or mine.stale_tags:
        mine.differs.append("user")


def _compare_keys(
    wanted: Wanted, sources: Sources, mine: UserObservation, user: UserState, proof: Pair | None
) -> ReconcileError | None:
    """Fill in what the user's keys and its Secret need. Return why nothing can be done about them."""
    recorded = proof if owner.KEY not in user.tags else Pair.parse(user.tags[owner.KEY])
    in_secret = _usable_pair(sources, mine, recorded)
    mine.turn = _turn(wanted, sources, mine.wanted, user)
    problem = _plan_keys(mine, user, recorded, in_secret)
    _show_keys(mine, user, recorded)
    if recorded is not None and recorded == in_secret and mine.keys.live:
        mine.tags[owner.KEY] = str(recorded)
    if mine.keys.is_restored:
        recorded = in_secret
    _compare_key(mine, user, recorded, in_secret)
    mine.recorded = recorded
    if in_secret != recorded or (sources.cluster is not None and not _is_secret_same(wanted, mine, user)):
        mine.differs.append("secret")
    return problem


def _is_secret_same(wanted: Wanted, mine: UserObservation, user: UserState) -> bool:
    """Whether the Secret has its name, metadata and entries. Fill in what the run has to do about each."""
    secret, own, recorded = mine.secret, mine.wanted.secret, mine.recorded
    has_metadata = secret is not None and children.has_secret_metadata(secret, wanted, own)
    has_data = (
        secret is not None and recorded is not None and children.has_secret_data(secret, own, mine.facts, recorded)
    )
    is_replaced = secret is not None and bool(secret.get("immutable")) and not (has_metadata and has_data)
    mine.rewrites_data = not mine.keys.create and (not has_data or is_replaced)
    mine.moves = own.is_moving(user.tags)
    _compare_config_map(wanted, mine)
    return has_metadata and has_data and not (mine.moves or mine.former or mine.config_map_differs)


def _compare_config_map(wanted: Wanted, mine: UserObservation) -> None:
    own, found = mine.wanted.secret, mine.config_map
    if own.has_config_map:
        is_same = found is not None and children.is_config_map_same(found, wanted, own, mine.facts)
    else:
        is_same = found is None or not children.is_owned(found, wanted)
        mine.config_map = None if is_same else found
    mine.config_map_differs = not is_same or mine.former_config_map is not None


def _usable_pair(sources: Sources, mine: UserObservation, recorded: Pair | None) -> Pair | None:
    """The key pair that the Secret holds; without a cluster the recorded one."""
    if sources.cluster is None:
        return recorded
    found = [children.pair_in(secret, recorded) for secret in (mine.secret, mine.former)]
    return recorded if recorded in found else found[0]


def _plan_keys(
    mine: UserObservation, user: UserState, recorded: Pair | None, in_secret: Pair | None
) -> ReconcileError | None:
    """Plan what to do about the keys. Return why nothing can be done."""
    try:
        mine.keys = plan_keys(user.keys, recorded, user.tags.get(owner.UNMANAGED_KEYS), in_secret, mine.turn)
    except ReconcileError as refusal:
        return refusal
    return ReconcileError(Reason.TOO_MANY_KEYS, mine.keys.problem) if mine.keys.problem else None


def _turn(wanted: Wanted, sources: Sources, asked: WantedUser, user: UserState) -> Turn:
    """What decides about a rotation. Reads the last use of the old key only where that is needed."""
    turn = Turn(
        now=sources.now,
        rotation=asked.rotation or DEFAULT,
        requested=wanted.rotate_key,
        is_kept=wanted.keeps_old_key,
        created=user.keys_created,
        tags=user.tags,
    )
    return replace(turn, last_use=_find_last_use(turn, sources, user))


def _find_last_use(turn: Turn, sources: Sources, user: UserState) -> LastUse | None:
    old = turn.old
    is_active = old is not None and user.keys.get(old.id) == "Active"
    if old is None or turn.is_kept or not needs_last_use(old, is_active, turn.now, turn.rotation):
        return None
    return sources.users.find_last_use(old.id)


def _notes_on_rotation(mine: UserObservation) -> list[str]:
    """Notes for a person on a rotation that does not go on by itself, or not as expected."""
    plan, turn = mine.keys, mine.turn
    old, use = plan.old, turn.last_use or LastUse()
    notes = []
    if turn.rotation.is_interval_short:
        notes.append(
            f"spec.{mine.wanted.field}.keyRotation: interval is shorter than twice gracePeriod, for which the old key "
            "exists at least: the key is rotated less often"
        )
    if old is None or plan.create:
        return notes
    if turn.answered:
        notes.append(f"the rotation that {ROTATE_KEY} requests waits until the old access key {old.id} is deleted")
    if turn.is_kept:
        notes.append(f"the old access key {old.id} stays active while the annotation {KEEP_OLD_KEY} is set")
    if not use.is_tracked:
        notes.append(f"the store does not show when access key {old.id} was used last: the grace period alone decides")
    if use.problem and old.phase is Phase.OVERLAP:
        notes.append(f"the old access key {old.id} stays active until maxGracePeriod is over: {use.problem}")
    return notes


def _show_keys(mine: UserObservation, user: UserState, recorded: Pair | None) -> None:
    """Fill in the keys for the status, for a user with keyRotation, or while a rotation is unfinished."""
    mine.shows_keys = mine.wanted.rotation is not None or mine.turn.old is not None or mine.keys.old is not None
    if mine.shows_keys:
        mine.shown_keys = keys_now(user.keys, recorded.id if recorded else "", mine.keys, mine.turn)


def _compare_key(mine: UserObservation, user: UserState, recorded: Pair | None, in_secret: Pair | None) -> None:
    is_active = recorded is not None and user.keys.get(recorded.id) == "Active"
    mine.has_key = is_active and recorded in (in_secret, children.pair_in(mine.secret))
    is_missing = mine.keys.differs and not is_active
    is_surplus = bool(mine.keys.delete_after) and not mine.keys.create
    if is_missing or mine.keys.rotation_in_progress or is_surplus or mine.keys.replaces or mine.keys.is_step:
        mine.differs.append("access_key")
