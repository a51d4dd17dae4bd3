"""The drift check: the role's own reading and comparing, in this process, with clients that stay.

It only reads. What it answers is what a run of the role that changes nothing would have told, and what differs.
Threads: any.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, InvalidRegionError

import s3bucket
from runner.drift.sandbox import GivenUpError, Sandbox
from runner.kube.projection import oversized_message
from runner.objects import Owned, ReadError
from s3bucket import children, errors, observe, owner, prediction, read, regions, spec
from s3bucket import users as user_rules
from s3bucket.change import Change
from s3bucket.cluster import connect
from s3bucket.errors import Refused
from s3bucket.outcome import Outcome, Reason, Retry
from s3bucket.role_settings import RoleSettings

_LOG = logging.getLogger(__name__)
_CONFIG = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4}, max_pool_connections=32
)
# IAM throttles per account: botocore's token bucket slows all of our calls down once it does.
_IAM_CONFIG = _CONFIG.merge(Config(retries={"mode": "adaptive", "max_attempts": 4}))
# So many calls a user costs that is not read with all others.
_CALLS_A_USER = 4
_USERS_A_PAGE = 1000
_MAX_MESSAGE = 600
# A bucket's name has at most 63 characters; a file may say anything.
_MAX_ARN = 100
# Buckets whose tags are read at a time.
_AT_ONCE = 16
# Clients are kept for so many regions. A tenant may write any name of a region into any number of objects.
_MAX_REGIONS = 64


@dataclass(frozen=True)
class Plan:
    """What a run of the role would do about an object; ``refusal`` tells why it would do no more, or nothing.

    ``lines`` are the changes for a person's terminal.
    """

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: Outcome | None = None
    lines: tuple[str, ...] = ()


class _CheckTimeoutError(Exception):
    """The check has used up its time."""


class _TimeLimit(threading.local):
    """How long the check in this thread may still take. It is given up where it would send its next request."""

    def __init__(self, limit_s: float, clock: Callable[[], float]) -> None:
        self.limit_s = limit_s
        self._clock = clock
        self._end = math.inf

    @contextmanager
    def running(self) -> Iterator[None]:
        """The check is what is done in the block."""
        self._end = self._clock() + self.limit_s
        try:
            yield
        finally:
            self._end = math.inf

    def get_left_s(self) -> float:
        """How many seconds are left.

        :raises _CheckTimeoutError: when there are none
        """
        left_s = self._end - self._clock()
        if left_s <= 0:
            raise _CheckTimeoutError
        return left_s

    @contextmanager
    def holding(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock that another thread may keep for as long as AWS takes to answer it."""
        if not lock.acquire(timeout=min(self.get_left_s(), threading.TIMEOUT_MAX)):
            raise _CheckTimeoutError
        try:
            yield
        finally:
            lock.release()


class _Identity:
    """An STS client that is asked once: whose credentials these are does not change."""

    def __init__(self, sts: Any) -> None:
        self.sts = sts
        self._answer: Any = None

    def get_caller_identity(self) -> Any:
        if self._answer is None:
            self._answer = self.sts.get_caller_identity()
        return self._answer


