"""The gate judges a key by a policy as AWS would: the rights that a request needs, who gives them, the refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dev.aws import Aws
from dev.awsgate.calls import ACCOUNT, Call
from dev.awsgate.evaluate import is_allowed
from dev.awsgate.rights import UNKNOWN, Right, rights_for
from tests.support.gate import code_of, make_user

Names = Callable[[str], str]
BUCKET = "arn:aws:s3:::team-a"
ALLOW = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}


def policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


DECISIONS: dict[str, tuple[bool, list[dict[str, Any]], Right]] = {
    "no-statement": (False, [], Right("s3:ListBucket", BUCKET)),
    "allowed": (True, [ALLOW], Right("s3:ListBucket", BUCKET)),
    "deny-wins": (
        False, [{**ALLOW, "Effect": "Deny", "Action": "s3:ListBucket"}, ALLOW], Right("s3:ListBucket", BUCKET)),
    "deny-of-another": (
        True, [ALLOW, {**ALLOW, "Effect": "Deny", "Action": "s3:Del*"}], Right("s3:ListBucket", BUCKET)),
    "other-action": (False, [{**ALLOW, "Action": ["s3:ListBucket"]}], Right("s3:ListBucketVersions", BUCKET)),
    "action-in-another-case": (True, [{**ALLOW, "Action": "S3:listbucket"}], Right("s3:ListBucket", BUCKET)),
    "resource-in-another-case": (
        False, [{**ALLOW, "Resource": BUCKET.upper()}], Right("s3:ListBucket", BUCKET)),
    "resource-by-prefix": (True, [{**ALLOW, "Resource": "arn:aws:s3:::team-*"}], Right("s3:ListBucket", BUCKET)),
    "resource-of-another": (
        False, [{**ALLOW, "Resource": "arn:aws:s3:::team-*"}], Right("s3:ListBucket", "arn:aws:s3:::other-a")),
    "brackets-are-no-pattern": (
        False, [{**ALLOW, "Resource": "arn:aws:s3:::team-[a]"}], Right("s3:ListBucket", BUCKET)),
    "not-action": (
        False, [{"Effect": "Allow", "NotAction": "s3:List*", "Resource": "*"}], Right("s3:ListBucket", BUCKET)),
    "not-resource": (
        True, [{"Effect": "Allow", "Action": "*", "NotResource": f"{BUCKET}b"}], Right("s3:ListBucket", BUCKET)),
}  # fmt: skip


@pytest.mark.parametrize(("wanted", "statements", "right"), DECISIONS.values(), ids=DECISIONS)
def test_decision(wanted: bool, statements: list[dict[str, Any]], right: Right) -> None:
    assert is_allowed(policy(*statements), right) is wanted


# Operator, what the policy has, what the request has (None: nothing), whether it holds.
CONDITIONS: dict[str, tuple[str, Any, list[str] | None, bool]] = {
    "equal": ("StringEquals", "a", ["a"], True),
    "one-of": ("StringEquals", ["b", "a"], ["a"], True),
    "not-equal": ("StringEquals", "a", ["b"], False),
    "case-counts": ("StringEquals", "a", ["A"], False),
    "missing": ("StringEquals", "a", None, False),
    "missing-if-exists": ("StringEqualsIfExists", "a", None, True),
    "other-if-exists": ("StringEqualsIfExists", "a", ["b"], False),
    "negated": ("StringNotEquals", "a", ["b"], True),
    "negated-equal": ("StringNotEquals", "a", ["a"], False),
    "negated-missing": ("StringNotEquals", "a", None, True),
    "like": ("StringLike", "a*", ["abc"], True),
    "star-is-text-in-equals": ("StringEquals", "a*", ["abc"], False),
    "arn-like": ("ArnLike", "arn:aws:iam::1:policy/*", ["arn:aws:iam::1:policy/x"], True),
    "null": ("Null", "true", None, True),
    "not-null": ("Null", "true", ["a"], False),
    "all-of-several": ("ForAllValues:StringEquals", ["a", "b"], ["b", "a"], True),
    "not-all-of-several": ("ForAllValues:StringEquals", ["a"], ["b", "a"], False),
}


@pytest.mark.parametrize(("operator", "value", "found", "wanted"), CONDITIONS.values(), ids=CONDITIONS)
def test_condition(operator: str, value: Any, found: list[str] | None, wanted: bool) -> None:
    right = Right("s3:ListBucket", BUCKET, {} if found is None else {"s3:SomeKey": found})
    assert is_allowed(policy({**ALLOW, "Condition": {operator: {"S3:somekey": value}}}), right) is wanted


def test_what_is_not_known_is_an_error_and_no_guess() -> None:
    right = Right("s3:ListBucket", BUCKET, {"s3:SomeKey": ["a"]})
    with pytest.raises(KeyError):
        is_allowed(policy({**ALLOW, "Condition": {"NumericEquals": {"s3:SomeKey": "1"}}}), right)
    with pytest.raises(ValueError, match="Principal"):
        is_allowed(policy({**ALLOW, "Principal": "*"}), right)


TAGS = b'<A xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Tags><Tag><Key>a</Key><Value>1</Value></Tag></Tags></A>'
DELETES = (
    b'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a</Key></Object>'
    b"<Object><Key>b</Key><VersionId>null</VersionId></Object></Delete>"
)
USER = f"arn:aws:iam::{ACCOUNT}:user"
REQUESTS: dict[str, tuple[Call, list[tuple[str, str]]]] = {
    "HeadBucket": (Call("s3", "HeadBucket", "b"), [("s3:ListBucket", "b")]),
    "ListBuckets": (Call("s3", "ListBuckets"), [("s3:ListAllMyBuckets", "*")]),
    "CreateBucket": (Call("s3", "CreateBucket", "b"), [("s3:CreateBucket", "b")]),
    "CreateBucket-tags": (
        Call("s3", "CreateBucket", "b", body=TAGS), [("s3:CreateBucket", "b"), ("s3:TagResource", "b")]),
    "CreateBucket-lock": (
        Call("s3", "CreateBucket", "b", headers={"x-amz-bucket-object-lock-enabled": "true"}),
        [("s3:CreateBucket", "b"), ("s3:PutBucketObjectLockConfiguration", "b"), ("s3:PutBucketVersioning", "b")],
    ),
    "CreateBucket-acl": (
        Call("s3", "CreateBucket", "b", headers={"x-amz-acl": "public-read"}),
        [("s3:CreateBucket", "b"), ("s3:PutBucketAcl", "b")],
    ),
    "DeleteObject": (Call("s3", "DeleteObject", "b", "k"), [("s3:DeleteObject", "b/k")]),
    "DeleteObject-version": (
        Call("s3", "DeleteObject", "b", "k", query={"versionId": "1"}), [("s3:DeleteObjectVersion", "b/k")]),
    "DeleteObjects": (
        Call("s3", "DeleteObjects", "b", body=DELETES),
        [("s3:DeleteObject", "b/a"), ("s3:DeleteObjectVersion", "b/b")],
    ),
    "PutObject-tags": (
        Call("s3", "PutObject", "b", "k", headers={"x-amz-tagging": "a=b"}),
        [("s3:PutObject", "b/k"), ("s3:PutObjectTagging", "b/k")],
    ),
    "PutObject-copy": (
        Call("s3", "PutObject", "b", "k", headers={"x-amz-copy-source": "/other/a%2Fb?versionId=1"}),
        [("s3:PutObject", "b/k"), ("s3:GetObjectVersion", "other/a/b")],
    ),
    "GetObjectAttributes-version": (
        Call("s3", "GetObjectAttributes", "b", "k", query={"versionId": "1"}),
        [("s3:GetObjectVersion", "b/k"), ("s3:GetObjectVersionAttributes", "b/k")],
    ),
    "ListParts": (Call("s3", "ListParts", "b", "k"), [("s3:ListMultipartUploadParts", "b/k")]),
    "ListObjectVersions": (Call("s3", "ListObjectVersions", "b"), [("s3:ListBucketVersions", "b")]),
    "DeletePublicAccessBlock": (Call("s3", "DeletePublicAccessBlock", "b"), [("s3:PutBucketPublicAccessBlock", "b")]),
    "GetUser-of-none": (Call("iam", "GetUser", user="missing"), [("iam:GetUser", f"{USER}/missing")]),
    "CreateUser-tags": (
        Call("iam", "CreateUser", user="u",
             query={"Path": "/p/", "Tags.member.1.Key": "a", "Tags.member.1.Value": "1"}),
        [("iam:CreateUser", f"{USER}/p/u"), ("iam:TagUser", f"{USER}/p/u")],
    ),
    "GetAccountAuthorizationDetails": (
        Call("iam", "GetAccountAuthorizationDetails"), [("iam:GetAccountAuthorizationDetails", "*")]),
    "GetCallerIdentity": (Call("sts", "GetCallerIdentity"), []),
    "new-one": (Call("s3", "GetBucketPolicyStatus", "b"), [(UNKNOWN, "GetBucketPolicyStatus")]),
}  # fmt: skip


@pytest.mark.parametrize(("call", "wanted"), REQUESTS.values(), ids=REQUESTS)
def test_request_needs(call: Call, wanted: list[tuple[str, str]]) -> None:
    found = [(right.action, right.resource.removeprefix("arn:aws:s3:::")) for right in rights_for(call)]
    assert found == wanted


@pytest.mark.parametrize(
    ("call", "prefix"),
    [
        pytest.param(Call("s3", "ListObjects", "b", query={"prefix": "a/"}), ["a/"], id="list"),
        pytest.param(Call("s3", "ListObjectVersions", "b", query={"prefix": ""}), [""], id="versions-empty"),
        pytest.param(Call("s3", "ListObjects", "b"), None, id="none-given"),
        pytest.param(Call("s3", "ListMultipartUploads", "b", query={"prefix": "a/"}), None, id="uploads"),
    ],
)
def test_list_has_the_prefix_that_it_asks_for(call: Call, prefix: list[str] | None) -> None:
    (right,) = rights_for(call)
    assert right.context.get("s3:prefix") == prefix


@pytest.mark.parametrize(("action", "code"), [("s3:ListBucket", "allowed"), ("s3:PutObject", "403")])
def test_head_of_a_bucket_needs_the_right_to_list_it(aws: Aws, new_name: Names, action: str, code: str) -> None:
    bucket, user, iam = new_name("bucket"), new_name("user"), aws.client("iam")
    aws.client("s3").create_bucket(Bucket=bucket)
    key_id, secret = make_user(iam, user)
    iam.put_user_policy(
        UserName=user, PolicyName="all", PolicyDocument=json.dumps(policy({**ALLOW, "Action": [action]}))
    )
    s3 = aws.client("s3", aws_access_key_id=key_id, aws_secret_access_key=secret)
    assert code_of(lambda: s3.head_bucket(Bucket=bucket)) == code


def test_request_has_the_tags_and_the_boundary_that_it_sets() -> None:
    query = {"PermissionsBoundary": "arn:b", "Tags.member.1.Key": "a", "Tags.member.1.Value": "1"}
    creates, tags = rights_for(Call("iam", "CreateUser", user="u", query=query))
    assert creates.context == {"aws:TagKeys": ["a"], "aws:RequestTag/a": ["1"], "iam:PermissionsBoundary": ["arn:b"]}
    assert tags.context == {"aws:TagKeys": ["a"], "aws:RequestTag/a": ["1"]}


class Judged:
    """Clients of a key that is judged by a policy, and the account's own."""

    def __init__(self, aws: Aws, name: str, *statements: dict[str, Any]) -> None:
        self._aws = aws
        self.iam, self.s3 = aws.client("iam"), aws.client("s3")
        key_id, secret = make_user(self.iam, name)
        self._keys = {"aws_access_key_id": key_id, "aws_secret_access_key": secret}
        aws.gate.judge(key_id, policy(*statements))

    def client(self, service: str) -> Any:
        return self._aws.client(service, **self._keys)


