# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The observation of a present object: first whether everything is owned, then what differs."""

from __future__ import annotations

from dataclasses import replace

from .. import children as manifests
from ..access import WantedUser
from ..capabilities import check_has_iam
from ..errors import ReconcileError
from ..keys import Pair
from ..spec import Wanted, check_lockout, check_namespace
from . import bucket, children, role, user
from .account import ask_account, find_bucket
from .claims import check_claims
from .legacy import find_proof
from .observation import Observation
from .removal import deletion_of, existing, find_removed
from .sources import Found, FoundUser, Sources


def observe(wanted: Wanted, sources: Sources) -> Observation:
    """Find what differs for a present object.

    :raises ReconcileError: with the reason and the remedy
    """
    found = _read(wanted, sources)
    host = manifests.service_host(wanted, sources.external_name)
    if host:
        children.check_service(wanted, found.service)
    found = replace(found, users=tuple(_with_rights(wanted, sources, found, one) for one in found.users))
    proof = find_proof(wanted, sources, found)
    bucket.wait_for_s3(wanted, sources, found)
    is_adopting = bucket.check_ownership(wanted, sources, found, proof)
    found = _check_users(wanted, sources, found, proof)

    seen = Observation(account=found.account, service=found.service, service_host=host)
    seen.origin = bucket.new_origin(found.bucket, is_adopting) or bucket.recorded_origin(wanted, found.user, proof)
    served = [one for one in found.users if one.refusal is None]
    seen.users = [user.begin(wanted, sources, found.account, one) for one in served]
    known = [one for one in found.removed if one.refusal is None]
    seen.removed = [deletion_of(one, is_deleted=one.user is not None) for one in known]
    seen.unread = [one.wanted.username for one in found.removed if one.refusal]
    bucket.compare_bucket(wanted, sources, seen, found)
    seen.notes += [f"{field} is not in force: the operator's own tag of this key is" for field in wanted.overridden]
    for mine in seen.users:
        user.compare_user(wanted, sources, seen, mine, proof)
    seen.role, problems = role.compare_role(wanted, sources, found)
    for problem in [*problems, *(one.refusal for one in (*found.users, *found.removed) if one.refusal)]:
        seen.defer(problem)
    seen.notes += seen.role.notes if seen.role else []
    children.compare_service(wanted, sources, seen)
    children.check_namespace_lives(wanted, sources, seen)
    if sources.cluster is not None:
        children.try_children(wanted, sources.cluster, seen)
    return seen


def _read(wanted: Wanted, sources: Sources) -> Found:
    """Read what exists, after checking that the spec fits the account."""
    check_has_iam(wanted.username, sources.capabilities)
    account = ask_account(wanted, sources.sts, sources.sts_of, sources.capabilities)
    check_namespace(wanted, account)
    check_lockout(wanted, account)
    found = find_bucket(wanted, sources, account)
    users = tuple(_read_user(wanted, sources, one) for one in wanted.users)
    removed = find_removed(wanted, sources, users[0].user) if users else ()
    of_service = children.find_service(wanted, sources)
    of_role = role.find_role(wanted, sources, has_bucket=found is not None)
    read = children.with_strays(wanted, sources, Found(account, found, users, of_service, removed, *of_role))
    return replace(read, removed=existing(read.removed))


def _read_user(wanted: Wanted, sources: Sources, one: WantedUser) -> FoundUser:
    try:
        return children.find_user(wanted, sources, one, sources.users.find(one.username))
    except ReconcileError as refusal:
        return _refused(FoundUser(one, None), refusal)


def _with_rights(wanted: Wanted, sources: Sources, found: Found, one: FoundUser) -> FoundUser:
    """The user with its rights, and without a Secret that is not owned; or with why nothing is done about it.

    :raises ReconcileError: for the first user
    """
    if one.refusal:
        return one
    one = children.with_owned_secret(wanted, one)
    # Without the user nothing is created: its key would have no place.
    is_there = one.user is not None and wanted.identity.is_owner(one.user.tags) and found.bucket is not None
    if one.problem and not is_there:
        return _refused(one, one.problem)
    try:
        if one.user is not None:
            sources.users.read_rights(one.wanted.username, one.user)
    except ReconcileError as refusal:
        return _refused(one, refusal)
    return one


def _check_users(wanted: Wanted, sources: Sources, found: Found, proof: Pair | None) -> Found:
    """The same, with the reason why nothing is done about an additional user. Everything else is maintained.

    :raises ReconcileError: for the first user, and for the bucket's name
    """
    for one in found.users[:1]:
        user.check_ownership(wanted, one, proof)
    refusals = check_claims(wanted, sources, found)
    users = [replace(one, refusal=one.refusal or refusals.get(one.wanted.username)) for one in found.users]
    return replace(found, users=tuple(one if one.refusal else _checked(wanted, sources, one, proof) for one in users))


def _checked(wanted: Wanted, sources: Sources, one: FoundUser, proof: Pair | None) -> FoundUser:
    try:
        user.check_ownership(wanted, one, proof)
        user.wait_for_iam(one, sources)
    except ReconcileError as refusal:
        return _refused(one, refusal)
    return one


def _refused(one: FoundUser, refusal: ReconcileError) -> FoundUser:
    """The user, about which nothing is done.

    :raises ReconcileError: for the first user, which everything depends on, and where everything else would fail, too
    """
    if one.wanted.is_first or refusal.reason.is_general:
        raise refusal
    return replace(one, refusal=refusal)
