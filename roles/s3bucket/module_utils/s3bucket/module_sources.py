# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the module that reads everything reads with."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from .aspects import OPERATIONS
from .capabilities import AWS, Capabilities, probe
from .children import values_in
from .clients import make_client, make_client_of_key, make_s3_client
from .errors import ReconcileError
from .json_types import ApiObject, AwsClient
from .module import make_iam_client
from .observe import Sources
from .outcome import Reason
from .read import PerUserReader, read_all_users
from .regions import region_of_iam
from .requirements import find_outdated
from .role_settings import RoleSettings
from .secrets import endpoint_of


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
