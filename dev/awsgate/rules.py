"""What AWS does and moto does not: one function a rule, each with the AWS page that it follows.

A rule before moto answers itself, or returns None to let the request pass. A rule after moto corrects what
moto made of a request that succeeded. Both use moto's own models, which are in this process.
"""

from __future__ import annotations

import json
import re
import uuid
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import escape, unescape

from moto.iam.models import AWSManagedPolicy, iam_backends
from moto.s3.models import FakeBucket, FakeGrant, PublicAccessBlock, s3_backends
from moto.s3.responses import ACTION_MAP

from .answers import Answer, error, iam_result
from .calls import ACCOUNT, Call

_PUBLIC_ACLS = ("public-read", "public-read-write", "authenticated-read")
# Buckets of other accounts with a policy that lets the tests' account in.
# HEAD of a bucket needs the right to list it: https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
# (Permissions). moto asks for an action s3:HeadBucket, which AWS does not have.
ACTION_MAP["BUCKET"]["HEAD"]["DEFAULT"] = "ListBucket"
OPEN_BUCKETS: set[str] = set()
# What tests set: buckets with access points, and with MFA Delete; regions that the account has not enabled.
WITH_ACCESS_POINTS: set[str] = set()
WITH_MFA_DELETE: set[str] = set()
DISABLED_REGIONS: set[str] = set()
# While a bucket is in these sets, its first reads are stale, or its tags are not shown.
LATE_BUCKETS: set[str] = set()
UNSHOWN_BUCKETS: set[str] = set()
# Users that S3 does not know yet: the first policy that names one is refused. Quotas of the account that are used up.
LATE_USERS: set[str] = set()
# Users with keys that S3 does not know yet.
LATE_KEYS: set[str] = set()
USED_QUOTAS: set[str] = set()
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html, and for buckets
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/BucketRestrictions.html
_QUOTA_OF_ACTION = {
    "CreateUser": "UsersPerAccount",
    "PutUserPolicy": "UserPolicySizeQuota",
    "CreateAccessKey": "AccessKeysPerUser",
    "CreateBucket": "BucketsPerAccount",
}
# By action: what the first reads answer.
_STALE_ANSWERS = {
    "HeadBucket": ("NoSuchBucket",),
    "GetBucketTagging": ("NoSuchBucket", "NoSuchTagSet"),
    "GetBucketVersioning": ("NoSuchBucket",),
}
_STALE_READS: Counter[tuple[str, str]] = Counter()
_UPLOADS_A_PAGE = 10
_MAX_TAGS = 50
_S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def find_bucket(name: str) -> tuple[str, FakeBucket] | None:
    """A bucket of any account, with the account."""
    for account, partitions in list(s3_backends.items()):
        buckets = partitions["aws"].buckets
        if name in buckets:
            return str(account), buckets[name]
    return None


def refuse_inactive_key(call: Call) -> Answer | None:
    """An inactive key is refused as an unknown one is.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys-admin-managed.html
    """
    key = iam_backends[ACCOUNT]["aws"].access_keys.get(call.access_key)
    if key is None or key.status == "Active":
        return None
    code = "InvalidAccessKeyId" if call.service == "s3" else "InvalidClientTokenId"
    return error(call, 403, code, "The security token included in the request is invalid")


