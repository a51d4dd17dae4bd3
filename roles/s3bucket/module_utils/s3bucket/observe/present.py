# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The observation of a present object: first whether everything is owned, then what differs."""

from __future__ import annotations

from .. import children as manifests
from ..keys import Pair
from ..spec import Wanted, check_lockout, check_namespace
from . import bucket, children, user
from .account import ask_account, find_bucket
from .claims import check_claims
from .legacy import find_proof
from .observation import Observation
from .sources import Found, Sources


def observe(wanted: Wanted, sources: Sources) -> Observation:
    """Find what differs for a present object.

    :raises ReconcileError: with the reason and the remedy
    """
    found = _read(wanted, sources)
    host = manifests.service_host(wanted, sources.external_name)
    children.check_ownership(wanted, found.secret, found.service if host else None)
    if found.user is not None:
        sources.users.read_rights(wanted.username, found.user)
    proof = find_proof(wanted, sources, found)
    bucket.wait_for_s3(wanted, sources, found)
    is_adopting = bucket.check_ownership(wanted, found, proof)
    user.check_ownership(wanted, found.user, proof)
    check_claims(wanted, sources, found)
    user.wait_for_iam(wanted, sources, found)

    seen = Observation(account=found.account, secret=found.secret, service=found.service, service_host=host)
    seen.origin = bucket.new_origin(found.bucket, is_adopting) or bucket.recorded_origin(wanted, found.user, proof)
    new_arn = sources.rules.arn_of(wanted.partition, found.account, wanted.username)
    seen.user_arn = found.user.arn if found.user else new_arn
    bucket.compare_bucket(wanted, sources, seen, found)
    seen.notes += [
        f"spec.tags[{key}] is not in force: the operator's own tag of this key is" for key in wanted.overridden_tags
    ]
    _compare_user(wanted, sources, seen, found, proof)
    children.compare_service(wanted, sources, seen)
    children.check_namespace_lives(wanted, sources, seen)
    if sources.cluster is not None:
        children.try_children(wanted, sources.cluster, seen)
    return seen


def _read(wanted: Wanted, sources: Sources) -> Found:
    """Read what exists, after checking that the spec fits the account."""
    account = ask_account(wanted, sources.sts, sources.sts_of)
    check_namespace(wanted, account)
    check_lockout(wanted, account)
    found = find_bucket(wanted, sources, account)
    owned = sources.users.find(wanted.username) if wanted.username else None
    secret, service = children.find_children(wanted, sources)
    return Found(account, found, owned, secret, service)


def _compare_user(wanted: Wanted, sources: Sources, seen: Observation, found: Found, proof: Pair | None) -> None:
    if wanted.username:
        user.compare_user(wanted, sources, seen, found, proof)
    if found.user is not None:
        problem = user.find_rights_problem(wanted, sources.rules, found.user)
        if problem:
            seen.defer_key(problem)
