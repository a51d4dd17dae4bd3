"""Outcomes as records, and the names of reasons in files that no type checker reads."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from s3bucket.errors import ReconcileError
from s3bucket.outcome import Outcome, Reason, Retry
from tests.support.world import PROJECT, ROLE

RECORD = Outcome(True, Reason.READY, "a", changed=("tags",), status={"bucketARN": "arn"}).to_record()
# A comparison with a reason, in a task or in a template.
COMPARED = re.compile(r"reason\b[^'\"\n]{0,30}(?:==|!=)\s*'(\w+)'")


def test_record_is_read_back_as_the_outcome() -> None:
    for reason, retry in product(Reason, Retry):
        check_record(reason, retry)


def check_record(reason: Reason, retry: Retry) -> None:
    outcome = Outcome(reason is Reason.READY, reason, "why", retry, ("tags", "acl"), {"bucketARN": "arn"})
    record = outcome.to_record()
    assert Outcome.from_record(record) == outcome
    assert {type(record["reason"]), type(record["retry"])} == {str}, "Ansible takes plain strings only"


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({**RECORD, "reason": "Puzzled"}, "unknown reason Puzzled: a"),
        ({**RECORD, "reason": ["Ready"]}, "unknown reason"),
        ({**RECORD, "retry": "later"}, "unknown retry later"),
        ({**RECORD, "done": "yes"}, "done has a wrong type"),
        ({**RECORD, "changed": "tags", "status": None}, "changed, status has a wrong type"),
        ({"done": True, "reason": "Ready"}, "it has no changed, message, retry, status"),
        ("Ready", "it is not an object"),
    ],
)
def test_record_that_no_version_makes_is_a_failed_run(record: Any, problem: str) -> None:
    outcome = Outcome.from_record(record)
    assert (outcome.is_done, outcome.reason, outcome.retry) == (False, Reason.RUN_FAILED, Retry.TRANSIENT)
    assert problem in outcome.message


def test_error_with_an_unknown_reason_is_a_failed_run() -> None:
    name: Any = "Puzzled"
    assert ReconcileError(name, "why").outcome == Outcome(False, Reason.RUN_FAILED, "why", Retry.TRANSIENT)


@pytest.mark.parametrize("folder", [ROLE / "tasks", ROLE / "vars", PROJECT / "playbooks"], ids=lambda path: path.name)
def test_reasons_in_yaml_are_in_the_list(folder: Path) -> None:
    names = {name for path in folder.rglob("*.yml") for name in COMPARED.findall(path.read_text())}
    assert names <= set(Reason)
    assert names or folder.name == "vars"
