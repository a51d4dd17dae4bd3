"""What AWS answers to a request that a policy does not allow."""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

from moto.iam.models import iam_backends

from .answers import Answer, error
from .calls import ACCOUNT, Call
from .evaluate import is_allowed
from .rights import Right, deletion_action, objects_to_delete
from .rules import find_bucket


def refuse(call: Call, rights: list[Right], policy: dict[str, Any]) -> Answer | None:
    """The refusal, in the form of the service that was asked; None when the policy gives all the rights."""
    denied = [right for right in rights if not is_allowed(policy, right)]
    if not denied or _is_missing(call):
        return None
    if call.action == "DeleteObjects":
        return _refuse_objects(call, denied)
    return error(call, 403, "AccessDenied", _message(call, denied[0]))


def _is_missing(call: Call) -> bool:
    # A bucket that nobody has is told as such, whoever asks:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadBucket.html
    return bool(call.bucket) and call.action != "CreateBucket" and find_bucket(call.bucket) is None


def _message(call: Call, right: Right) -> str:
    # https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
    key = iam_backends[ACCOUNT]["aws"].access_keys.get(call.access_key)
    who = f"arn:aws:iam::{ACCOUNT}:user/{key.user_name}" if key else call.access_key
    return (
        f"User: {who} is not authorized to perform: {right.action} on resource: {right.resource} "
        f"because no identity-based policy allows the {right.action} action"
    )


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
