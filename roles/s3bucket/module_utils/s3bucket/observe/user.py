# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The IAM user of a present object: whether it is owned, what differs, and what its keys need."""

from __future__ import annotations

from dataclasses import replace

from .. import children, owner
from ..errors import ReconcileError
from ..key_status import keys_now
from ..keys import KeyPlan, Pair, Turn, plan_keys
from ..outcome import Reason
from ..policy import is_same
from ..rotation import DEFAULT, KEEP_OLD_KEY, ROTATE_KEY, LastUse, Phase, needs_last_use
from ..spec import Wanted
from ..state import UserState
from ..users import UserRules, due_tags, is_quarantine
from .observation import Observation
from .sources import Found, Sources


def check_ownership(wanted: Wanted, user: UserState | None, proof: Pair | None) -> None:
    """Return only if the user may be created or changed.

    :param proof: the proof of Go-operator ownership (``legacy.find_proof``)
    :raises ReconcileError: Conflict
    """
    if user is None:
        return
    name, identity = wanted.username, wanted.identity
    if not identity.is_owner(user.tags) and (proof is None or owner.has_owner_tag(user.tags)):
        other = identity.owner_of(user.tags)
        owned_by = f"belongs to S3 object {other}" if other else "exists and was not made for this S3 object"
        hint = identity.cluster_hint(user.tags)
        raise ReconcileError(Reason.CONFLICT, f"IAM user {name} {owned_by}: choose another iamUser.username{hint}")


def wait_for_iam(wanted: Wanted, sources: Sources, found: Found) -> None:
    """Refuse while a missing resource was written within ``iam_propagation_s`` seconds: IAM is eventually consistent.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    :raises ReconcileError: WaitingForIAM
    """
    # Another clock, or a person, may have written a time in the future. The object must not have to wait until then.
    ago = children.issued_ago_s(found.secret, sources.now)
    if ago is None or abs(ago) >= sources.iam_propagation_s:
        return
    user, pair = found.user, children.pair_in(found.secret)
    recorded = Pair.parse(user.tags.get(owner.KEY, "")) if user else None
    if user is None or recorded != pair or (pair is not None and pair.id not in user.keys):
        raise ReconcileError(
            Reason.WAITING_FOR_IAM, f"IAM does not show user {wanted.username} and its new key everywhere yet"
        )


def find_rights_problem(wanted: Wanted, rules: UserRules, user: UserState) -> ReconcileError | None:
    """Why no key may be created for an owned user: it has other rights, or AWS has put it under quarantine."""
    name = wanted.username
    quarantine = [arn for arn in user.attached if is_quarantine(arn)]
    if quarantine:
        return ReconcileError(
            Reason.KEY_LEAKED,
            f"AWS found an access key of IAM user {name} in public and attached {', '.join(quarantine)}: find out what "
            "was done with the key, delete it, and detach the policy; then a new key is issued",
        )
    unmanaged = rules.unmanaged_rights(user, wanted.policy_name)
    if not unmanaged:
        return None
    return ReconcileError(
        Reason.CONFLICT,
        f"IAM user {name} has rights that the operator did not give ({', '.join(unmanaged)}): remove them, or allow "
        "them with --allowed-policy and --allowed-group of the operator (iam.allowedPolicies and iam.allowedGroups of "
        "its chart), or s3bucket_allowed_policies and s3bucket_allowed_groups of the role",
    )


def compare_user(wanted: Wanted, sources: Sources, seen: Observation, found: Found, proof: Pair | None) -> None:
    """Fill in what differs in the user, its policy, its keys and the Secret, and what repairs it."""
    user = found.user
    if user is None:
        _plan_new_user(wanted, sources, seen)
        return
    seen.user_exists, seen.user = True, user
    tags = {key: value for key, value in wanted.user_tags.items() if wanted.identity.uid or key != owner.UID}
    _compare_tags(user, tags, sources.rules, seen)
    seen.notes += sources.rules.notes_on(wanted.username, user)
    seen.puts_policy = not is_same(user.policies.get(wanted.policy_name), wanted.user_policy)
    if seen.puts_policy:
        seen.differs.append("user_policy")
    recorded = proof if owner.KEY not in user.tags else Pair.parse(user.tags[owner.KEY])
    in_secret = _usable_pair(wanted, sources, seen, recorded)
    seen.turn = _turn(wanted, sources, user)
    problem = _plan_keys(seen, user, recorded, in_secret)
    _show_keys(wanted, seen, user, recorded)
    is_live = recorded is not None and recorded == in_secret and bool(seen.keys.live)
    key_tags = {owner.KEY: str(recorded)} if is_live else {}
    if seen.keys.is_restored:
        recorded = in_secret
    _compare_key(seen, user, recorded, in_secret)
    has_secret = seen.secret is not None and children.has_labels(seen.secret, wanted)
    if in_secret != recorded or (sources.cluster and not has_secret):
        seen.differs.append("secret")
    if seen.keys.unmanaged:
        seen.notes.append(
            f"IAM user {wanted.username} has keys that the operator did not issue: {', '.join(seen.keys.unmanaged)}"
        )
    seen.user_tags = {**user.tags, **tags, **_origin_tags(wanted, seen), **key_tags}
    if problem is not None:
        seen.defer_key(problem)


