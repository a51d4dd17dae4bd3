"""abac."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

CASES = {
    "example": Case({"AbacStatus": {"Status": "Enabled"}}),
    "off": Case({"AbacStatus": {"Status": "Disabled"}}, {"abac": False}),
}
CLEARED = {"AbacStatus": {"Status": "Disabled"}}


def _turn_off(subject: Subject) -> None:
    subject.world.s3.put_bucket_abac(Bucket=subject.bucket, AbacStatus={"Status": "Disabled"})


ROWS = {"abac-off": Row("abac", "abac", _turn_off)}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {}
REFUSED = {"abac-text": ({"abac": "Enabled"}, "spec.abac: must be true or false")}