class _Users:
    """The account's IAM users, read all at once, once a period.

    What we changed since is asked for live, as is everything where we may not read all users, or where an account
    has so many others that its pages would cost more calls than our users.
    """

    def __init__(self, period_s: float, clock: Callable[[], float], time_limit: _TimeLimit) -> None:
        self._time_limit = time_limit
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._users: dict[str, Any] = {}
        self._read_at = -math.inf
        self._changed_at: dict[str, float] = {}
        self._looks = 0
        self._refusal: Any = None

    def read_all(self, iam: Any) -> tuple[float, dict[str, Any]] | None:
        """All users by name, and when they were read; None when they are read one by one in this period.

        :raises Refused: when AWS does not say which users there are, or does not allow the question
        """
        with self._lock:
            self._looks += 1
            if self._clock() >= self._read_at + self._period_s:
                self._renew(iam)
            if self._refusal:
                raise self._refusal
            return (self._read_at, self._users) if self._users else None

    def source_for(self, iam: Any, username: str) -> Any:
        """Where to read this user. Blocks while another thread reads all users.

        :raises Refused: when AWS does not say which users there are
        """
        with self._time_limit.holding(self._lock):
            if self._clock() >= self._read_at + self._period_s:
                self._renew(iam)
            self._looks += 1
            if not self._users or self._changed_at.get(username, -math.inf) >= self._read_at:
                return read.LiveUsers(iam)
            return read.ReadUsers(iam, self._users)

    def forget(self, username: str) -> None:
        """What was read of this user no longer holds."""
        with self._lock:
            self._changed_at[username] = self._clock()

    def _renew(self, iam: Any) -> None:
        now = self._clock()
        pages = 1 + len(self._users) // _USERS_A_PAGE
        is_worth_it = not self._users or pages <= self._looks * _CALLS_A_USER
        self._looks = 0
        self._refusal = None
        try:
            # An account that was too large is asked again only when there are looks enough to be worth it.
            self._users = read.read_all_users(iam) if is_worth_it else {}
        except Refused as refusal:
            if refusal.reason != Reason.ACCESS_DENIED:
                raise
            self._users, self._refusal = {}, refusal
            _LOG.warning("IAM users are read one by one", extra={"error": refusal.message[:_MAX_MESSAGE]})
        self._read_at = now
        self._changed_at = {name: at for name, at in self._changed_at.items() if at >= now}


