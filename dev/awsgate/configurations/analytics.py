"""Configurations of storage class analysis.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketAnalyticsConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListBucketAnalyticsConfigurations.html
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from .. import listed
from ..calls import Call
from .model import Configuration, malformed, not_set, text_of

_QUERY = "analytics"


def _accept(call: Call, root: Element) -> Element:
    if root.tag != "AnalyticsConfiguration":
        raise malformed()
    listed.check_children(root, ("Id", "StorageClassAnalysis"), ("Filter",))
    listed.check_filter(root, "Prefix")
    listed.check_id(call, root, _QUERY)
    for analysis in root.iter("StorageClassAnalysis"):
        listed.check_children(analysis, (), ("DataExport",))
    for export in root.iter("DataExport"):
        _check_export(call, export)
    return root


def _check_export(call: Call, export: Element) -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_StorageClassAnalysisDataExport.html
    listed.check_children(export, ("OutputSchemaVersion", "Destination"))
    target = export.find("Destination/S3BucketDestination")
    if target is None or text_of(export, "OutputSchemaVersion") != "V_1":
        raise malformed()
    listed.check_children(target, ("Bucket", "Format"), ("BucketAccountId", "Prefix"))
    if text_of(target, "Format") != "CSV":
        raise malformed()
    listed.check_destination(call, target)


CONFIGURATION = Configuration(
    _QUERY, not_set("NoSuchConfiguration"), _accept, list_root="ListBucketAnalyticsConfigurationsResult"
)
