"""Bulk reads of the gate, seen from a client: ListBuckets by pages, and GetResources of the Tagging API."""

from __future__ import annotations

from collections.abc import Callable

from dev.aws import Aws
from tests.support.gate import code_of, make_user

Names = Callable[[str], str]


def make_bucket(aws: Aws, name: str, region: str, **tags: str) -> str:
    listed = [{"Key": key, "Value": text} for key, text in tags.items()]
    aws.client("s3", region_name=region).create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": region, "Tags": listed}
    )
    return name


def resources(aws: Aws, region: str, **filters: str) -> dict[str, dict[str, str]]:
    asked = [{"Key": key, "Values": [text]} for key, text in filters.items()]
    pages = (
        aws.client("resourcegroupstaggingapi", region_name=region)
        .get_paginator("get_resources")
        .paginate(TagFilters=asked, ResourceTypeFilters=["s3"], ResourcesPerPage=2)
    )
    return {
        item["ResourceARN"]: {tag["Key"]: tag["Value"] for tag in item["Tags"]}
        for page in pages
        for item in page["ResourceTagMappingList"]
    }


def test_listed_buckets_have_their_region_and_come_in_pages(aws: Aws, new_name: Names) -> None:
    prefix = new_name("bulk")
    regions = {
        f"{prefix}-{letter}": region
        for letter, region in zip("abc", ("eu-west-1", "us-west-2", "eu-west-1"), strict=True)
    }
    for name, region in regions.items():
        make_bucket(aws, name, region)
    pages = aws.client("s3").get_paginator("list_buckets").paginate(Prefix=prefix, PaginationConfig={"PageSize": 2})
    found = [[(item["Name"], item["BucketRegion"]) for item in page["Buckets"]] for page in pages]
    assert [len(page) for page in found] == [2, 1]
    assert dict(item for page in found for item in page) == regions


def test_tagged_buckets_of_the_region_come_in_pages(aws: Aws, new_name: Names) -> None:
    team = new_name("bulk")
    names = [make_bucket(aws, f"{team}-{letter}", "eu-west-1", team=team, letter=letter) for letter in "abc"]
    make_bucket(aws, f"{team}-d", "us-west-2", team=team)
    make_bucket(aws, f"{team}-e", "eu-west-1", team="another")
    found = resources(aws, "eu-west-1", team=team)
    assert found == {f"arn:aws:s3:::{name}": {"team": team, "letter": name[-1]} for name in names}


def test_tags_may_lag_behind_also_after_the_bucket_is_deleted(aws: Aws, new_name: Names) -> None:
    team = new_name("bulk")
    name = make_bucket(aws, team, "eu-west-1", team=team)
    s3, arn = aws.client("s3", region_name="eu-west-1"), f"arn:aws:s3:::{name}"
    with aws.gate.marked("frozen-tags", name):
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "team", "Value": "another"}]})
        assert resources(aws, "eu-west-1", team=team) == {arn: {"team": team}}
        s3.delete_bucket(Bucket=name)
        assert resources(aws, "eu-west-1", team=team) == {arn: {"team": team}}
    assert resources(aws, "eu-west-1", team=team) == {}


def test_reading_tags_needs_a_right(aws: Aws, new_name: Names) -> None:
    key, secret = make_user(aws.client("iam"), new_name("bulk"))
    aws.gate.judge(key, {"Version": "2012-10-17", "Statement": []})
    client = aws.client("resourcegroupstaggingapi", aws_access_key_id=key, aws_secret_access_key=secret)
    assert code_of(client.get_resources) == "AccessDeniedException"
