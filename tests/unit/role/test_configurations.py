"""Lists of configurations by id: which requests a difference makes, and what a plan shows."""

from __future__ import annotations

from typing import Any
from xml.etree.ElementTree import Element

import pytest

from dev.awsgate.calls import Call
from dev.awsgate.configurations import forget, stored
from dev.awsgate.configurations.metrics import CONFIGURATION
from dev.awsgate.configurations.model import RefusalError, put
from s3bucket.setting import Comparison
from s3bucket.settings import BY_NAME
from s3bucket.spec import wanted_of

METRICS = BY_NAME["metrics"]


def case(defaults: dict[str, Any], wanted: list[dict[str, Any]] | None, found: list[dict[str, Any]]) -> Comparison:
    spec = {"region": "eu-west-1", "bucketName": "photos-bucket", **({} if wanted is None else {"metrics": wanted})}
    cr = {"metadata": {"name": "photos", "namespace": "team", "uid": "u"}, "spec": spec}
    return Comparison(wanted_of(cr, "cluster", defaults), {"metrics": found})


def requests_of(comparison: Comparison) -> list[tuple[str, str]]:
    return [(call.operation.name, call.arguments["Id"]) for call in METRICS.calls(METRICS.argument(comparison))]


def test_only_what_differs_is_written_and_deletions_come_first(defaults: dict[str, Any]) -> None:
    logs = {"id": "logs", "filter": {"prefix": "logs/"}}
    found = [{"id": "all"}, {"id": "logs"}, {"id": "other"}]
    comparison = case(defaults, [{"id": "new"}, {"id": "all", "filter": {}}, logs], found)
    assert METRICS.differs(comparison)
    # Deletions make room below AWS's limit.
    assert requests_of(comparison) == [
        ("DeleteBucketMetricsConfiguration", "other"),
        ("PutBucketMetricsConfiguration", "new"),
        ("PutBucketMetricsConfiguration", "logs"),
    ]
    assert METRICS.plan(comparison) == {
        "metrics[new]": (None, {"id": "new"}),
        "metrics[logs]": ({"id": "logs"}, logs),
        "metrics[other]": ({"id": "other"}, None),
    }


@pytest.mark.parametrize("wanted", [[], None], ids=["empty-list", "no-field"])
def test_nothing_is_deleted_that_was_not_found(defaults: dict[str, Any], wanted: list[Any] | None) -> None:
    assert requests_of(case(defaults, wanted, [])) == []
    assert requests_of(case(defaults, wanted, [{"id": "a"}])) == [("DeleteBucketMetricsConfiguration", "a")]


def test_order_of_configurations_is_no_difference(defaults: dict[str, Any]) -> None:
    assert not METRICS.differs(case(defaults, [{"id": "b"}, {"id": "a"}], [{"id": "a"}, {"id": "b"}]))


def test_gate_has_aws_limit_of_1000_configurations() -> None:
    bucket, root = "full-bucket", Element("MetricsConfiguration")
    put(root, "Id", "new")
    call = Call("s3", "PutBucketMetricsConfiguration", bucket, query={"metrics": "", "id": "new"})
    try:
        stored(bucket, "metrics").update({str(number): root for number in range(1000)})
        with pytest.raises(RefusalError, match="TooManyConfigurations"):
            CONFIGURATION.accept(call, root)
        stored(bucket, "metrics").pop("0")
        assert CONFIGURATION.accept(call, root) is root
    finally:
        forget(bucket)
