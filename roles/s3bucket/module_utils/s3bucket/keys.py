# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decides which access key is live, which keys are deleted, and whether a new one is due. Pure: no reads, no writes.

Two tags on the owned IAM user record the keys that the operator has created. ``agill.apps/key`` is ``<id>:<32 hex
digits of the SHA-256 of the secret>``. ``agill.apps/foreign-keys`` exists only during a rotation: the ids of the keys
that the operator did not create, or ``-`` for none.
A key that does not work is replaced in this order: put the foreign-keys tag, create the key, put the key tag, write the
Secret, delete the old key, remove the foreign-keys tag. While the foreign-keys tag exists, a key that no tag names is
the operator's and is deleted. So after a kill between any two steps, the next run completes the replacement.

A key that works is replaced in the same order, but is not deleted (:mod:`rotation`): the foreign-keys tag names it too,
and the key tag is put in one request with ``agill.apps/old-key``, which then names it. So neither an unfinished run nor
an operator from before that tag existed deletes a key that applications use.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from . import owner, rotation
from .errors import ReconcileError
from .json_types import ApiObject
from .outcome import Reason
from .rotation import LastUse, OldKey, Phase, Rotation, Step

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: access keys per user
MAX_KEYS = 2
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteAccessKey.html
_KEY_ID = re.compile(r"\w{16,128}", re.ASCII)
_NO_UNMANAGED_KEYS = "-"
# Before anything can be due.
_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Pair:
    """An access key as a Secret holds it: its id, and the fingerprint of its secret in place of the secret."""

    id: str
    fingerprint: str

    def __str__(self) -> str:
        return f"{self.id}:{self.fingerprint}"

    @classmethod
    def parse(cls, text: str) -> Pair | None:
        """The pair that a key tag or annotation records; None for any other text."""
        key_id, colon, fingerprint = text.partition(":")
        return cls(key_id, fingerprint) if colon and key_id and fingerprint else None


def recorded_keys(tags: Mapping[str, str]) -> list[str]:
    """The ids of the access keys that a user's tags record: the one in its Secret, and the old one in a rotation.

    A text that no access key has for its id is left out: AWS would refuse a request with it.
    """
    found = [tags.get(name, "").partition(":")[0] for name in (owner.KEY, owner.OLD_KEY)]
    return [key for key in dict.fromkeys(found) if _KEY_ID.fullmatch(key)]


def fingerprint_of(secret: str) -> str:
    """32 hex digits of the SHA-256 of a secret access key: enough to notice a changed value, and not to learn it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class Turn:
    """What decides about a rotation, beside the keys themselves.

    :ivar rotation: the durations; the defaults where the spec has none
    :ivar requested: the digest of the annotation rotate-key; empty for none
    :ivar is_kept: whether the annotation keep-old-key is on the object
    :ivar created: when each key was created
    :ivar tags: the tags of the user
    :ivar last_use: of the old key; None where it was not read
    """

    now: datetime = _NEVER
    rotation: Rotation = rotation.DEFAULT
    requested: str = ""
    is_kept: bool = False
    created: Mapping[str, datetime] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    last_use: LastUse | None = None

    @property
    def old(self) -> OldKey | None:
        """The old key that the tags record."""
        return OldKey.parse(self.tags.get(owner.OLD_KEY, ""))

    @property
    def answered(self) -> dict[str, str]:
        """The tag that records that the request of the annotation was answered; empty without a request."""
        is_new = bool(self.requested) and self.tags.get(owner.ROTATED) != self.requested
        return {owner.ROTATED: self.requested} if is_new else {}

    def is_due(self, key: str) -> bool:
        """Whether the key in the Secret is to be replaced by a new one."""
        created = self.created.get(key)
        due_at = self.rotation.due_at(created) if created else None
        return bool(self.answered) or (due_at is not None and self.now >= due_at)


@dataclass(frozen=True)
class KeyPlan:
    """What to do about the user's keys. ``differs`` is False when there is nothing to do.

    :ivar live: the key in the Secret that works
    :ivar replaces: the working key that a new one replaces; empty for a key that does not work
    :ivar activate: keys that become Active
    :ivar deactivate: keys that become Inactive
    :ivar record: tags to put together with the record of a new key, or, without a new key, at the end
    :ivar removed_tags: tags to remove at the end, beside the foreign-keys tag
    :ivar is_restored: the Secret holds the old key again, which is then the recorded one
    :ivar old: the old key after the run; None for none
    :ivar step: what is due about the old key
    :ivar problem: why a rotation that is due cannot begin
    """

    live: str = ""
    create: bool = False
    delete_first: list[str] = field(default_factory=list)
    delete_after: list[str] = field(default_factory=list)
    unmanaged: list[str] = field(default_factory=list)
    rotation_in_progress: bool = False
    unmanaged_tag: str = _NO_UNMANAGED_KEYS
    replaces: str = ""
    activate: list[str] = field(default_factory=list)
    deactivate: list[str] = field(default_factory=list)
    record: dict[str, str] = field(default_factory=dict)
    removed_tags: list[str] = field(default_factory=list)
    is_restored: bool = False
    old: OldKey | None = None
    step: Step = Step.WAIT
    problem: str = ""

    @property
    def differs(self) -> bool:
        """Whether there is anything to do about the keys."""
        return self.create or self.rotation_in_progress or bool(self.delete_after) or self.is_step

    @property
    def is_step(self) -> bool:
        """Whether there is anything to do about an old key."""
        return bool(self.activate or self.deactivate or (self.record and not self.create) or self.removed_tags)

    def without_changes(self) -> KeyPlan:
        """The plan of a run that must not touch the keys."""
        return KeyPlan(live=self.live, unmanaged=self.unmanaged, old=self.old, step=self.step, problem=self.problem)

    def to_record(self) -> ApiObject:
        """The data of the role's tasks."""
        return {
            "live": self.live,
            "create": self.create,
            "delete_first": self.delete_first,
            "delete_after": self.delete_after,
            "rotation_in_progress": self.rotation_in_progress,
            "replaces": self.replaces,
            "statuses": [
                *({"id": key, "active": True} for key in self.activate),
                *({"id": key, "active": False} for key in self.deactivate),
            ],
            "record": self.record,
            "differs": self.differs,
            "retags": self.create or self.rotation_in_progress or bool(self.record or self.removed_tags),
        }


