"""Configurations of CloudWatch request metrics.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketMetricsConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBucketMetricsConfigurations.html
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from .. import listed
from ..calls import Call
from .model import Configuration, malformed, not_set

_QUERY = "metrics"


def _accept(call: Call, root: Element) -> Element:
    if root.tag != "MetricsConfiguration":
        raise malformed()
    listed.check_children(root, ("Id",), ("Filter",))
    listed.check_filter(root, "Prefix", "AccessPointArn")
    listed.check_id(call, root, _QUERY)
    return root


CONFIGURATION = Configuration(
    _QUERY, not_set("NoSuchConfiguration"), _accept, list_root="ListMetricsConfigurationsResult"
)
