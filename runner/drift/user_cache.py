"""The account's IAM users, read all at once, once a period.

A user is read alone if the role has run on its object since. So is every user where the operator has no right to
read all, or where reading the pages of all users would cost more calls than reading the users that are needed.

With shards, an object must not be judged by what was read before this replica had its shard. All users are not read
again for each shard: those of new shards are read alone for some seconds, in which more shards usually follow, or until
they are many. One reading of all is then late enough for all these shards.
Threads: any; one reads all users, the others wait for it.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping

from runner.drift.aws_clients import Client
from runner.drift.time_limit import TimeLimit
from s3bucket import read
from s3bucket.capabilities import AWS, Capabilities
from s3bucket.errors import ReconcileError
from s3bucket.outcome import Reason
from s3bucket.state import UserState

_LOG = logging.getLogger(__name__)
_MAX_MESSAGE = 600
# How many calls it costs to read a user by itself.
_CALLS_A_USER = 4
_USERS_A_PAGE = 1000
# Seconds within which a replica that starts, or takes over from another, gains most of its shards.
_MOVES_S = 10.0
# Users that are read alone meanwhile, at most, for each page that all of them have.
_MOST_ALONE_A_PAGE = 25
_READ_ALL = "GetAccountAuthorizationDetails"


class PackedUsers(Mapping[str, UserState]):
    """Users without their keys, as compact JSON: thousands of dicts would take several times the memory."""

    def __init__(self, users: Iterable[tuple[str, UserState]] = ()) -> None:
        self._texts = {name: _pack(user) for name, user in users}

    def __getitem__(self, name: str) -> UserState:
        return UserState(**json.loads(self._texts[name].decode(errors="surrogatepass")))

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)


def _pack(user: UserState) -> bytes:
    return json.dumps(vars(user), separators=(",", ":"), ensure_ascii=False).encode(errors="surrogatepass")


UserReader = read.PerUserReader | read.BulkUserReader


class UserCache:
    """Reads users.

    :param period_s: how often all users are read
    :param get_capabilities: what the endpoint has
    """

    def __init__(
        self,
        period_s: float,
        clock: Callable[[], float],
        time_limit: TimeLimit,
        get_capabilities: Callable[[], Capabilities] = lambda: AWS,
    ) -> None:
        self._get_capabilities = get_capabilities
        self._time_limit = time_limit
        self._period_s = period_s
        self._clock = clock
        self._lock = threading.Lock()
        self._users = PackedUsers()
        self._read_at = -math.inf
        # What others note must not wait for AWS: a lock of its own.
        self._notes = threading.Lock()
        self._changed_at: dict[str, float] = {}
        # How many users were needed since all were read.
        self._requests = 0
        # When the reading of all was found too old for an object first, and for how many users since.
        self._stale_since = math.inf
        self._stale = 0
        self._refusal: ReconcileError | None = None

    def read_all(self, iam: Client) -> tuple[float, Mapping[str, UserState]] | None:
        """All users by name, and when they were read; None when they are read one by one in this period.

        :raises ReconcileError: when AWS does not return the users, or denies the right to read them
        """
        with self._lock:
            self._requests += 1
            if self._is_old():
                self._renew(iam)
            if self._refusal:
                raise self._refusal
            return (self._read_at, self._users) if self._users else None

    def get_reader(self, iam: Client, usernames: Iterable[str], not_before: float = -math.inf) -> UserReader:
        """What to read these users of an object with. Blocks while another thread reads all users.

        A store that does not have one request for all users is asked for each when it is needed.

        :param not_before: what was read until this time does not count
        :raises ReconcileError: when AWS does not return the users
        """
        capabilities = self._get_capabilities()
        if capabilities.lacks(_READ_ALL):
            return read.PerUserReader(iam, capabilities)
        names = list(usernames)
        with self._time_limit.holding(self._lock):
            if self._is_old() or (self._read_at <= not_before and self._is_stale(len(names))):
                self._renew(iam)
            self._requests += 1
            with self._notes:
                is_changed = any(self._changed_at.get(name.lower(), -math.inf) >= self._read_at for name in names)
            # A reading counts from its beginning: it may have had the user's page a moment after that.
            if not self._users or is_changed or self._read_at <= not_before:
                return read.PerUserReader(iam, capabilities)
            return read.BulkUserReader(iam, self._users, capabilities)

    def forget(self, usernames: Iterable[str]) -> None:
        """What was read of these users no longer holds. Does not wait for AWS."""
        with self._notes:
            # IAM does not distinguish names by case, and an event may have another one than the spec.
            self._changed_at |= dict.fromkeys((name.lower() for name in usernames), self._clock())

    def _is_old(self) -> bool:
        return self._clock() >= self._read_at + self._period_s

    def _is_stale(self, count: int) -> bool:
        """Whether to read all users again for these, which were read too early for their object."""
        now = self._clock()
        self._stale_since, self._stale = min(self._stale_since, now), self._stale + count
        return now >= self._stale_since + _MOVES_S or self._stale > _MOST_ALONE_A_PAGE * self._pages()

    def _pages(self) -> int:
        return 1 + len(self._users) // _USERS_A_PAGE

    def _renew(self, iam: Client) -> None:
        now, pages = self._clock(), self._pages()
        self._stale_since, self._stale = math.inf, 0
        capabilities = self._get_capabilities()
        # Where each user is read by itself, only orphans need all of them, and nothing else has read them.
        is_worth_it = capabilities.lacks(_READ_ALL) or not self._users or pages <= self._requests * _CALLS_A_USER
        self._requests = 0
        self._refusal = None
        try:
            # An account that was too large is read again only when enough users are needed to be worth it.
            self._users = PackedUsers(read.iterate_users(iam, capabilities) if is_worth_it else ())
        except ReconcileError as refusal:
            if refusal.reason != Reason.ACCESS_DENIED:
                raise
            self._users, self._refusal = PackedUsers(), refusal
            _LOG.warning("IAM users are read one by one", extra={"error": refusal.message[:_MAX_MESSAGE]})
        self._read_at = now
        with self._notes:
            self._changed_at = {name: at for name, at in self._changed_at.items() if at >= now}
