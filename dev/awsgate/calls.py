"""One AWS request: which service, which action, about what, by whom."""

from __future__ import annotations

import io
import json
import os
import re
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qs, unquote

from botocore.loaders import create_loader
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

# moto reads this variable as well: dev.aws sets it for an account with another number.
ACCOUNT = os.environ.get("MOTO_ACCOUNT_ID", DEFAULT_ACCOUNT_ID)
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
# https://docs.aws.amazon.com/eks/latest/APIReference/API_Operations.html
_ASSOCIATIONS = re.compile(r"/clusters/([^/]+)/pod-identity-associations(?:/([^/]+))?")
_EKS_ACTIONS = {
    ("POST", False): "CreatePodIdentityAssociation",
    ("GET", False): "ListPodIdentityAssociations",
    ("GET", True): "DescribePodIdentityAssociation",
    ("DELETE", True): "DeletePodIdentityAssociation",
}
_CONTROL_TAGS = "v20180820/tags/"
_READ_VERBS = ("Get", "List", "Head", "Describe")
# It hides messages for some time, and changes nothing that a test compares.
_READS = ("ReceiveMessage",)


@dataclass
class Call:
    """A request as the rules and the log see it."""

    service: str
    action: str
    bucket: str = ""
    key: str = ""
    user: str = ""
    access_key: str = ""
    query: dict[str, str] = field(default_factory=dict)
    # All values of the names in the query of an S3 request.
    lists: dict[str, list[str]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    # The one that the request was signed for.
    region: str = ""

    @property
    def is_write(self) -> bool:
        """Whether it changes anything."""
        return not self.action.startswith(_READ_VERBS) and self.action not in _READS

    @property
    def role(self) -> str:
        """The IAM role that it is about; empty for none."""
        return self.query.get("RoleName", "") if self.service == "iam" else ""

    @property
    def account(self) -> str:
        """The account of the key that signed it."""
        for account, partitions in list(iam_backends.items()):
            if self.access_key in partitions["aws"].access_keys:
                return str(account)
        return ACCOUNT


def call_of(environ: dict[str, Any]) -> Call:
    """Read a WSGI request. Its body is put back for who reads it next."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    body = environ["wsgi.input"].read(length) if length else b""
    environ["wsgi.input"] = io.BytesIO(body)
    found = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    access_key, region, service = found.groups() if found else ("", "", "s3")
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if service == "s3":
        call = _s3_call(environ, access_key, headers, body)
        call.region = region
        return call
    if service == "eks":
        action, query = _eks_action(environ)
        return Call(service, action, access_key=access_key, query=query, headers=headers, body=body, region=region)
    if service == "sqs":
        action = headers.get("x-amz-target", "").removeprefix("AmazonSQS.")
        query = {"QueueName": _queue_in(body)}
        return Call(service, action, access_key=access_key, query=query, headers=headers, body=body, region=region)
    if service == "tagging":
        action = headers.get("x-amz-target", "").rpartition(".")[2]
        return Call(service, action, access_key=access_key, headers=headers, body=body, region=region)
    form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
    action = form.get("Action", "")
    user = form.get("UserName", "")
    if action == "GetAccessKeyLastUsed":
        # AWS takes the user from the key.
        user = _user_of(form.get("AccessKeyId", ""))
    return Call(service, action, "", "", user, access_key, form, {}, headers, body, region)


def _queue_in(body: bytes) -> str:
    """The queue that a request of SQS names, by its URL or, to create it, by its name."""
    given = json.loads(body or b"{}")
    return str(given.get("QueueName") or given.get("QueueUrl", "")).rpartition("/")[2]


def _eks_action(environ: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """The action of a request about EKS Pod Identity associations, with its parameters."""
    found = _ASSOCIATIONS.fullmatch(unquote(environ["PATH_INFO"]))
    if not found:
        return "", {}
    action = _EKS_ACTIONS.get((environ["REQUEST_METHOD"], bool(found[2])), "")
    given = parse_qs(environ.get("QUERY_STRING", ""))
    query = {name: values[0] for name, values in given.items()}
    return action, {**query, "clusterName": found[1], "associationId": found[2] or ""}


def _user_of(access_key: str) -> str:
    found = iam_backends[ACCOUNT]["aws"].access_keys.get(access_key)
    return str(found.user_name or "") if found else ""


def _s3_call(environ: dict[str, Any], access_key: str, headers: dict[str, str], body: bytes) -> Call:
    lists = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    query = {name: values[0] for name, values in lists.items()}
    path = unquote(environ["PATH_INFO"]).lstrip("/")
    if path.startswith(_CONTROL_TAGS):
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_control_TagResource.html
        action = {"POST": "TagResource", "DELETE": "UntagResource"}.get(
            environ["REQUEST_METHOD"], "ListTagsForResource"
        )
        bucket, key = path.rpartition(":")[2], ""
    else:
        bucket, _, key = path.partition("/")
        action = _s3_action(environ["REQUEST_METHOD"], bucket, key, query)
    return Call("s3", action, bucket, key, "", access_key, query, lists, headers, body)


def _s3_action(method: str, bucket: str, key: str, query: dict[str, str]) -> str:
    if not bucket:
        return "ListBuckets"
    for name in query:
        # With an id it is one configuration of a list.
        action = _operations().get((method, bool(key), name, "id" in query))
        if action:
            return action
    if key:
        return _object_action(method, query)
    return {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket", "GET": "ListObjects"}.get(
        method, f"{method.capitalize()}Bucket"
    )


@cache
def _operations() -> dict[tuple[str, bool, str, bool], str]:
    """The operations on a part of a bucket or object, such as its tagging, as botocore describes them.

    The key: HTTP method, whether it is an object's, the name in the query, and whether the query has an id.
    """
    found: dict[tuple[str, bool, str, bool], str] = {}
    for name, operation in create_loader().load_service_model("s3", "service-2")["operations"].items():
        path, _, query = operation["http"]["requestUri"].partition("?")
        part = query.partition("&")[0]
        if not part or "=" in part or operation.get("deprecated"):
            continue
        at = operation["http"]["method"], "{Key" in path, part
        # GET ?inventory lists all of them, GET ?inventory&id=... reads one.
        for has_id in (True, False):
            if (*at, has_id) not in found or name.startswith("List") != has_id:
                found[*at, has_id] = name
    return found


def _object_action(method: str, query: dict[str, str]) -> str:
    if "uploads" in query:
        return "CreateMultipartUpload"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload", "POST": "CompleteMultipartUpload"}.get(
            method, "ListParts"
        )
    return {"PUT": "PutObject", "DELETE": "DeleteObject", "HEAD": "HeadObject", "GET": "GetObject"}.get(
        method, "PostObject"
    )
