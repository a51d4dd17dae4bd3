"""The Leases of a release that works with shards: one for each shard, and one for each replica.

The names are fixed, so that the rights to them can name each: ``<release>-shard-00`` to ``-15``, and
``<release>-replica-00`` to ``-15``. A replica has one of the Leases of replicas, whichever is free: by them each one
knows how many there are. It is an :class:`~runner.kube.leader.Election`, so an operator of the same release without
shards, of an earlier version or of another release with the same namespaces keeps a replica from working, and a replica
keeps each of them. Threads: as in an election.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from runner.kube.hold import Candidate, Hold, Leases, Terms, boot_time_s
from runner.kube.leader import Election
from runner.kube.lease import Lease

SHARDS = 16
"""Fixed: two replicas with another number of shards would not agree about which shard an object is in."""


def shard_of(uid: str) -> int:
    """The shard of an object. Stable: the same in each process, of each version."""
    return zlib.crc32(uid.encode(errors="surrogatepass")) % SHARDS


def group_of(release: str) -> str:
    """What the Leases of a release have in common. With the number of shards, which all replicas must agree about."""
    return f"{release}/{SHARDS}"


def shard_lease(release: str, shard: int) -> str:
    """The name of a shard's Lease."""
    return f"{release}-shard-{shard:02}"


def replica_lease(release: str, number: int) -> str:
    """The name of a replica's Lease."""
    return f"{release}-replica-{number:02}"


@dataclass(frozen=True)
class Seen:
    """The Leases of all replicas at one moment.

    :param replicas: who lives, in the order of their Leases; without those that do not work yet, or are about to stop
    :param free: the shards that no other replica may have
    :param silent: the regions from which one of the other replicas gets no events of its own changes
    :param free_at: when the first Lease of another replica expires, unless it is renewed; inf where there is none
    """

    replicas: tuple[str, ...]
    free: frozenset[int]
    silent: frozenset[str] = frozenset()
    free_at: float = math.inf


class ReplicaElection(Election):
    """A candidate for any one of the Leases of replicas."""

    def __init__(
        self, leases: Leases, candidate: Candidate, release: str, terms: Terms, clock: Callable[[], float] = boot_time_s
    ) -> None:
        namespace, identity, scope = candidate.namespace, candidate.identity, candidate.scope
        super().__init__(leases, namespace, identity, terms, clock, name=release, scope=scope, group=group_of(release))
        # Until its work begins: nothing would be done about what others give up for it.
        self.is_leaving = True
        # When each was seen to change: a replica that was killed released nothing.
        self._others = [Hold(leases, self._candidate, replica_lease(release, n), terms, clock) for n in range(SHARDS)]

    def _take(self) -> bool:
        listed = {lease.name: lease for lease in self._leases.list_leases(self._candidate.namespace)}
        free = [hold for hold in self._others if not hold.observe(listed.get(hold.name))]
        if not free:
            return False
        # First the one that it has already, from an attempt that was written and not answered in time.
        identity = self._candidate.identity
        free.sort(key=lambda hold: hold.name not in listed or listed[hold.name].holder != identity)
        # Its own observations decide again whether the Lease is free.
        self.become(free[0])
        return super()._take()


class ShardLeases:
    """The Leases of a release's shards and replicas, as one replica sees them.

    :ivar shards: one for each shard
    """

    def __init__(
        self, leases: Leases, candidate: Candidate, release: str, terms: Terms, clock: Callable[[], float] = boot_time_s
    ) -> None:
        self._leases = leases
        self._candidate = candidate
        self._clock = clock
        self.shards = [Hold(leases, candidate, shard_lease(release, n), terms, clock) for n in range(SHARDS)]
        self._replicas = [Hold(leases, candidate, replica_lease(release, n), terms, clock) for n in range(SHARDS)]

    def read(self) -> Seen:
        """Read all Leases of the release.

        :raises KubeError: when the API server does not answer, or does not admit the request
        """
        listed = self._leases.list_leases(self._candidate.namespace)
        found = {lease.name: lease for lease in listed if lease.group == self._candidate.group}
        replicas = [found[hold.name] for hold in self._replicas if self._is_live(hold, found.get(hold.name))]
        free = [n for n, hold in enumerate(self.shards) if not hold.observe(found.get(hold.name))]
        # Each counts once, whatever an attempt has left that was written and not answered in time.
        holders = dict.fromkeys(lease.holder for lease in replicas if not lease.is_leaving)
        now = self._clock()
        ends = [hold.free_at for hold in (*self.shards, *self._replicas) if hold.free_at > now]
        silent = {region for lease in replicas if lease.holder != self._candidate.identity for region in lease.silent}
        return Seen(tuple(holders), frozenset(free), frozenset(silent), min(ends, default=math.inf))

    def _is_live(self, hold: Hold, lease: Lease | None) -> bool:
        if lease is None:
            return False
        # Its own Lease counts as well, as long as it is renewed by another thread.
        return hold.observe(lease) or lease.holder == self._candidate.identity
