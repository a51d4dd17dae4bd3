"""Existence, region and tags of the account's buckets, read for many at once: two requests fewer for each check.

The Resource Groups Tagging API returns the buckets of this cluster with their tags, region by region. Without the right
(tag:GetResources), ListBuckets returns region and existence. Where neither has an answer, or one that is too old, and
where a bucket is not as it should be, it is read by itself. Both lag behind S3, so they only ever confirm that nothing
has changed: what differs is confirmed by S3 before anything is concluded from it (``read_bucket``).
Threads: any. None waits for another one.
"""

from __future__ import annotations

import json
import math
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from os.path import commonprefix

from runner.drift.aws_clients import MAX_REGIONS, AWSClients, Client
from runner.drift.bulk import BulkReading, Page
from s3bucket import owner, read
from s3bucket.capabilities import AWS, Capabilities
from s3bucket.regions import partition_of
from s3bucket.state import BucketState

# https://aws.amazon.com/s3/pricing/: a LIST request costs as much as 12.5 HEAD requests. Requests of the Tagging API
# cost nothing.
_LIST_PRICE, _TAGS_PRICE = 13, 1
_BUCKETS_A_PAGE, _TAGGED_A_PAGE = 1000, 100
_MAX_NAMES = 10_000
LAG_S = 60.0
"""For this time after a change, an answer may still be the one from before it."""


class BucketCache:
    """Reads buckets.

    :param period_s: the sync period
    :param cluster: the cluster's name in owner tags
    :param get_capabilities: what the endpoint has
    """

    def __init__(
        self,
        clients: AWSClients,
        period_s: float,
        clock: Callable[[], float],
        cluster: str,
        get_capabilities: Callable[[], Capabilities] = lambda: AWS,
    ) -> None:
        self._clients = clients
        self._period_s = period_s
        self._clock = clock
        self._cluster = cluster
        self._get_capabilities = get_capabilities
        self._lock = threading.Lock()
        # By region, the one that was used last at the end; and by partition.
        self._tags: OrderedDict[str, BulkReading] = OrderedDict()
        self._lists: OrderedDict[str, BulkReading] = OrderedDict()
        self._changed_at: dict[str, float] = {}
        # The buckets of which an answer did not lead to a good check.
        self._misleading: set[str] = set()
        # What the names that were needed since the last list have in common.
        self._prefix: str | None = None
        self._listed_prefix = ""

    def get_reader(self, region: str, name: str, not_before: float = -math.inf) -> BucketReader | None:
        """What to read a bucket of an object with; None for a store. It makes no request before it is used.

        :param not_before: what was read until this time does not count
        """
        if not self._get_capabilities().is_aws or name in self._misleading:
            return None
        return BucketReader(self, region, name, not_before)

    def forget(self, names: Iterable[str]) -> None:
        """What was read of these buckets until now no longer holds."""
        now = self._clock()
        with self._lock:
            if len(self._changed_at) > _MAX_NAMES:
                oldest = now - self._period_s - LAG_S
                self._changed_at = {name: at for name, at in self._changed_at.items() if at >= oldest}
            self._changed_at |= dict.fromkeys(names, now)

    def note(self, name: str, *, is_misleading: bool) -> None:
        """Whether to read a bucket by itself from now on."""
        if not is_misleading:
            self._misleading.discard(name)
        elif len(self._misleading) < _MAX_NAMES:
            self._misleading.add(name)

    def find_tags(self, region: str, name: str, not_before: float) -> dict[str, str] | None:
        """The tags of a bucket with this cluster's owner tags in a region; None when they are not known."""
        what = "read the tags of buckets (tag:GetResources)"
        reading = self._reading_of(self._tags, region, what, _TAGS_PRICE)
        client = self._clients.get_tagging(region)
        oldest = self._oldest(name, not_before)
        found = reading.find(name, client, lambda token: self._read_tags(client, token), oldest)
        return None if found is None else dict(json.loads(found))

    def find_region(self, region: str, name: str, not_before: float) -> str:
        """The region of a bucket of the account, as ListBuckets returns it; empty when it is not known.

        :param region: where the bucket should be
        """
        what = "list the buckets (s3:ListAllMyBuckets)"
        reading = self._reading_of(self._lists, partition_of(region).name, what, _LIST_PRICE)
        self._prefix = name if self._prefix is None else commonprefix([self._prefix, name])  # noqa: RUF071 - no path
        s3, iam, _ = self._clients.get(region)
        # All regions of a partition have one client of IAM.
        found = reading.find(name, iam, lambda token: self._list(s3, token), self._oldest(name, not_before))
        return found or ""

    def _reading_of(self, readings: OrderedDict[str, BulkReading], key: str, what: str, price: int) -> BulkReading:
        with self._lock:
            if key not in readings:
                readings[key] = BulkReading(what, self._period_s, self._clock, price)
                if len(readings) > MAX_REGIONS:
                    readings.popitem(last=False)
            readings.move_to_end(key)
            return readings[key]

    def _oldest(self, name: str, not_before: float) -> float:
        return max(self._changed_at.get(name, -math.inf), not_before) + LAG_S

    def _read_tags(self, client: Client, token: str) -> Page:
        answer = client.get_resources(
            TagFilters=[{"Key": owner.CLUSTER, "Values": [self._cluster]}],
            ResourceTypeFilters=["s3"],
            ResourcesPerPage=_TAGGED_A_PAGE,
            **({"PaginationToken": token} if token else {}),
        )
        found = {}
        for item in answer["ResourceTagMappingList"]:
            # arn:aws:s3:::NAME. What else S3 has has a region, or a path.
            kind, _, name = item["ResourceARN"].rpartition(":")
            if kind.endswith(":s3::") and "/" not in name:
                found[name] = json.dumps(read.tags_in(item["Tags"]))
        return Page(found, answer.get("PaginationToken") or "")

    def _list(self, client: Client, token: str) -> Page:
        if not token:
            self._listed_prefix, self._prefix = self._prefix or "", None
        answer = client.list_buckets(
            MaxBuckets=_BUCKETS_A_PAGE,
            **({"Prefix": self._listed_prefix} if self._listed_prefix else {}),
            **({"ContinuationToken": token} if token else {}),
        )
        found = {item["Name"]: sys.intern(item["BucketRegion"]) for item in answer.get("Buckets", [])}
        return Page(found, answer.get("ContinuationToken") or "")


class BucketReader:
    """Reads the bucket of one object for one check.

    :ivar is_used: whether the check relies on tags that S3 did not confirm
    """

    def __init__(self, cache: BucketCache, region: str, name: str, not_before: float) -> None:
        self._cache = cache
        self._region = region
        self._name = name
        self._not_before = not_before
        self._is_in_region = False
        self.is_used = False

    def find(self, is_wanted: Callable[[BucketState], bool]) -> BucketState | None:
        """The bucket if it is known and is as it should be."""
        tags = self._cache.find_tags(self._region, self._name, self._not_before)
        if tags is None:
            return None
        self._is_in_region = True
        bucket = BucketState(self._region, tags)
        self.is_used = is_wanted(bucket)
        return bucket if self.is_used else None

    def find_region(self) -> str:
        """The region of the bucket; empty when it is not known."""
        if self._is_in_region:
            return self._region
        return self._cache.find_region(self._region, self._name, self._not_before)
