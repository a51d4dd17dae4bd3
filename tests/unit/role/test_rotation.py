"""The rotation of a working key: what is due when, and that no interruption loses a key that applications use."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from s3bucket import owner
from s3bucket.errors import ReconcileError
from s3bucket.keys import MAX_KEYS, KeyPlan, Pair, Turn, fingerprint_of, plan_keys
from s3bucket.rotation import (
    REPORTING_DELAY,
    UNTRACKED,
    LastUse,
    OldKey,
    Phase,
    Rotation,
    Step,
    digest_of,
    ends_at,
    is_kept_by,
    needs_last_use,
    next_step,
    rotation_of,
)

START = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ROTATION = Rotation(interval_s=90 * 86_400)
A, B, C, UNMANAGED = "AKIAA", "AKIAB", "AKIAC", "AKIAOTHER"


def pair(key: str) -> Pair:
    return Pair(key, fingerprint_of(key))


def old_key(key: str = A, phase: Phase = Phase.OVERLAP, since: datetime = START) -> OldKey:
    return OldKey(key, fingerprint_of(key), phase, since)


def turn(now: datetime, old: OldKey | None = None, **fields: Any) -> Turn:
    tags = {owner.OLD_KEY: str(old)} if old else {}
    return Turn(
        now=now,
        **{
            "rotation": ROTATION,
            "created": dict.fromkeys((A, B), START),
            **fields,
            "tags": {**tags, **fields.get("tags", {})},
        },
    )


# What is due about an old key.


@pytest.mark.parametrize(
    ("after", "last_use", "step"),
    [
        pytest.param(DAY - HOUR, None, Step.WAIT, id="in-the-grace-period"),
        pytest.param(DAY, LastUse(), Step.WAIT, id="a-use-may-not-be-shown-yet"),
        pytest.param(DAY + REPORTING_DELAY, LastUse(), Step.DEACTIVATE, id="never-used"),
        pytest.param(DAY + REPORTING_DELAY, LastUse(START - HOUR), Step.DEACTIVATE, id="used-before-the-change"),
        pytest.param(DAY + REPORTING_DELAY, LastUse(START + HOUR), Step.IN_USE, id="used-since-the-change"),
        pytest.param(DAY + REPORTING_DELAY + HOUR, LastUse(START + HOUR), Step.DEACTIVATE, id="unused-for-a-day"),
        pytest.param(6 * DAY, LastUse(START + 6 * DAY), Step.IN_USE, id="in-use-for-days"),
        pytest.param(7 * DAY, LastUse(START + 7 * DAY), Step.DEACTIVATE, id="in-use-at-the-latest-end"),
        pytest.param(7 * DAY, None, Step.DEACTIVATE, id="latest-end-needs-no-read"),
        pytest.param(DAY, UNTRACKED, Step.DEACTIVATE, id="without-information-time-decides"),
        pytest.param(DAY - HOUR, UNTRACKED, Step.WAIT, id="without-information-in-the-grace-period"),
        pytest.param(6 * DAY, LastUse(problem="denied"), Step.WAIT, id="unreadable-counts-as-used"),
    ],
)
def test_next_step_of_an_overlap(after: timedelta, last_use: LastUse | None, step: Step) -> None:
    found = next_step(old_key(), START + after, ROTATION, is_active=True, is_kept=False, last_use=last_use)
    assert found is step


@pytest.mark.parametrize(
    ("after", "phase", "is_active", "is_kept", "step"),
    [
        pytest.param(HOUR, Phase.DRAINING, False, False, Step.WAIT, id="drains"),
        pytest.param(DAY, Phase.DRAINING, False, False, Step.DELETE, id="drained"),
        pytest.param(30 * DAY, Phase.DRAINING, False, True, Step.ACTIVATE, id="kept"),
        pytest.param(30 * DAY, Phase.OVERLAP, True, True, Step.WAIT, id="kept-already"),
        pytest.param(HOUR, Phase.OVERLAP, False, False, Step.DEACTIVATE, id="inactive-but-not-recorded"),
        pytest.param(HOUR, Phase.OVERLAP, False, True, Step.ACTIVATE, id="inactive-but-kept"),
        pytest.param(HOUR, Phase.DRAINING, True, False, Step.ACTIVATE, id="activated-by-hand"),
        pytest.param(timedelta(seconds=9), Phase.DRAINING, True, False, Step.WAIT, id="iam-lags"),
        pytest.param(-HOUR, Phase.OVERLAP, True, False, Step.RESTART, id="recorded-by-a-wrong-clock"),
        pytest.param(-HOUR, Phase.DRAINING, False, False, Step.RESTART, id="draining-recorded-by-a-wrong-clock"),
        pytest.param(timedelta(seconds=-9), Phase.DRAINING, False, False, Step.WAIT, id="clocks-differ-by-seconds"),
    ],
)
def test_next_step_by_phase_and_status(
    after: timedelta, phase: Phase, is_active: bool, is_kept: bool, step: Step
) -> None:
    old = old_key(phase=phase)
    assert next_step(old, START + after, ROTATION, is_active=is_active, is_kept=is_kept) is step


def test_last_use_is_read_only_after_the_grace_period() -> None:
    moments = [timedelta(0), DAY - HOUR, DAY, 7 * DAY]
    needed = [needs_last_use(old_key(), True, START + moment, ROTATION) for moment in moments]
    assert needed == [False, False, True, False]
    draining = old_key(phase=Phase.DRAINING)
    needed = [needs_last_use(draining, False, START + moment, ROTATION) for moment in (HOUR, DAY)]
    assert needed == [True, False]


@pytest.mark.parametrize(
    ("old", "step", "is_kept", "ends"),
    [
        (old_key(), Step.WAIT, False, START + DAY),
        (old_key(), Step.IN_USE, False, START + 7 * DAY),
        (old_key(phase=Phase.DRAINING), Step.WAIT, False, START + DAY),
        (old_key(), Step.WAIT, True, None),
    ],
)
def test_end_of_the_phase(old: OldKey, step: Step, is_kept: bool, ends: datetime | None) -> None:
    assert ends_at(old, ROTATION, step, is_kept=is_kept) == ends


def test_old_key_parse_reads_what_str_wrote() -> None:
    assert OldKey.parse(str(old_key())) == old_key()
    assert len(str(old_key("A" * 128))) <= 256


@pytest.mark.parametrize("text", ["", "-", "AKIA:x overlap", "AKIA:x later 2026-11-26T12:00:00Z", "AKIA overlap never"])
def test_old_key_parse_of_another_text_is_none(text: str) -> None:
    assert OldKey.parse(text) is None


@pytest.mark.parametrize(("text", "is_kept"), [("true", True), ("INC-7", True), ("", False), ("False", False)])
def test_annotation_keep_old_key(text: str, is_kept: bool) -> None:
    assert is_kept_by(text) is is_kept


def test_digest_is_of_what_the_operator_keeps_of_an_annotation() -> None:
    assert digest_of("a" * 256) == digest_of("a" * 300) != digest_of("b")
    assert digest_of("") == ""


# The field.


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, None),
        ({}, Rotation()),
        ({"interval": "90d"}, Rotation(90 * 86_400)),
        ({"interval": "12h", "gracePeriod": "30m", "maxGracePeriod": "1h"}, Rotation(43_200, 1800, 3600)),
        ({"maxGracePeriod": "1h"}, Rotation(None, 3600, 3600)),
        ({"gracePeriod": "30d"}, Rotation(None, 30 * 86_400, 30 * 86_400)),
    ],
)
def test_rotation_of_reads_durations(given: object, found: Rotation | None) -> None:
    assert rotation_of(given, "spec.iamUser.keyRotation") == found


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"spec\.iamUser\.keyRotation: must be an object"),
        ({"interval": 90}, r"keyRotation\.interval: is not a duration"),
        ({"interval": "090d"}, r"keyRotation\.interval: is not a duration"),
        ({"interval": "1w"}, r"keyRotation\.interval: is not a duration"),
        ({"interval": "999999d"}, r"keyRotation\.interval: is not a duration"),
        ({"interval": "٣d"}, r"keyRotation\.interval: is not a duration"),
        ({"interval": "59m"}, r"keyRotation\.interval: must be 1h to 3650d"),
        ({"gracePeriod": "91d"}, r"keyRotation\.gracePeriod: must be 1m to 90d"),
        ({"maxGracePeriod": "366d"}, r"keyRotation\.maxGracePeriod: must be 1m to 365d"),
        ({"gracePeriod": "2d", "maxGracePeriod": "1d"}, r"keyRotation\.maxGracePeriod: must not be shorter"),
    ],
)
def test_rotation_of_refuses_by_name(given: object, message: str) -> None:
    with pytest.raises(ReconcileError, match=message):
        rotation_of(given, "spec.iamUser.keyRotation")


# What happens to the keys.


def test_key_of_its_interval_is_replaced_and_kept() -> None:
    now = START + 90 * DAY
    plan = plan_keys({A: "Active"}, pair(A), None, pair(A), turn(now))
    assert (plan.create, plan.replaces, plan.live) == (True, A, A)
    assert (plan.delete_first, plan.delete_after) == ([], [])
    assert plan.record == {owner.OLD_KEY: str(old_key(since=now))}
    # An operator from before this tag deletes no key that this one names.
    assert plan.unmanaged_tag == A


@pytest.mark.parametrize(
    ("requested", "answered", "creates"),
    [("new", "", True), ("new", "old", True), ("new", "new", False), ("", "old", False)],
)
def test_rotation_on_request_happens_once(requested: str, answered: str, creates: bool) -> None:
    asked = turn(START, rotation=Rotation(), requested=requested, tags={owner.ROTATED: answered} if answered else {})
    plan = plan_keys({A: "Active"}, pair(A), None, pair(A), asked)
    assert plan.create is creates
    assert (owner.ROTATED in plan.record) is creates


def test_second_request_waits_for_the_end_of_the_first_rotation() -> None:
    again = turn(START, old_key(), requested="second", tags={owner.ROTATED: "first"})
    assert not plan_keys({A: "Active", B: "Active"}, pair(B), None, pair(B), again).differs
    drained = turn(START + DAY, old_key(phase=Phase.DRAINING), requested="second", tags={owner.ROTATED: "first"})
    plan = plan_keys({A: "Inactive", B: "Active"}, pair(B), None, pair(B), drained)
    assert (plan.create, plan.delete_after) == (False, [A])


def test_rotation_beside_an_unmanaged_key_is_refused_by_its_name() -> None:
    plan = plan_keys({A: "Active", UNMANAGED: "Active"}, pair(A), None, pair(A), turn(START + 90 * DAY))
    assert UNMANAGED in plan.problem
    assert (plan.differs, plan.live, plan.unmanaged) == (False, A, [UNMANAGED])


OVERLAP = {A: "Active", B: "Active"}


@pytest.mark.parametrize(
    ("listed", "recorded", "unmanaged_tag", "in_secret", "old", "expected"),
    [
        pytest.param(
            OVERLAP, A, A, A, None,
            {"create": True, "delete_first": [B], "replaces": A}, id="killed-before-the-record",
        ),
        pytest.param(
            OVERLAP, B, A, A, old_key(),
            {"create": True, "delete_first": [B], "replaces": A}, id="killed-before-the-secret",
        ),
        pytest.param(
            OVERLAP, B, A, B, old_key(), {"create": False, "rotation_in_progress": True}, id="killed-before-the-end"
        ),
        pytest.param(
            OVERLAP, B, None, None, old_key(),
            {"create": True, "delete_first": [A], "delete_after": [B], "record": {owner.OLD_KEY: "-"}, "old": None},
            id="secret-deleted-in-the-overlap",
        ),
        pytest.param(
            {B: "Active", C: "Active"}, B, None, None, old_key(C),
            {"create": True, "delete_first": [C], "delete_after": [B]}, id="secret-deleted-and-the-new-key-is-last",
        ),
        pytest.param(
            OVERLAP, B, None, Pair("x", "y"), old_key(),
            {"create": True, "delete_first": [A], "delete_after": [B]},
            id="secret-edited-in-the-overlap",
        ),
        pytest.param(
            OVERLAP, B, None, A, old_key(),
            {"create": False, "live": A, "is_restored": True, "delete_after": [],
             "record": {owner.KEY: str(pair(A)), owner.OLD_KEY: str(old_key(B, since=START + 90 * DAY))}},
            id="old-copy-of-the-secret-restored-in-the-overlap",
        ),
        pytest.param(
            {A: "Inactive", B: "Active"}, B, None, A, old_key(phase=Phase.DRAINING),
            {"create": True, "delete_first": [A], "delete_after": [], "replaces": B},
            id="old-copy-of-the-secret-restored-while-draining",
        ),
        pytest.param(
            {A: "Active", UNMANAGED: "Active"}, B, f"{A} {UNMANAGED}", A, old_key(),
            {"create": False, "live": A, "is_restored": True}, id="unmanaged-key-took-the-slot-of-the-new-one"
        ),
        pytest.param(
            {A: "Active", B: "Inactive"}, B, None, B, old_key(),
            {"create": True, "delete_first": [A], "delete_after": [B]}, id="new-key-made-inactive",
        ),
        pytest.param(
            {A: "Active"}, B, "-", None, old_key(),
            {"create": True, "delete_after": [A], "record": {owner.OLD_KEY: "-"}}, id="only-the-old-key-is-left",
        ),
    ],
)  # fmt: skip
def test_state_that_a_kill_or_a_person_left(
    listed: dict[str, str],
    recorded: str,
    unmanaged_tag: str | None,
    in_secret: str | Pair | None,
    old: OldKey | None,
    expected: dict[str, Any],
) -> None:
    held = pair(in_secret) if isinstance(in_secret, str) else in_secret
    # By its age alone, any key would be due.
    plan = plan_keys(listed, pair(recorded), unmanaged_tag, held, turn(START + 90 * DAY, old, rotation=replace(
        ROTATION, max_grace_s=400 * 86_400, grace_s=400 * 86_400)))  # fmt: skip
    assert {name: getattr(plan, name) for name in expected} == expected
    assert plan.differs


@pytest.mark.parametrize(("key", "old"), [(B, old_key()), (A, old_key())], ids=["deleted-in-aws", "is-the-live-key"])
def test_record_of_no_old_key_is_removed(key: str, old: OldKey) -> None:
    plan = plan_keys({key: "Active"}, pair(key), None, pair(key), turn(START, old))
    assert (plan.removed_tags, plan.create, plan.old) == ([owner.OLD_KEY], False, None)


def test_plan_that_must_not_change_keys_keeps_what_it_knows() -> None:
    plan = plan_keys({A: "Active"}, pair(A), None, pair(A), turn(START + 90 * DAY)).without_changes()
    assert (plan.live, plan.differs) == (A, False)


# All interruptions: a model of IAM and the Secret, on which each plan is executed in the order of access.yml.


@dataclass
class Account:
    """The keys and tags of one user, and the Secret."""

    now: datetime = START
    listed: dict[str, str] = field(default_factory=dict)
    created: dict[str, datetime] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    secret: Pair | None = None
    unmanaged: set[str] = field(default_factory=set)
    requested: str = ""
    is_kept: bool = False
    used: dict[str, datetime] = field(default_factory=dict)
    rotation: Rotation = ROTATION
    made: int = 0
    budget: int = 99

    def write(self) -> None:
        """Count a write; the process is killed before the first one beyond the budget."""
        if self.budget <= 0:
            raise InterruptedError
        self.budget -= 1

    def create(self) -> str:
        self.write()
        assert len(self.listed) < MAX_KEYS, "AWS allows no third key"
        self.made += 1
        key = f"AKIA{self.made:04}"
        self.listed[key], self.created[key] = "Active", self.now
        return key

    def delete(self, key: str) -> None:
        self.write()
        del self.listed[key]

    def set_status(self, key: str, status: str) -> None:
        self.write()
        self.listed[key] = status

    def put_tags(self, tags: dict[str, str]) -> None:
        self.write()
        self.tags |= tags

    def plan(self) -> KeyPlan:
        old = OldKey.parse(self.tags.get(owner.OLD_KEY, ""))
        due = Turn(
            now=self.now,
            rotation=self.rotation,
            requested=self.requested,
            is_kept=self.is_kept,
            created=self.created,
            tags=dict(self.tags),
            last_use=LastUse(self.used.get(old.id)) if old else None,
        )
        recorded = Pair.parse(self.tags.get(owner.KEY, ""))
        return plan_keys(dict(self.listed), recorded, self.tags.get(owner.UNMANAGED_KEYS), self.secret, due)

    def run(self, budget: int = 99) -> None:
        """One run of the role, killed before the write after ``budget``."""
        self.budget = budget
        try:
            self._run(self.plan())
        except InterruptedError:
            return

    def _run(self, plan: KeyPlan) -> None:
        if plan.create and self.tags.get(owner.UNMANAGED_KEYS) != plan.unmanaged_tag:
            self.put_tags({owner.UNMANAGED_KEYS: plan.unmanaged_tag})
        for key in plan.delete_first:
            self.delete(key)
        if plan.create:
            key = self.create()
            self.put_tags({owner.KEY: str(pair(key)), **plan.record})
            self.write()
            self.secret = pair(key)
        for status in plan.to_record()["statuses"]:
            self.set_status(status["id"], "Active" if status["active"] else "Inactive")
        for key in plan.delete_after:
            self.delete(key)
        if plan.create or plan.rotation_in_progress or plan.is_step:
            self.write()
            self.tags |= {} if plan.create else plan.record
            for tag in (owner.UNMANAGED_KEYS, *plan.removed_tags):
                self.tags.pop(tag, None)


class Rotations(RuleBasedStateMachine):
    """Time passes, people do what they do, and each run may be killed at any write."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account()
        # The keys that the Secret held since it was deleted or edited last, and when each was replaced.
        self.replaced_at: dict[str, datetime] = {}
        self.is_intact = True

    @initialize()
    def issue(self) -> None:
        self.account.run()

    def run(self, budget: int) -> None:
        account, before = self.account, self.account.secret
        account.run(budget)
        if account.secret != before and before is not None and self.is_intact:
            self.replaced_at[before.id] = account.now
        if account.secret is not None and account.secret != before:
            self.is_intact = True

    @rule(budget=st.integers(0, 6))
    def killed_run(self, budget: int) -> None:
        self.run(budget)

    @rule()
    def whole_runs(self) -> None:
        """Two runs, because one may end an unfinished rotation and the next begin one."""
        self.run(99)
        self.run(99)
        account = self.account
        assert owner.UNMANAGED_KEYS not in account.tags
        own = [key for key in account.listed if key not in account.unmanaged]
        old = OldKey.parse(account.tags.get(owner.OLD_KEY, ""))
        assert account.secret is not None
        assert sorted(own) == sorted({account.secret.id} | ({old.id} if old else set())), "a key is in no record"

    @rule(hours=st.sampled_from([1, 5, 24, 29, 24 * 7, 24 * 91]))
    def time_passes(self, hours: int) -> None:
        self.account.now += timedelta(hours=hours)

    @rule(key=st.integers(0, 9))
    def old_key_is_used(self, key: int) -> None:
        account = self.account
        active = [name for name, status in account.listed.items() if status == "Active"]
        if active:
            account.used[active[key % len(active)]] = account.now

    @rule(value=st.sampled_from(["", "1", "2"]))
    def request(self, value: str) -> None:
        self.account.requested = value

    @rule(is_kept=st.booleans())
    def keep(self, is_kept: bool) -> None:
        self.account.is_kept = is_kept

    @rule(chosen=st.sampled_from([Rotation(), ROTATION, Rotation(3600, 60, 60)]))
    def change_rotation(self, chosen: Rotation) -> None:
        self.account.rotation = chosen

    @rule()
    def secret_is_deleted(self) -> None:
        self.account.secret = None
        self.is_intact = False
        self.replaced_at.clear()

    @precondition(lambda self: len(self.account.listed) < MAX_KEYS)
    @rule()
    def unmanaged_key_is_created(self) -> None:
        account = self.account
        account.budget = 1
        # While a rotation is unfinished, the operator cannot distinguish a key without a record from its own.
        if owner.UNMANAGED_KEYS not in account.tags:
            account.unmanaged.add(account.create())

    @rule()
    def unmanaged_keys_are_deleted(self) -> None:
        account = self.account
        for key in account.unmanaged & set(account.listed):
            del account.listed[key]
        account.unmanaged.clear()

    @invariant()
    def the_secret_holds_a_key_that_works(self) -> None:
        account = self.account
        if self.is_intact and account.secret is not None:
            assert account.listed.get(account.secret.id) == "Active"

    @invariant()
    def an_unmanaged_key_is_never_deleted(self) -> None:
        assert self.account.unmanaged <= set(self.account.listed)

    @invariant()
    def an_old_key_works_for_its_grace_period(self) -> None:
        account = self.account
        for key, since in self.replaced_at.items():
            if self.is_intact and account.now < since + timedelta(seconds=60):
                assert account.listed.get(key) == "Active", f"{key} was replaced at {since}"


Rotations.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRotations = Rotations.TestCase


@pytest.mark.parametrize(
    ("given", "is_short"),
    [
        ({}, False),
        ({"interval": "90d"}, False),
        ({"interval": "2d"}, False),
        ({"interval": "47h"}, True),
        ({"interval": "1h", "gracePeriod": "30m"}, False),
        ({"interval": "90d", "gracePeriod": "90d"}, True),
    ],
)
def test_interval_that_the_grace_periods_do_not_leave_room_for_is_short(given: dict[str, str], is_short: bool) -> None:
    found = rotation_of(given, "spec.iamUser.keyRotation")
    assert found is not None
    assert found.is_interval_short is is_short
