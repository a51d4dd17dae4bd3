# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Reads one object's bucket and user from AWS.

An unknown state is not an absent one: only a 404-class answer means that something does not exist. Any other error is
raised as :class:`errors.UnknownStateError` with the verb that failed. Every S3 call has ``ExpectedBucketOwner``,
because another account may own a bucket of that name, with copies of the owner tags:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-owner-condition.html
The parameter ``owner`` of functions is its value, from ``Capabilities.owner_of``. A store that does not compare it gets
none.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Any
from weakref import WeakKeyDictionary

from . import settings, user_record
from .capabilities import AWS, Capabilities, bucket_arguments, is_absent
from .errors import (
    AWS_ERRORS,
    UNSUPPORTED_CODES,
    ReconcileError,
    UnknownStateError,
    code_of,
    content_of,
    failing_to,
    not_implemented,
    unknown,
)
from .json_types import ApiObject, AwsClient
from .outcome import Reason
from .read_account import iterate_account
from .rotation import UNTRACKED, LastUse
from .setting import Operation, Read, Setting
from .state import UNSUPPORTED, BucketState, Unread, UserState

# The answers of stores that do not have GetAccessKeyLastUsed.
_UNTRACKED_CODES = (*UNSUPPORTED_CODES, "InvalidAction", "UnknownOperationException", "405", "501")
# The events that a client's emitter has a handler for.
_PREPARED: WeakKeyDictionary[Any, set[str]] = WeakKeyDictionary()
_LISTING = re.compile(rb"\s*(<\?xml[^>]*>)?\s*<ListBucketResult\b")


def get_account(sts: AwsClient, capabilities: Capabilities = AWS) -> str:
    """The account of the operator's credentials. That of a store is known from its probe."""
    if not capabilities.is_aws:
        return capabilities.account
    try:
        return str(sts.get_caller_identity()["Account"])
    except AWS_ERRORS as error:
        raise unknown("find the account of the operator's credentials (sts:GetCallerIdentity)", error) from error


def find_bucket(s3: AwsClient, name: str, owner: str, *, is_aws: bool = True) -> BucketState | None:
    """The bucket with its region and tags; None when there is none.

    :raises ReconcileError: BucketNameTaken when the bucket belongs to another account
    :raises UnknownStateError: when AWS does not return the state
    """
    try:
        answer = s3.head_bucket(**bucket_arguments(name, owner))
    except AWS_ERRORS as error:
        code = code_of(error)
        if code in ("404", "NoSuchBucket"):
            return None
        if code in ("403", "AccessDenied"):
            _explain_forbidden(s3, name, error, is_aws=is_aws)
        raise unknown(f"read bucket {name} (s3:ListBucket)", error) from error
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = answer.get("BucketRegion") or headers.get("x-amz-bucket-region") or ""
    tags = get_bucket_tags(s3, name, owner)
    return None if tags is None else BucketState(region=region, tags=tags)


def get_bucket_tags(s3: AwsClient, name: str, owner: str) -> dict[str, str] | None:
    """The bucket's tags; None when the bucket was deleted in the meantime."""
    try:
        answer = s3.get_bucket_tagging(**bucket_arguments(name, owner))
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchTagSet":
            return {}
        if code_of(error) == "NoSuchBucket":
            return None
        raise _unknown_of_bucket(f"read the tags of bucket {name} (s3:GetBucketTagging)", name, error) from error
    return tags_in(content_of(answer, "TagSet", f"read the tags of bucket {name} (s3:GetBucketTagging)"))


def check_has_bucket_tags(s3: AwsClient, name: str, owner: str) -> None:
    """Refuse to create a bucket in a store without tags of buckets, such as Garage: nothing could show its owner.

    :param name: of a bucket that does not exist: the answer of a store that has tags is NoSuchBucket
    :raises ReconcileError: InvalidSpec
    """
    try:
        s3.get_bucket_tagging(**bucket_arguments(name, owner))
    except AWS_ERRORS as error:
        if is_absent(error):
            raise ReconcileError(
                Reason.INVALID_SPEC,
                f"spec.bucketName: the store has no tags of buckets, which record the S3 object that bucket {name} "
                "belongs to: nothing was created. Such a store cannot be used",
            ) from error


def is_empty(s3: AwsClient, name: str, owner: str) -> bool:
    """Whether the bucket has no version of an object.

    :raises UnknownStateError: when the endpoint does not return the state
    """
    with failing_to(f"list the versions in bucket {name} (s3:ListBucketVersions)"):
        found = s3.list_object_versions(**bucket_arguments(name, owner), MaxKeys=1)
    return not (found.get("Versions") or found.get("DeleteMarkers"))