def test_refusal_has_the_form_of_the_service_and_names_action_and_resource(aws: Aws, new_name: Names) -> None:
    judged, bucket, user = Judged(aws, new_name("judged")), new_name("gate"), new_name("user")
    judged.s3.create_bucket(Bucket=bucket)
    judged.iam.create_user(UserName=user, Path="/team/")
    for call, action, resource in (
        (lambda: judged.client("s3").get_bucket_acl(Bucket=bucket), "s3:GetBucketAcl", f"arn:aws:s3:::{bucket}"),
        (lambda: judged.client("iam").delete_user(UserName=user), "iam:DeleteUser", f"{USER}/team/{user}"),
    ):
        with pytest.raises(judged.s3.exceptions.ClientError) as refused:
            call()
        answer = refused.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDenied", 403)
        assert f"is not authorized to perform: {action} on resource: {resource} " in answer["Error"]["Message"]
    # HEAD has no body.
    assert code_of(lambda: judged.client("s3").head_bucket(Bucket=bucket)) == "403"
    assert judged.iam.get_user(UserName=user), "nothing was done"


def test_only_the_judged_key_is_judged_and_a_missing_bucket_is_missing_for_all(aws: Aws, new_name: Names) -> None:
    judged, bucket = Judged(aws, new_name("judged")), new_name("gate")
    assert code_of(lambda: judged.client("s3").head_bucket(Bucket=bucket)) == "404"
    assert code_of(lambda: judged.client("s3").create_bucket(Bucket=bucket)) == "AccessDenied"
    assert code_of(lambda: judged.s3.create_bucket(Bucket=bucket)) == "allowed"
    assert code_of(judged.client("sts").get_caller_identity) == "allowed"


