# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""CloudWatch request metrics: ``metrics``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/metrics-configurations.html
"""

from __future__ import annotations

import re

from ..configurations import Configurations, check_fields, kind_of
from ..filters import filter_from_aws, filter_to_aws, parse_filter
from ..json_types import ApiObject
from ..values import invalid

_PREDICATES = ("prefix", "tags", "accessPointARN")
_ACCESS_POINT = re.compile(r"arn:aws[a-z-]*:s3:[a-z0-9-]+:[0-9]{12}:accesspoint/[a-z0-9-]{3,50}")


class Metrics(Configurations):
    """A configuration without a filter is for the whole bucket. AWS refuses an empty filter, so none is sent."""

    name = "metrics"
    field = "metrics"
    kind = kind_of("metrics", "Metrics")

    def parse_one(self, given: ApiObject, path: str) -> ApiObject:
        check_fields(given, path, (), ("filter",))
        selected = parse_filter(given.get("filter"), f"{path}.filter", _PREDICATES)
        if "accessPointARN" in selected and not _ACCESS_POINT.fullmatch(selected["accessPointARN"]):
            example = "arn:aws:s3:eu-west-1:123456789012:accesspoint/photos"
            raise invalid(f"{path}.filter.accessPointARN", f"must be the ARN of an access point, for example {example}")
        return {"filter": selected} if selected else {}

    def to_aws(self, value: ApiObject) -> ApiObject:
        return {"Filter": filter_to_aws(value["filter"])} if "filter" in value else {}

    def from_aws(self, found: ApiObject) -> ApiObject:
        selected = filter_from_aws(found.get("Filter"))
        return {"filter": selected} if selected else {}


SETTING = Metrics()