def find_bucket_policy(s3: AwsClient, name: str, owner: str) -> str | None:
    """The text of the bucket's policy as AWS returns it now; None when there is none.

    :raises UnknownStateError: when AWS does not return the state
    """
    policy = settings.BY_NAME["policy"]
    found = _taken(_request(s3, name, owner, policy.read), name, policy)
    return found if isinstance(found, str) else None


def read_settings(s3: AwsClient, name: str, owner: str, chosen: Iterable[Setting] = settings.ALL) -> ApiObject:
    """The chosen settings of a bucket, by name; by default all settings.

    An optional setting that AWS denies the operator to read is Unread: everything else is maintained without it.

    :param chosen: in the order of :data:`settings.ALL`
    :raises UnknownStateError: when AWS does not return the state
    """
    found: ApiObject = {}
    # Two settings may be parts of one document, which is requested once.
    answers: dict[Operation, ApiObject | Exception] = {}
    for setting in chosen:
        how = setting.read
        if not how.is_needed(found):
            found[setting.name] = how.unset
            continue
        if how.operation not in answers:
            answers[how.operation] = _request(s3, name, owner, how)
        found[setting.name] = _taken(answers[how.operation], name, setting)
    return found


def find_user(iam: AwsClient, name: str, capabilities: Capabilities = AWS) -> UserState | None:
    """The user with its tags; None when there is none. :func:`read_rights` reads the user's rights.

    In a store the tags may be in one of its policies, or in its path.
    """
    user = _find_user(iam, name, may_list_tags=may_list_tags(capabilities))
    if user is not None and not capabilities.is_aws:
        with failing_to(f"read IAM user {name} (iam:GetUserPolicy)"):
            user_record.unfold(user, find_record(iam, name))
    return user


def may_list_tags(capabilities: Capabilities) -> bool:
    """Whether the tags of users are requested where GetUser does not return them. It does on AWS."""
    return not capabilities.is_aws and capabilities.user_tags


def get_user(iam: AwsClient, name: str, *, may_list_tags: bool) -> ApiObject:
    """The answer of GetUser with the user's tags, which SeaweedFS returns to ListUserTags only.

    :raises botocore.exceptions.ClientError: for any error of the store
    """
    found: ApiObject = iam.get_user(UserName=name)["User"]
    if may_list_tags and "Tags" not in found:
        found["Tags"] = pages_of(iam, "list_user_tags", "Tags", UserName=name)
    return found


def _find_user(iam: AwsClient, name: str, *, may_list_tags: bool) -> UserState | None:
    try:
        found = get_user(iam, name, may_list_tags=may_list_tags)
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchEntity":
            return None
        actions = "iam:GetUser, iam:ListUserTags" if may_list_tags else "iam:GetUser"
        raise unknown(f"read IAM user {name} ({actions})", error) from error
    return UserState(
        arn=found["Arn"],
        tags=tags_in(found.get("Tags", [])),
        boundary=boundary_of(found),
        created=str(found.get("CreateDate", "")),
    )


def find_record(iam: AwsClient, name: str) -> ApiObject | None:
    """The inline policy that holds the tags of a user of a store; None for none.

    :raises botocore.exceptions.ClientError: for any other error of the store
    """
    try:
        found: ApiObject = iam.get_user_policy(UserName=name, PolicyName=user_record.POLICY)["PolicyDocument"]
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchEntity":
            return None
        raise
    return found


def read_rights(iam: AwsClient, name: str, user: UserState, capabilities: Capabilities = AWS) -> None:
    """Fill in a user's policies, groups and keys. NoSuchEntity means here that IAM is not yet consistent.

    In a store that does not know the groups, or the managed policies, of a user there are none.
    """
    try:
        _fill_memberships(iam, name, user, capabilities)
        _fill_keys(iam, name, user)
        user.policies = _inline_policies(iam, name)
        if not capabilities.is_aws:
            user.policies.pop(user_record.POLICY, None)
    except AWS_ERRORS as error:
        raise unknown(f"read the rights of IAM user {name} (its policies, groups and keys)", error) from error


def _fill_memberships(iam: AwsClient, name: str, user: UserState, capabilities: Capabilities) -> None:
    if not capabilities.lacks("ListAttachedUserPolicies"):
        attached = pages_of(iam, "list_attached_user_policies", "AttachedPolicies", UserName=name)
        user.attached = [item["PolicyArn"] for item in attached]
    if not capabilities.lacks("ListGroupsForUser"):
        user.groups = [item["GroupName"] for item in pages_of(iam, "list_groups_for_user", "Groups", UserName=name)]