def test_denied_deletion_of_objects_answers_for_each_object(aws: Aws, new_name: Names) -> None:
    allow = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*"}
    judged, bucket = Judged(aws, new_name("judged"), allow), new_name("gate")
    judged.s3.create_bucket(Bucket=bucket)
    judged.s3.put_object(Bucket=bucket, Key="a&b", Body=b"x")
    s3 = judged.client("s3")
    versions = [{"Key": "a&b", "VersionId": "null"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": versions})
    assert [(item["Key"], item["VersionId"], item["Code"]) for item in answer["Errors"]] == [
        ("a&b", "null", "AccessDenied")
    ]
    assert "Deleted" not in answer
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a&b"}]})


def test_boundary_of_a_user_is_kept_shown_and_judged(aws: Aws, new_name: Names) -> None:
    arn, other = (f"arn:aws:iam::{ACCOUNT}:policy/{name}" for name in ("tenant", "other"))
    bound = {"Condition": {"StringEquals": {"iam:PermissionsBoundary": arn}}}
    actions = ["iam:CreateUser", "iam:PutUserPolicy", "iam:PutUserPermissionsBoundary"]
    judged = Judged(aws, new_name("judged"), {"Effect": "Allow", "Action": actions, "Resource": "*", **bound})
    iam, user = judged.client("iam"), new_name("user")
    everything = {"UserName": user, "PolicyName": "all", "PolicyDocument": json.dumps(policy(ALLOW))}

    def shown() -> str:
        found = judged.iam.get_user(UserName=user)["User"].get("PermissionsBoundary", {})
        return str(found.get("PermissionsBoundaryArn", ""))

    assert code_of(lambda: iam.create_user(UserName=user)) == "AccessDenied"
    assert code_of(lambda: iam.create_user(UserName=user, PermissionsBoundary=other)) == "AccessDenied"
    assert code_of(lambda: iam.create_user(UserName=user, PermissionsBoundary=arn)) == "allowed"
    assert (shown(), code_of(lambda: iam.put_user_policy(**everything))) == (arn, "allowed")
    judged.iam.put_user_permissions_boundary(UserName=user, PermissionsBoundary=other)
    assert (shown(), code_of(lambda: iam.put_user_policy(**everything))) == (other, "AccessDenied")
    judged.iam.delete_user_permissions_boundary(UserName=user)
    assert (shown(), code_of(lambda: iam.put_user_policy(**everything))) == ("", "AccessDenied")
    put = {"UserName": user, "PermissionsBoundary": arn}
    assert code_of(lambda: iam.put_user_permissions_boundary(**put)) == "allowed"
    assert code_of(lambda: iam.put_user_policy(**everything)) == "allowed"


def test_bucket_of_another_account_has_that_account(aws: Aws, new_name: Names) -> None:
    in_account = {**ALLOW, "Condition": {"StringEqualsIfExists": {"s3:ResourceAccount": ACCOUNT}}}
    judged, other, own = Judged(aws, new_name("judged"), in_account), new_name("gate"), new_name("gate")
    aws.gate.make_bucket_elsewhere(other, is_open=True)
    s3 = judged.client("s3")
    assert code_of(lambda: s3.create_bucket(Bucket=own)) == "allowed"
    assert code_of(lambda: s3.get_bucket_acl(Bucket=own)) == "allowed"
    assert code_of(lambda: s3.get_bucket_acl(Bucket=other)) == "AccessDenied"
    assert code_of(lambda: judged.s3.get_bucket_acl(Bucket=other)) == "allowed"
