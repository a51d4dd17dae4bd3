"""One reconcile of one object: carries out what :func:`runner.control.decide.decide` decides, step by step.

The collaborators come by the constructor, so that a table of cases runs with fakes. Nothing in here
knows Kubernetes' client or Ansible, or decides when the role runs. Called by one worker at a time for an object.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple, Protocol

from runner.control.claims import Claims
from runner.control.decide import Decision, NameClaims, Policy, Step, Trigger, decide
from runner.control.publish import Publisher
from runner.control.queue import Lane
from runner.control.rotations import Result, has_keys, is_only_rotation, results_of
from runner.control.schedule import Next, Schedule
from runner.control.shards import ALL, Work
from runner.control.status import is_applied
from runner.kube.client import KubeError
from runner.objects import Key, S3Object
from s3bucket.outcome import Outcome, Reason

_LOG = logging.getLogger(__name__)
_OWNS_SOMETHING = Outcome(False, Reason.DELETING, "the object owns something, or that is unknown")
_NEVER_RAN = Outcome(False, Reason.RUN_CANCELLED, is_untouched=True)


class Objects(Protocol):
    """The API server and the informer cache, as far as a reconcile needs them."""

    def find_object(self, namespace: str, name: str) -> S3Object | None:
        """The object as it is now; None when it does not exist."""

    def find_seen(self, key: Key) -> S3Object | None:
        """The object as the watch saw it last; None when it no longer exists."""

    def add_finalizer(self, s3: S3Object) -> S3Object:
        """Add the operator's finalizer; returns the object with it."""

    def remove_finalizer(self, s3: S3Object) -> None:
        """Remove the operator's finalizer, if the object still has the finalizers that were read."""


class Role(Protocol):
    """Runs the role."""

    def run(self, s3: S3Object) -> Outcome:
        """Run the role on an object."""


class Check(Protocol):
    """The drift check: reads only."""

    def compare(self, s3: S3Object) -> Outcome:
        """How the object is, with the aspects that differ in ``drift``."""

    def compare_deletion(self, s3: S3Object) -> Outcome | None:
        """The outcome of deleting an object that owns nothing; None when it owns something, or that is unknown."""

    def forget(self, s3: S3Object) -> None:
        """The role was run on the object."""


class Verifier(Protocol):
    """Verifies the access keys of objects, later and by itself."""

    def see(self, s3: S3Object, outcome: Outcome, *, is_change: bool) -> None:
        """The object was compared, or reconciled for a change."""

    def forget(self, key: Key) -> None:
        """The object no longer exists."""


class _Decided(NamedTuple):
    """A decision that ends the reconcile with its step; the object and the comparison that it is about."""

    decision: Decision
    s3: S3Object
    comparison: Outcome | None


