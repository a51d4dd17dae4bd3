"""What AWS answers to a request that a policy does not allow."""

from __future__ import annotations

import dataclasses
import json
from typing import Any
from xml.sax.saxutils import escape

from moto.iam.models import iam_backends

from .answers import Answer, error
from .calls import ACCOUNT, Call
from .evaluate import is_allowed, is_denied, is_let_in
from .rights import Right, deletion_action, objects_to_delete, rights_for
from .rules import OPEN_BUCKETS, find_bucket


def refuse(call: Call, rights: list[Right], policy: dict[str, Any]) -> Answer | None:
    """The refusal, in the form of the service that was asked; None when the policy gives all the rights."""
    denied = [right for right in rights if not is_allowed(policy, right)]
    if not denied or _is_missing(call):
        return None
    if call.action == "DeleteObjects":
        return _refuse_objects(call, denied)
    why = f"no identity-based policy allows the {denied[0].action} action"
    return error(call, 403, "AccessDenied", _message(call, denied[0], f"because {why}"))


def refuse_bucket_of_other_account(call: Call) -> Answer | None:
    """Another account's bucket gives nothing away, unless its policy lets the user in, and its name is taken.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html (403 without permission),
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html (BucketAlreadyExists),
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html: what the
    user's own policy allows is decided by moto.
    """
    found = find_bucket(call.bucket) if call.bucket else None
    if found is None or found[0] == call.account:
        return None
    if call.action == "CreateBucket":
        return error(call, 409, "BucketAlreadyExists", "The requested bucket name is not available")
    if call.bucket in OPEN_BUCKETS or (found[1].policy and _is_let_in(call, json.loads(found[1].policy))):
        return None
    return error(call, 403, "AccessDenied", "Access Denied")


def _is_let_in(call: Call, policy: dict[str, Any]) -> bool:
    who = _user_arn(call)
    return all(is_let_in(policy, right, who) for right in rights_for(call))


def refuse_by_bucket_policy(call: Call) -> Answer | None:
    """The refusal of what the bucket's own policy denies, to the account's own users too.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html (an explicit Deny). All
    requests come by TLS, as far as a policy is concerned. The root user, who alone may then still delete the policy,
    signs nothing here: ``Gate.delete_policy_as_root`` stands for it.
    """
    found = find_bucket(call.bucket) if call.bucket else None
    if found is None or not found[1].policy:
        return None
    policy, who = json.loads(found[1].policy), _user_arn(call)
    context = {"aws:SecureTransport": ["true"], "aws:PrincipalArn": [who], "aws:PrincipalAccount": [call.account]}
    rights = [dataclasses.replace(right, context={**right.context, **context}) for right in rights_for(call)]
    denied = [right for right in rights if is_denied(policy, right, who)]
    if not denied:
        return None
    if call.action == "DeleteObjects":
        return _refuse_objects(call, denied)
    return error(
        call, 403, "AccessDenied", _message(call, denied[0], "with an explicit deny in a resource-based policy")
    )


def _is_missing(call: Call) -> bool:
    # A bucket that does not exist is a 404 for every principal:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    return bool(call.bucket) and call.action != "CreateBucket" and find_bucket(call.bucket) is None


def _message(call: Call, right: Right, why: str) -> str:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    return f"User: {_user_arn(call)} is not authorized to perform: {right.action} on resource: {right.resource} {why}"


def _user_arn(call: Call) -> str:
    backend = iam_backends[call.account]["aws"]
    key = backend.access_keys.get(call.access_key)
    user = backend.users.get(key.user_name or "") if key else None
    return str(user.arn) if user else f"arn:aws:iam::{ACCOUNT}:user/{call.access_key}"


def _refuse_objects(call: Call, denied: list[Right]) -> Answer:
    """Answers 200 with an error for each object.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    items, resources = objects_to_delete(call), {(right.action, right.resource) for right in denied}
    named = [
        (key, version)
        for key, version in items
        if (deletion_action(version), f"arn:aws:s3:::{call.bucket}/{key}") in resources
    ]
    if len(named) != len(items):
        raise NotImplementedError("some objects of a DeleteObjects allowed, some not")
    errors = "".join(
        f"<Error><Key>{escape(key)}</Key><VersionId>{version}</VersionId><Code>AccessDenied</Code>"
        "<Message>Access Denied</Message></Error>"
        for key, version in named
    )
    return Answer(200, f"<DeleteResult>{errors}</DeleteResult>".encode(), {"Content-Type": "application/xml"})
