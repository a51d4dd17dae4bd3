"""An HTTP proxy in front of a store, for behavior of other stores that none on this machine shows.

It passes requests on to the endpoints of S3, IAM and STS as they are, so that their signatures stay valid. The service
is the one that the signature names. A rule may answer a request itself, or change it. It is a reverse proxy for clients
that have its URL as their endpoint, and a forward proxy for those that have it in HTTP_PROXY: host names of endpoints
mean nothing to it. With a certificate, it also takes tunnels (HTTPS_PROXY) and ends their TLS. It runs in threads of
this process.
"""

from __future__ import annotations

import http.client
import re
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

_SCOPE = re.compile(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/aws4_request")
_TIMEOUT_S = 60.0
# Of the connection, not of the request.
_OF_A_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Request:
    """A request. ``host``: the name of the endpoint as the client knows it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def host(self) -> str:
        return next((value for name, value in self.headers.items() if name.lower() == "host"), "")

    @property
    def service(self) -> str:
        """``s3``, ``iam`` or ``sts``; ``s3`` for a request without a signature."""
        return self._scope[1]

    @property
    def region(self) -> str:
        """The region that the request is signed for."""
        return self._scope[0]

    @property
    def action(self) -> str:
        """The action of a request of IAM or STS; empty for S3."""
        return "" if self.service == "s3" else parse_qs(self.body.decode()).get("Action", [""])[0]

    @property
    def creates_bucket(self) -> bool:
        parts = urlsplit(self.path)
        return self.service == "s3" and self.method == "PUT" and "/" not in parts.path.strip("/") and not parts.query

    @property
    def _scope(self) -> tuple[str, str]:
        found = _SCOPE.search(self.headers.get("Authorization", ""))
        return (found[1], found[2]) if found else ("", "s3")


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Rule = Callable[[Request], Request | Answer]
"""What becomes of a request: the request to pass on, or an answer."""


class StoreProxy:
    """A context manager.

    :param endpoints: the URLs of s3, iam and sts
    :param rule: what becomes of each request; by default all are passed on
    :param certificate: of the names that tunnels lead to
    """

    def __init__(
        self, endpoints: Mapping[str, str], rule: Rule | None = None, certificate: ssl.SSLContext | None = None
    ) -> None:
        self.requests: list[Request] = []
        self._server = _Server(endpoints, rule or (lambda request: request), certificate, self.requests)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> StoreProxy:
        threading.Thread(target=self._server.serve_forever, name="store-proxy", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()


def without_bucket_tags(key_id: str, secret_key: str) -> Rule:
    """CreateBucket ignores its tags.

    MinIO reads only the LocationConstraint of the body (``parseLocationConstraint`` in ``cmd/handler-utils.go``); Ceph
    RGW does the same (``RGWCreateBucket_ObjStore_S3::get_params``).

    :param key_id: the key with which the changed request is signed, whoever has sent it: the administrator's
    """

    def rule(request: Request) -> Request:
        if not request.creates_bucket:
            return request
        body = re.sub(rb"<Tags>.*?</Tags>", b"", request.body, flags=re.DOTALL)
        if re.fullmatch(rb"<CreateBucketConfiguration[^>]*>\s*</CreateBucketConfiguration>", body):
            body = b""
        return _signed(replace(request, body=body), Credentials(key_id, secret_key))

    return rule


def without_user_tags(key_id: str, secret_key: str) -> Rule:
    """CreateUser ignores its tags, as in Ceph RGW (``RGWCreateUser_IAM::init_processing`` in ``rgw_rest_iam_user.cc``).

    :param key_id: as of :func:`without_bucket_tags`
    """

    def rule(request: Request) -> Request:
        if request.action != "CreateUser":
            return request
        fields = [pair for pair in parse_qsl(request.body.decode()) if not pair[0].startswith("Tags.")]
        return _signed(replace(request, body=urlencode(fields).encode()), Credentials(key_id, secret_key))

    return rule


def without_actions(*actions: str) -> Rule:
    """IAM does not know these actions, and answers as versitygw to one that it does not know.

    Ceph RGW has neither TagUser nor UntagUser (``op_generators`` in ``src/rgw/rgw_rest_iam.cc``).
    """

    def rule(request: Request) -> Request | Answer:
        if request.action not in actions:
            return request
        return _error(400, "InvalidAction", f"Could not find operation {request.action}")

    return rule


def with_md5_only(request: Request) -> Request | Answer:
    """Checksums other than Content-MD5 are refused, and DeleteObjects and settings of a bucket must have it.

    This is how stores were before AWS's clients of January 2025: https://github.com/boto/boto3/issues/4400
    """
    names = {name.lower() for name in request.headers}
    newer = [name for name in names if name.startswith(("x-amz-checksum-", "x-amz-sdk-checksum", "x-amz-trailer"))]
    if newer:
        return _error(400, "InvalidArgument", f"unknown header {newer[0]}")
    query = urlsplit(request.path).query
    is_document = request.method == "PUT" and "/" not in urlsplit(request.path).path.strip("/") and query
    if (is_document or (request.method == "POST" and query == "delete")) and "content-md5" not in names:
        return _error(400, "InvalidRequest", "Missing required header for this request: Content-MD5")
    return request


def both(first: Rule, second: Rule) -> Rule:
    """The second rule for what the first one passes on."""

    def rule(request: Request) -> Request | Answer:
        found = first(request)
        return found if isinstance(found, Answer) else second(found)

    return rule


def _error(status: int, code: str, message: str) -> Answer:
    # botocore reads both forms: that of S3, and that of IAM and STS.
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return Answer(status, text.encode(), {"Content-Type": "application/xml"})


def _signed(request: Request, credentials: Credentials) -> Request:
    """The request with a signature of its new body."""
    dropped = {"authorization", "x-amz-date", "x-amz-content-sha256", "content-md5", "content-length"}
    kept = {
        name: value
        for name, value in request.headers.items()
        if name.lower() not in dropped and "checksum" not in name.lower()
    }
    new = AWSRequest(request.method, f"http://{request.host}{request.path}", kept, request.body)
    auth = S3SigV4Auth if request.service == "s3" else SigV4Auth
    auth(credentials, request.service, request.region).add_auth(new)
    return replace(request, headers=dict(new.headers.items()))


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self,
        endpoints: Mapping[str, str],
        rule: Rule,
        certificate: ssl.SSLContext | None,
        requests: list[Request],
    ) -> None:
        self.endpoints, self.rule, self.certificate, self.requests = endpoints, rule, certificate, requests
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def do_CONNECT(self) -> None:
        """End the TLS of a tunnel here, whatever host it leads to, and serve its requests."""
        if self.server.certificate is None:
            self.send_error(501)
            return
        self.send_response(200)
        self.end_headers()
        self.connection = self.server.certificate.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def finish(self) -> None:
        """Close the connection, and the TLS in it. The server closes only what is below."""
        super().finish()
        self.connection.close()

    def _pass(self) -> None:
        target = urlsplit(self.path)
        path = f"{target.path or '/'}{'?' + target.query if target.query else ''}"
        body = self._read_body()
        request = Request(self.command, path, dict(self.headers.items()), body)
        self.server.requests.append(request)
        found = self.server.rule(request)
        self._send(found if isinstance(found, Answer) else self._ask(found))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 - the names that the base class calls

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _ask(self, request: Request) -> Answer:
        host = urlsplit(self.server.endpoints[request.service]).netloc
        connection = http.client.HTTPConnection(host, timeout=_TIMEOUT_S)
        kept = {name: value for name, value in request.headers.items() if name.lower() not in _OF_A_HOP}
        try:
            connection.putrequest(request.method, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in {**kept, "Content-Length": str(len(request.body))}.items():
                connection.putheader(name, value)
            connection.endheaders(request.body)
            answer = connection.getresponse()
            return Answer(answer.status, answer.read(), dict(answer.getheaders()))
        finally:
            connection.close()

    def _send(self, answer: Answer) -> None:
        self.send_response_only(answer.status)
        length = next((value for name, value in answer.headers.items() if name.lower() == "content-length"), "")
        for name, value in answer.headers.items():
            if name.lower() not in _OF_A_HOP:
                self.send_header(name, value)
        # The answer to HEAD has the length of the body that GET would have.
        has_body = self.command != "HEAD" and answer.status not in (204, 304)
        if has_body or length:
            self.send_header("Content-Length", str(len(answer.body)) if has_body else length)
        self.end_headers()
        if has_body:
            self.wfile.write(answer.body)