class Cached(Protocol):
    """Secrets and Services as the watches saw them last, with digests in place of values; None for what they lack."""

    def __call__(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None: ...


class _Cluster:
    """The watch caches, as the role's code reads them (``observe.Cluster``).

    They are filtered by label: what they lack and should be there is asked for by name before it counts as absent.
    """

    def __init__(self, cached: Cached, live: Any) -> None:
        self._cached = cached
        self._live = live
        self.is_terminating = live.is_terminating

    def find_secret(self, namespace: str, name: str, *, is_wanted: bool = True) -> dict[str, Any] | None:
        found = self._cached("Secret", namespace, name)
        return self._live.find_secret(namespace, name) if found is None and is_wanted else found

    def find_service(self, namespace: str, name: str, *, is_wanted: bool = True) -> dict[str, Any] | None:
        found = self._cached("Service", namespace, name)
        return self._live.find_service(namespace, name) if found is None and is_wanted else found

    def dry_run(self, manifest: dict[str, Any]) -> None:
        self._live.dry_run(manifest)


class DriftCheck:
    """Looks at objects.

    :param project_dir: holds ``roles/``
    :param period_s: how often all IAM users are read
    :param count_call: told of each request to AWS, by its operation
    :param cached: where Secrets and Services are read first; None: all are read from the API server
    :param limit_s: how long one check may take
    :param has_cluster: False asks Kubernetes nothing: Secrets and Services are taken to be in order
    """

    def __init__(
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
        self._time_limit = _TimeLimit(limit_s, clock)
        self._users = _Users(period_s, clock, self._time_limit)
        self._live: Any = connect() if has_cluster else None
        self._cluster = _Cluster(cached, self._live) if cached else self._live
        role = project_dir / "roles" / "s3bucket"
        defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
        self._defaults = dict(defaults["s3bucket_defaults"])
        if settings.deletion_policy:
            self._defaults["deletionPolicy"] = settings.deletion_policy
        self._defaults[spec.OPERATOR_TAGS] = spec.operator_tags_of(dict(settings.tags))
        self._external_name = settings.service_external_name
        self._rules = settings.rules
        self._settings = settings
        self._sandbox = Sandbox(Path(s3bucket.__file__).parents[1])
        self._lock = threading.Lock()
        # S3 and STS by region, the one that was used last at the end; IAM by partition.
        self._clients: OrderedDict[str, tuple[Any, Any]] = OrderedDict()
        self._iam: dict[str, Any] = {}
        # All clients are of one session: each session parses AWS's service descriptions by itself, 20 MB and a second
        # of CPU for a region. A session is not thread-safe: only under the lock.
        self._session: Any = None
        self._credentials: object = None

    def look(self, item: dict[str, Any]) -> Outcome:
        """What is so of an object that should be there.

        ``drift`` names the aspects that differ and that a run can repair. Done, all the same, if what is there can be
        used as it is. A problem that keeps some steps from being done (``Observation.deferred``) is the reason.
        """
        try:
            with self._time_limit.running():
                wanted = self._wanted_of(item)
                seen = observe.observe(wanted, self._sources(wanted))
        except Refused as refusal:
            if refusal.reason == Reason.CREDENTIALS_INVALID:
                self._forget_clients()
            return _told(refusal)
        except GivenUpError as error:
            return _given_up(error)
        except _CheckTimeoutError:
            message = f"the drift check was given up after {self._time_limit.limit_s:g} s"
            return Outcome(False, Reason.RUN_TIMEOUT, message, Retry.SLOW)
        status, drift = observe.outcome_status(wanted, seen), tuple(seen.differs)
        if seen.deferred:
            return replace(_told(seen.deferred[0]), status=status, drift=drift)
        if seen.lacks:
            message = f"cannot be used, and is left as it is (driftPolicy: Report): {', '.join(seen.lacks)}"
            return Outcome(False, Reason.DRIFTED, message, Retry.SLOW, status=status, drift=drift)
        return Outcome(True, Reason.READY, "; ".join(seen.notes), status=status, drift=drift)

    def look_for_nothing(self, item: dict[str, Any]) -> Outcome | None:
        """The outcome of the deletion of an object that owns nothing.

        None when it owns something, or when that is unknown: then the role must run. Everything is read now, nothing
        from a cache.
        """
        try:
            with self._time_limit.running():
                wanted = self._wanted_of(item)
                sources = self._sources(wanted, reads_all_users=False, cluster=self._live)
                seen = observe.observe_deletion(wanted, sources)
        except (Refused, GivenUpError, _CheckTimeoutError):
            return None
        return None if seen.differs or seen.deferred else Outcome(True, Reason.READY, "; ".join(seen.notes))

    def plan(self, item: dict[str, Any]) -> Plan:
        """What a run of the role would do about an object, or about the end of one that is being deleted.

        Its user is read by itself: for a few objects that is less than all of the account's.
        """
        too_large = oversized_message(item)
        if too_large and not item["metadata"].get("deletionTimestamp"):
            return Plan(refusal=Outcome.failure(Reason.INVALID_SPEC, too_large))
        try:
            wanted = self._wanted_of(item)
            sources = self._sources(wanted, reads_all_users=False)
            if wanted.is_deleting:
                gone = observe.observe_deletion(wanted, sources)
                found = prediction.predict_deletion(wanted, gone, sources)
            else:
                seen = observe.observe(wanted, sources)
                found = prediction.predict(wanted, seen, sources)
        except Refused as refusal:
            return Plan(refusal=_told(refusal))
        except GivenUpError as error:
            return Plan(refusal=_given_up(error))
        return Plan(
            tuple(found.changes),
            tuple(found.notes),
            _told(found.problem) if found.problem else None,
            tuple(found.lines),
        )

    def try_policy(self, item: dict[str, Any]) -> Outcome | None:
        """Why the role should not run on an object: its bucketPolicy cannot be evaluated. None for most objects."""
        try:
            self._try_policy(item)
        except GivenUpError as error:
            return _given_up(error)
        return None

    def close(self) -> None:
        """End the processes that this check has started."""
        self._sandbox.close()

    def forget(self, item: dict[str, Any]) -> None:
        """The role was run on an object: what was read of its user no longer holds."""
        self._users.forget(str(((item.get("spec") or {}).get("iamUser") or {}).get("username", "")))

    def _wanted_of(self, item: dict[str, Any]) -> Any:
        self._try_policy(item)
        return spec.wanted_of(item, self._settings.cluster_name, self._defaults)

    def _try_policy(self, item: dict[str, Any]) -> None:
        # The item may be a file, with anything in it. A deletion does not need the policy.
        metadata, asked = item.get("metadata"), item.get("spec")
        if isinstance(metadata, dict) and metadata.get("deletionTimestamp"):
            return
        text = asked.get("bucketPolicy") if isinstance(asked, dict) else None
        if isinstance(asked, dict) and isinstance(text, str):
            # Which partition the ARN has makes no difference to the time.
            self._sandbox.try_text(text, f"arn:aws:s3:::{asked.get('bucketName', '')}"[:_MAX_ARN])

    def find_owned_users(self) -> tuple[float, list[Owned]] | None:
        """The IAM users with this cluster's owner tags, and when they were read; None when they are not read now.

        A user of an object that was only a file, which has no uid, is not among them.

        :raises ReadError: when AWS does not say
        """
        try:
            region, iam = self._get_iam()
            found = self._users.read_all(iam)
        except Refused as refusal:
            raise ReadError(refusal.message) from refusal
        if found is None:
            return None
        users = [
            self._owned("user", name, user.tags, region, user_rules.claim_of(name, user))
            for name, user in found[1].items()
        ]
        return found[0], [user for user in users if user is not None]

    def has_active_key(self, user: Owned) -> bool:
        """Whether an IAM user has an active access key. A user that is gone has none.

        :raises ReadError: when AWS does not say
        """
        try:
            return bool(read.find_active_keys(self._get_iam()[1], user.name))
        except Refused as refusal:
            raise ReadError(refusal.message) from refusal

    def find_owned_buckets(self) -> tuple[list[Owned], list[str]]:
        """The buckets with this cluster's owner tags, and the names of those whose tags AWS does not show.

        :raises ReadError: when AWS does not list the buckets
        """
        region = _home_region()
        try:
            s3, _, sts = self._get_clients(region)
            account = read.get_account(sts)
            pages = s3.get_paginator("list_buckets").paginate()
            names = [bucket["Name"] for page in pages for bucket in page.get("Buckets", [])]
        except Refused as refusal:
            raise ReadError(refusal.message) from refusal
        except errors.AWS_ERRORS as error:
            raise ReadError(f"failed to list the buckets (s3:ListAllMyBuckets): {error}") from error

        def find_tags(name: str) -> Any:
            try:
                return read.get_bucket_tags(s3, name, account) or {}
            except Refused:
                return None

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            tags = dict(zip(names, pool.map(find_tags, names), strict=True))
        found = [self._owned("bucket", name, of_it, region, name) for name, of_it in tags.items() if of_it]
        return [bucket for bucket in found if bucket], [name for name, of_it in tags.items() if of_it is None]

    def _owned(self, kind: str, name: str, tags: dict[str, str], region: str, bucket: str) -> Owned | None:
        if tags.get(owner.CLUSTER) != self._settings.cluster_name or not owner.Identity.owner_of(tags):
            return None
        uid = tags.get(owner.UID, "")
        return Owned(kind, name, tags[owner.NAMESPACE], tags[owner.NAME], uid, bucket, region) if uid else None

    def _get_iam(self) -> tuple[str, Any]:
        """An IAM client, and the region that it asks."""
        region = _home_region()
        return regions.partition_of(region).home, self._get_clients(region)[1]

    def _sources(self, wanted: Any, *, reads_all_users: bool = True, cluster: Any = None) -> Any:
        region = wanted.region
        s3, iam, sts = self._get_clients(region)

        def sts_of(elsewhere: str) -> Any:
            # Asked anew: whether the keys are valid now is the question.
            return self._get_clients(elsewhere)[2].sts

        users = read.LiveUsers(iam)
        if reads_all_users and wanted.username:
            # First as in a run: credentials that AWS does not know are told in the same words.
            observe.ask_account(wanted, sts, sts_of)
            users = self._users.source_for(iam, wanted.username)

        def clients_of(secret: dict[str, Any]) -> tuple[Any, Any]:
            names = secret["metadata"]["namespace"], secret["metadata"]["name"]
            # The caches have digests only.
            key_id, value = children.values_in(self._live.find_secret(*names) or {})
            session = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=value)
            return tuple(session.client(service, region_name=region, config=_CONFIG) for service in ("sts", "s3"))

        return observe.Sources(
            s3=s3,
            users=users,
            sts=sts,
            cluster=cluster or self._cluster,
            clients_of=clients_of,
            now=datetime.now(UTC),
            settle_s=self._settings.iam_settle_s,
            external_name=self._external_name,
            rules=self._rules,
            sts_of=sts_of,
            try_policy=lambda text: self._sandbox.try_text(text, wanted.bucket_arn),
            # A check changes nothing: the run that follows asks who claims the name. A plan must say what a run would.
            read_users=None if reads_all_users else lambda: self._read_everyone(iam),
        )

    def _read_everyone(self, iam: Any) -> Any:
        found = self._users.read_all(iam)
        return found[1] if found else read.read_all_users(iam)

    def _get_clients(self, region: str) -> tuple[Any, ...]:
        partition = regions.partition_of(region)
        with self._lock:
            # A mounted Secret that was changed is a changed file.
            credentials = _credentials_file()
            if credentials != self._credentials:
                self._clear_clients()
                self._credentials = credentials
            if region not in self._clients:
                s3, sts = (self._make_client(service, region, _CONFIG) for service in ("s3", "sts"))
                self._clients[region] = s3, _Identity(sts)
                if len(self._clients) > _MAX_REGIONS:
                    self._clients.popitem(last=False)
            self._clients.move_to_end(region)
            # One for all regions of a partition: its token bucket is for all of the account's calls.
            if partition.name not in self._iam:
                self._iam[partition.name] = self._make_client("iam", partition.home, _IAM_CONFIG)
            s3, identity = self._clients[region]
            return s3, self._iam[partition.name], identity

    def _make_client(self, service: str, region: str, config: Config) -> Any:
        try:
            self._session = self._session or boto3.session.Session()
            client = self._session.client(service, region_name=region, config=config)
        except InvalidRegionError as error:
            raise spec.invalid("spec.region", str(error)) from error
        except BotoCoreError as error:
            raise errors.unknown("make a client of AWS", error) from error
        except ValueError as error:
            # Of an endpoint that is no URL. botocore has no error of its own for it.
            message = f"failed to make a client of AWS: {error}: AWS_ENDPOINT_URL must be a URL, as https://minio:9000"
            raise errors.Unknown(Reason.AWS_UNREACHABLE, message) from error
        client.meta.events.register("before-send", self._count)
        return client

    def _count(self, event_name: str, **_: Any) -> None:
        # before-send.s3.HeadBucket
        self._time_limit.get_left_s()
        if self._count_call:
            self._count_call(event_name.rpartition(".")[2])

    def _forget_clients(self) -> None:
        with self._lock:
            self._clear_clients()

    def _clear_clients(self) -> None:
        self._clients.clear()
        self._iam.clear()
        self._session = None


def _told(refusal: Any) -> Outcome:
    return Outcome.failure(refusal.reason, refusal.message[:_MAX_MESSAGE])


def _given_up(error: GivenUpError) -> Outcome:
    return Outcome(False, Reason.RUN_TIMEOUT, f"spec.bucketPolicy: {error}", Retry.SLOW)


def _home_region() -> str:
    return boto3.session.Session().region_name or "us-east-1"


def _credentials_file() -> object:
    path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    try:
        return path, os.stat(path).st_mtime_ns
    except OSError:
        return path
