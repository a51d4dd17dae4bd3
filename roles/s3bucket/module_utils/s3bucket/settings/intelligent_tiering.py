# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The archive tiers of S3 Intelligent-Tiering: ``intelligentTiering``.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/intelligent-tiering-overview.html
"""

from __future__ import annotations

from ..configurations import Configurations, check_fields, enabled_of, kind_of
from ..filters import filter_from_aws, filter_to_aws, parse_filter
from ..json_types import ApiObject
from ..values import choice_of, given_of, invalid

# The least number of days for each tier: https://docs.aws.amazon.com/AmazonS3/latest/API/API_Tiering.html
_MINIMUM_DAYS = {"ARCHIVE_ACCESS": 90, "DEEP_ARCHIVE_ACCESS": 180}
_MAXIMUM_DAYS = 730
Tiers = list[ApiObject]


class IntelligentTiering(Configurations):
    """Concerns objects of storage class INTELLIGENT_TIERING only. The tiers of a configuration have no order."""

    name = "intelligent_tiering"
    field = "intelligentTiering"
    kind = kind_of("intelligent_tiering", "IntelligentTiering")

    def parse_one(self, given: ApiObject, path: str) -> ApiObject:
        check_fields(given, path, ("tierings",), ("enabled", "filter"))
        found = {"enabled": enabled_of(given, path), "tierings": _parse_tiers(given["tierings"], f"{path}.tierings")}
        selected = parse_filter(given.get("filter"), f"{path}.filter")
        return {**found, "filter": selected} if selected else found

    def to_aws(self, value: ApiObject) -> ApiObject:
        tiers = [{"AccessTier": tier["accessTier"], "Days": tier["days"]} for tier in value["tierings"]]
        found = {"Status": "Enabled" if value["enabled"] else "Disabled", "Tierings": tiers}
        return {**found, "Filter": filter_to_aws(value["filter"])} if "filter" in value else found

    def from_aws(self, found: ApiObject) -> ApiObject:
        tiers = [{"accessTier": tier.get("AccessTier"), "days": tier.get("Days")} for tier in found.get("Tierings", [])]
        value = {"enabled": found.get("Status") == "Enabled", "tierings": _sorted(tiers)}
        selected = filter_from_aws(found.get("Filter"))
        return {**value, "filter": selected} if selected else value


def _sorted(tiers: Tiers) -> Tiers:
    return sorted(tiers, key=lambda tier: str(tier["accessTier"]))


def _parse_tiers(value: object, path: str) -> Tiers:
    if not isinstance(value, list) or not value:
        raise invalid(path, "must be a list of at least one tier")
    found: dict[str, int] = {}
    for at, item in enumerate(value):
        tier, days = _parse_tier(item, f"{path}[{at}]")
        if tier in found:
            raise invalid(f"{path}[{at}].accessTier", f"there is another tiering for {tier}")
        found[tier] = days
    if found.get("DEEP_ARCHIVE_ACCESS", _MAXIMUM_DAYS + 1) <= found.get("ARCHIVE_ACCESS", 0):
        raise invalid(path, "the days of DEEP_ARCHIVE_ACCESS must be more than those of ARCHIVE_ACCESS")
    return _sorted([{"accessTier": tier, "days": days} for tier, days in found.items()])


def _parse_tier(value: object, path: str) -> tuple[str, int]:
    given = given_of(value, path)
    check_fields(given, path, ("accessTier", "days"))
    tier, days = choice_of(given["accessTier"], f"{path}.accessTier", _MINIMUM_DAYS), given["days"]
    least = _MINIMUM_DAYS[tier]
    if not isinstance(days, int) or isinstance(days, bool) or not least <= days <= _MAXIMUM_DAYS:
        raise invalid(f"{path}.days", f"must be a number of {least} to {_MAXIMUM_DAYS} for {tier}")
    return tier, days


SETTING = IntelligentTiering()
