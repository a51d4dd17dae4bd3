"""The claims on bucket names that all replicas of a release share: two objects with one name may be in two shards.

They are kept in ConfigMaps in the operator's namespace, by a hash of the bucket's name, so that replicas seldom write
the same one at once. Each is written only as it was read (resourceVersion): of two replicas that claim a name, one
reads the other's claim. The workers of one replica take turns. Expired claims are removed with the next write. The
times are those of UTC, as the clocks of nodes agree to much less than a claim is kept. Threads: any.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import random
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from runner.control.claims import Record
from runner.control.decide import Claim
from runner.kube.client import KubeError

_LOG = logging.getLogger(__name__)
CONFIG_MAPS = 16
_KEY = "claims"
_ATTEMPTS = 8
# Seconds, at most, before the second attempt; twice as many before the third. A write takes less.
_FIRST_WAIT_S = 0.02


class ConfigMaps(Protocol):
    """The API server."""

    def find_config_map(self, namespace: str, name: str) -> tuple[dict[str, str], str] | None:
        """The data of a ConfigMap, and its version; None when there is none."""

    def write_config_map(self, namespace: str, name: str, data: dict[str, str], version: str) -> None:
        """Write a ConfigMap that is still of this version; without a version, create it."""


class SharedRecords:
    """Claims that all replicas read.

    :param release: what the names of the ConfigMaps begin with
    """

    def __init__(self, kube: ConfigMaps, namespace: str, release: str, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self._kube = kube
        self._namespace = namespace
        self._release = release
        self._turns = [threading.Lock() for _ in range(CONFIG_MAPS)]

    def find(self, bucket: str) -> Record | None:
        """The claim on a bucket's name that has not expired.

        :raises KubeError: when the API server does not answer
        """
        return self._read(bucket)[0].get(_key_of(bucket))

    def change(self, bucket: str, change: Callable[[Record | None], Record | None]) -> None:
        """Replace the claim on a bucket's name.

        :raises KubeError: when the API server does not answer, or others were faster again and again
        """
        with self._turns[_number_of(bucket)]:
            for attempt in range(1, _ATTEMPTS + 1):
                try:
                    self._try(bucket, change)
                except KubeError as error:
                    if not error.is_conflict or attempt == _ATTEMPTS:
                        raise
                    # With jitter: replicas that write one ConfigMap again and again do not meet each time.
                    time.sleep(random.random() * attempt * _FIRST_WAIT_S)  # noqa: S311 - jitter
                else:
                    return

    def _try(self, bucket: str, change: Callable[[Record | None], Record | None]) -> None:
        records, version = self._read(bucket)
        before, key = dict(records), _key_of(bucket)
        record = change(records.pop(key, None))
        if record is not None:
            records[key] = record
        if records != before:
            text = json.dumps({name: _item_of(one) for name, one in records.items()}, separators=(",", ":"))
            self._kube.write_config_map(self._namespace, self._name_of(bucket), {_KEY: text}, version)

    def _name_of(self, bucket: str) -> str:
        return f"{self._release}-claims-{_number_of(bucket):02}"

    def _read(self, bucket: str) -> tuple[dict[str, Record], str]:
        found = self._kube.find_config_map(self._namespace, self._name_of(bucket))
        if found is None:
            return {}, ""
        records = _records_of(found[0].get(_KEY, ""))
        return {name: one for name, one in records.items() if one.expires_at > self.now()}, found[1]


def _number_of(bucket: str) -> int:
    return zlib.crc32(bucket.encode(errors="surrogatepass")) % CONFIG_MAPS


def _key_of(bucket: str) -> str:
    # Where an old CRD is installed, a name may have any length.
    return hashlib.sha256(bucket.encode(errors="surrogatepass")).hexdigest()[:32]


def _item_of(record: Record) -> list[Any]:
    claim = record.claim
    before = None if record.before == -math.inf else record.before
    return [claim.uid, claim.namespace, claim.name, claim.is_deleted, record.expires_at, record.is_running, before]


def _records_of(text: str) -> dict[str, Record]:
    """The claims in a ConfigMap. One that a person has edited into something else has none."""
    try:
        items = json.loads(text) if text else {}
        return {name: _record_of(*item) for name, item in items.items()}
    except (AttributeError, OverflowError, RecursionError, TypeError, ValueError) as error:
        _LOG.warning("claims not read", extra={"error": str(error)[:200]})
        return {}


def _record_of(  # noqa: PLR0913 - in the order of _item_of
    uid: str,
    namespace: str,
    name: str,
    is_deleted: bool,
    expires_at: float,
    is_running: bool,
    before: float | None,
) -> Record:
    claim = Claim(str(uid), str(namespace), str(name), bool(is_deleted))
    return Record(claim, float(expires_at), bool(is_running), -math.inf if before is None else float(before))
