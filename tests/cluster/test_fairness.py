"""Two namespaces and one operator: the load of one namespace must not starve the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dev.wait import wait_until
from s3bucket.api import GROUP, PLURAL, VERSION
from s3bucket.secrets import SECRET_KEY
from tests.support.operator import Operator, StartOperator, condition, delete, live, wait_ready
from tests.support.world import World

_NOISY = 12
# The runs in progress when the quiet namespace's object is created, and those that start before its event arrives.
_FEW = _NOISY // 2


class Noisy:
    """A namespace with many objects. Each asks for a bucket that another user has already created."""

    def __init__(self, world: World, namespace: str, new_name: Callable[[str], str]) -> None:
        self._world = world
        self.objects = []
        for _ in range(_NOISY):
            name = new_name("noisy")
            world.s3.create_bucket(Bucket=name)
            spec = {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}}
            self.objects.append(world.make_object(namespace, name, spec))

    def flip(self) -> None:
        """Change the spec of each object."""
        for cr in self.objects:
            metadata = cr["metadata"]
            spec = (live(self._world, cr) or {})["spec"]
            self._world.custom.patch_namespaced_custom_object(
                GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"],
                {"spec": {"enableVersioning": not spec.get("enableVersioning", False)}},
            )  # fmt: skip

    def delete(self) -> None:
        """Request the deletion of each object."""
        for cr in self.objects:
            delete(self._world, cr)

    def runs(self, operator: Operator) -> int:
        """The runs for these objects so far."""
        names = {cr["metadata"]["name"] for cr in self.objects}
        return len([line for line in operator.lines("reconciled") if line["name"] in names])

    def left(self) -> list[dict[str, Any]]:
        """The objects that still exist."""
        return [cr for cr in self.objects if live(self._world, cr)]


@pytest.fixture
def quiet(world: World, namespace: str, new_name: Callable[[str], str]) -> Callable[[], dict[str, Any]]:
    """Creates an object in another namespace."""

    def make() -> dict[str, Any]:
        name = new_name("quiet")
        return world.make_object(
            namespace, name, {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}}
        )

    return make


def test_object_of_a_quiet_namespace_is_ready_while_a_noisy_one_has_a_long_backlog(
    world: World,
    namespace: str,
    new_name: Callable[[str], str],
    quiet: Callable[[], dict[str, Any]],
    start_operator: StartOperator,
) -> None:
    other = new_name("noisy")
    world.make_namespace(other)
    noisy = Noisy(world, other, new_name)
    first = quiet()
    operator = start_operator(only=f"{other},{namespace}")
    wait_ready(world, first)
    assert noisy.runs(operator) <= _FEW

    wait_until(lambda: noisy.runs(operator) >= _NOISY, "a run for each noisy object", 240)
    noisy.flip()
    second, before = quiet(), noisy.runs(operator)
    wait_ready(world, second)
    assert noisy.runs(operator) - before <= _FEW

    wait_until(lambda: noisy.runs(operator) >= 2 * _NOISY, "a run for each change", 240)
    noisy.delete()
    third = quiet()
    wait_ready(world, third)
    wait_until(lambda: noisy.left() == [], "all noisy objects gone", 240)
    # They own nothing. The drift check finds that out, so no run is needed.
    assert noisy.runs(operator) == 2 * _NOISY
    assert len(operator.lines("nothing to delete")) == _NOISY


def test_deleted_secret_of_a_quiet_namespace_is_back_while_a_noisy_one_has_much_to_repair(
    world: World,
    namespace: str,
    new_name: Callable[[str], str],
    quiet: Callable[[], dict[str, Any]],
    start_operator: StartOperator,
) -> None:
    other = new_name("noisy")
    world.make_namespace(other)
    mine = quiet()
    noisy = [
        world.make_object(other, name, {"region": "us-east-1", "bucketName": name, "iamUser": {"username": name}})
        for name in (new_name("noisy") for _ in range(6))
    ]
    operator = start_operator(only=f"{other},{namespace}")
    for cr in [mine, *noisy]:
        wait_ready(world, cr)
    before = len(operator.lines("reconciled"))
    for cr in noisy:
        world.core.delete_namespaced_secret(world.wanted(cr).secret_name, other)
    world.core.delete_namespaced_secret(world.wanted(mine).secret_name, namespace)
    wait_until(lambda: world.secret(mine) is not None, "the Secret again")
    wait_until(lambda: len(operator.runs_of(mine)) == 2, "its run logged")
    names = [line["name"] for line in operator.lines("reconciled")][before:]
    assert names.index(mine["metadata"]["name"]) <= 3


def test_edited_secret_is_repaired_while_all_workers_that_only_check_wait_for_aws(
    world: World, quiet: Callable[[], dict[str, Any]], namespace: str, start_operator: StartOperator
) -> None:
    gate, hung, edited = world.aws.gate, quiet(), quiet()
    operator = start_operator("--resync-workers", "1", "--sync-period", "5")
    for cr in (hung, edited):
        wait_ready(world, cr)
    user, before = hung["spec"]["iamUser"]["username"], len(operator.runs_of(edited))
    # The first of both is gone as soon as a check waits. The second is for the further attempts of its request.
    gate.add_fault("ListAccessKeys", delay_s=600, times=1, user=user)
    gate.add_fault("ListAccessKeys", delay_s=600, user=user)
    try:
        wait_until(lambda: len(gate.leftovers()) == 1, "a check waits for AWS")
        checked = operator.reconciles_of(hung)
        name = world.wanted(edited).secret_name
        world.core.patch_namespaced_secret(name, namespace, {"stringData": {SECRET_KEY: "edited"}})
        wait_until(lambda: len(operator.runs_of(edited)) > before, "its run logged")
        assert operator.reconciles_of(hung) == checked
    finally:
        gate.clear_faults()
    assert world.differs(edited) == []


def test_object_whose_run_hangs_is_given_up_waits_long_and_is_served_at_once_when_it_is_edited(
    world: World, quiet: Callable[[], dict[str, Any]], start_operator: StartOperator
) -> None:
    gate, hung = world.aws.gate, quiet()
    gate.arm(hung["spec"]["bucketName"])
    try:
        operator = start_operator("--run-timeout", "20", "--max-concurrent-reconciles", "2")
        assert gate.wait_held(90)
        wait_ready(world, quiet())
        wait_until(lambda: condition(world, hung).get("reason") == "RunTimeout", "RunTimeout")
        assert condition(world, hung, "Stalled")["status"] == "True"
    finally:
        gate.disarm()
    metadata = hung["metadata"]
    world.custom.patch_namespaced_custom_object(
        GROUP, VERSION, metadata["namespace"], PLURAL, metadata["name"], {"spec": {"enableVersioning": True}}
    )
    wait_ready(world, hung, generation=2)
    assert operator.runs_of(hung)[0]["reason"] == "RunTimeout"
