"""metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_POINT = "arn:aws:s3:us-east-1:123456789012:accesspoint/photos"
_A, _B = {"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}
_PHOTOS = {"Id": "photos", "Filter": {"Prefix": "photos/"}}


def _answer(*configurations: dict[str, Any]) -> dict[str, Any]:
    return {"MetricsConfigurationList": list(configurations)}


CASES = {
    "example": Case(_answer({"Id": "EntireBucket"}, _PHOTOS)),
    "each-predicate": Case(
        _answer(
            {"Id": "1", "Filter": {"Tag": _A}},
            {"Id": "2", "Filter": {"AccessPointArn": _POINT}},
            {"Id": "3", "Filter": {"And": {"Prefix": "p/", "Tags": [_B, _A], "AccessPointArn": _POINT}}},
            {"Id": "photos"},
        ),
        {
            "metrics": [
                {"id": "photos", "filter": {"prefix": ""}},
                {"id": "3", "filter": {"prefix": "p/", "tags": {"a": "1", "b": ""}, "accessPointARN": _POINT}},
                {"id": "2", "filter": {"accessPointARN": _POINT}},
                {"id": "1", "filter": {"tags": {"a": "1"}}},
            ]
        },
    ),
    "none": Case({}, {"metrics": []}),
}
CLEARED: dict[str, Any] = {}


def _put(subject: Subject, configuration: dict[str, Any]) -> None:
    subject.world.s3.put_bucket_metrics_configuration(
        Bucket=subject.bucket, Id=configuration["Id"], MetricsConfiguration=configuration
    )


ROWS = {
    "metrics-deleted": Row(
        "metrics",
        "metrics[EntireBucket]",
        lambda s: s.world.s3.delete_bucket_metrics_configuration(Bucket=s.bucket, Id="EntireBucket"),
    ),
    "metrics-filter-removed": Row("metrics", "metrics[photos]", lambda s: _put(s, {"Id": "photos"})),
    "metrics-added": Row("metrics", "metrics[others]", lambda s: _put(s, {"Id": "others"})),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "metrics-empty-prefix": lambda s: _put(s, {"Id": "EntireBucket", "Filter": {"Prefix": ""}}),
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "metrics-not-a-list": ({"metrics": {}}, "spec.metrics: must be a list of at most 100 configurations"),
    "metrics-too-many": (
        {"metrics": [{"id": str(number)} for number in range(101)]},
        "spec.metrics: must be a list of at most 100 configurations",
    ),
    "metrics-text": ({"metrics": ["all"]}, "spec.metrics[0]: must be an object"),
    "metrics-without-id": ({"metrics": [{}]}, "spec.metrics[0].id: is missing"),
    "metrics-id": ({"metrics": [{"id": "a b"}]}, "spec.metrics[0].id: must be 1 to 64 of A-Z"),
    "metrics-id-long": ({"metrics": [{"id": "a" * 65}]}, "spec.metrics[0].id: must be 1 to 64 of A-Z"),
    "metrics-id-number": ({"metrics": [{"id": 1}]}, "spec.metrics[0].id: must be a string"),
    "metrics-id-twice": (
        {"metrics": [{"id": "a"}, {"id": "a"}]}, "spec.metrics[1].id: there is another configuration with the id a",
    ),
    "metrics-typo": (
        {"metrics": [{"id": "a", "prefix": "b/"}]}, "spec.metrics[0].prefix: there is no such field: use filter",
    ),
    "metrics-filter": (
        {"metrics": [{"id": "a", "filter": {"suffix": "b"}}]},
        "spec.metrics[0].filter.suffix: there is no such field",
    ),
    "metrics-access-point": (
        {"metrics": [{"id": "a", "filter": {"accessPointARN": "photos"}}]},
        "spec.metrics[0].filter.accessPointARN: must be the ARN of an access point",
    ),
}  # fmt: skip
