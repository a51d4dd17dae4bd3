"""EKS Pod Identity associations, which moto does not have: stored and returned here, as AWS does.

https://docs.aws.amazon.com/eks/latest/APIReference/API_CreatePodIdentityAssociation.html,
https://docs.aws.amazon.com/eks/latest/APIReference/API_ListPodIdentityAssociations.html,
https://docs.aws.amazon.com/eks/latest/APIReference/API_DescribePodIdentityAssociation.html,
https://docs.aws.amazon.com/eks/latest/APIReference/API_DeletePodIdentityAssociation.html. Every cluster exists, but one
with the name ``missing``. The role is not read: an association with a role that does not exist is taken.
"""

from __future__ import annotations

import json
import uuid
from typing import Any

from .answers import Answer, error
from .calls import ACCOUNT, Call

# What a summary has: neither the role nor the tags.
# https://docs.aws.amazon.com/eks/latest/APIReference/API_PodIdentityAssociationSummary.html
_SUMMARY = ("associationArn", "associationId", "clusterName", "namespace", "serviceAccount")
_PAGE = 2
# By id.
_STORED: dict[str, dict[str, Any]] = {}


def answer_association(call: Call) -> Answer | None:
    """Store, return or delete an association; None for requests to other services."""
    if call.service != "eks":
        return None
    if call.query.get("clusterName") == "missing":
        return error(call, 404, "ResourceNotFoundException", "No cluster found for name: missing.")
    if call.action == "CreatePodIdentityAssociation":
        return _create(call)
    if call.action == "ListPodIdentityAssociations":
        return _list(call)
    found = _STORED.get(call.query.get("associationId", ""))
    if found is None or found["clusterName"] != call.query["clusterName"]:
        return error(call, 404, "ResourceNotFoundException", "The association is not found")
    if call.action == "DeletePodIdentityAssociation":
        del _STORED[found["associationId"]]
    return _json({"association": found})


def _create(call: Call) -> Answer:
    given, cluster = json.loads(call.body), call.query["clusterName"]
    place = (cluster, given["namespace"], given["serviceAccount"])
    if place in [(item["clusterName"], item["namespace"], item["serviceAccount"]) for item in _STORED.values()]:
        return error(call, 409, "ResourceInUseException", "Association already exists")
    id_ = f"a-{uuid.uuid4().hex[:17]}"
    arn = f"arn:aws:eks:{call.region}:{ACCOUNT}:podidentityassociation/{cluster}/{id_}"
    names = ("namespace", "serviceAccount", "roleArn", "tags")
    _STORED[id_] = {
        **{name: given[name] for name in names if name in given},
        "clusterName": cluster, "associationId": id_, "associationArn": arn,
    }  # fmt: skip
    return _json({"association": _STORED[id_]})


def _list(call: Call) -> Answer:
    filters = {name: call.query[name] for name in ("clusterName", "namespace", "serviceAccount") if name in call.query}
    found = [item for item in _STORED.values() if filters.items() <= item.items()]
    start = int(call.query.get("nextToken", 0))
    page = [{name: item[name] for name in _SUMMARY} for item in found[start : start + _PAGE]]
    more = {"nextToken": str(start + _PAGE)} if len(found) > start + _PAGE else {}
    return _json({"associations": page, **more})


def change_association(account: str, role_arn: str) -> None:
    """Give the associations of a ServiceAccount another role, as UpdatePodIdentityAssociation does."""
    for item in _STORED.values():
        if item["serviceAccount"] == account:
            item["roleArn"] = role_arn


def forget() -> None:
    """Forget all associations."""
    _STORED.clear()


def _json(value: Any) -> Answer:
    return Answer(200, json.dumps(value).encode(), {"Content-Type": "application/json"})
