# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The result of an observation of a present object."""

from __future__ import annotations

from dataclasses import dataclass, field
from dataclasses import field as field_of

from .. import secrets
from ..access import WantedUser
from ..errors import ReconcileError
from ..json_types import ApiObject
from ..key_status import FIELD as ACCESS_KEYS
from ..key_status import keys_after
from ..keys import KeyPlan, Pair, Turn
from ..secrets import Facts
from ..setting import Comparison
from ..spec import Wanted
from ..state import UserState
from .role import RoleObservation

# The order of the aspects of a user and of Kubernetes in lists, after those of the bucket.
_ORDER = ("user", "user_policy", "access_key", "secret", "service", "role")


@dataclass
class UserObservation:
    """What is to be done about one of the users and its Secret.

    ``found``: None for a user that does not exist. ``tags``: all that it should have, and those of others.
    ``policies``: by bucket, the policies for the buckets of other S3 objects that are written; None to delete it.
    ``stale_tags``: the keys of those that are to be removed.
    ``differs``: of user, user_policy, access_key and secret, those that differ.
    ``former``, ``config_map``, ``former_config_map``, ``strays``: as of :class:`sources.FoundUser`.
    ``recorded``: the key pair on record. ``rewrites_data``: the entries of the Secret are written with this pair.
    ``moves``: the Secret has another name than the user's tags record, or they record an unfinished move.
    ``turn``: what decided about a rotation of the key.
    ``shows_keys``: whether the status has the user's keys, because a rotation is managed or unfinished.
    ``shown_keys``: these keys, as they are; empty for a new user.
    ``problem``: as of :class:`sources.FoundUser`.
    Only the Secret as read holds secret values. It is never passed on.
    """

    wanted: WantedUser
    found: UserState | None = None
    secret: ApiObject | None = None
    arn: str = ""
    former: ApiObject | None = None
    config_map: ApiObject | None = None
    former_config_map: ApiObject | None = None
    facts: Facts = field(default_factory=Facts)
    recorded: Pair | None = None
    rewrites_data: bool = False
    moves: bool = False
    config_map_differs: bool = False
    tags: dict[str, str] = field(default_factory=dict)
    stale_tags: list[str] = field(default_factory=list)
    puts_policy: bool = False
    policies: dict[str, ApiObject | None] = field(default_factory=dict)
    keys: KeyPlan = field(default_factory=KeyPlan)
    has_key: bool = True
    turn: Turn = field(default_factory=Turn)
    shows_keys: bool = False
    shown_keys: list[ApiObject] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)
    problem: ReconcileError | None = None
    strays: tuple[tuple[str, ApiObject], ...] = ()

    @property
    def written(self) -> list[str]:
        """The aspects that a run writes: those that differ, and those that come with a new user or a new access key."""
        brought = {
            "user_policy": self.puts_policy or bool(self.policies),
            "access_key": self.keys.create,
            "secret": self.keys.create,
        }
        return [*self.differs, *(name for name, is_written in brought.items() if is_written)]

    @property
    def writes_secret(self) -> bool:
        """Whether the run writes the Secret, with a new key pair or without."""
        return "secret" in self.differs or self.keys.create

    @property
    def kept_in(self) -> ApiObject | None:
        """The Secret that holds the key with which the run writes the entries; None for a new key, or for no write."""
        if not self.rewrites_data or self.keys.create or "secret" not in self.differs:
            return None
        holds_key = self.recorded is not None and secrets.pair_in(self.secret, self.recorded) == self.recorded
        return self.secret if holds_key else self.former

    @property
    def writes_config_map(self) -> bool:
        """Whether the run writes the ConfigMap beside the Secret."""
        return self.writes_secret and self.config_map_differs and self.wanted.secret.has_config_map

    @property
    def unwanted(self) -> list[tuple[str, ApiObject]]:
        """What earlier runs wrote and the spec no longer requests, with the kind of each."""
        if not self.writes_secret:
            return []
        config_map = None if self.wanted.secret.has_config_map else self.config_map
        found = (("Secret", self.former), ("ConfigMap", self.former_config_map), ("ConfigMap", config_map))
        return [*((kind, item) for kind, item in found if item is not None), *self.strays]


@dataclass
class UserDeletion:
    """A user that is deleted, with its Secret.

    ``field``, ``in_plan``: as of :class:`access.WantedUser`. ``tags``: those that a user of the Go operator gets before
    it is deleted. ``secret_uid``: empty for no owned Secret. ``more``: kind, name and uid of a Secret of another
    name, and of ConfigMaps. ``recorded_keys``: the ids of access keys that are on record. It may have others.
    """

    name: str
    field: str
    secret_name: str
    in_plan: str = ""
    is_deleted: bool = False
    tags: dict[str, str] | None = None
    secret_uid: str = ""
    more: list[dict[str, str]] = field_of(default_factory=list)
    recorded_keys: list[str] = field_of(default_factory=list)

    @property
    def differs(self) -> list[str]:
        """The aspects that still exist."""
        return [*(("user",) if self.is_deleted else ()), *(("secret",) if self.secret_uid or self.more else ())]


