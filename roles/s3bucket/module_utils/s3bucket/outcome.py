# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The result of one run of the role, or of one check, for one S3 object. Pure.

Only this file defines reasons, retry kinds and the shape of a result. Modules, ``set_stats`` and the operator exchange
a result as a record: :meth:`Outcome.to_record` and :meth:`Outcome.from_record`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypedDict

from .json_types import Json


class _Text(str, Enum):  # noqa: UP042 - the module that reports a Python without StrEnum is run by it
    """A member converts to its text, also in a format string."""

    def __str__(self) -> str:
        return str(self.value)

    def __format__(self, specification: str) -> str:
        return format(self.value, specification)


class Retry(_Text):
    """When to try again."""

    NONE = "none"
    """There is nothing left to do."""
    IMMEDIATE = "immediate"
    """At once: the run made progress and has more to do."""
    TRANSIENT = "transient"
    """Soon, with back-off."""
    SLOW = "slow"
    """At the next sync."""
    PERMANENT = "permanent"
    """When the spec changes, or at the next sync."""


class Reason(_Text):
    """Why an object is Ready or Synced, or not. Only the operator uses the reasons after WOULD_CHANGE."""

    READY = "Ready"
    PENDING = "Pending"
    EMPTYING = "Emptying"
    INVALID_SPEC = "InvalidSpec"
    CONFLICT = "Conflict"
    BUCKET_NAME_TAKEN = "BucketNameTaken"
    BUCKET_NOT_FOUND = "BucketNotFound"
    BUCKET_NOT_EMPTY = "BucketNotEmpty"
    OBJECT_LOCKED = "ObjectLocked"
    ACCESS_POINTS_ATTACHED = "AccessPointsAttached"
    MFA_REQUIRED = "MFARequired"
    DELETION_REFUSED = "DeletionRefused"
    WRONG_REGION = "WrongRegion"
    TOO_MANY_KEYS = "TooManyKeys"
    QUOTA_EXCEEDED = "QuotaExceeded"
    KEY_LEAKED = "KeyLeaked"
    WAITING_FOR_IAM = "WaitingForIAM"
    ACCESS_DENIED = "AccessDenied"
    CREDENTIALS_INVALID = "CredentialsInvalid"
    THROTTLED = "Throttled"
    AWS_UNREACHABLE = "AWSUnreachable"
    AWS_ERROR = "AWSError"
    KUBERNETES_ERROR = "KubernetesError"
    MISSING_REQUIREMENT = "MissingRequirement"
    WOULD_CHANGE = "WouldChange"
    """In check mode only: a run would change something and succeed."""
    DELETING = "Deleting"
    RUN_FAILED = "RunFailed"
    RUN_TIMEOUT = "RunTimeout"
    RUN_CANCELLED = "RunCancelled"
    OLD_KEY_IN_USE = "OldKeyInUse"
    IN_SYNC = "InSync"
    DRIFTED = "Drifted"
    VERIFIED = "Verified"
    """AWS allows the requests that verify an access key."""

    @property
    def retry(self) -> Retry:
        """When to try again, unless the outcome itself has another value."""
        return _RETRY.get(self, Retry.TRANSIENT)

    @property
    def is_general(self) -> bool:
        """Whether it is not about one resource: each further request would fail, or make it worse."""
        return self in _GENERAL

    @classmethod
    def parse(cls, text: object) -> Reason:
        """The reason with this name; RunFailed for an unknown name."""
        return cls(text) if isinstance(text, str) and text in _NAMES else cls.RUN_FAILED


_NAMES = frozenset(reason.value for reason in Reason)
_GENERAL = frozenset({Reason.CREDENTIALS_INVALID, Reason.AWS_UNREACHABLE, Reason.THROTTLED})
_RETRY_NAMES = frozenset(retry.value for retry in Retry)
# All other reasons are transient.
_RETRY = {
    **dict.fromkeys((Reason.READY, Reason.IN_SYNC, Reason.WOULD_CHANGE, Reason.DELETING, Reason.VERIFIED), Retry.NONE),
    Reason.EMPTYING: Retry.IMMEDIATE,
    **dict.fromkeys(
        (
            Reason.BUCKET_NOT_EMPTY,
            Reason.OBJECT_LOCKED,
            Reason.ACCESS_POINTS_ATTACHED,
            Reason.MFA_REQUIRED,
            Reason.DELETION_REFUSED,
            Reason.TOO_MANY_KEYS,
            Reason.QUOTA_EXCEEDED,
            Reason.KEY_LEAKED,
            Reason.DRIFTED,
        ),
        Retry.SLOW,
    ),
    **dict.fromkeys(
        (
            Reason.INVALID_SPEC,
            Reason.CONFLICT,
            Reason.BUCKET_NAME_TAKEN,
            Reason.BUCKET_NOT_FOUND,
            Reason.WRONG_REGION,
            Reason.MISSING_REQUIREMENT,
        ),
        Retry.PERMANENT,
    ),
}


class OutcomeRecord(TypedDict):
    """An outcome as plain data: ``s3bucket_result`` of the role."""

    done: bool
    reason: str
    message: str
    retry: str
    changed: list[str]
    status: dict[str, Json]


@dataclass(frozen=True)
class Outcome:
    """The result of one run of the role, or of one check.

    ``changed`` names the aspects that the run repaired. ``drift`` names those that differ from the spec and were not
    repaired. ``is_untouched``: the run wrote nothing. ``has_old_answers``: something differs as before the last run,
    which may be an old answer of AWS. ``drift``, ``is_untouched`` and ``has_old_answers`` are not part of a record.
    """

    is_done: bool
    reason: Reason
    message: str = ""
    retry: Retry = Retry.NONE
    changed: tuple[str, ...] = ()
    status: Mapping[str, Json] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    is_untouched: bool = False
    has_old_answers: bool = False

    @classmethod
    def failure(cls, reason: Reason, message: str) -> Outcome:
        """An outcome that is not done. Its reason decides the retry kind."""
        return cls(False, reason, message, reason.retry)

    def to_record(self) -> OutcomeRecord:
        """The outcome as plain data."""
        return {
            "done": self.is_done,
            "reason": self.reason.value,
            "message": self.message,
            "retry": self.retry.value,
            "changed": list(self.changed),
            "status": dict(self.status),
        }

    @classmethod
    def from_record(cls, record: object) -> Outcome:
        """The outcome in a record. An invalid record becomes a failed run. Raises no exception."""
        problem = _find_problem(record)
        if problem or not isinstance(record, Mapping):
            return cls.failure(Reason.RUN_FAILED, f"the role's result cannot be used: {problem}")
        return cls(
            is_done=record["done"],
            reason=Reason(record["reason"]),
            message=str(record["message"]),
            retry=Retry(record["retry"]),
            changed=tuple(map(str, record["changed"])),
            status=dict(record["status"]),
        )


def _find_problem(record: object) -> str:
    """Why a record is not a valid outcome; empty for a valid one."""
    if not isinstance(record, Mapping):
        return "it is not an object"
    missing = OutcomeRecord.__required_keys__ - record.keys()
    if missing:
        return f"it has no {', '.join(sorted(missing))}"
    if not isinstance(record["reason"], str) or record["reason"] not in _NAMES:
        return f"unknown reason {record['reason']}: {record['message']}"
    if not isinstance(record["retry"], str) or record["retry"] not in _RETRY_NAMES:
        return f"unknown retry {record['retry']}"
    types = (("done", bool), ("changed", list), ("status", Mapping))
    wrong = [name for name, expected in types if not isinstance(record[name], expected)]
    return f"{', '.join(wrong)} has a wrong type" if wrong else ""
