#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_user
short_description: Tag an IAM user
description:
  - In place of C(amazon.aws.iam_user), which makes five requests for a tag, and creates a user that does not exist.
  - Where a store's users have no tags, they are kept in an inline policy.
  - Creates no user; M(s3bucket_create) does. Deletes none; M(s3bucket_delete) does.
author: s3-operator contributors
options:
  name:
    description: The user's name.
    type: str
    required: true
  tags:
    description: Tags that the user should have.
    type: dict
    default: {}
  purge_tags:
    description: Whether its other tags are removed.
    type: bool
    default: true
  boundary:
    description: The ARN of its permissions boundary.
    type: str
    default: ""
  settings:
    description: The role's settings as JSON text, as C(s3bucket_info) returns them.
    type: str
    default: "{}"
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Tag the user
  s3bucket_user:
    name: photos
    tags: {team: photos}
    purge_tags: false
    settings: "{{ seen.settings }}"
"""

RETURN = r"""
s3bucket_reason:
  description: Why the user was not changed.
  type: str
  returned: failure
"""

from typing import Any

from ansible.module_utils.s3bucket import aws_users, store_users
from ansible.module_utils.s3bucket.capabilities import AWS, Capabilities
from ansible.module_utils.s3bucket.clients import refuse
from ansible.module_utils.s3bucket.errors import ReconcileError
from ansible.module_utils.s3bucket.json_types import AwsClient
from ansible.module_utils.s3bucket.module import make_iam_client, read_settings, tag_user
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "tags": {"type": "dict", "default": {}},
    "purge_tags": {"type": "bool", "default": True},
    "boundary": {"type": "str", "default": ""},
    "settings": {"type": "str", "default": "{}"},
}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    try:
        settings = read_settings(given["settings"])
        capabilities, iam = settings.known_capabilities or AWS, make_iam_client(module, settings)
        is_changed = change(iam, given, capabilities)
    except ReconcileError as refusal:
        refuse(module, refusal)
    module.exit_json(changed=is_changed)


def change(iam: AwsClient, given: dict[str, Any], capabilities: Capabilities) -> bool:
    """Set boundary and tags; return whether any of them differed."""
    name, boundary = given["name"], given["boundary"]
    set_boundary = aws_users.set_boundary if capabilities.is_aws else store_users.set_boundary
    has_boundary = bool(boundary) and set_boundary(iam, name, boundary)
    return tag_user(iam, name, given["tags"], capabilities, purges=given["purge_tags"]) or has_boundary


if __name__ == "__main__":
    main()
