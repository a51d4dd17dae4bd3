"""Content-MD5 for stores that know no other checksum: botocore's own setting decides."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config

from s3bucket.checksums import use_md5
from tests.support.world import ROLE

POLICY = '{"Statement": []}'
KEYS = {"Objects": [{"Key": "a"}]}
LIFECYCLE = {"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {}, "Expiration": {"Days": 1}}]}
# Requests in which S3 requires a checksum, with each kind of body.
REQUIRING = {
    "put_bucket_policy": {"Policy": POLICY},
    "put_bucket_lifecycle_configuration": {"LifecycleConfiguration": LIFECYCLE},
    "delete_objects": {"Delete": KEYS},
}
PUT = {"Key": "a", "Body": b"x"}


class Sender:
    """A client of S3 and the request that it sent last. Nothing reaches the network."""

    def __init__(self, mode: str | None) -> None:
        config = Config(request_checksum_calculation=mode)  # type: ignore[call-arg]
        keys = {"aws_access_key_id": "AKIAIOSFODNN7EXAMPLE", "aws_secret_access_key": "x"}
        self.s3 = boto3.client("s3", region_name="us-east-1", endpoint_url="http://127.0.0.1:1", config=config, **keys)
        self.s3.meta.events.register("before-send.s3", self._answer)
        self.sent: Any = None

    def _answer(self, request: Any, **_: object) -> AWSResponse:
        self.sent = request
        answer = AWSResponse(request.url, 200, {}, None)
        answer._content = b""
        return answer

    def headers_of(self, operation: str, arguments: dict[str, Any]) -> dict[str, str]:
        """The headers about checksums with which an operation is sent."""
        getattr(self.s3, operation)(Bucket="bucket", **arguments)
        names = [name for name in self.sent.headers if "md5" in name.lower() or "checksum" in name.lower()]
        return {name.lower(): _text(self.sent.headers[name]) for name in names}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize("operation", REQUIRING)
def test_required_checksum_is_md5_if_no_others_are_asked_for(operation: str) -> None:
    sender = Sender("when_required")
    # Twice, as by two modules of a run, which share their clients.
    use_md5(use_md5(sender.s3))
    found = sender.headers_of(operation, REQUIRING[operation])
    body = sender.sent.body.encode() if isinstance(sender.sent.body, str) else sender.sent.body
    assert found == {"content-md5": base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()}
    assert sender.headers_of("put_object", PUT) == {}


@pytest.mark.parametrize("mode", [None, "when_supported"])
@pytest.mark.parametrize("operation", REQUIRING)
def test_botocores_checksums_stay_without_that_setting(operation: str, mode: str | None) -> None:
    sender = Sender(mode)
    use_md5(sender.s3)
    assert sender.headers_of(operation, REQUIRING[operation]).keys() == {
        "x-amz-checksum-crc32",
        "x-amz-sdk-checksum-algorithm",
    }


def test_modules_make_no_client_that_leaves_this_out() -> None:
    # Nor one of IAM in the region of the bucket. s3bucket_key and s3bucket_orphan get the region of IAM itself.
    makes_client = re.compile(r'\.client\("|\bmake_client\(')
    direct = [path.name for path in (ROLE / "library").glob("*.py") if makes_client.search(path.read_text())]
    assert sorted(direct) == ["s3bucket_association.py", "s3bucket_key.py", "s3bucket_orphan.py"]