def _plan_new_user(wanted: Wanted, sources: Sources, seen: Observation) -> None:
    seen.differs.append("user")
    seen.has_key = False
    seen.user_tags = {**wanted.user_tags, **_origin_tags(wanted, seen)}
    seen.puts_policy = True
    seen.turn = Turn(now=sources.now, rotation=wanted.rotation or DEFAULT, requested=wanted.rotate_key)
    seen.keys = KeyPlan(create=True, record=seen.turn.answered)
    seen.shows_keys = wanted.rotation is not None


def _origin_tags(wanted: Wanted, seen: Observation) -> dict[str, str]:
    return {owner.ORIGIN: owner.origin_record(seen.origin, wanted.bucket)} if seen.origin else {}


def _compare_tags(user: UserState, tags: dict[str, str], rules: UserRules, seen: Observation) -> None:
    if rules.differ(user) or any(user.tags.get(key) != value for key, value in due_tags(user, tags).items()):
        seen.differs.append("user")


def _usable_pair(wanted: Wanted, sources: Sources, seen: Observation, recorded: Pair | None) -> Pair | None:
    """The key pair in the Secret, if it can be kept; without a cluster the recorded one."""
    if sources.cluster is None:
        return recorded
    # An immutable Secret that needs a change is re-created with a new pair: this code never has the pair's values.
    is_replaced = (
        seen.secret is not None and bool(seen.secret.get("immutable")) and not children.has_labels(seen.secret, wanted)
    )
    return None if is_replaced else children.pair_in(seen.secret)


def _plan_keys(
    seen: Observation, user: UserState, recorded: Pair | None, in_secret: Pair | None
) -> ReconcileError | None:
    """Plan what to do about the keys. Return why nothing can be done."""
    try:
        seen.keys = plan_keys(user.keys, recorded, user.tags.get(owner.UNMANAGED_KEYS), in_secret, seen.turn)
    except ReconcileError as refusal:
        return refusal
    if seen.keys.problem:
        return ReconcileError(Reason.TOO_MANY_KEYS, seen.keys.problem)
    seen.notes += _notes_on_rotation(seen)
    return None


def _turn(wanted: Wanted, sources: Sources, user: UserState) -> Turn:
    """What decides about a rotation. Reads the last use of the old key only where that decides."""
    turn = Turn(
        now=sources.now,
        rotation=wanted.rotation or DEFAULT,
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


def _notes_on_rotation(seen: Observation) -> list[str]:
    """Notes for a person on a rotation that does not go on by itself, or not as expected."""
    plan, turn = seen.keys, seen.turn
    old, use = plan.old, turn.last_use or LastUse()
    if old is None or plan.create:
        return []
    notes = []
    if turn.answered:
        notes.append(f"the rotation that {ROTATE_KEY} requests waits until the old access key {old.id} is deleted")
    if turn.is_kept:
        notes.append(f"the old access key {old.id} stays active while the annotation {KEEP_OLD_KEY} is set")
    if not use.is_tracked:
        notes.append(
            f"the store does not show when the access key {old.id} was used last: the grace period alone decided"
        )
    if use.problem and old.phase is Phase.OVERLAP:
        notes.append(f"the old access key {old.id} stays active until maxGracePeriod is over: {use.problem}")
    return notes


def _show_keys(wanted: Wanted, seen: Observation, user: UserState, recorded: Pair | None) -> None:
    """Fill in the keys for the status, for an object with keyRotation, or while a rotation is unfinished."""
    seen.shows_keys = wanted.rotation is not None or seen.turn.old is not None or seen.keys.old is not None
    if seen.shows_keys:
        seen.shown_keys = keys_now(user.keys, recorded.id if recorded else "", seen.keys, seen.turn)


def _compare_key(seen: Observation, user: UserState, recorded: Pair | None, in_secret: Pair | None) -> None:
    is_active = recorded is not None and user.keys.get(recorded.id) == "Active"
    seen.has_key = is_active and recorded in (in_secret, children.pair_in(seen.secret))
    is_missing = seen.keys.differs and not is_active
    is_surplus = bool(seen.keys.delete_after) and not seen.keys.create
    if is_missing or seen.keys.rotation_in_progress or is_surplus or seen.keys.replaces or seen.keys.is_step:
        seen.differs.append("access_key")
