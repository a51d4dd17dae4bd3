"""The gate's EKS Pod Identity associations, seen from a client."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dev.aws import Aws
from tests.support.gate import code_of

ROLE, OTHER = (f"arn:aws:iam::123456789012:role/{name}" for name in ("photos", "other"))


@pytest.fixture
def eks(aws: Aws) -> Any:
    return aws.client("eks", region_name="us-west-2")


def test_association_is_created_once_listed_without_role_and_tags_and_deleted(
    aws: Aws, eks: Any, new_name: Callable[[str], str]
) -> None:
    place = {"clusterName": new_name("cluster"), "namespace": "team"}
    names = [new_name("account") for _ in range(3)]
    for name in names:
        made = eks.create_pod_identity_association(**place, serviceAccount=name, roleArn=ROLE, tags={"a": "b"})
    assert made["association"]["associationArn"].startswith(
        f"arn:aws:eks:us-west-2:123456789012:podidentityassociation/{place['clusterName']}/a-"
    )
    again = {**place, "serviceAccount": names[0], "roleArn": OTHER}
    assert code_of(lambda: eks.create_pod_identity_association(**again)) == "ResourceInUseException"
    pages = eks.get_paginator("list_pod_identity_associations").paginate(**place)
    listed = {item["serviceAccount"]: item for page in pages for item in page["associations"]}
    assert set(listed) == set(names)
    assert not any({"roleArn", "tags"} & set(item) for item in listed.values())
    assert eks.list_pod_identity_associations(**{**place, "namespace": "other"})["associations"] == []
    one = {"clusterName": place["clusterName"], "associationId": listed[names[0]]["associationId"]}
    aws.gate.change_association(names[0], OTHER)
    shown = eks.describe_pod_identity_association(**one)["association"]
    assert (shown["roleArn"], shown["tags"]) == (OTHER, {"a": "b"})
    eks.delete_pod_identity_association(**one)
    for call in (eks.describe_pod_identity_association, eks.delete_pod_identity_association):
        assert code_of(lambda call=call: call(**one)) == "ResourceNotFoundException"
    assert code_of(lambda: eks.list_pod_identity_associations(clusterName="missing")) == "ResourceNotFoundException"