def _inline_policies(iam: AwsClient, name: str) -> dict[str, ApiObject]:
    return {
        policy: iam.get_user_policy(UserName=name, PolicyName=policy)["PolicyDocument"]
        for policy in pages_of(iam, "list_user_policies", "PolicyNames", UserName=name)
    }


def list_keys(iam: AwsClient, name: str) -> dict[str, str]:
    """Key id to status (Active, Inactive) of a user's access keys.

    :raises botocore.exceptions.ClientError: for any error of AWS
    """
    return {item["AccessKeyId"]: item["Status"] for item in _list_keys(iam, name)}


def _list_keys(iam: AwsClient, name: str) -> list[Any]:
    return pages_of(iam, "list_access_keys", "AccessKeyMetadata", UserName=name)


def _fill_keys(iam: AwsClient, name: str, user: UserState) -> None:
    found = _list_keys(iam, name)
    user.keys = {item["AccessKeyId"]: item["Status"] for item in found}
    user.keys_created = {item["AccessKeyId"]: item["CreateDate"] for item in found if item.get("CreateDate")}


def find_last_use(iam: AwsClient, key: str) -> LastUse:
    """What AWS shows of the last use of an access key. Never raises for an answer of AWS.

    An answer that the right is missing, or that AWS cannot be reached, is its ``problem``.
    """
    try:
        found = iam.get_access_key_last_used(AccessKeyId=key).get("AccessKeyLastUsed") or {}
    except AWS_ERRORS as error:
        if code_of(error) in _UNTRACKED_CODES:
            return UNTRACKED
        return LastUse(problem=unknown("read the last use of the old key (iam:GetAccessKeyLastUsed)", error).message)
    if not found:
        return UNTRACKED
    return LastUse(found.get("LastUsedDate"), str(found.get("ServiceName", "")), str(found.get("Region", "")))


def find_active_keys(iam: AwsClient, name: str) -> list[str]:
    """The ids of a user's active access keys. A user that does not exist has none.

    :raises UnknownStateError: when AWS does not return the state
    """
    try:
        return sorted(key for key, status in list_keys(iam, name).items() if status == "Active")
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchEntity":
            return []
        raise unknown(f"read the keys of IAM user {name} (iam:ListAccessKeys)", error) from error


class PerUserReader:
    """Reads each user with separate requests, when it is needed. A store without IAM has no user."""

    def __init__(self, iam: AwsClient, capabilities: Capabilities = AWS) -> None:
        self._iam = iam
        self._capabilities = capabilities

    def find(self, name: str) -> UserState | None:
        """As :func:`find_user`."""
        return find_user(self._iam, name, self._capabilities) if self._capabilities.has_iam else None

    def read_rights(self, name: str, user: UserState) -> None:
        """As :func:`read_rights`."""
        read_rights(self._iam, name, user, self._capabilities)

    def find_last_use(self, key: str) -> LastUse:
        """As :func:`find_last_use`."""
        return find_last_use(self._iam, key)


class BulkUserReader:
    """Returns users that were read all at once. Only their keys, which that answer does not have, are read when needed.

    :param users: as :func:`read_all_users` returns them. Each access returns an object of its own
    """

    def __init__(self, iam: AwsClient, users: Mapping[str, UserState], capabilities: Capabilities = AWS) -> None:
        self._iam = iam
        self._users = users
        self._capabilities = capabilities

    def find(self, name: str) -> UserState | None:
        """The user as it was read. A user that did not exist then is read now."""
        user = self._users.get(name)
        return user or find_user(self._iam, name, self._capabilities)

    def read_rights(self, name: str, user: UserState) -> None:
        """Fill in the keys; for a user that was read now, also all other rights."""
        if name not in self._users:
            read_rights(self._iam, name, user, self._capabilities)
            return
        try:
            _fill_keys(self._iam, name, user)
        except AWS_ERRORS as error:
            raise unknown(f"read the keys of IAM user {name} (iam:ListAccessKeys)", error) from error

    def find_last_use(self, key: str) -> LastUse:
        """As :func:`find_last_use`."""
        return find_last_use(self._iam, key)


