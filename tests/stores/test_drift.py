"""The drift matrix of the role against versitygw: each row that the store can have."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from dev.examples import example_fields
from runner.drift.check import DriftCheck
from s3bucket.settings import BY_NAME
from tests.role.test_drift import EQUAL_FORMS, ROWS, assert_repaired, spec_to_break
from tests.role.test_drift import lasting as lasting
from tests.support.drift import cached, set_as_operator
from tests.support.settings import OPTIONAL, Row, Subject, make_subject
from tests.support.store import StoreWorld, lack
from tests.support.world import PROJECT


@pytest.fixture(scope="module")
def subject(world: StoreWorld, new_name: Callable[[str], str]) -> Subject:
    """An object with all settings that the store's buckets can have, but those that restrict others."""
    examples = {item.name: example_fields(item.name) for item in OPTIONAL if item.name in world.supported}
    alone = {name: fields for name, fields in examples.items() if list(fields) == [BY_NAME[name].field]}
    optional = {field: value for fields in alone.values() for field, value in fields.items()}
    subject = make_subject(world, new_name, "drift", {**spec_to_break(new_name), **optional})
    subject.retag(lambda tags: tags.update({"cost-center": "42"}))
    return subject


@pytest.fixture
def check(world: StoreWorld, monkeypatch: pytest.MonkeyPatch) -> DriftCheck:
    """The operator's own drift check."""
    set_as_operator(world, monkeypatch)
    return DriftCheck(PROJECT, world.settings, cached)


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_drift_is_reported_and_repaired_and_nothing_else_changes(
    world: StoreWorld, subject: Subject, check: DriftCheck, row: Row
) -> None:
    if row.aspect in BY_NAME:
        world.require(BY_NAME[row.aspect])
        if BY_NAME[row.aspect].is_optional and BY_NAME[row.aspect].field not in subject.cr["spec"]:
            pytest.skip(f"{row.field} needs other fields, which the store does not have")
    if row is ROWS["acl-opened"]:
        lack("PutPublicAccessBlock")
    assert_repaired(subject, check, row)


@pytest.mark.parametrize("name", EQUAL_FORMS)
def test_other_form_of_the_same_is_no_drift(world: StoreWorld, subject: Subject, name: str) -> None:
    try:
        EQUAL_FORMS[name](subject)
    except ClientError as error:
        lack(f"what {name} writes ({error.response['Error']['Code']})")
    assert world.differs(subject.cr) == []
