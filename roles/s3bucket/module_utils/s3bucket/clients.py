# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The clients of the role's own modules, and how they report a failure.

A stock run packs everything that a module may import, for each module: this file imports little, so that small modules
are small.
"""

from __future__ import annotations

import re
from typing import NoReturn
from urllib.parse import urlsplit

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .answers import check_answers
from .checksums import use_md5
from .errors import ReconcileError, unknown
from .json_types import ApiObject, AwsClient
from .regions import partition_of


def make_client(module: AnsibleAWSModule, service: str, **more: str | None) -> AwsClient:
    """A client with the module's connection, which refuses what is no answer of a store."""
    return check_answers(module.client(service, **more))


def make_s3_client(module: AnsibleAWSModule) -> AwsClient:
    """An S3 client with the module's connection, and the checksums that its settings ask for."""
    return use_md5(make_client(module, "s3"))


def make_client_of_key(module: AnsibleAWSModule, service: str, key_id: str, secret: str, **more: str) -> AwsClient:
    """A client with an access key of a user, and for the rest with the module's connection.

    A profile stays part of it: the profile may have the endpoint. Its credentials give way to the key.
    """
    return make_client(
        module, service, aws_access_key_id=key_id, aws_secret_access_key=secret, aws_session_token=None, **more
    )


def make_tagging_client(module: AnsibleAWSModule) -> AwsClient:
    """A client that tags buckets with ABAC.

    At AWS's own endpoint the account is the first part of the host name. boto3 puts it before any host, but that of
    another endpoint may be an IP address.
    """
    client = make_client(module, "s3control")
    host, partition = urlsplit(str(client.meta.endpoint_url)).hostname or "", partition_of(module.region or "")
    if not host.endswith((partition.dns_suffix, partition.dual_stack_suffix)):
        client.meta.events.register("before-call.s3-control", remove_account)
    return client


def remove_account(params: ApiObject, **_: object) -> None:
    """Take the account out of the host name of a request (a handler for botocore's event ``before-call``)."""
    params["url"] = re.sub(r"^(https?://)\d{12}\.", r"\1", params["url"])


def refuse(module: AnsibleAWSModule, refusal: ReconcileError, **result: object) -> NoReturn:
    """Fail with the reason, and with more of the result. The role's rescue passes it on."""
    module.fail_json(**refusal.to_result(), **result)
    raise AssertionError("fail_json has ended the process")


def refuse_aws(module: AnsibleAWSModule, verb: str, error: Exception) -> NoReturn:
    """Fail for a botocore error."""
    refuse(module, unknown(verb, error))
