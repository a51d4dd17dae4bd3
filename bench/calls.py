"""How many requests the operator has made: to AWS by the gate, to Kubernetes by its audit log."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from bench import BenchError
from dev.awsgate.client import Gate

_WATCH = "watch"


class AwsCalls:
    """By action, of one access key."""

    def __init__(self, gate: Gate, access_key: str) -> None:
        self._gate = gate
        self._access_key = access_key

    def count(self) -> Counter[str]:
        """All so far."""
        return Counter(self._gate.counts(self._access_key))


class KubernetesCalls:
    """By verb and resource, of one user. A request is in the log once it is answered, a watch once it has ended."""

    def __init__(self, audit_log: Path, user: str) -> None:
        self._log = audit_log
        self._user = user
        self._offset = 0
        self._count: Counter[str] = Counter()

    def count(self) -> Counter[str]:
        """All so far.

        :raises BenchError: when the API server began another file meanwhile
        """
        if self._log.stat().st_size < self._offset:
            raise BenchError("the audit log was rotated: what was in it is not counted")
        with self._log.open("rb") as stream:
            stream.seek(self._offset)
            # The last line may be half written.
            lines = stream.read().rpartition(b"\n")[0]
        self._offset += len(lines) + 1 if lines else 0
        for line in lines.splitlines():
            if self._user.encode() in line:
                self._add(json.loads(line))
        return Counter(self._count)

    def _add(self, event: dict[str, dict[str, str]]) -> None:
        if event["user"]["username"] == self._user:
            found = event.get("objectRef", {})
            name = "/".join(filter(None, [found.get("resource", "other"), found.get("subresource")]))
            self._count[f"{event['verb']} {name}"] += 1


def without_watches(count: Counter[str]) -> int:
    """The requests of a Kubernetes count that are no watches."""
    return sum(number for name, number in count.items() if not name.startswith(_WATCH))
