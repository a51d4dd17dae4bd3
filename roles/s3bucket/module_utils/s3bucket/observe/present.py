# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The observation of a present object: first whether everything is owned, then what differs."""

from __future__ import annotations

from .. import children as manifests
from ..capabilities import check_has_iam
from ..errors import ReconcileError
from ..spec import Wanted, check_lockout, check_namespace
from . import bucket, children, role, user
from .account import ask_account, find_bucket
from .claims import check_claims
from .legacy import find_proof
from .observation import Observation
from .removal import deletion_of, find_removed
from .sources import Found, Sources


def observe(wanted: Wanted, sources: Sources) -> Observation:
    """Find what differs for a present object.

    :raises ReconcileError: with the reason and the remedy
    """
    found = _read(wanted, sources)
    host = manifests.service_host(wanted, sources.external_name)
    children.check_ownership(wanted, found.users[:1], found.service if host else None)
    for one in found.users:
        if one.user is not None:
            sources.users.read_rights(one.wanted.username, one.user)
    proof = find_proof(wanted, sources, found)
    bucket.wait_for_s3(wanted, sources, found)
    is_adopting = bucket.check_ownership(wanted, sources, found, proof)
    for one in found.users[:1]:
        user.check_ownership(wanted, one, proof)
    check_claims(wanted, sources, found)
    for one in found.users[:1]:
        user.wait_for_iam(one, sources)
    refusals = _refusals(wanted, sources, found)

    seen = Observation(account=found.account, service=found.service, service_host=host)
    seen.origin = bucket.new_origin(found.bucket, is_adopting) or bucket.recorded_origin(wanted, found.user, proof)
    served = [one for one in found.users if one.wanted.username not in refusals]
    seen.users = [user.begin(wanted, sources, found.account, one) for one in served]
    seen.removed = [deletion_of(one, is_deleted=one.user is not None) for one in found.removed]
    bucket.compare_bucket(wanted, sources, seen, found)
    seen.notes += [f"{field} is not in force: the operator's own tag of this key is" for field in wanted.overridden]
    for mine in seen.users:
        user.compare_user(wanted, sources, seen, mine, proof)
    seen.role = None if found.role_problem else role.compare_role(wanted, sources, found.account, found.role)
    for problem in [found.role_problem] if found.role_problem else seen.role.problems if seen.role else []:
        seen.defer(problem)
    seen.notes += seen.role.notes if seen.role else []
    for refusal in refusals.values():
        seen.defer(refusal)
    children.compare_service(wanted, sources, seen)
    children.check_namespace_lives(wanted, sources, seen)
    if sources.cluster is not None:
        children.try_children(wanted, sources.cluster, seen)
    return seen


def _read(wanted: Wanted, sources: Sources) -> Found:
    """Read what exists, after checking that the spec fits the account."""
    check_has_iam(wanted, sources.capabilities)
    account = ask_account(wanted, sources.sts, sources.sts_of, sources.capabilities)
    check_namespace(wanted, account)
    check_lockout(wanted, account)
    found = find_bucket(wanted, sources, account)
    users = [(one, sources.users.find(one.username)) for one in wanted.users]
    with_secrets = tuple(children.find_user(wanted, sources, one, it) for one, it in users)
    removed = find_removed(wanted, sources, users[0][1]) if users else ()
    of_service = children.find_service(wanted, sources)
    of_role = role.find_role(wanted, sources, has_bucket=found is not None)
    return Found(account, found, with_secrets, of_service, removed, *of_role)


def _refusals(wanted: Wanted, sources: Sources, found: Found) -> dict[str, ReconcileError]:
    """Why nothing is done about an additional user, by its name. Everything else of the object is maintained."""
    refusals = {}
    for one in found.users[1:]:
        try:
            children.check_ownership(wanted, (one,), None)
            user.check_ownership(wanted, one, None)
            user.wait_for_iam(one, sources)
        except ReconcileError as refusal:
            refusals[one.wanted.username] = refusal
    return refusals
