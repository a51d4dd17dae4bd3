# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The result of one run of the role, or of one check, for one S3 object. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Reason(StrEnum):
    """Why an object is Ready or Synced, or not. The role gives most of them; the last five are the loop's own."""

    READY = "Ready"
    PENDING = "Pending"
    EMPTYING = "Emptying"
    DELETING = "Deleting"
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
    RUN_FAILED = "RunFailed"
    RUN_TIMEOUT = "RunTimeout"
    RUN_CANCELLED = "RunCancelled"
    IN_SYNC = "InSync"
    DRIFTED = "Drifted"


@dataclass(frozen=True)
class Outcome:
    """What one run of the role, or one look, ended with.

    ``retry`` is none, immediate, transient, permanent or slow; ``changed`` names the aspects that the run repaired,
    ``drift`` those that differ from the spec and were not. ``is_untouched``: the run wrote nothing.
    """

    is_done: bool
    reason: Reason
    message: str = ""
    retry: str = "none"
    changed: tuple[str, ...] = ()
    status: dict[str, Any] = field(default_factory=dict)
    drift: tuple[str, ...] = ()
    is_untouched: bool = False
