"""Checked right before each run of the role: the Lease is held, and the bucketPolicy can be evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from runner.objects import Owned, S3Object
from s3bucket.outcome import Outcome, Reason

_NOT_LEADING = Outcome.failure(Reason.RUN_CANCELLED, "the Lease is no longer held")


class Job(Protocol):
    """Runs the playbooks."""

    def run(self, s3: S3Object) -> Outcome:
        """Run ``operator.yml``."""

    def deactivate(self, user: Owned, cluster: str) -> Outcome:
        """Run ``deactivate.yml``."""


class GuardedRole:
    """Runs the role.

    :param try_policy: why the object's bucketPolicy cannot be evaluated; None where it can
    :param may_run: whether the Lease is held for certain that an object's uid calls for; that of all objects for none
    """

    def __init__(
        self, job: Job, try_policy: Callable[[S3Object], Outcome | None], may_run: Callable[[str], bool]
    ) -> None:
        self._job = job
        self._try_policy = try_policy
        self._may_run = may_run

    def run(self, s3: S3Object) -> Outcome:
        """Run the role on an object."""
        if not self._may_run(s3.uid):
            return _NOT_LEADING
        return self._try_policy(s3) or self._job.run(s3)

    def deactivate(self, user: Owned, cluster: str) -> Outcome:
        """Deactivate the keys of an IAM user whose S3 object no longer exists."""
        return self._job.deactivate(user, cluster) if self._may_run("") else _NOT_LEADING
