"""An old answer of AWS after a write is not drift."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3bucket import recent

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
STATUS = {recent.STATUS: recent.record({"cors": "before"}, NOW)}


def test_value_from_before_a_write_is_an_old_answer_for_five_minutes() -> None:
    def old(found: dict[str, str], after_s: float, differs: tuple[str, ...] = ("cors", "versioning")) -> set[str]:
        return recent.old_answers(differs, found, STATUS, NOW + timedelta(seconds=after_s))

    assert old({"cors": "before"}, 0) == {"cors"}
    assert old({"cors": "before"}, 299) == {"cors"}
    assert old({"cors": "before"}, 300) == set()
    # From the future, as only someone else can have written it.
    assert old({"cors": "before"}, -1) == set()
    assert old({"cors": "another"}, 10) == set()
    assert old({}, 10) == set()
    assert old({"cors": "before"}, 10, ("versioning",)) == set()


def test_later_run_keeps_what_an_earlier_one_has_just_written() -> None:
    later = NOW + timedelta(seconds=299)
    written = recent.record({"lifecycle": "none"}, later)
    found = recent.merged(STATUS, written, later)
    assert [(item["aspect"], item["replaced"]) for item in found] == [("cors", "before"), ("lifecycle", "none")]
    assert recent.old_answers(["cors"], {"cors": "before"}, {recent.STATUS: found}, later) == {"cors"}
    # It counts from its own write.
    after = NOW + timedelta(seconds=300)
    assert recent.old_answers(["cors"], {"cors": "before"}, {recent.STATUS: found}, after) == set()
    assert recent.merged(STATUS, written, after) == written
    again = recent.record({"cors": "again"}, later)
    assert recent.merged(STATUS, again, later) == again


def test_what_others_write_into_the_record_does_not_make_it_grow() -> None:
    listed = [{"aspect": name, "replaced": "x" * 9999, "time": "2026-11-26T12:00:00Z", "more": 1}
              for name in ["cors", "cors", "no-setting", "acl"]]  # fmt: skip
    found = recent.merged({recent.STATUS: [*listed, "text"]}, [], NOW)
    assert [(item["aspect"], len(str(item["replaced"])), len(item)) for item in found] == [("cors", 64, 3)]


@pytest.mark.parametrize(
    "listed", [None, "text", [None], [{"aspect": "cors"}], [{"aspect": "cors", "replaced": "before", "time": 7}],
               [{"aspect": "cors", "replaced": "before", "time": "2026-11-26T12:00:00"}]],
)  # fmt: skip
def test_record_that_cannot_be_read_is_none(listed: Any) -> None:
    assert recent.old_answers(["cors"], {"cors": "before"}, {recent.STATUS: listed}, NOW) == set()


def test_digest_is_that_of_the_meaning() -> None:
    assert recent.digest([{"a": frozenset({"x", "y"}), "b": 1}]) == recent.digest(
        [{"b": 1, "a": frozenset({"y", "x"})}]
    )
    assert recent.digest([1, 2]) != recent.digest([2, 1])
    assert recent.digest(None) != recent.digest([])
    assert recent.digest({"a": "1"}) != recent.digest({"a": 1})
