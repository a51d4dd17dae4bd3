# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The result of an observation of a present object."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..errors import ReconcileError
from ..json_types import ApiObject
from ..key_status import FIELD as ACCESS_KEYS
from ..keys import KeyPlan, Turn
from ..setting import Comparison
from ..spec import Wanted
from ..state import UserState

# The order of the aspects of a user and of Kubernetes in lists, after those of the bucket.
_ORDER = ("user", "user_policy", "access_key", "secret", "service")


@dataclass
class Observation:
    """What is to be done, for the role's tasks. Only the Secret as read holds secret values. It is never passed on.

    ``service_host`` is empty where there is to be no Service.
    ``origin``: owner.CREATED_ORIGIN or ADOPTED_ORIGIN, as the user's tags are to record it; empty when it is unknown.
    ``settings`` and ``tags`` (current and wanted) of a missing bucket are those of a new one.
    ``digests``: of the current values of the bucket's aspects that differ (``recent``).
    ``recorded``: the optional settings that earlier runs wrote, according to the bucket's tags.
    ``turn``: what decided about a rotation of the key.
    ``shows_keys``: whether the status has the user's keys, because a rotation is managed or unfinished.
    ``shown_keys``: these keys, as they are; empty for a new user.
    ``deferred``: problems that prevent some steps. What those steps would repair is not in ``differs``. Everything else
    of the object is maintained, and the object is not Ready.
    """

    account: str
    differs: list[str] = field(default_factory=list)
    bucket_exists: bool = False
    bucket_arguments: ApiObject = field(default_factory=dict)
    settings: ApiObject = field(default_factory=dict)
    tags: tuple[dict[str, str], dict[str, str]] = ({}, {})
    is_adopted: bool = False
    origin: str = ""
    unmanaged: frozenset[str] = frozenset()
    recorded: frozenset[str] = frozenset()
    digests: dict[str, str] = field(default_factory=dict)
    user_exists: bool = False
    user: UserState | None = None
    user_arn: str = ""
    user_tags: dict[str, str] = field(default_factory=dict)
    puts_policy: bool = False
    keys: KeyPlan = field(default_factory=KeyPlan)
    notes: list[str] = field(default_factory=list)
    secret: ApiObject | None = None
    service: ApiObject | None = None
    service_host: str = ""
    has_key: bool = True
    turn: Turn = field(default_factory=Turn)
    shows_keys: bool = False
    shown_keys: list[ApiObject] = field(default_factory=list)
    deferred: list[ReconcileError] = field(default_factory=list)

    def defer(self, problem: ReconcileError, *aspects: str) -> None:
        """Record a problem, and remove the aspects that it keeps from being repaired."""
        self.deferred.append(problem)
        self.differs = [aspect for aspect in self.differs if aspect not in aspects]

    def defer_key(self, problem: ReconcileError) -> None:
        """Record a problem that prevents any change to key and Secret."""
        self.defer(problem, "access_key", "secret")
        self.keys = self.keys.without_changes()

    def comparison_with(self, wanted: Wanted) -> Comparison:
        """The current settings of the bucket, and the wanted ones."""
        return Comparison(wanted, self.settings, self.is_adopted)

    @property
    def written(self) -> list[str]:
        """The aspects that a run writes: those that differ, and those that come with a new user or a new access key.

        A bucket is written together with its settings and tags, so ``bucket`` stands for all of them.
        """
        brought = {"user_policy": self.puts_policy, "access_key": self.keys.create, "secret": self.keys.create}
        found = [*self.differs, *(name for name, is_written in brought.items() if is_written)]
        return sorted(dict.fromkeys(found), key=lambda name: _ORDER.index(name) if name in _ORDER else -1)

    @property
    def lacks(self) -> list[str]:
        """What is missing without which no one can use the object, in words. All of it also differs."""
        found = {"there is no bucket": self.bucket_exists, "the Secret holds no key that works": self.has_key}
        return [words for words, is_there in found.items() if not is_there]


def outcome_status(wanted: Wanted, seen: Observation) -> ApiObject:
    """The part of the object's status that follows from an observation."""
    effective = {**wanted.effective(seen.is_adopted), "service": {"enabled": bool(seen.service_host)}}
    status: ApiObject = {"bucketARN": wanted.bucket_arn, "effective": effective}
    if wanted.username:
        status["userARN"] = seen.user_arn
        # While no Secret holds a key, and this run writes none, the status keeps the last key.
        if seen.has_key or not seen.deferred:
            status |= {"accessKeyID": seen.keys.live, "secretName": wanted.secret_name}
        if seen.shown_keys:
            status[ACCESS_KEYS] = list(seen.shown_keys)
    return status


def writes_secret(wanted: Wanted, seen: Observation) -> bool:
    """Whether the run writes the Secret, with a new key pair or without."""
    return bool(wanted.username) and ("secret" in seen.differs or seen.keys.create)
