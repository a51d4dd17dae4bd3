"""analytics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_REPORTS = "arn:aws:s3:::s3-operator-example-reports"
_A, _B = {"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}


def _exporting(**target: str) -> dict[str, Any]:
    destination = {"S3BucketDestination": {"Format": "CSV", "Bucket": _REPORTS, **target}}
    return {"StorageClassAnalysis": {"DataExport": {"OutputSchemaVersion": "V_1", "Destination": destination}}}


_PHOTOS = {"Id": "photos", "Filter": {"Prefix": "photos/"}, **_exporting(Prefix="analytics/")}


def _answer(*configurations: dict[str, Any]) -> dict[str, Any]:
    return {"AnalyticsConfigurationList": list(configurations)}


CASES = {
    "example": Case(_answer(_PHOTOS)),
    "each-field": Case(
        _answer(
            {"Id": "all", "StorageClassAnalysis": {}},
            {"Id": "both", "Filter": {"And": {"Prefix": "p/", "Tags": [_B, _A]}}, "StorageClassAnalysis": {}},
            {"Id": "tag", "Filter": {"Tag": _A}, **_exporting(BucketAccountId="123456789012")},
        ),
        {
            "analytics": [
                {"id": "tag", "filter": {"tags": {"a": "1"}},
                 "export": {"bucketARN": _REPORTS, "account": "123456789012", "format": "CSV", "prefix": ""}},
                {"id": "both", "filter": {"prefix": "p/", "tags": {"a": "1", "b": "2"}}},
                {"id": "all"},
            ]
        },
    ),
}  # fmt: skip
CLEARED: dict[str, Any] = {}


def _put(subject: Subject, configuration: dict[str, Any]) -> None:
    subject.world.s3.put_bucket_analytics_configuration(
        Bucket=subject.bucket, Id=configuration["Id"], AnalyticsConfiguration=configuration
    )


ROWS = {
    "analytics-deleted": Row(
        "analytics",
        "analytics[photos]",
        lambda s: s.world.s3.delete_bucket_analytics_configuration(Bucket=s.bucket, Id="photos"),
    ),
    "analytics-without-export": Row(
        "analytics", "analytics[photos]", lambda s: _put(s, {**_PHOTOS, "StorageClassAnalysis": {}})
    ),
    "analytics-to-another-prefix": Row(
        "analytics", "analytics[photos]", lambda s: _put(s, {**_PHOTOS, **_exporting(Prefix="others/")})
    ),
    "analytics-added": Row(
        "analytics", "analytics[others]", lambda s: _put(s, {"Id": "others", "StorageClassAnalysis": {}})
    ),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {}


def _refused(configuration: dict[str, Any]) -> dict[str, Any]:
    return {"analytics": [{"id": "a", **configuration}]}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "analytics-not-a-list": ({"analytics": "all"}, "spec.analytics: must be a list of at most 100 configurations"),
    "analytics-typo": (_refused({"exports": {}}), "spec.analytics[0].exports: there is no such field: use filter, exp"),
    "analytics-export-text": (_refused({"export": "reports"}), "spec.analytics[0].export: must be an object"),
    "analytics-without-bucket": (_refused({"export": {}}), "spec.analytics[0].export.bucketARN: is missing"),
    "analytics-bucket-name": (
        _refused({"export": {"bucketARN": "reports"}}),
        "spec.analytics[0].export.bucketARN: must be the ARN of a bucket, for example arn:aws:s3:::reports",
    ),
    "analytics-account": (
        _refused({"export": {"bucketARN": _REPORTS, "account": "12"}}),
        "spec.analytics[0].export.account: must be an account id of 12 digits",
    ),
    "analytics-format": (
        _refused({"export": {"bucketARN": _REPORTS, "format": "ORC"}}),
        "spec.analytics[0].export.format: must be one of CSV",
    ),
    "analytics-prefix": (
        _refused({"export": {"bucketARN": _REPORTS, "prefix": "a" * 1025}}),
        "spec.analytics[0].export.prefix: may have at most 1024 characters",
    ),
    "analytics-export-typo": (
        _refused({"export": {"bucketARN": _REPORTS, "bucket": "a"}}),
        "spec.analytics[0].export.bucket: there is no such field",
    ),
    "analytics-access-point": (
        _refused({"filter": {"accessPointARN": "a"}}), "spec.analytics[0].filter.accessPointARN: there is no such fie",
    ),
}  # fmt: skip
