"""A sample of ``make chaos``: a kill at every write of a creation and of a deletion, and some of its random moments."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.chaos.cases import WRITES, Case, Write, at_random, every_write
from tests.chaos.rig import Rig
from tests.support.world import World

# A fixed seed gives the same cases each time. make chaos uses other seeds. A kill of the warm process, and a stock run,
# each cost a start of Ansible.
_SEED = 570
_QUICK = [case for case in at_random(_SEED, 200) if case.executor == "warm" and case.target in ("run", "task")]
# Only after each write, because that is also before the next one. Cases that start Ansible again are in _SLOW.
_EVERY = [
    case
    for flow in ("create", "delete-plain")
    for case in every_write("warm", flow, targets=("run", "task"), whens=("after",))
]
_SLOW = [
    "create,warm,warm,aws:CreateAccessKey#1:after",
    "rotate,operator,warm,aws:CreateAccessKey#1:after",
    "overlap,run,warm,aws:CreateAccessKey#1:after",
    "overlap,task,warm,aws:TagUser#2:after",
    "overlap,operator,warm,kubernetes:PATCH secrets#1:after",
    "drain,run,warm,aws:UpdateAccessKey#1:after",
    "drained,task,warm,aws:DeleteAccessKey#1:after",
    "user-added,task,warm,aws:CreateUser#1:after",
    "user-removed,run,warm,kubernetes:DELETE secrets#1:after",
    "move,run,warm,kubernetes:POST configmaps#1:after",
    "role-added,task,warm,aws:CreateRole#1:after",
    "role-repaired,run,warm,aws:UpdateAssumeRolePolicy#1:after",
    "delete,run,warm,aws:DeleteRole#1:after",
    "delete,operator,warm,kubernetes:PATCH s3s#1:before",
    "settings,run,warm,aws:PutBucketTagging#1:after",
    "settings,task,warm,aws:PutBucketReplication#1:after",
    "settings,run,warm,aws:PutBucketMetricsConfiguration#1:after",
    "rotate,task,stock,kubernetes:POST secrets#1:before,unmanaged-key",
]


@pytest.fixture(scope="module")
def rig(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(world, tmp_path_factory.mktemp("chaos")) as made:
        yield made


@pytest.mark.parametrize("flow", WRITES)
def test_table_of_writes_is_what_a_run_writes(rig: Rig, flow: str) -> None:
    assert tuple(rig.writes(flow)) == WRITES[flow]


@pytest.mark.parametrize("case", [*_EVERY, *map(Case.parse, _SLOW)], ids=str)
def test_kill_at_a_write_heals_at_the_next_run(rig: Rig, case: Case) -> None:
    assert rig.do(case)


# The others are tried by make chaos.
@pytest.mark.parametrize("flow", ["create", "rotate", "overlap", "drain", "drained", "repair", "settings", "delete"])
def test_kill_at_random_heals_at_the_next_run(rig: Rig, flow: str) -> None:
    """Tries moments until a process was killed: at a random moment the run may be over, or have no task."""
    for case in [case for case in _QUICK if case.flow == flow][:10]:
        try:
            was_killed = rig.do(case)
        except (AssertionError, TimeoutError) as error:
            raise AssertionError(f"python -m tests.chaos '{case}'") from error
        if was_killed:
            return
    pytest.fail("no case killed anything")


@pytest.mark.parametrize("case", [Case("create", "run", "warm", 0.25), *every_write("stock", "delete")], ids=str)
def test_case_is_replayed_by_its_text(case: Case) -> None:
    assert Case.parse(str(case)) == case


def test_cases_at_random_are_the_same_for_the_same_seed() -> None:
    assert at_random(7, 20) == at_random(7, 20)
    assert at_random(7, 20) != at_random(8, 20)


def test_write_is_counted_from_its_text() -> None:
    assert Write.parse("aws:TagUser#2:after") == Write("aws", "TagUser", 2, "after")
