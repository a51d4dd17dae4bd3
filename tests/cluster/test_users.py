"""Several users, and buckets of other objects, with a running operator: without waiting for the next sync."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dev.wait import wait_until
from tests.support.objects import bucket_of, user_of
from tests.support.operator import StartOperator, delete, live, patch, wait_gone, wait_ready
from tests.support.world import NewObject, World, code_of


def status_of(world: World, cr: dict[str, Any]) -> dict[str, Any]:
    item = live(world, cr)
    assert item is not None
    return dict(item["status"])


def test_users_and_grants_follow_the_specs(
    world: World, namespace: str, new_object: NewObject, new_name: Callable[[str], str], start_operator: StartOperator
) -> None:
    operator = start_operator()
    bob, logs_name = new_name("bob"), new_name("logs")
    user = {"username": new_name("user"), "alsoUses": [{"name": logs_name, "accessMode": "ReadOnly"}]}
    app = new_object(iamUser=user, additionalUsers=[{"username": bob}])
    wait_ready(world, app)
    assert [shown["username"] for shown in status_of(world, app)["users"]] == [bob]
    assert "is not in force" in status_of(world, app)["conditions"][0]["message"]

    names = {"bucketName": new_name("bucket"), "iamUser": {"username": new_name("user")}}
    logs = world.make_object(namespace, logs_name, {"region": "us-east-1", **names})
    tenant = world.tenant(app)
    wait_until(lambda: code_of(lambda: tenant.list_objects_v2(Bucket=bucket_of(logs))) == "allowed", "the grant")

    delete(world, logs)
    wait_gone(world, logs)
    own = f"{user_of(app)}-{bucket_of(app)}-s3-restricted"
    wait_until(
        lambda: world.iam.list_user_policies(UserName=user_of(app))["PolicyNames"] == [own], "the end of the grant"
    )

    patch(world, app, {"spec": {"additionalUsers": []}})
    wait_until(lambda: code_of(lambda: world.iam.get_user(UserName=bob)) == "NoSuchEntity", "the end of the user")
    wait_until(lambda: status_of(world, app)["users"] == [], "a status without the user")
    assert operator.stop() == 0
