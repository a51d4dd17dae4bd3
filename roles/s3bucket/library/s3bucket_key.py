#!/usr/bin/python
# Copyright: s3-operator contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

from __future__ import annotations

DOCUMENTATION = r"""
module: s3bucket_key
short_description: Create, change or delete an access key of a user of an S3-compatible store
description:
  - In place of C(amazon.aws.iam_access_key), which sorts the keys of a user by their creation. Stores such as SeaweedFS
    do not return it. The role uses it only with C(s3bucket_provider=Other).
author: s3-operator contributors
options:
  user_name:
    description: The user's name.
    type: str
    required: true
  id:
    description: The id of the key. Without it, a key is created.
    type: str
    default: ""
  state:
    description: Whether the key should exist.
    type: str
    choices: [present, absent]
    default: present
  active:
    description: Whether the key with the id should be active.
    type: bool
    default: true
extends_documentation_fragment:
  - amazon.aws.common.modules
  - amazon.aws.region.modules
  - amazon.aws.boto3
"""

EXAMPLES = r"""
- name: Deactivate a key
  s3bucket_key:
    user_name: photos
    id: AKIAIOSFODNN7EXAMPLE
    active: false
"""

RETURN = r"""
access_key_id:
  description: The id of the new key.
  type: str
  returned: when a key was created
secret_access_key:
  description: Its secret.
  type: str
  returned: when a key was created
s3bucket_reason:
  description: Why the key was not changed.
  type: str
  returned: failure
"""

from typing import Any

from ansible.module_utils.s3bucket import store_keys
from ansible.module_utils.s3bucket.clients import make_client, refuse
from ansible.module_utils.s3bucket.errors import ReconcileError
from ansible_collections.amazon.aws.plugins.module_utils.modules import AnsibleAWSModule

ARGUMENTS: dict[str, Any] = {
    "user_name": {"type": "str", "required": True},
    "id": {"type": "str", "default": "", "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "active": {"type": "bool", "default": True},
}


def main() -> None:
    """Run the module."""
    module = AnsibleAWSModule(
        argument_spec=ARGUMENTS, supports_check_mode=True, required_if=[("state", "absent", ("id",))]
    )
    if module.check_mode:
        module.exit_json(changed=True)
    given, iam = module.params, make_client(module, "iam")
    user, key = given["user_name"], given["id"]
    try:
        if given["state"] == "absent":
            result: dict[str, Any] = {"changed": store_keys.delete(iam, user, key)}
        elif key:
            result = {"changed": store_keys.set_status(iam, user, key, is_active=given["active"])}
        else:
            result = {"changed": True, **store_keys.create(iam, user)}
    except ReconcileError as refusal:
        refuse(module, refusal)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
