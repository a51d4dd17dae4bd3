"""An object with a user that may also use another object's bucket is checked when that bucket comes or goes."""

from __future__ import annotations

from typing import Any

import pytest

from runner.control.handlers import ObjectHandler
from runner.control.queue import Lane, WorkQueue
from runner.kube.cache import Cache
from runner.objects import Key, S3Object

APP, LOGS = ("team", "app"), ("team", "logs")


def an_object(key: Key, uses: tuple[str, ...] = (), ready: str = "True", **metadata: Any) -> S3Object:
    user = {"username": key[1], "alsoUses": [{"name": name} for name in uses]}
    status = {
        "conditions": [{"type": "Ready", "status": ready, "observedGeneration": 1}],
        "bucketARN": "arn:aws:s3:::b",
    }
    return S3Object(
        {
            "metadata": {"namespace": key[0], "name": key[1], "uid": key[1], "generation": 1, **metadata},
            "spec": {"bucketName": "b", "iamUser": user},
            "status": status,
        }
    )


class Rig:
    def __init__(self) -> None:
        self.queue = WorkQueue()
        self.handler = ObjectHandler(self.queue, 300, Cache(S3Object.from_item))

    def served(self) -> list[tuple[Key, Lane]]:
        """What is due now."""
        found = []
        while due := self.queue.get(0):
            self.queue.done(due[0])
            found.append(due)
        return found


@pytest.fixture
def rig() -> Rig:
    made = Rig()
    made.handler.change("ADDED", an_object(APP, uses=("logs",)))
    made.served()
    return made


def test_object_that_becomes_ready_has_its_users_checked(rig: Rig) -> None:
    rig.handler.change("ADDED", an_object(LOGS, ready="False"))
    assert sorted(rig.served()) == [(APP, Lane.RESYNC), (LOGS, Lane.FRESH)]
    rig.handler.change("MODIFIED", an_object(LOGS))
    assert rig.served() == [(APP, Lane.RESYNC)]
    # A write of the status that changes none of this is no reason.
    rig.handler.change("MODIFIED", an_object(LOGS, resourceVersion="2"))
    assert rig.served() == []


def test_object_that_is_deleted_has_its_users_checked(rig: Rig) -> None:
    rig.handler.change("ADDED", an_object(LOGS))
    rig.served()
    rig.handler.change("MODIFIED", an_object(LOGS, deletionTimestamp="2026-01-01T00:00:00Z"))
    assert (APP, Lane.RESYNC) in rig.served()
    rig.handler.change("DELETED", an_object(LOGS))
    assert (APP, Lane.RESYNC) in rig.served()


def test_only_objects_that_use_it_now_in_its_namespace_are_checked(rig: Rig) -> None:
    rig.handler.change("ADDED", an_object(("other", "logs")))
    assert rig.served() == [(("other", "logs"), Lane.FRESH)]
    rig.handler.change("MODIFIED", an_object(APP, generation=2))
    rig.served()
    rig.handler.change("ADDED", an_object(LOGS))
    assert rig.served() == [(LOGS, Lane.FRESH)]


def test_objects_of_a_list_are_references_too() -> None:
    made = Rig()
    made.handler.replace_all([an_object(APP, uses=("logs",)), an_object(LOGS)])
    made.served()
    made.handler.replace_all([an_object(APP, uses=("logs",))])
    assert (APP, Lane.RESYNC) in made.served()


@pytest.mark.parametrize("value", [None, "logs", ["logs"], {"name": "logs"}, [{"name": None}]], ids=str)
def test_any_value_of_the_field_is_taken(value: Any) -> None:
    item = an_object(APP).item
    item["spec"]["iamUser"]["alsoUses"] = value
    made = Rig()
    made.handler.change("ADDED", S3Object(item))
    assert made.served() == [(APP, Lane.FRESH)]


def test_usernames_are_those_of_all_users() -> None:
    item = an_object(APP).item
    item["spec"]["additionalUsers"] = [{"username": "bob"}, {}, "carol", {"username": "dave"}]
    assert S3Object(item).usernames == ("app", "bob", "dave")
