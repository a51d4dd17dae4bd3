# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rotation of an access key without downtime: its durations, and what is due about the old key. Pure.

A rotation has three states, which the tags of the IAM user and the status of its keys record:

- Single: there is one key that the operator issued.
- Overlap: the Secret holds a new key, and the old key is Active. The tag ``agill.apps/old-key`` names the old key.
- Draining: the old key is Inactive. Another grace period later it is deleted, and the state is Single again.

The tag's value is ``<id>:<fingerprint> <phase> <time>``: the time at which the phase began. No step depends on the
object's status or on the operator's memory, so after a kill the next run completes the step. :mod:`keys` decides what
happens to all keys of a user.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

from .values import invalid, mapping_of

_DAY_S = 86_400
_UNITS_S = {"m": 60, "h": 3600, "d": _DAY_S}
_MAX_DIGITS = 5
# The shortest and the longest value of each field. The CRD has the same limits.
_LIMITS = {
    "interval": ("1h", "3650d"),
    "gracePeriod": ("1m", "90d"),
    "maxGracePeriod": ("1m", "365d"),
}
# AWS does not document how late GetAccessKeyLastUsed shows a use. For the other last accessed information of IAM it
# states up to four hours:
# https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_last-accessed.html#access_policies_last-accessed-know
REPORTING_DELAY = timedelta(hours=4)
# IAM is eventually consistent, so what it shows just after the operator's own write may be from before.
_LAG = timedelta(minutes=5)
# AWS refuses signatures of a clock that differs by more.
_SKEW = timedelta(minutes=5)
# The operator keeps this number of characters of an annotation.
_MAX_ANNOTATION = 256
ROTATE_KEY = "agill.apps/rotate-key"
KEEP_OLD_KEY = "agill.apps/keep-old-key"


class Phase(str, Enum):  # noqa: UP042 - as in outcome
    """The phase of a rotation, as the tag of the old key records it."""

    OVERLAP = "overlap"
    DRAINING = "draining"

    def __str__(self) -> str:
        return str(self.value)


class Step(str, Enum):  # noqa: UP042 - as in outcome
    """What is due about an old key."""

    WAIT = "wait"
    """Nothing yet."""
    IN_USE = "in use"
    """Nothing yet, because the old key is still in use after the grace period."""
    ACTIVATE = "activate"
    """Make it Active, and begin the overlap again."""
    DEACTIVATE = "deactivate"
    """Make it Inactive, and begin to drain."""
    RESTART = "restart"
    """Record that the present phase begins now."""
    DELETE = "delete"


@dataclass(frozen=True)
class Rotation:
    """The durations of ``keyRotation``, in seconds. ``interval_s`` None: a key is never rotated by its age."""

    interval_s: int | None = None
    grace_s: int = _DAY_S
    max_grace_s: int = 7 * _DAY_S

    @property
    def grace(self) -> timedelta:
        """The grace period."""
        return timedelta(seconds=self.grace_s)

    def due_at(self, created: datetime) -> datetime | None:
        """When a key of this age is rotated; None for never."""
        return None if self.interval_s is None else created + timedelta(seconds=self.interval_s)

    @property
    def is_interval_short(self) -> bool:
        """Whether the old key of a rotation still exists when the next one is due, which then has to wait."""
        return self.interval_s is not None and self.interval_s < 2 * self.grace_s


DEFAULT = Rotation()


@dataclass(frozen=True)
class LastUse:
    """What AWS shows of the last use of a key.

    ``time`` is None for a key that was never used. ``is_tracked`` False: the store has no such information.
    ``problem``: why it could not be read.
    """

    time: datetime | None = None
    service: str = ""
    region: str = ""
    is_tracked: bool = True
    problem: str = ""


UNTRACKED = LastUse(is_tracked=False)


@dataclass(frozen=True)
class OldKey:
    """The record of an old key: its id, the fingerprint of its secret, and the phase of the rotation since a time."""

    id: str
    fingerprint: str
    phase: Phase
    since: datetime

    def __str__(self) -> str:
        return f"{self.id}:{self.fingerprint} {self.phase} {timestamp(self.since)}"

    @classmethod
    def parse(cls, text: str) -> OldKey | None:
        """The record in a tag; None for any other text."""
        try:
            pair, phase, since = text.split(" ")
            key_id, fingerprint = pair.split(":")
            time = datetime.fromisoformat(since.replace("Z", "+00:00"))
            return cls(key_id, fingerprint, Phase(phase), time.astimezone(UTC)) if key_id and fingerprint else None
        except (ValueError, OverflowError):
            return None


