"""lifecycleRules: what the tables of tests/settings/lifecycle.py cannot show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from s3bucket.defaults import defaults_of
from s3bucket.json_types import ApiObject
from s3bucket.settings.lifecycle import SETTING
from s3bucket.spec import wanted_of

SMALL = "varies_by_storage_class"
RULE = {"id": "a", "expiration": {"days": 1}}


def want(**spec: Any) -> ApiObject | None:
    """The wanted value of an object, where the operator's defaults have a minimum size."""
    cr = {"metadata": {"name": "a"}, "spec": {"region": "eu-west-1", "bucketName": "a-bucket", **spec}}
    found: ApiObject | None = wanted_of(cr, "", defaults_of({"lifecycleMinimumObjectSize": SMALL})).settings[
        "lifecycle"
    ]
    return found


def test_size_of_the_operators_defaults_is_for_objects_with_rules() -> None:
    assert want() is None
    assert want(lifecycleRules=[]) == SETTING.new_bucket
    assert want(lifecycleRules=[RULE]) == {"rules": [{**RULE, "enabled": True, "filter": {}}], "size": SMALL}


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2030, 1, 1, tzinfo=UTC), "2030-01-01"),
        (datetime(2030, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "2030-01-01"),
        (datetime(2030, 1, 1, 1, tzinfo=UTC), "2030-01-01T01:00:00+00:00"),
    ],
    ids=["midnight", "in-another-zone", "not-midnight"],
)
def test_date_of_an_answer_is_compared_in_utc(moment: datetime, expected: str) -> None:
    answer = {"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": {"Date": moment}}]}
    assert SETTING.read.take(answer)["rules"][0]["expiration"] == {"date": expected}
