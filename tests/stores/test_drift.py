"""The drift matrix of the role against a store: each row that the store can have."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dev.examples import example_fields
from s3bucket.setting import Setting
from s3bucket.settings import BY_NAME
from tests.role.test_drift import EQUAL_FORMS, WAVES, assert_repaired, spec_to_break
from tests.support.drift import set_as_operator
from tests.support.settings import OPTIONAL, Row, Subject, Wave, make_subject
from tests.support.store import StoreWorld


@pytest.fixture(scope="module")
def subject(world: StoreWorld, new_name: Callable[[str], str]) -> Subject:
    """An object with all settings that the store's buckets can have, but those that restrict others."""
    examples = {item.name: example_fields(item.name) for item in OPTIONAL if item.name in world.supported}
    alone = {name: fields for name, fields in examples.items() if list(fields) == [BY_NAME[name].field]}
    optional = {field: value for fields in alone.values() for field, value in fields.items()}
    subject = make_subject(world, new_name, "drift", {**spec_to_break(new_name), **optional})
    subject.retag(lambda tags: tags.update({"cost-center": "42"}))
    return subject


@pytest.mark.parametrize("wave", WAVES.values(), ids=WAVES)
def test_drift_is_reported_and_repaired_and_nothing_else_changes(
    world: StoreWorld, subject: Subject, wave: Wave, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_as_operator(world, monkeypatch)
    lacking = {name: why for name, row in wave.items() if (why := lacked_by(world, subject, name, row))}
    if set(lacking) == set(wave):
        pytest.skip(", ".join(f"{name}: {why}" for name, why in lacking.items()))
    assert_repaired(subject, {name: row for name, row in wave.items() if name not in lacking})


def lacked_by(world: StoreWorld, subject: Subject, name: str, row: Row) -> str:
    """What the store lacks of what the row needs; empty for a row that it can have."""
    if name == "acl-opened":
        return "PutPublicAccessBlock"
    setting = BY_NAME.get(row.aspect)
    if setting is None:
        return ""
    if setting.name not in world.supported:
        return setting.read.operation.name
    needs_others = setting.is_optional and setting.field not in subject.cr["spec"]
    return "other fields that it needs" if needs_others else ""


@pytest.mark.parametrize("name", EQUAL_FORMS)
def test_other_form_of_the_same_is_no_drift(world: StoreWorld, subject: Subject, name: str) -> None:
    # Before anything is sent: to versitygw, the deletion of a setting that it lacks is the deletion of the bucket.
    world.require(setting_of(name))
    EQUAL_FORMS[name](subject)
    assert world.differs(subject.cr) == []


def setting_of(name: str) -> Setting:
    """The setting that a row is about: the longest name with which that of the row begins."""
    found = [known for known in BY_NAME if name.startswith(known.replace("_", "-"))]
    return BY_NAME[max(found, key=len)]
