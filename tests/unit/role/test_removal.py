"""Secrets of users that the spec no longer has: also where a run ended before it had deleted them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3bucket import owner
from s3bucket.errors import ReconcileError
from s3bucket.observe.children import with_strays
from s3bucket.observe.observation import Observation, UserObservation
from s3bucket.observe.removal import deletion_of, existing, find_removed
from s3bucket.observe.sources import Found, FoundUser, Sources
from s3bucket.observe.user import _users_record
from s3bucket.outcome import Reason
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import UserState

UID = "u1"


def secret_of(name: str, uid: str = UID) -> dict[str, Any]:
    references = [{"uid": uid, "controller": True}]
    return {"metadata": {"name": name, "uid": f"of-{name}", "namespace": "team", "ownerReferences": references}}


class Cluster:
    """A namespace with Secrets of the S3 object."""

    def __init__(self, *secrets: dict[str, Any]) -> None:
        self._secrets = {item["metadata"]["name"]: item for item in secrets}
        self.listed = 0

    def find_secret(self, namespace: str, name: str, *, is_wanted: bool = True) -> dict[str, Any] | None:
        return self._secrets.get(name)

    def list_secrets(self, namespace: str, name: str) -> list[dict[str, Any]]:
        self.listed += 1
        return list(self._secrets.values())


class Users:
    def __init__(self, **users: UserState) -> None:
        self._users = users

    def find(self, name: str) -> UserState | None:
        return self._users.get(name)


def read(defaults: dict[str, Any], cluster: Cluster, recorded: list[str], **users: dict[str, str]) -> list[str]:
    """The names of the Secrets that a run would delete as those of removed users."""
    spec = {"region": "eu-west-1", "bucketName": "photos", "iamUser": {"username": "album"}}
    metadata = {"name": "album", "namespace": "team", "uid": UID}
    wanted: Wanted = wanted_of({"metadata": metadata, "spec": spec}, "cluster", defaults)
    first = UserState("arn", {**wanted.identity.tags, **owner.users_record(recorded)})
    there = {name: UserState("arn", {**wanted.identity.tags, **tags}) for name, tags in users.items()}
    none: Any = None
    sources: Any = Sources(none, Users(**there), none, cluster, none, datetime.now(UTC), 0, "")  # type: ignore[arg-type]
    removed = find_removed(wanted, sources, first)
    one = FoundUser(wanted.users[0], first, secret_of("album-iam-secret"))
    found = with_strays(wanted, sources, Found("1", None, (one,), None, removed))
    assert found.users == (one,)
    plans = [deletion_of(user, is_deleted=user.user is not None) for user in existing(found.removed)]
    default = [plan.secret_name for plan in plans if plan.secret_uid]
    return sorted([*default, *(item["name"] for plan in plans for item in plan.more)])


SECRETS = secret_of("album-iam-secret"), secret_of("album-reader-iam-secret"), secret_of("mine"), secret_of("its", "u2")
WITHOUT_DEFAULT = SECRETS[0], SECRETS[2], SECRETS[3]


@pytest.mark.parametrize(
    ("secrets", "users", "goes"),
    [
        pytest.param(WITHOUT_DEFAULT, {"reader": {owner.SECRET: "mine"}}, ["mine"], id="name-on-record"),
        pytest.param(WITHOUT_DEFAULT, {}, ["mine"], id="user-is-gone-and-its-secret-is-not"),
        pytest.param(SECRETS, {}, ["album-reader-iam-secret", "mine"], id="both-names"),
        pytest.param(WITHOUT_DEFAULT, {"reader": {owner.SECRET: "first:"}}, ["mine"], id="removed-while-it-was-moved"),
        pytest.param(SECRETS[:1], {}, [], id="nothing-is-left"),
    ],
)
def test_each_secret_of_a_removed_user_is_deleted(
    defaults: dict[str, Any], secrets: tuple[dict[str, Any], ...], users: dict[str, dict[str, str]], goes: list[str]
) -> None:
    assert read(defaults, Cluster(*secrets), ["reader"], **users) == goes


def test_secrets_are_not_listed_while_no_user_is_removed(defaults: dict[str, Any]) -> None:
    cluster = Cluster(*SECRETS)
    assert (read(defaults, cluster, []), cluster.listed) == ([], 0)


class DeniedUsers(Users):
    """Users of which one cannot be read."""

    def __init__(self, denied: str, reason: Reason, **users: UserState) -> None:
        super().__init__(**users)
        self._denied, self._reason = denied, reason

    def find(self, name: str) -> UserState | None:
        if name == self._denied:
            raise ReconcileError(self._reason, "no")
        return super().find(name)


def test_removed_user_that_cannot_be_read_stays_on_record_and_stops_nothing_else(defaults: dict[str, Any]) -> None:
    spec = {"region": "eu-west-1", "bucketName": "photos", "iamUser": {"username": "album"}}
    metadata = {"name": "album", "namespace": "team", "uid": UID}
    wanted: Wanted = wanted_of({"metadata": metadata, "spec": spec}, "cluster", defaults)
    first = UserState("arn", {**wanted.identity.tags, **owner.users_record(["reader", "writer"])})
    writer = UserState("arn", wanted.identity.tags)
    none: Any = None

    def sources(reason: Reason) -> Any:
        users: Any = DeniedUsers("reader", reason, writer=writer)
        return Sources(none, users, none, Cluster(*SECRETS), none, datetime.now(UTC), 0, "")  # type: ignore[arg-type]

    removed = existing(find_removed(wanted, sources(Reason.ACCESS_DENIED), first))
    assert [(one.wanted.username, one.refusal is not None) for one in removed] == [("reader", True), ("writer", False)]
    # The Secrets without a user are not searched while it is not known which user exists.
    found = Found("1", None, (FoundUser(wanted.users[0], first),), None, removed)
    assert with_strays(wanted, sources(Reason.ACCESS_DENIED), found) is found
    seen = Observation("1", unread=["reader"])
    mine = UserObservation(wanted.users[0], first)
    assert _users_record(wanted, seen, mine, first) == owner.replaced_users_record(first.tags, ["reader"])
    with pytest.raises(ReconcileError):
        find_removed(wanted, sources(Reason.CREDENTIALS_INVALID), first)