def read_all_users(
    iam: AwsClient, capabilities: Capabilities = AWS, naming: Collection[str] = ()
) -> dict[str, UserState]:
    """Every user of the account with tags, policies and groups, without keys.

    A store that does not have the request for all of them is asked for each. Then they have no groups and no managed
    policies, which :class:`BulkUserReader` would need: SeaweedFS denies that its own administrator, whom it lists,
    exists.

    :param naming: as in :func:`read_account.iterate_account`
    :raises UnknownStateError: when AWS does not return the state
    """
    return dict(iterate_users(iam, capabilities, naming))


def iterate_users(
    iam: AwsClient, capabilities: Capabilities = AWS, naming: Collection[str] = ()
) -> Iterator[tuple[str, UserState]]:
    """As :func:`read_all_users`, with one page of users in memory at a time."""
    if not capabilities.has_iam:
        return
    if capabilities.lacks("GetAccountAuthorizationDetails"):
        yield from _read_each_user(iam, may_list_tags=may_list_tags(capabilities)).items()
        return
    # A user of a store has its tags in a policy, which is encoded.
    for item in iterate_account(iam, "User", naming if capabilities.is_aws else ()):
        user = _user_in(item)
        if not capabilities.is_aws:
            user_record.unfold(user, user.policies.pop(user_record.POLICY, None))
        yield item["UserName"], user


def _read_each_user(iam: AwsClient, *, may_list_tags: bool) -> dict[str, UserState]:
    try:
        names = [item["UserName"] for item in pages_of(iam, "list_users", "Users")]
    except AWS_ERRORS as error:
        raise unknown("list the IAM users (iam:ListUsers)", error) from error
    users = {name: _find_with_policies(iam, name, may_list_tags=may_list_tags) for name in names}
    return {name: user for name, user in users.items() if user is not None}


def _find_with_policies(iam: AwsClient, name: str, *, may_list_tags: bool) -> UserState | None:
    """The user without its keys, groups and managed policies; None for one that was deleted in the meantime.

    One of its policies may be gone instead. Then the state is not known: the user may claim the name of a bucket.

    :raises UnknownStateError: when the store does not return the state
    """
    user = _find_user(iam, name, may_list_tags=may_list_tags)
    if user is None:
        return None
    try:
        user.policies = _inline_policies(iam, name)
        user_record.unfold(user, user.policies.pop(user_record.POLICY, None))
    except AWS_ERRORS as error:
        if code_of(error) == "NoSuchEntity" and _find_user(iam, name, may_list_tags=False) is None:
            return None
        raise unknown(f"read the policies of IAM user {name}", error) from error
    return user


def _user_in(detail: ApiObject) -> UserState:
    return UserState(
        arn=detail["Arn"],
        tags=tags_in(detail.get("Tags", [])),
        boundary=boundary_of(detail),
        policies={item["PolicyName"]: item["PolicyDocument"] for item in detail.get("UserPolicyList", [])},
        attached=[item["PolicyArn"] for item in detail.get("AttachedManagedPolicies", [])],
        groups=list(detail.get("GroupList", [])),
        created=str(detail.get("CreateDate", "")),
    )


def boundary_of(found: ApiObject) -> str:
    """The ARN of the permissions boundary of a user or role, as IAM returns them."""
    return str((found.get("PermissionsBoundary") or {}).get("PermissionsBoundaryArn", ""))


def is_proven(sts: AwsClient, s3: AwsClient, user_arn: str, bucket: str, owner: str) -> bool:
    """Whether the key pair in a Secret belongs to that user and reaches that bucket.

    :raises UnknownStateError: when AWS neither accepts nor rejects the key pair
    """
    try:
        if sts.get_caller_identity()["Arn"] != user_arn:
            return False
        s3.head_bucket(**bucket_arguments(bucket, owner))
    except AWS_ERRORS as error:
        refusal = unknown("prove the Secret's key pair", error)
        if refusal.reason in ("CredentialsInvalid", "AccessDenied") or code_of(error) in ("404", "NoSuchBucket"):
            return False
        raise refusal from error
    return True


def _explain_forbidden(s3: AwsClient, name: str, error: Exception, *, is_aws: bool) -> None:
    # A 403 means that the bucket is another account's, or that the operator lacks the right. ListBuckets decides which.
    try:
        pages = s3.get_paginator("list_buckets").paginate(Prefix=name)
        verb = f"find out whether bucket {name} belongs to this account (s3:ListAllMyBuckets)"
        is_listed = any(bucket["Name"] == name for page in pages for bucket in content_of(page, "Buckets", verb))
    except AWS_ERRORS as cause:
        raise unknown(f"find out whether bucket {name} belongs to this account (s3:ListAllMyBuckets)", cause) from cause
    if is_listed:
        # The answer to HEAD has no body that would distinguish the two causes.
        raise UnknownStateError(Reason.ACCESS_DENIED, f"{_denied(name, is_aws)}: {error}") from error
    kind = "AWS account" if is_aws else "account of the store"
    message = f"bucket {name} belongs to another {kind}: choose another bucketName"
    raise ReconcileError(Reason.BUCKET_NAME_TAKEN, message)