class Reconciler:
    """Reconciles objects.

    :param drift_check: False compares only objects that report their drift, and runs the role for all others
    :param verifier: None where access keys are not verified
    :param work: what this replica may work on
    """

    def __init__(  # noqa: PLR0913 - each collaborator by itself, so that a test gives fakes
        self,
        objects: Objects,
        role: Role,
        check: Check,
        claims: Claims,
        publisher: Publisher,
        schedule: Schedule,
        *,
        drift_check: bool = True,
        verifier: Verifier | None = None,
        work: Work = ALL,
    ) -> None:
        self._work = work
        self._verifier = verifier
        self._objects = objects
        self._role = role
        self._check = check
        self._claims = claims
        self._publisher = publisher
        self._schedule = schedule
        self._metrics = publisher.metrics
        self._policy = Policy(drift_check)

    def reconcile(self, key: Key) -> Next | None:
        """Reconcile an object. Returns when it is reconciled next; None when it no longer exists.

        :raises KubeError: when Kubernetes does not answer; the caller tries again
        """
        return self._schedule.after_outcome(key, self.reconcile_object(key))

    def resync(self, key: Key) -> Next | None:
        """Compare an object that was not changed. Never runs the role.

        Returns when it is reconciled next: in REPAIR at once where the role must run. None when the object no longer
        exists. Sends Kubernetes no request where there is nothing to publish.

        :raises KubeError: when Kubernetes does not answer; the caller tries again
        """
        s3 = self._objects.find_seen(key)
        with self._begin(key, s3) as mine:
            return None if mine is None else self._resync(mine)

    @contextmanager
    def _begin(self, key: Key, s3: S3Object | None) -> Iterator[S3Object | None]:
        """The object, if there is work on it; None where it no longer exists, or is another replica's."""
        with self._work.working(s3.uid) if s3 else nullcontext(enter_result=False) as is_begun:
            if not is_begun:
                self._forget(key)
            yield s3 if is_begun else None

    def _resync(self, s3: S3Object) -> Next | None:
        key = s3.key
        found = self._decide(s3, Trigger.RESYNC)
        if found is None:
            return None
        if found.decision.step is Step.HAND_ON or found.comparison is None:
            return Next(Lane.REPAIR, 0.0)
        self._count_check(key, found.comparison)
        if self._publisher.is_news(s3, found.comparison):
            live = self._objects.find_object(*key)
            if live is None or not live.is_same_object(s3):
                # The watch will report it too, in time.
                return Next(Lane.FRESH, 0.0)
            self._publish(live, found.comparison)
        self._see(s3, found.comparison, is_change=False)
        return self._schedule.after_outcome(key, found.comparison)

    def after_error(self, key: Key, *, is_conflict: bool = False) -> Next:
        """When to try again after an error that no outcome reports: :meth:`Schedule.after_error`."""
        return self._schedule.after_error(key, is_conflict=is_conflict)

    def reconcile_object(self, key: Key) -> Outcome | None:
        """Make an object match its spec, or delete what it owns. None when there is nothing (more) to do.

        :raises KubeError: when Kubernetes does not answer
        """
        # A live read: a stale cache could empty the bucket of a re-created object.
        with self._begin(key, self._objects.find_object(*key)) as s3:
            found = None if s3 is None else self._decide(s3, Trigger.CHANGE)
            return None if found is None else self._carry_out(found)

    def _decide(self, s3: S3Object, trigger: Trigger) -> _Decided | None:
        """Decide again and again, with what the steps find, until a step ends the reconcile.

        Where that is RUN, the object's claim on its bucket's name is held. None where the object was given to another
        replica during a comparison: what that found is dropped.
        """
        comparison: Outcome | None = None
        claims: NameClaims | None = None
        while True:
            policy = replace(self._policy, claims=claims)
            if comparison is not None:
                policy = replace(policy, full_sync_at=self._schedule.get_full_sync_at(s3.key))
            decision = decide(s3, trigger, comparison, self._schedule.now(), policy)
            if decision.step is Step.ADD_FINALIZER:
                s3 = self._objects.add_finalizer(s3)
            elif decision.step in (Step.COMPARE, Step.COMPARE_DELETION):
                comparison = self._compare(s3, decision.step)
                if comparison is None:
                    self._forget(s3.key)
                    return None
            elif decision.step is Step.FIND_CLAIMS or not self._is_claimed(decision, s3, claims):
                claims = self._claims.find(s3)
            else:
                return _Decided(decision, s3, comparison)

    def _compare(self, s3: S3Object, step: Step) -> Outcome | None:
        """What a comparison finds; None where the object was given to another replica meanwhile."""
        with self._work.reading(s3.uid) as is_kept:
            if step is Step.COMPARE:
                found = self._check.compare(s3)
            else:
                found = self._check.compare_deletion(s3) or _OWNS_SOMETHING
        return found if is_kept() else None

    def _is_claimed(self, decision: Decision, s3: S3Object, claims: NameClaims | None) -> bool:
        """False where a claim on the name has changed since it was found, so that the role must not run."""
        return decision.step is not Step.RUN or claims is None or self._claims.acquire(s3, claims)

    def _carry_out(self, found: _Decided) -> Outcome | None:
        decision, s3, comparison = found
        if decision.step is Step.IGNORE:
            return None
        if decision.step is Step.END_DELETION and comparison is not None:
            _LOG.info("nothing to delete", extra={"namespace": s3.namespace, "name_": s3.name})
            self._end_deletion(s3, comparison)
            return None
        if comparison is not None and not s3.is_deleting:
            self._count_check(s3.key, comparison)
        if decision.step is Step.PUBLISH and comparison is not None:
            outcome = comparison
        else:
            s3, outcome = self._run(found)
        if outcome.is_done and s3.is_deleting:
            self._end_deletion(s3, outcome)
            return None
        self._publish(s3, outcome)
        self._see(s3, outcome, is_change=True)
        return outcome

    def _publish(self, s3: S3Object, outcome: Outcome) -> None:
        """Publish an outcome, unless another replica may have published a newer one by now."""
        if self._work.may_run(s3.uid):
            self._publisher.publish(s3, outcome)

    def _see(self, s3: S3Object, outcome: Outcome, *, is_change: bool) -> None:
        if self._verifier is not None:
            self._verifier.see(s3, outcome, is_change=is_change)

    def _run(self, found: _Decided) -> tuple[S3Object, Outcome]:
        """Run the role, or refuse to. Returns the object with the status that was published meanwhile, if any."""
        s3, started = self._announce(found), time.monotonic()
        outcome = found.decision.refusal or self._run_role(s3)
        duration_s = time.monotonic() - started
        self._check.forget(s3)
        is_drift = is_applied(s3) and not s3.is_deleting and not is_only_rotation(s3, outcome)
        self._metrics.count_run(outcome, duration_s, is_drift=is_drift)
        self._count_rotation(s3, found.comparison, outcome)
        _log_run(found.decision, s3, outcome, duration_s)
        if found.comparison is None or s3.is_deleting:
            return s3, outcome
        return s3, self._after_comparison(s3.key, found.comparison, outcome)

    def _count_rotation(self, s3: S3Object, comparison: Outcome | None, outcome: Outcome) -> None:
        results = [result for _, result in results_of(s3, outcome)]
        is_due = comparison is not None and "access_key" in comparison.drift and has_keys(comparison.status)
        if not results and is_due and not s3.is_deleting and "access_key" not in outcome.changed:
            results = [Result.FAILED]
        for result in results:
            self._metrics.count_rotation(result)

    def _announce(self, found: _Decided) -> S3Object:
        try:
            return self._publisher.announce(found.s3)
        except KubeError:
            if found.decision.step is Step.RUN and not found.s3.is_deleting:
                self._end_claim(found.s3, _NEVER_RAN)
            raise

    def _run_role(self, s3: S3Object) -> Outcome:
        outcome: Outcome | None = None
        try:
            outcome = self._role.run(s3)
            return outcome
        finally:
            self._end_claim(s3, outcome)

    def _end_claim(self, s3: S3Object, outcome: Outcome | None) -> None:
        if not self._work.may_run(s3.uid):
            # Whoever has the object now may be in a run, with the same claim. It expires by itself.
            return
        try:
            self._claims.end_run(s3, outcome)
        except KubeError as error:
            # It expires by itself; what the run has done is published all the same.
            _LOG.warning("claim not ended", extra={"namespace": s3.namespace, "name_": s3.name, "error": str(error)})

    def _after_comparison(self, key: Key, comparison: Outcome, outcome: Outcome) -> Outcome:
        self._schedule.postpone_full_sync(key)
        if not outcome.is_done:
            # A run that failed in one step may have repaired what the others are for.
            return replace(outcome, drift=tuple(aspect for aspect in comparison.drift if aspect not in outcome.changed))
        if not comparison.drift and outcome.changed:
            self._metrics.count_missed(outcome.changed)
            fields = {"namespace": key[0], "name_": key[1], "aspects": list(outcome.changed)}
            _LOG.warning("the drift check did not see what the role changed", extra=fields)
        return outcome

    def _count_check(self, key: Key, comparison: Outcome) -> None:
        self._metrics.count_check(comparison)
        fields = {"reason": comparison.reason.value, "differs": list(comparison.drift)}
        _LOG.debug("checked", extra={"namespace": key[0], "name_": key[1], **fields})

    def _end_deletion(self, s3: S3Object, outcome: Outcome) -> None:
        self._publish(s3, outcome)
        if not self._try_remove_finalizer(s3):
            live = self._objects.find_object(*s3.key)
            if live is not None and live.uid == s3.uid:
                self._objects.remove_finalizer(live)
        self._forget(s3.key)

    def _try_remove_finalizer(self, s3: S3Object) -> bool:
        """Remove the finalizer without another read. False where the finalizers have changed since the first one."""
        try:
            self._objects.remove_finalizer(s3)
        except KubeError as error:
            if error.is_conflict or error.status == HTTPStatus.NOT_FOUND:
                return False
            raise
        return True

    def _forget(self, key: Key) -> None:
        self._metrics.forget(key)
        self._schedule.forget(key)
        if self._verifier is not None:
            self._verifier.forget(key)


def _log_run(decision: Decision, s3: S3Object, outcome: Outcome, duration_s: float) -> None:
    _LOG.log(
        logging.DEBUG if outcome.is_done and not outcome.changed else logging.INFO,
        "reconciled",
        extra={
            "namespace": s3.namespace,
            "name_": s3.name,
            "uid": s3.uid,
            "generation": s3.generation,
            "why": decision.reason,
            "duration_s": round(duration_s, 3),
            "done": outcome.is_done,
            "reason": outcome.reason.value,
            "changed": list(outcome.changed),
            "error": "" if outcome.is_done else outcome.message,
        },
    )
