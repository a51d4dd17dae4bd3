# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role's own modules share: arguments, clients, and how they report a failure."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import NoReturn
from urllib.parse import urlsplit

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from . import store_users
from .answers import check_answers
from .aspects import OPERATIONS
from .capabilities import AWS, Capabilities, probe
from .checksums import use_md5
from .children import values_in
from .errors import ReconcileError, failing_to, unknown
from .json_types import ApiObject, AwsClient
from .observe import Sources
from .outcome import Reason
from .read import PerUserReader, listed, read_all_users
from .regions import partition_of, region_of_iam
from .requirements import find_outdated
from .role_settings import RoleSettings
from .secrets import endpoint_of
from .spec import Wanted, invalid, wanted_of

# The CR and the settings are passed as JSON text, so that Ansible does not interpret any key in them.
ARGUMENTS: ApiObject = {
    "cr": {"type": "str", "required": True},
    "settings": {"type": "str", "default": "{}"},
    "defaults": {"type": "dict", "required": True},
}


def make_module(**arguments: ApiObject) -> AnsibleAWSModule:
    """A module with the shared arguments and the given ones."""
    return AnsibleAWSModule(argument_spec={**ARGUMENTS, **arguments}, supports_check_mode=True)


def read_cr(text: str, state: str) -> ApiObject:
    """The S3 object. When it should be absent, it is returned as an object that is being deleted.

    :raises ReconcileError: InvalidSpec
    """
    cr = json.loads(text)
    if not isinstance(cr, dict):
        raise invalid("s3bucket_cr", "must be an S3 object: set it, or s3bucket_cr_file")
    metadata = cr.get("metadata")
    if state == "absent" and isinstance(metadata, dict) and not metadata.get("deletionTimestamp"):
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {**cr, "metadata": {**metadata, "deletionTimestamp": now}}
    return cr


def read_settings(text: str) -> RoleSettings:
    """The role's settings, from JSON text.

    :raises ReconcileError: InvalidSpec naming the role variable
    """
    return RoleSettings.from_record(json.loads(text))


def read_wanted(module: AnsibleAWSModule, settings: RoleSettings) -> Wanted:
    """What the CR asks for, in modules that get the settings from s3bucket_info."""
    return wanted_of(
        read_cr(module.params["cr"], "present"),
        settings.cluster_name,
        module.params["defaults"],
        is_aws=settings.is_aws,
    )


def make_sources(module: AnsibleAWSModule, settings: RoleSettings) -> Sources:
    """Clients with the module's credentials, region and endpoint. Makes no request; the caller adds the cluster later.

    :raises ReconcileError: MissingRequirement for a botocore that is too old
    """
    settings.check()
    iam, s3 = make_iam_client(module, settings), make_s3_client(module)
    of_sts = region_of_iam(str(module.region), is_aws=settings.is_aws)
    outdated = find_outdated(s3.meta.service_model, OPERATIONS)
    if outdated:
        raise ReconcileError(Reason.MISSING_REQUIREMENT, outdated)

    def clients_of(secret: ApiObject) -> tuple[AwsClient, AwsClient]:
        pair = values_in(secret)
        return make_client_of_key(module, "sts", *pair, region=of_sts), make_client_of_key(module, "s3", *pair)

    sources = Sources(
        s3=s3,
        users=PerUserReader(iam),
        sts=make_client(module, "sts", region=of_sts),
        cluster=None,
        clients_of=clients_of,
        now=datetime.now(UTC),
        iam_propagation_s=settings.iam_settle_s,
        external_name=settings.external_name_at(str(s3.meta.endpoint_url)),
        endpoint=endpoint_of(str(s3.meta.endpoint_url), str(module.region)),
        rules=settings.rules,
        sts_of=lambda region: make_client(module, "sts", region=region),
        iam=iam,
        role_rules=settings.role_rules,
        eks_of=lambda region: make_client(module, "eks", region=region),
    )
    return with_capabilities(sources, settings.known_capabilities or AWS)


def with_capabilities(sources: Sources, capabilities: Capabilities) -> Sources:
    """The sources of an endpoint that has these capabilities."""
    return replace(
        sources,
        capabilities=capabilities,
        users=PerUserReader(sources.iam, capabilities),
        read_users=lambda naming: read_all_users(sources.iam, capabilities, naming),
    )


def probe_store(sources: Sources, settings: RoleSettings) -> RoleSettings:
    """The settings with what a store has; unchanged for AWS, and where the operator has found it out before.

    :raises ReconcileError: when the store does not answer, or the settings do not fit it
    """
    if settings.known_capabilities is not None:
        return settings
    return replace(settings, capabilities=probe(sources.s3, sources.iam, sources.sts, settings.account_id))


def make_client(module: AnsibleAWSModule, service: str, **more: str | None) -> AwsClient:
    """A client with the module's connection, which refuses what is no answer of a store."""
    return check_answers(module.client(service, **more))


def make_s3_client(module: AnsibleAWSModule) -> AwsClient:
    """An S3 client with the module's connection, and the checksums that its settings ask for."""
    return use_md5(make_client(module, "s3"))


def make_iam_client(module: AnsibleAWSModule, settings: RoleSettings) -> AwsClient:
    """An IAM client with the module's connection."""
    return make_client(module, "iam", region=region_of_iam(str(module.region), is_aws=settings.is_aws))


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


def tag_user(iam: AwsClient, name: str, tags: dict[str, str], capabilities: Capabilities | None) -> None:
    """Put tags on an IAM user; its other tags stay.

    :param capabilities: what the endpoint has; None for AWS
    :raises ReconcileError: for an error of AWS
    """
    if capabilities is not None and not capabilities.is_aws:
        store_users.write_tags(iam, name, tags, purges=False, has_tags=capabilities.user_tags)
        return
    with failing_to(f"tag IAM user {name} (iam:TagUser)"):
        iam.tag_user(UserName=name, Tags=listed(tags))
