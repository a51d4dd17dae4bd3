"""A missing namespace is reported before the first write to AWS, in a run and in check mode."""

from __future__ import annotations

from typing import Any

import pytest

from s3bucket.errors import NoSuchNamespaceError
from s3bucket.observe import observe
from tests.role.test_check_mode import foretell
from tests.support.world import World, requests_of


@pytest.fixture
def misplaced(new_name: Any) -> dict[str, Any]:
    """An object from a file, in a namespace that does not exist."""
    name = new_name("misplaced")
    return {
        "apiVersion": "agill.apps/v1alpha1",
        "kind": "S3",
        "metadata": {"name": name, "namespace": new_name("nowhere")},
        "spec": {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}},
    }


def test_run_in_a_missing_namespace_creates_nothing_as_check_mode_predicts(
    world: World, misplaced: dict[str, Any]
) -> None:
    predicted, _ = foretell(world, misplaced)
    with requests_of(world) as requests:
        outcome = world.reconcile(misplaced).outcome
    assert [request["action"] for request in requests if request["write"]] == []
    namespace = misplaced["metadata"]["namespace"]
    assert outcome["message"] == (
        f"metadata.namespace: namespace {namespace} does not exist: create it (kubectl create namespace {namespace}), "
        "or correct the field. Nothing was changed"
    )
    assert (outcome["done"], outcome["reason"], outcome["retry"]) == (False, "KubernetesError", "transient")
    assert {name: predicted[name] for name in ("done", "reason", "message")} == {
        name: outcome[name] for name in ("done", "reason", "message")
    }


@pytest.mark.parametrize("lacks", ["user", "service"])
def test_missing_namespace_is_found_for_an_object_with_one_child(
    world: World, misplaced: dict[str, Any], lacks: str
) -> None:
    if lacks == "user":
        del misplaced["spec"]["iamUser"]
    else:
        misplaced["spec"]["service"] = {"enabled": False}
    with pytest.raises(NoSuchNamespaceError):
        observe(world.wanted(misplaced), world.sources())