def refuse_late_key(call: Call) -> Answer | None:
    """S3 does not know the keys of some users, although IAM and STS do.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    """
    key = iam_backends[ACCOUNT]["aws"].access_keys.get(call.access_key)
    if call.service != "s3" or key is None or key.user_name not in LATE_KEYS:
        return None
    return error(call, 403, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.")


def check_expected_owner(call: Call) -> Answer | None:
    """A bucket of another account than the expected one is not touched.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
    """
    expected = call.headers.get("x-amz-expected-bucket-owner")
    found = find_bucket(call.bucket) if expected else None
    if found is None or found[0] == expected:
        return None
    return error(call, 403, "AccessDenied", "Access Denied")


def create_existing_bucket(call: Call) -> Answer | None:
    """In us-east-1 a create on one's own bucket answers 200 and changes nothing.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html (BucketAlreadyOwnedByYou)
    """
    found = find_bucket(call.bucket) if call.action == "CreateBucket" else None
    if found is None:
        return None
    if found[1].region_name == "us-east-1":
        return Answer(200, headers={"Location": f"/{call.bucket}"})
    return error(call, 409, "BucketAlreadyOwnedByYou", "The bucket that you tried to create exists and you own it")


def refuse_public_acl(call: Call) -> Answer | None:
    """Block Public Access refuses public ACLs; BucketOwnerEnforced refuses every change of an ACL.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html,
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/about-object-ownership.html
    """
    acl = call.headers.get("x-amz-acl", "private")
    if call.action not in ("PutBucketAcl", "CreateBucket") or (acl == "private" and call.action == "CreateBucket"):
        return None
    found = find_bucket(call.bucket)
    if found is None:
        message = "Bucket cannot have public ACLs set with BlockPublicAccess enabled"
        is_new = call.action == "CreateBucket"
        return error(call, 400, "InvalidBucketAclWithBlockPublicAccessError", message) if is_new else None
    # moto declares it as a dictionary and stores a string.
    rule: Any = found[1].ownership_rule
    if rule == "BucketOwnerEnforced":
        return error(call, 400, "AccessControlListNotSupported", "The bucket does not allow ACLs")
    block = found[1].public_access_block
    if block and block.block_public_acls and acl in _PUBLIC_ACLS:
        return error(call, 403, "AccessDenied", "public ACLs are prevented by the BlockPublicAcls setting")
    return None


def refuse_enforced_ownership_with_acl(call: Call) -> Answer | None:
    """BucketOwnerEnforced needs a private ACL.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-ownership-error-responses.html
    """
    if call.action != "PutBucketOwnershipControls" or b"BucketOwnerEnforced" not in call.body:
        return None
    found = find_bucket(call.bucket)
    if found is None or found[1].acl is None or len(found[1].acl.grants) <= 1:
        return None
    return error(
        call, 400, "InvalidBucketAclWithObjectOwnership", "Bucket cannot have ACLs set with BucketOwnerEnforced"
    )


def refuse_public_policy(call: Call) -> Answer | None:
    """Block Public Access refuses a policy that lets everyone in.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-control-block-public-access.html
    """
    found = find_bucket(call.bucket) if call.action == "PutBucketPolicy" else None
    if found is None or found[1].public_access_block is None or not found[1].public_access_block.block_public_policy:
        return None
    if not _is_public(call.body):
        return None
    return error(call, 403, "AccessDenied", "public policies are prevented by the BlockPublicPolicy setting")


def refuse_malformed_policy(call: Call) -> Answer | None:
    """A bucket policy must be a document with statements about this bucket, its principals must be there.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (MalformedPolicy),
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html,
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
    """
    if call.action != "PutBucketPolicy":
        return None
    try:
        statements = _as_list(json.loads(call.body)["Statement"])
        wrong = next((found for item in statements if (found := _fault_in(item, call.bucket))), "")
    except (ValueError, KeyError, TypeError, AttributeError):
        wrong = "Invalid policy syntax."
    return error(call, 400, "MalformedPolicy", wrong) if wrong else None


def _fault_in(statement: dict[str, Any], bucket: str) -> str:
    parts = ("Effect", "Principal", "Action", "Resource")
    missing = [part for part in parts if part not in statement and f"Not{part}" not in statement]
    if missing:
        return f"Missing required field {missing[0]}"
    unknown = set(statement) - {"Sid", "Condition", *parts, *(f"Not{part}" for part in parts)}
    if unknown:
        return f"Unknown field {min(unknown)}"
    if statement["Effect"] not in ("Allow", "Deny"):
        return f"Invalid effect: {statement['Effect']}"
    if not all(map(_is_principal, _principals(statement))):
        return "Invalid principal in policy"
    actions = _as_list(statement.get("Action", statement.get("NotAction")))
    if not all(re.fullmatch(r"\*|s3:[a-z*?]+", action, re.IGNORECASE) for action in actions):
        return "Policy has invalid action"
    own = re.compile(rf"\*|arn:aws:s3:::{re.escape(bucket)}(/.*)?", re.DOTALL)
    resources = _as_list(statement.get("Resource", statement.get("NotResource")))
    return "" if all(own.fullmatch(resource) for resource in resources) else "Policy has invalid resource"


def _principals(statement: dict[str, Any]) -> list[str]:
    principal: Any = statement.get("Principal", statement.get("NotPrincipal"))
    if isinstance(principal, str):
        # Only everyone may be named without a kind.
        return [principal if principal == "*" else ""]
    return [name for kind, names in principal.items() for name in _as_list(names) if kind == "AWS"]


def _is_principal(name: str) -> bool:
    if name == "*" or re.fullmatch(r"\d{12}|arn:aws:iam::\d{12}:root", name):
        return True
    # A user or role of this account must be there; of others nothing is known here.
    iam: Any = iam_backends[ACCOUNT]["aws"]
    found = next((one.name for one in (*iam.users.values(), *iam.roles.values()) if one.arn == name), "")
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    is_late = found in LATE_USERS
    LATE_USERS.discard(found)
    return bool(found) and not is_late


def answer_service_credentials(call: Call) -> Answer | None:
    """No user here has service-specific credentials; moto does not know the action.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListServiceSpecificCredentials.html
    """
    if call.action != "ListServiceSpecificCredentials":
        return None
    return iam_result(call.action, "<ServiceSpecificCredentials/>")


def refuse_to_delete_user_in_use(call: Call) -> Answer | None:
    """A user that has anything left is not deleted; moto keeps only one that has policies.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUser.html (DeleteConflict)
    """
    backend = iam_backends[ACCOUNT]["aws"]
    user = backend.users.get(call.user) if call.action == "DeleteUser" else None
    if user is None:
        return None
    left = {
        "delete access keys": user.access_keys,
        "delete login profile": user.password,
        "delete MFA device": user.mfa_devices,
        "delete SSH public keys": user.ssh_public_keys,
        "delete signing certificates": user.signing_certificates,
        "remove users from group": backend.get_groups_for_user(call.user),
    }
    first = next((what for what, found in left.items() if found), "")
    return error(call, 409, "DeleteConflict", f"Cannot delete entity, must {first} first.") if first else None


def answer_retention(call: Call) -> Answer | None:
    """The retention of one object version; moto does not know the action.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectRetention.html
    """
    found = find_bucket(call.bucket) if call.action == "GetObjectRetention" else None
    if found is None:
        return None
    if not found[1].object_lock_enabled:
        return error(call, 400, "InvalidRequest", "Bucket is missing Object Lock Configuration")
    wanted = call.query.get("versionId", "null")
    for item in found[1].keys.getlist(call.key, []):
        if str(item.version_id) == wanted and item.lock_until:
            body = (
                f"<Retention><Mode>{item.lock_mode}</Mode>"
                f"<RetainUntilDate>{item.lock_until}</RetainUntilDate></Retention>"
            )
            return Answer(200, body.encode(), {"Content-Type": "application/xml"})
    return error(call, 404, "NoSuchObjectLockConfiguration", "The object has no retention")


def answer_users_boundary(call: Call) -> Answer | None:
    """A user's permissions boundary is put and deleted; moto only has those of roles.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_PutUserPermissionsBoundary.html,
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_DeleteUserPermissionsBoundary.html
    """
    if call.action not in ("PutUserPermissionsBoundary", "DeleteUserPermissionsBoundary"):
        return None
    user = iam_backends[ACCOUNT]["aws"].users.get(call.user)
    if user is None:
        return error(call, 404, "NoSuchEntity", f"The user with name {call.user} cannot be found.")
    set_boundary(user, call.query.get("PermissionsBoundary", ""))
    return iam_result(call.action, "")


def set_boundary(user: Any, arn: str) -> None:
    """Give a moto user a permissions boundary; moto answers with what its model has under this name."""
    shown = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    user.permissions_boundary = shown if arn else None


def bound_new_user(call: Call, answer: Answer) -> None:
    """A user has the boundary of the call that creates it.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html (PermissionsBoundary)
    """
    arn = call.query.get("PermissionsBoundary", "")
    if call.action == "CreateUser" and arn:
        set_boundary(iam_backends[ACCOUNT]["aws"].users[call.user], arn)


def give_secret_its_signs(call: Call, answer: Answer) -> None:
    """A secret access key has / and + in it, which are encoded in URLs and in JSON; moto's has not.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html (the example)
    """
    if call.action != "CreateAccessKey":
        return
    plain = answer.body.partition(b"<SecretAccessKey>")[2].partition(b"<")[0].decode()
    secret = f"{plain[:13]}/{plain[14:27]}+{plain[28:]}"
    for key in iam_backends[ACCOUNT]["aws"].access_keys.values():
        if key.secret_access_key == plain:
            key.secret_access_key = secret
    answer.body = answer.body.replace(plain.encode(), secret.encode())


def tag_new_bucket(call: Call, answer: Answer) -> None:
    """The tags of a create call are on the bucket from its first moment.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucketConfiguration.html
    """
    found = find_bucket(call.bucket) if call.action == "CreateBucket" and call.body else None
    if found is None:
        return
    tags = [
        {"Key": tag.findtext(f"{_S3}Key", ""), "Value": tag.findtext(f"{_S3}Value", "")}
        for tag in ElementTree.fromstring(call.body).iter(f"{_S3}Tag")
    ]
    if tags:
        s3_backends[ACCOUNT]["aws"].tagger.tag_resource(found[1].arn, tags)


def answer_tags_of_resource(call: Call) -> Answer | None:
    """S3 Control puts and removes single tags of a bucket, with ABAC or without; moto only has it for other resources.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_TagResource.html,
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_UntagResource.html
    """
    if call.action not in ("TagResource", "UntagResource"):
        return None
    found = find_bucket(call.bucket)
    if found is None:
        return error(call, 404, "NoSuchResource", "The specified resource doesn't exist.")
    arn, tagger = found[1].arn, s3_backends[found[0]]["aws"].tagger
    if call.action == "UntagResource":
        tagger.untag_resource_using_names(arn, call.lists["tagKeys"])
        return Answer(204)
    items = [item for item in ElementTree.fromstring(call.body).iter() if item.tag.rpartition("}")[2] == "Tag"]
    texts = [{part.tag.rpartition("}")[2]: part.text or "" for part in item} for item in items]
    if len({**tagger.get_tag_dict_for_resource(arn), **{text["Key"]: "" for text in texts}}) > _MAX_TAGS:
        return error(call, 400, "TooManyTags", "The number of tags exceeds the limit of 50 tags")
    tagger.tag_resource(arn, texts)
    return Answer(204)


def keep_empty_tags(call: Call, answer: Answer) -> None:
    """A tag's value may be empty, and is returned so; moto forgets that there is one.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Tag.html
    """
    found = find_bucket(call.bucket) if call.action == "PutBucketTagging" else None
    if found is not None:
        tags = s3_backends[found[0]]["aws"].tagger.tags.get(found[1].arn, {})
        tags.update({key: value or "" for key, value in tags.items()})


def close_new_bucket(call: Call, answer: Answer) -> None:
    """Since April 2023 a new bucket has its ACLs disabled and Block Public Access on.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/create-bucket-faq.html
    """
    found = find_bucket(call.bucket) if call.action == "CreateBucket" else None
    if found is not None:
        bucket: Any = found[1]
        bucket.ownership_rule = call.headers.get("x-amz-object-ownership", "BucketOwnerEnforced")
        bucket.public_access_block = PublicAccessBlock("true", "true", "true", "true")


def split_grants(call: Call, answer: Answer) -> None:
    """A grant of an ACL is one permission; moto makes one of the two of public-read-write, and shows the first.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/acl-overview.html (Canned ACL), API_Grant.html
    """
    found = find_bucket(call.bucket) if call.action in ("PutBucketAcl", "CreateBucket") else None
    if found is not None and found[1].acl is not None:
        grants = found[1].acl.grants
        found[1].acl.grants = [FakeGrant(item.grantees, [right]) for item in grants for right in item.permissions]


def forget_deleted_bucket(call: Call, answer: Answer) -> None:
    """A bucket's tags go with it; moto would give them to the next bucket of that name.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteBucket.html
    """
    if call.action == "DeleteBucket":
        s3_backends[ACCOUNT]["aws"].tagger.delete_all_tags_for_resource(f"arn:aws:s3:::{call.bucket}")


def name_undeleted_versions(call: Call, answer: Answer) -> None:
    """An error in the answer to DeleteObjects names the version that was not deleted; moto's only names the key.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Error.html (VersionId)
    """
    found = find_bucket(call.bucket) if call.action == "DeleteObjects" and b"<Error>" in answer.body else None
    if found is None:
        return
    errors = [
        f"<Error><Key>{escape(key)}</Key><VersionId>{version}</VersionId><Code>AccessDenied</Code>"
        "<Message>Access Denied because object protected by object lock.</Message></Error>"
        for key, version in _requested_versions(call.body)
        if any(str(item.version_id) == version and item.is_locked(False) for item in found[1].keys.getlist(key, []))
    ]
    named = "".join(errors).encode()
    # A function, as a key may hold what re.sub would take for a reference.
    answer.body = re.sub(rb"<Error>.*</Error>", lambda _: named, answer.body, flags=re.DOTALL)


def rewrite_policy(call: Call, answer: Answer) -> None:
    """AWS gives a bucket's policy back in a form of its own; moto gives the text that was sent.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-accounts
    (an account's id for its root), https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/
    private-content-restricting-access-to-s3-oai.html (a CanonicalUser is saved as the identity's ARN), and the issues
    of terraform-provider-aws about policies that differ for ever (single values, repeated values, empty elements,
    numbers as text, as Java writes them).
    """
    found = find_bucket(call.bucket) if call.action == "GetBucketPolicy" else None
    if found is None:
        return
    try:
        document = json.loads(answer.body)
        document["Statement"] = [_rewritten(item, found[1].region_name) for item in _as_list(document["Statement"])]
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    if document.get("Id") == "":
        del document["Id"]
    answer.body = json.dumps(document, separators=(",", ":")).encode()


def forget_deleted_user(call: Call, answer: Answer) -> None:
    """A policy that names a user keeps its unique id, and shows that once the user is deleted; moto keeps the ARN.

    A later user of the same name has another id, so the policy does not mean it; and the id cannot be written.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html#principal-users,
    https://repost.aws/knowledge-center/iam-resource-policy-format
    """
    if call.action != "DeleteUser":
        return
    arn = re.compile(rf'"arn:aws:iam::{ACCOUNT}:user/([^"]*/)?{re.escape(call.user)}"')
    unique_id = f'"AIDA{uuid.uuid4().hex[:17].upper()}"'
    for bucket in s3_backends[ACCOUNT]["aws"].buckets.values():
        if bucket.policy:
            text = bucket.policy.decode() if isinstance(bucket.policy, bytes) else bucket.policy
            bucket.policy = arn.sub(unique_id, text).encode()


def _rewritten(statement: dict[str, Any], region: str) -> dict[str, Any]:
    new = {name: value for name, value in statement.items() if not (name == "Condition" and value == {})}
    for name in ("Action", "NotAction", "Resource", "NotResource"):
        if name in new:
            new[name] = _shortened(new[name])
    if isinstance(new.get("Principal"), dict):
        new["Principal"] = _rewritten_principal(new["Principal"], region)
    if "Condition" in new:
        new["Condition"] = {
            operator: {key: _shortened(list(map(_as_java, _as_list(values)))) for key, values in tests.items()}
            for operator, tests in new["Condition"].items()
        }
    return new


def _rewritten_principal(principal: dict[str, Any], region: str) -> dict[str, Any]:
    partition = "aws-cn" if region.startswith("cn-") else "aws"
    names = [
        f"arn:{partition}:iam::{name}:root" if re.fullmatch(r"\d{12}", name) else name
        for name in _as_list(principal.get("AWS", []))
    ]
    names += [
        f"arn:{partition}:iam::cloudfront:user/CloudFront Origin Access Identity E{name[:13].upper()}"
        for name in _as_list(principal.get("CanonicalUser", []))
    ]
    rest = {kind: _shortened(value) for kind, value in principal.items() if kind not in ("AWS", "CanonicalUser")}
    return {**rest, "AWS": _shortened(names)} if names else rest


def _shortened(values: Any) -> Any:
    unique = list(dict.fromkeys(_as_list(values)))
    return unique[0] if len(unique) == 1 else unique


def _as_java(value: Any) -> str:
    """A scalar as Java writes it: that of a double has an exponent from 1E7 on."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and abs(value) >= 1e7:
        digits, _, exponent = f"{Decimal(str(value)).normalize():E}".partition("E")
        return f"{digits if '.' in digits else digits + '.0'}E{int(exponent)}"
    return str(value)


def refuse_unreadable_xml(call: Call) -> Answer | None:
    """A key with a character that XML 1.0 does not know makes AWS refuse the whole DeleteObjects.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (MalformedXML),
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html (XML related object key constraints),
    https://github.com/boto/boto3/issues/2005 (AWS's answer), https://github.com/aws/aws-sdk-java/issues/333
    """
    if call.action != "DeleteObjects" or is_xml(call.body):
        return None
    return error(
        call,
        400,
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )


def refuse_with_access_points(call: Call) -> Answer | None:
    """A bucket with access points is not deleted.

    https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (BucketHasAccessPointsAttached)
    """
    if call.action != "DeleteBucket" or call.bucket not in WITH_ACCESS_POINTS:
        return None
    return error(
        call,
        400,
        "BucketHasAccessPointsAttached",
        "The bucket you tried to delete has access points attached. Delete your access points before deleting your "
        "bucket.",
    )


def refuse_without_mfa(call: Call) -> Answer | None:
    """With MFA Delete no request deletes a version or changes the versioning without the header x-amz-mfa.

    A DeleteObjects that names a version fails as a whole.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/MultiFactorAuthenticationDelete.html,
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html (x-amz-mfa)
    """
    if call.bucket not in WITH_MFA_DELETE or "x-amz-mfa" in call.headers:
        return None
    names_version = (call.action == "DeleteObjects" and b"<VersionId>" in call.body) or (
        call.action == "DeleteObject" and "versionId" in call.query
    )
    if not names_version and call.action != "PutBucketVersioning":
        return None
    return error(call, 403, "AccessDenied", "Mfa Authentication must be used for this request")


def refuse_disabled_region(call: Call) -> Answer | None:
    """A region that the account has not enabled does not know its keys.

    https://docs.aws.amazon.com/accounts/latest/reference/manage-acct-regions.html,
    https://github.com/grafana/grafana-aws-sdk/pull/129 (the answer of STS)
    """
    if call.region not in DISABLED_REGIONS:
        return None
    if call.service == "s3":
        text = "The AWS Access Key Id you provided does not exist in our records."
        return error(call, 403, "InvalidAccessKeyId", text)
    return error(call, 403, "InvalidClientTokenId", "The security token included in the request is invalid")


def refuse_namespace_without_header(call: Call) -> Answer | None:
    """A name in an account regional namespace needs a header, and is refused in any other account or region.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/gpbucketnamespaces.html,
    https://github.com/ansible-collections/amazon.aws/issues/2935 (AWS's answer)
    """
    if call.action != "CreateBucket" or not re.fullmatch(r".+-\d{12}-[a-z]+(-[a-z]+)+-\d+-an", call.bucket):
        return None
    if "x-amz-bucket-namespace" in call.headers:
        return None
    return error(
        call,
        400,
        "MissingNamespaceHeader",
        "The requested bucket is an account-regional namespace bucket, but your request is missing the required "
        "x-amz-bucket-namespace header.",
    )


def encode_listed_versions(call: Call, answer: Answer) -> None:
    """Keys and markers of a listing are url-encoded where the request asks for it; moto does so for ListObjects only.

    Without it a key with a character that XML 1.0 does not know makes the answer unparsable, here as there.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectVersions.html (encoding-type)
    """
    if call.action != "ListObjectVersions" or call.query.get("encoding-type") != "url":
        return

    def encoded(found: re.Match[bytes]) -> bytes:
        name, text = found.groups()
        return b"<%s>%s<" % (name, _listed(unescape(text.decode()), "url").encode())

    body = re.sub(rb"<(Key|KeyMarker|NextKeyMarker)>([^<]+)<", encoded, answer.body)
    answer.body = re.sub(rb"(<ListVersionsResult[^>]*>)", rb"\1<EncodingType>url</EncodingType>", body, count=1)


def page_uploads(call: Call, answer: Answer) -> None:
    """Uploads are listed by key, in pages, with url-encoded keys where asked; moto does neither.

    AWS's pages have up to a thousand; here they are short, so that a test of them needs few requests.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html
    """
    found = find_bucket(call.bucket) if call.action == "ListMultipartUploads" else None
    if found is None:
        return
    encoding = call.query.get("encoding-type", "")
    after = call.query.get("key-marker", ""), call.query.get("upload-id-marker", "")
    uploads = sorted((item.key_name, item.id) for item in found[1].multiparts.values())
    left = [item for item in uploads if item > after]
    page = left[: min(_UPLOADS_A_PAGE, int(call.query.get("max-uploads", "1000")))]
    is_truncated = len(page) < len(left)
    parts = [f"<Upload><Key>{_listed(key, encoding)}</Key><UploadId>{name}</UploadId></Upload>" for key, name in page]
    if encoding:
        parts.append(f"<EncodingType>{encoding}</EncodingType>")
    if is_truncated:
        key, name = page[-1]
        parts.append(f"<NextKeyMarker>{_listed(key, encoding)}</NextKeyMarker>")
        parts.append(f"<NextUploadIdMarker>{name}</NextUploadIdMarker>")
    parts.append(f"<IsTruncated>{str(is_truncated).lower()}</IsTruncated>")
    answer.body = f"<ListMultipartUploadsResult>{''.join(parts)}</ListMultipartUploadsResult>".encode()


def _listed(key: str, encoding: str) -> str:
    return quote_plus(key, safe="/") if encoding == "url" else escape(key)


def refuse_over_quota(call: Call) -> Answer | None:
    """An account with as many of a thing as its quota allows gets no more.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html (LimitExceeded; its message names the quota
    as GetAccountSummary does), https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html (TooManyBuckets)
    """
    quota = _QUOTA_OF_ACTION.get(call.action, "")
    if quota not in USED_QUOTAS:
        return None
    if call.action == "CreateBucket":
        text = "You have attempted to create more buckets than allowed"
        return error(call, 400, "TooManyBuckets", text)
    return error(call, 409, "LimitExceeded", f"Cannot exceed quota for {quota}: 5000")


def refuse_too_many_tags(call: Call) -> Answer | None:
    """A bucket can have 50 tags, and an IAM user as well; moto stores any number.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/CostAllocTagging.html,
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html. S3's code and text are not documented;
    they are as in https://github.com/versity/versitygw/pull/1209.
    """
    if call.action in ("CreateBucket", "PutBucketTagging"):
        is_over = call.body.count(b"<Tag>") > _MAX_TAGS
        return error(call, 400, "BadRequest", "Bucket tag count cannot be greater than 50") if is_over else None
    if call.action not in ("CreateUser", "TagUser"):
        return None
    backend = iam_backends[ACCOUNT]["aws"]
    user = backend.users.get(call.user)
    held = backend.tagger.get_tag_dict_for_resource(user.arn) if user else {}
    given = {text for name, text in call.query.items() if name.startswith("Tags.member.") and name.endswith(".Key")}
    if len(given.union(held)) > _MAX_TAGS:
        return error(call, 409, "LimitExceeded", "Cannot exceed quota for TagsPerUser: 50")
    return None


def show_bucket_late(call: Call) -> Answer | None:
    """The first reads of a bucket show the state before its creation, or before its tags.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel: "Bucket configurations have an
    eventual consistency model."
    """
    if find_bucket(call.bucket) is None:
        return None
    if call.bucket in UNSHOWN_BUCKETS and call.action == "GetBucketTagging":
        return error(call, 404, "NoSuchTagSet")
    answers = _STALE_ANSWERS.get(call.action, ()) if call.bucket in LATE_BUCKETS else ()
    number = _STALE_READS[call.bucket, call.action]
    if number >= len(answers):
        return None
    _STALE_READS[call.bucket, call.action] += 1
    return error(call, 404, answers[number])


def know_policies_of_aws(call: Call) -> None:
    """AWS's managed policies are there to be attached; moto has none unless it loads all of them.

    https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSCompromisedKeyQuarantineV3.html
    """
    arn = str(call.query.get("PolicyArn", ""))
    prefix = "arn:aws:iam::aws:policy/"
    backend = iam_backends[ACCOUNT]["aws"]
    if (
        call.action in ("AttachUserPolicy", "AttachRolePolicy")
        and arn.startswith(prefix)
        and arn not in backend.managed_policies
    ):
        policy = AWSManagedPolicy(  # type: ignore[abstract]
            arn.removeprefix(prefix), ACCOUNT, "us-east-1", document="{}"
        )
        backend.managed_policies[arn] = policy


def refuse_user_name_of_other_case(call: Call) -> Answer | None:
    """Names of users are not distinguished by case: both MyUser and myuser cannot be.

    https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateUser.html (UserName, EntityAlreadyExists)
    """
    users = iam_backends[ACCOUNT]["aws"].users if call.action == "CreateUser" else {}
    if call.user.lower() not in {name.lower() for name in users}:
        return None
    return error(call, 409, "EntityAlreadyExists", f"User with name {call.user} already exists.")


BEFORE: tuple[Callable[[Call], Answer | None], ...] = (
    refuse_disabled_region,
    refuse_inactive_key,
    refuse_late_key,
    check_expected_owner,
    refuse_public_acl,
    create_existing_bucket,
    refuse_enforced_ownership_with_acl,
    refuse_malformed_policy,
    refuse_public_policy,
    answer_service_credentials,
    refuse_to_delete_user_in_use,
    answer_retention,
    answer_users_boundary,
    refuse_unreadable_xml,
    refuse_with_access_points,
    refuse_without_mfa,
    refuse_namespace_without_header,
    refuse_user_name_of_other_case,
    refuse_over_quota,
    refuse_too_many_tags,
    show_bucket_late,
    answer_tags_of_resource,
    know_policies_of_aws,
)
AFTER: tuple[Callable[[Call, Answer], None], ...] = (
    bound_new_user,
    give_secret_its_signs,
    tag_new_bucket,
    keep_empty_tags,
    close_new_bucket,
    split_grants,
    forget_deleted_bucket,
    forget_deleted_user,
    name_undeleted_versions,
    rewrite_policy,
    encode_listed_versions,
    page_uploads,
)


def is_xml(body: bytes) -> bool:
    """Whether a body can be parsed."""
    try:
        ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return False
    return True


def _requested_versions(body: bytes) -> list[tuple[str, str]]:
    items = ElementTree.fromstring(body).iter(f"{_S3}Object")
    return [(item.findtext(f"{_S3}Key", ""), item.findtext(f"{_S3}VersionId", "")) for item in items]


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _statements(body: bytes) -> list[dict[str, Any]]:
    try:
        return _as_list(json.loads(body).get("Statement", []))
    except (ValueError, AttributeError):
        return []


def _is_public(body: bytes) -> bool:
    return any(
        item.get("Effect") == "Allow" and item.get("Principal") in ("*", {"AWS": "*"}) and "Condition" not in item
        for item in _statements(body)
    )
