# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Content-MD5 in place of newer checksums, for stores that know no other.

S3 requires a checksum in some requests: those that write a bucket's configuration, and DeleteObjects. Since version
1.36 botocore sends CRC32 in them, also with ``request_checksum_calculation = when_required``. Many stores require
Content-MD5, which earlier versions sent, and answer MissingContentMD5 or InvalidRequest.
https://docs.aws.amazon.com/sdkref/latest/guide/feature-dataintegrity.html
https://github.com/boto/boto3/issues/4400

So botocore's own setting decides: with ``when_required``, these requests have Content-MD5, and no others have a
checksum. AWS accepts both.
"""

from __future__ import annotations

import base64
import hashlib

from .json_types import ApiObject, AwsClient

_WHEN_REQUIRED = "when_required"


def use_md5(client: AwsClient) -> AwsClient:
    """Let an S3 client send Content-MD5 where a checksum is required, if its settings ask for no more. Returns it."""
    if client.meta.config.request_checksum_calculation == _WHEN_REQUIRED:
        # The modules of a run share their clients. With an id, a second registration changes nothing.
        client.meta.events.register("before-call.s3", _replace_checksum, unique_id="s3bucket-content-md5")
    return client


def _replace_checksum(params: ApiObject, **_: object) -> None:
    """Replace the checksum that botocore is about to add (a handler for its event ``before-call``)."""
    checksum, body = params["context"].get("checksum") or {}, params.get("body")
    if "request_algorithm" not in checksum or not isinstance(body, str | bytes):
        return
    del checksum["request_algorithm"]
    checksum.pop("request_algorithm_header", None)
    digest = hashlib.md5(body.encode() if isinstance(body, str) else body, usedforsecurity=False).digest()
    params["headers"]["Content-MD5"] = base64.b64encode(digest).decode()
