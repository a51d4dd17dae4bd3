"""AWS clients of the drift check: one of S3 and STS a region, one of IAM a partition, made once and kept.

They are made anew when the credentials file changes (a mounted Secret that was changed), or when AWS rejects the
credentials. Threads: any.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, InvalidRegionError

from runner.aws_data import make_session
from runner.drift.account_rate import AccountRate
from s3bucket import errors, regions, spec
from s3bucket.answers import check_answers
from s3bucket.outcome import Reason
from s3bucket.regions import Partition

_CONFIG = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "max_attempts": 4}, max_pool_connections=32
)
# What it returns saves requests, and nothing depends on it: an endpoint that cannot be reached must not take long.
_TAGGING_CONFIG = _CONFIG.merge(
    Config(connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 2})
)
# Clients are kept for this number of regions. A tenant may write any name of a region into any number of objects.
MAX_REGIONS = 64

# Not valid, and never sent. Without a key, botocore would read one from the environment.
_NO_KEY = "none"

Client = Any
"""A client of botocore, which makes its classes at run time."""


class Identity:
    """An STS client that calls GetCallerIdentity once: the owner of the credentials does not change.

    :ivar sts: the client itself, which calls it each time
    """

    def __init__(self, sts: Client) -> None:
        self.sts = sts
        self._answer: dict[str, str] | None = None

    def get_caller_identity(self) -> dict[str, str]:
        """The answer of GetCallerIdentity."""
        if self._answer is None:
            self._answer = self.sts.get_caller_identity()
        return self._answer


class Clients(NamedTuple):
    """The clients for one region."""

    s3: Client
    iam: Client
    sts: Identity


class AWSClients:
    """Makes and keeps clients.

    :param before_request: called before each request, with its operation; may raise, and the request is not sent
    :param is_aws: False for a store, which has its IAM and STS in one region: that of the operator's settings
    """

    def __init__(self, before_request: Callable[[str], None], *, is_aws: bool = True) -> None:
        self._before_request = before_request
        self._is_aws = is_aws
        self._lock = threading.Lock()
        # S3 and STS by region, the one that was used last at the end; IAM by partition.
        self._regional: OrderedDict[str, tuple[Client, Identity]] = OrderedDict()
        self._iam: dict[str, Client] = {}
        self._eks: dict[str, Client] = {}
        self._sqs: dict[str, Client] = {}
        self._tagging: OrderedDict[str, Client] = OrderedDict()
        # All clients are of one session: each session parses AWS's service descriptions by itself, 20 MB and a second
        # of CPU for a region. A session is not thread-safe: only under the lock.
        self._session: botocore.session.Session | None = None
        self._credentials: object = None
        # By partition, as the clients of IAM: IAM throttles per account.
        self._rates: dict[str, AccountRate] = {}
        self._replicas = 1

    @property
    def regions(self) -> list[str]:
        """The regions with kept clients, the one that was used last at the end."""
        return list(self._regional)

    def get(self, region: str) -> Clients:
        """The clients for a region.

        :raises ReconcileError: when there can be none, for the region's name or the operator's AWS settings
        """
        partition = regions.partition_of(region)
        with self._lock:
            self._renew()
            if region not in self._regional:
                s3 = self._make("s3", region, _CONFIG)
                sts = self._make("sts", regions.region_of_iam(region, is_aws=self._is_aws), _CONFIG)
                self._regional[region] = s3, Identity(sts)
                if len(self._regional) > MAX_REGIONS:
                    self._regional.popitem(last=False)
            self._regional.move_to_end(region)
            # One for all regions of a partition: its token bucket is for all of the account's calls.
            if partition.name not in self._iam:
                iam = self._iam[partition.name] = self._make("iam", self._region_of_iam(partition), _CONFIG)
                self._rates[partition.name] = AccountRate(iam)
            s3, identity = self._regional[region]
            return Clients(s3, self._iam[partition.name], identity)

    def get_iam(self) -> tuple[str, Client]:
        """An IAM client, and the region that it sends its requests to."""
        region = home_region()
        return self._region_of_iam(regions.partition_of(region)), self.get(region).iam

    def get_eks(self, region: str) -> Client:
        """An EKS client of the region of the cluster.

        :raises ReconcileError: as :meth:`get`
        """
        with self._lock:
            if region not in self._eks:
                self._eks[region] = self._make("eks", region, _CONFIG)
            return self._eks[region]

    def get_sqs(self, region: str) -> Client:
        """An SQS client of the region of the queue of events.

        :raises ReconcileError: as :meth:`get`
        """
        with self._lock:
            self._renew()
            if region not in self._sqs:
                self._sqs[region] = self._make("sqs", region, _CONFIG)
            return self._sqs[region]

    def get_tagging(self, region: str) -> Client:
        """A client of the Resource Groups Tagging API.

        :raises ReconcileError: as :meth:`get`
        """
        with self._lock:
            if region not in self._tagging:
                self._tagging[region] = self._make("resourcegroupstaggingapi", region, _TAGGING_CONFIG)
                if len(self._tagging) > MAX_REGIONS:
                    self._tagging.popitem(last=False)
            self._tagging.move_to_end(region)
            return self._tagging[region]

    def make_keyless(self, region: str, config: Config) -> Client:
        """An S3 client of a region without the operator's key. It is not kept, and its requests are not noticed.

        :raises ReconcileError: as :meth:`get`
        """
        with self._lock:
            return self._make("s3", region, config, aws_access_key_id=_NO_KEY, aws_secret_access_key=_NO_KEY)

    def share(self, replicas: int) -> None:
        """Share the rate that the account allows with other replicas.

        :param replicas: how many use it from now on, this one included
        """
        with self._lock:
            for rate in self._rates.values():
                rate.share(self._replicas / replicas)
            self._replicas = replicas

    def forget(self) -> None:
        """Make all clients anew."""
        with self._lock:
            self._clear()

    def _renew(self) -> None:
        credentials = _credentials_file()
        if credentials != self._credentials:
            self._clear()
            self._credentials = credentials

    def _make(self, service: str, region: str, config: Config, **keys: str) -> Client:
        try:
            self._session = self._session or make_session()
            client = self._session.create_client(service, region_name=region, config=config, **keys)
        except InvalidRegionError as error:
            raise spec.invalid("spec.region", str(error)) from error
        except BotoCoreError as error:
            raise errors.unknown("make a client of AWS", error) from error
        except ValueError as error:
            # Of an endpoint that is no URL. botocore has no error of its own for it.
            message = f"failed to make a client of AWS: {error}: AWS_ENDPOINT_URL must be a URL, as https://minio:9000"
            raise errors.UnknownStateError(Reason.AWS_UNREACHABLE, message) from error
        if not keys:
            client.meta.events.register("before-send", self._notice)
        return check_answers(client)

    def _region_of_iam(self, partition: Partition) -> str:
        return regions.region_of_iam(partition.home, is_aws=self._is_aws)

    def _notice(self, event_name: str, **_: object) -> None:
        # before-send.s3.HeadBucket
        self._before_request(event_name.rpartition(".")[2])

    def _clear(self) -> None:
        self._regional.clear()
        self._iam.clear()
        self._rates.clear()
        self._eks.clear()
        self._sqs.clear()
        self._tagging.clear()
        self._session = None


def make_tenant_clients(key_id: str, secret_key: str, region: str, *, is_aws: bool = True) -> tuple[Client, Client]:
    """STS and S3 clients with an access key of a tenant's Secret. They are not kept."""
    session = make_session()
    session.set_credentials(key_id, secret_key)
    sts = session.create_client("sts", region_name=regions.region_of_iam(region, is_aws=is_aws), config=_CONFIG)
    return check_answers(sts), check_answers(session.create_client("s3", region_name=region, config=_CONFIG))


def home_region() -> str:
    """The region of the operator's own AWS settings."""
    return botocore.session.get_session().get_config_variable("region") or "us-east-1"


def _credentials_file() -> object:
    path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE", "")
    try:
        return path, os.stat(path).st_mtime_ns
    except OSError:
        return path
