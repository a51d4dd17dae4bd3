# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The users that an earlier spec of the object requested, with what is left of each and is deleted.

The tags of the object's first user record the names of the others. Only IAM's API writes them, so no key that the
operator creates can. A user is deleted only if its own tags name this object, and a Secret only if the object controls
it. Without such a record, nothing is read.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from .. import owner
from ..access import USER_NAME, additional_user
from ..errors import ReconcileError
from ..keys import recorded_keys
from ..spec import Wanted
from ..state import UserState
from .children import find_user, owned_only
from .observation import UserDeletion
from .sources import FoundUser, Sources


def find_removed(wanted: Wanted, sources: Sources, first: UserState | None) -> tuple[FoundUser, ...]:
    """The recorded users that the spec does not have, each with its Secret. Resources of others are None.

    A run that deleted a user may have ended before it deleted the Secret, of which the user's tags recorded the name.
    A user that cannot be read has a refusal, and stays on record.

    :param first: the first user
    :raises ReconcileError: where everything else would fail, too
    """
    if first is None or not wanted.identity.is_owner(first.tags):
        return ()
    kept = {user.username for user in wanted.users}
    names = [name for name in owner.recorded_users(first.tags) if name not in kept and USER_NAME.fullmatch(name)]
    return tuple(_try_find(wanted, sources, name) for name in names)


def existing(removed: Iterable[FoundUser]) -> tuple[FoundUser, ...]:
    """Those of which something is left."""
    return tuple(
        one
        for one in removed
        if one.refusal is not None or one.user is not None or deletion_of(one, is_deleted=False).differs
    )


def _try_find(wanted: Wanted, sources: Sources, name: str) -> FoundUser:
    try:
        return _find(wanted, sources, name)
    except ReconcileError as refusal:
        if refusal.reason.is_general:
            raise
        return FoundUser(additional_user(name, wanted.identity.name), None, refusal=refusal)


def _find(wanted: Wanted, sources: Sources, name: str) -> FoundUser:
    user = sources.users.find(name)
    if user is not None and not wanted.identity.is_owner(user.tags):
        user = None
    asked = additional_user(name, wanted.identity.name)
    secret = asked.secret
    found = find_user(wanted, sources, asked, user)
    kept = {one.secret.name for one in wanted.users}
    secret_of_user = None if secret.name in kept else owned_only(wanted, found.secret)
    is_former_kept = secret.former_name(user.tags if user else {}) in kept
    return replace(
        found,
        secret=secret_of_user,
        former=None if is_former_kept else found.former,
        config_map=None if secret.name in kept else owned_only(wanted, found.config_map),
        former_config_map=None if is_former_kept else found.former_config_map,
    )


def deletion_of(one: FoundUser, *, is_deleted: bool) -> UserDeletion:
    """The deletion of a user and of its Secret, as far as they are given."""
    asked, secret_uid = one.wanted, one.secret["metadata"].get("uid", "") if one.secret else ""
    plan = UserDeletion(asked.username, asked.field, asked.secret.name, asked.in_plan, is_deleted, None, secret_uid)
    found = (("Secret", one.former), ("ConfigMap", one.config_map), ("ConfigMap", one.former_config_map))
    plan.more = [
        {"kind": kind, "name": item["metadata"]["name"], "uid": item["metadata"]["uid"]}
        for kind, item in (*found, *one.strays)
        if item is not None
    ]
    plan.recorded_keys = recorded_keys(one.user.tags) if one.user else []
    return plan
