"""The drift check: the role's own reading and comparing, in this process, with clients that are kept.

It only reads. Its outcome is that of a run of the role that changes nothing, together with what differs.
Threads: any.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import s3bucket
from runner.drift.aws_clients import AWSClients, Client, make_tenant_clients
from runner.drift.bucket_cache import BucketCache
from runner.drift.cached_children import Cached, CachedCluster
from runner.drift.capabilities import EndpointCapabilities
from runner.drift.cloudtrail import Kind, Name
from runner.drift.event_queue import EventQueue
from runner.drift.owned import OwnedReader
from runner.drift.sandbox import GivenUpError, Sandbox
from runner.drift.time_limit import CheckTimeoutError, TimeLimit
from runner.drift.user_cache import UserCache, UserReader
from runner.drift.verification import KeyVerification
from runner.kube.projection import oversized_message
from runner.kube.shard_leases import shard_of
from runner.objects import JsonObject, S3Object
from runner.queue_url import QueueURL
from runner.yaml_file import read_yaml
from s3bucket import allowed, children, observe, prediction, read, recent, spec
from s3bucket.change import Change
from s3bucket.cluster import ApiServer, connect
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Outcome, Reason, Retry
from s3bucket.role_settings import RoleSettings
from s3bucket.secrets import endpoint_of
from s3bucket.spec import Wanted
from s3bucket.state import UserState

_MAX_MESSAGE = 600
# A bucket's name has at most 63 characters; a file may have anything in its place.
_MAX_ARN = 100


@dataclass(frozen=True)
class Plan:
    """What a run of the role would do about an object; ``refusal``: why it would do no more, or nothing.

    ``lines`` are the changes for a person's terminal.
    """

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: Outcome | None = None
    lines: tuple[str, ...] = ()


class DriftCheck:
    """Compares objects with what is in AWS and Kubernetes.

    :param project_dir: holds ``roles/``
    :param period_s: the sync period: how often all IAM users are read, and buckets more often
    :param count_call: called for each request to AWS, with its operation
    :param cached: where Secrets and Services are read first; None: all are read from the API server
    :param limit_s: how long one check may take
    :param has_cluster: False reads nothing from Kubernetes: Secrets and Services count as in sync
    :ivar capabilities: what the endpoint has
    :ivar owned: reads what carries owner tags
    :ivar keys: verifies access keys; None without a cluster
    """

    def __init__(  # noqa: PLR0913 - options, each with a default
        self,
        project_dir: Path,
        settings: RoleSettings,
        cached: Cached | None = None,
        *,
        has_cluster: bool = True,
        period_s: float = 300,
        count_call: Callable[[str], None] | None = None,
        limit_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count_call = count_call
        self._clock = clock
        self._time_limit = TimeLimit(limit_s, clock)
        # By shard: since when this replica has it. No object is judged by what was read before: the replica that had
        # the shard until then may have changed what is in AWS. A reading counts from its beginning.
        self._had_since: dict[int, float] = {}
        self._clients = AWSClients(self._before_request, is_aws=settings.is_aws)
        self.capabilities = EndpointCapabilities(self._clients, settings)
        self._users = UserCache(period_s, clock, self._time_limit, self.capabilities.get)
        self._buckets = BucketCache(self._clients, period_s, clock, settings.cluster_name, self.capabilities.get)
        self.owned = OwnedReader(self._clients, self._users, settings, self.capabilities.get)
        self._live: ApiServer | None = connect() if has_cluster else None
        self.keys = KeyVerification(self._clients, self._live, self.capabilities.get) if self._live else None
        self._cluster = CachedCluster(cached, self._live) if cached and self._live else self._live
        self._settings = settings
        self._defaults = _defaults_of(project_dir, settings)
        self._rules = settings.rules
        self._sandbox = Sandbox(Path(s3bucket.__file__).parents[1])

    def compare(self, s3: S3Object) -> Outcome:
        """How an object is that should be there.

        ``drift`` names the aspects that differ and that a run can repair. Done, all the same, if what is there can be
        used as it is. A problem that keeps some steps from being done (``Observation.deferred``) is the reason.
        """
        try:
            with self._time_limit.running():
                wanted = self._wanted_of(s3)
                seen = self._observe(wanted)
        except ReconcileError as refusal:
            if refusal.reason == Reason.CREDENTIALS_INVALID:
                self._clients.forget()
            return _outcome_of(refusal)
        except GivenUpError as error:
            return _given_up(error)
        except CheckTimeoutError:
            message = f"the drift check was given up after {self._time_limit.limit_s:g} s"
            return Outcome(False, Reason.RUN_TIMEOUT, message, Retry.SLOW)
        status, drift = observe.outcome_status(wanted, seen), _drift_of(s3, seen)
        has_old_answers = len(drift) < len(seen.differs)
        if seen.deferred:
            return replace(_outcome_of(seen.deferred[0]), status=status, drift=drift)
        if seen.lacks:
            message = f"cannot be used, and is left as it is (driftPolicy: Report): {', '.join(seen.lacks)}"
            return Outcome(False, Reason.DRIFTED, message, Retry.SLOW, status=status, drift=drift)
        notes = [*seen.notes, *seen.due_rotations]
        return Outcome(
            True, Reason.READY, "; ".join(notes), status=status, drift=drift, has_old_answers=has_old_answers
        )

    def compare_deletion(self, s3: S3Object) -> Outcome | None:
        """The outcome of the deletion of an object that owns nothing.

        None when it owns something, or when that is unknown: then the role must run. Everything is read now, nothing
        from a cache.
        """
        try:
            with self._time_limit.running():
                wanted = self._wanted_of(s3)
                sources = self._sources(wanted, reads_all_users=False, is_live=True)
                seen = observe.observe_deletion(wanted, sources)
        except (ReconcileError, GivenUpError, CheckTimeoutError):
            return None
        return None if seen.differs or seen.deferred else Outcome(True, Reason.READY, "; ".join(seen.notes))

    def plan(self, s3: S3Object) -> Plan:
        """What a run of the role would do about an object, or about the end of one that is being deleted.

        Its user is read by itself: for a few objects that is less than all of the account's.
        """
        too_large = oversized_message(s3)
        if too_large and not s3.is_deleting:
            return Plan(refusal=Outcome.failure(Reason.INVALID_SPEC, too_large))
        try:
            found = self._predict(s3)
        except ReconcileError as refusal:
            return Plan(refusal=_outcome_of(refusal))
        except GivenUpError as error:
            return Plan(refusal=_given_up(error))
        problem = _outcome_of(found.problem) if found.problem else None
        return Plan(tuple(found.changes), tuple(found.notes), problem, tuple(found.lines))

    def try_policy(self, s3: S3Object) -> Outcome | None:
        """Why the role should not run on an object: its bucketPolicy cannot be evaluated. None for most objects."""
        try:
            self._try_policy(s3)
        except GivenUpError as error:
            return _given_up(error)
        return None

    def forget(self, s3: S3Object) -> None:
        """An object may have changed in AWS, as after a run of the role: what was read of it no longer holds."""
        self._users.forget(s3.usernames)
        self._buckets.forget([s3.bucket_name])

    def begin_shard(self, shard: int) -> None:
        """Another replica may have worked on a shard's objects until now: what was read before is not used for them.

        Does not wait for AWS, and nothing is read again for other shards.
        """
        self._had_since[shard] = self._clock()

    def share(self, replicas: int) -> None:
        """Share the rate that the account allows with other replicas; their number includes this one."""
        self._clients.share(replicas)

    def forget_names(self, names: Iterable[Name]) -> None:
        """Others have changed these: what was read of them no longer holds."""
        found = list(names)
        self._users.forget(name.name for name in found if name.kind is Kind.USER)
        self._buckets.forget(name.name for name in found if name.kind is Kind.BUCKET)

    def make_event_queue(self, url: QueueURL) -> EventQueue:
        """The queue of events, which is read with the clients of this check."""
        return EventQueue(self._clients, url)

    def close(self) -> None:
        """End the processes that this check has started."""
        self._sandbox.close()

    def _observe(self, wanted: Wanted) -> observe.Observation:
        """Observe a present object; again with S3's own answers if those for many buckets may have been wrong."""
        buckets = self._buckets.get_reader(wanted.region, wanted.bucket, self._not_before(wanted))
        sources = self._sources(wanted)
        try:
            seen = observe.observe(wanted, replace(sources, buckets=buckets))
        except ReconcileError:
            if buckets is None or not buckets.is_used:
                raise
        else:
            if buckets is None or not (buckets.is_used and "tags" in seen.bucket_differs):
                self._buckets.note(wanted.bucket, is_misleading=False)
                return seen
        self._buckets.note(wanted.bucket, is_misleading=True)
        return observe.observe(wanted, sources)

    def _predict(self, s3: S3Object) -> prediction.Prediction:
        wanted = self._wanted_of(s3)
        sources = self._sources(wanted, reads_all_users=False)
        if wanted.is_deleting:
            return prediction.predict_deletion(wanted, observe.observe_deletion(wanted, sources), sources)
        return prediction.predict(wanted, observe.observe(wanted, sources), sources)

    def _wanted_of(self, s3: S3Object) -> Wanted:
        self._try_policy(s3)
        settings = self._settings
        return spec.wanted_of(s3.item, settings.cluster_name, self._defaults, is_aws=settings.is_aws)

    def _try_policy(self, s3: S3Object) -> None:
        # A deletion does not need the policy. A file may have anything in its place.
        text = s3.spec.get("bucketPolicy")
        if isinstance(text, str) and not s3.is_deleting:
            # Which partition the ARN has makes no difference to the time.
            self._sandbox.try_text(text, f"arn:aws:s3:::{s3.bucket_name}"[:_MAX_ARN])

    def _sources(self, wanted: Wanted, *, reads_all_users: bool = True, is_live: bool = False) -> observe.Sources:
        s3, iam, sts = self._clients.get(wanted.region)
        capabilities = self.capabilities.get()

        def sts_of(elsewhere: str) -> Client:
            # A new request: whether the keys are valid now is the question.
            return self._clients.get(elsewhere).sts.sts

        def clients_of(secret: JsonObject) -> tuple[Client, Client]:
            return make_tenant_clients(*self._find_key(secret), wanted.region, is_aws=capabilities.is_aws)

        users: UserReader = read.PerUserReader(iam, capabilities)
        if reads_all_users and wanted.username:
            # First as in a run: credentials that AWS does not know are reported in the same words.
            observe.ask_account(wanted, sts, sts_of, capabilities)
            names = [user.username for user in wanted.users]
            users = self._users.get_reader(iam, names, self._not_before(wanted))
        return observe.Sources(
            s3=s3,
            users=users,
            sts=sts,
            cluster=self._live if is_live else self._cluster,
            clients_of=clients_of,
            now=datetime.now(UTC),
            iam_propagation_s=self._settings.iam_settle_s,
            external_name=self._settings.external_name_at(str(s3.meta.endpoint_url)),
            endpoint=endpoint_of(str(s3.meta.endpoint_url), wanted.region),
            rules=self._rules,
            sts_of=sts_of,
            iam=iam,
            capabilities=capabilities,
            role_rules=self._settings.role_rules,
            eks_of=self._clients.get_eks,
            try_policy=lambda text: self._sandbox.try_text(text, wanted.bucket_arn),
            # A check changes nothing: the run that follows reads who claims the name. A plan shows what a run would do.
            read_users=None if reads_all_users else lambda _: self._read_all_users(iam),
        )

    def _not_before(self, wanted: Wanted) -> float:
        """What was read until this time may be older than what another replica did with the object."""
        return self._had_since.get(shard_of(wanted.identity.uid), -math.inf)

    def _find_key(self, secret: JsonObject) -> tuple[str, str]:
        # The caches have digests only.
        found = self._live and self._live.find_secret(secret["metadata"]["namespace"], secret["metadata"]["name"])
        return children.values_in(found or {})

    def _read_all_users(self, iam: Client) -> dict[str, UserState]:
        found = self._users.read_all(iam)
        return dict(found[1]) if found else read.read_all_users(iam, self.capabilities.get())

    def _before_request(self, operation: str) -> None:
        self._time_limit.get_left_s()
        if self._count_call:
            self._count_call(operation)