def _denied(name: str, is_aws: bool) -> str:
    if is_aws:
        return (
            f"AWS denies the operator access to bucket {name} of its own account: give it the right s3:ListBucket, or, "
            f"if the bucket's policy denies it, {_remedy(name)}"
        )
    return (
        f"the store lists bucket {name} and denies the operator access to it: give the operator's key the right to "
        "read the bucket, or delete the bucket's policy if that denies it; or, if the key was exchanged for one of "
        "another account of the store, give the bucket to that account"
    )


def _request(s3: AwsClient, name: str, owner: str, how: Read) -> ApiObject | Exception:
    bucket = bucket_arguments(name, owner)
    _prepare_answers(s3, f"before-parse.s3.{how.operation.name}")
    try:
        return how.fetch(s3, bucket) if how.fetch else getattr(s3, how.operation.method)(**bucket)
    except AWS_ERRORS as error:
        return error


def _prepare_answers(s3: AwsClient, event: str) -> None:
    prepared = _PREPARED.setdefault(s3.meta.events, set())
    if event not in prepared:
        # Registered again, it has no effect, but botocore inspects the function each time.
        s3.meta.events.register(event, _reject_listing, unique_id=event)
        prepared.add(event)


def _taken(answer: ApiObject | Exception, name: str, setting: Setting) -> Any:
    how = setting.read
    if not isinstance(answer, Exception):
        return how.take(answer)
    code = code_of(answer)
    if code in how.unset_codes:
        return how.unset
    if code in how.unsupported_codes:
        return UNSUPPORTED
    verb = f"read {setting.field} of bucket {name} ({how.operation.action})"
    refusal = _unknown_of_bucket(verb, name, answer)
    refusal.__cause__ = answer
    if setting.is_optional and refusal.reason == Reason.ACCESS_DENIED:
        return Unread(refusal)
    raise refusal


def _reject_listing(response_dict: ApiObject, **_: object) -> None:
    """Raise NotImplemented for the list of the bucket's objects, and for an empty answer.

    Some stores ignore a query parameter that they do not know, and answer with either. boto3 would parse it as a
    setting that is not set. Such a store takes the request that writes the setting for CreateBucket, and the one that
    clears it for DeleteBucket. So the setting must be unsupported there, which is never written.
    """
    body = response_dict["body"]
    is_good = response_dict["status_code"] < HTTPStatus.MULTIPLE_CHOICES
    if is_good and isinstance(body, bytes) and (not body.strip() or _LISTING.match(body)):
        raise not_implemented("GetBucket", "the store does not know the query parameter")


def _unknown_of_bucket(verb: str, name: str, error: Exception) -> UnknownStateError:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    is_by_policy = "explicit deny in a resource-based policy" in str(error)
    return unknown(f"{verb}: its policy denies it: {_remedy(name)}" if is_by_policy else verb, error)


def _remedy(name: str) -> str:
    return (
        f"delete the bucket's policy (aws s3api delete-bucket-policy --bucket {name}; one that denies everyone only "
        "the account's root user can delete)"
    )


def pages_of(iam: AwsClient, method: str, key: str, **of: str) -> list[Any]:
    """The items of all pages of a list of IAM.

    :param of: the user or role, as the argument of the request
    """
    # IAM has the same parameters for all its lists. botocore's paginator makes a class each time, which takes a tenth
    # of the CPU of the request.
    items: list[Any] = []
    marker = ""
    while True:
        answer = getattr(iam, method)(**of, **({"Marker": marker} if marker else {}))
        items += answer.get(key, [])
        last, marker = marker, answer.get("Marker") if answer.get("IsTruncated") else ""
        if not marker:
            return items
        if marker == last:
            from botocore.exceptions import PaginationError

            raise PaginationError(message=f"the same page again: {method}")


def tags_in(listed: list[dict[str, str]]) -> dict[str, str]:
    """The tags by their keys."""
    return {tag["Key"]: tag["Value"] for tag in listed}


def listed(tags: dict[str, str]) -> list[dict[str, str]]:
    """Tags in the form of AWS's API."""
    return [{"Key": key, "Value": text} for key, text in tags.items()]
