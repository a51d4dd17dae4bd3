"""What a message of the queue of events holds, and that any text at all is read in bounded time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from runner.drift.cloudtrail import MAX_CHARACTERS, Change, Ignored, Kind, Name, change_in, principal_of
from tests.support.cloudtrail import ACCOUNT, PERSON, bucket_event, event, role_session, user_event

PHOTOS, ALICE = Name(Kind.BUCKET, "photos"), Name(Kind.USER, "alice")
# The names that CloudTrail gives the operations:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/cloudtrail-logging-s3-info.html
S3_EVENTS = {
    "CreateBucket": {},
    "DeleteBucket": {},
    "PutBucketPolicy": {"policy": "", "bucketPolicy": {"Version": "2012-10-17", "Statement": []}},
    "DeleteBucketPolicy": {"policy": ""},
    "PutBucketAcl": {"acl": "", "AccessControlPolicy": {}},
    "PutBucketVersioning": {"versioning": "", "VersioningConfiguration": {"Status": "Suspended"}},
    "PutBucketTagging": {"tagging": "", "Tagging": {"TagSet": {"Tag": []}}},
    "DeleteBucketTagging": {"tagging": ""},
    "PutBucketPublicAccessBlock": {"publicAccessBlock": ""},
    "DeleteBucketPublicAccessBlock": {"publicAccessBlock": ""},
    "PutBucketOwnershipControls": {"ownershipControls": ""},
    "DeleteBucketOwnershipControls": {"ownershipControls": ""},
    "PutBucketEncryption": {"encryption": ""},
    "DeleteBucketEncryption": {"encryption": ""},
    "PutAccelerateConfiguration": {"accelerate": ""},
    "PutBucketObjectLockConfiguration": {"object-lock": ""},
    "PutBucketLifecycle": {"lifecycle": ""},
    "DeleteBucketLifecycle": {"lifecycle": ""},
    "PutBucketCors": {"cors": ""},
    "DeleteBucketCors": {"cors": ""},
    "PutBucketLogging": {"logging": ""},
    "PutBucketNotification": {"notification": ""},
    "PutBucketReplication": {"replication": ""},
    "DeleteBucketReplication": {"replication": ""},
    "PutBucketRequestPayment": {"requestPayment": ""},
    "PutBucketWebsite": {"website": ""},
    "DeleteBucketWebsite": {"website": ""},
    "PutBucketIntelligentTieringConfiguration": {"intelligent-tiering": "", "id": "archive"},
    "PutInventoryConfiguration": {"inventory": "", "id": "daily"},
    "PutMetricsConfiguration": {"metrics": "", "id": "all"},
    "PutAnalyticsConfiguration": {"analytics": "", "id": "all"},
    "CreateBucketMetadataConfiguration": {"metadataConfiguration": ""},
    "PutBucketAbac": {"abac": ""},
}
# https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html
USER_EVENTS = {
    "CreateUser": {},
    "DeleteUser": {},
    "PutUserPolicy": {"policyName": "photos", "policyDocument": "{}"},
    "DeleteUserPolicy": {"policyName": "photos"},
    "AttachUserPolicy": {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    "DetachUserPolicy": {"policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
    "PutUserPermissionsBoundary": {"permissionsBoundary": "arn:aws:iam::123456789012:policy/boundary"},
    "DeleteUserPermissionsBoundary": {},
    "CreateAccessKey": {},
    "UpdateAccessKey": {"accessKeyId": "AKIAIOSFODNN7EXAMPLE", "status": "Inactive"},
    "DeleteAccessKey": {"accessKeyId": "AKIAIOSFODNN7EXAMPLE"},
    "TagUser": {"tags": [{"key": "team", "value": "a"}]},
    "UntagUser": {"tagKeys": ["team"]},
    "AddUserToGroup": {"groupName": "admins"},
    "RemoveUserFromGroup": {"groupName": "admins"},
    "CreateLoginProfile": {"passwordResetRequired": False},
}
ROLE_EVENTS = ("UpdateAssumeRolePolicy", "PutRolePolicy", "AttachRolePolicy", "DeleteRole", "TagRole")


def names_in(body: str, account: str = ACCOUNT) -> frozenset[Name]:
    found = change_in(body, account)
    assert isinstance(found, Change), found
    return found.names


@pytest.mark.parametrize("name", S3_EVENTS)
def test_event_of_s3_concerns_its_bucket(name: str) -> None:
    assert names_in(bucket_event(name, "photos", S3_EVENTS[name])) == {PHOTOS}
    # Older versions of the record have no list of resources.
    assert names_in(bucket_event(name, "photos", S3_EVENTS[name], resources=None)) == {PHOTOS}


@pytest.mark.parametrize("name", USER_EVENTS)
def test_event_of_iam_concerns_its_user(name: str) -> None:
    assert names_in(user_event(name, "Alice", USER_EVENTS[name])) == {ALICE}


@pytest.mark.parametrize("name", ROLE_EVENTS)
def test_event_of_iam_concerns_its_role(name: str) -> None:
    assert names_in(json.dumps(event("iam", name, {"roleName": "Reader"}))) == {Name(Kind.ROLE, "reader")}


@pytest.mark.parametrize(
    ("body", "names"),
    [
        pytest.param(
            user_event("UpdateUser", "alice", {"newUserName": "bob"}), {ALICE, Name(Kind.USER, "bob")}, id="rename"
        ),
        # A user's call for its own key names no user:
        # https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html
        pytest.param(json.dumps(event("iam", "CreateAccessKey", None)), {ALICE}, id="own-key"),
        pytest.param(json.dumps(event("iam", "PutGroupPolicy", {"groupName": "admins"})), set(), id="group"),
        pytest.param(
            json.dumps(event("s3", "TagResource", {"resourceArn": "arn:aws:s3:::photos"}, managementEvent=True)),
            {PHOTOS}, id="tag-resource",
        ),
        pytest.param(json.dumps(event("s3", "PutStorageLensConfiguration", None)), set(), id="no-bucket"),
    ],
)  # fmt: skip
def test_event_that_names_its_subject_in_another_way(body: str, names: set[Name]) -> None:
    assert names_in(body) == names


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"readOnly": True}, Ignored.READ_ONLY),
        ({"readOnly": "true"}, Ignored.READ_ONLY),
        ({"errorCode": "AccessDenied", "errorMessage": "Access Denied"}, Ignored.FAILED),
        ({"recipientAccountId": "210987654321"}, Ignored.OTHER),
        ({"eventSource": "ec2.amazonaws.com"}, Ignored.OTHER),
        ({"managementEvent": False, "eventCategory": "Data"}, Ignored.OTHER),
        ({"eventCategory": "Insight"}, Ignored.OTHER),
        ({"userIdentity": "Alice"}, Ignored.MALFORMED),
        ({"eventID": None}, Ignored.MALFORMED),
        ({"eventID": "x" * 1000}, Ignored.MALFORMED),
        ({"eventSource": ["s3.amazonaws.com"]}, Ignored.MALFORMED),
        ({"recipientAccountId": None}, Ignored.MALFORMED),
        ({"requestParameters": ["photos"]}, Ignored.MALFORMED),
        ({"requestParameters": {"bucketName": {"$ne": ""}}}, Ignored.MALFORMED),
        ({"requestParameters": {"bucketName": "x" * 1000}}, Ignored.MALFORMED),
    ],
    ids=str,
)
def test_event_that_changes_nothing_of_the_account_is_ignored(fields: dict[str, Any], reason: Ignored) -> None:
    assert change_in(bucket_event("PutBucketPolicy", "photos", **fields), ACCOUNT) is reason


def test_account_that_is_not_known_takes_events_of_any() -> None:
    assert names_in(bucket_event("PutBucketPolicy", "photos", recipientAccountId="210987654321"), "") == {PHOTOS}


@pytest.mark.parametrize(
    "body",
    [
        "", "x", "null", "[]", '"text"', "{}", '{"detail": []}', "NaN", "\ud800", "9" * 100_000,
        "[" * 200_000, '{"detail":' * 20_000, '{"a":' + "[[],[]," * 5_000,
        # An SNS subscription without raw delivery, and a test message.
        json.dumps({"Type": "Notification", "Message": bucket_event("PutBucketPolicy", "photos")}),
        bucket_event("PutBucketPolicy", "photos", {"policy": "x" * MAX_CHARACTERS}),
    ],
    ids=range(15),
)  # fmt: skip
def test_text_that_is_no_event_is_malformed(body: str) -> None:
    assert change_in(body, ACCOUNT) is Ignored.MALFORMED


def test_largest_message_is_read() -> None:
    nested = json.dumps(event("s3", "PutBucketPolicy", {"bucketName": "photos", "policy": [{}] * 60_000}))
    assert len(nested) <= MAX_CHARACTERS
    assert names_in(nested) == {PHOTOS}


def test_number_of_resources_that_are_read_is_limited() -> None:
    many = [{"ARN": f"arn:aws:s3:::bucket-{number}"} for number in range(1000)]
    assert len(names_in(bucket_event("PutBucketPolicy", "photos", resources=many))) <= 11


@pytest.mark.parametrize(
    ("identity", "principal"),
    [
        (PERSON, "arn:aws:iam::123456789012:user/Alice"),
        (role_session("operator", "botocore-session-1"), "arn:aws:sts::123456789012:assumed-role/operator"),
        ({"type": "AWSService", "invokedBy": "s3.amazonaws.com"}, ""),
        ({"type": "Root", "arn": "arn:aws:iam::123456789012:root"}, "arn:aws:iam::123456789012:root"),
        ({"arn": "x" * 5000}, ""),
        ({"arn": ["x"]}, ""),
    ],
)
def test_principal_of_an_event(identity: dict[str, Any], principal: str) -> None:
    found = change_in(bucket_event("PutBucketPolicy", "photos", userIdentity=identity), ACCOUNT)
    assert isinstance(found, Change)
    assert found.principal == principal


def test_all_sessions_of_a_role_are_one_principal_and_no_other_role_is() -> None:
    own = principal_of("arn:aws:sts::123456789012:assumed-role/operator/one")
    assert own == principal_of("arn:aws:sts::123456789012:assumed-role/operator/two")
    for other in ("123456789012:assumed-role/operator2/one", "210987654321:assumed-role/operator/one"):
        assert own != principal_of(f"arn:aws:sts::{other}")
    # A user cannot take the role's name: its ARN is another one.
    assert own != principal_of("arn:aws:iam::123456789012:user/assumed-role/operator")
