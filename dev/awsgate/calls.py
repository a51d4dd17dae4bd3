"""One AWS request: which service, which action, about what, by whom."""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

# moto reads this variable as well: dev.aws sets it for an account with another number.
ACCOUNT = os.environ.get("MOTO_ACCOUNT_ID", DEFAULT_ACCOUNT_ID)
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
_READ_VERBS = ("Get", "List", "Head")

# Sub-resource of a bucket or object -> the noun in its action's name.
_SUBRESOURCES = {
    "tagging": "Tagging",
    "versioning": "Versioning",
    "policy": "Policy",
    "policyStatus": "PolicyStatus",
    "acl": "Acl",
    "accelerate": "AccelerateConfiguration",
    "object-lock": "ObjectLockConfiguration",
    "ownershipControls": "OwnershipControls",
    "publicAccessBlock": "PublicAccessBlock",
    "encryption": "Encryption",
    "requestPayment": "RequestPayment",
    "inventory": "InventoryConfiguration",
    "location": "Location",
    "retention": "Retention",
    "legal-hold": "LegalHold",
    "lifecycle": "LifecycleConfiguration",
    "cors": "Cors",
}
_WITHOUT_BUCKET = ("ObjectLockConfiguration", "PublicAccessBlock")


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
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    # The one that the request was signed for.
    region: str = ""

    @property
    def is_write(self) -> bool:
        """Whether it changes anything."""
        return not self.action.startswith(_READ_VERBS)

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
    form = {name: values[0] for name, values in parse_qs(body.decode(), keep_blank_values=True).items()}
    user = form.get("UserName", "")
    action = form.get("Action", "")
    return Call(service, action, "", "", user, access_key, form, headers, body, region)


def _s3_call(environ: dict[str, Any], access_key: str, headers: dict[str, str], body: bytes) -> Call:
    query = {
        name: values[0] for name, values in parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True).items()
    }
    bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
    action = _s3_action(environ["REQUEST_METHOD"], bucket, key, query)
    return Call("s3", action, bucket, key, "", access_key, query, headers, body)


def _s3_action(method: str, bucket: str, key: str, query: dict[str, str]) -> str:
    if not bucket:
        return "ListBuckets"
    verb = {"GET": "Get", "PUT": "Put", "DELETE": "Delete", "HEAD": "Head", "POST": "Post"}[method]
    for name, noun in _SUBRESOURCES.items():
        if name in query:
            if key:
                return f"{verb}Object{noun}"
            return f"{verb}{'' if noun in _WITHOUT_BUCKET else 'Bucket'}{noun}"
    if key:
        return _object_action(method, query)
    special = {
        ("GET", "versions"): "ListObjectVersions",
        ("GET", "uploads"): "ListMultipartUploads",
        ("POST", "delete"): "DeleteObjects",
    }
    for (of, name), action in special.items():
        if method == of and name in query:
            return action
    return {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "HEAD": "HeadBucket", "GET": "ListObjects"}.get(
        method, verb
    )


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
