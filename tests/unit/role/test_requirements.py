"""A botocore that lacks what the role needs is named before any request."""

from __future__ import annotations

import copy
from typing import Any

import botocore.session
import pytest
from botocore.model import ServiceModel

from s3bucket.aspects import OPERATIONS
from s3bucket.requirements import find_outdated


@pytest.fixture(scope="module")
def model() -> dict[str, Any]:
    loader = botocore.session.get_session().get_component("data_loader")
    found: dict[str, Any] = loader.load_service_model("s3", "service-2")
    return copy.deepcopy(found)


def test_installed_botocore_is_not_outdated(model: dict[str, Any]) -> None:
    assert find_outdated(ServiceModel(model, "s3"), OPERATIONS) == ""


def test_botocore_without_an_operation_of_a_setting_is_outdated(model: dict[str, Any]) -> None:
    kept = {name: one for name, one in model["operations"].items() if name not in ("GetBucketAbac", "PutBucketAbac")}
    problem = find_outdated(ServiceModel({**model, "operations": kept}, "s3"), OPERATIONS)
    assert "is too old to send GetBucketAbac, PutBucketAbac: " in problem
    assert "pip install --upgrade boto3 botocore" in problem
