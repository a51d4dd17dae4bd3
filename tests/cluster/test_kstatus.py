"""The status of an S3 object according to Helm 4, Flux and Argo CD.

Helm 4 and Flux use the library kstatus. Argo CD uses the health check in the docs.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import lupa
import pytest

from dev.binaries import find_own_program
from dev.wait import wait_until
from runner.control.status import status_of
from runner.objects import S3Object
from s3bucket.api import API_VERSION, GROUP, PLURAL, VERSION
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.fakes import READY, make_item
from tests.support.operator import StartOperator, condition, delete, live, wait_gone, wait_ready
from tests.support.world import PROJECT, NewObject, World

_NOW = "2026-01-01T00:00:00Z"
_ARGO = PROJECT / "docs" / "argocd-health.lua"

# Each kstatus result, and the matching health status of Argo CD.
_HEALTH = {"InProgress": "Progressing", "Current": "Healthy", "Failed": "Degraded", "Terminating": "Progressing"}


def kstatus_of(item: dict[str, Any]) -> str:
    """The status that the library kstatus computes."""
    program = find_own_program(PROJECT / "dev" / "kstatus")
    given = json.dumps([{"apiVersion": API_VERSION, "kind": "S3", **item}])
    done = subprocess.run([program], input=given, capture_output=True, text=True, check=True, timeout=60)
    return str(json.loads(done.stdout)[0])


def health_of(item: dict[str, Any]) -> str:
    """The result of Argo CD's interpreter: Lua with only the basic libraries."""
    lua = lupa.LuaRuntime()
    lua.globals().obj = lua.table_from(item, recursive=True)
    return str(lua.execute(_ARGO.read_text())["status"])


def statuses_of(item: dict[str, Any]) -> str:
    """The status according to kstatus. Argo CD's health status must agree with it."""
    found = kstatus_of(item)
    assert health_of(item) == _HEALTH[found]
    return found


def item_after(*outcomes: Outcome, **metadata: Any) -> dict[str, Any]:
    """An object with a status that was published for these outcomes, one after the other."""
    item = make_item(**metadata)
    item["status"] = {"observedGeneration": -1}
    for outcome in outcomes:
        item["status"] = status_of(S3Object(item), outcome, _NOW) or item["status"]
    return item


def failed(reason: Reason, retry: str) -> Outcome:
    return Outcome(False, reason, "why", retry)


PENDING = failed(Reason.PENDING, Retry.TRANSIENT)


@pytest.mark.parametrize(
    ("item", "status"),
    [
        pytest.param(item_after(), "InProgress", id="not-seen-yet"),
        pytest.param(item_after(PENDING), "InProgress", id="announced"),
        pytest.param(item_after(PENDING, READY), "Current", id="ready"),
        pytest.param(item_after(READY, Outcome(True, Reason.READY, drift=("policy",))), "Current", id="drift-reported"),
        pytest.param(item_after(failed(Reason.INVALID_SPEC, Retry.PERMANENT)), "Failed", id="invalid-spec"),
        pytest.param(item_after(failed(Reason.CONFLICT, Retry.PERMANENT)), "Failed", id="conflict"),
        pytest.param(item_after(failed(Reason.TOO_MANY_KEYS, Retry.SLOW)), "Failed", id="needs-a-person"),
        pytest.param(item_after(failed(Reason.ACCESS_DENIED, Retry.TRANSIENT)), "Failed", id="access-denied"),
        pytest.param(item_after(failed(Reason.CREDENTIALS_INVALID, Retry.TRANSIENT)), "Failed", id="credentials"),
        pytest.param(item_after(failed(Reason.RUN_TIMEOUT, Retry.TRANSIENT)), "Failed", id="run-timeout"),
        pytest.param(item_after(failed(Reason.THROTTLED, Retry.TRANSIENT)), "InProgress", id="throttled"),
        pytest.param(item_after(failed(Reason.WAITING_FOR_IAM, Retry.TRANSIENT)), "InProgress", id="waiting-for-iam"),
        pytest.param(
            item_after(READY, failed(Reason.THROTTLED, Retry.TRANSIENT)), "InProgress", id="ready-then-throttled"
        ),
        pytest.param(item_after(failed(Reason.CONFLICT, Retry.PERMANENT), READY), "Current", id="failed-then-ready"),
        pytest.param(item_after(READY, deletionTimestamp=_NOW), "Terminating", id="being-deleted"),
        pytest.param(
            item_after(failed(Reason.BUCKET_NOT_EMPTY, Retry.SLOW), deletionTimestamp=_NOW),
            "Terminating",
            id="not-empty",
        ),
    ],
)
def test_status_means_to_others_what_it_means(item: dict[str, Any], status: str) -> None:
    assert statuses_of(item) == status


def test_changed_spec_is_in_progress_until_it_is_acted_on() -> None:
    for outcome in (READY, failed(Reason.CONFLICT, Retry.PERMANENT)):
        item = item_after(outcome)
        item["metadata"]["generation"] = 2
        assert statuses_of(item) == "InProgress"


@pytest.mark.parametrize("retry", ["none", "immediate", "transient", "slow", "permanent"])
def test_conditions_of_kstatus_exist_only_while_they_are_true_and_never_both(retry: str) -> None:
    outcome = READY if retry == "none" else failed(Reason.AWS_ERROR, retry)
    conditions = item_after(failed(Reason.CONFLICT, Retry.PERMANENT), outcome)["status"]["conditions"]
    found = {one["type"]: one["status"] for one in conditions if one["type"] in ("Reconciling", "Stalled")}
    wanted = {"none": {}, "immediate": {"Reconciling": "True"}, "transient": {"Reconciling": "True"}}
    assert found == wanted.get(retry, {"Stalled": "True"})


def test_object_of_the_api_server_is_in_progress_until_an_operator_has_seen_it(
    world: World, new_object: NewObject, new_name: Callable[[str], str], start_operator: StartOperator
) -> None:
    bucket = new_name("unowned")
    world.s3.create_bucket(Bucket=bucket)
    good, bad = new_object(), new_object(bucketName=bucket)
    for cr in (good, bad):
        item = live(world, cr)
        assert item is not None
        assert item["status"] == {"observedGeneration": -1}
        assert statuses_of(item) == "InProgress"
    operator = start_operator()
    wait_ready(world, good)
    wait_until(lambda: condition(world, bad, "Stalled"), "Stalled")
    assert statuses_of(live(world, good) or {}) == "Current"
    assert statuses_of(live(world, bad) or {}) == "Failed"
    # One run and one progress status each: the status that Kubernetes fills in by default is not mistaken for one of
    # the operator.
    assert [len(operator.runs_of(cr)) for cr in (good, bad)] == [1, 1]
    world.custom.patch_namespaced_custom_object(
        GROUP, VERSION, bad["metadata"]["namespace"], PLURAL, bad["metadata"]["name"],
        {"spec": {"bucketName": bucket, "enableVersioning": True}},
    )  # fmt: skip
    wait_until(lambda: condition(world, bad, "Stalled").get("observedGeneration") == 2, "the new generation")
    delete(world, good)
    wait_gone(world, good)
