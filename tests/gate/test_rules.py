"""Each rule of the gate, seen from a client: these fail when the rule is taken out."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError

from dev.aws import Aws
from dev.awsgate.client import OTHER_ACCOUNT
from dev.wait import wait_until
from tests.support.gate import code_of, make_user

Names = Callable[[str], str]


@pytest.fixture
def s3(aws: Aws) -> Any:
    return aws.client("s3")


@pytest.fixture
def iam(aws: Aws) -> Any:
    return aws.client("iam")


@pytest.fixture
def bucket(s3: Any, new_name: Names) -> str:
    name = new_name("gate")
    s3.create_bucket(Bucket=name)
    return name


def tags_of(s3: Any, bucket: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]}


def tagged(value: str) -> dict[str, Any]:
    return {"Tags": [{"Key": "a", "Value": value}]}


def test_tags_of_the_create_call_are_on_the_bucket(s3: Any, new_name: Names) -> None:
    name = new_name("gate")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=tagged("1"))
    assert tags_of(s3, name) == {"a": "1"}
    # They go with the bucket.
    s3.delete_bucket(Bucket=name)
    s3.create_bucket(Bucket=name)
    assert code_of(lambda: s3.get_bucket_tagging(Bucket=name)) == "NoSuchTagSet"


def test_tag_with_an_empty_value_is_returned_with_it(s3: Any, bucket: str) -> None:
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "a", "Value": ""}]})
    assert tags_of(s3, bucket) == {"a": ""}


def test_more_than_50_tags_are_refused(s3: Any, iam: Any, bucket: str, new_name: Names) -> None:
    tags = [{"Key": f"k{number}", "Value": ""} for number in range(51)]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags[:50]})
    assert code_of(lambda: s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})) == "BadRequest"
    configuration = {"Tags": tags}
    assert (
        code_of(lambda: s3.create_bucket(Bucket=new_name("gate"), CreateBucketConfiguration=configuration))
        == "BadRequest"
    )
    assert len(tags_of(s3, bucket)) == 50
    user = new_name("gate")
    assert code_of(lambda: iam.create_user(UserName=user, Tags=tags)) == "LimitExceeded"
    iam.create_user(UserName=user, Tags=tags[:50])
    # One that the user has already does not count twice.
    iam.tag_user(UserName=user, Tags=tags[:1])
    assert code_of(lambda: iam.tag_user(UserName=user, Tags=tags[50:])) == "LimitExceeded"


def test_create_of_ones_own_bucket_answers_200_in_us_east_1_and_changes_nothing(s3: Any, new_name: Names) -> None:
    name = new_name("gate")
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=tagged("1"))
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=tagged("2"))
    assert tags_of(s3, name) == {"a": "1"}


def test_create_of_ones_own_bucket_elsewhere_is_refused(aws: Aws, new_name: Names) -> None:
    s3, name = aws.client("s3", region_name="eu-west-1"), new_name("gate")
    where = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)
    assert code_of(lambda: s3.create_bucket(Bucket=name, CreateBucketConfiguration=where)) == "BucketAlreadyOwnedByYou"


def test_first_reads_of_a_bucket_that_is_shown_late_are_stale(aws: Aws, s3: Any, new_name: Names) -> None:
    name = new_name("gate")
    with aws.gate.marked("late-bucket", name):
        s3.create_bucket(Bucket=name, CreateBucketConfiguration=tagged("1"))
        found = [code_of(lambda: s3.get_bucket_tagging(Bucket=name)) for _ in range(3)]
        assert found == ["NoSuchBucket", "NoSuchTagSet", "allowed"]
        assert [code_of(lambda: s3.head_bucket(Bucket=name)) for _ in range(2)] == ["404", "allowed"]
    with aws.gate.marked("unshown-bucket", name):
        assert code_of(lambda: s3.get_bucket_tagging(Bucket=name)) == "NoSuchTagSet"
    assert tags_of(s3, name) == {"a": "1"}


def test_quota_that_is_used_up_is_named(aws: Aws, s3: Any, iam: Any, new_name: Names) -> None:
    with aws.gate.marked("used-quota", "UsersPerAccount"), aws.gate.marked("used-quota", "BucketsPerAccount"):
        with pytest.raises(ClientError, match=r"LimitExceeded.*quota for UsersPerAccount"):
            iam.create_user(UserName=new_name("user"))
        assert code_of(lambda: s3.create_bucket(Bucket=new_name("gate"))) == "TooManyBuckets"
    iam.create_user(UserName=new_name("user"))


def test_user_whom_s3_does_not_know_yet_is_no_principal(
    aws: Aws, s3: Any, iam: Any, bucket: str, new_name: Names
) -> None:
    user = iam.create_user(UserName=new_name("user"))["User"]
    text = policy_for(bucket, Principal={"AWS": user["Arn"]})
    with aws.gate.marked("late-user", user["UserName"]):
        found = [code_of(lambda: s3.put_bucket_policy(Bucket=bucket, Policy=text)) for _ in range(2)]
    assert found == ["MalformedPolicy", "allowed"]


def test_late_key_is_known_to_iam_and_not_to_s3(aws: Aws, iam: Any, bucket: str, new_name: Names) -> None:
    user = iam.create_user(UserName=new_name("user"))["User"]["UserName"]
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName=user, PolicyName="all", PolicyDocument=json.dumps(document))
    key = iam.create_access_key(UserName=user)["AccessKey"]
    pair = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"]}
    s3, sts = aws.client("s3", **pair), aws.client("sts", **pair)
    with aws.gate.marked("late-key", user):
        assert code_of(lambda: s3.list_objects_v2(Bucket=bucket)) == "InvalidAccessKeyId"
        assert sts.get_caller_identity()["Arn"].endswith(user)
    assert code_of(lambda: s3.list_objects_v2(Bucket=bucket)) == "allowed"


def test_bucket_whose_policy_lets_another_account_in_is_open_to_it_and_closed_by_a_deny(
    aws: Aws, s3: Any, bucket: str, new_name: Names
) -> None:
    other = aws.client("s3", **aws.gate.make_user_elsewhere(new_name("user")))

    def put() -> str:
        return code_of(lambda: other.put_object(Bucket=bucket, Key="a", Body=b"x"))

    assert put() == "AccessDenied"
    allow = {"Principal": {"AWS": OTHER_ACCOUNT}, "Action": "s3:Put*"}
    s3.put_bucket_policy(Bucket=bucket, Policy=policy_for(bucket, **allow))
    assert (put(), code_of(lambda: other.get_object(Bucket=bucket, Key="a"))) == ("allowed", "AccessDenied")
    s3.put_bucket_policy(Bucket=bucket, Policy=policy_for(bucket, Effect="Deny", Action="s3:Put*"))
    assert put() == "AccessDenied"


def test_new_bucket_is_closed(s3: Any, bucket: str) -> None:
    block = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    rules = s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"]
    assert rules == [{"ObjectOwnership": "BucketOwnerEnforced"}]


def own(s3: Any, bucket: str, ownership: str) -> None:
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": ownership}]})


def test_acl_needs_ownership_and_no_block(s3: Any, bucket: str) -> None:
    def put() -> Any:
        return s3.put_bucket_acl(Bucket=bucket, ACL="public-read")

    assert code_of(put) == "AccessControlListNotSupported"
    assert code_of(lambda: s3.put_bucket_acl(Bucket=bucket, ACL="private")) == "AccessControlListNotSupported"
    own(s3, bucket, "BucketOwnerPreferred")
    assert code_of(put) == "AccessDenied"
    s3.delete_public_access_block(Bucket=bucket)
    assert code_of(put) == "allowed"
    assert code_of(lambda: own(s3, bucket, "BucketOwnerEnforced")) == "InvalidBucketAclWithObjectOwnership"


def test_grants_of_an_acl_are_returned_one_by_one(s3: Any, bucket: str) -> None:
    own(s3, bucket, "BucketOwnerPreferred")
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    grants = s3.get_bucket_acl(Bucket=bucket)["Grants"]
    assert sorted(grant["Permission"] for grant in grants) == ["FULL_CONTROL", "READ", "WRITE"]


def policy_for(bucket: str, **parts: Any) -> str:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, **parts}]})


def test_public_policy_needs_no_block(s3: Any, bucket: str) -> None:
    def put() -> Any:
        return s3.put_bucket_policy(Bucket=bucket, Policy=policy_for(bucket))

    assert code_of(put) == "AccessDenied"
    assert code_of(lambda: s3.put_bucket_policy(Bucket=bucket, Policy=policy_for(bucket, Effect="Deny"))) == "allowed"
    s3.delete_public_access_block(Bucket=bucket)
    assert code_of(put) == "allowed"


OTHER = "arn:aws:s3:::another-bucket/*"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"Action": None}, "Missing required field Action"),
        ({"Principal": None}, "Missing required field Principal"),
        ({"Effect": "Forbid"}, "Invalid effect"),
        ({"Principals": "*"}, "Unknown field Principals"),
        ({"Principal": "somebody"}, "Invalid principal"),
        ({"Principal": {"AWS": "arn:aws:iam::123456789012:user/missing"}}, "Invalid principal"),
        ({"Action": "ec2:RunInstances"}, "invalid action"),
        ({"Resource": OTHER}, "invalid resource"),
        ({"Resource": ["*", OTHER]}, "invalid resource"),
        ({"Principal": {"AWS": ["123456789012", "*"]}}, ""),
        ({"Principal": {"Service": "logging.s3.amazonaws.com"}, "Resource": "*", "Action": "S3:Put*"}, ""),
    ],
)
def test_malformed_policy_is_refused(s3: Any, bucket: str, parts: dict[str, Any], message: str) -> None:
    document = json.loads(policy_for(bucket, Effect="Deny"))
    statement = {**document["Statement"][0], **parts}
    document["Statement"] = {name: value for name, value in statement.items() if value is not None}
    if not message:
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
        return
    with pytest.raises(ClientError, match=message) as refused:
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    assert refused.value.response["Error"]["Code"] == "MalformedPolicy"


@pytest.mark.parametrize("policy", ["[]", "{}", '{"Statement": ["x"]}', "{"])
def test_policy_that_is_no_document_is_malformed(s3: Any, bucket: str, policy: str) -> None:
    assert code_of(lambda: s3.put_bucket_policy(Bucket=bucket, Policy=policy)) == "MalformedPolicy"


@pytest.mark.parametrize(
    ("parts", "answered"),
    [
        ({"Principal": {"AWS": "123456789012"}}, {"Principal": {"AWS": "arn:aws:iam::123456789012:root"}}),
        (
            {"Principal": {"CanonicalUser": "79a59df900b949e55d96"}},
            {"Principal": {"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity E79A59DF900B94"}},
        ),
        ({"Action": ["s3:GetObject", "s3:GetObject"]}, {"Action": "s3:GetObject"}),
        ({"Condition": {}}, {}),
        (
            {"Condition": {"NumericLessThan": {"s3:max-keys": [10, 0.5, 12345678.5]}}},
            {"Condition": {"NumericLessThan": {"s3:max-keys": ["10", "0.5", "1.23456785E7"]}}},
        ),
    ],
    ids=["account", "identity", "repeated", "empty", "numbers"],
)
def test_policy_comes_back_in_a_form_of_its_own(
    s3: Any, bucket: str, parts: dict[str, Any], answered: dict[str, Any]
) -> None:
    [statement] = json.loads(policy_for(bucket, Effect="Deny"))["Statement"]
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Statement": [{**statement, **parts}], "Id": ""}))
    found = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert found == {"Statement": [{**statement, **answered}]}


@pytest.mark.parametrize("principal", ["*", {"AWS": "123456789012"}, {"AWS": "arn:aws:iam::123456789012:user/admin"}])
def test_policy_that_denies_everyone_keeps_even_the_administrator_out(
    aws: Aws, s3: Any, bucket: str, principal: Any
) -> None:
    arns = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    policy = policy_for(bucket, Effect="Deny", Principal=principal, Action="s3:*", Resource=arns)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert code_of(lambda: s3.head_bucket(Bucket=bucket)) == "403"
    for call in (s3.get_bucket_policy, s3.delete_bucket_policy, s3.get_bucket_tagging, s3.delete_bucket):
        assert code_of(lambda call=call: call(Bucket=bucket)) == "AccessDenied"
    assert bucket in [item["Name"] for item in s3.list_buckets()["Buckets"]]
    aws.gate.delete_policy_as_root(bucket)
    assert code_of(lambda: s3.delete_bucket(Bucket=bucket)) == "allowed"


@pytest.mark.parametrize(
    "parts",
    [
        {"Action": "s3:ListBucketVersions"},
        {"Resource": OTHER.replace("another-bucket", "{bucket}")},
        {"Principal": {"AWS": "999999999999"}},
        {"Condition": {"Bool": {"aws:SecureTransport": False}}},
    ],
    ids=lambda parts: str(*parts),
)
def test_policy_denies_no_more_than_it_states(s3: Any, bucket: str, parts: dict[str, Any]) -> None:
    deny = {"Effect": "Deny", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"}
    policy = policy_for(bucket, **{**deny, **parts}).replace("{bucket}", bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    assert code_of(lambda: s3.head_bucket(Bucket=bucket)) == "allowed"


def test_bucket_of_another_account_gives_nothing_away(aws: Aws, s3: Any, new_name: Names) -> None:
    name = new_name("gate")
    aws.gate.make_bucket_elsewhere(name)
    assert code_of(lambda: s3.head_bucket(Bucket=name)) == "403"
    assert code_of(lambda: s3.get_bucket_tagging(Bucket=name)) == "AccessDenied"
    assert code_of(lambda: s3.create_bucket(Bucket=name)) == "BucketAlreadyExists"
    assert name not in [item["Name"] for item in s3.list_buckets()["Buckets"]]


def test_expected_owner_is_checked(s3: Any, bucket: str) -> None:
    assert code_of(lambda: s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="999999999999")) == "403"
    assert code_of(lambda: s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="123456789012")) == "allowed"


def test_user_with_a_key_or_in_a_group_is_not_deleted(iam: Any, new_name: Names) -> None:
    name, group = new_name("gate"), new_name("gate")
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]["AccessKeyId"]
    assert code_of(lambda: iam.delete_user(UserName=name)) == "DeleteConflict"
    iam.delete_access_key(UserName=name, AccessKeyId=key)
    iam.create_group(GroupName=group)
    iam.add_user_to_group(GroupName=group, UserName=name)
    assert code_of(lambda: iam.delete_user(UserName=name)) == "DeleteConflict"
    iam.remove_user_from_group(GroupName=group, UserName=name)
    assert code_of(lambda: iam.delete_user(UserName=name)) == "allowed"


def test_policy_shows_the_id_of_a_deleted_user_and_does_not_mean_the_next_of_its_name(
    s3: Any, iam: Any, bucket: str, new_name: Names
) -> None:
    name, other = new_name("gate"), new_name("gate")
    arns = [iam.create_user(UserName=each, Path="/team/")["User"]["Arn"] for each in (name, other)]
    s3.put_bucket_policy(Bucket=bucket, Policy=policy_for(bucket, Principal={"AWS": arns}))
    iam.delete_user(UserName=name)
    iam.create_user(UserName=name, Path="/team/")
    text = s3.get_bucket_policy(Bucket=bucket)["Policy"]
    unique_id, still_there = json.loads(text)["Statement"][0]["Principal"]["AWS"]
    assert (unique_id[:4], still_there) == ("AIDA", arns[1])
    assert code_of(lambda: s3.put_bucket_policy(Bucket=bucket, Policy=text)) == "MalformedPolicy"


def test_inactive_key_is_refused(aws: Aws, iam: Any, new_name: Names) -> None:
    user = new_name("gate")
    key_id, secret = make_user(iam, user)
    keys = {"aws_access_key_id": key_id, "aws_secret_access_key": secret}
    s3, sts = aws.client("s3", **keys), aws.client("sts", **keys)
    assert code_of(s3.list_buckets) == "allowed"
    iam.update_access_key(UserName=user, AccessKeyId=key_id, Status="Inactive")
    assert code_of(s3.list_buckets) == "InvalidAccessKeyId"
    assert code_of(sts.get_caller_identity) == "InvalidClientTokenId"


def test_iam_reads_lag_behind_writes(aws: Aws, iam: Any, new_name: Names) -> None:
    user = new_name("gate")
    aws.gate.set_iam_lag(60)
    try:
        iam.create_user(UserName=user)
        assert code_of(lambda: iam.get_user(UserName=user)) == "NoSuchEntity"
        assert code_of(lambda: iam.create_user(UserName=user)) == "EntityAlreadyExists"
    finally:
        aws.gate.set_iam_lag(0)
    assert code_of(lambda: iam.get_user(UserName=user)) == "allowed"


def test_service_credentials_are_none(iam: Any, new_name: Names) -> None:
    user = new_name("gate")
    iam.create_user(UserName=user)
    assert iam.list_service_specific_credentials(UserName=user)["ServiceSpecificCredentials"] == []


def test_locked_version_is_named_in_the_answer(s3: Any, new_name: Names) -> None:
    name = new_name("gate")
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    until = datetime.now(UTC) + timedelta(days=1)
    lock = {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until}
    version = s3.put_object(Bucket=name, Key="a", Body=b"x", **lock)["VersionId"]
    answer = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "a", "VersionId": version}]})
    assert [(item["VersionId"], item["Code"]) for item in answer["Errors"]] == [(version, "AccessDenied")]


def test_delete_of_keys_that_xml_cannot_carry_is_refused_as_a_whole(s3: Any, bucket: str) -> None:
    for key in ("plain", "a\x01b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    both = {"Objects": [{"Key": "plain"}, {"Key": "a\x01b"}]}
    assert code_of(lambda: s3.delete_objects(Bucket=bucket, Delete=both)) == "MalformedXML"
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 2
    s3.delete_object(Bucket=bucket, Key="a\x01b")
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["plain"]


KEYS = ["\x01", "a b+c%41&<>", "ordner/ä\U0001f600", "\ufffe"]


def test_listing_of_versions_is_encoded_where_asked(aws: Aws, s3: Any, bucket: str) -> None:
    keys = [*KEYS, "new\r\nline"]
    aws.gate.fill_bucket(bucket, keys=keys)
    # botocore asks, and decodes.
    assert sorted(item["Key"] for item in s3.list_object_versions(Bucket=bucket)["Versions"]) == sorted(keys)
    asked = s3.list_object_versions(Bucket=bucket, EncodingType="url")
    assert (asked["EncodingType"], asked["Versions"][0]["Key"]) == ("url", "%01")


def test_listing_of_uploads_is_encoded_where_asked_and_else_cannot_be_parsed(aws: Aws, s3: Any, bucket: str) -> None:
    aws.gate.fill_bucket(bucket, uploads=KEYS)
    listed = s3.list_multipart_uploads(Bucket=bucket, EncodingType="url")["Uploads"]
    assert sorted(unquote_plus(item["Key"]) for item in listed) == sorted(KEYS)
    # botocore takes an answer that it cannot parse for an error of the server.
    assert code_of(lambda: s3.list_multipart_uploads(Bucket=bucket)) == "500"


def test_listing_of_uploads_has_pages(s3: Any, bucket: str) -> None:
    names = [s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in ("a", "a", "b", "c")]
    pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, MaxUploads=3)
    listed = [[item["UploadId"] for item in page["Uploads"]] for page in pages]
    assert [len(page) for page in listed] == [3, 1]
    assert sorted(listed[0] + listed[1]) == sorted(names)


def test_listing_after_a_deleted_marker_skips_the_rest(aws: Aws, s3: Any, bucket: str) -> None:
    # moto's own way; a store that hands out markers may do the same, and tests of emptying rely on it.
    aws.gate.fill_bucket(bucket, versions=3)
    first = s3.list_object_versions(Bucket=bucket, MaxKeys=2)
    after = {"KeyMarker": first["NextKeyMarker"], "VersionIdMarker": first["NextVersionIdMarker"]}
    assert len(s3.list_object_versions(Bucket=bucket, **after)["Versions"]) == 1
    items = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in first["Versions"]]
    s3.delete_objects(Bucket=bucket, Delete={"Objects": items})
    assert "Versions" not in s3.list_object_versions(Bucket=bucket, **after)
    assert len(s3.list_object_versions(Bucket=bucket)["Versions"]) == 1


def test_faults_are_injected_so_many_times_and_requests_are_logged(aws: Aws, s3: Any, bucket: str) -> None:
    aws.gate.add_fault("GetBucketAcl", "AccessDenied", status=403, times=1, bucket=bucket)
    aws.gate.clear_requests()
    assert code_of(lambda: s3.get_bucket_acl(Bucket=bucket)) == "AccessDenied"
    assert code_of(lambda: s3.get_bucket_acl(Bucket=bucket)) == "allowed"
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    seen = [(item["action"], item["write"], item["status"]) for item in aws.gate.requests()]
    assert seen == [("GetBucketAcl", False, 403), ("GetBucketAcl", False, 200), ("PutObject", True, 200)]


def test_delayed_request_is_answered_once_the_faults_are_cleared(aws: Aws, s3: Any, bucket: str) -> None:
    aws.gate.add_fault("GetBucketAcl", delay_s=3600, times=1, bucket=bucket)
    answers: list[str] = []
    delayed = threading.Thread(target=lambda: answers.append(code_of(lambda: s3.get_bucket_acl(Bucket=bucket))))
    delayed.start()
    wait_until(lambda: aws.gate.leftovers() == [], "the fault is in use")
    aws.gate.clear_faults()
    delayed.join(30)
    assert answers == ["allowed"]


def test_secret_has_the_signs_that_are_encoded_elsewhere_and_works(aws: Aws, iam: Any, new_name: Names) -> None:
    user = new_name("gate")
    key_id, secret = make_user(iam, user)
    assert (len(secret), secret[13], secret[27]) == (40, "/", "+")
    aws.client("s3", aws_access_key_id=key_id, aws_secret_access_key=secret).list_buckets()
    assert [user, secret] in [list(issued) for issued in aws.gate.issued()]


@pytest.mark.parametrize(
    ("when", "is_dropped", "is_done"), [("before", True, False), ("before", False, True), ("after", True, True)]
)
def test_write_is_held_before_or_after_its_effect_and_dropped_or_let_go(
    aws: Aws, iam: Any, new_name: Names, when: str, is_dropped: bool, is_done: bool
) -> None:
    user = new_name("gate")
    iam.create_user(UserName=user)
    aws.gate.arm(user, action="TagUser", number=2, when=when)
    iam.tag_user(UserName=user, Tags=[{"Key": "number", "Value": "1"}])
    assert aws.gate.wait_held(0) == ""
    second = threading.Thread(
        target=lambda: code_of(lambda: iam.tag_user(UserName=user, Tags=[{"Key": "number", "Value": "2"}]))
    )
    second.start()
    assert aws.gate.wait_held(30) == "TagUser"
    held = iam.list_user_tags(UserName=user)["Tags"]
    assert held == [{"Key": "number", "Value": "2" if when == "after" else "1"}]
    aws.gate.add_fault("TagUser", "AccessDenied", status=403, user=user)
    aws.gate.disarm(is_dropped=is_dropped)
    second.join()
    aws.gate.clear_faults()
    assert iam.list_user_tags(UserName=user)["Tags"] == [{"Key": "number", "Value": "2" if is_done else "1"}]


def test_iam_is_enforced(aws: Aws, iam: Any, new_name: Names) -> None:
    user = new_name("gate")
    key_id, secret = make_user(iam, user)
    iam.delete_user_policy(UserName=user, PolicyName="all")
    s3 = aws.client("s3", aws_access_key_id=key_id, aws_secret_access_key=secret)
    assert code_of(s3.list_buckets) == "AccessDenied"
    forged = aws.client("s3", aws_access_key_id=key_id, aws_secret_access_key="x" * 40)
    assert code_of(forged.list_buckets) == "SignatureDoesNotMatch"


def test_user_name_of_another_case_exists_already(aws: Aws, new_name: Callable[[str], str]) -> None:
    iam, name = aws.client("iam"), new_name("user")
    iam.create_user(UserName=name)
    for same in (name, name.upper()):
        assert code_of(lambda same=same: iam.create_user(UserName=same)) == "EntityAlreadyExists"


def test_policy_of_aws_can_be_attached(aws: Aws, new_name: Callable[[str], str]) -> None:
    iam, name = aws.client("iam"), new_name("user")
    iam.create_user(UserName=name)
    iam.attach_user_policy(UserName=name, PolicyArn="arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2")
    found = iam.list_attached_user_policies(UserName=name)["AttachedPolicies"]
    assert [item["PolicyArn"] for item in found] == ["arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2"]
