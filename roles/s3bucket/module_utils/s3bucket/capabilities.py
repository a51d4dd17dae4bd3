# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an endpoint can do of what AWS can: AWS itself has everything, and an S3-compatible store is probed.

A probe only reads, and the names in its requests do not exist. It is made once: by the operator when it starts, or in a
playbook by ``s3bucket_info``. The result is part of the role's settings, so that every module has it. What a read
cannot show (tags in the call that creates a bucket or a user) is found by the write itself.

A read of IAM that a store does not know means that the store has none of these things. A write that it does not know
is always an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from http import HTTPStatus
from typing import Any

from .errors import (
    AWS_ERRORS,
    ClientError,
    ResponseParserError,
    UnknownStateError,
    code_of,
    content_of,
    not_implemented,
    reason_of,
    unknown,
)
from .json_types import ApiObject, AwsClient, JsonObject
from .outcome import Reason
from .regions import is_url_of_aws
from .values import invalid

# The answers of a store that does not have an action.
_ABSENT_CODES = (
    "InvalidAction",
    "MethodNotAllowed",
    "NotImplemented",
    "UnknownOperationException",
    "UnsupportedOperation",
    "XNotImplemented",
)
_ABSENT_STATUSES = (HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
# The answers of a store, or of a proxy in front of it, that cannot answer now; so are all from 500.
_PASSING_STATUSES = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
# Those of an endpoint that has S3 only: it takes a request of IAM or STS for one of S3.
_OTHER_SERVICE_CODES = ("InvalidRequest", "NoSuchBucket", "NotFound", "404")
# MinIO answers so to an action of STS that it does not have.
_UNSUPPORTED_ACTION = "nsupported action"
# What botocore raises for an answer that is no XML, or the XML of something else.
_UNPARSED = (ResponseParserError, KeyError)
# Names that do not exist: the answer of a store that knows the action is NoSuchEntity.
_NO_USER, _NO_ROLE, _NO_KEY = "s3-operator-probe", "s3-operator-probe", "AKIAS3OPERATORPROBE0"
_NO_ACCOUNT = "000000000000-probe"
# The number of buckets that are tried: a store may list buckets of other accounts.
_MAX_BUCKETS = 5
_USER, _ROLE = {"UserName": _NO_USER}, {"RoleName": _NO_ROLE}
# The reads of IAM that a store may lack, with the method and the arguments of the probe.
OPTIONAL_READS: Mapping[str, tuple[str, JsonObject]] = {
    "GetAccessKeyLastUsed": ("get_access_key_last_used", {"AccessKeyId": _NO_KEY}),
    "GetAccountAuthorizationDetails": ("get_account_authorization_details", {"Filter": ["User"], "MaxItems": 1}),
    "GetRole": ("get_role", {**_ROLE}),
    "ListAttachedRolePolicies": ("list_attached_role_policies", {**_ROLE}),
    "ListAttachedUserPolicies": ("list_attached_user_policies", {**_USER}),
    "ListGroupsForUser": ("list_groups_for_user", {**_USER}),
    "ListUserTags": ("list_user_tags", {**_USER}),
}
# Reads of roles, and how SeaweedFS answers to them, with status 500, where its roles are not configured.
_ROLE_READS = ("GetRole", "ListAttachedRolePolicies")
_UNCONFIGURED = "ServiceFailure"
# ListUsers, and reads of each user, give the same.
_REPLACED = ("GetAccountAuthorizationDetails",)
PROVIDERS = ("AWS", "Other")
_GIVE_ACCOUNT = (
    "give the account that the ARNs of its users have (s3bucket_account_id of the role, --account-id of the operator, "
    "aws.accountID of its chart)"
)


@dataclass(frozen=True)
class Capabilities:
    """What the endpoint has. The defaults are those of AWS.

    :ivar is_aws: whether it is AWS, or behaves exactly as AWS does
    :ivar account: the account of a store; empty for AWS, which is asked, and for a store without IAM
    :ivar bucket_owner: the value of ExpectedBucketOwner for a store that compares it; None where it is left out
    :ivar is_owner_tried: False where there was no bucket to try ``bucket_owner`` with
    :ivar has_iam: whether there are users
    :ivar has_sts: whether GetCallerIdentity is answered
    :ivar lacking_actions: the actions of IAM that read and that the store does not know, as ListGroupsForUser
    :ivar user_tags: whether users have tags
    :ivar user_paths: whether the list of users can be restricted to a path
    """

    is_aws: bool = True
    account: str = ""
    bucket_owner: str | None = None
    is_owner_tried: bool = True
    has_iam: bool = True
    has_sts: bool = True
    lacking_actions: frozenset[str] = frozenset()
    user_tags: bool = True
    user_paths: bool = True

    @property
    def last_used(self) -> bool:
        """Whether the last use of an access key is shown."""
        return not self.lacks("GetAccessKeyLastUsed")

    def lacks(self, action: str) -> bool:
        """Whether an action of IAM that reads is not known.

        :param action: its name without ``iam:``, one of :data:`OPTIONAL_READS`
        """
        return not self.has_iam or action in self.lacking_actions

    def owner_of(self, account: str) -> str:
        """The value of ExpectedBucketOwner; empty where it is left out.

        :param account: the account of the credentials, which AWS compares
        """
        return account if self.is_aws else self.bucket_owner or ""

    def to_record(self) -> JsonObject:
        """The capabilities as plain data."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: [*sorted(value)] if isinstance(value, frozenset) else value for name, value in values.items()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Capabilities:
        """The capabilities in a record of :meth:`to_record`.

        :raises ValueError: for another record
        """
        names = {one.name for one in fields(cls)}
        if record.keys() != names:
            raise ValueError(f"must have exactly {', '.join(sorted(names))}")
        values: ApiObject = {
            name: frozenset(value) if isinstance(value, list) else value for name, value in record.items()
        }
        wrong = [name for name, value in values.items() if not isinstance(value, _types_of(name))]
        if wrong:
            raise ValueError(f"{wrong[0]} has the wrong type")
        return cls(**values)


AWS = Capabilities()


def bucket_arguments(name: str, owner: str) -> dict[str, str]:
    """The arguments of a request of S3 that name the bucket and its expected owner.

    :param owner: as :meth:`Capabilities.owner_of` returns it
    """
    return {"Bucket": name, **({"ExpectedBucketOwner": owner} if owner else {})}


def is_aws_endpoint(client: AwsClient) -> bool:
    """Whether the client sends its requests to AWS itself."""
    return is_url_of_aws(str(client.meta.endpoint_url))


def probe(s3: AwsClient, iam: AwsClient, sts: AwsClient, account: str = "") -> Capabilities:
    """Find out what a store can do, with reads alone.

    A client of IAM or STS with an endpoint of AWS gets no request: the key of a store is none of AWS's.

    :param account: the account where the store has no STS; empty for none
    :raises UnknownStateError: when the store does not answer, or does not accept the credentials
    :raises ReconcileError: InvalidSpec for an account that is missing, or not that of the store
    """
    if is_aws_endpoint(s3):
        raise invalid(
            "s3bucket_provider",
            "is Other, and no endpoint of a store is set: set AWS_ENDPOINT_URL (and AWS_ENDPOINT_URL_IAM and "
            "AWS_ENDPOINT_URL_STS where they differ), or s3bucket_provider: AWS (--provider)",
        )
    owner, is_tried = _find_owner(s3, account)
    for client in (iam, sts):
        client.meta.events.register("before-parse", _prepare_error, unique_id="before-parse-absent")
    has_iam = not is_aws_endpoint(iam) and _has_service(lambda: iam.get_user(**_USER), "read IAM users (iam:GetUser)")
    lacking = _find_lacking(iam) if has_iam else frozenset()
    found = "" if is_aws_endpoint(sts) else _find_account(sts, account)
    return Capabilities(
        is_aws=False,
        account=_check_account(found, account, has_iam=has_iam),
        bucket_owner=owner,
        is_owner_tried=is_tried,
        has_iam=has_iam,
        has_sts=bool(found),
        lacking_actions=lacking,
        user_tags=has_iam and "ListUserTags" not in lacking,
        user_paths=has_iam and _has_paths(iam),
    )


def is_absent(error: BaseException) -> bool:
    """Whether an error is the answer of a store that does not have the action."""
    return code_of(error) in _ABSENT_CODES or _status_of(error) in _ABSENT_STATUSES


def _prepare_error(response_dict: ApiObject, operation_model: Any, **_: object) -> None:
    """Make errors of answers that botocore fails to parse, which may be those of a proxy.

    NotImplemented is raised for a status that means this. The body of a status that passes is replaced. Otherwise an
    outage would be taken for a store that does not have the service.
    """
    status, body = response_dict["status_code"], response_dict["body"]
    if status in _ABSENT_STATUSES:
        raise not_implemented(operation_model.name, "the store does not know the request")
    if _is_passing_status(status) and not (isinstance(body, bytes) and b"<Error" in body):
        text = f"<ErrorResponse><Error><Code>{status}</Code><Message>no answer of the store</Message></Error>"
        response_dict["body"] = f"{text}</ErrorResponse>".encode()


def _is_passing_status(status: int) -> bool:
    return status in _PASSING_STATUSES or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _is_unanswered(error: BaseException) -> bool:
    """Whether the store may answer later: it is not reached, has an error of its own, or slows the operator down."""
    if not isinstance(error, ClientError):
        return True
    return _is_passing_status(_status_of(error)) or reason_of(code_of(error), "") == Reason.THROTTLED


def _types_of(name: str) -> tuple[type, ...]:
    others = {
        "account": (str,),
        "bucket_owner": (str, type(None)),
        "lacking_actions": (frozenset,),
    }
    return others.get(name, (bool,))


def _status_of(error: BaseException) -> int:
    answer = error.response.get("ResponseMetadata", {}) if isinstance(error, ClientError) else {}
    return int(answer.get("HTTPStatusCode", 0))


def _is_other_service(error: BaseException) -> bool:
    """Whether the endpoint does not have the service at all. Its answer may be one that botocore cannot parse."""
    if isinstance(error, _UNPARSED) or is_absent(error):
        return True
    if _is_unanswered(error):
        return False
    return code_of(error) in _OTHER_SERVICE_CODES or _UNSUPPORTED_ACTION in str(error)


def _has_service(request: Callable[[], object], verb: str) -> bool:
    try:
        request()
    except (*AWS_ERRORS, KeyError) as error:
        if _is_other_service(error):
            return False
        if code_of(error) != "NoSuchEntity":
            raise unknown(verb, error) from error
    return True


def _find_account(sts: AwsClient, given: str) -> str:
    """The account as STS shows it; empty where there is no STS.

    With a given account STS need not answer: SeaweedFS without STS answers 503, as in an outage.
    """
    try:
        return str(sts.get_caller_identity()["Account"])
    except (*AWS_ERRORS, KeyError) as error:
        if given or _is_other_service(error):
            return ""
        refusal = unknown("find the account of the operator's credentials (sts:GetCallerIdentity)", error)
        raise UnknownStateError(
            refusal.reason, f"{refusal.message}; if the store has no STS, {_GIVE_ACCOUNT}"
        ) from error


def _check_account(found: str, given: str, *, has_iam: bool) -> str:
    if found and given and found != given:
        raise invalid("s3bucket_account_id", f"is {given}, and the STS of the store returns {found}: leave it out")
    if has_iam and not found and not given:
        raise invalid(
            "s3bucket_account_id",
            f"is needed, as the store has IAM and no STS: {_GIVE_ACCOUNT}",
        )
    return found or given


def _find_lacking(iam: AwsClient) -> frozenset[str]:
    """The reads that the store does not know. Of roles that it does not have, it is asked for nothing else."""
    lacking: set[str] = set()
    for action in OPTIONAL_READS:
        if (action in _ROLE_READS and "GetRole" in lacking) or _lacks(iam, action):
            lacking.add(action)
    return frozenset(lacking)


def _lacks(iam: AwsClient, action: str) -> bool:
    """Whether the store does not know an action. Any other answer, also a denial, shows that it does.

    A store may check the rights before the action's name. So an action that other reads replace is lacking when denied.
    """
    method, arguments = OPTIONAL_READS[action]
    try:
        getattr(iam, method)(**arguments)
    except (*AWS_ERRORS, KeyError) as error:
        is_denied = _status_of(error) == HTTPStatus.FORBIDDEN
        if isinstance(error, KeyError) or is_absent(error) or (is_denied and action in _REPLACED):
            return True
        if action in _ROLE_READS and code_of(error) == _UNCONFIGURED:
            # In an outage reads of users fail as well.
            return _has_service(lambda: iam.get_user(**_USER), "read IAM users (iam:GetUser)")
        if _is_unanswered(error):
            raise unknown(f"find out what the store can do (iam:{action})", error) from error
    return False


def _has_paths(iam: AwsClient) -> bool:
    """Whether no user is listed below a path that does not exist."""
    try:
        return not iam.list_users(PathPrefix=f"/{_NO_USER}/", MaxItems=1).get("Users")
    except AWS_ERRORS as error:
        if _is_unanswered(error):
            raise unknown("find out what the store can do (iam:ListUsers)", error) from error
        return False


def _find_owner(s3: AwsClient, account: str) -> tuple[str | None, bool]:
    """The id that the store compares ExpectedBucketOwner with; None where it compares with no id that is known.

    Also whether a bucket has shown it. Without one it is the owner that ListBuckets shows. A store that compares none
    ignores it.
    """
    try:
        answer = s3.list_buckets()
    except AWS_ERRORS as error:
        raise unknown("list the buckets (s3:ListAllMyBuckets)", error) from error
    ids = [one for one in (str(answer.get("Owner", {}).get("ID") or ""), account) if one]
    found = content_of(answer, "Buckets", "list the buckets (s3:ListAllMyBuckets)")
    names = [bucket["Name"] for bucket in found][:_MAX_BUCKETS]
    if not names:
        return (ids[0] if ids else None), False
    for name in names:
        accepted = [one for one in (*ids, _NO_ACCOUNT) if accepts_owner(s3, name, one)]
        if accepted:
            return (None if _NO_ACCOUNT in accepted else accepted[0]), True
    return None, True


def accepts_owner(s3: AwsClient, name: str, owner: str) -> bool:
    """Whether the store answers a request for a bucket with this ExpectedBucketOwner.

    :raises UnknownStateError: when it does not answer now
    """
    try:
        s3.head_bucket(**bucket_arguments(name, owner))
    except AWS_ERRORS as error:
        if _is_unanswered(error) or _status_of(error) < HTTPStatus.BAD_REQUEST:
            raise unknown(f"read bucket {name} (s3:ListBucket)", error) from error
        return False
    return True


def check_has_iam(username: str, capabilities: Capabilities) -> None:
    """Refuse a user in a store that has none.

    :raises ReconcileError: InvalidSpec naming the field and what is missing
    """
    if username and not capabilities.has_iam:
        raise invalid(
            "spec.iamUser",
            "the store has no IAM, so it has no users with access keys: create the object without the field, and give "
            "applications a key of the store that its administrator creates; or, if it has IAM elsewhere, set "
            "AWS_ENDPOINT_URL_IAM (aws.iamEndpointURL of the operator's chart)",
        )


def check_has_roles(capabilities: Capabilities) -> None:
    """Refuse a role in a store that has none.

    :raises ReconcileError: InvalidSpec
    """
    if capabilities.lacks("GetRole"):
        raise invalid("spec.iamRole", "the store has no IAM roles: create the object without the field")
