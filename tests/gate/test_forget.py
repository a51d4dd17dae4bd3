"""Users and buckets that the gate forgets between two files of tests."""

from __future__ import annotations

from collections.abc import Callable

from dev.aws import Aws
from tests.support.gate import code_of


def test_removed_user_is_gone_with_its_key_and_tags_and_others_stay(aws: Aws, new_name: Callable[[str], str]) -> None:
    iam, kept, removed = aws.client("iam"), new_name("operator"), new_name("removed")
    tags = [{"Key": "agill.apps/name", "Value": "photos"}]
    keys = {}
    for name in (kept, removed):
        iam.create_user(UserName=name, Tags=tags)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys[name] = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}

    aws.gate.forget_users("operator-")

    names = [user["UserName"] for user in iam.list_users()["Users"]]
    assert kept in names
    # The administrator's key goes on working: it is what asks.
    assert [name for name in names if not name.startswith("operator-")] == ["admin"]
    assert code_of(lambda: iam.get_user(UserName=removed)) == "NoSuchEntity"
    assert code_of(aws.client("s3", **keys[removed]).list_buckets) == "InvalidAccessKeyId"
    assert code_of(aws.client("sts", **keys[kept]).get_caller_identity) == "allowed"
    # The name is free, and has none of the tags.
    iam.create_user(UserName=removed)
    assert iam.list_user_tags(UserName=removed)["Tags"] == []


def test_removed_buckets_are_gone_with_their_contents_tags_and_settings(
    aws: Aws, new_name: Callable[[str], str]
) -> None:
    s3, names = aws.client("s3"), [new_name("removed") for _ in range(2)]
    for name in names:
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"Tags": [{"Key": "a", "Value": "1"}]})
        s3.put_object(Bucket=name, Key="a", Body=b"x")
        s3.put_bucket_metrics_configuration(Bucket=name, Id="mine", MetricsConfiguration={"Id": "mine"})

    aws.gate.forget_buckets()

    assert s3.list_buckets()["Buckets"] == []
    tagging = aws.client("resourcegroupstaggingapi")
    assert tagging.get_resources(ResourceTypeFilters=["s3"])["ResourceTagMappingList"] == []
    # The name is free, and has nothing of the earlier bucket.
    s3.create_bucket(Bucket=names[0])
    assert code_of(lambda: s3.get_bucket_tagging(Bucket=names[0])) == "NoSuchTagSet"
    assert "Contents" not in s3.list_objects_v2(Bucket=names[0])
    assert "MetricsConfigurationList" not in s3.list_bucket_metrics_configurations(Bucket=names[0])