def plan_keys(
    listed: dict[str, str],
    recorded: Pair | None,
    unmanaged_tag: str | None,
    in_secret: Pair | None,
    turn: Turn | None = None,
) -> KeyPlan:
    """Decide what to do about the keys of an owned user.

    :param listed: key id to status (Active, Inactive), as ListAccessKeys returns them
    :param recorded: the pair in the key tag
    :param unmanaged_tag: the foreign-keys tag's value; None when no rotation is in progress
    :param in_secret: the pair in the Secret; None when there is no Secret, or it does not hold a complete pair
    :param turn: what decides about a rotation
    :raises ReconcileError: TooManyKeys when keys that the operator did not create take both slots
    """
    turn = turn or Turn()
    recorded_id = recorded.id if recorded else ""
    old = turn.old
    if old is not None and (old.id not in listed or old.id == recorded_id):
        old = None
    own = {recorded_id, old.id if old else ""}
    known = listed if unmanaged_tag is None else unmanaged_tag.split()
    unmanaged = sorted(key for key in known if key in listed and key not in own)
    plan = KeyPlan(
        unmanaged=unmanaged,
        rotation_in_progress=unmanaged_tag is not None,
        unmanaged_tag=" ".join(unmanaged) or _NO_UNMANAGED_KEYS,
        old=old,
        removed_tags=[owner.OLD_KEY] if old is None and owner.OLD_KEY in turn.tags else [],
    )
    managed = sorted(key for key in listed if key not in unmanaged)
    if recorded is not None and in_secret == recorded and listed.get(recorded_id) == "Active":
        stale = [key for key in managed if key not in own]
        return _plan_live(replace(plan, live=recorded_id, delete_after=stale), listed, recorded, turn)
    if old is not None and in_secret == Pair(old.id, old.fingerprint):
        restored = _plan_restored(plan, old, listed, recorded, turn)
        if restored is not None:
            return restored
    return _plan_replacement(plan, managed, recorded_id, in_secret, turn)


def _plan_live(plan: KeyPlan, listed: dict[str, str], recorded: Pair, turn: Turn) -> KeyPlan:
    """The plan where the Secret holds a key that works: a rotation begins, goes on, or is not due."""
    if plan.old is not None:
        return _plan_step(plan, plan.old, listed, turn)
    if not turn.is_due(plan.live):
        return plan
    if len(plan.unmanaged) + 1 >= MAX_KEYS:
        problem = (
            f"the access key {plan.live} is to be rotated, but the user has another one that the operator did not issue"
            f" ({', '.join(plan.unmanaged)}), and AWS allows {MAX_KEYS}: delete that one"
        )
        return replace(plan, problem=problem)
    return _plan_rotation(plan, recorded, plan.delete_after, turn)


