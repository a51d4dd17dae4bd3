# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the role's own modules share beside clients: arguments, the CR and the settings, and tags of users."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

from . import aws_users, store_users
from .capabilities import Capabilities
from .clients import make_client
from .json_types import ApiObject, AwsClient
from .regions import region_of_iam
from .role_settings import RoleSettings
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


def make_iam_client(module: AnsibleAWSModule, settings: RoleSettings) -> AwsClient:
    """An IAM client with the module's connection."""
    return make_client(module, "iam", region=region_of_iam(str(module.region), is_aws=settings.is_aws))


def tag_user(
    iam: AwsClient, name: str, tags: dict[str, str], capabilities: Capabilities | None, *, purges: bool = False
) -> bool:
    """Put tags on an IAM user; return whether anything was written.

    :param capabilities: what the endpoint has; None for AWS
    :param purges: whether its other tags are removed
    :raises ReconcileError: for an error of AWS or of the store
    """
    if capabilities is None or capabilities.is_aws:
        return aws_users.write_tags(iam, name, tags, purges=purges)
    return store_users.write_tags(iam, name, tags, purges=purges, has_tags=capabilities.user_tags)
