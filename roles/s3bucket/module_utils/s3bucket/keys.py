# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Decides which access key is live, which keys are deleted, and whether a new one is due. Pure: no reads, no writes.

Two tags on the owned IAM user record the keys that the operator has created. ``agill.apps/key`` is ``<id>:<32 hex
digits of the SHA-256 of the secret>``. ``agill.apps/foreign-keys`` exists only during a rotation: the ids of the keys
that the operator did not create, or ``-`` for none.
A rotation has this order: put the foreign-keys tag, create the key, put the key tag, write the Secret, delete the old
key, remove the foreign-keys tag. While the foreign-keys tag exists, a key that neither tag names is the operator's and
is deleted. So after a kill between any two steps, the next run completes the rotation.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from .errors import ReconcileError
from .outcome import Reason

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: access keys per user
MAX_KEYS = 2
_NO_UNMANAGED_KEYS = "-"


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


def fingerprint_of(secret: str) -> str:
    """32 hex digits of the SHA-256 of a secret access key: enough to notice a changed value, and not to learn it."""
    return hashlib.sha256(secret.encode()).hexdigest()[:32]


@dataclass(frozen=True)
class KeyPlan:
    """What to do about the user's keys. ``differs`` is False when there is nothing to do."""

    live: str = ""
    create: bool = False
    delete_first: list[str] = field(default_factory=list)
    delete_after: list[str] = field(default_factory=list)
    unmanaged: list[str] = field(default_factory=list)
    rotation_in_progress: bool = False
    unmanaged_tag: str = _NO_UNMANAGED_KEYS

    @property
    def differs(self) -> bool:
        """Whether there is anything to do about the keys."""
        return self.create or self.rotation_in_progress or bool(self.delete_after)


def plan_keys(
    listed: dict[str, str], recorded: Pair | None, unmanaged_tag: str | None, in_secret: Pair | None
) -> KeyPlan:
    """Decide what to do about the keys of an owned user.

    :param listed: key id to status (Active, Inactive), as ListAccessKeys returns them
    :param recorded: the pair in the key tag
    :param unmanaged_tag: the foreign-keys tag's value; None when no rotation is in progress
    :param in_secret: the pair in the Secret; None when there is no Secret, or it does not hold a complete pair
    :raises ReconcileError: TooManyKeys when keys that the operator did not create take both slots
    """
    recorded_id = recorded.id if recorded else ""
    if unmanaged_tag is None:
        unmanaged = sorted(key for key in listed if key != recorded_id)
    else:
        unmanaged = sorted(key for key in unmanaged_tag.split() if key in listed)
    managed = [key for key in listed if key not in unmanaged]
    tag = " ".join(unmanaged) or _NO_UNMANAGED_KEYS
    is_live = recorded is not None and in_secret == recorded and listed.get(recorded_id) == "Active"
    if is_live:
        stale = sorted(key for key in managed if key != recorded_id)
        return KeyPlan(recorded_id, False, [], stale, unmanaged, unmanaged_tag is not None, tag)
    if len(unmanaged) >= MAX_KEYS:
        raise ReconcileError(
            Reason.TOO_MANY_KEYS,
            f"the user has {len(unmanaged)} access keys that the operator did not issue ({', '.join(unmanaged)}) "
            f"and AWS allows {MAX_KEYS}: delete one of them",
        )
    # The key in the Secret, which applications may still use, is deleted last.
    by_worth = sorted(managed, key=lambda key: (in_secret is not None and key == in_secret.id, key))
    surplus = max(0, len(listed) - (MAX_KEYS - 1))
    return KeyPlan("", True, by_worth[:surplus], by_worth[surplus:], unmanaged, unmanaged_tag is not None, tag)