@dataclass
class Observation:
    """What is to be done, for the role's tasks.

    ``bucket_differs``: of the bucket, its settings and tags, those that differ.
    ``service_host`` is empty where there is to be no Service.
    ``origin``: owner.CREATED_ORIGIN or ADOPTED_ORIGIN, as the user's tags are to record it; empty when it is unknown.
    ``settings`` and ``tags`` (current and wanted) of a missing bucket are those of a new one.
    ``digests``: of the current values of the bucket's aspects that differ (``recent``).
    ``recorded``: the optional settings that earlier runs wrote, according to the bucket's tags.
    ``users``: without those that nothing is done about, for a reason in ``deferred``.
    ``removed``: users that an earlier spec requested. ``unread``: the names of such users that could not be read.
    ``deferred``: problems that prevent some steps. What those steps would repair is not in ``differs``. Everything else
    of the object is maintained, and the object is not Ready.
    """

    account: str
    bucket_differs: list[str] = field(default_factory=list)
    bucket_exists: bool = False
    bucket_arguments: ApiObject = field(default_factory=dict)
    settings: ApiObject = field(default_factory=dict)
    tags: tuple[dict[str, str], dict[str, str]] = ({}, {})
    is_adopted: bool = False
    origin: str = ""
    unmanaged: frozenset[str] = frozenset()
    recorded: frozenset[str] = frozenset()
    digests: dict[str, str] = field(default_factory=dict)
    users: list[UserObservation] = field(default_factory=list)
    removed: list[UserDeletion] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    service: ApiObject | None = None
    service_host: str = ""
    service_differs: bool = False
    role: RoleObservation | None = None
    deferred: list[ReconcileError] = field(default_factory=list)

    def defer(self, problem: ReconcileError, *aspects: str) -> None:
        """Record a problem, and remove the aspects of bucket and Service that it keeps from being repaired."""
        self.deferred.append(problem)
        self.bucket_differs = [aspect for aspect in self.bucket_differs if aspect not in aspects]
        self.service_differs = self.service_differs and "service" not in aspects

    def defer_key(self, user: UserObservation, problem: ReconcileError) -> None:
        """Record a problem that prevents any change to a user's key and Secret."""
        self.defer(problem)
        user.differs = [aspect for aspect in user.differs if aspect not in ("access_key", "secret")]
        user.keys = user.keys.without_changes()

    def comparison_with(self, wanted: Wanted) -> Comparison:
        """The current settings of the bucket, and the wanted ones."""
        return Comparison(wanted, self.settings, self.is_adopted, self.recorded)

    @property
    def differs(self) -> list[str]:
        """The aspects that differ. That of a user differs if it does for any of the users."""
        return self._ordered([aspect for user in self.users for aspect in user.differs])

    @property
    def written(self) -> list[str]:
        """The aspects that a run writes: those that differ, and those that come with a new user or a new access key.

        A bucket is written together with its settings and tags, so ``bucket`` stands for all of them.
        """
        return self._ordered([aspect for user in self.users for aspect in user.written])

    def _ordered(self, of_users: list[str]) -> list[str]:
        of_users += [aspect for user in self.removed for aspect in user.differs]
        found = {*of_users, *(("service",) if self.service_differs else ())}
        found |= {"role"} if self.role and self.role.differs else set()
        return [*self.bucket_differs, *(aspect for aspect in _ORDER if aspect in found)]

    @property
    def due_rotations(self) -> list[str]:
        """The rotations that a run would begin, in words. Where drift is only reported, no run begins them."""
        return [
            f"the rotation of access key {user.keys.replaces} of IAM user {user.wanted.username} is due"
            for user in self.users
            if user.keys.replaces
        ]

    @property
    def lacks(self) -> list[str]:
        """What is missing without which no one can use the object, in words. All of it also differs."""
        has_keys = all(user.has_key for user in self.users)
        found = {"there is no bucket": self.bucket_exists, "the Secret holds no key that works": has_keys}
        return [words for words, is_there in found.items() if not is_there]


def outcome_status(
    wanted: Wanted, seen: Observation, *, hides_new_keys: bool = False, is_after: bool = False
) -> ApiObject:
    """The part of the object's status that follows from an observation.

    :param hides_new_keys: leave out the key and the Secret of a user that is to get a new key
    :param is_after: whether the keys are shown as they are after a run; False: as they are
    """
    effective = {**wanted.effective(seen.is_adopted), "service": {"enabled": bool(seen.service_host)}}
    status: ApiObject = {"bucketARN": wanted.bucket_arn, "effective": effective}
    for user in seen.users:
        # While no Secret holds a key, and this run writes none, the status keeps the last key.
        shows_key = (user.has_key or not seen.deferred) and not (hides_new_keys and user.keys.create)
        if user.wanted.is_first:
            status |= user_status(user, shows_key=shows_key, is_after=is_after)
        else:
            status.setdefault("users", []).append(user_status(user, shows_key=shows_key, is_after=is_after))
    if "users" in status:
        status["users"].sort(key=lambda shown: shown["username"])
    if seen.role:
        status["roleARN"] = seen.role.arn
    return status


def user_status(user: UserObservation, *, shows_key: bool, is_after: bool = False) -> ApiObject:
    """The part of the status that shows a user: of the first one at the top level, of another one in its list.

    :param is_after: as of :func:`outcome_status`
    """
    shown: ApiObject = {} if user.wanted.is_first else {"username": user.wanted.username}
    shown["userARN"] = user.arn
    if shows_key:
        shown |= {"accessKeyID": user.keys.live, "secretName": user.wanted.secret.name}
    keys = keys_after(user.keys, user.turn) if is_after and user.shows_keys else user.shown_keys
    return {**shown, ACCESS_KEYS: list(keys)} if keys and (shows_key or not is_after) else shown
