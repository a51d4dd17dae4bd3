"""What is wrong with ServiceAccounts or associations keeps neither the role nor a deletion from going on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3bucket import owner
from s3bucket.errors import ForbiddenError, ReconcileError
from s3bucket.observe.deletion import Deletion, _plan_role_if_shown
from s3bucket.observe.role import RoleObservation, compare_role
from s3bucket.observe.sources import Found, Sources
from s3bucket.outcome import Reason
from s3bucket.read import listed
from s3bucket.roles import role_rules_of
from s3bucket.spec import Wanted, wanted_of
from s3bucket.state import BucketState, RoleState

ACCOUNT = "111122223333"
ARN = f"arn:aws:iam::{ACCOUNT}:role/photos"
RULES = role_rules_of(
    f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.example.com/id/A",
    f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/production",
    annotates=True,
)
FORBIDDEN = ForbiddenError(Reason.KUBERNETES_ERROR, "no right to read ServiceAccount web")


class Cluster:
    """A cluster in which ServiceAccounts cannot be read."""

    def __init__(self, error: ReconcileError, *, is_terminating: bool = False) -> None:
        self._error = error
        self._is_terminating = is_terminating

    def find_service_account(self, namespace: str, name: str) -> None:
        raise self._error

    def is_terminating(self, namespace: str) -> bool:
        return self._is_terminating


class AWS:
    """An account with the role, and with one association, or one that does not let anyone see it."""

    def __init__(self, tags: dict[str, str], *, association: dict[str, Any] | None = None, error: str = "") -> None:
        self._tags = listed(tags)
        self._association = association
        self._error = error

    def get_role(self, RoleName: str) -> dict[str, Any]:  # noqa: N803 - as in boto3
        return {"Role": {"Arn": ARN, "Tags": self._tags}}

    def get_paginator(self, _: str) -> AWS:
        return self

    def paginate(self, **_: str) -> list[dict[str, Any]]:
        if self._error:
            raise ClientError({"Error": {"Code": self._error, "Message": ""}}, "ListPodIdentityAssociations")
        return [{"associations": [{"associationId": "a-1", "serviceAccount": "web"}]}]

    def describe_pod_identity_association(self, **_: str) -> dict[str, Any]:
        return {"association": self._association}


def wanted_role(defaults: dict[str, Any], **given: Any) -> Wanted:
    role = {"name": "photos", "serviceAccounts": ["web"], **given}
    metadata = {"name": "photos", "namespace": "team", "uid": "u1"}
    spec = {"region": "eu-west-1", "bucketName": "photos", "iamRole": role}
    return wanted_of({"metadata": metadata, "spec": spec}, "cluster", defaults)


def sources_of(aws: AWS, cluster: Any = None) -> Sources:
    none: Any = None
    return Sources(
        none, none, none, cluster, none, datetime.now(UTC), 0, "", iam=aws, role_rules=RULES, eks_of=lambda _: aws
    )


def compare(
    wanted: Wanted, sources: Sources, tags: dict[str, str], *, has_bucket: bool = True
) -> tuple[RoleObservation | None, list[ReconcileError]]:
    bucket = BucketState("eu-west-1", {}) if has_bucket else None
    found = Found(ACCOUNT, bucket, role=RoleState(ARN, tags, {"Statement": []}))
    return compare_role(wanted, sources, found)


@pytest.mark.parametrize("kind", ["annotate", "podIdentity"])
def test_role_is_maintained_although_its_service_accounts_cannot_be_read(defaults: dict[str, Any], kind: str) -> None:
    wanted = wanted_role(defaults, **{kind: True})
    first = owner.SERVICE_ACCOUNTS if kind == "annotate" else owner.ASSOCIATIONS
    tags = {**wanted.own_tags, **owner.names_record(first, ["former"])}
    sources = sources_of(AWS(tags, error="AccessDeniedException"), Cluster(FORBIDDEN))
    mine, problems = compare(wanted, sources, tags)
    assert mine is not None
    # The trust policy that someone has changed, and the policy. The record still has the former ServiceAccount.
    assert (mine.sets, mine.puts_policy, mine.tags.get(first, "former")) == (True, True, "former")
    assert (mine.accounts.differs, mine.associations.differs) == (False, False)
    assert len(problems) == 1
    with pytest.raises(ReconcileError):
        compare(wanted, sources, tags, has_bucket=False)


def test_throttled_read_of_associations_is_not_only_a_problem_of_the_role(defaults: dict[str, Any]) -> None:
    wanted = wanted_role(defaults, podIdentity=True)
    with pytest.raises(ReconcileError) as error:
        compare(wanted, sources_of(AWS({}, error="ThrottlingException")), wanted.own_tags)
    assert error.value.reason is Reason.THROTTLED


@pytest.mark.parametrize("kind", ["annotate", "podIdentity"])
def test_service_accounts_that_cannot_be_read_keep_no_key_from_being_deleted(
    defaults: dict[str, Any], kind: str
) -> None:
    wanted, deletion = wanted_role(defaults, **{kind: True}), Deletion(ACCOUNT, deletes_bucket=True)
    sources = sources_of(AWS(wanted.own_tags, error="AccessDeniedException"), Cluster(FORBIDDEN))
    _plan_role_if_shown(wanted, deletion, sources)
    # The role stays, as its tags record what is left of it; and with the role the bucket.
    assert (deletion.role, len(deletion.deferred), deletion.deletes_bucket) == ("", 1, False)


def test_service_accounts_of_a_terminating_namespace_do_not_keep_the_object(defaults: dict[str, Any]) -> None:
    """The operator's rights in it may be deleted first. The namespace would never end."""
    wanted, deletion = wanted_role(defaults, annotate=True), Deletion(ACCOUNT)
    sources = sources_of(AWS(wanted.own_tags), Cluster(FORBIDDEN, is_terminating=True))
    _plan_role_if_shown(wanted, deletion, sources)
    assert (deletion.role, deletion.deferred) == ("photos", [])


@pytest.mark.parametrize("code", ["ThrottlingException", "UnrecognizedClientException"])
def test_failure_of_every_request_ends_a_deletion(defaults: dict[str, Any], code: str) -> None:
    wanted = wanted_role(defaults, podIdentity=True)
    with pytest.raises(ReconcileError):
        _plan_role_if_shown(wanted, Deletion(ACCOUNT), sources_of(AWS(wanted.own_tags, error=code)))


@pytest.mark.parametrize(
    ("changed", "role", "is_deleted"),
    [
        pytest.param({}, ARN, True, id="own"),
        pytest.param({owner.UID: "u0"}, ARN, True, id="of-an-earlier-object-of-the-name"),
        pytest.param({owner.UID: "u0"}, f"{ARN}-2", False, id="of-an-earlier-object-with-another-role"),
        pytest.param({owner.NAME: "videos"}, ARN, False, id="of-another-object"),
        pytest.param({owner.CLUSTER: "other"}, ARN, False, id="of-another-cluster"),
    ],
)
def test_deletion_removes_each_association_that_it_owns(
    defaults: dict[str, Any], changed: dict[str, str], role: str, *, is_deleted: bool
) -> None:
    """An object that was created again keeps the association, and nothing refreshes the uid in its tags."""
    wanted, deletion = wanted_role(defaults, podIdentity=True), Deletion(ACCOUNT)
    item = {"serviceAccount": "web", "roleArn": role, "tags": {**wanted.own_tags, **changed}}
    _plan_role_if_shown(wanted, deletion, sources_of(AWS(wanted.own_tags, association=item)))
    assert deletion.associations == (["a-1"] if is_deleted else [])
