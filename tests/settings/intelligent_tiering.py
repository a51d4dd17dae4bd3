"""intelligentTiering."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.settings import Case, Row, Subject

_A, _B = {"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}
_ARCHIVE, _DEEP = {"Days": 180, "AccessTier": "ARCHIVE_ACCESS"}, {"Days": 365, "AccessTier": "DEEP_ARCHIVE_ACCESS"}
_PHOTOS = {"Id": "photos", "Filter": {"Prefix": "photos/"}, "Status": "Enabled", "Tierings": [_ARCHIVE, _DEEP]}


def _answer(*configurations: dict[str, Any]) -> dict[str, Any]:
    return {"IntelligentTieringConfigurationList": list(configurations)}


CASES = {
    "example": Case(_answer(_PHOTOS)),
    "each-field": Case(
        _answer(
            {"Id": "all", "Status": "Disabled", "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}]},
            {"Id": "both", "Filter": {"And": {"Prefix": "p/", "Tags": [_B, _A]}}, "Status": "Enabled",
             "Tierings": [{"Days": 180, "AccessTier": "DEEP_ARCHIVE_ACCESS"}]},
            {"Id": "tag", "Filter": {"Tag": _A}, "Status": "Enabled", "Tierings": [_ARCHIVE, _DEEP]},
        ),
        {
            "intelligentTiering": [
                {"id": "tag", "enabled": True, "filter": {"tags": {"a": "1"}}, "tierings": [
                    {"accessTier": "ARCHIVE_ACCESS", "days": 180}, {"accessTier": "DEEP_ARCHIVE_ACCESS", "days": 365}]},
                {"id": "both", "filter": {"prefix": "p/", "tags": {"a": "1", "b": "2"}},
                 "tierings": [{"accessTier": "DEEP_ARCHIVE_ACCESS", "days": 180}]},
                {"id": "all", "enabled": False, "tierings": [{"accessTier": "ARCHIVE_ACCESS", "days": 90}]},
            ]
        },
    ),
}  # fmt: skip
CLEARED: dict[str, Any] = {}


def _put(subject: Subject, configuration: dict[str, Any]) -> None:
    subject.world.s3.put_bucket_intelligent_tiering_configuration(
        Bucket=subject.bucket, Id=configuration["Id"], IntelligentTieringConfiguration=configuration
    )


_FIELD = "intelligentTiering[photos]"
ROWS = {
    "intelligent-tiering-deleted": Row(
        "intelligent_tiering",
        _FIELD,
        lambda s: s.world.s3.delete_bucket_intelligent_tiering_configuration(Bucket=s.bucket, Id="photos"),
    ),
    "intelligent-tiering-disabled": Row(
        "intelligent_tiering", _FIELD, lambda s: _put(s, {**_PHOTOS, "Status": "Disabled"})
    ),
    "intelligent-tiering-without-tier": Row(
        "intelligent_tiering", _FIELD, lambda s: _put(s, {**_PHOTOS, "Tierings": [_DEEP]})
    ),
    "intelligent-tiering-later": Row(
        "intelligent_tiering", _FIELD, lambda s: _put(s, {**_PHOTOS, "Tierings": [_ARCHIVE, {**_DEEP, "Days": 730}]})
    ),
    "intelligent-tiering-added": Row(
        "intelligent_tiering", "intelligentTiering[others]", lambda s: _put(s, {**_PHOTOS, "Id": "others"})
    ),
}
EQUAL_FORMS: dict[str, Callable[[Subject], Any]] = {
    "intelligent-tiering-in-another-order": lambda s: _put(s, {**_PHOTOS, "Tierings": [_DEEP, _ARCHIVE]})
}


def _refused(tierings: Any, **fields: Any) -> dict[str, Any]:
    return {"intelligentTiering": [{"id": "a", "tierings": tierings, **fields}]}


def _tier(name: Any, days: Any) -> dict[str, Any]:
    return {"accessTier": name, "days": days}


_AT = "spec.intelligentTiering[0]"
_GOOD = [_tier("ARCHIVE_ACCESS", 90)]
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "intelligent-tiering-not-a-list": ({"intelligentTiering": {}}, "spec.intelligentTiering: must be a list of at"),
    "intelligent-tiering-enabled": (_refused(_GOOD, enabled="yes"), f"{_AT}.enabled: must be true or false"),
    "intelligent-tiering-typo": (_refused(_GOOD, status="Enabled"), f"{_AT}.status: there is no such field: use tier"),
    "intelligent-tiering-without-tiers": (_refused(None), f"{_AT}.tierings: is missing"),
    "intelligent-tiering-no-tier": (_refused([]), f"{_AT}.tierings: must be a list of at least one tier"),
    "intelligent-tiering-tier": (_refused([_tier("GLACIER", 90)]), f"{_AT}.tierings[0].accessTier: must be one of ARC"),
    "intelligent-tiering-without-days": (
        _refused([_tier("ARCHIVE_ACCESS", None)]), f"{_AT}.tierings[0].days: is missing",
    ),
    "intelligent-tiering-archive-early": (
        _refused([_tier("ARCHIVE_ACCESS", 89)]), f"{_AT}.tierings[0].days: must be a number of 90 to 730",
    ),
    "intelligent-tiering-deep-early": (
        _refused([_tier("DEEP_ARCHIVE_ACCESS", 179)]), f"{_AT}.tierings[0].days: must be a number of 180 to 730",
    ),
    "intelligent-tiering-late": (
        _refused([_tier("ARCHIVE_ACCESS", 731)]), f"{_AT}.tierings[0].days: must be a number of 90 to 730",
    ),
    "intelligent-tiering-days-bool": (
        _refused([_tier("ARCHIVE_ACCESS", True)]), f"{_AT}.tierings[0].days: must be a number of 90 to 730",
    ),
    "intelligent-tiering-tier-twice": (
        _refused(_GOOD * 2), f"{_AT}.tierings[1].accessTier: there is another tiering for ARCHIVE_ACCESS",
    ),
    "intelligent-tiering-deep-before-archive": (
        _refused([_tier("ARCHIVE_ACCESS", 180), _tier("DEEP_ARCHIVE_ACCESS", 180)]),
        f"{_AT}.tierings: the days of DEEP_ARCHIVE_ACCESS must be more",
    ),
}  # fmt: skip
