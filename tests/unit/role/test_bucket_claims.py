"""A bucket's name that another object's IAM user claims is refused, whatever names the spec gives its own users."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from s3bucket import owner
from s3bucket.access import additional_user
from s3bucket.errors import ReconcileError
from s3bucket.observe.claims import check_claims
from s3bucket.observe.sources import Found, FoundUser, Sources
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import UserState
from s3bucket.users import policy_name_of

BUCKET = "photos"
MINE = owner.Identity("cluster", "team", "album", "u1")
OTHER = owner.Identity("cluster", "others", "photos", "u2")


def user_of(name: str, identity: owner.Identity, *, has_policy: bool = True) -> UserState:
    user = UserState(f"arn:aws:iam::111122223333:user/{name}", {**identity.tags, owner.BUCKET: BUCKET})
    user.policies = {policy_name_of(name, BUCKET): {}} if has_policy else {}
    return user


def wanted(defaults: dict[str, Any], *additional: str) -> Wanted:
    users = [{"username": name} for name in additional]
    spec = {"region": "eu-west-1", "bucketName": BUCKET, "iamUser": {"username": "album"}, "additionalUsers": users}
    metadata = {"name": MINE.name, "namespace": MINE.namespace, "uid": MINE.uid}
    return wanted_of({"metadata": metadata, "spec": spec}, MINE.cluster, defaults)


def check(asked: Wanted, users: dict[str, UserState], removed: tuple[FoundUser, ...] = ()) -> None:
    found = Found("111122223333", None, tuple(FoundUser(one, users.get(one.username)) for one in asked.users))
    sources: Any = Sources(
        None, None, None, None, lambda _: (None, None), datetime.now(UTC), 0, "", read_users=lambda _: users  # type: ignore[arg-type]
    )  # fmt: skip
    check_claims(asked, sources, Found(found.account, None, found.users, None, removed))


@pytest.mark.parametrize("has_policy", [True, False], ids=["policy", "tag"])
def test_name_of_another_objects_user_in_the_spec_does_not_end_its_claim(
    defaults: dict[str, Any], *, has_policy: bool
) -> None:
    """The other tenant's key would reach the new bucket, and what its application writes would be in this one's."""
    users = {"victim": user_of("victim", OTHER, has_policy=has_policy)}
    with pytest.raises(ReconcileError, match="claimed by IAM user victim of S3 object cluster/others/photos"):
        check(wanted(defaults, "victim"), users)


def test_recorded_name_of_another_objects_user_does_not_end_its_claim(defaults: dict[str, Any]) -> None:
    """Such as one that the spec had, and of which a Secret is left that the tenant has made."""
    secret = {"metadata": {"name": "album-victim-iam-secret", "uid": "s1"}}
    removed = FoundUser(additional_user("victim", MINE.name), None, secret)
    with pytest.raises(ReconcileError, match="claimed by IAM user victim"):
        check(wanted(defaults), {"victim": user_of("victim", OTHER)}, (removed,))


def test_users_of_the_object_itself_claim_nothing_against_it(defaults: dict[str, Any]) -> None:
    users = {name: user_of(name, MINE) for name in ("album", "reader", "former")}
    removed = FoundUser(additional_user("former", MINE.name), users["former"])
    check(wanted(defaults, "reader"), users, (removed,))