def _defaults_of(project_dir: Path, settings: RoleSettings) -> JsonObject:
    """The role's ``s3bucket_defaults``, with those that the operator's settings replace."""
    path = project_dir / "roles" / "s3bucket" / "defaults" / "main.yml"
    defaults = dict(read_yaml(path)["s3bucket_defaults"])
    if settings.deletion_policy:
        defaults["deletionPolicy"] = settings.deletion_policy
    defaults[allowed.KEY] = list(settings.allowed_settings)
    defaults[spec.OPERATOR_TAGS] = spec.operator_tags_of(dict(settings.tags))
    defaults |= spec.metadata_defaults(settings.resource_labels, settings.resource_annotations)
    return defaults


def _drift_of(s3: S3Object, seen: observe.Observation) -> tuple[str, ...]:
    """The aspects that differ, without settings of which AWS still returns the value that a run has just replaced."""
    old = recent.old_answers(seen.differs, seen.digests, s3.status, datetime.now(UTC))
    return tuple(aspect for aspect in seen.differs if aspect not in old)


def _outcome_of(refusal: ReconcileError) -> Outcome:
    return Outcome.failure(refusal.reason, refusal.message[:_MAX_MESSAGE])


def _given_up(error: GivenUpError) -> Outcome:
    return Outcome(False, Reason.RUN_TIMEOUT, f"spec.bucketPolicy: {error}", Retry.SLOW)
