"""Configurations of the optional archive tiers of S3 Intelligent-Tiering.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketIntelligentTieringConfiguration.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Tiering.html
"""

from __future__ import annotations

from xml.etree.ElementTree import Element

from .. import listed
from ..calls import Call
from .model import Configuration, invalid, malformed, not_set, text_of

_QUERY = "intelligent-tiering"
_MINIMUM_DAYS = {"ARCHIVE_ACCESS": 90, "DEEP_ARCHIVE_ACCESS": 180}
_MAXIMUM_DAYS = 730


def _accept(call: Call, root: Element) -> Element:
    if root.tag != "IntelligentTieringConfiguration":
        raise malformed()
    # Without a tier it is MalformedXML: https://github.com/aws/aws-cdk/issues/20937
    listed.check_children(root, ("Id", "Status", "Tiering"), ("Filter",))
    if text_of(root, "Status") not in ("Enabled", "Disabled"):
        raise malformed()
    listed.check_filter(root, "Prefix")
    listed.check_id(call, root, _QUERY)
    _check_tiers([(text_of(item, "AccessTier"), text_of(item, "Days")) for item in root.iter("Tiering")])
    return root


def _check_tiers(tiers: list[tuple[str, str]]) -> None:
    # The messages are those of AWS, as in https://github.com/aws-cloudformation/cfn-lint/issues/3992.
    if any(tier not in _MINIMUM_DAYS or not days.isdigit() for tier, days in tiers):
        raise malformed()
    days_of = {tier: int(days) for tier, days in tiers}
    if len(days_of) != len(tiers):
        raise malformed()
    for tier, days in days_of.items():
        if days < _MINIMUM_DAYS[tier]:
            raise invalid(f"Days specified in {tier} tier should not be less than {_MINIMUM_DAYS[tier]}.")
        if days > _MAXIMUM_DAYS:
            raise invalid(f"Days specified in {tier} tier should not be more than {_MAXIMUM_DAYS}.")
    if days_of.get("DEEP_ARCHIVE_ACCESS", _MAXIMUM_DAYS + 1) <= days_of.get("ARCHIVE_ACCESS", 0):
        raise invalid("Days specified in DEEP_ARCHIVE_ACCESS tier should be greater than those in ARCHIVE_ACCESS.")


CONFIGURATION = Configuration(
    _QUERY, not_set("NoSuchConfiguration"), _accept, list_root="ListBucketIntelligentTieringConfigurationsOutput"
)
