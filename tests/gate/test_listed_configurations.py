"""The configurations of a bucket that have an id: metrics, analytics, intelligent tiering and inventory.

Rows by setting: accepted and returned, returned in another form, refused. They fail when the rule is taken out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dev.aws import Aws
from dev.examples import TARGETS, make_targets
from s3bucket.read import read_settings
from s3bucket.settings import BY_NAME
from tests.support.gate import code_of

Names = Callable[[str], str]
_NOUNS = {
    "metrics": "Metrics",
    "analytics": "Analytics",
    "intelligent_tiering": "IntelligentTiering",
    "inventory": "Inventory",
}
_REPORTS = f"arn:aws:s3:::{TARGETS[2]}"
_EUROPE = "s3-operator-example-europe"
_A, _B = {"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}
_ARCHIVE, _DEEP = {"AccessTier": "ARCHIVE_ACCESS", "Days": 90}, {"AccessTier": "DEEP_ARCHIVE_ACCESS", "Days": 180}
_TIERS = {"Status": "Enabled", "Tierings": [_ARCHIVE]}
_LISTED = {"IsEnabled": True, "IncludedObjectVersions": "All", "Schedule": {"Frequency": "Daily"}}


def _exported(version: str = "V_1", **target: str) -> dict[str, Any]:
    destination = {"S3BucketDestination": {"Format": "CSV", "Bucket": _REPORTS, **target}}
    return {"StorageClassAnalysis": {"DataExport": {"OutputSchemaVersion": version, "Destination": destination}}}


def _to(**target: Any) -> dict[str, Any]:
    return {**_LISTED, "Destination": {"S3BucketDestination": {"Format": "CSV", "Bucket": _REPORTS, **target}}}


def _filtered(predicate: dict[str, Any]) -> dict[str, Any]:
    return {"Filter": predicate}


# Setting and configuration without its id, and the answer: True for the same, the part of it that is another, or an
# error code.
ROWS: dict[str, tuple[str, dict[str, Any], bool | dict[str, Any] | str]] = {
    "metrics-of-all": ("metrics", {}, True),
    "metrics-prefix": ("metrics", _filtered({"Prefix": "p/"}), True),
    "metrics-empty-prefix": ("metrics", _filtered({"Prefix": ""}), True),
    "metrics-and": (
        "metrics",
        _filtered({"And": {"Prefix": "p/", "Tags": [_A, _B]}}),
        _filtered({"And": {"Prefix": "p/", "Tags": [_B, _A]}}),
    ),
    "metrics-empty-filter": ("metrics", _filtered({}), "MalformedXML"),
    "metrics-two-predicates": ("metrics", _filtered({"Prefix": "p/", "Tag": _A}), "MalformedXML"),
    "metrics-and-of-one": ("metrics", _filtered({"And": {"Prefix": "p/"}}), "MalformedXML"),
    "metrics-same-tag-twice": ("metrics", _filtered({"And": {"Tags": [_A, _A]}}), "InvalidRequest"),
    "analytics-without-export": ("analytics", {"StorageClassAnalysis": {}}, True),
    "analytics-with-export": ("analytics", _exported(Prefix="a/", BucketAccountId="123456789012"), True),
    "analytics-version": ("analytics", _exported("V_2"), "MalformedXML"),
    "analytics-format": ("analytics", _exported(Format="ORC"), "MalformedXML"),
    "analytics-bucket-name": ("analytics", _exported(Bucket=TARGETS[2]), "InvalidS3DestinationBucket"),
    "analytics-no-such-bucket": ("analytics", _exported(Bucket=f"{_REPORTS}-none"), "InvalidS3DestinationBucket"),
    "analytics-other-region": ("analytics", _exported(Bucket=f"arn:aws:s3:::{_EUROPE}"), "InvalidS3DestinationBucket"),
    "tiering": ("intelligent_tiering", {**_TIERS, "Tierings": [_DEEP, {**_ARCHIVE, "Days": 179}]}, True),
    "tiering-disabled": ("intelligent_tiering", {**_TIERS, "Status": "Disabled"}, True),
    "tiering-status": ("intelligent_tiering", {**_TIERS, "Status": "On"}, "MalformedXML"),
    "tiering-none": ("intelligent_tiering", {**_TIERS, "Tierings": []}, "MalformedXML"),
    "tiering-unknown": ("intelligent_tiering", {**_TIERS, "Tierings": [{**_DEEP, "AccessTier": "A"}]}, "MalformedXML"),
    "tiering-twice": ("intelligent_tiering", {**_TIERS, "Tierings": [_DEEP, _DEEP]}, "MalformedXML"),
    "tiering-early": ("intelligent_tiering", {**_TIERS, "Tierings": [{**_DEEP, "Days": 179}]}, "InvalidArgument"),
    "tiering-late": ("intelligent_tiering", {**_TIERS, "Tierings": [{**_DEEP, "Days": 731}]}, "InvalidArgument"),
    "tiering-deep-first": (
        "intelligent_tiering", {**_TIERS, "Tierings": [_DEEP, {**_ARCHIVE, "Days": 180}]}, "InvalidArgument",
    ),
    "inventory": ("inventory", {**_to(Encryption={"SSES3": {}}), "OptionalFields": ["Size", "ETag"]}, True),
    "inventory-key": ("inventory", _to(Encryption={"SSEKMS": {"KeyId": "a"}}, AccountId="123456789012"), True),
    "inventory-field": ("inventory", {**_to(), "OptionalFields": ["Name"]}, "MalformedXML"),
    "inventory-schedule": ("inventory", {**_to(), "Schedule": {"Frequency": "Hourly"}}, "MalformedXML"),
    "inventory-versions": ("inventory", {**_to(), "IncludedObjectVersions": "Old"}, "MalformedXML"),
    "inventory-format": ("inventory", _to(Format="JSON"), "MalformedXML"),
    "inventory-no-encryption": ("inventory", _to(Encryption={}), "MalformedXML"),
    "inventory-two-encryptions": (
        "inventory", _to(Encryption={"SSES3": {}, "SSEKMS": {"KeyId": "a"}}), "MalformedXML",
    ),
    "inventory-bucket-name": ("inventory", _to(Bucket=TARGETS[2]), "InvalidS3DestinationBucket"),
    "inventory-other-region": ("inventory", _to(Bucket=f"arn:aws:s3:::{_EUROPE}"), "InvalidS3DestinationBucket"),
}  # fmt: skip
each_setting = pytest.mark.parametrize("setting", _NOUNS)
PLAIN: dict[str, dict[str, Any]] = {
    "metrics": {},
    "analytics": {"StorageClassAnalysis": {}},
    "intelligent_tiering": _TIERS,
    "inventory": _to(),
}


@pytest.fixture(scope="module")
def s3(aws: Aws) -> Any:
    client = aws.client("s3")
    make_targets(client, "123456789012")
    aws.client("s3", region_name="eu-west-1").create_bucket(
        Bucket=_EUROPE, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    return client


@pytest.fixture
def bucket(s3: Any, new_name: Names) -> str:
    name = new_name("listed")
    s3.create_bucket(Bucket=name)
    return name


def put(s3: Any, bucket: str, setting: str, configuration: dict[str, Any], name: str = "a") -> Any:
    write = getattr(s3, f"put_bucket_{setting}_configuration")
    return write(Bucket=bucket, Id=name, **{f"{_NOUNS[setting]}Configuration": {"Id": name, **configuration}})


def get(s3: Any, bucket: str, setting: str, name: str = "a") -> dict[str, Any]:
    answer = getattr(s3, f"get_bucket_{setting}_configuration")(Bucket=bucket, Id=name)
    found: dict[str, Any] = answer[f"{_NOUNS[setting]}Configuration"]
    return found


def listed(s3: Any, bucket: str, setting: str) -> dict[str, Any]:
    answer: dict[str, Any] = getattr(s3, f"list_bucket_{setting}_configurations")(Bucket=bucket)
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


@pytest.mark.parametrize(("setting", "configuration", "answer"), ROWS.values(), ids=ROWS)
def test_configuration_is_returned_or_refused_as_aws_does(
    s3: Any, bucket: str, setting: str, configuration: dict[str, Any], answer: bool | dict[str, Any] | str
) -> None:
    if isinstance(answer, str):
        assert code_of(lambda: put(s3, bucket, setting, configuration)) == answer
        assert listed(s3, bucket, setting) == {"IsTruncated": False}
        return
    put(s3, bucket, setting, configuration)
    expected = {"Id": "a", **configuration, **(answer if isinstance(answer, dict) else {})}
    assert get(s3, bucket, setting) == expected
    assert listed(s3, bucket, setting)[f"{_NOUNS[setting]}ConfigurationList"] == [expected]


@each_setting
def test_configuration_is_replaced_and_deleted_and_the_bucket_stays(s3: Any, bucket: str, setting: str) -> None:
    delete = getattr(s3, f"delete_bucket_{setting}_configuration")
    assert code_of(lambda: delete(Bucket=bucket, Id="a")) == "NoSuchConfiguration"
    assert code_of(lambda: get(s3, bucket, setting)) == "NoSuchConfiguration"
    for name in ("b", "a", "a"):
        put(s3, bucket, setting, PLAIN[setting], name)
    found = listed(s3, bucket, setting)[f"{_NOUNS[setting]}ConfigurationList"]
    assert [item["Id"] for item in found] == ["a", "b"]
    delete(Bucket=bucket, Id="a")
    assert [item["Id"] for item in listed(s3, bucket, setting)[f"{_NOUNS[setting]}ConfigurationList"]] == ["b"]
    s3.head_bucket(Bucket=bucket)
    none = f"{bucket}-none"
    assert code_of(lambda: put(s3, none, setting, PLAIN[setting])) == "NoSuchBucket"
    assert code_of(lambda: s3.head_bucket(Bucket=none)) == "404", "moto would have created it"


@each_setting
def test_id_is_checked(s3: Any, bucket: str, setting: str) -> None:
    assert code_of(lambda: put(s3, bucket, setting, PLAIN[setting], "a b")) == "InvalidConfigurationId"
    other = {**PLAIN[setting], "Id": "b"}
    assert code_of(lambda: put(s3, bucket, setting, other)) == "IdMismatch"


def test_configurations_come_in_pages_of_100_which_are_read_as_one(aws: Aws, s3: Any, bucket: str) -> None:
    for number in range(101):
        put(s3, bucket, "metrics", {}, f"{number:03}")
    first = listed(s3, bucket, "metrics")
    assert (first["IsTruncated"], len(first["MetricsConfigurationList"])) == (True, 100)
    owner = aws.client("sts").get_caller_identity()["Account"]
    found = read_settings(s3, bucket, owner, [BY_NAME["metrics"]])
    assert found == {"metrics": [{"id": f"{number:03}"} for number in range(101)]}
