# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Storage class analysis: ``analytics``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/analytics-storage-class.html
"""

from __future__ import annotations

from ..configurations import Configurations, check_fields, kind_of, renamed, target_of
from ..filters import filter_from_aws, filter_to_aws, parse_filter
from ..json_types import ApiObject
from ..values import choice_of, given_of

_FORMATS = ("CSV",)
_KEYS = {"bucketARN": "Bucket", "account": "BucketAccountId", "format": "Format", "prefix": "Prefix"}


class Analytics(Configurations):
    """Without an export, AWS shows the analysis in its console only."""

    name = "analytics"
    field = "analytics"
    kind = kind_of("analytics", "Analytics")

    def parse_one(self, given: ApiObject, path: str) -> ApiObject:
        check_fields(given, path, (), ("filter", "export"))
        parts = {"filter": parse_filter(given.get("filter"), f"{path}.filter")}
        if "export" in given:
            parts["export"] = _parse_export(given_of(given["export"], f"{path}.export"), f"{path}.export")
        return {name: part for name, part in parts.items() if part}

    def to_aws(self, value: ApiObject) -> ApiObject:
        analysis: ApiObject = {}
        if "export" in value:
            destination = {"S3BucketDestination": renamed(value["export"], _KEYS)}
            analysis = {"DataExport": {"OutputSchemaVersion": "V_1", "Destination": destination}}
        # Required, also when it is empty.
        found = {"StorageClassAnalysis": analysis}
        return {**found, "Filter": filter_to_aws(value["filter"])} if "filter" in value else found

    def from_aws(self, found: ApiObject) -> ApiObject:
        export = found.get("StorageClassAnalysis", {}).get("DataExport", {})
        target = export.get("Destination", {}).get("S3BucketDestination", {})
        parts = {
            "filter": filter_from_aws(found.get("Filter")),
            "export": renamed(target, {aws: name for name, aws in _KEYS.items()}),
        }
        return {name: part for name, part in parts.items() if part}


def _parse_export(given: ApiObject, path: str) -> ApiObject:
    check_fields(given, path, ("bucketARN",), ("account", "format", "prefix"))
    return {**target_of(given, path), "format": choice_of(given.get("format", "CSV"), f"{path}.format", _FORMATS)}


SETTING = Analytics()