def timestamp(time: datetime) -> str:
    """The time as RFC 3339, in seconds. All its characters are allowed in a tag."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def needs_last_use(old: OldKey, is_active: bool, now: datetime, rotation: Rotation) -> bool:
    """Whether the last use of the old key decides what is due, or the status shows it: after the grace period."""
    if old.phase is Phase.DRAINING:
        return not is_active and now < old.since + rotation.grace
    return is_active and old.since + rotation.grace <= now < _latest_end(old, rotation)


def next_step(
    old: OldKey, now: datetime, rotation: Rotation, *, is_active: bool, is_kept: bool, last_use: LastUse | None = None
) -> Step:
    """What is due about the old key.

    :param is_active: whether IAM shows it as Active
    :param is_kept: whether the object has the annotation keep-old-key
    :param last_use: None where it was not read
    """
    if old.since > now + _SKEW:
        # The clock was wrong when the tag was written.
        return Step.RESTART
    if is_kept:
        return Step.WAIT if is_active and old.phase is Phase.OVERLAP else Step.ACTIVATE
    if old.phase is Phase.DRAINING:
        return _next_of_draining(old, now, rotation, is_active)
    if not is_active:
        # A run was killed before it recorded the phase, or a person made the key Inactive.
        return Step.DEACTIVATE
    return _next_of_overlap(old, now, rotation, last_use)


def _next_of_draining(old: OldKey, now: datetime, rotation: Rotation, is_active: bool) -> Step:
    if is_active:
        # A person has activated it in AWS. Just after the operator's own write, IAM may show the state from before.
        return Step.WAIT if now < old.since + _LAG else Step.ACTIVATE
    return Step.DELETE if now >= old.since + rotation.grace else Step.WAIT


def _next_of_overlap(old: OldKey, now: datetime, rotation: Rotation, last_use: LastUse | None) -> Step:
    if now >= _latest_end(old, rotation):
        return Step.DEACTIVATE
    if last_use is None or now < old.since + rotation.grace:
        return Step.WAIT
    if not last_use.is_tracked:
        return Step.DEACTIVATE
    if now < old.since + rotation.grace + REPORTING_DELAY:
        return Step.WAIT
    if last_use.problem:
        return Step.WAIT
    is_idle = last_use.time is None or last_use.time + rotation.grace + REPORTING_DELAY <= now
    return Step.DEACTIVATE if is_idle else Step.IN_USE


def _latest_end(old: OldKey, rotation: Rotation) -> datetime:
    return old.since + timedelta(seconds=rotation.max_grace_s)


def ends_at(old: OldKey, rotation: Rotation, step: Step, *, is_kept: bool) -> datetime | None:
    """When the present phase ends: at the earliest, or, for a key in use, at the latest; None while it is kept."""
    if is_kept:
        return None
    if old.phase is Phase.DRAINING:
        return old.since + rotation.grace
    latest = _latest_end(old, rotation)
    return latest if step is Step.IN_USE else min(latest, old.since + rotation.grace)


def digest_of(annotation: str) -> str:
    """A digest of the value of the annotation rotate-key; empty for an empty value."""
    return hashlib.sha256(annotation[:_MAX_ANNOTATION].encode()).hexdigest()[:16] if annotation else ""


def is_kept_by(annotation: str) -> bool:
    """Whether the value of the annotation keep-old-key keeps the old key."""
    return annotation.strip().lower() not in ("", "false")


def rotation_of(value: object, field: str) -> Rotation | None:
    """Read ``keyRotation`` of a user; None when it is not given.

    :param field: the path of the field, for messages
    :raises ReconcileError: InvalidSpec naming the field
    """
    if value is None:
        return None
    given = mapping_of(value, field)
    found = {
        name: _duration_of(given[name], f"{field}.{name}", *limits)
        for name, limits in _LIMITS.items()
        if given.get(name) is not None
    }
    grace_s = found.get("gracePeriod", min(DEFAULT.grace_s, found.get("maxGracePeriod", DEFAULT.grace_s)))
    max_grace_s = found.get("maxGracePeriod", max(DEFAULT.max_grace_s, grace_s))
    if max_grace_s < grace_s:
        raise invalid(f"{field}.maxGracePeriod", "must not be shorter than gracePeriod")
    return Rotation(found.get("interval"), grace_s, max_grace_s)


def _duration_of(value: object, field: str, least: str, most: str) -> int:
    seconds = _seconds_in(value)
    if seconds is None:
        raise invalid(field, "is not a duration: a number of at most 5 digits with m, h or d, for example 24h or 90d")
    if not _seconds_in(least) <= seconds <= _seconds_in(most):  # type: ignore[operator]
        raise invalid(field, f"must be {least} to {most}")
    return seconds


def _seconds_in(value: object) -> int | None:
    if not isinstance(value, str) or value[-1:] not in _UNITS_S:
        return None
    digits = value[:-1]
    is_number = digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS and not digits.startswith("0")
    return int(digits) * _UNITS_S[value[-1]] if is_number else None
