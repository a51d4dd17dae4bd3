"""The condition CredentialsVerified: which objects have one, and what it holds. Pure.

True: AWS allowed all requests that verified the access key. False: it refused one, and the condition has its words.
Unknown: it did not answer. Ready does not depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from runner.control.status import condition_in, with_transition
from runner.objects import JsonObject, S3Object
from s3bucket.outcome import Reason
from s3bucket.verification import NEVER, Verification

CONDITION = "CredentialsVerified"


@dataclass(frozen=True)
class Verified:
    """What is published of a verification. ``generation``: of the object when its key was verified."""

    generation: int
    status: str
    reason: Reason
    message: str

    @classmethod
    def of(cls, s3: S3Object, found: Verification) -> Verified:
        """What to publish of a verification."""
        status = "True" if found.ok else "False" if found.is_answer else "Unknown"
        return cls(s3.generation or 0, status, found.reason, found.message)

    def is_in(self, s3: S3Object) -> bool:
        """Whether the object's status shows it already."""
        old = condition_in(s3.status, CONDITION)
        return self.condition(s3, old.get("lastTransitionTime", "")) == old

    def condition(self, s3: S3Object, now: str) -> JsonObject:
        """The condition, for the status of the object.

        :param now: RFC 3339 time
        """
        condition = {
            "type": CONDITION,
            "status": self.status,
            "reason": self.reason.value,
            "message": self.message,
            "observedGeneration": self.generation,
        }
        return with_transition(condition, condition_in(s3.status, CONDITION), now)


def may_be_verified(s3: S3Object) -> bool:
    """Whether the spec lets the object's access key be verified."""
    return s3.has_user and s3.spec.get("verify") != NEVER and not s3.is_deleting


def is_due(s3: S3Object) -> bool:
    """Whether the object's access key is verified now: it has one, and a bucket."""
    return may_be_verified(s3) and s3.has_finalizer and s3.has_bucket and bool(s3.status.get("accessKeyID"))


def status_in(s3: S3Object) -> str:
    """The status of the object's condition; empty when it has none."""
    return str(condition_in(s3.status, CONDITION).get("status", ""))


def conditions_with(s3: S3Object, verified: Verified, now: str) -> list[JsonObject]:
    """The object's conditions with this one in the place of its old one."""
    others = [item for item in s3.status.get("conditions") or [] if item.get("type") != CONDITION]
    return [*others, verified.condition(s3, now)]
