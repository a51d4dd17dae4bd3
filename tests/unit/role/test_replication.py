"""Replication rules that others wrote and that no spec can ask for are a difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from s3bucket.settings.replication import SETTING

DESTINATION = {"bucketARN": "arn:aws:s3:::replica"}
WANTED = SETTING.parse({"role": "arn:aws:iam::1:role/a", "rules": [{"id": "all", "destination": DESTINATION}]})


def make_first_version(rule: dict[str, Any]) -> None:
    # It selects the same objects, and replicates delete markers.
    for name in ("Filter", "Priority", "DeleteMarkerReplication"):
        del rule[name]
    rule["Prefix"] = ""


UNREADABLE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "first-version": make_first_version,
    "not": lambda rule: rule.update(Filter={"Not": {"Prefix": "a"}}),
    "and-not": lambda rule: rule.update(Filter={"And": {"Prefix": "", "Not": {"Prefix": "a"}}}),
}


@pytest.mark.parametrize("edit", [None, *UNREADABLE.values()], ids=["own", *UNREADABLE])
def test_rule_that_selects_other_objects_or_has_the_first_version_differs(
    edit: Callable[[dict[str, Any]], Any] | None,
) -> None:
    (call,) = SETTING.calls(WANTED)
    if edit:
        edit(call.arguments["ReplicationConfiguration"]["Rules"][0])
    found = SETTING.read.take(call.arguments)
    assert (SETTING.canonical(found) != SETTING.canonical(WANTED)) == bool(edit)
