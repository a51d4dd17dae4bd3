# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The annotation of ServiceAccounts with the ARN of an S3 object's IAM role. Pure.

A second annotation names the S3 object that set the first one. So an annotation of others is never overwritten and
never removed, also if it has the same value. The role's tags record the ServiceAccounts, so that those that the spec no
longer has are found.
https://docs.aws.amazon.com/eks/latest/userguide/associate-service-account-role.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .json_types import ApiObject
from .owner import PREFIX

ROLE_ARN = "eks.amazonaws.com/role-arn"
SET_BY = PREFIX + "role-arn-set-by"


@dataclass(frozen=True)
class Annotations:
    """What is to be done about ServiceAccounts, as they were read.

    ``added``: they get the annotation, or get it back. ``removed``: the annotation of an earlier run is removed.
    ``missing``: names that the spec gives and that do not exist. ``conflicts``: those with an annotation of others, in
    words.
    """

    added: tuple[ApiObject, ...] = ()
    removed: tuple[ApiObject, ...] = ()
    missing: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()

    @property
    def differs(self) -> bool:
        """Whether a run would change a ServiceAccount."""
        return bool(self.added or self.removed)


NONE = Annotations()


def compare(wanted: Mapping[str, ApiObject | None], former: list[ApiObject], arn: str, s3: str) -> Annotations:
    """Find what differs.

    :param wanted: the ServiceAccounts that are to have the annotation, by name; None for one that does not exist
    :param former: others that earlier runs may have annotated
    :param arn: the ARN of the role
    :param s3: the name of the S3 object
    """
    there = {name: account for name, account in wanted.items() if account is not None}
    others = {name: conflict for name, account in there.items() if (conflict := _find_conflict(account, arn, s3))}
    return Annotations(
        tuple(account for name, account in there.items() if name not in others and role_arn_of(account) != arn),
        tuple(account for account in former if is_set_by(account, s3)),
        tuple(name for name in wanted if name not in there),
        tuple(others.values()),
    )


def manifest_of(account: ApiObject, arn: str, s3: str) -> ApiObject:
    """The patch of a ServiceAccount that sets the annotation."""
    return _patch(account, {ROLE_ARN: arn, SET_BY: s3})


def removal_of(account: ApiObject, arn: str) -> ApiObject:
    """The patch that removes the annotation. A value that others have set since stays."""
    is_own = role_arn_of(account) in ("", arn)
    return _patch(account, {SET_BY: None, **({ROLE_ARN: None} if is_own else {})})


def _patch(account: ApiObject, annotations: ApiObject) -> ApiObject:
    metadata = account["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            # Of the ServiceAccount that was read: the API server refuses the patch if it was changed since.
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "annotations": annotations,
        },
    }


def is_set_by(account: ApiObject, s3: str) -> bool:
    """Whether an S3 object of this name set the annotation."""
    return _annotations(account).get(SET_BY) == s3


def role_arn_of(account: ApiObject) -> str:
    """The value of the annotation; empty for none."""
    return _annotations(account).get(ROLE_ARN, "")


def _find_conflict(account: ApiObject, arn: str, s3: str) -> str:
    value, other = role_arn_of(account), _annotations(account).get(SET_BY, s3)
    if value == arn or (not value and other == s3) or is_set_by(account, s3):
        return ""
    by = f"S3 object {other} set" if other != s3 else "this S3 object did not set"
    return f"ServiceAccount {account['metadata']['name']} has the annotation {ROLE_ARN}: {value}, which {by}"


def _annotations(account: ApiObject) -> dict[str, str]:
    return account.get("metadata", {}).get("annotations") or {}
