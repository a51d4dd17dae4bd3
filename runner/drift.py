"""The drift check: the role's own reading and comparing, in this process, with clients that stay.

It only reads. What it answers is what a run of the role that changes nothing would have told, and what differs.
The only file that knows the role's module_utils. Threads: any.
"""

from __future__ import annotations

import importlib
import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import boto3
import yaml
from botocore.config import Config
from botocore.exceptions import BotoCoreError, InvalidRegionError

from runner.conditions import Outcome, Reason

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


@dataclass(frozen=True)
class RoleSettings:
    """What the role is told by variables."""

    cluster_name: str
    deletion_policy: str
    iam_settle_s: float
    service_external_name: str
    iam_path: str = ""
    permissions_boundary: str = ""

    @classmethod
    def of(cls, flags: Mapping[str, Any]) -> RoleSettings:
        """The flags of these names, as :class:`runner.settings.Settings` has them."""
        return cls(**{field.name: flags[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Change:
    """One field of an object that a run of the role would change. No secret's value is ever in it."""

    aspect: str
    field: str
    is_now: Any
    would_be: Any


@dataclass(frozen=True)
class Plan:
    """What a run of the role would do about an object; ``refusal`` tells why it would do no more, or nothing."""

    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: Outcome | None = None


class _Identity:
    """An STS client that is asked once: whose credentials these are does not change."""

    def __init__(self, sts: Any) -> None:
        self._sts = sts
        self._answer: Any = None

    def get_caller_identity(self) -> Any:
        if self._answer is None:
            self._answer = self._sts.get_caller_identity()
        return self._answer


class _Users:
    """The account's IAM users, read all at once, once a period.

    What we changed since is asked for live, as is everything where we may not read all users, or where an account
    has so many others that its pages would cost more calls than our users.
    """

    def __init__(self, read: Any, refused: Any, period_s: float, clock: Callable[[], float]) -> None:
        self._read = read
        self._refused = refused
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._users: dict[str, Any] = {}
        self._read_at = -math.inf
        self._changed_at: dict[str, float] = {}
        self._looks = 0

    def source_for(self, iam: Any, username: str) -> Any:
        """Where to read this user. Blocks while another thread reads all users.

        :raises Refused: when AWS does not say which users there are
        """
        with self._lock:
            if self._clock() >= self._read_at + self._period_s:
                self._renew(iam)
            self._looks += 1
            if not self._users or self._changed_at.get(username, -math.inf) >= self._read_at:
                return self._read.LiveUsers(iam)
            return self._read.ReadUsers(iam, self._users)

    def forget(self, username: str) -> None:
        """What was read of this user no longer holds."""
        with self._lock:
            self._changed_at[username] = self._clock()

    def _renew(self, iam: Any) -> None:
        now = self._clock()
        pages = 1 + len(self._users) // _USERS_A_PAGE
        is_worth_it = not self._users or pages <= self._looks * _CALLS_A_USER
        self._looks = 0
        try:
            # An account that was too large is asked again only when there are looks enough to be worth it.
            self._users = self._read.read_all_users(iam) if is_worth_it else {}
        except self._refused as refusal:
            if refusal.reason != Reason.ACCESS_DENIED:
                raise
            self._users = {}
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
    :param has_cluster: False asks Kubernetes nothing: Secrets and Services are taken to be in order
    :raises ImportError: when the role is not there
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
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        role = project_dir / "roles" / "s3bucket"
        if str(role / "module_utils") not in sys.path:
            sys.path.append(str(role / "module_utils"))
        self._observe = importlib.import_module("s3bucket.observe")
        self._spec = importlib.import_module("s3bucket.spec")
        self._changes = importlib.import_module("s3bucket.changes")
        self._errors = importlib.import_module("s3bucket.errors")
        self._refused = self._errors.Refused
        self._count_call = count_call
        self._read = importlib.import_module("s3bucket.read")
        self._users = _Users(self._read, self._refused, period_s, clock)
        self._children = importlib.import_module("s3bucket.children")
        self._live: Any = importlib.import_module("s3bucket.cluster").connect() if has_cluster else None
        self._cluster = _Cluster(cached, self._live) if cached else self._live
        defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
        self._defaults = dict(defaults["s3bucket_defaults"])
        if settings.deletion_policy:
            self._defaults["deletionPolicy"] = settings.deletion_policy
        self._external_name = settings.service_external_name or defaults["s3bucket_service_external_name"]
        self._rules = importlib.import_module("s3bucket.users").rules_of(vars(settings))
        self._settings = settings
        self._lock = threading.Lock()
        # S3 and STS by region, IAM by partition.
        self._clients: dict[str, tuple[Any, Any]] = {}
        self._iam: dict[str, Any] = {}
        self._credentials: object = None

    def look(self, item: dict[str, Any]) -> Outcome:
        """What is so of an object that should be there.

        ``drift`` names the aspects that differ and that a run can repair. Done, all the same, if what is there can be
        used as it is. A problem that keeps some steps from being done (``Observation.deferred``) is the reason.
        """
        try:
            wanted = self._spec.wanted_of(item, self._settings.cluster_name, self._defaults)
            seen = self._observe.observe(wanted, self._sources(wanted))
        except self._refused as refusal:
            if refusal.reason == Reason.CREDENTIALS_INVALID:
                self._forget_clients()
            return _told(refusal)
        status, drift = self._observe.outcome_status(wanted, seen), tuple(seen.differs)
        if seen.deferred:
            return replace(_told(seen.deferred[0]), status=status, drift=drift)
        if seen.lacks:
            message = f"cannot be used, and is left as it is (driftPolicy: Report): {', '.join(seen.lacks)}"
            return Outcome(False, Reason.DRIFTED, message, "slow", status=status, drift=drift)
        return Outcome(True, Reason.READY, "; ".join(seen.notes), status=status, drift=drift)

    def plan(self, item: dict[str, Any]) -> Plan:
        """What a run of the role would do about an object, or about the end of one that is being deleted.

        Its user is read by itself: for a few objects that is less than all of the account's.
        """
        try:
            wanted = self._spec.wanted_of(item, self._settings.cluster_name, self._defaults)
            sources = self._sources(wanted, reads_all_users=False)
            if wanted.is_deleting:
                seen = self._observe.observe_deletion(wanted, sources)
                found = self._changes.changes_of_deletion(wanted, seen)
                deferred = []
            else:
                seen = self._observe.observe(wanted, sources)
                found = self._changes.changes_of(wanted, seen, sources)
                deferred = seen.deferred
        except self._refused as refusal:
            return Plan(refusal=_told(refusal))
        changes = tuple(Change(*change) for change in found)
        return Plan(changes, tuple(seen.notes), _told(deferred[0]) if deferred else None)

    def forget(self, item: dict[str, Any]) -> None:
        """The role was run on an object: what was read of its user no longer holds."""
        self._users.forget(str(((item.get("spec") or {}).get("iamUser") or {}).get("username", "")))

    def _sources(self, wanted: Any, *, reads_all_users: bool = True) -> Any:
        region = wanted.region
        s3, iam, sts = self._get_clients(region, wanted.partition)
        users = self._read.LiveUsers(iam)
        if reads_all_users and wanted.username:
            # First as in a run: credentials that AWS does not know are told in the same words.
            self._observe.ask_account(wanted, sts)
            users = self._users.source_for(iam, wanted.username)

        def clients_of(secret: dict[str, Any]) -> tuple[Any, Any]:
            names = secret["metadata"]["namespace"], secret["metadata"]["name"]
            # The caches have digests only.
            key_id, value = self._children.values_in(self._live.find_secret(*names) or {})
            session = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=value)
            return tuple(session.client(service, region_name=region, config=_CONFIG) for service in ("sts", "s3"))

        return self._observe.Sources(
            s3=s3,
            users=users,
            sts=sts,
            cluster=self._cluster,
            clients_of=clients_of,
            now=datetime.now(UTC),
            settle_s=self._settings.iam_settle_s,
            external_name=self._external_name,
            rules=self._rules,
        )

    def _get_clients(self, region: str, partition: str) -> tuple[Any, ...]:
        with self._lock:
            # A mounted Secret that was changed is a changed file.
            credentials = _credentials_file()
            if credentials != self._credentials:
                self._clear_clients()
                self._credentials = credentials
            if region not in self._clients:
                s3, sts = (self._make_client(service, region, _CONFIG) for service in ("s3", "sts"))
                self._clients[region] = s3, _Identity(sts)
            # One for all regions of a partition: its token bucket is for all of the account's calls.
            if partition not in self._iam:
                self._iam[partition] = self._make_client("iam", self._spec.HOME_REGIONS[partition], _IAM_CONFIG)
            s3, identity = self._clients[region]
            return s3, self._iam[partition], identity

    def _make_client(self, service: str, region: str, config: Config) -> Any:
        try:
            client = boto3.session.Session().client(service, region_name=region, config=config)
        except InvalidRegionError as error:
            raise self._spec.invalid("spec.region", str(error)) from error
        except BotoCoreError as error:
            raise self._errors.unknown("make a client of AWS", error) from error
        client.meta.events.register("before-send", self._count)
        return client

    def _count(self, event_name: str, **_: Any) -> None:
        # before-send.s3.HeadBucket
        if self._count_call:
            self._count_call(event_name.rpartition(".")[2])

    def _forget_clients(self) -> None:
        with self._lock:
            self._clear_clients()

    def _clear_clients(self) -> None:
        self._clients.clear()
        self._iam.clear()


def _told(refusal: Any) -> Outcome:
    return Outcome(False, Reason(refusal.reason), refusal.message[:_MAX_MESSAGE], refusal.retry)


def _credentials_file() -> object:
    path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    try:
        return path, os.stat(path).st_mtime_ns
    except OSError:
        return path