def _plan_rotation(plan: KeyPlan, replaced: Pair, surplus: list[str], turn: Turn) -> KeyPlan:
    """The plan that creates a new key and keeps a working one as the old key."""
    old = OldKey(replaced.id, replaced.fingerprint, Phase.OVERLAP, turn.now)
    return replace(
        plan,
        create=True,
        delete_first=surplus,
        delete_after=[],
        replaces=replaced.id,
        unmanaged_tag=" ".join(sorted([*plan.unmanaged, replaced.id])),
        record={owner.OLD_KEY: str(old), **turn.answered},
        removed_tags=[],
        old=old,
        step=Step.WAIT,
    )


def _plan_step(plan: KeyPlan, old: OldKey, listed: dict[str, str], turn: Turn) -> KeyPlan:
    """The plan of the step that is due about the old key."""
    is_active = listed[old.id] == "Active"
    step = rotation.next_step(
        old, turn.now, turn.rotation, is_active=is_active, is_kept=turn.is_kept, last_use=turn.last_use
    )
    plan = replace(plan, step=step)
    if step is Step.DELETE:
        return replace(plan, delete_after=[*plan.delete_after, old.id], removed_tags=[owner.OLD_KEY], old=None)
    phases = {Step.ACTIVATE: Phase.OVERLAP, Step.DEACTIVATE: Phase.DRAINING, Step.RESTART: old.phase}
    if step not in phases:
        return plan
    begun = replace(old, phase=phases[step], since=turn.now)
    return replace(
        plan,
        activate=[old.id] if step is Step.ACTIVATE and not is_active else [],
        deactivate=[old.id] if step is Step.DEACTIVATE and is_active else [],
        record={owner.OLD_KEY: str(begun)},
        old=begun,
    )


def _plan_restored(
    plan: KeyPlan, old: OldKey, listed: dict[str, str], recorded: Pair | None, turn: Turn
) -> KeyPlan | None:
    """The plan where the Secret holds the old key: a run was killed, or someone wrote an old copy of the Secret.

    None where the old key and the recorded one are both to be replaced.
    """
    is_active, pair = listed[old.id] == "Active", Pair(old.id, old.fingerprint)
    new = recorded if recorded is not None and listed.get(recorded.id) == "Active" else None
    if is_active and plan.rotation_in_progress and len(plan.unmanaged) + 1 < MAX_KEYS:
        # The Secret with the new key was not written, so its value is lost.
        surplus = sorted(key for key in listed if key not in (old.id, *plan.unmanaged))
        return _plan_rotation(plan, pair, surplus, turn)
    if is_active:
        # Applications may use both keys, so the newer one becomes the old one. Only tags change.
        begun = OldKey(new.id, new.fingerprint, Phase.OVERLAP, turn.now) if new else None
        kept = {owner.OLD_KEY: str(begun)} if begun else {}
        return replace(
            plan,
            live=old.id,
            is_restored=True,
            record={owner.KEY: str(pair), **kept},
            removed_tags=[] if begun else [owner.OLD_KEY],
            old=begun,
        )
    return _plan_rotation(plan, new, [old.id], turn) if new else None


def _plan_replacement(
    plan: KeyPlan, managed: list[str], recorded_id: str, in_secret: Pair | None, turn: Turn
) -> KeyPlan:
    """The plan where the Secret holds no key that works: a new key, and all others that the operator issued go."""
    unmanaged = plan.unmanaged
    if len(unmanaged) >= MAX_KEYS:
        raise ReconcileError(
            Reason.TOO_MANY_KEYS,
            f"the user has {len(unmanaged)} access keys that the operator did not issue ({', '.join(unmanaged)}) "
            f"and AWS allows {MAX_KEYS}: delete one of them",
        )
    # The keys that applications may still use are deleted last: the one in the Secret, and the one that was in it.
    in_secret_id = in_secret.id if in_secret else ""
    by_worth = sorted(managed, key=lambda key: (key == in_secret_id, key == recorded_id, key))
    surplus = max(0, len(managed) + len(unmanaged) - (MAX_KEYS - 1))
    # The old key of a rotation is not kept: the record of the new key takes its record away.
    untagged = {owner.OLD_KEY: _NO_UNMANAGED_KEYS} if owner.OLD_KEY in turn.tags else {}
    return replace(
        plan,
        create=True,
        delete_first=by_worth[:surplus],
        delete_after=by_worth[surplus:],
        record={**untagged, **turn.answered},
        removed_tags=[owner.OLD_KEY] if untagged else [],
        old=None,
    )
