"""The drift check: the role's own reading and comparing, in this process, with clients that stay.

It only reads. What it answers is what a run of the role that changes nothing would have told; when something
differs it answers nothing, and the role runs. The only file that knows the role's module_utils. Threads: any.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config

from runner.conditions import Outcome, Reason

_CONFIG = Config(connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4})
_MAX_MESSAGE = 600


@dataclass(frozen=True)
class RoleSettings:
    """What the role is told by variables: as :class:`runner.settings.Settings` has them."""

    cluster_name: str
    deletion_policy: str
    iam_settle_s: float
    service_external_name: str
    iam_path: str = ""
    permissions_boundary: str = ""


class _Identity:
    """An STS client that is asked once: whose credentials these are does not change."""

    def __init__(self, sts: Any) -> None:
        self._sts = sts
        self._answer: Any = None

    def get_caller_identity(self) -> Any:
        if self._answer is None:
            self._answer = self._sts.get_caller_identity()
        return self._answer


class DriftCheck:
    """Looks at objects.

    :param project_dir: holds ``roles/``
    :param cluster: where Secrets and Services are read (``observe.Cluster``); None: the API server
    :raises ImportError: when the role is not there
    """

    def __init__(self, project_dir: Path, settings: RoleSettings, cluster: Any = None) -> None:
        role = project_dir / "roles" / "s3bucket"
        if str(role / "module_utils") not in sys.path:
            sys.path.append(str(role / "module_utils"))
        self._observe = importlib.import_module("s3bucket.observe")
        self._spec = importlib.import_module("s3bucket.spec")
        self._refused = importlib.import_module("s3bucket.errors").Refused
        self._cluster = cluster or importlib.import_module("s3bucket.cluster").connect()
        defaults = yaml.safe_load((role / "defaults" / "main.yml").read_text())
        self._defaults = dict(defaults["s3bucket_defaults"])
        if settings.deletion_policy:
            self._defaults["deletionPolicy"] = settings.deletion_policy
        self._external_name = settings.service_external_name or defaults["s3bucket_service_external_name"]
        self._rules = importlib.import_module("s3bucket.users").rules_of(vars(settings))
        self._settings = settings
        self._lock = threading.Lock()
        self._clients: dict[str, tuple[Any, ...]] = {}
        self._credentials: object = None

    def look(self, item: dict[str, Any]) -> Outcome | None:
        """What is so of an object that should be there; None when something differs, and the role must run."""
        try:
            wanted = self._spec.wanted_of(item, self._settings.cluster_name, self._defaults)
            seen = self._observe.observe(wanted, self._sources(wanted.region))
        except self._refused as refusal:
            if refusal.reason == Reason.CREDENTIALS_INVALID:
                self._forget_clients()
            return Outcome(False, Reason(refusal.reason), refusal.message[:_MAX_MESSAGE], refusal.retry)
        if seen.differs:
            return None
        return Outcome(True, Reason.READY, "; ".join(seen.notes), status=self._observe.outcome_status(wanted, seen))

    def _sources(self, region: str) -> Any:
        s3, iam, sts = self._get_clients(region)

        def clients_of(key_id: str, secret: str) -> tuple[Any, Any]:
            session = boto3.session.Session(aws_access_key_id=key_id, aws_secret_access_key=secret)
            return tuple(session.client(service, region_name=region, config=_CONFIG) for service in ("sts", "s3"))

        return self._observe.Sources(
            s3=s3,
            iam=iam,
            sts=sts,
            cluster=self._cluster,
            clients_of=clients_of,
            now=datetime.now(UTC),
            settle_s=self._settings.iam_settle_s,
            external_name=self._external_name,
            rules=self._rules,
        )

    def _get_clients(self, region: str) -> tuple[Any, ...]:
        with self._lock:
            # A mounted Secret that was changed is a changed file.
            credentials = _credentials_file()
            if credentials != self._credentials:
                self._clients.clear()
                self._credentials = credentials
            if region not in self._clients:
                session = boto3.session.Session()
                s3, iam, sts = (
                    session.client(service, region_name=region, config=_CONFIG) for service in ("s3", "iam", "sts")
                )
                self._clients[region] = (s3, iam, _Identity(sts))
            return self._clients[region]

    def _forget_clients(self) -> None:
        with self._lock:
            self._clients.clear()


def _credentials_file() -> object:
    path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    try:
        return path, os.stat(path).st_mtime_ns
    except OSError:
        return path
