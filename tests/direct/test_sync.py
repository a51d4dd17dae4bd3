"""sync.yml: which objects it handles, and what it reports at the end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s3bucket.api import GROUP, PLURAL, VERSION
from tests.support.world import NewObject, World, requests_of


def test_sync_prints_one_line_for_each_object_and_goes_on_after_any_failure(
    world: World, new_object: NewObject, namespace: str
) -> None:
    """The role raises an error for the first object. any_errors_fatal is set, as it may be in a user's ansible.cfg."""
    bad, deleted, good = new_object(bucketPolicy='{"Statement": [}'), new_object(iamUser=None), new_object(iamUser=None)
    at, finalizers = (GROUP, VERSION, namespace, PLURAL), {"metadata": {"finalizers": ["agill.apps.s3"]}}
    world.custom.patch_namespaced_custom_object(*at, deleted["metadata"]["name"], finalizers)
    world.custom.delete_namespaced_custom_object(*at, deleted["metadata"]["name"])
    scope, raises = f"s3bucket_namespace={namespace}", "s3bucket_fail_on_error=true"
    run = world.playbook("sync.yml", "-e", scope, "-e", raises, ANSIBLE_ANY_ERRORS_FATAL="1")
    assert run.code != 0, run.output
    assert summary_in(run.output) == {
        bad["metadata"][
            "name"
        ]: "InvalidSpec: spec.bucketPolicy: is not JSON: Expecting value: line 1 column 16 (char 15)",
        deleted["metadata"]["name"]: "Deleted (changed: nothing)",
        good["metadata"]["name"]: "Ready (changed: bucket, service)",
    }
    assert "3 S3 objects, 1 of them not done" in run.output
    assert [item["metadata"]["name"] for item in world.custom.list_namespaced_custom_object(*at)["items"]] == sorted(
        cr["metadata"]["name"] for cr in (bad, good)
    )


def summary_in(output: str) -> dict[str, str]:
    """The lines of the summary, keyed by the object's name."""
    text = output.partition("Ensure a person sees the summary")[2]
    start = text.index('"msg": ') + len('"msg": ')
    summary = json.JSONDecoder().raw_decode(text[start:])[0]
    lines = [line.partition("/")[2].partition(": ") for line in summary["objects"]]
    return {name: outcome for name, _, outcome in lines}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["namespace= "], 's3bucket_namespace (older name: namespace) is given as " "'),
        (["s3bucket_namespace=nowhere"], "there is no namespace nowhere"),
        (["s3bucket_namespace={ns}", "namespace=other"], 'is given as "{ns}" and "other"'),
        (["namespace={ns}", "s3bucket_name=nobody"], "there is no S3 object nobody in namespace {ns}"),
        (["s3bucket_namespace={ns}", "s3bucket_state=absent"], "sync.yml has no s3bucket_state"),
    ],
    ids=["blank", "no-namespace", "both-names", "no-object", "state"],
)
def test_sync_of_a_scope_in_which_nothing_can_be_is_refused(
    world: World, new_object: NewObject, namespace: str, given: list[str], message: str
) -> None:
    new_object(iamUser=None)
    arguments = [word for item in given for word in ("-e", json.dumps(dict([item.format(ns=namespace).split("=")])))]
    with requests_of(world) as requests:
        run = world.playbook("sync.yml", *arguments)
    assert run.code != 0, run.output
    assert message.format(ns=namespace) in " ".join(run.output.replace("\\", "").split()), run.output
    assert requests == []


def test_sync_of_a_namespace_without_objects_does_nothing(world: World, namespace: str) -> None:
    run = world.playbook("sync.yml", "-e", f"namespace={namespace}", "-e", f"s3bucket_namespace={namespace}")
    assert run.code == 0, run.output
    assert "0 S3 objects" in run.output


_LEASES: dict[str, tuple[Any, str]] = {
    "nothing": (None, ""),
    "no-holder": ({"renewTime": "2026-01-01T00:00:00.000000Z", "leaseDurationSeconds": 15}, ""),
    "no-time": ({"holderIdentity": "somebody", "leaseDurationSeconds": 15}, "no valid renewTime"),
    "no-duration": ({"holderIdentity": "somebody", "renewTime": "2026-01-01T00:00:00.000000Z"}, "no valid renewTime"),
    "year-0": (
        {"holderIdentity": "somebody", "leaseDurationSeconds": 15, "renewTime": "0000-01-01T00:00:00.000000Z"},
        "no valid renewTime",
    ),
    "first-year": (
        {"holderIdentity": "somebody", "renewTime": "0001-01-02T00:00:00.000000Z", "leaseDurationSeconds": 15},
        "",
    ),
    "other-zone": (
        {"holderIdentity": "somebody", "renewTime": "2999-01-01T00:00:00.000000+09:00", "leaseDurationSeconds": 15},
        "an operator is running (somebody holds Lease {ns}/other-zone and watches all namespaces)",
    ),
}


def test_playbook_reports_a_malformed_lease_by_name_and_passes_those_that_nobody_holds(
    world: World, namespace: str
) -> None:
    """The Leases are tested one after the other, because the first one that is held ends the run."""
    at = ("coordination.k8s.io", "v1")
    for name, (spec, message) in _LEASES.items():
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "labels": {"agill.apps/lease": "operator"}},
        }
        lease |= {"spec": spec} if spec else {}
        world.custom.create_namespaced_custom_object(*at, namespace, "leases", lease)
        if not message:
            continue
        try:
            # Leases are in UTC, so the local time zone must not matter.
            run = world.playbook("sync.yml", "-e", f"s3bucket_namespace={namespace}", TZ="Asia/Tokyo")
        finally:
            world.custom.delete_namespaced_custom_object(*at, namespace, "leases", name)
        assert run.code != 0, run.output
        text = " ".join(run.output.split())
        assert message.format(ns=namespace) in text
        assert name in text
    run = world.playbook("sync.yml", "-e", f"s3bucket_namespace={namespace}", TZ="Asia/Tokyo")
    assert run.code == 0, run.output
    for name in [name for name, (_, message) in _LEASES.items() if not message]:
        world.custom.delete_namespaced_custom_object(*at, namespace, "leases", name)
