"""An AWS that answers a drift check and keeps nothing: ``python -m bench.stub OBJECTS``, until SIGTERM.

Prints its port.
It knows the objects of :func:`object_at` and finds all of them in order. For measuring what the operator's own side of
a check costs with more objects than moto can hold. One thread a connection.
"""

from __future__ import annotations

import json
import sys
import uuid
from functools import cache
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

from bench.objects import ReadyMade, new_object
from runner.kube.client import FINALIZER

ACCOUNT = "123456789012"
NAMESPACE = "bench"
_PAGE, _PAGE_OF_TAGS = 1000, 100
_IAM = "https://iam.amazonaws.com/doc/2010-05-08/"
_STS = "https://sts.amazonaws.com/doc/2011-06-15/"
_TRUE = "<{0}>true</{0}>"
# What a new bucket has, by the query of the request.
_OWNERSHIP = "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"
_GUARDS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
_OWNER = "<ID>owner</ID>"
_GRANT = (
    '<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">'
    f"{_OWNER}</Grantee><Permission>FULL_CONTROL</Permission></Grant>"
)
_SETTINGS = {
    "ownershipControls": f"<OwnershipControls>{_OWNERSHIP}</OwnershipControls>",
    "publicAccessBlock": "<PublicAccessBlockConfiguration>"
    + "".join(map(_TRUE.format, _GUARDS))
    + "</PublicAccessBlockConfiguration>",
    "acl": f"<AccessControlPolicy><Owner>{_OWNER}</Owner><AccessControlList>{_GRANT}</AccessControlList>"
    "</AccessControlPolicy>",
    "versioning": "<VersioningConfiguration/>",
    "accelerate": "<AccelerateConfiguration/>",
}
_NO_POLICY = "<Error><Code>NoSuchBucketPolicy</Code><Message>none</Message></Error>"


@cache
def object_at(number: int) -> ReadyMade:
    """The object of a number: the same in each process."""
    name = f"bench-{number:06d}"
    item = new_object(name, NAMESPACE)
    item["metadata"] |= {"uid": str(uuid.uuid5(uuid.NAMESPACE_OID, name)), "generation": 1, "finalizers": [FINALIZER]}
    digest = sha256(name.encode()).hexdigest()
    return ReadyMade(item, ACCOUNT, f"AKIA{digest[:16].upper()}", digest[:40])


def answer_s3(path: str, query: str) -> tuple[int, str]:
    """Status and body of a read of a bucket."""
    wanted = parse_qs(query, keep_blank_values=True)
    if "tagging" in wanted:
        return 200, f"<Tagging><TagSet>{_tags(_named(path.strip('/')).wanted.bucket_tags, 'Tag')}</TagSet></Tagging>"
    if "policy" in wanted:
        return 404, _NO_POLICY
    return next(((200, body) for name, body in _SETTINGS.items() if name in wanted), (200, ""))


def answer_query(form: dict[str, list[str]], objects: int) -> str:
    """The body that answers a call of IAM or STS.

    :raises KeyError: for an action that a drift check does not ask
    """
    action = form["Action"][0]
    if action == "GetCallerIdentity":
        return _result(action, _STS, f"<Account>{ACCOUNT}</Account><Arn>arn:aws:iam::{ACCOUNT}:user/bench</Arn>")
    if action == "ListAccessKeys":
        return _result(action, _IAM, _keys(_named(form["UserName"][0])))
    if action == "GetAccountAuthorizationDetails":
        return _result(action, _IAM, _users(int(form.get("Marker", ["0"])[0]), objects))
    raise KeyError(action)


def answer_resources(asked: dict[str, Any], objects: int) -> str:
    """The body that answers a GetResources of the Resource Groups Tagging API."""
    first = int(asked.get("PaginationToken") or 0)
    after = min(first + _PAGE_OF_TAGS, objects)
    token, listed = str(after) if after < objects else "", ", ".join(map(_resource, range(first, after)))
    return f'{{"PaginationToken": "{token}", "ResourceTagMappingList": [{listed}]}}'


@cache
def _resource(number: int) -> str:
    wanted = object_at(number).wanted
    tags = [{"Key": key, "Value": text} for key, text in wanted.bucket_tags.items()]
    return json.dumps({"ResourceARN": wanted.bucket_arn, "Tags": tags})


def _named(name: str) -> ReadyMade:
    return object_at(int(name.rpartition("-")[2]))


def _keys(made: ReadyMade) -> str:
    member = (
        f"<UserName>{made.wanted.username}</UserName><AccessKeyId>{made.key_id}</AccessKeyId><Status>Active</Status>"
    )
    return f"<AccessKeyMetadata><member>{member}</member></AccessKeyMetadata><IsTruncated>false</IsTruncated>"


def _users(first: int, objects: int) -> str:
    after = min(first + _PAGE, objects)
    members = "".join(map(_user, range(first, after)))
    more = "<IsTruncated>false</IsTruncated>"
    if after < objects:
        more = f"<IsTruncated>true</IsTruncated><Marker>{after}</Marker>"
    return f"<UserDetailList>{members}</UserDetailList>{more}"


@cache
def _user(number: int) -> str:
    made = object_at(number)
    wanted, name = made.wanted, made.wanted.username
    document = quote(json.dumps(wanted.user_policy))
    policy = f"<PolicyName>{wanted.policy_name}</PolicyName><PolicyDocument>{document}</PolicyDocument>"
    return (
        f"<member><UserName>{name}</UserName><Arn>arn:aws:iam::{ACCOUNT}:user/{name}</Arn><Path>/</Path>"
        f"<UserPolicyList><member>{policy}</member></UserPolicyList><GroupList/><AttachedManagedPolicies/>"
        f"<Tags>{_tags(made.user_tags, 'member')}</Tags></member>"
    )


def _tags(tags: dict[str, str], element: str) -> str:
    pairs = (f"<Key>{escape(key)}</Key><Value>{escape(text)}</Value>" for key, text in tags.items())
    return "".join(f"<{element}>{pair}</{element}>" for pair in pairs)


def _result(action: str, namespace: str, result: str) -> str:
    return f'<{action}Response xmlns="{namespace}"><{action}Result>{result}</{action}Result></{action}Response>'


def serve(objects: int) -> ThreadingHTTPServer:
    """A server on a free port of loopback, not yet serving."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body are two writes: the second would wait for the first one to be acknowledged, up to 40 ms.
        disable_nagle_algorithm = True

        def do_HEAD(self) -> None:
            self._send(200, "")

        def do_GET(self) -> None:
            asked = urlsplit(self.path)
            self._send(*answer_s3(asked.path, asked.query))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if "X-Amz-Target" in self.headers:
                self._send(200, answer_resources(json.loads(body), objects))
            else:
                self._send(200, answer_query(parse_qs(body.decode()), objects))

        def _send(self, status: int, body: str) -> None:
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", "text/xml")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("x-amz-bucket-region", "us-east-1")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it
            """Discard it: no reader."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """Serve on the port that is given, and print it."""
    server = serve(int(sys.argv[1]))
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
